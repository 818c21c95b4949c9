"""What a hook does when git calls it: it asks a running server, and tells. It never stops git; where it can't, a line.

It reads git's settings and its own (`git config firstpass.*`), and writes nothing but git's message file.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copymode

from firstpass import changes
from firstpass.answered import TOO_LARGE, Answered, NoAnswer, question
from firstpass.changes import Deadline
from firstpass.controls import plain
from firstpass.errors import FirstpassError, NoChange
from firstpass.hooks import asking, message
from firstpass.hooks.script import NAMES, Name

GIT_SECONDS = 5.0
"""For git's own settings, before the time is known that a hook may take."""

SECONDS = 10.0
MOST_SECONDS = 600.0
MESSAGE_BYTES = 2**20
BRANCHES = 3
"""Of one push, so many are told of; the others are named."""

NO_EDITOR = ":"
"""What GIT_EDITOR is where nobody will see the message before it is committed (git's builtin/commit.c)."""

WRITTEN_BY_HAND = ("template", "")
"""The sources of a message that is yet to be written; githooks(5) has `message`, `merge`, `squash` and `commit` too."""

KEEPS_COMMENTS = ("whitespace", "verbatim")
"""The values of commit.cleanup under which a comment would stay in the message."""

WANTED = r"^(firstpass\.|core\.comment(char|string)$|commit\.cleanup$|i18n\.commitencoding$)"
_OID = re.compile(r"[0-9a-f]{40,64}")


@dataclass(frozen=True, slots=True)
class Config:
    """git's settings by their names in lower case; a name alone is `true`."""

    said: dict[str, str]

    def text(self, name: str) -> str | None:
        return self.said.get(name.lower()) or None

    def is_on(self, name: str, default: bool) -> bool:
        value = self.said.get(name.lower())
        return default if value is None else value.lower() in ("true", "yes", "on", "1")

    def seconds(self) -> float:
        """Raises: NoAnswer."""
        value = self.text("firstpass.seconds")
        try:
            seconds = float(value) if value else SECONDS
        except ValueError:
            seconds = -1.0
        if not 0 < seconds <= MOST_SECONDS:
            raise NoAnswer(f"firstpass.seconds: {value!r} is no number of seconds up to {MOST_SECONDS:.0f}")
        return seconds


def called(arguments: Sequence[str]) -> None:
    """As `firstpass hook run` is: with the hook's name, then git's own arguments."""
    name = next((each for each in NAMES if [each] == list(arguments[:1])), None)
    if name is None:
        return _tell(f"there is no hook {' '.join(arguments[:1])!r}; those are {' and '.join(NAMES)}")
    return run(name, arguments[1:])


def run(name: Name, arguments: Sequence[str]) -> None:
    """Whatever goes wrong, a line on stderr is all that comes of it."""
    try:
        {"prepare-commit-msg": _prepare, "pre-push": _push}[name](arguments, _config())
    except (NoAnswer, FirstpassError, OSError) as error:
        _tell(f"{_WITHOUT[name]}: {_why(error)}")
    except KeyboardInterrupt:
        _tell(f"{_WITHOUT[name]}: interrupted")
    except Exception as error:  # noqa: BLE001 - a fault of ours is no reason to hold up a commit; its text may quote one
        _tell(f"{_WITHOUT[name]}: {type(error).__name__}")


def _why(error: Exception) -> str:
    """A server's own words on a prompt that is too long are many, and say no more than this."""
    if isinstance(error, NoAnswer) and error.code in TOO_LARGE:
        return f"the change is too large for the model ({error.code})"
    return str(error)


_WITHOUT: dict[Name, str] = {"prepare-commit-msg": "no draft of the message", "pre-push": "no summary of the push"}


def _tell(line: str) -> None:
    print(f"firstpass: {plain(' '.join(line.split()))}", file=sys.stderr, flush=True)


def _config() -> Config:
    try:
        said = changes.git("config", "-z", "--get-regexp", WANTED, until=Deadline.after(GIT_SECONDS))
    except NoChange:
        return Config({})
    pairs = [each.partition("\n") for each in said.decode(errors="surrogateescape").split("\0") if each]
    return Config({name: value if newline else "true" for name, newline, value in pairs})


def _prepare(arguments: Sequence[str], config: Config) -> None:
    """arguments: the message's file, and where the message comes from (githooks(5))."""
    source = arguments[1] if len(arguments) > 1 else ""
    if not _is_wanted(config) or source not in WRITTEN_BY_HAND or os.environ.get("GIT_EDITOR") == NO_EDITOR:
        return
    path = Path(arguments[0])
    before = path.read_bytes()
    sign = message.comment_sign(before, _comment(config))
    if len(before) > MESSAGE_BYTES or message.has_text(before, sign):
        return
    until = Deadline.after(config.seconds())
    diff = changes.staged(until)
    if not changes.has_text(diff):
        return
    answered = _ask(config, "commit-message", diff, until)
    _replace(path, _drafted(before, answered, sign, config))


def _is_wanted(config: Config) -> bool:
    return config.is_on("firstpass.enabled", True)


def _comment(config: Config) -> bytes:
    value = config.text("core.commentstring") or config.text("core.commentchar") or ""
    return os.fsencode(value)


def _ask(config: Config, contract: str, diff: bytes, until: Deadline) -> Answered:
    url = asking.server(config.text("firstpass.url"), os.environ.get("FIRSTPASS_URL"))
    body = question(contract, diff, config.text("firstpass.model") or "firstpass", config.text("firstpass.egress"))
    return asking.ask(url, json.dumps(body).encode(), until)


def _drafted(before: bytes, answered: Answered, sign: bytes, config: Config) -> bytes:
    """The message file with the draft: as text, or as a comment where its checks failed."""
    as_text = not answered.is_unverified or config.is_on("firstpass.unverified", False)
    encoding = config.text("i18n.commitencoding") or "utf-8"
    try:
        draft = message.wrapped(answered.text).encode(encoding)
        remarks = [line.encode(encoding, "replace") for line in _remarks(answered, as_text)]
    except (LookupError, UnicodeError) as error:
        raise NoAnswer(f"the draft can't be written in i18n.commitEncoding ({encoding})") from error
    after = message.with_draft(before, draft, sign) if as_text else before
    if not _keeps_comments(before, sign, config):
        return message.with_remarks(after, remarks, sign)
    for line in _remarks(answered, as_text):
        _tell(line) if line else None
    return after


def _keeps_comments(before: bytes, sign: bytes, config: Config) -> bool:
    """Whether a comment would stay in the message. With commit.status off git writes no scissors, and cuts nothing."""
    cleanup = (config.text("commit.cleanup") or "").lower()
    return cleanup in KEEPS_COMMENTS or (cleanup == "scissors" and not message.has_scissors(before, sign))


def _remarks(answered: Answered, as_text: bool) -> list[str]:
    how = f"route {answered.route}, exchange {answered.exchange}"
    if not answered.is_unverified:
        lines = [f"Firstpass wrote this draft ({how})."]
    elif as_text:
        lines = [f"Firstpass wrote this draft, and it is UNVERIFIED: its checks failed ({how})."]
    else:
        draft = [f"    {line}".rstrip() for line in message.wrapped(answered.text).splitlines()]
        lines = [f"Firstpass has a draft, but it is UNVERIFIED: its checks failed ({how}).", *draft]
    return [*lines, *_findings(answered), ""]


def _findings(answered: Answered) -> list[str]:
    """The grave ones, and who wrote what: that no log-probabilities came does not concern a committer."""
    told = [found for found in answered.findings if found.grave or found.check == "by-code"]
    return [f"{'FAILED' if found.grave else 'note'} {found.check}: {found.says}" for found in told]


def _replace(path: Path, content: bytes) -> None:
    """Whole or not at all; what a link leads to, with the rights that it had."""
    path = path.resolve(strict=True)
    new = path.with_name(f"{path.name}.firstpass-{os.getpid()}")
    try:
        new.write_bytes(content)
        copymode(path, new)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Pushed:
    """A line of a pre-push hook's standard input: what of here becomes what there."""

    branch: str
    here: str
    there: str


def _push(arguments: Sequence[str], config: Config) -> None:
    """arguments: the remote's name and its URL."""
    if not _is_wanted(config):
        return
    remote = arguments[0] if arguments else ""
    pushed = list(_pushed(sys.stdin.buffer.read(MESSAGE_BYTES)))
    until = Deadline.after(config.seconds())
    for each in pushed[:BRANCHES]:
        diff = changes.between(_base(each, remote, until), each.here, until)
        if changes.has_text(diff):
            _summarise(each.branch, _ask(config, "pr-summary", diff, until))
    if len(pushed) > BRANCHES:
        _tell(f"and {len(pushed) - BRANCHES} branches more")


def _pushed(said: bytes) -> Iterator[Pushed]:
    """Neither tags nor what is deleted."""
    for line in said.decode(errors="surrogateescape").splitlines():
        match line.split(" "):
            case [_, here, there_name, there] if _OID.fullmatch(here) and _OID.fullmatch(there):
                if set(here) != {"0"} and not there_name.startswith("refs/tags/"):
                    yield Pushed(there_name.removeprefix("refs/heads/"), here, there)


def _base(pushed: Pushed, remote: str, until: Deadline) -> str:
    """The commit that what is pushed begins at: where the remote's branch forks, else what others of it have."""
    tries: tuple[Callable[[], str], ...] = (
        lambda: changes.fork_point(pushed.there, pushed.here, until) if set(pushed.there) != {"0"} else "",
        lambda: changes.fork_point(f"refs/remotes/{remote}/HEAD", pushed.here, until),
        lambda: _boundary(pushed.here, remote, until),
    )
    for attempt in tries:
        try:
            if found := attempt():
                return found
        except NoChange:
            if until.left <= 0:
                raise
    return changes.nothing(until)


def _boundary(here: str, remote: str, until: Deadline) -> str:
    """The first commit below those that the remote, as far as it is known here, does not have."""
    known = f"--remotes={remote}" if remote and not set(remote) & set("*?[\\") else "--remotes"
    listed = changes.git("rev-list", "--boundary", here, "--not", known, until=until).decode().split()
    return next((each[1:] for each in listed if each.startswith("-")), "")


def _summarise(branch: str, answered: Answered) -> None:
    _tell(f"what is pushed to {branch} (route {answered.route}, exchange {answered.exchange})")
    for line in answered.text.splitlines():
        print(f"    {line}", file=sys.stderr)
    for line in _findings(answered):
        print(f"  ! {line}" if line.startswith("FAILED") else f"    {line}", file=sys.stderr)
    sys.stderr.flush()
