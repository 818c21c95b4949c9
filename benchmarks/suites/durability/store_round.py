"""A process that writes all kinds of rows to a store for many callers at once, and says of each when it is durable."""

import asyncio
import hashlib
import os
import random
import secrets
import signal
import time
from pathlib import Path
from typing import NoReturn

from firstpass.chat import Message, Sampling, Usage
from firstpass.exchange import Answer, Ask, Consult, Exchange, Label, Receipt, Reply, Step
from firstpass.store.sqlite import SqliteStore

LONGEST_SECONDS = 0.15
"""From its first word on. A part is killed earlier, while the file is opened."""

BEGUN = "begun\n"


def begin(data: Path, callers: int, rng: random.Random) -> tuple[int, list[tuple[str, ...]]]:
    """Fork it, kill it, read what it said."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)  # a terminal's Ctrl-C is for the program that counts
        os.close(reading)
        _write(data / "firstpass.sqlite", callers, writing)
    os.close(writing)
    with os.fdopen(reading) as said:
        if rng.random() < 0.9:
            said.readline()
        time.sleep(rng.uniform(0, LONGEST_SECONDS))
        os.kill(pid, signal.SIGKILL)
        return pid, [tuple(line.split()) for line in said if line.endswith("\n") and line != BEGUN]


def _write(path: Path, callers: int, to: int) -> NoReturn:
    """Until it is killed. Each line says one thing that is durable."""
    try:
        asyncio.run(_write_all(SqliteStore(path), callers, to))
    finally:
        os._exit(1)


async def _write_all(store: SqliteStore, callers: int, to: int) -> None:
    os.write(to, BEGUN.encode())
    await asyncio.gather(*(_write_some(store, random.Random(secrets.randbits(64)), to) for _ in range(callers)))


async def _write_some(store: SqliteStore, rng: random.Random, to: int) -> None:
    """One caller: each exchange with what belongs to it, one after the other."""
    while True:
        exchange = f"ex_{rng.randbytes(12).hex()}"
        receipt = Receipt("verifier.example", time.time(), 10, hashlib.sha256(exchange.encode()).hexdigest())
        left = await store.soon(store.record_departure, exchange, receipt)
        os.write(to, f"receipt {left.number} {left.leaf}\n".encode())
        await store.soon(store.append, _exchange(exchange, rng.randrange(3000)))
        os.write(to, f"exchange {exchange}\n".encode())
        await store.soon(store.add_label, Label(exchange, "accept", "user", time.time()))
        os.write(to, f"label {exchange}\n".encode())
        assert await store.soon(store.add_spend, exchange[-1], "2026-01-01", 1.0, "2026-01-01", None)
        os.write(to, f"spend {exchange[-1]}\n".encode())


def _exchange(name: str, words: int) -> Exchange:
    ask = Ask(name, time.time(), "chat", "firstpass", "cascade", (Message("user", "word " * words),), Sampling())
    reply = Reply("said", "m", "stop", Usage(3, 4), 0.5)
    return Exchange(ask, (Step(Consult("draft", "draft"), reply),), Answer(0, "draft"), 1.0)
