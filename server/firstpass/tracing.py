"""Traces by OpenTelemetry, to a file or a collector on this machine. Imported only where the settings want them.

No span has a word of a caller or a model, nor an exception's message. Nothing of the environment steers where spans go:
no proxy, and a collector that redirects is not followed (the exporter asks for none).
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import requests
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from firstpass.spans import Headers, Note, Value

log = logging.getLogger(__name__)

FILE_BYTES = 2**30
"""Of a file of traces, give or take a batch: whoever reaches the port makes spans, with no key and on any path."""

EXPORT_SECONDS = 5.0
WORDLESS: dict[str, Any] = {"record_exception": False, "set_status_on_exception": False}
"""An exception's message and the lines that it came through are words, too."""

TRACEPARENT_CHARACTERS = 55
"""Of version 00: https://www.w3.org/TR/trace-context/, 3.2."""


class Tracing:
    """See `Spans`. Spans wait for their exporter in a bounded queue on a thread; more are lost."""

    def __init__(self, exporter: SpanExporter, file: TextIO | None = None) -> None:
        self._file = file
        resource = Resource({"service.name": "firstpass", "service.version": version("firstpass")})
        self._provider = TracerProvider(ParentBased(ALWAYS_ON), resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("firstpass", version("firstpass"))
        self._callers = TraceContextTextMapPropagator()

    @contextmanager
    def __call__(self, name: str) -> Iterator[Note]:
        with self._tracer.start_as_current_span(name, **WORDLESS) as span, _typed(span):
            yield span.set_attribute

    @contextmanager
    def request(self, group: str, headers: Headers) -> Iterator[Note]:
        said = next((value.decode("latin-1") for name, value in headers if name == b"traceparent"), "")
        given = {"traceparent": said} if 0 < len(said) <= TRACEPARENT_CHARACTERS else {}
        context, name = self._callers.extract(given, Context()), f"request {group}"
        with (
            self._tracer.start_as_current_span(name, context, SpanKind.SERVER, **WORDLESS) as span,
            _typed(span),
        ):
            yield span.set_attribute

    def about(self, facts: Mapping[str, Value]) -> None:
        trace.get_current_span().set_attributes(facts)

    def onward(self) -> Mapping[str, str]:
        carrier = dict[str, str]()
        self._callers.inject(carrier)
        return carrier

    def close(self) -> None:
        self._provider.shutdown()
        if self._file is not None:
            self._file.close()


@contextmanager
def _typed(span: trace.Span) -> Iterator[None]:
    """An exception's type alone: its message may quote a request."""
    try:
        yield
    except BaseException as error:
        span.set_attribute("error.type", type(error).__qualname__)
        raise


def to_collector(url: str) -> Tracing:
    """url: of OTLP over HTTP, on this machine, such as http://127.0.0.1:4318/v1/traces."""
    session = requests.Session()
    session.trust_env = False
    return Tracing(OTLPSpanExporter(url, timeout=EXPORT_SECONDS, session=session))


def to_file(path: Path) -> Tracing:
    """A line of JSON a span, until the file has `FILE_BYTES`. Only this user reads the file. Raises: OSError."""
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8")
    return Tracing(_ToFile(file), file)


class _ToFile(ConsoleSpanExporter):
    def __init__(self, file: TextIO) -> None:
        super().__init__(out=file, formatter=_line)
        self._full = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._full:
            return SpanExportResult.SUCCESS
        if os.fstat(self.out.fileno()).st_size >= FILE_BYTES:
            self._full = True
            log.warning("telemetry.traces_file has %d bytes: no more spans are written to it", FILE_BYTES)
            return SpanExportResult.SUCCESS
        return super().export(spans)


def _line(span: ReadableSpan) -> str:
    return f"{span.to_json(indent=None)}\n"
