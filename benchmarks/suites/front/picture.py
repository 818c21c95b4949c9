"""The results as a table and as a picture: what each server adds to asking the upstream directly.

Usage: python benchmarks/suites/front/picture.py results.json    # prints the table, writes results.svg
"""

import json
import re
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

NAMES = {
    "firstpass": "Firstpass",
    "copier": "a copier of bytes",
    "against": "Firstpass before",
    "litellm": "LiteLLM",
    "portkey": "Portkey",
}
COLOURS = {
    "copier": "#27ae60",
    "firstpass": "#1f5fa8",
    "against": "#7f8c8d",
    "litellm": "#c0392b",
    "portkey": "#d68910",
}
WIDTH, LABELS, BARS, ROW, COLUMNS = 470, 112, 280, 22, 2
HERE = Path(__file__).parent
PUBLISHED = HERE / "results.json"
READMES = {HERE / "README.md": 10, HERE.parents[2] / "README.md": 6}
"""Where the table of the published results stands, with so many of its rows."""

BEGINS, ENDS = "<!-- front's figures -->", "<!-- end of them -->"
PLACE = re.compile(f"{BEGINS}(.*?){ENDS}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure as it is shown. of: of a contender's round and the direct one's."""

    title: str
    figure: str
    of: Callable[[float, float], float]


def added(theirs: float, direct: float) -> float:
    return theirs - direct


def whole(theirs: float, _: float) -> float:
    return theirs


def times(theirs: float, direct: float) -> float:
    return theirs / direct


SHOWN = (
    Shown("added to an answer's p50, ms", "p50_ms", added),
    Shown("CPU a request, ms", "cpu_ms_a_request", whole),
    Shown("requests/s at 16 connections, direct = 1 (more is better)", "requests_a_second_at_16", times),
    Shown("CPU a request at 16 connections, ms", "cpu_ms_a_request_at_16", whole),
    Shown("CPU a streamed chunk, µs", "cpu_us_a_chunk", whole),
    Shown("added to the first of 256 chunks at once, ms", "burst_first_ms", added),
    Shown("added to how late chunks are at 64 streams, p99, ms", "late_p99_ms_at_64", added),
    Shown("added to how late chunks are at 256 streams, p99, ms", "late_p99_ms_at_256", added),
    Shown("p99 between two chunks at 64 streams, direct = 1", "frame_p99_ms_at_64", times),
    Shown("p99 between two chunks at 256 streams, direct = 1", "frame_p99_ms_at_256", times),
)


def table(results: Mapping[str, Any], rows: int = len(SHOWN)) -> str:
    """In Markdown; medians of the rounds, and under what circumstances."""
    names = shown_contenders(results)
    heads = ["medians", *(NAMES[name] for name in names)]
    lines = [heads, ["---"] * len(heads)]
    lines += [[shown.title, *(_said(value(results, name, shown)) for name in names)] for shown in SHOWN[:rows]]
    versions = ", ".join(f"{NAMES[name]} {results['contenders'].get(name, 'did not start')}" for name in names)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{versions}. {circumstances(results)}."


def publish(results: Mapping[str, Any]) -> None:
    """The results, the picture and the tables of the READMEs, as this repository has them."""
    PUBLISHED.write_text(json.dumps(results, indent=1) + "\n")
    PUBLISHED.with_suffix(".svg").write_text(draw(results))
    for path, rows in READMES.items():
        before, _, after = PLACE.split(path.read_text())
        path.write_text(f"{before}{BEGINS}\n{table(results, rows)}\n{ENDS}{after}")


def value(results: Mapping[str, Any], name: str, shown: Shown) -> float | None:
    """The median; None where it or the direct one is missing."""
    ours, direct = (results["figures"].get(one, {}).get(shown.figure) for one in (name, "direct"))
    return statistics.median(map(shown.of, ours, direct)) if ours and direct else None


def shown_contenders(results: Mapping[str, Any]) -> list[str]:
    return [name for name in NAMES if name in results["contenders"] or name in results["missing"]]


def _said(found: float | None) -> str:
    return "none" if found is None else f"{found:.3g}" if abs(found) < 100 else f"{found:.0f}"


def draw(results: Mapping[str, Any]) -> str:
    """An SVG: a panel for each figure, a bar for each contender."""
    names = shown_contenders(results)
    panel = ROW * (len(names) + 1) + 26
    rows = -(-len(SHOWN) // COLUMNS)
    height = 20 + panel * rows + 24
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {COLUMNS * WIDTH + 20} {height}" role="img">']
    parts.append("<title>What each server adds to asking the same upstream directly</title>")
    parts.append('<rect width="100%" height="100%" fill="white"/><g font-family="sans-serif" font-size="12">')
    for number, shown in enumerate(SHOWN):
        found = {name: value(results, name, shown) for name in names}
        parts += _panel(shown.title, found, 20 + WIDTH * (number % COLUMNS), 20 + panel * (number // COLUMNS))
    parts.append(f'<text x="20" y="{height - 12}" fill="#777">{escape(circumstances(results))}</text></g></svg>')
    return "\n".join(parts) + "\n"


def circumstances(results: Mapping[str, Any]) -> str:
    about = results["machine"]
    cores = f"{about['cores']} cores, of which others used {about['cores_that_others_used']} meanwhile"
    return f"{about['cpu']}, {cores}; {results['rounds']} rounds, {results['at']}"


def _panel(title: str, found: Mapping[str, float | None], left: int, top: int) -> list[str]:
    most = max((one for one in found.values() if one), default=0) or 1
    parts = [f'<text x="{left}" y="{top + 14}" font-weight="bold">{title}</text>']
    for number, (name, one) in enumerate(found.items(), 1):
        y = top + ROW * number
        width = BARS * max(0.0, one or 0.0) / most
        parts.append(f'<text x="{left}" y="{y + 15}">{NAMES[name]}</text>')
        parts.append(
            f'<rect x="{left + LABELS}" y="{y + 3}" width="{width:.1f}" height="{ROW - 6}" fill="{COLOURS[name]}"/>'
        )
        parts.append(f'<text x="{left + LABELS + width + 6:.1f}" y="{y + 15}">{_said(one)}</text>')
    return parts


def main() -> None:
    path = Path(sys.argv[1])
    results = json.loads(path.read_text())
    print(table(results))
    path.with_suffix(".svg").write_text(draw(results))


if __name__ == "__main__":
    main()
