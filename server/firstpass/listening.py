"""What is heard of one step while it happens: its chunks, its receipt, and a fault that ends it early.

It knows no tier and no policy; who wants to hear comes in as a plain callable.
"""

from collections.abc import Awaitable, Callable, Mapping

from firstpass.chat import Chunk
from firstpass.contract import Contract
from firstpass.errors import Failure, FirstpassError
from firstpass.exchange import Ask, Consult, Finding, Mend, Receipt, Reply, Step

Sink = Callable[[Step, Chunk], Awaitable[None]]
"""Takes the events of a reply that may stream as they come, with the step so far: its move and its receipt."""

Watcher = Callable[[str], Awaitable[Finding | None]]
"""Reads the whole lines of a reply so far, and says what fault makes the rest of it worthless, if one does.

Raises: FirstpassError where they can't be read.
"""


class StepListener:
    """Hears what a tier does during one step. fault: that for which it wanted no more of the reply."""

    def __init__(self, move: Consult | Mend, sink: Sink | None, watcher: Watcher | None) -> None:
        self._move = move
        self._sink = sink
        self._watcher = watcher
        self._read = 0
        self.fault: Finding | None = None
        self._receipt: Receipt | None = None
        self._refused: tuple[Receipt, ...] = ()
        self._instead: dict[str, str] = {}
        self._streamed = False
        self._begun: Step | None = None

    @property
    def streaming(self) -> bool:
        return self._sink is not None or self.watching

    @property
    def watching(self) -> bool:
        return self._watcher is not None

    async def goes_on(self, text: str) -> bool:
        """Looks only where another line has ended, and no more once it could not: the checks of the whole say why."""
        end = text.rfind("\n") + 1
        if self._watcher is not None and end > self._read:
            self._read = end
            try:
                self.fault = await self._watcher(text[:end])
            except FirstpassError:
                self._watcher = None
        return self.fault is None

    def sent(self, receipt: Receipt) -> None:
        self._refused += (self._receipt,) if self._receipt else ()
        self._receipt, self._begun = receipt, None

    def instead(self, field: str, value: str) -> None:
        self._instead, self._begun = self._instead | {field: value}, None

    async def chunk(self, chunk: Chunk) -> None:
        if self._sink is not None:
            self._streamed = True
            self._begun = self._begun or self.step()
            await self._sink(self._begun, chunk)

    def step(
        self, *, reply: Reply | None = None, failure: Failure | None = None, findings: tuple[Finding, ...] = ()
    ) -> Step:
        return Step(
            self._move,
            reply,
            failure,
            findings,
            receipt=self._receipt,
            refused=self._refused,
            streamed=self._streamed,
            instead=self._instead,
        )


def watcher(
    ask: Ask, move: Consult | Mend, contracts: Mapping[str, Contract], aside: Callable[..., Awaitable[Finding | None]]
) -> Watcher | None:
    """Of a step that may be cut short, None for every other. aside: carries out its looks."""
    if not isinstance(move, Consult) or (watch := move.watched) is None:
        return None
    assert ask.contract is not None, "only what a contract checks is watched"
    contract = contracts[ask.contract]
    return lambda text: aside(contract.doomed, ask, text, watch)
