"""The programs of benchmarks/suites/front: what they show is what was measured, and a failure is told."""

import asyncio
import itertools
import json

import pytest

from tests.suites import loaded

client, picture, servers, upstream = (loaded("front", name) for name in ("client", "picture", "servers", "upstream"))


def results(**figures: dict[str, list[float]]) -> dict[str, object]:
    about = {"cpu": "A & B", "cores": 2, "cores_that_others_used": 0.5}
    versions = dict.fromkeys(figures, "1.0")
    return {"figures": figures, "contenders": versions, "missing": {}, "machine": about, "rounds": 2, "at": "now"}


def test_the_readmes_show_the_published_results() -> None:
    published = json.loads(picture.PUBLISHED.read_text())
    for path, rows in picture.READMES.items():
        assert picture.PLACE.findall(path.read_text()) == [f"\n{picture.table(published, rows)}\n"]
    assert picture.PUBLISHED.with_suffix(".svg").read_text() == picture.draw(published)


def test_what_a_server_adds_is_the_median_of_each_rounds_difference() -> None:
    found = results(direct={"p50_ms": [1.0, 9.0, 2.0]}, firstpass={"p50_ms": [2.0, 12.0, 7.0]})
    assert picture.value(found, "firstpass", picture.SHOWN[0]) == 3.0


def test_who_failed_has_no_figure_and_no_bar() -> None:
    found = results(direct={"p50_ms": [1.0]}, firstpass={"p50_ms": [2.0]}, litellm={})
    assert "| added to an answer's p50, ms | 1 | none |" in picture.table(found)
    assert "A &amp; B" in picture.draw(found)
    assert picture.draw(found).count('width="0.0"') == 2 * len(picture.SHOWN) - 1


def test_a_server_that_did_not_start_is_shown_without_figures() -> None:
    found = results(direct={"p50_ms": [1.0]}, firstpass={"p50_ms": [2.0]}) | {"missing": {"portkey": {"start": "none"}}}
    assert "Portkey did not start" in picture.table(found)


def test_no_two_words_of_the_scripted_engine_in_a_row_are_the_same() -> None:
    assert all(one != other for one, other in itertools.pairwise([*upstream.PIECES, upstream.PIECES[0]]))


async def asked(server: asyncio.Server, script: str, *, stream: bool) -> object:
    port = server.sockets[0].getsockname()[1]
    async with server:
        connection = await client.Connection.to(f"http://127.0.0.1:{port}/v1/chat/completions", {})
        try:
            return await connection.ask("m", script, stream=stream)
        finally:
            connection.close()


async def test_a_stream_of_the_scripted_engine_has_all_its_words_and_its_end() -> None:
    server = await asyncio.get_running_loop().create_server(upstream.Upstream, "127.0.0.1", 0)
    answer = await asked(server, "chunks=20 gap=0.001", stream=True)
    assert answer.words[0][1] == 0
    assert 0 < answer.first <= answer.words[-1][0] <= answer.seconds
    assert all(late >= 0 for late in answer.late(0.001))


async def test_a_copier_of_bytes_changes_none() -> None:
    with servers.Started() as started:
        straight = await asyncio.to_thread(servers.direct, started)
        between = await asyncio.to_thread(servers.copier, started, straight.url.removesuffix("/chat/completions"))
        connection = await client.Connection.to(between.url, {})
        try:
            answers = [await connection.ask("m", "chunks=20 gap=0", stream=stream) for stream in (True, False, True)]
        finally:
            connection.close()
    assert [bool(answer.words) for answer in answers] == [True, False, True]
    assert between.url != straight.url


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"HTTP/1.1 500 Oh\r\ncontent-length: 4\r\n\r\nfull", "500 Oh full"),
        (b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\ndata: {"error":1}\r\n0\r\n\r\n', "error"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\ndata: half", "(?s)broke off after .*half"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "200 OK"),
    ],
)
async def test_what_came_instead_of_a_stream_is_told(said: bytes, told: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    with pytest.raises(client.NoAnswer, match=told):
        await asked(server, "", stream=True)
