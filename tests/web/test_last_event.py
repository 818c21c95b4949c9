"""The event by which a client knows that an answer is whole comes when the record of the exchange is on the disk.

Kills of the front lost 123 of 1,250 exchanges whose streams had ended with `[DONE]`; a full disk made an error follow.
"""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

from tests.conftest import fronted, serving
from tests.dialects import PATHS, USER
from tests.doubles import claude_event
from tests.replayed import STREAM, Replayed
from tests.scenes import until

ENDS = {"chat": "data: [DONE]", "messages": "event: message_stop", "responses": "event: response.completed"}
CLAUDE = "".join(
    map(
        claude_event,
        [
            {"type": "message_start", "message": {"model": "claude", "usage": {"input_tokens": 1, "output_tokens": 1}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
            {"type": "message_stop"},
        ],
    )
).encode()
ways = pytest.mark.parametrize(("dialect", "model"), [(one, model) for one in PATHS for model in ("local", "strong")])


Front = tuple[httpx.Client, Path]


@contextmanager
def waiting(factory: pytest.TempPathFactory, milliseconds: int) -> Iterator[Front]:
    """A front whose record waits as long for others who write, with its data directory."""
    data = factory.mktemp("last")
    with pytest.MonkeyPatch.context() as patch, serving(Replayed(STREAM).app) as url:
        patch.setattr("firstpass.store.opening.BUSY_MILLISECONDS", milliseconds)
        with serving(Replayed(CLAUDE).app) as claude:
            verifier = {"dialect": "anthropic", "url": f"{claude}/v1", "model": "claude", "hosted": False}
            with fronted(url, data, verifier=verifier) as client:
                yield client, data


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with waiting(tmp_path_factory, 60_000) as front:
        yield front


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with waiting(tmp_path_factory, 500) as front:
        yield front


@contextmanager
def busy(data: Path) -> Iterator[apsw.Connection]:
    """Somebody else writes to the record until the block ends."""
    with closing(apsw.Connection(str(data / "firstpass.sqlite"))) as other:
        other.set_busy_timeout(10_000)
        other.execute("BEGIN IMMEDIATE")
        yield other
        if other.in_transaction:
            other.execute("ROLLBACK")


def body(dialect: str, model: str) -> dict[str, Any]:
    said = {"input": "hello"} if dialect == "responses" else {"messages": USER, "max_tokens": 9}
    return {"model": model, "stream": True} | said


@ways
def test_the_last_event_waits_for_the_record(patient: Front, dialect: str, model: str) -> None:
    client, data = patient
    released, ended = threading.Event(), False

    def release(other: apsw.Connection) -> None:
        released.set()
        other.execute("ROLLBACK")

    with busy(data) as other, client.stream("POST", PATHS[dialect], json=body(dialect, model)) as response:
        timer = threading.Timer(0.5, release, [other])
        for line in response.iter_lines():
            if '"hi' in line and not timer.is_alive() and not released.is_set():
                timer.start()  # All but the last event comes while nothing can be written.
            if line.startswith(ENDS[dialect]):
                assert released.is_set(), "the record is not written yet"
                ended = True
        timer.join()
    assert ended


@ways
def test_a_stream_whose_record_fails_ends_with_an_error(hasty: Front, dialect: str, model: str) -> None:
    client, data = hasty
    until(lambda: client.get("/readyz").is_success)
    with busy(data):
        said = client.post(PATHS[dialect], json=body(dialect, model)).text
    assert '"hi' in said and not any(line.startswith(ENDS[dialect]) for line in said.splitlines())
    assert "the store could not write" in said.rstrip().splitlines()[-1]
    if dialect != "chat":
        kind = {"messages": "event: error", "responses": "event: response.failed"}[dialect]
        assert kind in said.rstrip().split("\n\n")[-1]
