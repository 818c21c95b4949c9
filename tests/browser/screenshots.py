"""The pictures of the README: `python -m tests.browser.screenshots` starts the bundled model and takes them anew.

Everything in them is real: a server of its own answers about this repository's commits, is evaluated on them and put
under load. It takes some minutes, and the machine for itself.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.watching import chromium

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
SIZE = {"width": 1280, "height": 800}
MOST_BYTES = 150_000
COLOURS = 192
READY_SECONDS = 300.0
MOST_DIFF = 6_000

View = Callable[[Page], None]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A `firstpass serve` with the bundled model, once it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = {"FIRSTPASS_SERVER__PORT": str(port), "FIRSTPASS_SERVER__DATA_DIR": str(folder)}
    process = subprocess.Popen([sys.executable, "-m", "firstpass", "serve"], env=os.environ | own)
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + READY_SECONDS
        while not is_ready(url):
            assert process.poll() is None and time.monotonic() < deadline, "the server is not ready"
            time.sleep(0.5)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").is_success
    except httpx.HTTPError:
        return False


def fill(url: str, folder: Path) -> None:
    """Answers about the newest commits, an evaluation and a benchmark."""
    results = folder / "results"
    firstpass("eval", str(ROOT), "--url", url, "--commits", "20", "--out", str(results / "own-commits"))
    load = ["--arm", f"local={url}#local", "--arm", f"cascade={url}#firstpass", "--rounds", "6", "--requests", "8"]
    firstpass("bench", "run", *load, "--out", str(results / "one-caller"))
    contracts = ["pr-summary@3", "pr-summary@4", "code-review", "commit-message"]
    with httpx.Client(base_url=url, timeout=120) as client:
        for number, diff in enumerate(diffs(14)):
            options = {"contract": contracts[number % 4], "session": f"review of {number // 5 + 1} December"}
            asked = {"model": "firstpass", "messages": [{"role": "user", "content": diff}], "firstpass": options}
            client.post("/v1/chat/completions", json=asked)


def firstpass(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "firstpass", *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def diffs(number: int) -> Iterator[str]:
    """Of the newest commits, those that are short enough."""
    commits = git("rev-list", "--no-merges", "--max-count=200", "HEAD").split()
    found = (git("show", "--format=", commit) for commit in commits)
    short = (diff for diff in found if 200 < len(diff) < MOST_DIFF)
    for diff, _ in zip(short, range(number), strict=False):
        yield diff


def git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True).stdout


def playground(page: Page) -> None:
    page.get_by_role("button", name="Take a sample").click()
    page.get_by_role("combobox", name="Contract").select_option("pr-summary@3")
    page.locator("#input").press("Control+Enter")
    expect(page.locator(".lane .badge")).to_be_visible(timeout=60_000)
    page.locator("#input").evaluate("input => { input.scrollTop = 0; input.blur() }")


def side_by_side(page: Page) -> None:
    page.get_by_role("button", name="Take a sample").click()
    page.get_by_role("button", name="Compare with another").click()
    contracts = page.get_by_role("combobox", name="Contract")
    contracts.nth(0).select_option("pr-summary@3")
    contracts.nth(1).select_option("pr-summary@4")
    page.locator("#input").press("Control+Enter")
    expect(page.locator(".lane .badge")).to_have_count(2, timeout=60_000)
    page.locator("#input").evaluate("input => input.blur()")
    page.evaluate("() => scrollTo(0, scrollY + document.querySelector('.known').getBoundingClientRect().top - 70)")


def exchange(page: Page) -> None:
    page.locator("a.title").first.click()
    expect(page.get_by_role("heading", name="Where the time went")).to_be_visible()


def nothing_more(page: Page) -> None:
    """The view as it opens."""


SHOTS: dict[str, tuple[str, View]] = {
    "playground": ("playground", playground),
    "side-by-side": ("playground", side_by_side),
    "exchanges": ("exchanges", nothing_more),
    "exchange": ("exchanges", exchange),
    "results": ("results/one-caller", nothing_more),
}


def taken(browser: Browser, url: str, scheme: str) -> None:
    for name, (view, prepare) in SHOTS.items():
        context = browser.new_context(viewport=SIZE, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(f"{url}/#/{view}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.wait_for_timeout(700)
        prepare(page)
        page.mouse.move(0, 0)
        page.wait_for_timeout(1800)
        path = IMAGES / f"{name}-{scheme}.png"
        page.screenshot(path=path)
        context.close()
        make_small(path)


def make_small(path: Path) -> None:
    """Few colours are enough for a page."""
    with Image.open(path) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    assert path.stat().st_size < MOST_BYTES, f"{path.name} has {path.stat().st_size} bytes"


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as url:
        fill(url, Path(folder))
        with chromium() as browser:
            for scheme in ("light", "dark"):
                taken(browser, url, scheme)


if __name__ == "__main__":
    main()
