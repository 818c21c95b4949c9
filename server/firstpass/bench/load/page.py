"""A run of `firstpass bench` as one HTML page with its plots inside. Measures nothing."""

from html import escape

from firstpass.bench.load.figures import Latency, milliseconds
from firstpass.bench.load.report import NAMES, Report, heading, notes, table
from firstpass.bench.svg import curves, listed, page
from firstpass.bench.svg import table as table_of

PLOTTED: tuple[Latency, ...] = ("ttft_ms", "tpot_ms", "e2e_ms")


def as_html(done: Report) -> str:
    parts = [
        f"<h1>{escape(heading(done))}</h1>",
        *(f"<p><strong>{escape(warning)}</strong></p>" for warning in done.warnings),
        table_of(table(done)),
        listed(done.sentences),
        *(_curves(done, latency) for latency in PLOTTED),
        "<h2>How it was measured</h2>",
        listed(list(notes(done))),
    ]
    return page(heading(done), parts)


def _curves(done: Report, latency: Latency) -> str:
    """The share of requests that took no longer."""
    name = NAMES[latency].removesuffix(", ms")
    times = {
        target.name: [one / 1000 for one in milliseconds(done.ran.of(target.name), latency)]
        for target in done.ran.targets
    }
    return f"<h2>Share of requests by the time {escape(name)}</h2>{curves(name, times)}"
