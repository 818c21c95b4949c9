"""What a run of `firstpass bench` on this workload says of each length of prompt.

    python -m benchmarks.suites.long.by_length RUN/requests.csv

Prompts whose tokens, to the next hundred, are as many count as one length.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import median

SHOWN = {"ttft_ms": "first token, ms", "tpot_ms": "a token after it, ms"}


def table(requests: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """Medians of an arm and a length, each beside that of the arm's shortest prompts."""
    found = defaultdict[tuple[str, int], list[Mapping[str, str]]](list)
    for one in requests:
        if not one["error"]:
            found[one["arm"], round(int(one["tokens_in"]), -2)].append(one)
    yield f"| arm | tokens | requests | {' | '.join(f'{title} | times' for title in SHOWN.values())} |"
    yield f"|{'---|' * (3 + 2 * len(SHOWN))}"
    shortest = dict[str, dict[str, float]]()
    for (arm, tokens), rows in sorted(found.items()):
        values = {name: median(float(one[name]) for one in rows if one[name]) for name in SHOWN}
        least = shortest.setdefault(arm, values)
        cells = (f"{value:.1f} | {value / least[name]:.2f}" for name, value in values.items())
        yield f"| {arm} | {tokens:,} | {len(rows)} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("requests", type=Path)
    with parser.parse_args().requests.open(encoding="utf-8", newline="") as file:
        print("\n".join(table(csv.DictReader(file))))


if __name__ == "__main__":
    main()
