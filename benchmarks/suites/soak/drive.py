"""A front before `firstpass mock`, asked for as long as wanted: what became of each request, and what the front kept.

    python benchmarks/suites/soak/drive.py --seconds 60 --faults reset:0.01,hang:0.001,429:0.02

Needs no model: the engine and the verifier are two mocks, each with faults of its own seed. Exit status 1 where a
request hung, broke off without a word, or where the front still works on something at the end.
"""

import argparse
import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

START_SECONDS = 120.0
SETTLE_SECONDS, SETTLE_TRIES = 20.0, 100
SAMPLE_SECONDS = 1.0
DIFF = """diff --git a/auth.py b/auth.py
--- a/auth.py
+++ b/auth.py
@@ -1,3 +1,4 @@
 def login(user):
     check(user)
+    s = createSession(user)
     return user
"""
ENDS = {"chat/completions": "data: [DONE]", "completions": "data: [DONE]", "messages": "event: message_stop"}
"""By path, how a stream that is whole ends; that of a response says its status."""


@dataclass
class Seen:
    """ends: how requests ended, by what the caller saw. rss_bytes, descriptors: of the front, from second to second."""

    ends: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    rss_bytes: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)


def asked(rng: random.Random, number: int) -> tuple[str, dict[str, Any]]:
    """The path below /v1, and the body."""
    text = f"request {number}: " + "say these words again, one after the other " * rng.randint(1, 5)
    model = rng.choice(["local", "local", "strong", "firstpass"])
    path = rng.choice([*ENDS, "responses"])
    body: dict[str, Any] = {"model": model, "stream": rng.random() < 0.5}
    match path:
        case "completions":
            return path, body | {"prompt": text, "model": "local"}
        case "responses":
            return path, body | {"input": text}
        case "messages":
            return path, body | {"max_tokens": 99, "messages": [{"role": "user", "content": text}]}
    if rng.random() < 0.2:
        contract = {"firstpass": {"contract": "pr-summary"}}
        return path, body | {"messages": [{"role": "user", "content": DIFF}]} | contract
    return path, body | {"messages": [{"role": "user", "content": text}]}


def end_of(path: str, stream: bool, response: httpx.Response) -> str:
    """What the caller has: an answer, an error by its status or in its stream, or something that is neither."""
    if not response.is_success:
        try:
            return f"status {response.status_code} {response.json()['error'].get('code') or 'error'}"
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"status {response.status_code} without a word"
    text = response.text
    if not stream:
        return "answer" if text.endswith("}") else "cut answer"
    last = text.rstrip().rpartition("\n\n")[2]
    whole = '"type":"response.completed"' in last.replace(" ", "") if path == "responses" else ENDS[path] in last
    if whole:
        return "streamed answer"
    return "error in the stream" if "error" in last or "failed" in last else "broken off"


class Soak:
    def __init__(self, client: httpx.AsyncClient, pid: int, options: argparse.Namespace) -> None:
        self._client = client
        self._pid = pid
        self._options = options
        self._number = 0
        self._end = time.monotonic() + options.seconds
        self.seen = Seen()

    async def run(self) -> None:
        sampling = asyncio.create_task(self._sample())
        await asyncio.gather(*(self._caller() for _ in range(self._options.at_once)))
        sampling.cancel()

    async def _caller(self) -> None:
        while time.monotonic() < self._end and self._number < self._options.requests:
            number, self._number = self._number, self._number + 1
            path, body = asked(random.Random(f"{self._options.seed}:{number}"), number)
            began = time.monotonic()
            self.seen.ends[await self._ask(path, body)] += 1
            self.seen.seconds.append(time.monotonic() - began)

    async def _ask(self, path: str, body: dict[str, Any]) -> str:
        try:
            async with asyncio.timeout(self._options.patience):
                return end_of(path, body["stream"], await self._client.post(f"/v1/{path}", json=body))
        except TimeoutError:
            return "hung"
        except httpx.HTTPError as error:
            return f"connection broke ({type(error).__name__})"

    async def _sample(self) -> None:
        while True:
            self.seen.rss_bytes.append(rss_bytes(self._pid))
            self.seen.descriptors.append(descriptors(self._pid))
            await asyncio.sleep(SAMPLE_SECONDS)


def rss_bytes(pid: int) -> int:
    """Source: proc(5), statm: the second number is of pages."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@contextmanager
def running(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "firstpass", *arguments]
    child = subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | environment
    )
    try:
        yield child
    finally:
        child.terminate()
        child.communicate(timeout=60)


@contextmanager
def mock(options: argparse.Namespace, seed: int) -> Iterator[str]:
    delays = ("--delay", str(options.delay), "--rate", str(options.rate))
    with running("mock", "--port", "0", "--seed", str(seed), "--faults", options.faults, *delays) as child:
        assert child.stderr is not None
        yield child.stderr.readline().split()[-1]


@contextmanager
def front(engine: str, verifier: str, data_dir: str, reply_seconds: float) -> Iterator[tuple[str, int]]:
    """The URL and the process. What it logs goes to a file in its data directory."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "SERVER__DATA_DIR": data_dir,
        "SERVER__PORT": str(port),
        "ENGINE__KIND": "external",
        "ENGINE__URL": engine,
        "ENGINE__REPLY_SECONDS": str(reply_seconds),
        "VERIFIER__URL": verifier,
        "VERIFIER__MODEL": "mock",
        "VERIFIER__DIALECT": "anthropic",
        "VERIFIER__HOSTED": "false",
        "VERIFIER__REPLY_SECONDS": str(reply_seconds),
        "VERIFIER__WHOLE_SECONDS": str(2 * reply_seconds),
    }
    environment = {f"FIRSTPASS_{name}": value for name, value in settings.items()}
    with (Path(data_dir) / "log").open("w") as log:
        command = [sys.executable, "-m", "firstpass", "serve"]
        child = subprocess.Popen(command, env=os.environ | environment, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url)
        yield url, child.pid
    finally:
        child.terminate()
        child.wait(timeout=90)


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(base_url=url, trust_env=False) as client:
        while time.monotonic() < deadline:
            try:
                if client.get("/readyz").is_success:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
    raise SystemExit("the front was not ready in time")


async def soak(options: argparse.Namespace, url: str, pid: int) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=options.at_once, max_keepalive_connections=options.at_once)
    async with httpx.AsyncClient(base_url=url, timeout=2 * options.patience, limits=limits, trust_env=False) as client:
        work = Soak(client, pid, options)
        began = time.monotonic()
        await work.run()
        seconds, in_flight = time.monotonic() - began, await at_rest(client)
    seen, took = work.seen, sorted(work.seen.seconds)
    return {
        "requests": len(took),
        "seconds": round(seconds, 1),
        "ends": dict(seen.ends.most_common()),
        "p50_ms": round(1000 * took[len(took) // 2], 1),
        "p99_ms": round(1000 * took[int(0.99 * len(took))], 1),
        "longest_s": round(took[-1], 2),
        "rss_mb": [round(size / 1e6, 1) for size in (seen.rss_bytes[0], max(seen.rss_bytes), rss_bytes(pid))],
        "descriptors": [seen.descriptors[0], max(seen.descriptors), descriptors(pid)],
        "in_flight": in_flight,
    }


async def at_rest(client: httpx.AsyncClient) -> float:
    """What is still being worked on, once it is nothing or has had its time."""
    for _ in range(SETTLE_TRIES):
        count = _in_flight((await client.get("/metrics")).text)
        if not count:
            break
        await asyncio.sleep(SETTLE_SECONDS / SETTLE_TRIES)
    return count


def _in_flight(metrics: str) -> float:
    return next(float(line.split()[1]) for line in metrics.splitlines() if line.startswith("firstpass_in_flight "))


def failed(found: dict[str, Any]) -> bool:
    wrong = ("hung", "broken off", "cut answer", "connection broke")
    silent = [end for end in found["ends"] if end.startswith(wrong) or end.endswith("without a word")]
    return bool(silent) or found["in_flight"] > 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--requests", type=int, default=1_000_000, help="No more than this.")
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--faults",
        default="refuse:0.01,reset:0.02,hang:0.002,stall:0.002,429:0.02,500:0.02,503:0.02,type:0.01,truncated:0.02,"
        "garbage:0.02,redirect:0.01",
    )
    parser.add_argument("--delay", type=float, default=0.01, help="Of the mocks, before the first token.")
    parser.add_argument("--rate", type=float, default=0.0, help="Of the mocks, tokens a second.")
    parser.add_argument("--reply-seconds", type=float, default=3.0, help="How long the front waits for a silent model.")
    parser.add_argument("--patience", type=float, default=60.0, help="Seconds after which a request has hung.")
    options = parser.parse_args()
    with (
        mock(options, options.seed) as engine,
        mock(options, options.seed + 1) as verifier,
        tempfile.TemporaryDirectory() as data_dir,
        front(engine, verifier, data_dir, options.reply_seconds) as (url, pid),
    ):
        found = asyncio.run(soak(options, url, pid))
    print(json.dumps(found, indent=1))
    sys.exit(1 if failed(found) else 0)


if __name__ == "__main__":
    main()
