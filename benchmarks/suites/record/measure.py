"""How a record behaves while it grows: appends, pages and searches at 10,000 exchanges and at a million.

Usage: python benchmarks/suites/record/measure.py [--size 1000000] [--small 10000] [--folder DIR] [--out results.json]

Two records are filled by the store's own code, a small one and a large one, and then measured in turn, one append to
each and so on: what else the machine does meets both alike, and their ratio is the figure.
"""

import argparse
import asyncio
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import accumulate
from pathlib import Path
from typing import Any

from firstpass.chat import Message, Usage
from firstpass.exchange import Answer, Ask, Consult, Exchange, Reply, Route, Step
from firstpass.store import Damaged
from firstpass.store.query import Query
from firstpass.store.sqlite import SqliteStore

WORDS = 50_000
ROUTES: tuple[Route, ...] = ("draft", "draft", "draft", "repaired", "unverified", "verified")
TOGETHER = 512
"""Appends that wait at once while a record is filled."""

IN_A_SESSION = 20


class Made:
    """Exchanges as a server has them: questions of some 250 words that are as unevenly common as words are."""

    def __init__(self, seed: int) -> None:
        self.of = random.Random(seed)
        self.words = [f"{self.of.choice(('get', 'set', 'make', 'is'))}Word{number:05d}" for number in range(WORDS)]
        self._weights = list(accumulate(1 / (rank + 10) for rank in range(WORDS)))

    def text(self, length: int) -> str:
        return " ".join(self.of.choices(self.words, cum_weights=self._weights, k=length))

    def exchange(self, number: int) -> Exchange:
        ask = Ask(
            f"ex_{self.of.getrandbits(96):024x}",
            1_700_000_000.0 + number,
            "chat",
            "firstpass",
            "cascade",
            (Message("user", self.text(self.of.randint(20, 480))),),
            session=f"session {number // IN_A_SESSION}" if number % 3 else None,
            key=f"{number % 5:08x}",
            contract="pr-summary@4" if number % 2 else None,
        )
        reply = Reply(self.text(60), "m", "stop", Usage(400, 90), 0.4)
        ending = Answer(0, self.of.choice(ROUTES))
        return Exchange(ask, (Step(Consult("draft", "draft"), reply),), ending, 0.5)


async def fill(store: SqliteStore, made: Made, size: int) -> float:
    """Exchanges a second."""
    begun = time.perf_counter()
    for first in range(0, size, TOGETHER):
        some = [made.exchange(number) for number in range(first, min(size, first + TOGETHER))]
        await asyncio.gather(*(store.soon(store.append, one) for one in some))
        if first % (TOGETHER * 100) == 0:
            print(f"{first:>9} of {size}", flush=True)
    while store._is_behind():
        store._catch_up()
    return size / (time.perf_counter() - begun)


def appends(stores: dict[str, SqliteStore], made: Made, rounds: int) -> dict[str, list[float]]:
    """Seconds of each append, one to each record in turn."""
    took: dict[str, list[float]] = {name: [] for name in stores}
    for number in range(rounds):
        names = list(stores)
        made.of.shuffle(names)
        for name in names:
            exchange = made.exchange(10**7 + number)
            begun = time.perf_counter()
            stores[name].append(exchange)
            took[name].append(time.perf_counter() - begun)
    return took


def looks(store: SqliteStore, made: Made) -> dict[str, Callable[[], Any]]:
    """What somebody looks for, each anew each time."""
    ids = [one.ask.id for one in store.browse(Query(limit=200)) if isinstance(one, Exchange)]
    while len(ids) < 5000 and (page := list(store.browse(Query(limit=200, before=ids[-1])))):
        ids += [one.ask.id for one in page if isinstance(one, Exchange)]
    of = made.of

    def found(query: Query) -> list[Exchange | Damaged]:
        return list(store.browse(query))

    def word() -> str:
        return of.choices(made.words, cum_weights=made._weights)[0]

    return {
        "the newest page": lambda: found(Query()),
        "a later page": lambda: found(Query(before=of.choice(ids))),
        "a page of one key": lambda: found(Query(owners=(f"{of.randrange(5):08x}",))),
        "a page of a route and a contract": lambda: found(Query(route="verified", contract="pr-summary")),
        "a word": lambda: found(Query(words=word())),
        "a word that is rare": lambda: found(Query(words=of.choice(made.words[-20_000:]))),
        "three words": lambda: found(Query(words=f"{word()} {word()} {word()}")),
        "a phrase": lambda: found(Query(words=f'"{word()} {word()}"')),
        "a word of one key and route": lambda: found(
            Query(words=word(), owners=(f"{of.randrange(5):08x}",), route="repaired")
        ),
        "a word that nobody said": lambda: found(Query(words=f"nobody{of.random()}")),
        "one session": lambda: found(Query(session=f"session {of.randrange(100)}")),
        "the last sessions": lambda: list(store.sessions(Query(limit=50))),
        "sessions with a word": lambda: list(store.sessions(Query(limit=20, words=word()))),
    }


def timed(work: Callable[[], Any], times: int) -> list[float]:
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        took.append(time.perf_counter() - begun)
    return took


def milliseconds(took: list[float]) -> dict[str, float]:
    ordered = sorted(took)
    shares = {"p50": 0.5, "p99": 0.99}
    return {name: round(1000 * ordered[int(share * (len(ordered) - 1))], 2) for name, share in shares.items()}


def named(folder: Path) -> Iterator[tuple[str, Path]]:
    for name in ("small", "large"):
        yield name, folder / f"{name}.sqlite"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--appends", type=int, default=3000)
    parser.add_argument("--looks", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="Where records that were filled before are, or will be.")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="record-"))
    folder.mkdir(exist_ok=True)
    paths, sizes, found = dict(named(folder)), {"small": given.small, "large": given.size}, dict[str, Any]()
    for name, path in paths.items():
        if not path.exists():
            with closing(SqliteStore(path)) as store:
                rate = asyncio.run(fill(store, Made(1), sizes[name]))
            found[f"{name}: filled, exchanges a second"] = round(rate)
    stores = {name: SqliteStore(path) for name, path in paths.items()}
    made = Made(time.time_ns())
    took = appends(stores, made, given.appends)
    for name, seconds in took.items():
        found[f"{name}: append, ms"] = milliseconds(seconds)
    for share in ("p50", "p99"):
        of_large, of_small = (milliseconds(took[name])[share] for name in ("large", "small"))
        found[f"append, {share}, large of small"] = round(of_large / of_small, 3)
    for name, store in stores.items():
        for what, look in looks(store, made).items():
            found[f"{name}: {what}, ms"] = milliseconds(timed(look, given.looks))
    for name, store in stores.items():
        found[f"{name}: MB"] = round(paths[name].stat().st_size / 1e6)
        store.close()
    for what, figure in found.items():
        print(f"{what}: {figure}")
    if given.out:
        given.out.write_text(json.dumps({"sizes": sizes, "found": found}, indent=2) + "\n")
    if given.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
