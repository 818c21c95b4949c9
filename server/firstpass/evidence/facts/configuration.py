"""The keys of configuration files that a diff sets, removes or changes. Knows lines, no whole file and no schema."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from firstpass.evidence.credentials import holds_secret
from firstpass.evidence.diffs.diff import FileDiff, LineKind
from firstpass.evidence.facts.changes import MOST_CHARACTERS, SettingChange
from firstpass.evidence.facts.sections import Placed, placed_lines

MOST_SETTINGS = 100
HIDDEN = "(hidden)"
"""Instead of what looks like a credential."""

_PAIR = re.compile(
    r"\s*(?:-\s+)*(?:export\s+|set\s+)?(?P<quote>[\"']?)(?P<key>[\w$@*./][\w$@*./ -]{0,100}?)"
    r"(?P=quote)\s*(?P<sign>:?[:=?+]=?)(?=\s|[\"'\w$/.\[{(*^~-]|$)\s*(?P<value>.*)$"
)
_ITEM = re.compile(r"\s*+(?:-\s++)?+[\"']?(?P<value>[^\"'\[\]{}]{1,200}?)[\"']?(?:\s*+,)?+\s*+(?:(?<=\s)#.*)?$")
_INSTRUCTION = re.compile(
    r"\s*(?P<word>FROM|RUN|CMD|ENTRYPOINT|ENV|ARG|EXPOSE|COPY|ADD|WORKDIR|USER|VOLUME|LABEL|HEALTHCHECK"
    r"|SHELL)\s+(?P<rest>.*)"
)
_ASSIGNED = re.compile(r"(?P<key>\w{1,80})(?:=|\s+)(?P<value>.*)")
_COMMENT = re.compile(r"\s*(?:#|;|//|/\*|\*|<!--|--)")
_TABLES = frozenset((".toml", ".ini", ".cfg", ".conf", ".editorconfig", ".service", ".properties"))
_IGNORES = re.compile(r"\.\w*ignore$|\.gitattributes$|CODEOWNERS$|MANIFEST\.in$|\.mailmap$")
_LISTS = frozenset((".json", ".toml", ".yaml", ".yml", ".cfg", ".ini", ".json5", ".jsonc"))


def settings_changes(file: FileDiff) -> tuple[SettingChange, ...]:
    """In order; what is the same on both sides is left out."""
    old, new = _of_side(file, "removed"), _of_side(file, "added")
    found = [
        change for key in dict.fromkeys((*new, *old)) for change in _changes(key, old.get(key, []), new.get(key, []))
    ]
    return tuple(sorted(found, key=lambda change: change.line))[:MOST_SETTINGS]


def _changes(key: str, old: list[tuple[str, int]], new: list[tuple[str, int]]) -> Iterator[SettingChange]:
    before, after = {value for value, _ in old}, {value for value, _ in new}
    gone = [one for one in old if one[0] not in after]
    come = [one for one in new if one[0] not in before]
    for (was, _), (value, line) in zip(gone, come, strict=False):
        yield SettingChange("changed", key, was, value, line)
    for value, line in come[len(gone) :]:
        yield SettingChange("added", key, None, value, line)
    for was, line in gone[len(come) :]:
        yield SettingChange("removed", key, was, None, line)


def _of_side(file: FileDiff, side: LineKind) -> dict[str, list[tuple[str, int]]]:
    """(value, line) by key."""
    path = PurePosixPath(file.path or "")
    found: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for hunk in file.hunks:
        for line in placed_lines(hunk, side, path.suffix.lower() in _TABLES):
            if line.changed and (pair := _pair(line, path)) and len(found) < 10 * MOST_SETTINGS:
                value = HIDDEN if holds_secret(line.text) else pair[1]
                found[pair[0][:MOST_CHARACTERS]].append((value[:MOST_CHARACTERS], line.number))
    return found


def _pair(line: Placed, path: PurePosixPath) -> tuple[str, str] | None:
    """(key with its sections, value)"""
    text = line.text
    if not text.strip() or _COMMENT.match(text):
        return None
    if _IGNORES.search(path.name):
        return text.strip(), ""
    if "ocker" in path.name and (found := _INSTRUCTION.match(text)):
        return _instruction(found["word"], found["rest"])
    match = _PAIR.match(text)
    value = match["value"].rstrip().removesuffix(",").rstrip() if match else ""
    if match and (value not in ("{", "[", "(", "") or match["sign"].startswith("=")):
        return ".".join((*line.sections, match["key"].strip())), _plain(value)
    item = _ITEM.match(text) if path.suffix.lower() in _LISTS and line.sections else None
    return (".".join(line.sections), item["value"].strip()) if item and not match and item["value"].strip() else None


def _instruction(word: str, rest: str) -> tuple[str, str]:
    match = _ASSIGNED.match(rest) if word in ("ENV", "ARG", "LABEL") else None
    return (f"{word} {match['key']}", _plain(match["value"])) if match else (word, rest.strip())


def _plain(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value
