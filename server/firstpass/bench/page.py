"""A run as one HTML page with its plots inside: no script, nothing to fetch. Measures nothing."""

from collections.abc import Sequence
from html import escape

from firstpass.bench.report import Run, notes, repositories, sentence, table, title, verdict

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --c0: #2b6cb0; --c1: #c05621; --c2: #2f855a; --c3: #805ad5; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { text-align: right; padding: .2rem .8rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
svg { display: block; width: 100%; height: auto; margin: 1rem 0; font: 12px system-ui, sans-serif; fill: currentColor; }
svg line, svg path { stroke: currentColor; fill: none; }
svg .grid { stroke: var(--line); }
"""
_COLOURS = 4
_WIDTH, _LEFT, _RIGHT = 720, 90, 700
_ROW = 26
_CURVE_TOP, _CURVE_BOTTOM = 20, 240
_STEPS = 200


def as_html(run: Run) -> str:
    parts = [
        f"<h1>{escape(title(run))}</h1>",
        _table(table(run)),
        "<h2>Contract pass, 95% interval</h2>",
        _bars(run),
        "<h2>Share of the answers that came within a time</h2>",
        _curves(run),
        _list([sentence(one) for one in run.figures.comparisons]),
        "<h2>Contract pass by repository</h2>",
        _table(repositories(run)),
        *(["<h2>Required</h2>", _list([verdict(one) for one in run.judgements])] if run.judgements else []),
        "<h2>How it was measured</h2>",
        _list(notes(run)),
    ]
    head = f'<meta charset="utf-8"><title>{escape(title(run))}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in body]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _svg(height: int, label: str, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str = "") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _bars(run: Run) -> str:
    """An arm a row, from 0 to 100%."""

    def across(share: float) -> float:
        return _LEFT + share * (_RIGHT - _LEFT)

    bottom = _ROW * len(run.arms) + 10
    parts = [_line(across(tenth / 10), 5, across(tenth / 10), bottom, "grid") for tenth in range(0, 11, 2)]
    parts += [_text(across(tenth / 10), bottom + 16, f"{tenth * 10}%", "middle") for tenth in range(0, 11, 2)]
    for row, arm in enumerate(run.arms):
        figure, middle = run.figures.arms[arm.name]["pass"], 18 + row * _ROW
        colour = f"fill: var(--c{row % _COLOURS})"
        parts.append(_text(_LEFT - 8, middle + 4, arm.name, "end"))
        parts.append(
            f'<rect x="{_LEFT}" y="{middle - 8}" width="{across(figure.value) - _LEFT:.1f}" height="16" '
            f'style="{colour}"><title>{escape(arm.name)}: {figure.value:.1%}</title></rect>'
        )
        parts.append(_line(across(figure.low), middle, across(figure.high), middle))
    return _svg(bottom + 24, "contract pass by arm", parts)


def _curves(run: Run) -> str:
    """The share of answers by the seconds that they took, up to the slowest arm's p99."""
    times = {
        arm.name: sorted(one.seconds for one in run.outcomes if one.arm == arm.name and one.error is None)
        for arm in run.arms
    }
    most = max((ordered[int(0.99 * (len(ordered) - 1))] for ordered in times.values() if ordered), default=0.0) or 1.0

    def point(seconds: float, share: float) -> tuple[float, float]:
        right = _LEFT + min(seconds / most, 1.0) * (_RIGHT - _LEFT)
        return right, _CURVE_BOTTOM - share * (_CURVE_BOTTOM - _CURVE_TOP)

    parts = []
    for quarter in range(5):
        x, y = point(most * quarter / 4, quarter / 4)
        parts += [_line(_LEFT, y, _RIGHT, y, "grid"), _text(_LEFT - 8, y + 4, f"{quarter * 25}%", "end")]
        parts.append(_text(x, _CURVE_BOTTOM + 18, f"{most * quarter / 4 * 1000:.0f} ms", "middle"))
    for row, (name, ordered) in enumerate(times.items()):
        if not ordered:
            continue
        every = max(1, len(ordered) // _STEPS)
        points = [point(seconds, (at + 1) / len(ordered)) for at, seconds in enumerate(ordered) if at % every == 0]
        path = "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points)
        colour = f"var(--c{row % _COLOURS})"
        parts.append(f'<path d="{path}" style="stroke: {colour}; stroke-width: 2"/>')
        place = f'x="{_RIGHT - 90}" y="{_CURVE_BOTTOM - 60 + row * 16}"'
        parts.append(f'<text {place} style="fill: {colour}">{escape(name)}</text>')
    return _svg(_CURVE_BOTTOM + 26, "latency by arm", parts)
