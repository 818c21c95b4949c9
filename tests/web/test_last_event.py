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


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Path]]:
    """A front whose record waits a little for others who write, with its data directory."""
    data = tmp_path_factory.mktemp("last")
    with pytest.MonkeyPatch.context() as patch, serving(Replayed(STREAM).app) as url:
        patch.setattr("firstpass.store.sqlite.BUSY_MILLISECONDS", 1500)
        with serving(Replayed(CLAUDE).app) as claude:
            verifier = {"dialect": "anthropic", "url": f"{claude}/v1", "model": "claude", "hosted": False}
            with fronted(url, data, verifier=verifier) as front:
                yield front, data


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
def test_the_last_event_waits_for_the_record(client: tuple[httpx.Client, Path], dialect: str, model: str) -> None:
    front, data = client
    lines, seen_before, released = list[str](), list[str](), threading.Event()

    def release(other: apsw.Connection) -> None:
        seen_before.extend(lines)
        released.set()
        other.execute("ROLLBACK")

    with busy(data) as other, front.stream("POST", PATHS[dialect], json=body(dialect, model)) as response:
        timer = threading.Timer(0.5, release, [other])
        timer.start()
        for line in response.iter_lines():
            lines.append(line)
            assert not line.startswith(ENDS[dialect]) or released.is_set(), "the record is not written yet"
        timer.join()
    assert any('"hi' in line for line in seen_before), "all else came before"
    assert any(line.startswith(ENDS[dialect]) for line in lines)


@ways
def test_a_stream_whose_record_fails_ends_with_an_error(
    client: tuple[httpx.Client, Path], dialect: str, model: str
) -> None:
    front, data = client
    with busy(data):
        said = front.post(PATHS[dialect], json=body(dialect, model)).text
    assert '"hi' in said and not any(line.startswith(ENDS[dialect]) for line in said.splitlines())
    assert "could not append an exchange" in said.rstrip().splitlines()[-1]
    if dialect != "chat":
        kind = {"messages": "event: error", "responses": "event: response.failed"}[dialect]
        assert kind in said.rstrip().split("\n\n")[-1]
