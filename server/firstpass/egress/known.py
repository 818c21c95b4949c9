"""The secrets that this machine itself knows, so that each is recognised wherever it stands.

They are read once, when the server starts, from variables of its environment whose names say so and from the files in
which tools keep credentials. They are kept in memory alone. It knows no request.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

LEAST_CHARACTERS = 8
"""A shorter one is a word of many texts."""

MOST_BYTES = 256 * 1024
"""Of a file of credentials; what is longer is none."""

FILES = (
    *(".netrc", ".git-credentials", ".npmrc", ".pypirc", ".pgpass", ".my.cnf", ".vault-token", ".terraformrc"),
    *(".aws/credentials", ".docker/config.json", ".kube/config", ".cargo/credentials.toml", ".gem/credentials"),
    *(".config/gh/hosts.yml", ".config/glab-cli/config.yml", ".config/pip/pip.conf", ".cache/huggingface/token"),
    *(".huggingface/token", ".config/openai/auth.json", ".codex/auth.json", ".claude/.credentials.json"),
)
"""Below the home directory, where the tools of these names keep what they log in with."""

SAYS_SO = re.compile(
    r"(?i)(?:^|[_.\W])(?:pass(?:w(?:or)?d|phrase)?|pwd|secret|token|credentials?|auth(?:token)?|"
    r"(?:api|access|private|secret|signing|encryption)[_-]?key)(?:$|[_.\W\d])"
    r"|(?:password|passwd|pass)\d*$|[_-](?:pat|key|webhook_url|dsn)$"
)
"""A name of what is secret."""

PUBLIC = re.compile(r"(?i)(?:public|pub)[_-]?key$|[_-](?:sock|socket|file|path|dir)$")
"""A name like one of those of what is none, or of where one lies."""

_ASSIGNED = re.compile(r"""["']?([\w./:@-]{1,120})["']?[ \t]{0,8}[:=][ \t]{0,8}["']?([^\s"',;]{8,4096})""")
_WORDS = re.compile(r"(?i)\b(?:password|token)[ \t]{1,8}(\S{8,4096})")
_IN_URL = re.compile(r"://[^\s:/@]{0,200}:([^\s@/]{8,1000})@")
_PGPASS = re.compile(r"(?m)^[^:\s]*:[^:\s]*:[^:\s]*:[^:\s]*:(\S{8,})$")
_LOOKED_UP = re.compile(r"\$[{(]|^\$\w+$|^[/~.]|^\w+://")
"""In a file: what stands for a value that is elsewhere."""
_NUMBER = re.compile(r"[\d.,_+-]+")
_URL = re.compile(r"\w+://")
_IS_URL = re.compile(r"(?i)(?:webhook_url|dsn)$")


def known_secrets(environment: Mapping[str, str], home: Path, files: Iterable[Path] = ()) -> frozenset[str]:
    """files: further ones, of which every line that is one word is a secret too.

    Raises: OSError for a further file that can't be read; one of a tool's that can't be is none of ours.
    """
    found = set[str]()
    for name in FILES:
        text = _read(home / name)
        found |= _assigned(text) | {word for word in [text.strip()] if len(word.split()) == 1}
    for path in files:
        text = path.read_text(encoding="utf-8", errors="replace")
        found |= _assigned(text) | {line.strip() for line in text.splitlines() if len(line.split()) == 1}
    told = {one for one in found if not _LOOKED_UP.search(one)}.union(_of_environment(environment))
    return frozenset(one for one in told if len(one) >= LEAST_CHARACTERS)


def _of_environment(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        if _says_so(name) and not _is_plain(name, value.strip()):
            yield value.strip()
        yield from _IN_URL.findall(value)


def _says_so(name: str) -> bool:
    return SAYS_SO.search(name) is not None and PUBLIC.search(name) is None


def _is_plain(name: str, value: str) -> bool:
    """Whether a variable's value is a number, a path of this machine or the address of a service."""
    if _NUMBER.fullmatch(value) or ("/" in value and _exists(value)):
        return True
    return _URL.match(value) is not None and _IS_URL.search(name) is None


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, RuntimeError):
        return False


def _assigned(text: str) -> set[str]:
    """What a file of credentials gives a name that says so, in any of the forms that such files have."""
    named = {value for name, value in _ASSIGNED.findall(text) if _says_so(name)}
    return named.union(_WORDS.findall(text), _IN_URL.findall(text), _PGPASS.findall(text))


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
