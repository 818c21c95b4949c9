"""The process inside: shut in, tested with planted leaks, then at work. A line of JSON a phase on standard output."""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from firstpass.prove import enclosure
from firstpass.prove.counters import read
from firstpass.prove.seen import END, PLANTED, Phase

IMPOSSIBLE = 3
"""The exit status where the system has no network namespace for us."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="firstpass.prove", description=__doc__)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--plant", action="store_true")
    wanted = parser.parse_args()
    try:
        open_to = enclosure.enter()
    except OSError as error:
        print(f"this system has no network namespace for us: {error.strerror}", file=sys.stderr)
        return IMPOSSIBLE
    for directory in open_to:
        print(f"the sockets in {directory} could not be hidden: a service there may speak for us", file=sys.stderr)
    logging.basicConfig(handlers=[logging.NullHandler()])
    for phase in watched(wanted.config, wanted.plant):
        print(phase.line(), flush=True)
    return 0


def watched(config: Path | None, planted: bool) -> Iterator[Phase]:
    """The leaks first; the work only if they were seen. What ends the work too early is the last phase's fault."""
    from firstpass.errors import FirstpassError
    from firstpass.prove.plants import LEAKS, unseen
    from firstpass.prove.suite import phases
    from firstpass.settings import load

    missed = unseen()
    yield Phase(PLANTED, len(LEAKS), [f"{name} was not counted: {how}" for name, how in missed.items()])
    if missed:
        return
    watch, last = Watch(), Phase(END)
    with tempfile.TemporaryDirectory(prefix="firstpass-proof-") as directory:
        try:
            for phase in phases(load(config), Path(directory), planted):
                yield watch.lap(phase)
        except FirstpassError as error:
            last.wrong.append(str(error))
    yield watch.lap(last)


class Watch:
    """What was counted, and how long it took, since the phase before."""

    def __init__(self) -> None:
        self._counts, self._time = read(), time.monotonic()

    def lap(self, phase: Phase) -> Phase:
        now, at = read(), time.monotonic()
        phase.counts, phase.seconds = now.since(self._counts), round(at - self._time, 1)
        self._counts, self._time = now, at
        return phase


if __name__ == "__main__":
    sys.exit(main())
