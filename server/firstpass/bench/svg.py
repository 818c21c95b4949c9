"""Tables, lists and curves as parts of one self-contained HTML page: no script, nothing to fetch. Measures nothing."""

from collections.abc import Mapping, Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --line: #8886; --c0: #2b6cb0; --c1: #c05621; --c2: #2f855a; --c3: #805ad5; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { text-align: right; padding: .2rem .8rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
svg { display: block; width: 100%; height: auto; margin: 1rem 0; font: 12px system-ui, sans-serif; fill: currentColor; }
svg line, svg path { stroke: currentColor; fill: none; }
svg .grid { stroke: var(--line); }
"""
COLOURS = 4
WIDTH, LEFT, RIGHT = 720, 90, 700
CURVE_TOP, CURVE_BOTTOM = 20, 240
STEPS = 200
FARTHEST = 0.99
"""Of the slowest curve, what is drawn."""


def page(title: str, parts: Sequence[str]) -> str:
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in body]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def listed(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def drawing(height: int, label: str, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def text(x: float, y: float, said: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(said)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def curves(label: str, seconds: Mapping[str, Sequence[float]]) -> str:
    """seconds: by name, in order. The share of each that is not longer than a time, up to the slowest one's p99."""
    slowest = (ordered[int(FARTHEST * (len(ordered) - 1))] for ordered in seconds.values() if ordered)
    most = max(slowest, default=0.0) or 1.0

    def point(time: float, share: float) -> tuple[float, float]:
        right = LEFT + min(time / most, 1.0) * (RIGHT - LEFT)
        return right, CURVE_BOTTOM - share * (CURVE_BOTTOM - CURVE_TOP)

    parts = []
    for quarter in range(5):
        x, y = point(most * quarter / 4, quarter / 4)
        parts += [line(LEFT, y, RIGHT, y, "grid"), text(LEFT - 8, y + 4, f"{quarter * 25}%", "end")]
        parts.append(text(x, CURVE_BOTTOM + 18, f"{most * quarter / 4 * 1000:.{0 if most > 0.1 else 1}f} ms", "middle"))
    for row, (name, ordered) in enumerate(seconds.items()):
        if not ordered:
            continue
        every = max(1, len(ordered) // STEPS)
        points = [point(time, (at + 1) / len(ordered)) for at, time in enumerate(ordered) if at % every == 0]
        path = "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points)
        colour = f"var(--c{row % COLOURS})"
        parts.append(f'<path d="{path}" style="stroke: {colour}; stroke-width: 2"/>')
        place = f'x="{RIGHT - 90}" y="{CURVE_BOTTOM - 60 + row * 16}"'
        parts.append(f'<text {place} style="fill: {colour}">{escape(name)}</text>')
    return drawing(CURVE_BOTTOM + 26, label, parts)
