"""A run as one HTML page with its plots inside. Measures nothing."""

from html import escape

from firstpass.bench.report import Run, notes, repositories, sentence, table, title, verdict
from firstpass.bench.svg import COLOURS, LEFT, RIGHT, curves, drawing, line, listed, page, text
from firstpass.bench.svg import table as table_of

_ROW = 26


def as_html(run: Run) -> str:
    parts = [
        f"<h1>{escape(title(run))}</h1>",
        table_of(table(run)),
        "<h2>Contract pass, 95% interval</h2>",
        _bars(run),
        "<h2>Share of the answers that came within a time</h2>",
        _curves(run),
        listed([sentence(one) for one in run.figures.comparisons]),
        "<h2>Contract pass by repository</h2>",
        table_of(repositories(run)),
        *(["<h2>Required</h2>", listed([verdict(one) for one in run.judgements])] if run.judgements else []),
        "<h2>How it was measured</h2>",
        listed(notes(run)),
    ]
    return page(title(run), parts)


def _bars(run: Run) -> str:
    """An arm a row, from 0 to 100%."""

    def across(share: float) -> float:
        return LEFT + share * (RIGHT - LEFT)

    bottom = _ROW * len(run.arms) + 10
    parts = [line(across(tenth / 10), 5, across(tenth / 10), bottom, "grid") for tenth in range(0, 11, 2)]
    parts += [text(across(tenth / 10), bottom + 16, f"{tenth * 10}%", "middle") for tenth in range(0, 11, 2)]
    for row, arm in enumerate(run.arms):
        figure, middle = run.figures.arms[arm.name]["pass"], 18 + row * _ROW
        colour = f"fill: var(--c{row % COLOURS})"
        parts.append(text(LEFT - 8, middle + 4, arm.name, "end"))
        parts.append(
            f'<rect x="{LEFT}" y="{middle - 8}" width="{across(figure.value) - LEFT:.1f}" height="16" '
            f'style="{colour}"><title>{escape(arm.name)}: {figure.value:.1%}</title></rect>'
        )
        parts.append(line(across(figure.low), middle, across(figure.high), middle))
    return drawing(bottom + 24, "contract pass by arm", parts)


def _curves(run: Run) -> str:
    """The share of answers by the seconds that they took."""
    times = {
        arm.name: sorted(one.seconds for one in run.outcomes if one.arm == arm.name and one.error is None)
        for arm in run.arms
    }
    return curves("latency by arm", times)
