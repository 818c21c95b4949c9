"""Kill -9 what writes the record, again and again: is everything that was acknowledged still there?

    python kill.py store --kills 1000 [--callers 64] [--seed 1] [--directory DIR] [--out results.json]
    python kill.py front --kills 100

`store` kills a process that writes to the store and nothing else, `front` a whole server before a scripted engine.
After each kill the file is opened by this version (which also repairs what the kill left), then held against what was
acknowledged and verified as `firstpass audit verify` does, SQLite's `integrity_check` among it. Status 1 if anything is
missing or damaged. SIGINT or SIGTERM ends it after the kill that it is at; whatever ends it, it says what it saw.
Linux: the process is a fork of this one, so that a start costs milliseconds.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import front_round
import store_round

from firstpass.store.sqlite import SqliteStore
from firstpass.store.verify import reading, verify

KILLS_A_FILE = 25
"""Then a new one is begun: a verification reads the whole file."""

Acknowledged = list[tuple[str, ...]]
Round = Callable[[Path, int, random.Random], tuple[int, Acknowledged]]
"""Starts a process on a data directory, which writes for so many callers; gives its id when it was killed, and what
it acknowledged."""


@dataclass
class Tally:
    """acknowledged, missing: how many of each kind. flaws: what a verification said."""

    kills: int = 0
    acknowledged: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    flaws: list[str] = field(default_factory=list)
    idle: int = 0
    refused: int = 0
    stopped: bool = False

    def stop(self, number: int, _: object) -> None:
        """By a signal; the next one of its kind ends the program at once."""
        self.stopped = True
        signal.signal(number, signal.SIG_DFL)

    def summary(self) -> dict[str, object]:
        return {
            "kills": self.kills,
            "before_any_answer": self.idle,
            "refused": self.refused,
            "acknowledged": self.acknowledged.total(),
            "missing": self.missing.total(),
            "integrity": self.flaws[:10] or "ok",
            "acknowledged_by_kind": self.acknowledged,
            "missing_by_kind": +self.missing,
        }

    def add(self, path: Path, acknowledged: Acknowledged, spends: Counter[str]) -> None:
        self.kills += 1
        SqliteStore(path).close()
        self.acknowledged.update(kind for kind, *_ in acknowledged if kind != "refused")
        self.refused += sum(kind == "refused" for kind, *_ in acknowledged)
        self.idle += not acknowledged
        spends.update(said[0] for kind, *said in acknowledged if kind == "spend")
        with reading(path) as connection:
            for kind, *said in acknowledged:
                if kind in FINDS and not list(connection.execute(FINDS[kind], tuple(said))):
                    self.missing[kind] += 1
            for owner, dollars in spends.items():
                [(spent,)] = connection.execute("SELECT total(usd) FROM spends WHERE owner = ?", (owner,))
                self.missing["spend"] += max(0, dollars - round(spent))
        self.flaws += verify(path, []).flaws


EXCHANGE = "SELECT 1 FROM exchanges WHERE id = ?"
FINDS = {
    "exchange": EXCHANGE,
    "stream": EXCHANGE,
    "label": "SELECT 1 FROM labels WHERE exchange_id = ?",
    "receipt": "SELECT 1 FROM log WHERE number = ? AND lower(hex(substr(nodes, 1, 32))) = ?",
}
"""How each kind of what was acknowledged is found again."""


def main() -> None:
    parsed = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parsed.add_argument("what", choices=["store", "front"])
    parsed.add_argument("--kills", type=int, default=100)
    parsed.add_argument("--callers", type=int, default=64)
    parsed.add_argument("--seed", type=int, default=1)
    parsed.add_argument("--directory", type=Path, help="where the stores are made; a temporary one by default")
    parsed.add_argument("--out", type=Path)
    wanted = parsed.parse_args()
    tally = Tally()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, tally.stop)
    try:
        _run(wanted, tally)
    finally:
        said = {"what": wanted.what, "callers": wanted.callers, "seed": wanted.seed} | tally.summary()
        print(json.dumps(said))
        if wanted.out:
            wanted.out.write_text(json.dumps(said, indent=1) + "\n")
    sys.exit(1 if +tally.missing or tally.flaws else 0)


def _run(wanted: argparse.Namespace, tally: Tally) -> None:
    with tempfile.TemporaryDirectory(dir=wanted.directory, prefix="durability-") as held:
        if wanted.what == "store":
            _kill(store_round.begin, wanted, Path(held), tally)
        else:
            with front_round.engine() as url:
                _kill(front_round.before(url), wanted, Path(held), tally)


def _kill(begin: Round, wanted: argparse.Namespace, held: Path, tally: Tally) -> None:
    rng = random.Random(wanted.seed)
    spends: Counter[str] = Counter()
    data = held / "0"
    for number in range(wanted.kills):
        if tally.stopped:
            return
        if number % KILLS_A_FILE == 0:
            shutil.rmtree(data, ignore_errors=True)
            data, spends = held / str(number), Counter()
        pid, acknowledged = begin(data, wanted.callers, rng)
        _, status = os.waitpid(pid, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL, f"it ended by itself: {status}"
        tally.add(data / "firstpass.sqlite", acknowledged, spends)
        if number % 100 == 99 or (wanted.what == "front" and number % 10 == 9):
            print(number + 1, dict(tally.acknowledged), dict(+tally.missing), tally.flaws[:3], flush=True)


if __name__ == "__main__":
    main()
