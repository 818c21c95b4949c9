"""What stands before every route: pages of other sites, forms, odd hosts, slow and endless headers."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from firstpass.store.keys import KeyRecord
from firstpass.web.access import Gate, Rules
from firstpass.web.connection import HEADERS_BYTES, Patience, prompt
from firstpass.web.credentials import Credentials
from firstpass.web.document import OPERATIONS
from firstpass.web.doorkeeper import Doorkeeper
from tests.conftest import serving
from tests.keyed import bearer, new_key
from tests.listening import listening
from tests.machine import stretched

UNDESCRIBED = {"/openapi.json", "/nowhere", "/", "/assets/style.css"}
EVERY = sorted({path.replace("{", "").replace("}", "") for _, path in OPERATIONS} | UNDESCRIBED)
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE")
FOREIGN = (
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    {"origin": "null"},
    {"origin": "https://evil.example"},
    {"origin": ""},
    {"sec-fetch-site": "cross-site", "upgrade": "websocket", "connection": "upgrade"},
)

FOLLOWED = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}

WHOLE = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
CLOSING = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with listening(tmp_path_factory.mktemp("access"), header_seconds=0.5) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.mark.parametrize("path", EVERY)
def test_a_page_of_another_site_reaches_no_route_by_any_method(server: httpx.Client, path: str) -> None:
    for method in METHODS:
        for headers in FOREIGN:
            response = server.request(method, path, headers=headers)
            assert response.status_code == 403, (method, path, headers)
            assert not response.headers.keys() & {"set-cookie", "access-control-allow-origin"}


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_of_another_site_opens_the_page(server: httpx.Client, site: str) -> None:
    for method in ("GET", "HEAD"):
        answered = server.request(method, "/", headers=FOLLOWED | {"sec-fetch-site": site})
        assert answered.status_code == 200
        assert "frame-ancestors 'none'" in answered.headers["content-security-policy"]
        assert "access-control-allow-origin" not in answered.headers


@pytest.mark.parametrize(
    "other",
    [
        *({"sec-fetch-dest": dest} for dest in ("iframe", "frame", "embed", "object", "empty", "script", "style", "")),
        *({"sec-fetch-mode": mode} for mode in ("no-cors", "cors", "same-origin", "websocket", "")),
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"host": "evil.example"},
    ],
)
def test_nothing_else_of_another_site_opens_it(server: httpx.Client, other: dict[str, str]) -> None:
    assert server.get("/", headers=FOLLOWED | other).status_code == 403


@pytest.mark.parametrize("path", sorted({*EVERY, "/index.html", "/%2f", "/assets/"} - {"/"}))
def test_a_link_of_another_site_opens_nothing_but_the_page(server: httpx.Client, path: str) -> None:
    for method in METHODS:
        assert server.request(method, path, headers=FOLLOWED).status_code == 403, (method, path)
    for method in set(METHODS) - {"GET", "HEAD"}:
        assert server.request(method, "/", headers=FOLLOWED).status_code == 403, method


@pytest.mark.parametrize("path", EVERY)
def test_a_name_that_was_rebound_to_this_machine_reaches_no_route(server: httpx.Client, path: str) -> None:
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[", "localhost@evil.example"):
        for method in METHODS:
            response = server.request(method, path, headers={"host": host})
            assert response.status_code in (400, 403), (host, method)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
@pytest.mark.parametrize("path", sorted({path for method, path in OPERATIONS if method == "POST"}))
def test_what_a_form_can_send_is_no_request(server: httpx.Client, path: str, kind: str) -> None:
    """A browser without Sec-Fetch-Site and Origin, which sends such a body without asking first."""
    body = b'{"model": "local", "messages": [{"role": "user", "content": "hi"}]}'
    assert server.post(path, content=body, headers={"content-type": kind}).status_code == 415


def test_cookies_are_neither_set_nor_read(tmp_path: Path) -> None:
    key, _ = new_key(tmp_path)
    with listening(tmp_path, keys="required") as url, httpx.Client(base_url=url) as client:
        for name in ("authorization", "x-api-key", "session", "token"):
            assert client.get("/v1/models", headers={"cookie": f"{name}={key}"}).status_code == 401
        answered = client.get("/v1/models", headers=bearer(key))
    assert answered.status_code == 200 and "set-cookie" not in answered.headers


async def test_a_websocket_is_closed_before_anything_looks_at_it() -> None:
    async def inside(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("nothing behind the gate knows WebSockets")

    async def find(key: str) -> KeyRecord | None:
        return None

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    gate = Gate(inside, Rules(None), Credentials(find, required=False, wrong_a_minute=1), lambda holder: None)
    await gate({"type": "websocket", "path": "/v1/responses", "headers": []}, asyncio.Queue[Any]().get, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_a_forwarded_address_is_believed_of_trusted_proxies_alone(tmp_path: Path) -> None:
    key, _ = new_key(tmp_path)
    wrong = {"x-api-key": key[:-1]}

    def tries(url: str) -> list[int]:
        from_many = ({"x-forwarded-for": f"10.0.0.{number}"} for number in range(4))
        return [httpx.get(f"{url}/v1/models", headers=wrong | forwarded).status_code for forwarded in from_many]

    with listening(tmp_path / "one", wrong_keys_a_minute=2) as url:
        assert tries(url) == [401, 401, 429, 429]
    with listening(tmp_path / "two", wrong_keys_a_minute=2, trusted_proxies=["127.0.0.0/8"]) as url:
        assert tries(url) == [401, 401, 401, 401]


def dripping(server: httpx.Client, pieces: list[bytes], seconds: float) -> tuple[bytes, float]:
    """What comes back for pieces that are sent with so much time between them, and after how long it ends."""
    with socket.create_connection((server.base_url.host, server.base_url.port or 0), timeout=20) as connection:
        begun = time.monotonic()
        try:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(seconds)
        except OSError:
            return b"", time.monotonic() - begun
        return read(connection), time.monotonic() - begun


def read(connection: socket.socket) -> bytes:
    try:
        return b"".join(iter(lambda: connection.recv(65_536), b""))
    except OSError:
        return b""


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"GET /healthz HTTP/1.1\r\n"],
        [b"\r\n"] * 100,
        [b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n", *[b"x: y\r\n"] * 100],
    ],
)
def test_headers_that_do_not_arrive_in_time_end_the_connection(server: httpx.Client, pieces: list[bytes]) -> None:
    said, seconds = dripping(server, pieces, 0.05)
    assert said == b"" and 0.4 < seconds < stretched(4)


def test_a_second_request_that_does_not_arrive_in_time_ends_the_connection(server: httpx.Client) -> None:
    said, seconds = dripping(server, [WHOLE, WHOLE, b"GET /healthz HTTP/1.1\r\n", *[b"x: y\r\n"] * 100], 0.05)
    assert seconds < stretched(4) and said.count(b"200 OK") in (0, 2)


@pytest.mark.parametrize(
    "line", [b"x: " + b"y" * HEADERS_BYTES * 2, b"x: y\r\n" * HEADERS_BYTES, b"GET /" + b"a" * HEADERS_BYTES * 2]
)
def test_headers_have_an_end(server: httpx.Client, line: bytes) -> None:
    start = b"" if line.startswith(b"GET") else b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"
    said, seconds = dripping(server, [start + line], 0)
    assert b"200" not in said and seconds < stretched(4)


def patient(seconds: float) -> Any:
    return prompt(Patience(seconds, seconds, seconds), Doorkeeper(100, 100))


def test_headers_behind_a_request_that_is_worked_on_have_an_end_too() -> None:
    async def works(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(1.5)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    second = b"GET / HTTP/1.1\r\nx: "
    with serving(works, http=patient(10.0), lifespan="off") as url, httpx.Client(base_url=url) as client:
        whole, _ = dripping(client, [CLOSING], 0)
        said, _ = dripping(client, [WHOLE + second, *[b"y" * HEADERS_BYTES] * 8], 0)
    assert b"done" in whole and b"done" not in said


def test_a_body_that_nobody_reads_may_pause_for_longer_than_a_connection_may_be_idle() -> None:
    async def says(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["method"].encode()})

    head = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n"
    options: dict[str, Any] = {"http": patient(20.0), "lifespan": "off", "timeout_keep_alive": 1}
    with serving(says, **options) as url, httpx.Client(base_url=url) as client:
        said, _ = dripping(client, [head, b"{}" + CLOSING], 1.5)
    assert said.count(b"200 OK") == 2 and b"POST" in said and b"GET" in said


def test_an_idle_connection_may_be_slow_as_long_as_each_request_is_not(server: httpx.Client) -> None:
    for _ in range(3):
        assert server.get("/healthz").status_code == 200
        time.sleep(0.7)
    said, _ = dripping(server, [WHOLE, CLOSING], 0.7)
    assert said.count(b"200 OK") == 2
