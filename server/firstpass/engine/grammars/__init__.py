"""What an engine would compile is compiled in a child first, that may be killed for it. Knows no dialect, no ask.

The child is made once and imports the engine's own compiler (seconds); it forks for each job (milliseconds). What was
compiled before passes at once; of that only a hash is kept.
"""

import asyncio
import json
import logging
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

from firstpass.engine.cache_size import read_config
from firstpass.engine.grammars.process import AGAIN_SECONDS, Child, NotCompiled
from firstpass.engine.spec import Engine, EngineSpec
from firstpass.engine.vllm import structured_outputs
from firstpass.errors import Busy, FirstpassError

__all__ = ["Constraint", "Grammars", "NotCompiled", "for_engine"]

log = logging.getLogger(__name__)

AT_ONCE = 2
"""Jobs, each in a process of its own."""

WAITING_LIMIT = 8
"""Jobs that one key may have there at once, or all callers without a key together."""

KNOWN_LIMIT = 4_096
"""Constraints that are known to be good or too expensive: a hash of 32 bytes each."""

Kind = Literal["json", "json_object", "regex", "tag"]


class Constraint(NamedTuple):
    """What a reply is held to. text: a JSON schema, a regular expression or a structural tag, as the engine gets it."""

    kind: Kind
    text: str


class Grammars:
    """The checks for one engine. wanted: the child's argument, see child.py. child: None until something is checked."""

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self._wanted = wanted
        self._known: OrderedDict[bytes, int | None] = OrderedDict()
        self._work: dict[bytes, asyncio.Task[None]] = {}
        self._there = Counter[str | None]()
        self._starting = asyncio.Lock()
        self._turns: dict[str | None, asyncio.Lock] = {}
        self._places = asyncio.Semaphore(AT_ONCE)
        self.child: Child | None = None

    async def check(self, constraints: Sequence[Constraint], key: str | None) -> None:
        """Returns when all of them can be compiled; at once where that is known.

        key: the id of the caller's API key. One key has one job running, so that no other waits for more than that.
        Raises: NotCompiled, Busy, TierUnavailable.
        """
        name = sha256(json.dumps(constraints).encode()).digest()
        if name in self._known:
            self._known.move_to_end(name)
            part = self._known[name]
            if part is not None:
                raise NotCompiled(part, None)
            return
        if name not in self._work:
            self._begin(name, constraints, key)
        await asyncio.shield(self._work[name])

    async def start(self) -> None:
        """The child, if there is none. Raises: TierUnavailable."""
        async with self._starting:
            if self.child is None or not self.child.alive:
                self.child = await Child.start(self._wanted)

    async def warm(self, engine: Engine) -> None:
        """Starts the child when the engine is ready, whose own start needs the processors."""
        with suppress(FirstpassError):  # Who keeps the engine says so.
            await engine.ensure_ready()
        try:
            await self.start()
        except FirstpassError as error:
            log.error("schemas can not be checked: %s", error)

    async def close(self) -> None:
        """May be called twice."""
        work = tuple(self._work.values())
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        if self.child is not None:
            await self.child.close()

    def _begin(self, name: bytes, constraints: Sequence[Constraint], key: str | None) -> None:
        """The work goes on when its caller leaves: the next one with that schema will not wait for it."""
        if self._there[key] >= WAITING_LIMIT:
            text = "too many schemas and patterns wait to be compiled"
            raise Busy(text, part="draft", retry_after_seconds=AGAIN_SECONDS)
        self._there[key] += 1
        self._work[name] = task = asyncio.ensure_future(self._job(name, constraints, key))
        task.add_done_callback(lambda done: self._leave(name, key, done))

    def _leave(self, name: bytes, key: str | None, done: "asyncio.Task[None]") -> None:
        del self._work[name]
        self._there[key] -= 1
        if not self._there[key]:
            del self._there[key]
            self._turns.pop(key, None)
        if not done.cancelled():
            done.exception()  # Retrieved, whether or not anybody still waits.

    async def _job(self, name: bytes, constraints: Sequence[Constraint], key: str | None) -> None:
        async with self._turns.setdefault(key, asyncio.Lock()), self._places:
            await self.start()
            assert self.child is not None, "it was just started"
            try:
                await self.child.ask(constraints)
            except NotCompiled as error:
                if error.why is None:
                    self._keep(name, error.part)
                raise
            self._keep(name, None)

    def _keep(self, name: bytes, too_expensive: int | None) -> None:
        """too_expensive: which part is."""
        self._known[name] = too_expensive
        if len(self._known) > KNOWN_LIMIT:
            self._known.popitem(last=False)


def for_engine(spec: EngineSpec) -> Grammars | None:
    """None where the compiler is not known: the engine is no vLLM of ours, or was told to use another one.

    Raises: BadSettings where the model has no readable config.json.
    """
    if spec.kind != "vllm" or find_spec("xgrammar") is None:
        return None
    config = structured_outputs(spec)
    if config.get("backend") not in ("xgrammar", "auto"):
        log.warning("schemas are not compiled beforehand: engine.extra_args have another backend than xgrammar")
        return None
    wanted = {"model": str(spec.model_dir), "vocabulary": read_config(spec).get("vocab_size")}
    return Grammars(wanted | {"any_whitespace": not config.get("disable_any_whitespace", False)})
