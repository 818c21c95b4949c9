"""Nothing crosses a ceiling: canaries in requests of every kind, and what verifier, logs, metrics and traces hold.

CANARIES: how many requests, 600 by default; 10,000 before a release.
"""

import asyncio
import json
import logging
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from firstpass.cli.logs import JsonFormatter
from firstpass.exchange import Ceiling
from firstpass.store.sqlite import SqliteStore
from tests.canaries import CEILINGS, Canary, Planter, Try, Upstream
from tests.conftest import fronted, serving
from tests.keyed import new_key

NUMBER = int(os.environ.get("CANARIES", "600"))
AT_ONCE = 8
KEY = "verifier-key-of-the-server"
TRACED = find_spec("opentelemetry.sdk") is not None


@dataclass
class Tried:
    """What was asked under which ceiling, and how it ended."""

    canaries: list[tuple[Canary, Ceiling]] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    left: int = 0


@contextmanager
def logged() -> Iterator[list[str]]:
    """All that is logged meanwhile, as the server shows it, with tracebacks and lines of exchanges."""
    lines: list[str] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Listening(logging.DEBUG)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


async def ask(client: httpx.AsyncClient, planter: Planter, one: Try, tried: Tried) -> None:
    tried.canaries.append((one.canary, planter.effective(one)))
    try:
        async with asyncio.timeout(one.leaves_after):
            answer = await client.request(one.method, one.path, json=one.body, headers=one.headers)
    except TimeoutError:
        tried.left += 1
        return
    tried.statuses[answer.status_code] += 1
    if one.path == "/v1/responses" and answer.is_success and not one.body.get("stream") and one.body.get("store", True):
        planter.heard(one, answer.json()["id"])


async def plant(url: str, planter: Planter, number: int) -> Tried:
    tried, places = Tried(), asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with places:
            await ask(client, planter, planter.draw(), tried)

    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits, trust_env=False) as client:
        await asyncio.gather(*(one() for _ in range(number)))
    return tried


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("ceiling", CEILINGS)
def test_no_canary_crosses_its_ceiling(tmp_path: Path, ceiling: Ceiling, dialect: str) -> None:
    engine, verifier = Upstream(drafts=True), Upstream(drafts=False)
    number = NUMBER // 6
    with serving(engine) as engine_url, serving(verifier) as verifier_url, logged() as lines:
        settings = {"url": f"{verifier_url}/v1", "model": "big", "dialect": dialect, "api_key": KEY}
        sections = {"verifier": settings, "policy": {"egress": ceiling}, "server": {"log_format": "json"}}
        if TRACED:
            sections["telemetry"] = {"traces_file": tmp_path / "traces.jsonl"}
        made = {of: new_key(tmp_path / "data", ceiling=of) for of in CEILINGS}
        with fronted(engine_url, tmp_path / "data", **sections) as client:
            planter = Planter(number, ceiling, {of: key for of, (key, _) in made.items()})
            tried = asyncio.run(plant(str(client.base_url), planter, number))
            metrics = client.get("/metrics").text
    heard = b"\n".join(verifier.heard).decode(errors="replace")
    crossed = [mark for mark, under in tried.canaries if under == "local-only" and mark.plain in heard]
    shown = [mark for mark, under in tried.canaries if under != "any" and mark.secret in heard]
    assert crossed == [] and shown == []
    told = "\n".join([*lines, (tmp_path / "traces.jsonl").read_text() if TRACED else ""])
    for mark, _ in tried.canaries:
        assert mark.plain not in told and mark.secret not in told
        assert mark.plain not in metrics and mark.secret not in metrics
    for secret in (KEY, *(key for key, _ in made.values())):
        assert secret not in told and secret not in metrics
    assert_recorded(tmp_path / "data/firstpass.sqlite", verifier, tried)
    assert_tried(tried, verifier, ceiling, number)


def assert_recorded(path: Path, verifier: Upstream, tried: Tried) -> None:
    """Every body that the verifier heard has a record of its own; more records than that have only callers who left."""
    store = SqliteStore(path)
    entries = map(json.loads, store.entries(None, 1_000_000))
    recorded = Counter(entry["sha256"] for entry in entries if entry["event"] == "departure")
    store.close()
    heard = Counter(verifier.bodies)
    assert heard - recorded == Counter()
    assert (recorded - heard).total() <= tried.left


def assert_tried(tried: Tried, verifier: Upstream, ceiling: Ceiling, number: int) -> None:
    """That the search could have found something: most were answered, and what may leave did."""
    assert tried.statuses.total() + tried.left == number and tried.statuses[200] > number / 3
    assert 500 not in tried.statuses
    under = Counter(under for _, under in tried.canaries)
    heard = b"\n".join(verifier.heard).decode(errors="replace")
    left = Counter(under for mark, under in tried.canaries if mark.plain in heard)
    assert set(left) == {one for one in under if one != "local-only"}, json.dumps([under, left])
