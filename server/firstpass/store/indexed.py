"""What an exchange is found by: marks for what it is, and the words that it brought. Pure; it knows no database.

A mark is a token for one property with one value, so any properties and words together are one full-text query.
"""

import re
from collections.abc import Iterator
from hashlib import sha256

from firstpass.errors import BadAsk
from firstpass.exchange import Answer, Exchange, Refuse
from firstpass.store.query import Query

VERSION = 1
"""Of what this module says of an exchange. Its index is made anew where another version made it: words leave the index
only when they are said once more exactly as they went in."""

MOST_CHARACTERS = 2**15
"""Of one exchange's words; what is beyond is not searched."""

EVERY = "every"
"""The mark of all."""

IN_A_SESSION = "insession"
NOBODY = "nobody"
"""The mark of none."""

_UNSPACED = re.compile(
    "(["
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Myanmar, Khmer
    "\u3040-\u30ff\u31f0-\u31ff"  # Hiragana, Katakana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"  # Han
    "\uac00-\ud7af"  # Hangul
    "])"
)
"""Characters of scripts that put no space between words: each is a word here, and several are a phrase."""

_TERM = re.compile(r'"([^"]*)"?|(\S+)')
_WORD = re.compile(r"\w+")
_MOST_WORDS = 64
"""In all, those in quotes too: each is looked for in every place of an exchange."""


def marks_of(exchange: Exchange) -> str:
    ask, ending = exchange.ask, exchange.ending
    marks = [EVERY, mark("key", ask.key or ""), mark("model", ask.model)]
    if (session := ask.conversation) is not None:
        marks += [IN_A_SESSION, mark("session", session), membership(ask.key, session)]
    if ask.contract is not None:
        marks += [mark("contract", ask.contract), mark("contract", ask.contract.partition("@")[0])]
    if isinstance(ending, Answer):
        marks += [mark("route", ending.route), mark("status", "200")]
    elif isinstance(ending, Refuse):
        marks.append(mark("status", str(ending.failure.status)))
    return " ".join(marks)


def mark(kind: str, value: str) -> str:
    return f"{kind}{sha256(value.encode(errors='replace')).hexdigest()[:20]}"


def membership(owner: str | None, session: str) -> str:
    """The mark of a session's exchanges: others may have one of the same name."""
    return mark("member", f"{owner or ''}\n{session}")


def words_of(exchange: Exchange) -> str:
    """What is new in it: what was said since the last answer, and the answer. What came before is found where it came.

    Thoughts and system prompts are left out.
    """
    said, length = list[str](), 0
    for text in _texts(exchange):
        said.append(spaced(text[: MOST_CHARACTERS - length]))
        length += len(text)
        if length >= MOST_CHARACTERS:
            break
    return "\n".join(said)


def _texts(exchange: Exchange) -> Iterator[str]:
    if exchange.ask.session is not None:
        yield exchange.ask.session
    for message in exchange.ask.new_messages:
        yield message.content
    step, reply = exchange.answer, exchange.answer_reply
    if step is not None and step.text is not None:
        yield step.text
    if reply is not None:
        yield from reply.others
        yield reply.refusal or ""
        for call in reply.tool_calls:
            yield call.name
            yield call.arguments


def spaced(text: str) -> str:
    """As the index has it: no character that ends a text early or is none, and a space around each unspaced one."""
    plain = text.encode(errors="replace").decode().replace("\0", " ")
    return _UNSPACED.sub(r" \1 ", plain)


def match_of(query: Query) -> str:
    """A query as FTS5 reads it. Raises: BadAsk where there is no word in its words."""
    wanted = [f"marks : {marks}" for marks in _wanted_marks(query)]
    wanted += [f"words : {term}" for term in _terms(query.words)] if query.words is not None else []
    return " AND ".join(wanted or [f"marks : {EVERY}"])


def _wanted_marks(query: Query) -> Iterator[str]:
    if query.owners is not None:
        yield "(" + " OR ".join([NOBODY, *(mark("key", owner or "") for owner in query.owners)]) + ")"
    status = None if query.status is None else str(query.status)
    named = {"session": query.session, "route": query.route, "model": query.model, "contract": query.contract}
    for kind, value in (named | {"status": status}).items():
        if value is not None:
            yield mark(kind, value)


def _terms(words: str) -> list[str]:
    """Each of them has to be there: whole words, and "several in this order"."""
    found, count = [], 0
    for quoted, bare in _TERM.findall(words):
        text = spaced(quoted or bare).replace('"', " ").strip()
        said = _WORD.findall(text)
        if not said:
            continue
        if bare.endswith("*"):
            raise BadAsk(f"q: {bare[:40]!r}: whole words are looked for, no beginnings", param="q")
        count += len(said)
        found.append(f'"{text}"')
    if not found:
        raise BadAsk("q: there is no word in it", param="q")
    if count > _MOST_WORDS:
        raise BadAsk(f"q: at most {_MOST_WORDS} words are looked for at once", param="q")
    return found
