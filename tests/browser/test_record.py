"""The record in a real browser: found, read step by step, labelled, forgotten, gone on with, and many of them."""

import asyncio
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from firstpass.chat import Message, Usage
from firstpass.exchange import Answer, Ask, Consult, Exchange, Judgement, Receipt, Reply, Step
from firstpass.store import Query
from firstpass.store.sqlite import SqliteStore
from tests.browser.conftest import LARGE, SMALL, STRONG, Open
from tests.browser.watching import tab
from tests.doubles import DIFF
from tests.listening import listening
from tests.machine import stretched
from tests.scenes import until

MANY = int(os.environ.get("BROWSED", "5000"))
"""Of exchanges in the record. BROWSED=100000 has them written for longer than they are looked at."""

AT_ONCE = 1000
PAINT_SECONDS, SEARCH_SECONDS = 1.0, 0.2


def say(server: httpx.Client, text: str, model: str = "small", **options: object) -> str:
    """The exchange's id."""
    body = {"model": model, "messages": [{"role": "user", "content": text}], "firstpass": options}
    answered = server.post("/v1/chat/completions", json=body)
    assert answered.is_success, answered.text
    return str(answered.headers["x-request-id"])


def test_new_exchanges_come_into_the_list_by_themselves(open_tab: Open, server: httpx.Client) -> None:
    say(server, "the first of all")
    with open_tab() as tab:
        page = tab.open("exchanges")
        expect(page.get_by_role("link", name="the first of all")).to_be_visible()
        say(server, "one that came later")
        expect(page.locator("a.title").first).to_have_text("one that came later")
        expect(page.locator("tr.fresh")).to_have_count(1)


def test_a_tab_that_nobody_looks_at_asks_for_nothing(open_tab: Open, server: httpx.Client) -> None:
    say(server, "somebody sees this")
    hidden = "Object.defineProperty(document, 'hidden', { get: () => window.away === true })"
    with open_tab() as tab:
        tab.page.add_init_script(hidden)
        page = tab.open("exchanges")
        expect(page.locator("a.title").first).to_be_visible()
        page.evaluate("() => { window.away = true }")
        page.wait_for_timeout(500)  # For what was asked just before.
        asked = len(tab.requests)
        say(server, "nobody sees this yet")
        page.wait_for_timeout(2500)  # Longer than any view waits.
        assert len(tab.requests) == asked
        page.evaluate("() => { window.away = false }")
        expect(page.locator("a.title").first).to_have_text("nobody sees this yet")


def test_where_a_browser_gives_no_clipboard_the_command_is_shown(open_tab: Open, server: httpx.Client) -> None:
    made = say(server, "copy me by hand")
    with open_tab() as tab:
        tab.page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        page = tab.open(f"exchanges/{made}")
        page.get_by_role("button", name="case add").click()
        expect(page.get_by_text(f"firstpass case add {made}")).to_be_visible()


def test_exchanges_are_searched_and_filtered(open_tab: Open, server: httpx.Client) -> None:
    for text, model in {"about herons": "small", "about otters": "large", "about eagles": "strong"}.items():
        say(server, text, model)
    with open_tab() as tab:
        page = tab.open("exchanges")
        page.get_by_label("Search whole words").fill("otters")
        expect(page.locator("a.title")).to_have_text(["about otters"])
        page.get_by_label("Search whole words").fill("about")
        page.get_by_role("combobox", name="Route", exact=True).select_option("strong")
        expect(page.locator("a.title")).to_have_text(["about eagles"])
        page.get_by_role("combobox", name="Model", exact=True).select_option("small")
        expect(page.get_by_text("No exchange is like that.")).to_be_visible()


def test_sessions_lead_from_page_to_page(open_tab: Open, server: httpx.Client) -> None:
    for number in range(52):
        say(server, f"of many {number}", session=f"paged {number}")
    with open_tab() as tab:
        page = tab.open("sessions")
        expect(page.locator(".picks a").first).to_contain_text("of many 51")
        page.get_by_role("button", name="Older").click()
        expect(page.locator(".picks a").first).to_contain_text("of many 1 ")
        page.get_by_role("button", name="Newest").click()
        expect(page.locator(".picks a").first).to_contain_text("of many 51")


def test_an_exchange_is_read_step_by_step_and_labelled(open_tab: Open, server: httpx.Client) -> None:
    made = say(server, DIFF, "firstpass", contract="pr-summary@3")
    with open_tab() as tab:
        page = tab.open(f"exchanges/{made}")
        expect(page.get_by_role("heading", name=re.compile("Step 1: draft, draft"))).to_be_visible()
        expect(page.get_by_role("heading", name="What was done, and why")).to_be_visible()
        expect(page.locator(".turn")).to_contain_text("createSession(user)")
        page.get_by_role("button", name="Right").click()
        expect(page.locator(".labels li")).to_contain_text(["right"])
        page.get_by_role("button", name="Should have been").click()
        page.get_by_label("How the answer should have been").fill("Summary: better")
        page.get_by_role("button", name="Keep this").click()
        expect(page.locator(".labels")).to_contain_text("Summary: better")
    assert server.get(f"/v1/exchanges/{made}").json()["labels"]


def test_what_a_gate_said_and_what_left_are_shown(browser: Browser, tmp_path: Path) -> None:
    judged = Judgement("g", 0.62, 0.7, accepted=False, by="score", risk=0.02, confidence=0.95, accepted_risk=0.04)
    receipt = Receipt("models.example", 1.7e9, 2_400, "ab" * 32, {"email": 2}, ceiling="redacted", number=7)
    ask = recorded(1, 1.7e9).ask
    draft = Reply("yes", "small", "stop", Usage(20, 9), 0.2)
    steps = (
        Step(Consult("draft", "draft"), draft),
        Step(Consult("verifier", "verify", judged=judged), draft, receipt=receipt, edited="no"),
    )
    with closing(SqliteStore(tmp_path / "firstpass.sqlite")) as store:
        store.append(Exchange(ask, steps, Answer(1, "verified", judged), 1.5))
    with listening(tmp_path) as url, tab(browser, url) as opened:
        opened.refusals = True
        page = opened.open(f"exchanges/{ask.id}")
        expect(page.get_by_role("img", name="score 0.620, accepted from 0.7")).to_be_visible()
        left = page.locator(".receipts")
        expect(left).to_contain_text("2.4 kB to models.example")
        expect(left).to_contain_text("under redacted, redacted: 2 email")
        expect(left).to_contain_text("abababababababab… Copy digest entry 7 of the log")
        expect(page.get_by_text("What was said before the edits")).to_be_visible()


def test_the_commands_for_an_exchange_can_be_copied(open_tab: Open, server: httpx.Client) -> None:
    made = say(server, "copy me")
    with open_tab(permissions=["clipboard-read", "clipboard-write"]) as tab:
        page = tab.open(f"exchanges/{made}")
        for button, command in {"case add": f"firstpass case add {made}", "replay": f"firstpass replay {made}"}.items():
            page.get_by_role("button", name=button).click()
            expect(page.get_by_role("button", name="Copied")).to_be_visible()
            assert page.evaluate("() => navigator.clipboard.readText()") == command
            expect(page.get_by_role("button", name="Copied")).to_have_count(0)


def test_an_exchange_is_forgotten_only_after_a_question(open_tab: Open, server: httpx.Client) -> None:
    made = say(server, "an unrepeatable word: zanzibar")
    with open_tab() as tab:
        page = tab.open(f"exchanges/{made}")
        page.get_by_role("button", name="Forget…").click()
        page.get_by_role("button", name="Keep it").click()
        expect(page.locator(".turn")).to_contain_text("zanzibar")
        page.get_by_role("button", name="Forget…").click()
        page.get_by_role("button", name="Forget it").click()
        expect(page.get_by_role("heading", name="Exchanges")).to_be_visible()
        expect(page.locator("main")).to_be_focused()
    assert "zanzibar" not in server.get(f"/v1/exchanges/{made}").text


def test_a_session_goes_on_with_another_model(open_tab: Open, server: httpx.Client) -> None:
    say(server, "What is a walrus?", session="seas")
    with open_tab() as tab:
        page = tab.open("sessions")
        page.get_by_label("Search whole words").fill("walrus")
        page.get_by_role("link", name=re.compile("seas")).click()
        talk = page.get_by_role("region", name="Session seas")
        expect(talk.locator(".turns > li")).to_have_count(2)
        talk.get_by_role("button", name="Go on with it").click()
        expect(page.get_by_text("Goes on with session")).to_be_visible()
        page.get_by_label("Model or route").select_option("strong")
        page.locator("#input").fill("And a prime?")
        page.locator("#input").press("Control+Enter")
        expect(page.get_by_role("article").locator(".answer")).to_have_text(STRONG)
        expect(page.locator(".before")).to_contain_text("4 messages")
        page.locator("#input").fill("And two of them?")
        page.locator("#input").press("Control+Enter")
        expect(page.locator(".before")).to_contain_text("6 messages")
        page.goto(f"{tab.url}/#/sessions/seas")
        turns = page.get_by_role("region", name="Session seas").locator(".turns > li")
        expect(turns).to_have_count(6)
        expect(turns.nth(1)).to_contain_text(SMALL.splitlines()[0])
        expect(turns.nth(3)).to_contain_text(STRONG)
    said = server.get("/v1/sessions/seas").json()["messages"]
    assert [turn["route"] for turn in said if turn["role"] == "assistant"] == ["draft", "strong", "strong"]
    last = server.get(f"/v1/exchanges/{said[-1]['exchange']}").json()["exchange"]["ask"]["messages"]
    assert [one["content"] for one in last] == ["What is a walrus?", SMALL, "And a prime?", STRONG, "And two of them?"]


def test_a_session_is_forgotten_only_after_a_question(open_tab: Open, server: httpx.Client) -> None:
    say(server, "nothing of this stays", session="brief")
    with open_tab() as tab:
        page = tab.open("sessions/brief")
        page.get_by_role("button", name="Forget…").click()
        page.get_by_role("button", name="Forget it").click()
        expect(page.get_by_role("region", name="Session brief")).to_have_count(0)
    assert "nothing of this stays" not in server.get("/v1/exchanges?limit=100").text


def test_usage_is_shown_by_key(open_tab: Open, server: httpx.Client) -> None:
    say(server, LARGE)
    with open_tab() as tab:
        page = tab.open("usage")
        row = page.get_by_role("row", name="without a key")
        expect(row).to_be_visible()
        page.get_by_label("Of the last").select_option("1")
        expect(row).to_be_visible()


WORDS = [
    "heron",
    "otter",
    "eagle",
    "badger",
    "lynx",
    "marten",
    "falcon",
    "beaver",
    "osprey",
    "weasel",
    "stoat",
    "curlew",
]


def recorded(number: int, first_unix: float) -> Exchange:
    """A few words of many, and one of its own."""
    words = " ".join(WORDS[(number * step) % len(WORDS)] for step in (1, 3, 7))
    ask = Ask(
        f"ex_{number:024x}",
        first_unix + number,
        "chat",
        "firstpass",
        "cascade",
        (Message("user", f"{words} number{number}"),),
        session=f"session {number // 10}",
    )
    reply = Reply(f"{words}: yes", "small", "stop", Usage(20, 9), 0.2)
    return Exchange(ask, (Step(Consult("draft", "answer", binding=True), reply),), Answer(0, "draft"), 0.25)


async def written(path: Path, first_unix: float) -> None:
    """Until the newest is found: the index follows, here in longer steps than while others wait for them."""
    with pytest.MonkeyPatch.context() as patch, closing(SqliteStore(path)) as store:
        patch.setattr("firstpass.store.index.GROW_SECONDS", 1.0)
        for begin in range(0, MANY, AT_ONCE):
            some = (recorded(number, first_unix) for number in range(begin, begin + AT_ONCE))
            await asyncio.gather(*(store.soon(store.append, one) for one in some))
        until(lambda: list(store.browse(Query(words=f"number{MANY - 1}"))), 600.0, 0.1)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A front whose record has MANY exchanges, written by the store itself."""
    data_dir = tmp_path_factory.mktemp("many")
    with ThreadPoolExecutor(1) as thread:  # Playwright's own loop runs on this one.
        thread.submit(asyncio.run, written(data_dir / "firstpass.sqlite", time.time() - MANY - 60)).result()
    with listening(data_dir) as url:
        yield url


def test_the_newest_of_many_are_painted_within_a_second(browser: Browser, many: str) -> None:
    with tab(browser, many) as opened:
        opened.refusals = True
        page = opened.page
        page.add_init_script(WATCH_ROWS)
        opened.open("exchanges")
        expect(page.locator("a.title").first).to_contain_text(f"number{MANY - 1}")
        painted = page.evaluate("() => window.firstRow")
        print(f"the first of {MANY} are painted after {painted:.0f} ms")
        assert painted < 1000 * stretched(PAINT_SECONDS)
        assert page.locator("tbody tr").count() == 50


WATCH_ROWS = """
new MutationObserver((_, watching) => {
  if (!document.querySelector("a.title")) return;
  watching.disconnect();
  requestAnimationFrame(() => requestAnimationFrame(() => { window.firstRow = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
"""
"""Milliseconds from the beginning of the navigation until the first rows are painted."""


def found_after(page: Page, words: str, title: str) -> float:
    """Milliseconds from the last key until what is found is painted, the page's own pause included."""
    page.evaluate(
        """title => { window.found = new Promise((done) => {
          const begun = { at: 0 };
          document.getElementById("search").addEventListener("input", () => { begun.at = performance.now(); });
          new MutationObserver((_, watching) => {
            const first = document.querySelector("a.title");
            if (!begun.at || !first || !first.textContent.includes(title)) return;
            watching.disconnect();
            requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begun.at)));
          }).observe(document, { childList: true, subtree: true, characterData: true });
        }) }""",
        title,
    )
    page.locator("#search").fill(words)
    return float(page.evaluate("() => window.found"))


def test_a_search_among_many_takes_no_time(browser: Browser, many: str) -> None:
    with tab(browser, many) as opened:
        opened.refusals = True
        page = opened.open("exchanges")
        expect(page.locator("a.title").first).to_be_visible()
        times = [
            found_after(page, f"number{number}", f"number{number}") for number in (17, 4_321, MANY - 2, MANY // 2, 7)
        ]
        print(f"found among {MANY} after {', '.join(f'{one:.0f}' for one in times)} ms")
        assert sorted(times)[len(times) // 2] < 1000 * stretched(SEARCH_SECONDS), times


def test_pages_lead_back_through_the_record_and_never_show_more_than_fifty(browser: Browser, many: str) -> None:
    with tab(browser, many) as opened:
        opened.refusals = True
        page = opened.open("exchanges")
        for page_number in range(1, 4):
            expect(page.locator("a.title").last).to_contain_text(f"number{MANY - 50 * page_number}")
            page.get_by_role("button", name="Older").click()
        expect(page.locator("tbody tr")).to_have_count(50)
        page.get_by_role("button", name="Newest").click()
        expect(page.locator("a.title").first).to_contain_text(f"number{MANY - 1}")
