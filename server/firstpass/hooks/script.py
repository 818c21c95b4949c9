"""The text of the hook files: small POSIX sh. It knows no repository and puts nothing anywhere."""

import hashlib
import re
import shlex
from typing import Literal

Name = Literal["prepare-commit-msg", "pre-push"]
NAMES: tuple[Name, ...] = ("prepare-commit-msg", "pre-push")

KEPT = ".before-firstpass"
"""The hook that was there before has this behind its name, and is called first."""

_FIRST = re.compile(r"#!/bin/sh\n# firstpass-hook 1 ([0-9a-f]{16}): ")
_LENGTH = 16

_HEAD = """\
#!/bin/sh
# firstpass-hook 1 {digest}: made by `firstpass hook install`; `firstpass hook uninstall` takes it away.
"""

_FIND = """\
firstpass={program}
[ -x "$firstpass" ] || firstpass=firstpass
if ! command -v "$firstpass" >/dev/null 2>&1; then
    echo "firstpass: not here any more, so {name} does nothing (its hook is $0)" >&2
    exit 0
fi
"""

_BODIES: dict[Name, str] = {
    "prepare-commit-msg": """\
kept="${{0%/*}}/{name}{kept}"
[ ! -x "$kept" ] || "$kept" "$@" || exit $?
{find}"$firstpass" hook run {name} "$@" </dev/null
exit 0
""",
    # git tells a pre-push hook what is pushed on its standard input; both hooks have it, byte for byte.
    "pre-push": """\
pushed=$(cat; echo x)
pushed=${{pushed%x}}
kept="${{0%/*}}/{name}{kept}"
if [ -x "$kept" ]; then
    printf %s "$pushed" 2>/dev/null | "$kept" "$@" || exit $?
fi
{find}printf %s "$pushed" 2>/dev/null | "$firstpass" hook run {name} "$@"
exit 0
""",
}


def written(name: Name, program: str) -> str:
    """The file. program: the path of `firstpass`; where that is gone, the one on the PATH is called."""
    find = _FIND.format(program=shlex.quote(program), name=name)
    body = _BODIES[name].format(name=name, kept=KEPT, find=find)
    return _HEAD.format(digest=_digest(body)) + body


def is_ours(text: str) -> bool:
    return _FIRST.match(text) is not None


def is_as_written(text: str) -> bool:
    """Whether nobody changed it since."""
    found = _FIRST.match(text)
    return found is not None and found[1] == _digest("".join(text.splitlines(keepends=True)[2:]))


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode(errors="surrogateescape")).hexdigest()[:_LENGTH]
