"""A whole front with an engine that sleeps: a script plays vLLM on a GPU, in a process of its own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from firstpass import app
from firstpass.engine import Need
from firstpass.errors import BadSettings
from firstpass.hardware import Machine
from firstpass.settings import Settings
from tests.conftest import serving, wait_until_ready
from tests.unit.test_engine_sleeping import PlayedRecipe
from tests.web.test_cli import firstpass
from tests.web.test_metrics import counted

GB = 10**9
FREED = int(70.25 * 2**30)
WEIGHTS = Path("models/catalogue/firstpass-draft-10m/model.safetensors")


@dataclass
class OnGpu(PlayedRecipe):
    need = Need(80 * GB, on_gpu=True)


@contextmanager
def fronted(data_dir: Path, monkeypatch: pytest.MonkeyPatch, **engine: Any) -> Iterator[httpx.Client]:
    """One engine called `big` on a GPU of 80 GB."""
    data_dir.mkdir(exist_ok=True)
    monkeypatch.setattr("firstpass.drafting.runs_on_cpu", lambda: False)
    monkeypatch.setattr("firstpass.hardware.this", lambda: Machine(64 * GB, bfloat16=True, gpu=True))
    monkeypatch.setattr("firstpass.hardware.spare_bytes", lambda: 32 * GB)
    monkeypatch.setattr("firstpass.engine.recipe.recipe_for", lambda spec: OnGpu(data_dir / "calls"))
    engines = {"big": {"kind": "vllm", "isolate": "off", "sleeps": True} | engine}
    sections = {"engines": engines, "server": {"data_dir": data_dir}, "fleet": {"memory_bytes": 80 * GB}}
    with serving(app.build(Settings.model_validate(sections))) as url, httpx.Client(base_url=url, timeout=30) as client:
        wait_until_ready(client)
        yield client


def standing(client: httpx.Client) -> dict[str, Any]:
    cards = {card["id"]: card for card in client.get("/v1/models").json()["data"]}
    return dict(cards["big"]["firstpass"])


def test_the_list_of_models_the_metrics_and_the_commands_say_that_it_sleeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fronted(tmp_path / "data", monkeypatch) as client:
        loaded = standing(client)
        assert loaded["state"] == "loaded" and loaded["kept_bytes"] is None and not loaded["pinned"]
        told = client.post("/v1/models/big/unload", json={})
        assert told.json()["firstpass"]["state"] == standing(client)["state"] == "sleeping"
        kept = {"gpu": 80 * GB - FREED, "main": WEIGHTS.stat().st_size}
        assert standing(client)["kept_bytes"] == kept and standing(client)["memory_bytes"] == 80 * GB
        assert counted(client, "firstpass_engine_state", state="sleeping") == 1
        assert counted(client, "firstpass_engine_ready") == 0
        assert client.get("/readyz").is_success, "it is there for who asks"
        url = ("--url", str(client.base_url))
        shown = firstpass("ps", *url).stdout
        assert b"sleeping" in shown and b"4.6 GB gpu, 0.0 GB main" in shown
        [machine] = json.loads(firstpass("ps", "--json", *url).stdout)
        assert machine["kept_bytes"] == kept
        answer = client.post(
            "/v1/chat/completions", json={"model": "big", "messages": [{"role": "user", "content": "hi"}]}
        )
        assert answer.is_success, answer.text
        assert standing(client)["state"] == "loaded"
        assert counted(client, "firstpass_engine_starts_total") == 1, "a wake is no start"
        assert client.post("/v1/models/big/unload", json={}).json()["firstpass"]["state"] == "sleeping"
        assert b"available" in firstpass("unload", "big", *url).stderr
    slept, calls = "/sleep?level=1&mode=abort", (tmp_path / "data/calls").read_text().splitlines()
    assert [call for call in calls if "/v1/" not in call] == [slept, "/wake_up", slept]


def test_what_the_list_says_is_what_the_document_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fronted(tmp_path / "data", monkeypatch) as client:
        schema = client.get("/openapi.json").json()["components"]["schemas"]["Standing"]["properties"]
    assert "sleeping" in schema["state"]["enum"] and "kept_bytes" in schema


def test_nobody_reaches_the_engine_s_routes_for_sleep_through_the_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fronted(tmp_path / "data", monkeypatch) as client:
        paths = ("/sleep", "/wake_up", "/collective_rpc", "/v1/sleep", "/v1/models/../../sleep")
        assert {client.post(path, json={}).status_code for path in paths} <= {404, 405}
    assert "/sleep" not in (tmp_path / "data/calls").read_text()


@pytest.mark.parametrize(("on_cpu", "gpu"), [(True, True), (False, False)])
def test_where_vllm_has_no_gpu_sleep_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_cpu: bool, gpu: bool
) -> None:
    monkeypatch.setattr("firstpass.drafting.runs_on_cpu", lambda: on_cpu)
    monkeypatch.setattr("firstpass.hardware.this", lambda: Machine(64 * GB, bfloat16=True, gpu=gpu))
    engines = {"big": {"kind": "vllm", "sleeps": True}}
    with pytest.raises(BadSettings, match=r"engines\.big: engine\.sleeps: vLLM sleeps only on a GPU"):
        app.build(Settings.model_validate({"engines": engines, "server": {"data_dir": tmp_path}}))


def test_where_vllm_is_not_installed_sleep_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstpass.drafting.find_spec", lambda name: None)
    with pytest.raises(BadSettings, match=r"engine\.sleeps: only vLLM sleeps, and this engine is of kind transformers"):
        app.build(Settings.model_validate({"engine": {"sleeps": True}, "server": {"data_dir": tmp_path}}))
