"""An engine that somebody else runs: a real HTTP server on loopback, or nothing there."""

import socket
from contextlib import closing
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.responses import PlainTextResponse

from firstpass import engine
from firstpass.engine import Engine, EngineSpec
from firstpass.engine.address import local_address
from firstpass.engine.external import ExternalEngine
from firstpass.errors import BadSettings, TierFailed, TierUnavailable
from tests.conftest import serving
from tests.doubles import openai_app


def external(url: str, data_dir: Path) -> Engine:
    return engine.build(EngineSpec(name="external", kind="external", data_dir=data_dir, url=url))


async def test_a_running_server_is_ready_under_the_name_that_it_gives(tmp_path: Path) -> None:
    with serving(openai_app(lambda body: "ok")) as url:
        there = external(url, tmp_path)
        endpoint = await there.ensure_ready()
        assert endpoint.model == "scripted" and endpoint.base_url == f"{url}/v1" and there.state == "ready"
        await there.close()
        assert there.state == "stopped"


async def test_logprobs_are_believed_only_when_seen(tmp_path: Path) -> None:
    with serving(openai_app(lambda body: "ok")) as url:
        there = external(url, tmp_path)
        await there.ensure_ready()
        assert there.warmed.logprobs is False


async def test_a_server_is_asked_for_one_warm_up_only(tmp_path: Path) -> None:
    application = openai_app(lambda body: "ok")
    with serving(application) as url:
        now = [0.0]
        there = ExternalEngine(EngineSpec(name="x", kind="external", data_dir=tmp_path, url=url), lambda: now[0])
        for seconds in range(0, 60, 3):
            now[0] = float(seconds)
            await there.ensure_ready()
    assert len(application.state.seen) == 1


async def test_another_model_at_its_address_is_noticed_while_the_engine_goes_on_answering(tmp_path: Path) -> None:
    application, names = FastAPI(), ["first"]
    application.get("/v1/models")(lambda: {"data": [{"id": names[-1]}]})
    application.mount("/", openai_app(lambda body: "ok"))
    with serving(application) as url:
        now = [0.0]
        there = ExternalEngine(EngineSpec(name="x", kind="external", data_dir=tmp_path, url=url), lambda: now[0])
        assert (await there.ensure_ready()).model == "first"
        names.append("second")
        for second in range(8):
            now[0] = float(second)
            async with there.at_work(b"", None) as work:
                work.heard()
            if there._looking:
                await there._looking
        assert (await there.ensure_ready()).model == "second"
        await there.close()


async def test_nobody_there_is_unavailable(tmp_path: Path) -> None:
    there = external("http://127.0.0.1:9", tmp_path)
    with pytest.raises(TierUnavailable) as caught:
        await there.ensure_ready()
    assert caught.value.failure.part == "draft" and caught.value.failure.retry_after_seconds
    assert there.state == "failed"


async def test_a_socket_that_nobody_listens_on_any_more_is_unavailable_until_somebody_does(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with closing(socket.socket(socket.AF_UNIX)) as stale:
        stale.bind(str(path))
    there = external(f"unix:{path}", tmp_path)
    with pytest.raises(TierUnavailable, match="no server answers"):
        await there.ensure_ready()
    path.unlink()
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(path))
        with serving(openai_app(lambda body: "ok"), fd=live.fileno()):
            assert (await there.ensure_ready()).model == "scripted"


async def test_a_port_that_something_else_has_is_no_engine(tmp_path: Path) -> None:
    with serving(PlainTextResponse("hello")) as url, pytest.raises(TierFailed, match="no JSON"):
        await external(url, tmp_path).ensure_ready()


@pytest.mark.parametrize("url", ["http://10.0.0.1:8000", "https://api.example.com/v1", "ftp://localhost", "", "unix:"])
def test_an_address_off_this_machine_is_a_bad_setting(url: str, tmp_path: Path) -> None:
    with pytest.raises(BadSettings):
        external(url, tmp_path)


def test_an_address_may_be_a_socket_or_have_a_prefix_of_its_own() -> None:
    assert local_address("unix:/run/m.sock") == ("http://engine/v1", Path("/run/m.sock"))
    assert local_address("http://localhost:1/api/v2/") == ("http://localhost:1/api/v2", None)
    assert local_address("http://[::1]:1") == ("http://[::1]:1/v1", None)
    assert local_address("http://localhost:1/mod%C3%A8le") == ("http://localhost:1/mod%C3%A8le", None)
    assert local_address("unix:/run/modèle.sock") == ("http://engine/v1", Path("/run/modèle.sock"))
