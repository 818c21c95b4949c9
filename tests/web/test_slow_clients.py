"""Clients that stop reading, that wrap little in much, or that send what is no request: over real sockets."""

import json
import select
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from firstpass.exchange import Refuse
from firstpass.store.sqlite import SqliteStore
from firstpass.web import connection, loop
from tests.certificates import Authority
from tests.conftest import serving
from tests.keyed import bearer, new_key
from tests.listening import listening
from tests.scenes import Scene, event, until, whole

PIECES, PIECE = 500, "x" * 30_000
"""Together more than any kernel keeps for a reader that has stopped."""

HEAD = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
GET = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
ANNOUNCED = f"{HEAD}content-length: 900\r\n\r\n".encode()
CHUNKED = f"{HEAD}transfer-encoding: chunked\r\n\r\n".encode()
REFUSED = f"{HEAD}content-encoding: gzip\r\ncontent-length: 400000\r\n\r\n".encode()
"""Is answered before its body is read."""

BOUND_SECONDS = 20.0


async def chat(request: Request) -> Response:
    """Says very much where it is asked to, and hangs where it is asked to."""
    body = await request.json()
    said = body["messages"][-1]["content"]
    if said == "hang":
        while not await request.is_disconnected():
            pass
    if not body.get("stream"):
        return JSONResponse(whole(Scene({"content": PIECE * PIECES if said == "much" else "hi"}), body))
    return StreamingResponse(much(body), media_type="text/event-stream")


async def much(body: dict[str, Any]) -> AsyncIterator[bytes]:
    base = {"id": "x", "created": 1, "model": body["model"], "object": "chat.completion.chunk"}
    for _ in range(PIECES):
        yield event(base | {"choices": [{"index": 0, "delta": {"content": PIECE}}]})
    yield event(base | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    yield b"data: [DONE]\n\n"


async def models(request: Request) -> JSONResponse:
    return JSONResponse({"object": "list", "data": [{"id": "m", "object": "model"}]})


ENGINE = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"]), Route("/v1/models", models)])


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    with serving(ENGINE) as url:
        yield url


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with listening(tmp_path_factory.mktemp("data"), body_seconds=0.5, header_seconds=1.0) as url:
        yield url


@contextmanager
def connected(url: str, context: ssl.SSLContext | None = None, receives: int | None = None) -> Iterator[socket.socket]:
    """receives: bytes that its kernel keeps for it, about."""
    with socket.socket() as plain:
        if receives is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        plain.settimeout(BOUND_SECONDS)
        plain.connect((urlsplit(url).hostname, urlsplit(url).port))
        if context is None:
            yield plain
        else:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped:
                yield wrapped


def post(said: str, **more: Any) -> bytes:
    body = json.dumps({"model": "local", "messages": [{"role": "user", "content": said}]} | more).encode()
    return f"{HEAD}content-length: {len(body)}\r\n\r\n".encode() + body


def is_dropped(connection: socket.socket) -> bool:
    """Whether the other side has ended it, without reading a byte of what has come."""
    poller = select.poll()
    poller.register(connection, select.POLLHUP | select.POLLRDHUP)
    return bool(poller.poll(0))


def rest(connection: socket.socket) -> bytes:
    try:
        return b"".join(iter(lambda: connection.recv(65_536), b""))
    except OSError:
        return b""


def taken(connection: socket.socket, piece: bytes, most: int) -> int:
    """How many bytes of the piece, again and again, are taken before the other side ends it."""
    sent = 0
    try:
        while sent < most and not is_dropped(connection):
            connection.sendall(piece)
            sent += len(piece)
    except OSError:
        pass
    return sent


@pytest.mark.parametrize("secure", [False, True])
def test_a_reader_that_stops_loses_its_place_and_is_recorded_as_gone(engine: str, tmp_path: Path, secure: bool) -> None:
    """64 of them were 429 for all, for ever."""
    authority, tls, context = Authority(tmp_path), {}, None
    if secure:
        tls = dict(zip(("tls_certificate", "tls_key"), authority.issue("server"), strict=True))
        context = ssl.create_default_context(cafile=authority.file)
    server = {"in_flight_limit": 1, "waiting_seconds": BOUND_SECONDS, "send_seconds": 0.5} | tls
    with listening(tmp_path / "data", engine, **server) as url, connected(url, context, 4096) as stopped:
        stopped.sendall(post("much", stream=True))
        assert b" 200 OK" in stopped.recv(1024)
        with connected(url, context) as other:
            other.sendall(post("hello"))
            assert b" 200 OK" in other.recv(4096)
        assert is_dropped(stopped)
    *_, gone = SqliteStore(tmp_path / "data" / "firstpass.sqlite").latest(2)
    assert isinstance(gone.ending, Refuse) and gone.ending.failure.status == 499


def in_flight(url: str, context: ssl.SSLContext | None) -> str:
    """How many requests are being worked on."""
    metrics = httpx.get(f"{url}/metrics", verify=context or True).text
    return next(line.split()[1] for line in metrics.splitlines() if line.startswith("firstpass_in_flight "))


def test_a_reader_that_stops_in_a_whole_answer_is_dropped(engine: str, tmp_path: Path) -> None:
    with listening(tmp_path, engine, send_seconds=0.5) as url, connected(url, receives=4096) as stopped:
        stopped.sendall(post("much"))
        until(lambda: is_dropped(stopped))
        assert len(rest(stopped)) < len(PIECE) * PIECES


@pytest.mark.parametrize("stream", [False, True])
def test_a_reader_that_is_slow_and_goes_on_gets_all_of_it(engine: str, tmp_path: Path, stream: bool) -> None:
    with listening(tmp_path, engine, send_seconds=2.0) as url, connected(url, receives=8192) as slow:
        slow.sendall(post("much", stream=stream))
        read, end = 0, time.monotonic() + 5
        while time.monotonic() < end:
            read += len(slow.recv(16_384))
            time.sleep(0.1)
        last = b""
        while not last.endswith(b"0\r\n\r\n" if stream else b"}"):
            more = slow.recv(65_536)
            assert more, "it was cut off"
            read, last = read + len(more), (last + more)[-16:]
    assert read > len(PIECE) * PIECES


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (CHUNKED, b"1\r\n \r\n" * 10_000),
        (CHUNKED, b"1;" + b"e" * 60_000 + b"\r\n \r\n"),
        (CHUNKED + b"1\r\n \r\n0\r\n", b"x: y\r\n" * 10_000),
        (CHUNKED + b"1;", b"e" * 60_000),
        (f"GET /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: {10**12}\r\n\r\n".encode(), b" " * 60_000),
        (b"GET /healthz HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n" * 10_000),
    ],
    ids=["tiny chunks", "extensions", "trailers", "an extension", "a body that nobody reads", "trailers to nobody"],
)
def test_what_is_wrapped_around_a_body_has_an_end(tmp_path: Path, head: bytes, piece: bytes) -> None:
    """Trailers were kept as headers, as many as came."""
    with listening(tmp_path) as url, connected(url) as connection:
        connection.sendall(head)
        assert taken(connection, piece, 60 * 2**20) < 40 * 2**20
        assert httpx.get(f"{url}/healthz").is_success


def test_a_body_in_small_chunks_is_read_as_ever(engine: str, tmp_path: Path) -> None:
    body = post("y" * 300_000).partition(b"\r\n\r\n")[2]
    pieces = (body[start : start + 40] for start in range(0, len(body), 40))
    with listening(tmp_path, engine) as url, httpx.Client(base_url=url) as client:
        answered = client.post("/v1/chat/completions", content=pieces, headers={"content-type": "application/json"})
        assert answered.status_code == 200, answered.text


@pytest.mark.parametrize("pieces", [[ANNOUNCED], [ANNOUNCED, *[b" "] * 40], [CHUNKED, *[b"1\r\n \r\n"] * 40]])
def test_a_body_that_does_not_arrive_in_time_is_said_so_and_ended(server: str, pieces: list[bytes]) -> None:
    with connected(server) as connection:
        begun = time.monotonic()
        try:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.05)
        except OSError:
            pass
        said = rest(connection)
    assert b"body_timeout" in said and time.monotonic() - begun < BOUND_SECONDS


def test_who_sends_all_of_a_body_slowly_hears_an_answer_that_came_before_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection ended three seconds after the answer, which a reset then took away."""
    monkeypatch.setattr(connection, "LINGERING_SECONDS", 0.1)
    with listening(tmp_path, body_seconds=BOUND_SECONDS) as url, connected(url) as slow:
        slow.sendall(REFUSED)
        for _ in range(40):
            slow.sendall(b" " * 10_000)
            time.sleep(0.02)
        slow.sendall(GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        said = rest(slow)
    assert said.count(b" 415 ") == said.count(b" 200 OK") == 1


def test_a_body_that_nobody_reads_has_an_end_in_time(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINGERING_SECONDS", 0.1)
    with connected(server) as slow:
        slow.sendall(REFUSED)

        def is_ended() -> bool:
            try:
                slow.sendall(b" ")
            except OSError:
                return True
            return is_dropped(slow)

        until(is_ended)


def test_bodies_that_nobody_reads_give_way_to_others(tmp_path: Path) -> None:
    with listening(tmp_path, connections=10, body_seconds=1000) as url, ExitStack() as many:
        refused = []
        for _ in range(30):
            refused.append(many.enter_context(connected(url)))
            refused[-1].sendall(REFUSED)
            assert b" 415 " in refused[-1].recv(4096)
        assert httpx.get(f"{url}/healthz").is_success
        until(lambda: sum(map(is_dropped, refused)) >= 20)


@pytest.mark.parametrize("number", [2, 10])
def test_a_few_requests_behind_one_another_are_all_answered(server: str, number: int) -> None:
    with connected(server) as connection:
        connection.sendall(GET * (number - 1) + GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        assert rest(connection).count(b"200 OK") == number


def test_thousands_of_requests_behind_one_another_are_not_kept(engine: str, tmp_path: Path) -> None:
    """Each was an object of kilobytes, 14,000 of them in one piece, behind a request that was being worked on."""
    with listening(tmp_path, engine) as url, connected(url) as connection:
        connection.sendall(post("hang") + GET * 3000)
        assert rest(connection) == b""
        until(lambda: in_flight(url, None) == "0.0")


def test_one_that_leaves_with_a_second_request_behind_its_first_is_noticed(engine: str, tmp_path: Path) -> None:
    """The second one was told, and the first went on at the model."""
    with listening(tmp_path, engine) as url:
        with connected(url) as connection:
            connection.sendall(post("hang") + GET)
            until(lambda: in_flight(url, None) == "1.0")
        until(lambda: in_flight(url, None) == "0.0")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /\r\n\r\n",
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"\x00" * 100,
        b"GET /\xff HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\nhost: localhost\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /%ff%fe/%00?q=%ff&\xc3\x28 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\nx-firstpass-session: \xff\xfe\r\nauthorization: \xe9\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nhost: \xff\xfe\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        b"POST /infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"POST /infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        b"POST /infer HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_request_is_told_so_or_ended_and_breaks_nothing(server: str, sent: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(sent.replace(b"\r\nhost: ", b"\r\nconnection: close\r\nhost: "))
        said = rest(connection)
    assert b" 500 " not in said and (not said or said.startswith(b"HTTP/1.1 ")), said
    assert httpx.get(f"{server}/healthz").is_success


def test_a_body_in_a_content_coding_is_refused_before_it_is_unpacked(server: str) -> None:
    for coding in ("gzip", "zstd", "identity, gzip"):
        headers = {"content-type": "application/json", "content-encoding": coding}
        refused = httpx.post(f"{server}/v1/chat/completions", content=b"\x1f\x8b", headers=headers)
        assert refused.status_code == 415 and coding in refused.json()["error"]["message"]


def test_large_bodies_have_a_bound_together_and_small_ones_are_always_read(engine: str, tmp_path: Path) -> None:
    sizes = {"bodies_bytes": 400_000, "body_limit_bytes": 200_000}
    with listening(tmp_path, engine, **sizes) as url, httpx.Client(base_url=url, timeout=30) as client:

        def answered(size: int) -> httpx.Response:
            message = {"role": "user", "content": "y" * size}
            return client.post("/v1/chat/completions", json={"model": "local", "messages": [message]})

        with connected(url) as one, connected(url) as other:
            for begun in (one, other):
                begun.sendall(f"{HEAD}content-length: 190000\r\n\r\n".encode() + b" " * 150_000)
            until(lambda: answered(150_000).status_code == 429)
            refused = answered(150_000)
            assert refused.json()["error"]["code"] == "too_many_requests" and refused.headers["retry-after"]
            assert answered(1000).status_code == 200
        until(lambda: answered(150_000).status_code == 200)
        assert [answered(150_000).status_code for _ in range(4)] == [200] * 4


def test_one_key_s_large_bodies_take_no_more_than_half_of_the_room(engine: str, tmp_path: Path) -> None:
    sizes = {"bodies_bytes": 400_000, "body_limit_bytes": 200_000}
    with listening(tmp_path, engine, **sizes) as url, httpx.Client(base_url=url, timeout=30) as client:
        hog, one, other = (new_key(tmp_path)[0] for _ in range(3))

        def answered(key: str, size: int = 150_000) -> int:
            asked = {"model": "local", "messages": [{"role": "user", "content": "y" * size}]}
            return client.post("/v1/chat/completions", json=asked, headers=bearer(key)).status_code

        @contextmanager
        def begun(key: str) -> Iterator[None]:
            given = f"{HEAD}authorization: Bearer {key}\r\ncontent-length: 190000\r\n\r\n"
            with ExitStack() as held:

                def holds() -> bool:
                    """What has just been answered may still count, so that this is refused itself; then once more."""
                    held.pop_all().close()
                    held.enter_context(connected(url)).sendall(given.encode() + b" " * 150_000)
                    return any(answered(key) == 429 for _ in range(50))

                until(holds)
                yield

        with begun(hog):
            assert answered(other, 70_000) == 200
            with begun(one):
                assert answered(other, 130_000) == 503
                assert [answered(key, 1000) for key in (hog, one, other)] == [200] * 3
        until(lambda: answered(hog) == 200)


def test_others_are_served_while_more_connections_say_nothing_than_there_may_be(tmp_path: Path) -> None:
    with listening(tmp_path, connections=40) as url, ExitStack() as many:
        silent = [many.enter_context(connected(url)) for _ in range(150)]
        for half in silent[::2]:
            with ExitStack() as _:
                taken(half, b"GET / HTTP/1.1\r\nx: ", 10)
        assert httpx.get(f"{url}/healthz").is_success
        until(lambda: sum(map(is_dropped, silent)) >= 110)
        assert httpx.get(f"{url}/healthz").is_success


def test_a_handshake_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "HANDSHAKE_SECONDS", 0.5)
    certificate, key = Authority(tmp_path).issue("server")
    with listening(tmp_path, tls_certificate=certificate, tls_key=key) as url, connected(url) as silent:
        assert rest(silent) == b""


def test_no_more_connections_are_let_in_than_the_system_has_files_for(tmp_path: Path) -> None:
    program = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 1000))
from firstpass.web.doorkeeper import possible
print(possible(4096), possible(10), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert said.stdout.split() == ["500", "10", "1000"], said.stderr
