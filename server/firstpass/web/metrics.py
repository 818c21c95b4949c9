"""What /metrics shows, in a registry of its own. It reads ended exchanges and knows nothing else."""

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from firstpass.exchange import Answer, Exchange, Refuse

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        requests = Counter("firstpass_requests", "Ended exchanges.", ("route", "status"), registry=registry)
        about = "From the parsed ask to its end."
        seconds = Histogram("firstpass_request_seconds", about, ("route",), buckets=SECONDS, registry=registry)
        tokens = Counter("firstpass_tokens", "As the tiers counted them.", ("tier", "kind"), registry=registry)
        self._requests, self._seconds = cache(requests.labels), cache(seconds.labels)
        self._tokens = cache(tokens.labels)
        self._findings = Counter("firstpass_findings", "What checks found.", ("check", "severity"), registry=registry)
        self._departed = Counter("firstpass_departed_bytes", "Request bytes that left the machine.", registry=registry)
        self.in_flight = Gauge("firstpass_in_flight", "Requests being worked on.", registry=registry)
        self.engine_ready = Gauge("firstpass_engine_ready", "1 while the draft engine is ready.", registry=registry)

        self._evidence = Gauge(
            "firstpass_gate_evidence", "Against a gate's promise; it is broken at 100.", ("gate",), registry=registry
        )
        self._broken = Gauge(
            "firstpass_gate_broken", "1 where a gate accepts nothing any more.", ("gate",), registry=registry
        )

    def show_gate(self, gate: str, evidence: float, broken: bool) -> None:
        self._evidence.labels(gate).set(evidence)
        self._broken.labels(gate).set(broken)

    def observe(self, exchange: Exchange) -> None:
        route = exchange.ending.route if isinstance(exchange.ending, Answer) else "refused"
        status = exchange.ending.failure.status if isinstance(exchange.ending, Refuse) else 200
        self._requests(route, str(status)).inc()
        self._seconds(route).observe(exchange.seconds or 0)
        for step in exchange.steps:
            if step.reply and step.reply.usage:
                self._tokens(step.move.tier, "prompt").inc(step.reply.usage.prompt_tokens)
                self._tokens(step.move.tier, "completion").inc(step.reply.usage.completion_tokens)
            for finding in step.findings:
                self._findings.labels(finding.check, finding.severity).inc()
        self._departed.inc(sum(receipt.bytes for receipt in exchange.receipts))

    def text(self) -> bytes:
        return generate_latest(self._registry)
