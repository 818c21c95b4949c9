"""Made changes: source files as they were and as they are, and the diff that git would show of it. Knows no model.

What is new in a change is known, since whoever made it put it in: names that were called nowhere before, and TODOs.
"""

import difflib
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1

from benchmarks.making.code import Coder, File, Function, Statement
from benchmarks.making.languages import LANGUAGES, Language

FILES = 5
"""Of a repository, at its beginning."""

CONTEXT_LINES = 3
_HUNK = re.compile(r"@@ -(\d+)")
_HEADING = re.compile(r"[A-Za-z_$]")


@dataclass(frozen=True, slots=True)
class Change:
    """before, after: the texts of files by their paths. calls, todos: those that are new, in the files' order."""

    before: Mapping[str, str]
    after: Mapping[str, str]
    calls: tuple[str, ...]
    todos: tuple[str, ...]

    @property
    def diff(self) -> str:
        paths = sorted({*self.before, *self.after})
        return "".join(_file_diff(path, self.before.get(path), self.after.get(path)) for path in paths)


class Work:
    """A repository that somebody works on, edit by edit. At random, and the same again for the same seed."""

    def __init__(self, seed: str, languages: Sequence[Language] = LANGUAGES) -> None:
        self._chance = random.Random(seed)
        self._coder = Coder(self._chance)
        main, other = self._chance.choice(languages), self._chance.choice(languages)
        self._languages = [main, main, main, other]
        self._files = [self._file(self._chance.randint(3, 9)) for _ in range(FILES)]
        self._before = self._texts()
        self._known = set(self._statements())

    def change(self) -> Change:
        """All edits so far."""
        new = [one for one in self._statements() if one not in self._known]
        calls = tuple(one.call for one in new if one.call)
        return Change(self._before, self._texts(), calls, tuple(one.todo for one in new if one.todo))

    def edit(self) -> None:
        """One more, somewhere."""
        kinds = {
            self._change: 40,
            self._remove: 20,
            self._add_call: 20,
            self._add_function: 15,
            self._call_instead: 10,
            self._add_file: 3,
            self._note: 2,
        }
        [kind] = self._chance.choices(list(kinds), list(kinds.values()))
        kind()

    def grow(self, least_bytes: int) -> Change:
        """Edits until the diff has so many bytes."""
        while True:
            self.edit()
            change = self.change()
            if len(change.diff) >= least_bytes:
                return change

    def _file(self, functions: int) -> File:
        return self._coder.file(self._chance.choice(self._languages), functions)

    def _add_call(self) -> None:
        language, function = self._place()
        at = self._chance.randrange(len(function.body))
        function.body.insert(at, self._coder.call(language, function.at_hand(at)))

    def _call_instead(self) -> None:
        """Of a statement; what that one sets is set as before."""
        language, function = self._place()
        at = self._chance.randrange(len(function.body) - 1)
        function.body[at] = self._coder.call(language, function.at_hand(at), function.body[at].sets)

    def _change(self) -> None:
        """Of a statement that calls nothing, or one more of them."""
        language, function = self._place()
        at = self._chance.randrange(len(function.body) - 1)
        old = function.body[at]
        made = self._coder.quiet(language, function.at_hand(at), old.sets if old.call is None else None)
        function.body[at : at + (old.call is None)] = [made]

    def _note(self) -> None:
        language, function = self._place()
        function.body.insert(self._chance.randrange(len(function.body)), self._coder.todo(language))

    def _remove(self) -> None:
        """A statement whose variable nobody could miss; none where there are no such."""
        _, function = self._place()
        if idle := [one for one in function.body[:-1] if one.sets is None]:
            function.body.remove(self._chance.choice(idle))

    def _add_function(self) -> None:
        file = self._chance.choice(self._files)
        made = self._coder.function(file.language)
        file.functions.insert(self._chance.randint(0, len(file.functions)), made)

    def _add_file(self) -> None:
        self._files.append(self._file(self._chance.randint(1, 2)))

    def _place(self) -> tuple[Language, Function]:
        """A function with more than its last line."""
        places = [(file.language, one) for file in self._files for one in file.functions if len(one.body) > 1]
        return self._chance.choice(places)

    def _statements(self) -> Iterator[Statement]:
        for file in sorted(self._files, key=lambda file: file.path):
            yield from file.statements()

    def _texts(self) -> dict[str, str]:
        return {file.path: file.text() for file in self._files}


def _file_diff(path: str, before: str | None, after: str | None) -> str:
    """Nothing where they are the same."""
    if before == after:
        return ""
    kind = "new file mode 100644\n" if before is None else "deleted file mode 100644\n" if after is None else ""
    mode = "" if kind else " 100644"
    head = f"diff --git a/{path} b/{path}\n{kind}index {_blob(before)}..{_blob(after)}{mode}\n"
    old, new = ((text or "").splitlines(keepends=True) for text in (before, after))
    names = ("/dev/null" if before is None else f"a/{path}", "/dev/null" if after is None else f"b/{path}")
    lines = difflib.unified_diff(old, new, *names, n=CONTEXT_LINES)
    return head + "".join(_headed(line, old) for line in lines)


def _headed(line: str, old: Sequence[str]) -> str:
    """A hunk's header says, as git's does, what stands before its first line: the last line that is not indented."""
    if (found := _HUNK.match(line)) is None:
        return line
    heading = next((one for one in reversed(old[: max(0, int(found[1]) - 1)]) if _HEADING.match(one)), "")
    return f"{line.rstrip()} {heading.rstrip()}".rstrip() + "\n"


def _blob(text: str | None) -> str:
    """As git names a file's content."""
    if text is None:
        return "0" * 7
    data = text.encode()
    return sha1(b"blob %d\0%s" % (len(data), data), usedforsecurity=False).hexdigest()[:7]
