"""Which requests an engine died over. Knows no process and no HTTP, and keeps salted hashes of what was asked.

All that an engine worked on when it died are suspects, since nothing says which of them it was. Suspects begin one at
a time beside the others, each when the one before has brought its first piece, so that the next death accuses one of
them alone; one that is answered is none any more. A body that two deaths are laid to is not sent a third time. Who
writes a new body each time is known by the API key, which a death is laid to where the engine worked on nothing else,
and each answer takes half of them back: from the second its requests count as suspects, and after the fourth none is
taken for a while.
"""

import asyncio
import secrets
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from firstpass.errors import BadAsk, KillsEngine, TierUnavailable

Kind = Literal["body", "key"]
Subject = tuple[Kind, bytes]

ALONE_FROM: dict[Kind, int] = {"body": 1, "key": 2}
REFUSED_FROM: dict[Kind, int] = {"body": 2, "key": 4}
"""Deaths that are laid to it."""

FORGET_SECONDS = 600.0
"""After each of them."""

TURN_SECONDS = 10.0
"""How long a suspect waits for another one's first piece."""

MOST_SUBJECTS = 4096
MOST_LEFT = 256


@dataclass(eq=False, slots=True)
class Work:
    """One request. ended: when it did, if it did so without an answer. accused: of a death, once. turn: it has it."""

    subjects: tuple[Subject, ...]
    ended: float = 0.0
    accused: bool = False
    turn: bool = False


class Suspects:
    """clock: monotonic seconds."""

    def __init__(self, clock: Callable[[], float], turn_seconds: float = TURN_SECONDS) -> None:
        self._clock = clock
        self._turn_seconds = turn_seconds
        self._salt = secrets.token_bytes(16)
        self._deaths: OrderedDict[Subject, list[float]] = OrderedDict()
        self._running: set[Work] = set()
        self._left: deque[Work] = deque(maxlen=MOST_LEFT)
        self._turn = asyncio.Lock()

    def asked(self, body: bytes, key: str | None) -> Work:
        """Raises: KillsEngine for what is refused."""
        work = Work(self._subjects(body, key))
        self._refuse(work)
        return work

    @asynccontextmanager
    async def in_turn(self, work: Work) -> AsyncIterator[None]:
        """Holds a suspect's turn until its first piece is heard, or its end.

        Raises: KillsEngine for what is refused by now, TierUnavailable where a suspect's turn does not come.
        """
        self._refuse(work)
        if any(self._count(subject) >= ALONE_FROM[subject[0]] for subject in work.subjects):
            await self._take_turn(work)
        try:
            self._refuse(work)
            yield
        finally:
            self.begun(work)

    def begun(self, work: Work) -> None:
        """It has brought its first piece, and the next suspect may begin. It is cleared when it has brought all."""
        if work.turn:
            work.turn = False
            self._turn.release()

    @contextmanager
    def running(self, work: Work) -> Iterator[None]:
        """While the engine works on it. What the engine answers, be it with a refusal, has not killed it."""
        self._running.add(work)
        answered = False
        try:
            yield
            answered = True
        except BadAsk:
            answered = True
            raise
        finally:
            self._running.discard(work)
            if answered:
                self._clear(work)
            elif not work.accused:
                work.ended = self._clock()
                self._left.append(work)

    def died(self, since: float) -> bool:
        """The engine did: accuses what it works on, and what ended without an answer `since`; a key, if that was one.

        Returns: whether something will be refused from now on, so that what killed it may be gone.
        """
        accused = [*self._running, *(work for work in self._left if work.ended >= since)]
        self._left.clear()
        for work in accused:
            work.accused = True
        subjects = {
            subject for work in accused for subject in (work.subjects if len(accused) == 1 else work.subjects[:1])
        }
        for subject in subjects:
            self._deaths[subject] = [*self._remembered(subject), self._clock()]
            self._deaths.move_to_end(subject)
        while len(self._deaths) > MOST_SUBJECTS:
            self._deaths.popitem(last=False)
        return any(self._count(subject) == REFUSED_FROM[subject[0]] for subject in subjects)

    def _clear(self, work: Work) -> None:
        """By its answer: its body of all deaths, its key of the older half."""
        body, *keys = work.subjects
        self._deaths.pop(body, None)
        for key in keys:
            deaths = self._remembered(key)
            if kept := deaths[(len(deaths) + 1) // 2 :]:
                self._deaths[key] = kept
            else:
                self._deaths.pop(key, None)

    def _subjects(self, body: bytes, key: str | None) -> tuple[Subject, ...]:
        bodies: tuple[Subject, ...] = (("body", self._hashed(body)),)
        return bodies if key is None else (*bodies, ("key", self._hashed(key.encode())))

    def _hashed(self, data: bytes) -> bytes:
        return blake2b(data, key=self._salt, digest_size=16).digest()

    def _count(self, subject: Subject) -> int:
        return len(self._remembered(subject))

    def _remembered(self, subject: Subject) -> list[float]:
        """When the engine died over it."""
        return [died for died in self._deaths.get(subject, ()) if self._clock() - died < FORGET_SECONDS]

    def _refuse(self, work: Work) -> None:
        for subject in work.subjects:
            count, kind = self._count(subject), subject[0]
            if count >= REFUSED_FROM[kind]:
                of = "it worked on this very request" if kind == "body" else "it worked on requests of this API key"
                again = f"none is sent to it for up to {FORGET_SECONDS / 60:g} minutes"
                raise KillsEngine(f"the draft engine died {count} times while {of}: {again}", part="draft")

    async def _take_turn(self, work: Work) -> None:
        try:
            async with asyncio.timeout(self._turn_seconds):
                await self._turn.acquire()
        except TimeoutError as error:
            text = "the draft engine died while it worked on this request, which runs alone now; another one still does"
            raise TierUnavailable(text, part="draft", retry_after_seconds=5) from error
        work.turn = True
