"""A front and an engine that end when a test says so, and begin again on the same port."""

import asyncio
import threading
import time
from typing import Any

import httpx
import uvicorn

from firstpass import app
from firstpass.mock.faults import read_plan
from firstpass.mock.script import Script
from firstpass.mock.server import MockServer
from firstpass.settings import Settings
from tests.conftest import START_SECONDS, wait_until_ready
from tests.doubles import NAMES


class Running:
    """A whole Firstpass, once it is ready."""

    def __init__(self, settings: Settings, port: int) -> None:
        config: Any = uvicorn.Config(app.build(settings), port=port, log_config=None, ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert self._server.started, "the server did not start"
        self.port = int(self._server.servers[0].sockets[0].getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        with httpx.Client(base_url=self.url) as client:
            wait_until_ready(client)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


class Engine:
    """A scripted model on a port."""

    def __init__(self, port: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = MockServer(Script(text=NAMES), read_plan(1, ""))
        self.port = asyncio.run_coroutine_threadsafe(self._server.start(port), self._loop).result(30)
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def stop(self) -> None:
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._server.close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
