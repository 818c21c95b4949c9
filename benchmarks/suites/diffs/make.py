"""Makes a workload of the main job: each line asks for a PR summary of another made diff.

    python -m benchmarks.suites.diffs.make --number 200 --out diffs.jsonl

The diffs are in seven languages, of all sizes between two, small ones as often as large ones. `--for engine` writes
what Firstpass would ask its engine for the same diffs, in the same order.
"""

from collections.abc import Iterator

from benchmarks.making.changes import Change, Work
from benchmarks.making.workload import chance, contracted, options, rendered, write

LEAST_BYTES, MOST_BYTES = 400, 9_000
FORMS = {"firstpass": contracted, "engine": rendered}


def changes(number: int, seed: int, least_bytes: int = LEAST_BYTES, most_bytes: int = MOST_BYTES) -> Iterator[Change]:
    """Each of another repository. A diff has at least the bytes that were drawn for it, and one edit more at most."""
    of = chance(seed, "sizes")
    for at in range(number):
        size = least_bytes * (most_bytes / least_bytes) ** of.random()
        yield Work(f"{seed} {at}").grow(int(size))


def main() -> None:
    parser = options(__doc__, 200)
    parser.add_argument("--least-bytes", type=int, default=LEAST_BYTES, help="of a diff")
    parser.add_argument("--most-bytes", type=int, default=MOST_BYTES)
    parser.add_argument("--for", dest="form", choices=FORMS, default="firstpass")
    wanted = parser.parse_args()
    made = changes(wanted.number, wanted.seed, wanted.least_bytes, wanted.most_bytes)
    write(wanted, (FORMS[wanted.form](change.diff) for change in made))


if __name__ == "__main__":
    main()
