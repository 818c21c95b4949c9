"""Routing rules: which requests to the cascade go to one model alone, decided before any draft. Knows no tier.

A rule names what it looks at; all that it names must be so. The first rule that fits decides. What a rule can not be
sure of it takes for a fit: a request may then cost more, but nothing that must be strong is drafted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pathspec import GitIgnoreSpec

from firstpass.evidence import Diff, language_of, read_diff
from firstpass.evidence.calls.candidates import openings
from firstpass.exchange import Ask, Target
from firstpass.linear import Expression


@dataclass(frozen=True)
class Rule:
    """then: where a request that fits goes. engine: which of the models on this machine drafts it; None: as it was
    asked for. verifier: which verifier is asked about it, and no other.

    paths: patterns as in .gitignore, for a changed file's old or new path. languages: of a changed file. contracts: by
    name, whatever the version; `none` for a request without one. keys: ids of API keys. over_bytes: of all messages.
    over_changed_lines: added and removed. over_openings: names that may newly be called, a cheap estimate of how hard a
    diff is. text: an expression of RE2's, looked for in all messages, as they came and without a terminal's colours.
    """

    name: str
    then: Target
    paths: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    contracts: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    over_bytes: int | None = None
    over_changed_lines: int | None = None
    over_openings: int | None = None
    text: str | None = None
    engine: str | None = None
    verifier: str | None = None

    @cached_property
    def _spec(self) -> GitIgnoreSpec:
        return GitIgnoreSpec.from_lines(self.paths)

    @cached_property
    def _expression(self) -> Expression:
        assert self.text is not None, "only a rule with a text looks for it"
        return Expression(self.text)

    def fits(self, ask: Ask) -> bool:
        text = "\n".join(message.content for message in ask.messages)
        return (
            (not self.contracts or (ask.contract or "none").partition("@")[0] in self.contracts)
            and (not self.keys or ask.key in self.keys)
            and (self.over_bytes is None or _bytes(text, ask) > self.over_bytes)
            and (self.text is None or self._finds_text(text))
            and self._fits_diff(text)
        )

    def _fits_diff(self, text: str) -> bool:
        if not self.paths and not self.languages and self.over_changed_lines is None and self.over_openings is None:
            return True
        parsed = read_diff(text)
        if parsed.notes:  # A part of it was not read or is not there, and may be just what the rule is about.
            return True
        changed = sum(line.kind != "context" for file in parsed.files for hunk in file.hunks for line in hunk.lines)
        return (
            self._fits_paths(parsed)
            and (self.over_changed_lines is None or changed > self.over_changed_lines)
            and (self.over_openings is None or len(openings(parsed)) > self.over_openings)
        )

    def _fits_paths(self, parsed: Diff) -> bool:
        if any(file.path is None for file in parsed.files):  # Whatever the file is, this may be it.
            return True
        paths = {
            path for file in parsed.files for path in (file.old_path, file.new_path, *file.perhaps) if path is not None
        }
        return (not self.paths or any(map(self._spec.match_file, paths))) and (
            not self.languages or not {language_of(path) for path in paths}.isdisjoint(self.languages)
        )

    def _finds_text(self, text: str) -> bool:
        """Also where a colour, or a prefix before each line of the diff, stands in the middle of it."""
        fits = self._expression.fits
        return fits(text) or ((bare := read_diff(text).text) != text and fits(bare))


def _bytes(text: str, ask: Ask) -> int:
    """Of what is said and, as they are written, of the images."""
    images = sum(len(image.data) for message in ask.messages for image in message.images)
    return len(text.encode("utf-8", "replace")) + images


def first_fit(rules: Sequence[Rule], ask: Ask) -> Rule | None:
    return next((rule for rule in rules if rule.fits(ask)), None)
