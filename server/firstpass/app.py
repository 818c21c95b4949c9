"""The only place where parts are joined: settings in, a running server out."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import FastAPI

from firstpass import assembly, cascade
from firstpass.allowance.keyring import Keyring
from firstpass.allowance.rates import Rates
from firstpass.allowance.seats import SeatedTier, Seats
from firstpass.assembly import Lead
from firstpass.audit import Audit
from firstpass.cascade import Parts, T
from firstpass.contract import Learned, Shelf
from firstpass.desk import Desk
from firstpass.desk.recipe import Recipe
from firstpass.egress import EgressDoor
from firstpass.engine.keeping import keep_ready
from firstpass.errors import FirstpassError, TierUnavailable
from firstpass.evidence.memory import forget
from firstpass.evidence.repository import Repositories
from firstpass.exchange import Ask, Exchange, Receipt, Target, TierName
from firstpass.fleet.tier import FleetTier
from firstpass.gate.drift import Monitor
from firstpass.house import House
from firstpass.listening import Sink
from firstpass.local_model import LocalModel
from firstpass.outline import facts, outline
from firstpass.policy.escalation import Course, EscalationPolicy
from firstpass.record import Record
from firstpass.settings import Settings, VerifierSettings
from firstpass.spans import UNHEARD
from firstpass.store import Store
from firstpass.store.keys import load_pepper
from firstpass.store.notes import Signer
from firstpass.store.sqlite import SqliteStore
from firstpass.tier import Tier
from firstpass.tier.tokens import Counted
from firstpass.web import routes
from firstpass.web.access import Rules
from firstpass.web.credentials import Credentials
from firstpass.web.loading import Engines
from firstpass.web.metrics import Metrics

log, exchanges = logging.getLogger(__name__), logging.getLogger("firstpass.exchanges")

READERS = ThreadPoolExecutor(2, "reading")
NOT_LOADED_SECONDS = 30
"""When to count again with a model that is not loaded."""

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
        self.metrics = Metrics()
        self.spans = assembly.spans(settings)
        self._models = self._local_models()
        self._first, *further = self._models
        self.fleet = assembly.fleet(settings, self._models)
        self.engines = Engines(self.fleet, self._first)
        rooms = assembly.rooms(settings, further)
        self.metrics.show_waiting(rooms)
        self._seats = Seats(rooms)
        wanted = settings.verifier
        self._outside = self._egress_door(wanted) if wanted else None
        self._verifier = assembly.verifier_tier(wanted, self._outside) if wanted and self._outside else None
        self.shelf = Shelf.of(settings.server.contracts_dir)
        assembly.hold(self.shelf, self._store)
        gates = assembly.read_gates(settings.policy.gates, self.shelf)
        self.record = Record(self._store, Monitor(gates), settings.policy.auditors, self.metrics.show_gate)
        self._policy = EscalationPolicy(
            assembly.whereabouts(settings.verifier),
            assembly.rules(settings, tuple(self._models)),
            redrafts=self._models[self._first].constrains,
            redrafting=frozenset(name for name in further if self._models[name].constrains),
            gates=gates,
            broken=self.record.broken,
            audit_share=settings.policy.audit_share,
            measures=settings.policy.signals,
            escalates_early=settings.policy.early_escalation,
            score_floor=assembly.score_floor(settings.verifier),
        )
        repositories = Repositories(settings.repositories_dir)
        specs = {name: model.spec for name, model in self._models.items()}
        learned = {name: Learned(spec.contracts, spec.least_told) for name, spec in specs.items()}
        learned_by: Mapping[str | None, Learned] = {None: learned.pop(self._first)} | learned
        contracts = self.shelf.contracts(repositories.find, learned_by)
        recipe = Recipe(tuple(self.shelf.files.values()), settings.repositories_dir, learned_by)
        self._desk = Desk(recipe, contracts, aside)
        self._parts = Parts(self._policy, self._tiers(), contracts, time.monotonic, self._desk, self.spans)
        self._running: set[asyncio.Task[Any]] = set()
        self._stood = False
        self._aliases: Mapping[str, Lead] = {}
        self._served, names = self._serves(), self._names()
        self._aliases = assembly.read_aliases(settings, names, tuple(self._models))
        self._house = House(
            _targets(names),
            self.shelf.pins,
            settings.policy.egress,
            repositories.names,
            _targets(self._aliases),
            assembly.unknown_target(settings),
            assembly.seeing(specs, settings.verifier),
            engines=_engines({**names, **self._aliases}),
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
        draft = FleetTier(self.fleet, {name: model.tier for name, model in self._models.items()}, self._first)
        seated: dict[TierName, Tier] = {"draft": SeatedTier("draft", draft, self._seats)}
        if self._verifier:
            seated["verifier"] = SeatedTier("verifier", self._verifier, self._seats, self._verifier.check)
        return seated

    def _local_models(self) -> Mapping[str, LocalModel]:
        """Raises: BadSettings."""
        made: dict[str, LocalModel] = {}
        specs = assembly.engine_specs(self._settings)
        for (name, spec), wanted in zip(specs.items(), self._settings.draft_engines, strict=True):
            progress = partial(self.metrics.engine_progress, name)
            made[name] = LocalModel(spec, assembly.wanted(self._settings, wanted), progress, self.spans.onward)
        return made

    def _serves(self) -> Sequence[str | None]:
        return [model.engine.served for model in self._models.values()]

    def _names(self) -> Mapping[str, Lead]:
        """The names that a caller may give, and the engine that each means if it is another than the first.

        An engine's own name and its model's mean the engine; where several serve one model, the first of them.
        """
        names: dict[str, Lead] = {"firstpass": ("cascade", None), "local": ("local", None)}
        names |= {"strong": ("strong", None)} if self._settings.verifier else {}
        meant = {name: None if name == self._first else name for name in self._models}
        names |= {name: ("local", engine) for name, engine in meant.items()}
        for name, model in self._models.items():
            own = model.engine.served
            if own is not None and own not in names and own not in self._aliases:
                names[own] = "local", meant[name]
        return names

    @property
    def house(self) -> House:
        """As it is now: what an engine that somebody else runs serves is known once it is there."""
        if (serves := self._serves()) != self._served:
            self._served, names = serves, self._names()
            engines = _engines({**names, **self._aliases})
            self._house = replace(self._house, models=_targets(names), engines=engines)
        return self._house

    def engine_state(self) -> str:
        """Of the first. One that left the memory for another comes back when it is asked."""
        place = self.fleet.place(self._first)
        left = self._stood and place in ("available", "unloading")
        return "ready" if left else self._models[self._first].engine.state

    def engine_states(self) -> Mapping[str, str]:
        return {name: model.engine.state for name, model in self._models.items()}

    def engine_trouble(self) -> str:
        return self._models[self._first].engine.trouble

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
        """A count is no reason to load a model."""
        name = ask.engine or self._first
        if self.fleet.place(name) != "loaded":
            text = f"{name} is not loaded, and a count of tokens does not load it"
            raise TierUnavailable(text, part="draft", retry_after_seconds=NOT_LOADED_SECONDS)
        await self.fleet.enter(name, ask.patience_seconds)
        try:
            return await self._models[name].counter.count(ask)
        finally:
            self.fleet.leave(name)

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
        keeping = [asyncio.create_task(work) for work in (self.fleet.keep(), self.audit.keep(), *self._kept_ready())]
        if self._outside and self._outside.hosted:
            keeping.append(asyncio.create_task(asyncio.to_thread(self._outside.redactor.load)))
        keeping.append(asyncio.create_task(self._desk.warm()))
        try:
            yield
        finally:
            stopped = [*keeping, *self._running]
            for task in stopped:
                task.cancel()
            await asyncio.gather(*stopped, return_exceptions=True)
            await self._desk.close()
            if self._outside:
                await self._outside.aclose()
            await self.fleet.close()
            try:
                self.rates.close()
            except FirstpassError as error:
                log.error("what is left of rates was not kept at the end: %s", error)
            await asyncio.to_thread(self._end)

    def _kept_ready(self) -> Iterator[Coroutine[Any, Any, None]]:
        """What is pinned stays ready, and the first one is loaded at the beginning, with what compiles for it."""
        for shown in self.fleet:
            model = self._models[shown.name]
            if shown.pinned:
                yield keep_ready(model.engine)
            elif shown.name == self._first:
                yield self._loaded(shown.name)
            if model.grammars and shown.pinned:
                yield model.grammars.warm(model.engine)

    async def _loaded(self, name: str) -> None:
        try:
            await self.fleet.load(name)
        except FirstpassError as error:
            log.error("%s is not loaded: %s", name, error)
        self._stood = True

    def _end(self) -> None:
        try:
            self.audit.sign()
        except FirstpassError as error:
            log.error("the log was not signed at the end: %s", error)
        self._store.close()
        self.spans.close()


def _targets(names: Mapping[str, Lead]) -> Mapping[str, Target]:
    return {name: target for name, (target, _) in names.items()}


def _engines(names: Mapping[str, Lead]) -> Mapping[str, str]:
    """Of those that mean another engine than the first."""
    return {name: engine for name, (_, engine) in names.items() if engine is not None}


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
