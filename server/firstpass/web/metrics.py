"""What /metrics shows, in a registry of its own. It reads ended exchanges and what is done with them.

No label has a caller's words: models are ours by their own names, errors have the codes of this source, and paths their
group. Names follow vLLM's where it has the same thing, so that its dashboards need only another prefix.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from firstpass.allowance.turns import Turns
from firstpass.exchange import OWN_NAMES, Answer, Consult, Exchange, Refuse, Step
from firstpass.fleet import Shown

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
TOKEN_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2.5)
RECORD_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 10)
START_SECONDS = (1, 2.5, 5, 10, 20, 40, 80, 160, 320)
STATES = ("stopped", "starting", "ready", "sleeping", "stopping", "failed")


class Metrics:
    """recording: times how long a record takes. in_flight: requests that are being worked on."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._gauge("firstpass_build_info", "1; its label is the version.", "version").labels(version("firstpass")).set(
            1
        )
        self._add_requests()
        self._add_tiers()
        self._add_engine()
        self.recording = self._histogram("firstpass_record_seconds", "Until a record is durable.", RECORD_SECONDS)
        self.in_flight = self._gauge("firstpass_in_flight", "Requests being worked on.")
        self._waiting = self._gauge("firstpass_waiting", "Requests that wait for a place at a tier.", "tier")
        self._evidence = self._gauge("firstpass_gate_evidence", "Against a gate's promise, broken at 100.", "gate")
        self._broken = self._gauge("firstpass_gate_broken", "1 where a gate accepts nothing any more.", "gate")

    def _add_requests(self) -> None:
        about = "Ended exchanges, without shadows."
        requests = self._counter("firstpass_requests", about, "model", "dialect", "route", "status")
        about = "From the parsed ask to its end."
        seconds = self._histogram("firstpass_request_seconds", about, SECONDS, "model", "route")
        refusals = self._counter("firstpass_refusals", "Requests and streams that ended in an error.", "code", "part")
        responses = self._counter("firstpass_http_responses", "Whatever was answered.", "group", "status")
        self._requests, self._seconds = cache(requests.labels), cache(seconds.labels)
        self._refusals, self._responses = cache(refusals.labels), cache(responses.labels)
        self._findings = cache(self._counter("firstpass_findings", "What checks found.", "check", "severity").labels)
        about = "Requests repeated for an arm of an experiment that answers nobody."
        self.shadows = cache(self._counter("firstpass_shadows", about, "outcome").labels)
        self._departed = self._counter("firstpass_departed_bytes", "Request bytes that left the machine.")
        self._departures = self._counter("firstpass_departures", "Requests that left the machine.")
        self._escalations = self._counter("firstpass_escalations", "Drafts that a verifier was asked about.")

    def _add_tiers(self) -> None:
        consults = self._counter("firstpass_consults", "What tiers were asked.", "tier", "purpose", "outcome")
        seconds = self._histogram("firstpass_consult_seconds", "Of a tier's whole reply.", SECONDS, "tier", "purpose")
        about = "Of replies that stream."
        first = self._histogram("firstpass_time_to_first_token_seconds", about, SECONDS, "tier")
        between = self._histogram("firstpass_inter_token_latency_seconds", f"{about} Means.", TOKEN_SECONDS, "tier")
        tokens = self._counter("firstpass_tokens", "As the tiers counted them.", "tier", "kind")
        self._consults, self._consult_seconds = cache(consults.labels), cache(seconds.labels)
        self._first, self._between, self._tokens = cache(first.labels), cache(between.labels), cache(tokens.labels)

    def _add_engine(self) -> None:
        self._starts = self._counter("firstpass_engine_starts", "Of an engine's process.", "engine")
        about = "Until it is ready."
        self._start_seconds = self._histogram("firstpass_engine_start_seconds", about, START_SECONDS, "engine")
        self._ready = self._gauge("firstpass_engine_ready", "1 while it is ready.", "engine")
        self._state = self._gauge("firstpass_engine_state", "1 for the state that it is in.", "engine", "state")
        self._bytes = self._gauge("firstpass_engine_bytes", "What it takes, or is expected to.", "engine")
        self._users = self._gauge("firstpass_engine_in_flight", "Requests that it works on.", "engine")
        self._awaited = self._gauge("firstpass_engine_awaited", "Requests that wait for it to be loaded.", "engine")

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, registry=self._registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(name, about, labels, registry=self._registry)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, about, labels, buckets=buckets, registry=self._registry)

    def show_gate(self, gate: str, evidence: float, broken: bool) -> None:
        self._evidence.labels(gate).set(evidence)
        self._broken.labels(gate).set(broken)

    def show_waiting(self, rooms: Mapping[str, Turns]) -> None:
        """As many as there are whenever somebody looks, of these alone."""
        self._waiting.clear()
        for tier, room in rooms.items():
            self._waiting.labels(tier).set_function(room.waiting)

    def show_engines(self, fleet: Iterable[Shown], states: Mapping[str, str]) -> None:
        """Of these alone: there may have been others. states: of each engine, by its name."""
        for gauge in (self._ready, self._state, self._bytes, self._users, self._awaited):
            gauge.clear()
        for shown in fleet:
            name, state = shown.name, states[shown.name]
            self._ready.labels(name).set(state == "ready")
            for one in STATES:
                self._state.labels(name, one).set(one == state)
            self._bytes.labels(name).set(shown.bytes)
            self._users.labels(name).set(shown.users)
            self._awaited.labels(name).set(shown.waiting)

    def engine_progress(self, engine: str, stage: str, seconds: float) -> None:
        """Hears an engine's start: the first thing that it does, and that it is done."""
        if stage == "importing":
            self._starts.labels(engine).inc()
        elif stage == "ready":
            self._start_seconds.labels(engine).observe(seconds)

    def refused(self, code: str, part: str) -> None:
        self._refusals(code, part).inc()

    def responded(self, group: str, status: int) -> None:
        self._responses(group, status).inc()

    def observe(self, exchange: Exchange) -> None:
        """A shadow is no request, but its steps take the same tiers' time, and leave the machine as others do."""
        if exchange.ask.shadows is None:
            self._observe_request(exchange)
        for step in exchange.steps:
            self._observe_step(step)
        if any(step.move.tier == "verifier" and step.move.purpose == "verify" for step in exchange.steps):
            self._escalations.inc()
        for receipt in exchange.receipts:
            self._departures.inc()
            self._departed.inc(receipt.bytes)

    def _observe_request(self, exchange: Exchange) -> None:
        model, ending = OWN_NAMES[exchange.ask.target], exchange.ending
        route = ending.route if isinstance(ending, Answer) else "refused"
        status = ending.failure.status if isinstance(ending, Refuse) else 200
        self._requests(model, exchange.ask.dialect, route, status).inc()
        self._seconds(model, route).observe(exchange.seconds or 0)
        if isinstance(ending, Refuse):
            self.refused(ending.failure.code, ending.failure.part)

    def _observe_step(self, step: Step) -> None:
        for finding in step.findings:
            self._findings(finding.check, finding.severity).inc()
        tier, reply = step.move.tier, step.reply
        if not isinstance(step.move, Consult):
            return
        outcome = "failed" if step.failure else "faulty" if step.failed else "passed"
        self._consults(tier, step.move.purpose, outcome).inc()
        if reply is None:
            return
        self._consult_seconds(tier, step.move.purpose).observe(reply.seconds)
        written = reply.usage.completion_tokens if reply.usage else 0
        if reply.usage:
            self._tokens(tier, "prompt").inc(reply.usage.prompt_tokens)
            self._tokens(tier, "completion").inc(written)
        if reply.first_token_seconds is not None:
            self._first(tier).observe(reply.first_token_seconds)
            if written > 1:
                self._between(tier).observe((reply.seconds - reply.first_token_seconds) / (written - 1))

    def text(self) -> bytes:
        return generate_latest(self._registry)
