"""How long a caller waits for its answer, where its client says so. It knows no body."""

from starlette.datastructures import Headers

UNITS = {"x-stainless-timeout": 1.0, "x-stainless-read-timeout": 1.0, "x-envoy-expected-rq-timeout-ms": 1e-3}
"""The headers, and what one is in seconds. The first two are of the clients of OpenAI and Anthropic: for the whole
answer, and for each silence in it; the third is what the proxy Envoy sets."""


def patience(headers: Headers) -> float | None:
    """In seconds, the shortest that is said. A client writes what it likes where it has none: that says nothing."""
    said = (_number(headers.get(name, "")) * unit for name, unit in UNITS.items())
    return min((seconds for seconds in said if 0 < seconds < float("inf")), default=None)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
