"""Pages of other sites and applications in browsers: only those that the settings name are answered."""

import httpx
import pytest

from firstpass.settings import Settings
from tests.conftest import Front
from tests.doubles import says

CHAT = {"model": "local", "messages": [{"role": "user", "content": "hi"}]}
OURS = ("https://chat.example", "app://obsidian.md", "vscode-webview://0a1b")
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}


@pytest.mark.parametrize("origin", OURS)
def test_an_allowed_origin_asks_as_a_browser_does(front: Front, origin: str) -> None:
    headers = {"origin": origin, "sec-fetch-site": "cross-site"}
    with front(says("Hello."), server={"allowed_origins": OURS}) as client:
        before = client.options("/v1/chat/completions", headers=headers | PREFLIGHT)
        answer = client.post("/v1/chat/completions", json=CHAT, headers=headers)
        streamed = client.post("/v1/chat/completions", json=CHAT | {"stream": True}, headers=headers)
        wrong = client.post("/v1/chat/completions", json={}, headers=headers)
    assert before.is_success and before.headers["access-control-allow-origin"] == origin
    assert "authorization" in before.headers["access-control-allow-headers"]
    assert "POST" in before.headers["access-control-allow-methods"]
    assert answer.is_success and streamed.is_success and wrong.status_code == httpx.codes.BAD_REQUEST
    for one in (answer, streamed, wrong):
        assert one.headers["access-control-allow-origin"] == origin and "Origin" in one.headers["vary"]
        assert "x-firstpass-route" in one.headers["access-control-expose-headers"]


@pytest.mark.parametrize("allowed", [(), OURS])
@pytest.mark.parametrize("origin", ["https://chat.example.evil.example", "http://chat.example", "null"])
def test_no_other_origin_is_answered(front: Front, allowed: tuple[str, ...], origin: str) -> None:
    headers = {"origin": origin, "sec-fetch-site": "cross-site"}
    with front(says("Hello."), server={"allowed_origins": allowed}) as client:
        before = client.options("/v1/chat/completions", headers=headers | PREFLIGHT)
        answer = client.post("/v1/chat/completions", json=CHAT, headers=headers)
    assert before.is_error and answer.status_code == httpx.codes.FORBIDDEN
    assert not any("access-control-allow-origin" in one.headers for one in (before, answer))


@pytest.mark.parametrize("origin", ["*", "null", "chat.example", "https://chat.example/", "https://chat.example/a"])
def test_what_is_no_origin_is_an_error_at_the_start(origin: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        Settings.model_validate({"server": {"allowed_origins": (origin,)}})
