"""One Chromium, and one Firstpass with two scripted models and a scripted verifier, for all tests of a file."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from firstpass import app
from firstpass.mock.faults import read_plan
from firstpass.mock.script import Script
from firstpass.mock.server import MockServer
from firstpass.settings import Settings
from tests.browser.watching import Tab, chromium, tab
from tests.conftest import serving, wait_until_ready
from tests.doubles import NAMES
from tests.faults import in_a_thread

SMALL = NAMES
LARGE = NAMES.replace("Create a session at login.", "Every login creates a session of its own.")
STRONG = "A prime is a number that only one and itself divide."

Open = Callable[..., AbstractContextManager[Tab]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def server(data_dir: Path) -> Iterator[httpx.Client]:
    """Its engines say SMALL and LARGE, its verifier STRONG."""
    with ExitStack() as held:
        urls = [held.enter_context(model(text)) for text in (SMALL, LARGE, STRONG)]
        settings = Settings.model_validate(
            {
                "engines": {name: external(url) for name, url in zip(("small", "large"), urls, strict=False)},
                "verifier": {"url": urls[2], "model": "strong", "hosted": False},
                "server": {"data_dir": data_dir},
            }
        )
        url = held.enter_context(serving(app.build(settings)))
        client = held.enter_context(httpx.Client(base_url=url, timeout=30))
        wait_until_ready(client)
        yield client


def external(url: str) -> dict[str, Any]:
    return {"kind": "external", "url": url}


@contextmanager
def model(text: str, tokens_a_second: float = 0.0) -> Iterator[str]:
    """The URL of a scripted model that says this text, with the log-probability of each word."""
    script = Script(text=text, tokens=400, tokens_a_second=tokens_a_second)
    with in_a_thread(MockServer(script, read_plan(1, ""))) as port:
        yield f"http://127.0.0.1:{port}/v1"


@pytest.fixture
def open_tab(browser: Browser, server: httpx.Client) -> Open:
    """open_tab(viewport=...) is a watched tab before the server; what it did wrong fails the test at its end."""
    return partial(tab, browser, str(server.base_url))
