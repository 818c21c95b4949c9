"""Whether a pattern that compiles is also cheap to follow: it is followed for some characters. Knows no vocabulary.

A repetition of repetitions, such as `([a-z]{0,300}){0,300}`, compiles in no time, and then each character of the reply
takes xgrammar seconds, since any text has thousands of ways through it; for all whom the engine serves. Measured on
patterns for addresses, names, dates and the like: at most 0.5 ms a character; on such bombs: 30 ms to 1.6 s.
"""

import json
import random
import re
import time
from collections.abc import Iterator
from typing import Any

CHARACTERS = 128
STEP_SECONDS = 0.01
"""Of processor time, for one character."""

PERIODS = (1, 2, 3, None)
"""After how many characters a text repeats itself; None for one that does not. Repetitions have most ways through."""

BYTES = 256
QUANTIFIER = re.compile(r"[*+?]|\{[0-9]+(?:,[0-9]*)?\}")
FIXED = re.compile(r"\{([0-9]+)(?:,\1)?\}")


def patterns(kind: str, text: str) -> Iterator[str]:
    """Of a constraint, all regular expressions in it."""
    if kind == "regex":
        yield text
    elif text:
        yield from _inside(json.loads(text))


def _inside(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        waiting += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if isinstance(value, dict):
            if isinstance(pattern := value.get("pattern"), str):
                yield pattern
            if isinstance(named := value.get("patternProperties"), dict):
                yield from named


def repetitions(pattern: str) -> Iterator[str]:
    """The groups of a pattern that are repeated and have a repetition in them, each with how often."""
    opened, at = list[list[Any]](), 0
    while at < len(pattern):
        character = pattern[at]
        if character == "\\":
            at += 2
        elif character == "[":
            at = _class_end(pattern, at)
        elif character == "(":
            opened.append([at, False])
            at = at + 2 if pattern.startswith("(?", at) else at + 1
        elif character == ")" and opened:
            start, repeats = opened.pop()
            times = QUANTIFIER.match(pattern, at + 1)
            if times and times[0] != "?" and repeats:
                yield pattern[start : times.end()]
            at += 1
        elif times := QUANTIFIER.match(pattern, at):
            if not FIXED.fullmatch(times[0]):
                for group in opened:
                    group[1] = True
            at = times.end()
        else:
            at += 1


def _class_end(pattern: str, at: int) -> int:
    """Behind the `]` of a class; the first character after `[` or `[^` may be one, too."""
    at += 2 if pattern.startswith("[^", at) else 1
    at += pattern.startswith("]", at)
    while at < len(pattern) and pattern[at] != "]":
        at += 2 if pattern[at] == "\\" else 1
    return at + 1


class Walker:
    """xgrammar: the module. info: of its tokens, the bytes."""

    def __init__(self, xgrammar: Any) -> None:
        self._xgrammar = xgrammar
        tokens = [bytes((byte,)) for byte in range(BYTES)] + [b"</s>"]
        info = xgrammar.TokenizerInfo(tokens, vocab_type=xgrammar.VocabType.RAW, stop_token_ids=[BYTES])
        self.info = info
        self._mask = xgrammar.allocate_token_bitmask(1, info.vocab_size)

    def is_slow(self, pattern: str) -> bool:
        """Raises: whatever xgrammar does, for a piece that is no pattern of its own."""
        compiler = self._xgrammar.GrammarCompiler(self.info, max_threads=1, cache_enabled=False)
        grammar = compiler.compile_regex(pattern)
        return any(self._is_slow(grammar, period) for period in PERIODS)

    def _is_slow(self, grammar: Any, period: int | None) -> bool:
        matcher, said = self._xgrammar.GrammarMatcher(grammar), list[int]()
        drawn = random.Random(period)  # noqa: S311  (no secret: the same text each time)
        for _ in range(CHARACTERS):
            began = time.process_time()
            matcher.fill_next_token_bitmask(self._mask, 0)
            allowed = self._allowed()
            if not allowed:
                return False
            again = said[-period] if period and len(said) >= period else None
            said.append(again if again in allowed else drawn.choice(allowed))
            matcher.accept_token(said[-1])
            if time.process_time() - began > STEP_SECONDS:
                return True
        return False

    def _allowed(self) -> list[int]:
        words = self._mask[0].tolist()
        return [byte for byte in range(BYTES) if words[byte >> 5] >> (byte & 31) & 1]
