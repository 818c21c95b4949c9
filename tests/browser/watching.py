"""A tab in a real Chromium that is watched: what it asks of any other host, and what its console says, is a fault."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

CHROMIUM = os.environ.get("FIRSTPASS_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""It runs as root in CI; the rest keeps it from asking its makers anything."""

DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 360, "height": 740}
WAIT_MS = 15_000
expect.set_options(timeout=WAIT_MS)

NOT_ANSWERED = "Failed to load resource"
"""What Chromium says of every status from 400 up, and of a server that is away."""


@contextmanager
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine (on Debian: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Tab:
    """faults: all that should not have been. refusals: whether the server may refuse, or be away, in this test."""

    page: Page
    url: str
    refusals: bool = False
    requests: list[Request] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("request", self._asked)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))

    def open(self, view: str = "") -> Page:
        self.page.goto(f"{self.url}/#/{view}")
        return self.page

    def assert_clean(self) -> None:
        assert not self.faults, "\n".join(self.faults)

    def _asked(self, request: Request) -> None:
        self.requests.append(request)
        if not request.url.startswith((f"{self.url}/", "data:")):
            self.faults.append(f"asked {request.url}")

    def _said(self, message: ConsoleMessage) -> None:
        if self.refusals and message.text.startswith(NOT_ANSWERED):
            return
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text}")


@contextmanager
def tab(browser: Browser, url: str, **options: Any) -> Iterator[Tab]:
    """options: of the context, such as its viewport."""
    context = browser.new_context(**({"viewport": DESKTOP} | options))
    context.set_default_timeout(WAIT_MS)
    opened = Tab(context.new_page(), url.rstrip("/"))
    opened.watch()
    try:
        yield opened
        opened.assert_clean()
    finally:
        context.close()
