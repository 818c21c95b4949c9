"""The plain client beside servers that keep to HTTP, and some that do not: every reply ends, and is bounded."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from firstpass import plain
from firstpass.client import Broken, NoConnection, TimedOut, TooMuch
from tests.jumping import passed

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"content-length: 2\r\n\r\nhi"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
LIMIT = 2**20

Says = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Served:
    """A server on a Unix socket that reads a request whole and then does as it was told to; it counts connections."""

    def __init__(self, says: Says) -> None:
        self.says = says
        self.connections = 0
        self.serving = list[asyncio.Task[None]]()
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.serving.append(asyncio.current_task())  # type: ignore[arg-type]
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await self.says(head + await reader.readexactly(length), writer)
        except (OSError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            writer.close()


@asynccontextmanager
async def asked(
    says: Says, tmp_path: Path, *, silent_seconds: float = 30.0
) -> AsyncIterator[tuple[plain.Client, Served]]:
    served, path = Served(says), tmp_path / "s"
    server = await asyncio.start_unix_server(served.serve, path)
    client = plain.Client("http://engine/v1", uds=path, silent_seconds=silent_seconds, connect_seconds=30)
    try:
        yield client, served
    finally:
        await client.aclose()
        server.close()
        await asyncio.gather(*served.serving)


def saying(*pieces: bytes, closes: bool = False) -> Says:
    """Each piece by itself."""

    async def says(request: bytes, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        if closes:
            writer.close()

    return says


async def body(client: plain.Client, path: str = "chat", sent: bytes = b"{}") -> bytes:
    async with client.post(path, sent) as response:
        return await response.read(LIMIT)


async def test_a_connection_serves_again_after_a_whole_reply(tmp_path: Path) -> None:
    async with asked(saying(WHOLE), tmp_path) as (client, served):
        assert [await body(client) for _ in range(3)] == [b"hi"] * 3
        assert served.connections == 1


async def test_requests_at_once_have_a_connection_each(tmp_path: Path) -> None:
    async with asked(saying(WHOLE), tmp_path) as (client, served):
        assert await asyncio.gather(*(body(client) for _ in range(4))) == [b"hi"] * 4
        assert served.connections == 4


@pytest.mark.parametrize("size", [2, plain.JOINED_BYTES + 1, 2**22])
async def test_a_request_is_what_the_server_reads(tmp_path: Path, size: int) -> None:
    heard = list[bytes]()

    async def says(request: bytes, writer: asyncio.StreamWriter) -> None:
        heard.append(request)
        writer.write(WHOLE)

    async with asked(says, tmp_path) as (client, _), client.post("/tokenize", b"x" * size, {"x-one": "1"}) as response:
        assert await response.read(LIMIT) == b"hi"
    head, _, rest = heard[0].partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    assert first == b"POST /tokenize HTTP/1.1" and rest == b"x" * size
    assert {b"host: engine", b"x-one: 1", b"content-length: %d" % size} < set(lines)


async def test_a_header_can_not_end_its_line(tmp_path: Path) -> None:
    async with asked(saying(WHOLE), tmp_path) as (client, _):
        with pytest.raises(ValueError, match="can not be a header"):
            async with client.post("chat", b"{}", {"x-one": "1\r\nx-two: 2"}):
                pass
        assert await body(client) == b"hi"


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ((CHUNKED + b"2\r\nhi\r\n3;ext=1\r\nyou\r\n0\r\n\r\n",), b"hiyou"),
        (tuple(bytes([one]) for one in CHUNKED + b"2\r\nhi\r\n0\r\nx-trailer: 1\r\n\r\n"), b"hi"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + WHOLE), b"hi"),
        ((OK + b"content-length: 0\r\n\r\n",), b""),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), b""),
    ],
)
async def test_replies_are_read_in_every_form_and_leave_a_connection_that_serves(
    tmp_path: Path, pieces: tuple[bytes, ...], said: bytes
) -> None:
    async with asked(saying(*pieces), tmp_path) as (client, served):
        assert [await body(client), await body(client)] == [said, said]
        assert served.connections == 1


async def test_a_reply_without_a_length_ends_with_its_connection(tmp_path: Path) -> None:
    async with asked(saying(OK + b"\r\n", b"hi", b"you", closes=True), tmp_path) as (client, served):
        assert [await body(client), await body(client)] == [b"hiyou"] * 2
        assert served.connections == 2


@pytest.mark.parametrize(
    "piece",
    [
        b"",
        b"220 mail.example ESMTP\r\n",
        OK,
        OK + b"content-length: 9\r\n\r\nhi",
        OK + b"content-length: no\r\n\r\nhi",
        OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nhi",
        CHUNKED + b"2\r\nhi\r\n",
        CHUNKED + b"zz\r\nhi\r\n",
        CHUNKED + b"ffffffffffffffffff\r\nhi\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
)
async def test_what_is_no_whole_reply_is_broken(tmp_path: Path, piece: bytes) -> None:
    async with asked(saying(piece, closes=True), tmp_path) as (client, _):
        with pytest.raises(Broken):
            await body(client)


async def test_what_came_before_a_connection_broke_is_given(tmp_path: Path) -> None:
    async with asked(saying(CHUNKED + b"2\r\nhi\r\n", closes=True), tmp_path) as (client, _):
        came = list[bytes]()
        with pytest.raises(Broken):
            async with client.post("chat", b"{}") as response:
                async for part in response.parts(LIMIT):
                    came.append(part)
        assert came == [b"hi"]


async def test_a_second_reply_to_one_request_is_not_the_next_one_s(tmp_path: Path) -> None:
    async with asked(saying(WHOLE + OK + b"content-length: 3\r\n\r\nbad"), tmp_path) as (client, served):
        assert [await body(client), await body(client)] == [b"hi", b"hi"]
        assert served.connections == 2


async def test_what_comes_between_two_requests_ends_the_connection(tmp_path: Path) -> None:
    async with asked(saying(WHOLE, OK + b"content-length: 3\r\n\r\nbad"), tmp_path) as (client, served):
        assert await body(client) == b"hi"
        await served.left.wait()
        assert await body(client) == b"hi"
        assert served.connections == 2


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again(tmp_path: Path) -> None:
    async with asked(saying(WHOLE, closes=True), tmp_path) as (client, served):
        for number in range(3):
            assert await body(client) == b"hi"
            await asyncio.sleep(0.1)
            assert served.connections == number + 1


async def test_a_connection_that_was_not_used_for_long_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain, "KEEP_SECONDS", 0.0)
    async with asked(saying(WHOLE), tmp_path) as (client, served):
        assert [await body(client), await body(client)] == [b"hi", b"hi"]
        assert served.connections == 2


async def test_who_is_done_late_leaves_no_connection_that_the_server_may_be_closing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain, "KEEP_SECONDS", 0.2)
    async with asked(saying(WHOLE), tmp_path) as (client, served):
        async with client.post("chat", b"{}") as response:
            assert await response.read(LIMIT) == b"hi"
            await asyncio.sleep(0.3)
        assert await body(client) == b"hi"
        assert served.connections == 2


async def test_what_a_burst_leaves_is_closed_though_nobody_asks_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain, "KEEP_SECONDS", 0.2)
    async with asked(saying(WHOLE), tmp_path) as (client, served):
        assert await asyncio.gather(*(body(client) for _ in range(8))) == [b"hi"] * 8
        await asyncio.wait_for(asyncio.gather(*served.serving), 60)
        assert served.connections == 8


async def test_a_request_that_is_refused_before_it_is_sent_does_not_hold_up_the_next(tmp_path: Path) -> None:
    """As an early 413: the server reads no more of this connection."""
    connections, answered = 0, asyncio.Event()

    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(WHOLE)
        await answered.wait()
        writer.close()

    server = await asyncio.start_unix_server(refuses, tmp_path / "s", limit=2**10)
    client = plain.Client("http://engine/v1", uds=tmp_path / "s", silent_seconds=1, connect_seconds=30)
    assert await body(client, sent=b"x" * 2**24) == b"hi"
    assert await body(client) == b"hi"
    assert connections == 2
    answered.set()
    await client.aclose()
    server.close()


@pytest.mark.parametrize(("reply", "said"), [(b"", None), (OK + b"\r\nhi", b"hi")])
async def test_a_server_that_ends_its_side_has_ended_its_reply_though_the_request_is_not_sent(
    reply: bytes, said: bytes | None
) -> None:
    """The time that a reply may be silent for is ten minutes at most, and nobody waits for it."""
    ends = asyncio.Event()

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.write_eof()
        await ends.wait()
        writer.close()

    server = await asyncio.start_server(half, "127.0.0.1", 0, limit=2**10)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    client = plain.Client(url, silent_seconds=600, connect_seconds=30)
    async with asyncio.timeout(60):
        if said is None:
            with pytest.raises(Broken, match="too early"):
                await body(client, sent=b"x" * 2**24)
        else:
            assert await body(client, sent=b"x" * 2**24) == said
    ends.set()
    await client.aclose()
    server.close()


async def test_a_connection_that_is_being_made_as_the_client_is_closed_is_not_used(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        client = plain.Client("http://engine/v1", uds=tmp_path / "s", silent_seconds=30, connect_seconds=30)
        asking = asyncio.create_task(body(client))
        await asyncio.sleep(0)
        await client.aclose()
        with pytest.raises(NoConnection):
            await asyncio.wait_for(asking, 60)
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(60)
            assert accepted.recv(1) == b""


async def test_who_is_cancelled_closes_the_connection(tmp_path: Path) -> None:
    async with asked(saying(CHUNKED + b"2\r\nhi\r\n"), tmp_path) as (client, served):
        begun = asyncio.Event()

        async def read() -> None:
            async with client.post("chat", b"{}") as response:
                async for _ in response.parts(LIMIT):
                    begun.set()

        reading = asyncio.create_task(read())
        await begun.wait()
        reading.cancel()
        await asyncio.wait([reading])
        await served.left.wait()
        assert reading.cancelled()


@pytest.mark.parametrize("begun", [b"", OK, CHUNKED, CHUNKED + b"2\r\nhi\r\n"])
async def test_silence_ends_a_reply_wherever_it_begins(tmp_path: Path, begun: bytes) -> None:
    async with asked(saying(begun), tmp_path, silent_seconds=0.2) as (client, _):
        with pytest.raises(TimedOut):
            await body(client)


def test_a_reply_that_brings_something_now_and_then_is_not_silent(tmp_path: Path) -> None:
    async def says(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        for _ in range(30):
            await asyncio.sleep(10)
            writer.write(b"1\r\na\r\n")
        writer.write(b"0\r\n\r\n")

    async def ask(clock: Callable[[], float]) -> None:
        async with asked(says, tmp_path, silent_seconds=20) as (client, _):
            assert await body(client) == b"a" * 30
        assert clock() >= 300

    passed(ask)


async def test_who_reads_slowly_is_no_silent_server(tmp_path: Path) -> None:
    async with (
        asked(saying(WHOLE), tmp_path, silent_seconds=0.2) as (client, _),
        client.post("chat", b"{}") as response,
    ):
        await asyncio.sleep(0.7)
        assert await response.read(LIMIT) == b"hi"


ENDLESS = {
    "a header": (OK, b"x" * 2**16),
    "headers": (OK, b"a: b\r\n" * 2**13),
    "a chunk's extension": (CHUNKED + b"2;", b"x" * 2**16),
    "trailers": (CHUNKED + b"2\r\nhi\r\n0\r\n", b"a: b\r\n" * 2**13),
    "a body": (OK + b"\r\n", b"x" * 2**16),
    "chunks of a byte": (CHUNKED, b"1\r\nx\r\n" * 2**13),
    "hints": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2**11),
}


@pytest.mark.parametrize("what", ENDLESS)
async def test_no_part_of_a_reply_is_read_without_end(tmp_path: Path, what: str) -> None:
    begin, more = ENDLESS[what]
    sent = 0

    async def says(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(begin)
        while True:
            writer.write(more)
            sent += len(more)
            await writer.drain()

    async with asked(says, tmp_path) as (client, served):
        with pytest.raises(TooMuch):
            await body(client)
        await served.left.wait()
        assert sent < 32 * LIMIT


async def test_a_reply_that_nobody_reads_holds_its_server_up(tmp_path: Path) -> None:
    sent = 0

    async def says(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(OK + b"content-length: %d\r\n\r\n" % 2**26)
        for _ in range(2**10):
            writer.write(b"x" * 2**16)
            await writer.drain()
            sent += 2**16

    async with asked(says, tmp_path) as (client, _), client.post("chat", b"{}") as response:
        before = -1
        while sent > before:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 2**23
        assert len(await response.read(2**26)) == 2**26


async def test_where_nobody_listens_there_is_no_connection(tmp_path: Path) -> None:
    client = plain.Client("http://engine/v1", uds=tmp_path / "none", silent_seconds=1, connect_seconds=30)
    with pytest.raises(NoConnection):
        await body(client)


async def test_closing_the_client_breaks_what_is_under_way_and_lets_nothing_begin(tmp_path: Path) -> None:
    async with asked(saying(OK + b"\r\nhi"), tmp_path) as (client, _):
        with pytest.raises(Broken):
            async with client.post("chat", b"{}") as response:
                await client.aclose()
                await response.read(LIMIT)
        with pytest.raises(NoConnection):
            await body(client)
