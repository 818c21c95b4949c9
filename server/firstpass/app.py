"""The only place where parts are joined: settings in, a running server out."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

from fastapi import FastAPI

from firstpass import assembly, cascade, engine
from firstpass.allowance.keyring import Keyring
from firstpass.allowance.rates import Rates
from firstpass.allowance.seats import SeatedTier, Seats
from firstpass.audit import Audit
from firstpass.cascade import Parts, T
from firstpass.contract import Shelf
from firstpass.desk import Desk
from firstpass.desk.recipe import Recipe
from firstpass.egress import EgressDoor
from firstpass.engine import Engine, grammars
from firstpass.engine.keeping import keep_ready
from firstpass.errors import FirstpassError
from firstpass.evidence.memory import forget
from firstpass.evidence.repository import Repositories
from firstpass.exchange import Ask, Exchange, Receipt, Target, TierName
from firstpass.gate.drift import Monitor
from firstpass.house import House
from firstpass.listening import Sink
from firstpass.outline import facts, outline
from firstpass.policy.escalation import Course, EscalationPolicy
from firstpass.policy.rules import Rule
from firstpass.record import Record
from firstpass.settings import Settings, VerifierSettings
from firstpass.spans import UNHEARD
from firstpass.store import Store
from firstpass.store.keys import load_pepper
from firstpass.store.notes import Signer
from firstpass.store.sqlite import SqliteStore
from firstpass.tier import Tier
from firstpass.tier.compiled import CompiledTier
from firstpass.tier.local import LocalDoor
from firstpass.tier.template import Template
from firstpass.tier.tokens import Counted, TokenCounter
from firstpass.web import routes
from firstpass.web.access import Rules
from firstpass.web.credentials import Credentials
from firstpass.web.metrics import Metrics

log, exchanges = logging.getLogger(__name__), logging.getLogger("firstpass.exchanges")

READERS = ThreadPoolExecutor(2, "reading")
_reading: set[Future[Any]] = set()


class Server:
    """One front: the draft engine, the tiers, the store, and the web's view of them (its Backend).

    Raises: BadSettings, StoreFailed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store: Store = SqliteStore(settings.server.store_path)
        self.audit = Audit(self._store, Signer(load_pepper(settings.server.log_key_path)), assembly.keeping(settings))
        self.keyring = Keyring(self._store, load_pepper(settings.server.pepper_path))
        self.rates = Rates(self._store, self.keyring)
        self._purse = assembly.purse(settings, self._store, self.keyring)
        spec = assembly.engine_spec(settings)
        self.metrics = Metrics()
        self._engine: Engine = engine.build(spec, self.metrics.engine_progress)
        self._grammars = grammars.for_engine(spec)
        self.spans = assembly.spans(settings)
        self._local = LocalDoor(
            self._engine,
            settings.engine.reply_seconds,
            vllm=assembly.constrains(settings.engine) and spec.kind != "llama.cpp",
            thinks=any(argument.startswith("--reasoning-parser") for argument in spec.extra_args),
            leaves_out=assembly.left_out(spec),
            llama=spec.kind == "llama.cpp",
            onward=self.spans.onward,
        )
        rooms = assembly.rooms(settings)
        self.metrics.show_waiting(rooms)
        self._seats = Seats(rooms)
        self._template = Template(self._local)
        self._counter = TokenCounter(self._local, self._template, settings.server.in_flight_limit)
        wanted = settings.verifier
        self._outside = self._egress_door(wanted) if wanted else None
        self._verifier = assembly.verifier_tier(wanted, self._outside) if wanted and self._outside else None
        self.shelf = Shelf.of(settings.server.contracts_dir)
        assembly.hold(self.shelf, self._store)
        rules = [Rule(**rule.model_dump()) for rule in settings.policy.rules]
        gates = assembly.read_gates(settings.policy.gates, self.shelf)
        self.record = Record(self._store, Monitor(gates), settings.policy.auditors, self.metrics.show_gate)
        self._policy = EscalationPolicy(
            assembly.whereabouts(settings.verifier),
            rules,
            redrafts=assembly.constrains(settings.engine),
            gates=gates,
            broken=self.record.broken,
            audit_share=settings.policy.audit_share,
            measures=settings.policy.signals,
            escalates_early=settings.policy.early_escalation,
            score_floor=assembly.score_floor(settings.verifier),
        )
        repositories = Repositories(settings.repositories_dir)
        contracts = self.shelf.contracts(repositories.find, taught=spec.contracts, least_told=spec.least_told)
        told = tuple(spec.contracts), spec.least_told
        recipe = Recipe(tuple(self.shelf.files.values()), settings.repositories_dir, *told)
        self._desk = Desk(recipe, contracts, aside)
        self._parts = Parts(self._policy, self._tiers(), contracts, time.monotonic, self._desk, self.spans)
        self._running: set[asyncio.Task[Any]] = set()
        self._aliases: Mapping[str, Target] = {}
        self._served, models = self._engine.served, self._models()
        self._aliases = assembly.read_aliases(settings.aliases, models)
        seeing = assembly.seeing_targets(spec, settings.verifier)
        self._house = House(
            models,
            self.shelf.pins,
            settings.policy.egress,
            repositories.names,
            self._aliases,
            assembly.unknown_target(settings),
            seeing,
        )
        self.started_unix = time.time()

    def _egress_door(self, verifier: VerifierSettings) -> EgressDoor:
        return EgressDoor(
            verifier.url,
            verifier.model,
            assembly.credentials(verifier),
            hosted=verifier.hosted,
            reply_seconds=verifier.reply_seconds,
            record=self._record_departure,
            purse=self._purse,
            redactor=assembly.redactor(self._settings),
        )

    def _tiers(self) -> Mapping[TierName, Tier]:
        draft: Tier = assembly.draft_tier(self._settings.engine, self._local, self._template)
        draft = CompiledTier(draft, self._grammars) if self._grammars else draft
        seated: dict[TierName, Tier] = {"draft": SeatedTier("draft", draft, self._seats)}
        if self._verifier:
            seated["verifier"] = SeatedTier("verifier", self._verifier, self._seats, self._verifier.check)
        return seated

    def _models(self) -> Mapping[str, Target]:
        """The names that a caller may give. The engine's own names mean the engine."""
        names: dict[str, Target] = {"firstpass": "cascade", "local": "local", self._engine.name: "local"}
        names |= {"strong": "strong"} if self._settings.verifier else {}
        own = self._engine.served
        return names if own is None or own in assembly.ROUTES or own in self._aliases else names | {own: "local"}

    @property
    def house(self) -> House:
        """As it is now: what an engine that somebody else runs serves is known once it is there."""
        if self._engine.served != self._served:
            self._served = self._engine.served
            self._house = replace(self._house, models=self._models())
        return self._house

    def engine_state(self) -> str:
        return self._engine.state

    def engine_trouble(self) -> str:
        return self._engine.trouble

    def check_room(self, key: str | None, patience_seconds: float | None) -> None:
        self._seats.check(key, patience_seconds)

    async def explain(self, ask: Ask) -> Course:
        course = await aside(self._policy.explain, ask)
        forget_texts()
        return course

    def _forget_texts(self) -> None:
        forget_texts()
        self._desk.forget()

    async def run(self, ask: Ask, sink: Sink | None) -> Exchange:
        """Carry an ask to its end and keep the record, whatever the end.

        Of what finds no place to begin with nothing is kept. Raises: Busy, Overloaded, RateLimited, StoreFailed.
        """
        with self._counted():
            self.record.check()
            tokens = self.rates.reserve(ask)
            try:
                with self.spans("wait"):
                    await self._sit(ask)
            except BaseException:
                self.rates.settle(Exchange(ask), tokens)
                raise
            try:
                return await self._run(ask, sink, tokens)
            finally:
                self._seats.leave(ask)

    async def _sit(self, ask: Ask) -> None:
        """Nobody waits for a place at a verifier that is left alone: it refuses at once."""
        if ask.target != "strong" or self._verifier is None:
            await self._seats.sit(ask, "draft")
        elif not self._verifier.left_alone:
            await self._seats.sit(ask, "verifier")

    async def _run(self, ask: Ask, sink: Sink | None, tokens: int) -> Exchange:
        """tokens: what the rates have reserved."""
        ended: list[Exchange] = []
        try:
            return await cascade.run(ask, self._parts, ended.append, sink)
        finally:
            try:
                for exchange in ended:
                    self.rates.settle(exchange, tokens)
                    await self._recorded(exchange)
            finally:
                if not ask.store:
                    self._forget_texts()

    async def _recorded(self, exchange: Exchange) -> None:
        """Raises: StoreFailed. Those who watch are told in any case."""
        try:
            with self.spans("record"), self.metrics.recording.time():
                await asyncio.shield(self._keep(exchange))
        finally:
            self._tell(exchange)

    def _keep(self, exchange: Exchange) -> asyncio.Future[Any]:
        """Two writes, where there is anything to settle: mostly in one commit, and each may fail by itself."""
        appended, settled = self._store.soon(self._store.append, exchange), self._purse.settle(exchange)
        return appended if settled is None else asyncio.gather(appended, settled)

    def _tell(self, exchange: Exchange) -> None:
        """Those who watch, once the record is kept or can not be."""
        self.metrics.observe(exchange)
        if self.spans is not UNHEARD:
            self.spans.about(facts(exchange))
        if self._settings.server.log_format == "json":
            fields = outline(exchange, self.keyring.name(exchange.ask.key))
            exchanges.info("exchange", extra={"fields": fields})

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
        return await self._store.soon(self._store.record_departure, exchange_id, receipt)

    @asynccontextmanager
    async def running(self, app: FastAPI) -> AsyncIterator[None]:
        """The engine starts beside the front, so that /healthz and /v1/models answer at once.

        What still runs at the end is stopped and recorded before the store closes: uvicorn does not wait for it.
        """
        keeping = [asyncio.create_task(keep_ready(self._engine)), asyncio.create_task(self.audit.keep())]
        if self._outside and self._outside.hosted:
            keeping.append(asyncio.create_task(asyncio.to_thread(self._outside.redactor.load)))
        keeping.append(asyncio.create_task(self._desk.warm()))
        if self._grammars:
            keeping.append(asyncio.create_task(self._grammars.warm(self._engine)))
        try:
            yield
        finally:
            stopped = [*keeping, *self._running]
            for task in stopped:
                task.cancel()
            await asyncio.gather(*stopped, return_exceptions=True)
            await self._desk.close()
            await self._local.aclose()
            if self._outside:
                await self._outside.aclose()
            await self._engine.close()
            if self._grammars:
                await self._grammars.close()
            try:
                self.rates.close()
            except FirstpassError as error:
                log.error("what is left of rates was not kept at the end: %s", error)
            await asyncio.to_thread(self._end)

    def _end(self) -> None:
        try:
            self.audit.sign()
        except FirstpassError as error:
            log.error("the log was not signed at the end: %s", error)
        self._store.close()
        self.spans.close()


def aside(work: Callable[..., T], /, *args: object) -> asyncio.Future[T]:
    """Begins some work on a thread. Diffs wait for diffs to be read; the record and the keys wait for none."""
    begun = READERS.submit(work, *args)
    _reading.add(begun)
    begun.add_done_callback(_reading.discard)
    waited = asyncio.wrap_future(begun)
    waited.add_done_callback(lambda one: one.cancelled() or one.exception())  # Not logged where nobody waits for it.
    return waited


def forget_texts() -> None:
    """Of callers' words nothing is kept in memory; also not by work that nobody waits for, once it ends."""
    forget()
    for begun in tuple(_reading):
        begun.add_done_callback(lambda _: forget())


def build(settings: Settings) -> FastAPI:
    """The ASGI application of a whole server. Raises: BadSettings, StoreFailed."""
    server, wanted = Server(settings), settings.server
    rules = Rules(assembly.allowed_hosts(settings), frozenset(wanted.allowed_origins))
    limits = routes.Limits(wanted.body_limit_bytes, wanted.body_seconds, wanted.bodies_bytes)
    required, wrong = assembly.keys_required(settings), wanted.wrong_keys_a_minute
    credentials = Credentials(server.keyring.holder, required=required, wrong_a_minute=wrong)
    return routes.build(server, rules, limits, credentials, server.rates.admit, server.running)
