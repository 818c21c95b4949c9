"""The section `telemetry`: traces."""

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from firstpass.loopback import is_loopback
from firstpass.settings.section import Section


class TelemetrySettings(Section):
    """Traces, which are off unless one of these is set. They need `pip install firstpass[telemetry]`, or vLLM's own."""

    traces_url: str | None = Field(
        None,
        description="A collector on this machine that takes OTLP over HTTP, as http://127.0.0.1:4318/v1/traces. No span"
        " has a word of a caller or a model.",
    )
    traces_file: Path | None = Field(
        None,
        description="A file that spans are appended to, a line of JSON each. Once it has 1 GiB, no more are written"
        " until it is moved away and the server starts again; one line of the log says so.",
    )

    @model_validator(mode="after")
    def _stays_here(self) -> Self:
        if self.traces_url is not None and self.traces_file is not None:
            raise ValueError("traces_url and traces_file exclude each other")
        parts = urlsplit(self.traces_url or "http://127.0.0.1")
        if parts.scheme not in ("http", "https") or not is_loopback(parts.hostname or ""):
            raise ValueError(
                f"traces_url: {self.traces_url!r} is not on this machine's loopback, and nothing may leave"
            )
        return self
