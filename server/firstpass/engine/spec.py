"""What an engine is to the rest of the server. Knows no process and no HTTP: the words that the other modules share."""

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Kind = Literal["vllm", "transformers", "llama.cpp", "external"]
Isolation = Literal["auto", "on", "off"]
State = Literal["stopped", "starting", "ready", "sleeping", "stopping", "failed"]
SleepLevel = Literal[1, 2]

BEST, SAME_NATS = 3, 0.5
"""How many of the likeliest tokens are compared, and how far rounding, which differs with a batch, may move them."""

Progress = Callable[[str, float], None]
"""Called while an engine starts: what it is doing now, and the seconds since the start."""


@dataclass(frozen=True, slots=True)
class HangAfter:
    """For how long an engine that was asked may say nothing before it is taken to hang.

    seconds: where its processes do nothing and a caller waits. busy_seconds: where they work, or only a canary waits;
    longer than any reply may stay silent, since whole replies and all behind them are heard of at their ends alone.
    idle_seconds: how long it is left in peace while nobody asks.
    """

    seconds: float = 9.0
    busy_seconds: float = 309.0
    idle_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a ready engine answers.

    base_url: with the API's path prefix, as `http://127.0.0.1:4321/v1`; its host means nothing where `uds` is set.
    model: the name to put into requests.
    """

    base_url: str
    uds: Path | None
    model: str


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """All that an engine is built from.

    name: for logs, and (unless `served_name` says otherwise) the model's name in the engine's own API. title: what
    errors call it.
    model_dir: a local directory of weights, tokenizer and chat template; None for an external engine.
    context_tokens: longest prompt plus answer, where one is asked for; None: as much of the model's as fits.
    holds_tokens: the longest that the model's makers vouch for; None leaves it to its config.
    threads: None for as many as this process may run on.
    cpus: numbers of those that it runs on and no others; empty: any. preload: libraries that are loaded before its own.
    url: an external engine's base URL, or `unix:/path` for one that listens on a socket.
    contracts, least_told: as the model's card says. images: whether the model takes some.
    sleeps: whether it is put to sleep where it would else be ended.
    isolate: whether it gets a network of its own; auto: where the system has one for it, and it needs no other.
    patience: when it is taken to hang.
    gguf: llama.cpp's model, a file in model_dir. binary: its llama-server; None for the one on PATH.
    """

    name: str
    kind: Kind
    data_dir: Path
    model_dir: Path | None = None
    served_name: str | None = None
    context_tokens: int | None = None
    holds_tokens: int | None = None
    threads: int | None = None
    cpus: tuple[int, ...] = ()
    preload: tuple[Path, ...] = ()
    extra_args: tuple[str, ...] = ()
    start_deadline_seconds: float = 300.0
    url: str | None = None
    contracts: tuple[str, ...] = ()
    least_told: float | None = None
    images: bool = False
    sleeps: bool = False
    isolate: Isolation = "auto"
    patience: HangAfter = HangAfter()
    gguf: Path | None = None
    binary: Path | None = None
    title: str = "the draft engine"


@dataclass(frozen=True, slots=True)
class Need:
    """What an engine takes of a memory. bytes: in all, as far as that can be reckoned before it was seen.

    later_bytes: those among them that it does not take at its start, but when it is used. on_gpu: whose memory it is.
    """

    bytes: int
    later_bytes: int = 0
    on_gpu: bool = False


@dataclass(frozen=True, slots=True)
class Asleep:
    """What an engine that sleeps has left. level: vLLM's; see `sleeping.level_for`.

    freed_bytes: of each GPU's memory that it took; the rest it keeps. main_bytes: of the main memory, for its weights.
    """

    level: SleepLevel
    freed_bytes: int
    main_bytes: int


@dataclass(frozen=True, slots=True)
class Warmed:
    """What an engine's first answer has shown. logprobs: it came with some. chats: the model has a chat template.

    likeliest: the log-probabilities (nats) of the tokens that it could best begin with.
    """

    logprobs: bool
    chats: bool = True
    likeliest: Mapping[str, float] = field(default_factory=dict, compare=False)

    def says_the_same(self, before: "Warmed") -> bool:
        """Whether this is still the model that it was, as far as its likeliest tokens show."""
        best = sorted(before.likeliest.items(), key=lambda one: -one[1])[:BEST]
        return all(abs(self.likeliest.get(token, -math.inf) - nats) <= SAME_NATS for token, nats in best)


@dataclass(frozen=True, slots=True)
class AtWork:
    """An engine that works on a request. alive: to be called for its answer's status, a sign of life.

    heard: for every piece of the answer, which says that the work has got so far.
    """

    endpoint: Endpoint
    alive: Callable[[], None]
    heard: Callable[[], None]


class Engine(Protocol):
    """A model server on this machine."""

    @property
    def name(self) -> str: ...

    @property
    def served(self) -> str | None:
        """The model's name in the engine's own API; an engine that somebody else runs says it when it is there."""
        ...

    @property
    def kind(self) -> Kind: ...

    @property
    def state(self) -> State:
        """For people and gauges; never a reason to call or not to call `ensure_ready`."""
        ...

    @property
    def need(self) -> Need | None:
        """What it takes of the memory; None for one that somebody else runs."""
        ...

    @property
    def warmed(self) -> Warmed:
        """Known for certain once it has been ready."""
        ...

    async def ensure_ready(self) -> Endpoint:
        """The endpoint of a running, warmed-up engine, started first if need be.

        What it does in each state:
          stopped   no process: starts one, waits for it
          starting  waits for the start in progress; one start serves every caller
          ready     returns at once
          sleeping  wakes it, waits for it; one that does not wake is ended, and another one is started
          stopping  raises: the server is going down
          failed    the last start failed, or it died too often: starts one if the restart limit allows, else raises

        Raises: TierUnavailable (part "draft", with Retry-After), TierTimedOut when the start took too long.
        """
        ...

    @property
    def trouble(self) -> str:
        """Why it has failed; empty in every other state."""
        ...

    def at_work(self, body: bytes, key: str | None) -> AbstractAsyncContextManager[AtWork]:
        """While it works on a request, from before it is sent to the end of its reply. Ready first, as above.

        body: what will be sent to it. key: whose request it is.
        Raises: what `ensure_ready` does; TierUnavailable for what broke off inside because the engine died or hung;
        KillsEngine for a request that it died over before.
        """
        ...

    async def memory_bytes(self) -> int | None:
        """What its processes take now; None where none runs, and where that is not known."""
        ...

    @property
    def asleep(self) -> Asleep | None:
        """While it sleeps."""
        ...

    async def unload(self) -> None:
        """Returns when it sleeps, if it is one that does, was ready and manages to; else when no process of it is left.

        One that sleeps is ended. The next `ensure_ready` has it back. Nobody may be using it.
        """
        ...

    async def close(self) -> None:
        """Stop for good, with every process below it. May be called twice."""
        ...
