"""The only place where parts are joined: settings in, a running server out."""

import asyncio
import logging
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from firstpass import assembly, cascade
from firstpass.allowance.keyring import Keyring
from firstpass.allowance.rates import Rates
from firstpass.arrangement import Arrangement, Premises
from firstpass.audit import Audit
from firstpass.browsing import Browsing
from firstpass.cascade import T
from firstpass.contract import Shelf
from firstpass.contract.known import Known, known
from firstpass.engine.keeping import keep_ready
from firstpass.errors import BadAsk, BadSettings, FirstpassError, TierUnavailable
from firstpass.evidence.memory import forget
from firstpass.exchange import Ask, Consult, Exchange, Receipt
from firstpass.fleet import Fleet
from firstpass.house import House
from firstpass.listening import Sink
from firstpass.local_model import LocalModel
from firstpass.outline import facts, outline
from firstpass.policy.escalation import Course
from firstpass.record import Record
from firstpass.settings import Settings
from firstpass.spans import UNHEARD
from firstpass.store import Store
from firstpass.store.keys import load_pepper
from firstpass.store.notes import Signer
from firstpass.store.sqlite import SqliteStore
from firstpass.tier.tokens import Counted
from firstpass.web import routes
from firstpass.web.access import Rules
from firstpass.web.credentials import Credentials
from firstpass.web.loading import Engines
from firstpass.web.metrics import Metrics
from firstpass.web.reloading import Reloaded

log, exchanges = logging.getLogger(__name__), logging.getLogger("firstpass.exchanges")

READERS = ThreadPoolExecutor(2, "reading")
NOT_LOADED_SECONDS = 30
"""When to count again with a model that is not loaded."""

BEGIN_SECONDS = 30.0
"""For a request that was read under settings that have just been replaced."""

RELOAD_SECONDS = 5.0

SHADOWS_AT_ONCE = 4
"""Requests that nobody waits for, of all experiments together."""

_reading: set[Future[Any]] = set()


Again = Callable[[], Settings]
"""Reads the settings once more. Raises: BadSettings."""


class Server:
    """One front: what stays while settings change, the arrangement that holds now, and the web's view (its Backend).

    Raises: BadSettings, StoreFailed.
    """

    def __init__(self, settings: Settings, again: Again | None = None) -> None:
        """again: for a reload; None where the settings are from nowhere that could be read once more."""
        self._settings = settings
        self._again = again
        self._store: Store = SqliteStore(settings.server.store_path)
        self.audit = Audit(self._store, Signer(load_pepper(settings.server.log_key_path)), assembly.keeping(settings))
        self.browsing = Browsing(self._store)
        self.keyring = Keyring(self._store, load_pepper(settings.server.pepper_path))
        self.rates = Rates(self._store, self.keyring)
        self.metrics = Metrics()
        self.spans = assembly.spans(settings)
        self._fleet = Fleet()
        self._premises = Premises(
            self._store, self.keyring, self._fleet, self.metrics, self.spans, aside, self._record_departure
        )
        self._now = Arrangement(settings, self._premises)
        self._now.begin()
        self._former: list[Arrangement] = []
        self._running: set[asyncio.Task[Any]] = set()
        self._kept: dict[LocalModel, list[asyncio.Task[None]]] = {}
        self._ends: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()
        self._stood, self._trouble = False, ""
        self._hears_hangups = False
        self._shadows = 0
        self.started_unix = time.time()

    @property
    def shelf(self) -> Shelf:
        return self._now.shelf

    @property
    def results_dir(self) -> Path:
        return self._settings.server.results_path

    @property
    def record(self) -> Record:
        return self._now.record

    @property
    def engines(self) -> Engines:
        return self._now.engines

    @property
    def house(self) -> House:
        return self._now.house

    def engine_state(self) -> str:
        """Of the first. One that left the memory for another comes back when it is asked."""
        if self._now.engines.shown(None).place in ("available", "sleeping", "unloading"):
            if self._stood:
                return "ready"
            if self._trouble:
                return "failed"
        return self._now.model(None).engine.state

    def engine_states(self) -> Mapping[str, str]:
        return {name: model.engine.state for name, model in self._now.models.items()}

    def engine_trouble(self) -> str:
        return self._now.model(None).engine.trouble or ("" if self._stood else self._trouble)

    def check_room(self, key: str | None, patience_seconds: float | None) -> None:
        self._now.seats.check(key, patience_seconds)

    async def explain(self, ask: Ask) -> Course:
        course = await aside(self._of(ask).policy.explain, ask)
        forget_texts()
        return course

    async def known(self, ask: Ask) -> Known:
        """By any contract: the work is the same for all, and is bounded as theirs is."""
        with self._of(ask) as there:
            contract = next(iter(there.parts.contracts.values()))
            try:
                return await there.desk(known, contract, ask)
            except BadAsk as error:
                raise BadAsk(str(error), part=error.failure.part, param="diff") from error
            finally:
                forget_texts()
                there.desk.forget()

    def _of(self, ask: Ask) -> Arrangement:
        """The one that the ask was read under. Raises: TierUnavailable where that has ended meanwhile."""
        if ask.settings in (None, self._now.digest):
            return self._now
        found = next((one for one in self._former if one.digest == ask.settings), None)
        if found is None:
            raise TierUnavailable("the settings have changed since this was read; send it again", retry_after_seconds=1)
        return found

    async def run(self, ask: Ask, sink: Sink | None) -> Exchange:
        """Carry an ask to its end and keep the record, whatever the end.

        Of what finds no place to begin with nothing is kept. Raises: Busy, Overloaded, RateLimited, StoreFailed.
        """
        with self._counted(), self._of(ask) as there:
            there.record.check()
            tokens = self.rates.reserve(ask)
            try:
                with self.spans("wait"):
                    await there.sit(ask)
            except BaseException:
                self.rates.settle(Exchange(ask), tokens)
                raise
            try:
                ended = await self._run(ask, sink, tokens, there)
            finally:
                there.seats.leave(ask)
            self._ask_shadows(ended.ask, there)
            return ended

    def _ask_shadows(self, ask: Ask, there: Arrangement) -> None:
        """They hold up nobody: one that finds no place, or whose model is not loaded, is not asked, and counted."""
        for shadow in there.shadows(ask):
            if self._shadows < SHADOWS_AT_ONCE:
                self._shadows += 1
                self._aside(self._shadow(shadow, there))
            else:
                self.metrics.shadows("left out").inc()

    async def _shadow(self, ask: Ask, there: Arrangement) -> None:
        """The answer is for the record alone.

        What has begun waits at its next tier as others do: an answer for want of a place says nothing of its arm.
        """
        try:
            with there, self.spans("shadow"), ExitStack() as held:
                move = await cascade.next_move(Exchange(ask), there.parts)
                if isinstance(move, Consult):
                    asked = ask.directed(move.engine, move.verifier)
                    if move.tier == "draft":
                        held.enter_context(self._loaded(there.model(asked.engine), "a shadow"))
                    held.callback(there.seats.leave, ask)
                    await there.sit_at(asked, move.tier)
                await self._run(replace(ask, patience_seconds=None), None, None, there)
            self.metrics.shadows("asked").inc()
        except FirstpassError as error:
            log.debug("a shadow of %s was not asked: %s", ask.shadows, error)
            self.metrics.shadows("left out").inc()
        except Exception:
            log.exception("a shadow of %s failed", ask.shadows)
        finally:
            self._shadows -= 1

    async def _run(self, ask: Ask, sink: Sink | None, tokens: int | None, there: Arrangement) -> Exchange:
        """tokens: what the rates have reserved, if they count it."""
        ended: list[Exchange] = []
        try:
            return await cascade.run(ask, there.parts, ended.append, sink)
        finally:
            try:
                for exchange in ended:
                    if tokens is not None:
                        self.rates.settle(exchange, tokens)
                    await self._recorded(exchange, there)
            finally:
                if not ask.store:
                    forget_texts()
                    there.desk.forget()

    async def _recorded(self, exchange: Exchange, there: Arrangement) -> None:
        """Raises: StoreFailed. Those who watch are told in any case."""
        try:
            with self.spans("record"), self.metrics.recording.time():
                await asyncio.shield(self._keep(exchange, there))
        finally:
            self._tell(exchange)

    def _keep(self, exchange: Exchange, there: Arrangement) -> asyncio.Future[Any]:
        """Two writes, where there is anything to settle: mostly in one commit, and each may fail by itself."""
        appended, settled = self._store.soon(self._store.append, exchange), there.purse.settle(exchange)
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
        """A count is no reason to load a model, nor to bring one back whose room another one waits for."""
        with self._of(ask) as there, self._loaded(model := there.model(ask.engine), "a count of tokens"):
            return await model.counter.count(ask)

    @contextmanager
    def _loaded(self, model: LocalModel, what: str) -> Iterator[None]:
        """It stays loaded meanwhile. what: is no reason to load it. Raises: TierUnavailable where it is not."""
        if not self._fleet.enter_loaded(model):
            name = next((name for name, one in self._now.models.items() if one is model), model.spec.name)
            text = f"{name} is not loaded, and {what} does not load it"
            raise TierUnavailable(text, part="draft", retry_after_seconds=NOT_LOADED_SECONDS)
        try:
            yield
        finally:
            self._fleet.leave(model)

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
        keeping = [asyncio.create_task(work) for work in (self._fleet.keep(), self.audit.keep(), self._first_load())]
        self._keep_up()
        self._hear_hangups()
        try:
            yield
        finally:
            if self._hears_hangups:
                asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
            kept = [task for tasks in self._kept.values() for task in tasks]
            stopped = [*keeping, *kept, *self._running, *self._ends]
            for task in stopped:
                task.cancel()
            await asyncio.gather(*stopped, return_exceptions=True)
            for there in (*self._former, self._now):
                await there.close()
            await self._fleet.close()
            try:
                self.rates.close()
            except FirstpassError as error:
                log.error("what is left of rates was not kept at the end: %s", error)
            await asyncio.to_thread(self._end)

    def _keep_up(self) -> None:
        """What is pinned stays ready, with what compiles for it; what is not any more is left to the fleet."""
        pinned = self._now.pinned
        for model in [model for model in self._kept if model not in pinned]:
            for task in self._kept.pop(model):
                task.cancel()
        for model in pinned:
            if model not in self._kept:
                works = [self._keep_ready(model), *([model.grammars.warm(model.engine)] if model.grammars else [])]
                self._kept[model] = [asyncio.create_task(work) for work in works]
        self._aside(self._now.warm())

    async def _keep_ready(self, model: LocalModel) -> None:
        """It may have to wait for the room of another one that was there before."""
        while True:
            try:
                await self._fleet.load(model)
                break
            except FirstpassError as error:
                log.error("%s is not loaded: %s", model.spec.name, error)
                await asyncio.sleep(RELOAD_SECONDS)
        await keep_ready(model.engine)

    async def _first_load(self) -> None:
        """The first model is loaded at the beginning, pinned or not, and tried again until it was there once."""
        while not self._stood:
            try:
                await self._now.engines.load(None)
                self._stood = True
            except FirstpassError as error:
                if str(error) != self._trouble:
                    log.error("%s is not loaded: %s", self._now.first, error)
                self._trouble = str(error)
                await asyncio.sleep(max(RELOAD_SECONDS, error.failure.retry_after_seconds or 0))

    async def reload(self) -> Reloaded:
        """Reads the settings again, makes all that follows from them, and only then takes them.

        Raises: BadSettings for a fault in them, or a change that needs a restart: then nothing has changed.
        """
        async with self._reloading:
            if self._again is None:
                raise BadSettings("the settings of this server can not be read again")
            settings = await asyncio.to_thread(self._again)
            assembly.check_fixed(self._now.settings, settings)
            fresh = await asyncio.to_thread(Arrangement, settings, self._premises, self._now)
            if fresh.means(self._now):
                await fresh.close()
                return Reloaded(fresh.digest, changed=False)
            former, self._now = self._now, fresh
            self._former.append(former)
            fresh.begin()
            self._keep_up()
            self._aside(self._end_of(former))
            log.info("settings %s are in use, in the place of %s", fresh.digest, former.digest)
            return Reloaded(fresh.digest, changed=True)

    def _hear_hangups(self) -> None:
        """SIGHUP means a reload, but where a terminal sends it, whose end ends a server too."""
        terminal = sys.stdin is not None and sys.stdin.isatty()
        if self._again is None or terminal or threading.current_thread() is not threading.main_thread():
            return
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: self._aside(self._reload_told()))
        self._hears_hangups = True

    async def _reload_told(self) -> None:
        try:
            await self.reload()
        except FirstpassError as error:
            log.error("the settings are as they were: %s", error)
        except Exception:
            log.exception("the settings are as they were")

    async def _end_of(self, former: Arrangement) -> None:
        """Once nothing goes on under it any more, and what has been read by then had the time to begin."""
        await asyncio.sleep(BEGIN_SECONDS)
        await former.unused()
        await self._caught_up()
        self._former.remove(former)
        await former.close()
        there = {model for one in (*self._former, self._now) for model in one.models.values()}
        for model in set(former.models.values()) - there:
            await self._fleet.dismiss(model)

    async def _caught_up(self) -> None:
        """A label that came while the settings changed was heard by the record of the former ones alone."""
        try:
            await self._now.record.catch_up()
        except FirstpassError as error:
            log.error("labels of the last minute are heard at the next start: %s", error)

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    def _end(self) -> None:
        try:
            self.audit.sign()
        except FirstpassError as error:
            log.error("the log was not signed at the end: %s", error)
        self.browsing.close()
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


def build(settings: Settings, again: Again | None = None) -> FastAPI:
    """The ASGI application of a whole server. again: see `Server`. Raises: BadSettings, StoreFailed."""
    server, wanted = Server(settings, again), settings.server
    rules = Rules(assembly.allowed_hosts(settings), frozenset(wanted.allowed_origins))
    limits = routes.Limits(wanted.body_limit_bytes, wanted.body_seconds, wanted.bodies_bytes)
    required, wrong = assembly.keys_required(settings), wanted.wrong_keys_a_minute
    credentials = Credentials(server.keyring.holder, required=required, wrong_a_minute=wrong)
    return routes.build(server, rules, limits, credentials, server.rates.admit, server.running)
