"""Two real engines and memory for one of them: each is loaded when it is asked for, and settings change meanwhile."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from firstpass.engine.isolation import memory_bytes
from tests.vllm.conftest import Live, living

pytestmark = pytest.mark.vllm

ASK_SECONDS = 300.0
BUDGET = 2_600_000_000
"""Enough for either, and not for both: each is expected to take over 1.3 GB, the first to take 2.0 GB."""

FLEET = f"""
[engines.small]
model = "firstpass-draft-10m"
kind = "vllm"

[engines.plain]
model = "firstpass-draft-10m"
kind = "transformers"

[fleet]
memory_bytes = {BUDGET}
load_seconds = {ASK_SECONDS}
turn_seconds = 5
"""
ALONE = """
[engine]
model = "firstpass-draft-10m"
kind = "transformers"
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fleet") / "settings.toml"
    path.write_text(FLEET)
    return path


@pytest.fixture(scope="module")
def fleet(settings: Path) -> Iterator[Live]:
    with living(settings.parent / "data", FIRSTPASS_CONFIG=str(settings)) as live:
        yield live


def said(live: Live, model: str) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8}
    answer = httpx.post(f"{live.url}/v1/chat/completions", json=body, timeout=ASK_SECONDS)
    assert answer.is_success, answer.text
    return answer.json()


def standings(live: Live) -> dict[str, str]:
    cards = httpx.get(f"{live.url}/v1/models").json()["data"]
    return {card["id"]: card["firstpass"]["state"] for card in cards if card["id"] in ("small", "plain")}


def guards(live: Live) -> list[psutil.Process]:
    return [one for one in live.process.children() if any("engine/guard.py" in part for part in one.cmdline())]


def test_each_takes_the_place_of_the_other_and_both_never_share_the_memory(fleet: Live) -> None:
    for model, path in (("small", False), ("plain", True), ("small", False)):
        assert ("/" in said(fleet, model)["model"]) is path, "transformers says where its model was loaded from"
        assert standings(fleet) == {"small": "available", "plain": "available"} | {model: "loaded"}
        (guard,) = guards(fleet)
        assert (memory_bytes(guard.pid) or 0) < BUDGET


def test_one_that_is_killed_is_back_for_the_next_request_or_says_when(fleet: Live) -> None:
    said(fleet, "small")
    (guard,) = guards(fleet)
    for process in guard.children(recursive=True):
        process.kill()
    body = {"model": "small", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8}
    for _ in range(3):
        answer = httpx.post(f"{fleet.url}/v1/chat/completions", json=body, timeout=ASK_SECONDS)
        if answer.is_success:
            break
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and int(answer.headers["retry-after"]) > 0
    assert answer.is_success


def test_the_only_engine_takes_the_place_of_several_without_a_restart(fleet: Live, settings: Path) -> None:
    said(fleet, "small")
    settings.write_text(ALONE)
    told = fleet.cli("reload")
    assert told.returncode == 0, told.stderr
    assert "/" in said(fleet, "local")["model"]
    settings.write_text(FLEET)
    assert fleet.cli("reload").returncode == 0
    assert said(fleet, "small")["model"] == "firstpass-draft-10m"
