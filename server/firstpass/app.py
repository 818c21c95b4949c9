"""The only place where parts are joined: settings in, a running server out."""

import asyncio
import logging
import os
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI

from firstpass import cascade, catalogue, engine
from firstpass.allowance.keyring import Keyring
from firstpass.allowance.purse import Prices, Purse
from firstpass.allowance.rates import Rates
from firstpass.audit import Audit, Keeping
from firstpass.cascade import Parts, T
from firstpass.contract import Shelf
from firstpass.egress import EgressDoor
from firstpass.egress.known import known_secrets
from firstpass.engine import Engine, EngineSpec
from firstpass.engine.external import is_loopback
from firstpass.engine.keeping import keep_ready
from firstpass.errors import BadSettings, Busy, FirstpassError
from firstpass.evidence.memory import forget
from firstpass.evidence.repository import Repositories
from firstpass.exchange import Ask, Exchange, Receipt, Target, TierName
from firstpass.gate import Gate, load_gate
from firstpass.gate.drift import Monitor
from firstpass.house import House
from firstpass.listening import Sink
from firstpass.policy.escalation import Course, EscalationPolicy, Verifier
from firstpass.policy.rules import Rule
from firstpass.record import Record
from firstpass.redaction import Redactor
from firstpass.settings import EngineSettings, Settings, VerifierSettings
from firstpass.store import Store
from firstpass.store.keys import PREFIX, load_pepper
from firstpass.store.notes import Signer
from firstpass.store.scopes import Spend
from firstpass.store.sqlite import SqliteStore
from firstpass.tier import Tier
from firstpass.tier.anthropic_http import AnthropicTier
from firstpass.tier.local import LocalDoor
from firstpass.tier.openai_http import OpenAITier
from firstpass.tier.template import Template
from firstpass.tier.tokens import Counted, TokenCounter
from firstpass.web import routes
from firstpass.web.access import Rules
from firstpass.web.credentials import Credentials
from firstpass.web.metrics import Metrics

log = logging.getLogger(__name__)

READERS = ThreadPoolExecutor(2, "reading")
_reading: set[Future[Any]] = set()

ROUTES = ("firstpass", "local", "strong")
OUR_KEYS = {"FIRSTPASS_KEY": rf"\b{PREFIX}-[0-9a-f]{{8}}-[0-9a-f]{{64}}-[0-9a-f]{{8}}\b"}
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Server:
    """One front: the draft engine, the tiers, the store, and the web's view of them (its Backend).

    Raises: BadSettings, StoreFailed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store: Store = SqliteStore(settings.server.store_path)
        self.audit = Audit(self._store, Signer(load_pepper(settings.server.log_key_path)), _keeping(settings))
        self.keyring = Keyring(self._store, load_pepper(settings.server.pepper_path))
        self.rates = Rates(self._store, self.keyring)
        self._purse = _purse(settings, self._store, self.keyring)
        spec = engine_spec(settings)
        self._engine: Engine = engine.build(spec)
        self._local = LocalDoor(
            self._engine,
            settings.engine.reply_seconds,
            vllm=_constrains(settings.engine),
            thinks=any(argument.startswith("--reasoning-parser") for argument in spec.extra_args),
        )
        self._template = Template(self._local)
        self._counter = TokenCounter(self._local, self._template, settings.server.in_flight_limit)
        self._outside = self._egress_door(settings.verifier) if settings.verifier else None
        self.shelf = Shelf.of(settings.server.contracts_dir)
        hold(self.shelf, self._store)
        rules = [Rule(**rule.model_dump()) for rule in settings.policy.rules]
        gates = read_gates(settings.policy.gates, self.shelf)
        self.metrics = Metrics()
        self.record = Record(self._store, Monitor(gates), settings.policy.auditors, self.metrics.show_gate)
        self._policy = EscalationPolicy(
            _where(settings.verifier),
            rules,
            redrafts=_constrains(settings.engine),
            gates=gates,
            broken=self.record.broken,
            audit_share=settings.policy.audit_share,
            measures=settings.policy.signals,
            escalates_early=settings.policy.early_escalation,
            score_floor=_score_floor(settings.verifier),
        )
        repositories = Repositories(settings.repositories_dir)
        contracts = self.shelf.contracts(repositories.find, taught=spec.contracts, least_told=spec.least_told)
        self._parts = Parts(self._policy, self._tiers(), contracts, time.monotonic, aside)
        self._running: set[asyncio.Task[Any]] = set()
        self._aliases: Mapping[str, Target] = {}
        self._served, models = self._engine.served, self._models()
        self._aliases = read_aliases(settings.aliases, models)
        seeing = _seeing(spec, settings.verifier)
        self._house = House(
            models,
            self.shelf.pins,
            settings.policy.egress,
            repositories.names,
            self._aliases,
            _unknown(settings),
            seeing,
        )
        self.started_unix = time.time()

    def _egress_door(self, verifier: VerifierSettings) -> EgressDoor:
        return EgressDoor(
            verifier.url,
            verifier.model,
            _credentials(verifier),
            hosted=verifier.hosted,
            reply_seconds=verifier.reply_seconds,
            record=self._record_departure,
            purse=self._purse,
            redactor=redactor(self._settings),
        )

    def _tiers(self) -> Mapping[TierName, Tier]:
        tiers: dict[TierName, Tier] = {"draft": OpenAITier("draft", self._local, template=self._template)}
        if self._outside and self._settings.verifier:
            tiers["verifier"] = _verifier_tier(self._settings.verifier, self._outside)
        return tiers

    def _models(self) -> Mapping[str, Target]:
        """The names that a caller may give. The engine's own names mean the engine."""
        names: dict[str, Target] = {"firstpass": "cascade", "local": "local", self._engine.name: "local"}
        names |= {"strong": "strong"} if self._settings.verifier else {}
        own = self._engine.served
        return names if own is None or own in ROUTES or own in self._aliases else names | {own: "local"}

    @property
    def house(self) -> House:
        """As it is now: what an engine that somebody else runs serves is known once it is there."""
        if self._engine.served != self._served:
            self._served = self._engine.served
            self._house = replace(self._house, models=self._models())
        return self._house

    def engine_state(self) -> str:
        return self._engine.state

    def explain(self, ask: Ask) -> Course:
        return self._policy.explain(ask)

    async def run(self, ask: Ask, sink: Sink | None) -> Exchange:
        """Carry an ask to its end and keep the record, whatever the end. Raises: Busy, RateLimited, StoreFailed."""
        if len(self._running) >= self._settings.server.in_flight_limit:
            raise Busy(f"{len(self._running)} requests are being worked on, which is the limit", retry_after_seconds=2)
        ended: list[Exchange] = []
        with self._counted():
            await self.record.check()
            tokens = self.rates.reserve(ask)
            try:
                return await cascade.run(ask, self._parts, ended.append, sink)
            finally:
                for exchange in ended:
                    self.rates.settle(exchange, tokens)
                    await asyncio.shield(asyncio.to_thread(self._keep, exchange))
                    self.metrics.observe(exchange)
                if not ask.store:
                    forget_texts()

    def _keep(self, exchange: Exchange) -> None:
        try:
            self._store.append(exchange)
        finally:
            self._purse.settle(exchange)

    async def count(self, ask: Ask) -> Counted:
        return await self._counter.count(ask)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None, "asks are run by the event loop"
        self._running.add(task)
        self.metrics.in_flight.set(len(self._running))
        try:
            yield
        finally:
            self._running.discard(task)
            self.metrics.in_flight.set(len(self._running))

    async def _record_departure(self, exchange_id: str, receipt: Receipt) -> Receipt:
        return await asyncio.to_thread(self._store.record_departure, exchange_id, receipt)

    @asynccontextmanager
    async def running(self, app: FastAPI) -> AsyncIterator[None]:
        """The engine starts beside the front, so that /healthz and /v1/models answer at once.

        What still runs at the end is stopped and recorded before the store closes: uvicorn does not wait for it.
        """
        keeping = [asyncio.create_task(keep_ready(self._engine)), asyncio.create_task(self.audit.keep())]
        if self._outside and self._outside.hosted:
            keeping.append(asyncio.create_task(asyncio.to_thread(self._outside.redactor.load)))
        try:
            yield
        finally:
            stopped = [*keeping, *self._running]
            for task in stopped:
                task.cancel()
            await asyncio.gather(*stopped, return_exceptions=True)
            await self._local.aclose()
            if self._outside:
                await self._outside.aclose()
            await self._engine.close()
            self.rates.close()
            await asyncio.to_thread(self._end)

    def _end(self) -> None:
        try:
            self.audit.sign()
        except FirstpassError as error:
            log.error("the log was not signed at the end: %s", error)
        self._store.close()


def _keeping(settings: Settings) -> Keeping:
    return Keeping(settings.server.checkpoints, settings.server.keep_bytes, settings.server.keep_days)


def aside(work: Callable[..., T], /, *args: object) -> asyncio.Future[T]:
    """Begins some work on a thread. Diffs wait for diffs to be read; the record and the keys wait for none."""
    begun = READERS.submit(work, *args)
    _reading.add(begun)
    begun.add_done_callback(_reading.discard)
    return asyncio.wrap_future(begun)


def forget_texts() -> None:
    """Of callers' words nothing is kept in memory; also not by work that nobody waits for, once it ends."""
    forget()
    for begun in tuple(_reading):
        begun.add_done_callback(lambda _: forget())


def build(settings: Settings) -> FastAPI:
    """The ASGI application of a whole server. Raises: BadSettings, StoreFailed."""
    server, wanted = Server(settings), settings.server
    rules = Rules(_hosts(settings), frozenset(wanted.allowed_origins))
    limits = routes.Limits(wanted.body_limit_bytes, wanted.body_seconds)
    required, wrong = keys_required(settings), wanted.wrong_keys_a_minute
    credentials = Credentials(server.keyring.holder, required=required, wrong_a_minute=wrong)
    return routes.build(server, rules, limits, credentials, server.rates.admit, server.running)


def read_gates(paths: Sequence[Path], shelf: Shelf) -> list[Gate]:
    """Raises: BadSettings for a file that is no gate, or one of no contract here, or two for the same requests."""
    gates = [load_gate(path) for path in paths]
    for path, gate in zip(paths, gates, strict=True):
        if gate.contract not in shelf.files:
            raise BadSettings(f"gate {path}: it is for {gate.contract}, and there is no such contract")
    twice = [whose for whose, number in Counter(gate.whose for gate in gates).items() if number > 1]
    if twice:
        contract, key, language = twice[0]
        narrowed = [f"{what} {value}" for what, value in (("key", key), ("language", language)) if value]
        raise BadSettings(f"policy.gates: there are two for {', '.join([contract, *narrowed])}")
    return gates


def read_aliases(aliases: Mapping[str, str], models: Mapping[str, Target]) -> Mapping[str, Target]:
    """Raises: BadSettings for one that means no model here, or that hides one."""
    for name, model in aliases.items():
        if model not in models:
            raise BadSettings(f"aliases.{name}: there is no model {model!r}; this server has {', '.join(models)}")
        if name in models:
            raise BadSettings(f"aliases.{name}: it is the name of a model; give the alias another")
    return {name: models[model] for name, model in aliases.items()}


def hold(shelf: Shelf, store: Store) -> None:
    """The record says `name@version`, so that has to mean one thing for ever. Raises: BadSettings."""
    for pinned, files in shelf.files.items():
        if store.hold_contract(pinned, files.sha256) != files.sha256:
            raise BadSettings(f"contracts: {pinned} is not what it was in the record; give the change a new version")


def _unknown(settings: Settings) -> Literal["cascade", "local"] | None:
    """Who answers for a model that nothing here has the name of."""
    wanted = settings.server.unknown_models
    if wanted == "auto":
        return "cascade" if is_loopback(settings.server.host) else None
    return None if wanted == "refuse" else wanted


def keys_required(settings: Settings) -> bool:
    return settings.server.keys == "required" or not is_loopback(settings.server.host)


def _hosts(settings: Settings) -> frozenset[str] | None:
    """On loopback only known names pass, against DNS rebinding; elsewhere keys guard, and a list is optional."""
    server = settings.server
    if not server.allowed_hosts and not is_loopback(server.host):
        return None
    return LOOPBACK_NAMES | {server.host} | {host.lower() for host in server.allowed_hosts}


def prices(verifier: VerifierSettings | None) -> Prices | None:
    if verifier is None or verifier.usd_per_million_input_tokens is None:
        return None
    assert verifier.usd_per_million_output_tokens is not None, "the settings have both prices or none"
    return Prices(verifier.usd_per_million_input_tokens, verifier.usd_per_million_output_tokens)


def _purse(settings: Settings, store: Store, keyring: Keyring) -> Purse:
    """Raises: BadSettings where a key has a cap that nothing can be counted for."""
    a_day, known = settings.policy.keyless_usd_a_day, prices(settings.verifier)
    capped = [key.id for key in store.list_keys() if key.scopes.spend and key.live(time.time())]
    if settings.verifier is not None and known is None and capped:
        raise BadSettings(f"verifier.usd_per_million_...: the key {capped[0]} has a spend cap, which needs the prices")
    return Purse(store, keyring, known, None if a_day is None else Spend(a_day))


def _seeing(spec: EngineSpec, verifier: VerifierSettings | None) -> frozenset[Target]:
    """Where images may go: to the cascade if each of its models takes them."""
    strong = verifier is not None and (verifier.dialect == "anthropic" if verifier.images is None else verifier.images)
    both = spec.images and (strong or verifier is None)
    takes: Mapping[Target, bool] = {"local": spec.images, "strong": strong, "cascade": both}
    return frozenset(target for target, takes_them in takes.items() if takes_them)


def redactor(settings: Settings) -> Redactor:
    """What is held back under the ceiling `redacted`. Raises: BadSettings for a file that can't be read."""
    wanted, verifier = settings.redaction, settings.verifier
    own = {verifier.api_key.get_secret_value()} if verifier and verifier.api_key else set()
    try:
        environment, home = (os.environ, Path.home()) if wanted.credentials else ({}, Path(os.devnull))
        known = known_secrets(environment, home, wanted.files)
    except OSError as error:
        raise BadSettings(f"redaction.files: {error}") from error
    words = {"NAME": rf"(?i)(?<!\w)(?:{'|'.join(map(re.escape, wanted.words))})(?!\w)"} if wanted.words else {}
    return Redactor(tuple(known | own), tuple((words | OUR_KEYS | wanted.patterns).items()))


def _where(verifier: VerifierSettings | None) -> Verifier:
    if verifier is None:
        return "none"
    return "hosted" if verifier.hosted else "local"


def _credentials(verifier: VerifierSettings) -> Mapping[str, str]:
    if verifier.api_key is None:
        return {}
    key = verifier.api_key.get_secret_value()
    return {"x-api-key": key} if verifier.dialect == "anthropic" else {"authorization": f"Bearer {key}"}


def _verifier_tier(verifier: VerifierSettings, door: EgressDoor) -> Tier:
    if verifier.dialect == "anthropic":
        turns, thinks = verifier.system_turns, verifier.thinks is not False
        return AnthropicTier(door, verifier.whole_seconds, system_turns=turns, thinks=thinks)
    name = verifier.max_tokens_name
    thinks = name == "max_completion_tokens" if verifier.thinks is None else verifier.thinks
    return OpenAITier("verifier", door, verifier.whole_seconds, name, thinks=thinks)


def _score_floor(verifier: VerifierSettings | None) -> float | None:
    return verifier.score_floor if verifier is not None and verifier.mode == "score" else None


def _constrains(engine: EngineSettings) -> bool:
    """Whether the draft engine can be held to a pattern."""
    if engine.structured_outputs is not None:
        return engine.structured_outputs
    return engine.kind == "vllm" or (engine.kind == "auto" and find_spec("vllm") is not None)


def engine_spec(settings: Settings) -> EngineSpec:
    """Of the draft engine. Raises: BadSettings for a model that is not there or not the recorded bytes."""
    wanted = settings.engine
    kind = _engine_kind(wanted.kind)
    if kind == "external":
        named = wanted.model if "model" in wanted.model_fields_set else None
        data_dir = settings.server.data_dir
        deadline = wanted.start_deadline_seconds
        return EngineSpec(
            "external",
            kind,
            data_dir,
            url=wanted.url,
            served_name=named,
            start_deadline_seconds=deadline,
            images=bool(wanted.images),
        )
    model = catalogue.find(wanted.model, settings.models_dir)
    if model.name in ROUTES:
        raise BadSettings(f"engine.model: {model.name} is the name of a route; give the model another")
    if wanted.context_tokens and wanted.context_tokens > model.context_tokens:
        raise BadSettings(f"engine.context_tokens: {model.name} holds {model.context_tokens} at most")
    if damaged := catalogue.flipped(model):
        raise BadSettings(f"engine.model: {model.name} is damaged: {', '.join(damaged)} differ from the record")
    return EngineSpec(
        name=model.name,
        kind=kind,
        model_dir=model.directory,
        context_tokens=wanted.context_tokens or model.context_tokens,
        threads=wanted.threads,
        data_dir=settings.server.data_dir,
        extra_args=(model.vllm_flags if kind == "vllm" else ()) + wanted.extra_args,
        start_deadline_seconds=wanted.start_deadline_seconds,
        contracts=model.contracts,
        least_told=model.least_told,
        images=(model.images and kind == "vllm") if wanted.images is None else wanted.images,
        isolate=wanted.isolate,
    )


def _engine_kind(
    wanted: Literal["auto", "vllm", "transformers", "external"],
) -> Literal["vllm", "transformers", "external"]:
    """vLLM where it is installed; it is asked for without importing it, which takes seconds."""
    if wanted != "auto":
        return wanted
    if find_spec("vllm") is not None:
        return "vllm"
    log.warning("vLLM is not installed: the transformers engine takes its place (no logprobs)")
    return "transformers"
