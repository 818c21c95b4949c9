"""Made source files: functions of statements whose names nobody used before. Knows no diff and no request."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from string import Template

from benchmarks.making.languages import NOUNS, QUALIFIERS, TODO_TASKS, VERBS, Language

CALLS = 0.3
"""Of a new function's statements, those that call something."""


@dataclass(frozen=True, slots=True)
class Statement:
    """text: of one line or some, without the indent of its function. sets: a variable. todo: what is left to do."""

    text: str
    call: str | None = None
    sets: str | None = None
    todo: str | None = None


@dataclass(slots=True)
class Function:
    name: str
    takes: tuple[str, str]
    opening: str
    body: list[Statement] = field(default_factory=list)

    def at_hand(self, at: int) -> list[str]:
        """The variables that its statement `at` may read."""
        return [*self.takes, *(one.sets for one in self.body[:at] if one.sets)]


@dataclass(slots=True)
class File:
    """frame: what its functions stand in, if they do."""

    language: Language
    path: str
    head: str
    frame: tuple[str, str] | None
    functions: list[Function] = field(default_factory=list)

    def statements(self) -> Iterator[Statement]:
        return (statement for function in self.functions for statement in function.body)

    def text(self) -> str:
        language = self.language
        pad = language.indent if self.frame else ""
        shown = ("\n" * (language.gap + 1)).join(_indented(_function(one, language), pad) for one in self.functions)
        parts = [self.frame[0], shown, self.frame[1]] if self.frame else [shown]
        return f"{self.head}\n{chr(10) * language.gap}" + "".join(f"{part}\n" for part in parts)


def _function(function: Function, language: Language) -> str:
    body = [_indented(statement.text, language.indent) for statement in function.body]
    return "\n".join([function.opening, *body, *([language.closing] if language.closing else [])])


def _indented(text: str, pad: str) -> str:
    return "\n".join(f"{pad}{line}" if line else "" for line in text.split("\n"))


class Coder:
    """Writes code at random. Every function that it names or calls has a name of its own."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._used = set[tuple[str, ...]]()

    def file(self, language: Language, functions: int) -> File:
        """A file with so many functions."""
        module = self._noun()
        stem = "_".join(self._words()) if language.snake or language.name == "go" else _pascal(self._words())
        folder = self._chance.choice(("src", "lib", "core", "service"))
        filled = self._slots("", "") | {"m": module}
        head = Template(language.head).substitute(filled)
        frame = language.unit and (Template(language.unit[0]).substitute(filled), language.unit[1])
        made = File(language, f"{folder}/{module}/{stem}.{language.suffix}", head, frame)
        made.functions += [self.function(language) for _ in range(functions)]
        return made

    def function(self, language: Language) -> Function:
        """With three to eight statements; the last of them gives back what one of them sets."""
        name, takes = _cased(self._words(), language), (self._noun(), self._noun())
        slots = {"f": name, "a": takes[0], "b": takes[1], "T": _pascal((self._noun(),))}
        made = Function(name, takes, Template(language.opening).substitute(slots))
        for _ in range(self._chance.randint(2, 7)):
            known = made.at_hand(len(made.body))
            makes = self.call if self._chance.random() < CALLS else self.quiet
            made.body.append(makes(language, known))
        given = next((one.sets for one in reversed(made.body) if one.sets), takes[1])
        made.body.append(Statement(Template(language.last).substitute(v=given)))
        return made

    def call(self, language: Language, known: list[str], sets: str | None = None) -> Statement:
        """A statement with one call, of what nothing was called before. known: the variables that it may read.

        sets: the one that it has to set.
        """
        shapes = [one for one in language.calls if sets is None or _sets(one)]
        shape, words = self._chance.choice(shapes), self._words()
        name = _pascal(words) if "$F" in shape else _cased(words, language)
        return self._statement(shape, known, name, sets)

    def quiet(self, language: Language, known: list[str], sets: str | None = None) -> Statement:
        """One that calls nothing."""
        shapes = [one for one in language.quiet if sets is None or _sets(one)]
        return self._statement(self._chance.choice(shapes), known, None, sets)

    def todo(self, language: Language) -> Statement:
        task = self._chance.choice(TODO_TASKS).format(noun=" ".join(self._words()[1:]))
        mark = self._chance.choice(("TODO", "TODO", "TODO", "FIXME"))
        return Statement(f"{language.comment}{mark}: {task}", todo=task)

    def _statement(self, shape: str, known: list[str], call: str | None = None, sets: str | None = None) -> Statement:
        variable = sets or self._chance.choice([noun for noun in NOUNS if noun not in known])
        slots = self._slots(self._chance.choice(known), self._chance.choice(known))
        text = Template(shape).substitute(slots | {"v": variable, "f": call or "", "F": call or ""})
        return Statement(text, call, variable if _sets(shape) else None)

    def _slots(self, first: str, second: str) -> dict[str, str]:
        number, type_name = str(self._chance.randint(2, 900)), _pascal((self._noun(),))
        return {"a": first, "b": second, "n": number, "s": self._noun(), "o": self._noun(), "T": type_name}

    def _noun(self) -> str:
        return self._chance.choice(NOUNS)

    def _words(self) -> tuple[str, ...]:
        """A verb and what it is done to, never the same twice."""
        while True:
            words = [self._chance.choice(VERBS), self._noun()]
            if self._chance.random() < 0.3:
                words.insert(1, self._chance.choice(QUALIFIERS))
            if (made := tuple(words)) not in self._used:
                self._used.add(made)
                return made


def _sets(shape: str) -> bool:
    """A loop's variable is nobody's after it."""
    return "$v" in shape.split("\n")[0] and not shape.startswith("for")


def _cased(words: tuple[str, ...], language: Language) -> str:
    return "_".join(words) if language.snake else words[0] + _pascal(words[1:])


def _pascal(words: tuple[str, ...]) -> str:
    return "".join(map(str.capitalize, words))
