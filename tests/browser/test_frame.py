"""What holds of every view in a real browser: for all readers, without a mouse, on a phone, when the server is away."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from firstpass.settings import Settings
from tests.browser.conftest import Open, external, model
from tests.browser.running import Engine, Running
from tests.browser.watching import PHONE, tab
from tests.doubles import DIFF, NAMES

ROOT = Path(__file__).parents[2]
AXE = ROOT / "server" / "page" / "node_modules" / "axe-core" / "axe.min.js"
VIEWS = ["playground", "sessions", "exchanges", "results", "engines", "usage"]
FIGURES = {
    "pass": {"value": 0.91, "low": 0.85, "high": 0.95},
    "identified": {"value": 0.6, "low": 0.5, "high": 0.7},
    "p50_ms": {"value": 410.0, "low": 380.0, "high": 450.0},
}
TIMES = {
    "ttft_ms.p50": {"value": 21.0, "low": 19.0, "high": 24.0},
    "tokens_per_s": {"value": 80.0, "low": None, "high": None},
}
LOADED = {"ours": {"figures": TIMES, "rounds": [{"ttft_ms.p50": 20.0}]}}


RATIO = {"arm": "theirs", "other": "ours", "low": 1.1, "high": 1.3, "value": 1.2}
RATIOS = [RATIO | {"name": "ttft_ms.p50", "real": True}, RATIO | {"name": "tpot_ms.p50", "real": False}]


@pytest.fixture(scope="module")
def filled(server: httpx.Client, data_dir: Path) -> dict[str, str]:
    """What there is to see of each kind: an exchange, a session and two runs; by kind, its name."""
    checked = {"contract": "pr-summary@3", "session": "review"}
    asked = {"model": "small", "messages": [{"role": "user", "content": DIFF}], "firstpass": checked}
    made = server.post("/v1/chat/completions", json=asked)
    chat = {
        "model": "strong",
        "messages": [{"role": "user", "content": "And now?"}],
        "firstpass": {"session": "review"},
    }
    assert server.post("/v1/chat/completions", json=chat).is_success
    runs = {
        "eval-1": {
            "format": 1,
            "made_unix": 1.7e9,
            "cases": 40,
            "arms": {"local": {"figures": FIGURES}},
            "requirements": [{"text": "pass>=0.95", "found": 0.91, "met": False}],
        },
        "bench-1": {
            "format": 1,
            "load": {},
            "ratios": RATIOS,
            "arms": LOADED,
        },
    }
    for name, body in runs.items():
        (data_dir / "results" / name).mkdir(parents=True)
        (data_dir / "results" / name / "results.json").write_text(json.dumps(body))
    exchange = made.headers["x-request-id"]
    return {
        "exchange": f"exchanges/{exchange}",
        "session": "sessions/review",
        "eval": "results/eval-1",
        "bench": "results/bench-1",
    }


def everywhere(filled: dict[str, str]) -> list[str]:
    return [*VIEWS, *filled.values()]


def shown(page: Page) -> Page:
    """Once what the view asks for is there."""
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.wait_for_timeout(250)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_keeps_the_rules_of_accessibility(open_tab: Open, filled: dict[str, str], scheme: str) -> None:
    assert AXE.is_file(), "scripts/install --dev has not installed server/page"
    with open_tab(color_scheme=scheme, bypass_csp=True) as tab:
        for view in everywhere(filled):
            page = shown(tab.open(view))
            assert faults(page) == [], view
        page = tab.open()
        page.get_by_role("button", name="Compare with another").click()
        page.locator("#input").fill(DIFF)
        page.locator("#input").press("Control+Enter")
        expect(page.locator(".lane .badge")).to_have_count(2)
        assert faults(page) == [], "answers"
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Keyboard shortcuts").click()
        assert faults(page) == [], "shortcuts"


def faults(page: Page) -> list[str]:
    """What axe-core finds, with all of its rules."""
    page.evaluate("() => document.getAnimations().forEach((one) => one.finish())")
    if not page.evaluate("() => Boolean(window.axe)"):
        page.add_script_tag(path=AXE)
    found: list[dict[str, Any]] = page.evaluate("async () => (await axe.run()).violations")
    return [f"{one['id']}: {node['html']} {node['failureSummary']}" for one in found for node in one["nodes"]]


def test_no_view_is_wider_than_a_phone(open_tab: Open, filled: dict[str, str]) -> None:
    with open_tab(viewport=PHONE) as tab:
        for view in everywhere(filled):
            page = shown(tab.open(view))
            assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"], view
        page = tab.open()
        page.locator("#input").fill(DIFF)
        page.get_by_role("button", name="Ask").click()
        expect(page.locator(".lane .badge")).to_be_visible()
        assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]


def test_everything_can_be_done_without_a_mouse(open_tab: Open, filled: dict[str, str]) -> None:
    with open_tab() as tab:
        page = tab.open()
        keys = page.keyboard
        keys.press("Tab")
        expect(page.get_by_role("link", name="To the content")).to_be_focused()
        keys.press("Enter")
        keys.press("/")
        expect(page.locator("#input")).to_be_focused()
        keys.type("diff --git a/a.py b/a.py")
        keys.press("Control+Enter")
        expect(page.get_by_role("article", name="Answer 1").locator(".badge")).to_be_visible()
        page.locator("main").focus()
        keys.press("g")
        keys.press("x")
        expect(page.get_by_role("heading", name="Exchanges")).to_be_visible()
        expect(page.locator("a.title").first).to_be_visible()
        keys.press("j")
        expect(page.locator("a.title").nth(0)).to_be_focused()
        keys.press("j")
        expect(page.locator("a.title").nth(1)).to_be_focused()
        keys.press("k")
        keys.press("Enter")
        expect(page.get_by_role("heading", name="Where the time went")).to_be_visible()
        page.get_by_role("button", name="Forget…").focus()
        keys.press("Enter")
        expect(page.get_by_role("dialog", name="Forget this exchange?")).to_be_visible()
        keys.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.locator("main").focus()
        keys.press("?")
        expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
        keys.press("Enter")
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_whatever_has_the_focus_is_seen_to_have_it(open_tab: Open, filled: dict[str, str]) -> None:
    outline = "() => { const it = document.activeElement; const style = getComputedStyle(it);"
    outline += " return [it.outerHTML.slice(0, 80), it === document.body ? 'body' : style.outlineStyle] }"
    with open_tab() as tab:
        for view in ("playground", filled["exchange"], "engines"):
            page = shown(tab.open(view))
            for _ in range(25):
                page.keyboard.press("Tab")
                what, style = page.evaluate(outline)
                assert style != "none", f"{view}: {what}"


def test_the_theme_is_the_system_s_until_somebody_chooses_one(open_tab: Open) -> None:
    paper = "() => getComputedStyle(document.body).backgroundColor"
    with open_tab(color_scheme="dark") as tab:
        page = shown(tab.open())
        dark = page.evaluate(paper)
        page.keyboard.press("t")
        expect(page.locator("#theme")).to_have_text("Light")
        light = page.evaluate(paper)
        page.reload()
        expect(page.locator("#theme")).to_have_text("Light")
        assert page.evaluate(paper) == light != dark


def test_results_are_a_table_and_plots(open_tab: Open, filled: dict[str, str]) -> None:
    with open_tab() as tab:
        page = tab.open("results")
        page.get_by_role("link", name="eval-1").click()
        expect(page.get_by_role("img", name="Answers that pass: local 91%")).to_be_visible()
        expect(page.get_by_role("row", name="contract pass")).to_contain_text("91% (85%")
        expect(page.get_by_text("not met")).to_be_visible()
        page.get_by_role("link", name="bench-1").click()
        expect(page.locator(".ratios li")).to_have_count(2)
        expect(page.locator(".ratios")).to_contain_text("theirs has 1.20 (1.10")
        expect(page.get_by_role("img", name="Time to the first token, median: ours 21 ms")).to_be_visible()


def test_engines_are_seen_as_they_are(open_tab: Open) -> None:
    with open_tab() as tab:
        page = tab.open("engines")
        for name in ("small", "large"):
            row = page.get_by_role("row", name=name)
            expect(row.locator(".state")).to_have_text("loaded")
            expect(row).to_contain_text("pinned process ready")
            expect(row.get_by_role("button", name="Unload")).to_be_disabled()
        expect(page.get_by_text("Draft, tokens a second")).to_be_visible()


def test_an_engine_that_can_not_be_loaded_says_why(browser: Browser, tmp_path: Path) -> None:
    with model(NAMES) as url:
        engines = {"large": external(url), "small": {"kind": "transformers"}}
        sections = {"engines": engines, "server": {"data_dir": tmp_path}, "fleet": {"memory_bytes": 1_000}}
        front = Running(Settings.model_validate(sections), 0)
        try:
            with tab(browser, front.url) as opened:
                opened.refusals = True
                page = opened.open("engines")
                row = page.get_by_role("row", name="small")
                expect(row.locator(".state")).to_have_text("available")
                expect(row.get_by_role("button", name="Unload")).to_be_disabled()
                row.get_by_role("button", name="Load", exact=True).click()
                expect(page.get_by_role("alert")).to_contain_text("small needs")
        finally:
            front.stop()


def test_a_server_that_goes_away_and_comes_back_is_said_and_recovered_from(browser: Browser, tmp_path: Path) -> None:
    with model(NAMES) as engine:
        settings = Settings.model_validate({"engine": external(engine), "server": {"data_dir": tmp_path}})
        first = Running(settings, 0)
        with tab(browser, first.url) as opened:
            opened.refusals = True
            page = opened.open("exchanges")
            page.get_by_role("link", name="Playground").click()
            first.stop()
            standing = page.locator(".standing")
            expect(standing).to_have_text("The server does not answer; looking again.")
            page.get_by_role("button", name="Chat", exact=True).click()
            page.locator("#input").fill("hello")
            page.get_by_role("button", name="Ask").click()
            expect(page.get_by_role("article").get_by_role("alert")).to_have_text("The server does not answer.")
            again = Running(settings, first.port)
            try:
                expect(standing).to_have_count(0)
                page.get_by_role("button", name="Ask").click()
                expect(page.get_by_role("article").locator(".badge")).to_have_text("draft")
            finally:
                again.stop()


def test_an_engine_that_restarts_is_said_and_recovered_from(browser: Browser, tmp_path: Path) -> None:
    engine = Engine(0)
    settings = Settings.model_validate({"engine": external(engine.url), "server": {"data_dir": tmp_path}})
    front = Running(settings, 0)
    try:
        with tab(browser, front.url) as opened:
            opened.refusals = True
            page = opened.open()
            page.get_by_role("button", name="Chat", exact=True).click()
            page.locator("#input").fill("hello")
            page.get_by_role("button", name="Ask").click()
            expect(page.get_by_role("article").locator(".badge")).to_be_visible()
            engine.stop()
            page.get_by_role("button", name="Ask").click()
            expect(page.get_by_role("article").get_by_role("alert")).to_be_visible()
            expect(page.locator(".standing")).to_contain_text("Looking again.")
            engine = Engine(engine.port)
            expect(page.locator(".standing")).to_have_count(0, timeout=30_000)
            page.get_by_role("button", name="Ask").click()
            expect(page.get_by_role("article").locator(".answer")).to_have_text(NAMES)
    finally:
        front.stop()
        engine.stop()
