"""Servers asked recorded requests again, each arm of an exchange after the other. Knows no command and no record."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import httpx

from firstpass.cli.calling import busy_seconds
from firstpass.contract.form import Form, Section, form_of
from firstpass.dialect.values import NONSENSE
from firstpass.errors import TierFailed
from firstpass.exchange import Ask
from firstpass.replay.answer import Answered, fresh, refused
from firstpass.replay.asking import ORIGIN, TERSE, Unfit, directed
from firstpass.replay.ceiling import withheld
from firstpass.replay.compare import change, verdict
from firstpass.replay.steady import STEADYING, doubts, steadied, unlike_then
from firstpass.replay.subject import Subject
from firstpass.replay.totals import Arm, Outcome, Skipped

TRIES = 4
MOST_WAIT_SECONDS = 60.0
"""For a server that says when to come back; one that wants a longer wait has refused."""

MOST_BYTES = 64_000_000
"""Of one answer."""


@dataclass(frozen=True, slots=True)
class How:
    """as_asked: the decoding stays the caller's. keep: the new exchanges' words stay in the record of who answers.

    repeats: answers of each request. seconds: for one of them. explicit: the places that the command itself was told.
    """

    as_asked: bool = False
    keep: bool = False
    repeats: int = 1
    at_once: int = 1
    seconds: float = 600.0
    explicit: frozenset[str] = frozenset()


@dataclass(slots=True)
class Server:
    """One that is asked. forms: of its contracts. untaken: fields that a model there refused, by that model's name."""

    url: str
    client: httpx.AsyncClient
    forms: Mapping[str, Form]
    untaken: dict[str, set[str]] = field(default_factory=dict)

    async def ask(
        self, ask: Ask, path: str, body: dict[str, Any], headers: Mapping[str, str], seconds: float
    ) -> Answered:
        """What became of it, whatever it was. seconds: for the answer. Raises nothing."""
        try:
            for number in range(1, TRIES + 1):
                began = time.perf_counter()
                async with asyncio.timeout(seconds), self._stream(path, body, headers) as response:
                    raw = await _body(response)
                took = time.perf_counter() - began
                if (wait := busy_seconds(response, MOST_WAIT_SECONDS)) is None or number == TRIES:
                    break
                await asyncio.sleep(wait)
        except httpx.HTTPError as broken:
            return Answered(error="no connection", said=f"it broke: {type(broken).__name__}")
        except TooLong:
            return Answered(error="no answer", said=f"it has more than {MOST_BYTES} bytes")
        except TimeoutError:
            return Answered(error="no answer", said=f"there was none in {seconds:g} s")
        if response.is_success:
            return fresh(ask, path, raw, response.headers, took)
        return refused(response.status_code, raw, took)

    def _stream(
        self, path: str, body: dict[str, Any], headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[httpx.Response]:
        """Headers are Latin-1, as they came."""
        return self.client.stream("POST", path, json=body, headers=httpx.Headers(dict(headers), "latin-1"))


class TooLong(Exception):
    """An answer over the bound."""


async def _body(response: httpx.Response) -> bytes:
    parts, size = list[bytes](), 0
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise TooLong
    return b"".join(parts)


async def found(url: str, client: httpx.AsyncClient) -> Server:
    """Raises: TierFailed where no Firstpass answers: nothing else holds a request to its ceiling."""
    try:
        response = await client.get("/v1/contracts")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise TierFailed(
            f"no answer from {url} ({error}); is the server up? Start it with `firstpass serve`"
        ) from error
    if response.status_code in (401, 403):
        raise TierFailed(f"{url} wants an API key that may read its contracts ({response.status_code}); see --api-key")
    try:
        shown = [one for one in response.json()["data"] if one["object"] == "contract"]
        forms = {one["id"]: form_of(one["form"], [Section(**part) for part in one["sections"]]) for one in shown}
    except NONSENSE:
        forms = {}
    if not response.is_success or not forms:
        raise TierFailed(f"what answers at {url} is no Firstpass, so nothing there holds a request to its ceiling")
    return Server(url, client, forms)


@dataclass(slots=True)
class Ran:
    outcomes: list[Outcome] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    cut_short: bool = False


async def run(
    subjects: Sequence[Subject], arms: Sequence[Arm], servers: Mapping[str, Server], how: How, done: Callable[[], None]
) -> Ran:
    """servers: by the arms' places. done: hears of each subject. Cancelled, it gives what is whole by then."""
    ran, left = Ran(), list(reversed(list(enumerate(subjects))))
    by_number: dict[int, tuple[list[Outcome], list[Skipped]]] = {}

    async def work() -> None:
        while left:
            number, subject = left.pop()
            by_number[number] = await _Asking(subject, arms, servers, how).all()
            done()

    try:
        await asyncio.gather(*(work() for _ in range(how.at_once)))
    except asyncio.CancelledError:
        ran.cut_short = True
    for _, (outcomes, skipped) in sorted(by_number.items()):
        ran.outcomes += outcomes
        ran.skipped += skipped
    return ran


@dataclass(frozen=True, slots=True)
class _Asking:
    subject: Subject
    arms: Sequence[Arm]
    servers: Mapping[str, Server]
    how: How

    async def all(self) -> tuple[list[Outcome], list[Skipped]]:
        """Where the subject has no answer of its own, the first arm's is what the others are held against."""
        outcomes, skipped, before = list[Outcome](), list[Skipped](), self.subject.before
        for arm in self.arms:
            came = await self._arm(arm, before)
            if isinstance(came, Skipped):
                skipped.append(came)
            elif before is None and self.subject.before is None and arm is self.arms[0]:
                before = came.after
            else:
                outcomes.append(came)
        return outcomes, skipped

    async def _arm(self, arm: Arm, before: Answered | None) -> Outcome | Skipped:
        subject, server = self.subject, self.servers[arm.place]
        if why := self._unfit(arm, before):
            return Skipped(subject.name, why, arm.name)
        model = arm.model or subject.ask.model
        body = directed(subject.asked, model, arm.contract, kept_of=subject.name if self.how.keep else None)
        if isinstance(body, Unfit):
            return Skipped(subject.name, body.why, arm.name)
        said = {} if self.how.as_asked else dict(steadied(subject.ask, subject.asked))
        answers = list[Answered]()
        for _ in range(self.how.repeats):
            answers.append(await self._steady(server, model, dict(body), said))
        after, alike = _commonest(answers)
        told: dict[str, Any] = {} if after.error else self._steadiness(server, model, dict(body), said, after)
        return Outcome(
            subject.name,
            arm.name,
            subject.title,
            model,
            before or after,
            after,
            change(before or after, after, self._form),
            len(answers),
            alike,
            sum(verdict(before or after, one) == "worse" for one in answers),
            lost=(*subject.asked.lost, *self._unmarked),
            **told,
        )

    def _steadiness(
        self, server: Server, model: str, body: dict[str, Any], said: dict[str, Any], after: Answered
    ) -> dict[str, tuple[str, ...]]:
        """What of the decoding is otherwise than then, and why the answer may be another one next time."""
        untaken = self._untaken(server, model)
        sent = body | {name: value for name, value in said.items() if name not in untaken}
        other = unlike_then(self.subject.ask, sent) if said else None
        missed = [f"{model} takes no {name}, which would have steadied the answer" for name in said if name in untaken]
        found = (*missed, *doubts(self.subject.ask, sent, after))
        return {"doubts": found, "sent": (other,) if other else ()}

    def _unfit(self, arm: Arm, before: Answered | None) -> str | None:
        subject = self.subject
        if subject.before is None and before is None and arm is not self.arms[0]:
            return "the first arm has nothing to hold it against"
        own = (subject.ask.contract or "").partition("@")[0]
        if arm.contract is not None and arm.contract.partition("@")[0] != own:
            return f"it has {f'the contract {own}' if own else 'no contract'}, and {arm.contract} is another one"
        return withheld(subject.ask.ceiling, self.servers[arm.place].url, explicit=arm.place in self.how.explicit)

    async def _steady(self, server: Server, model: str, body: dict[str, Any], said: dict[str, Any]) -> Answered:
        """A field that only steadies is left out for a model that does not take it, and tried there no more."""
        while True:
            left = {name: value for name, value in said.items() if name not in self._untaken(server, model)}
            asked = self.subject.asked
            answer = await server.ask(self.subject.ask, asked.path, body | left, asked.headers, self.how.seconds)
            named = next((name for name in STEADYING if name in left and answer.param == name), None)
            if named is None:
                return answer
            server.untaken.setdefault(model, set()).add(named)

    @property
    def _unmarked(self) -> list[str]:
        return (
            [f"{ORIGIN}, which its API has no place for"] if self.how.keep and self.subject.asked.path in TERSE else []
        )

    def _untaken(self, server: Server, model: str) -> set[str]:
        return server.untaken.get(model, set())

    def _form(self, pinned: str) -> Form | None:
        return next((one.forms[pinned] for one in self.servers.values() if pinned in one.forms), None)


def _commonest(answers: Sequence[Answered]) -> tuple[Answered, int]:
    """The answer that came most often, the first of its like; and how often it came."""
    counted = Counter(map(_seen, answers))
    first = max(answers, key=lambda answer: counted[_seen(answer)])
    return first, counted[_seen(first)]


def _seen(answer: Answered) -> tuple[object, ...]:
    """What makes it another answer: what its caller gets, how it came, and what fails it."""
    return answer.essence, answer.route, tuple((one.check, one.subject, one.message) for one in answer.failed)
