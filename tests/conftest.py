"""What tests share: a real HTTP server around any ASGI application, and a whole front before a scripted engine."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import openai
import pytest
import uvicorn

from firstpass import app
from firstpass.settings import Settings
from tests.doubles import Answerer, Sureness, openai_app, says

hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")
"""An example that took long says more of the neighbours than of the code."""

START_SECONDS = 20.0


@contextmanager
def serving(application: Any, **options: Any) -> Iterator[str]:
    """The application on a free loopback port, in a thread; gives its URL. options: of uvicorn."""
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_config=None, ws="none", **options))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + START_SECONDS
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        assert server.started, "the server did not start"
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


Front = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.fixture
def front(tmp_path: Path) -> Front:
    """front(answerer, section={...}) is a whole Firstpass whose draft engine is a scripted server; gives a client."""

    @contextmanager
    def start(answer: Answerer, sure: Sureness | None = None, **sections: dict[str, Any]) -> Iterator[httpx.Client]:
        with serving(openai_app(answer, sure)) as url, fronted(url, tmp_path / "data", **sections) as client:
            yield client

    return start


@contextmanager
def fronted(engine_url: str, data_dir: Path, **sections: dict[str, Any]) -> Iterator[httpx.Client]:
    """A whole Firstpass before the engine at this URL, once it is ready."""
    with starting(engine_url, data_dir, **sections) as client:
        wait_until_ready(client)
        yield client


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB, where this user may make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", disk], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("this user may not mount")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


@contextmanager
def starting(engine_url: str, data_dir: Path, **sections: dict[str, Any]) -> Iterator[httpx.Client]:
    """The same, ready or not."""
    engine = {"kind": "external", "url": f"{engine_url}/v1"} | sections.pop("engine", {})
    server = {"data_dir": data_dir} | sections.pop("server", {})
    settings = Settings.model_validate({"engine": engine, "server": server} | sections)
    with serving(app.build(settings)) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


def wait_until_ready(client: httpx.Client) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not client.get("/readyz").is_success:
        assert time.monotonic() < deadline, client.get("/readyz").text
        time.sleep(0.02)


@contextmanager
def official(front: Front, engine: Any, **sections: dict[str, Any]) -> Iterator[tuple[openai.OpenAI, httpx.Client]]:
    """A front before `engine`: the official client, and a plain one for what that would not send."""
    with (
        serving(engine) as url,
        front(says("-"), engine={"kind": "external", "url": f"{url}/v1"}, **sections) as client,
        openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="none", max_retries=0) as sdk,
    ):
        yield sdk, client
