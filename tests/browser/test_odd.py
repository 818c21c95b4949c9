"""What a record and a folder of results may hold: other people's words, tools, images, and files that make no sense."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from firstpass.chat import Image, Message, Reasoning, ToolCall, Usage
from firstpass.errors import NotFound
from firstpass.exchange import Answer, Ask, Consult, Exchange, Refuse, Reply, Step
from firstpass.store.sqlite import SqliteStore
from tests.browser.watching import PHONE, Tab, tab
from tests.listening import listening

LONG = "W" * 10_000
MARKUP = "<img src=x onerror=alert(1)></script><script>alert(2)</script> [a](javascript:alert(3))"
EVIL = f"\u202elive\u202c {MARKUP} \x1b[31m\u200b"
ODD_SESSION = "a/b%20 c/../" + EVIL
CALLS = (ToolCall("c1", "look_up", '{"name": "createSession"}'),)
WITH_TOOLS = (
    Message("user", "", images=(Image("image/png", "aGVsbG8="),)),
    Message("assistant", "", tool_calls=CALLS, reasoning=Reasoning("first a look")),
    Message("tool", "it is new", tool_call_id="c1"),
)
FIGURES = {"pass": {"value": 0.9, "low": 0.8, "high": 0.95}}
RUNS: dict[str, Any] = {
    "date": {"arms": {"a": {"figures": FIGURES}}, "made_unix": 1e300},
    "arm": {"arms": {"a": None}},
    "figure": {"arms": {"a": {"figures": {"pass": {"value": "x", "low": None, "high": 1}}}}},
    "words": {"arms": {LONG: {"figures": FIGURES}, EVIL: {"figures": FIGURES}}, "warnings": [LONG, EVIL]},
}


def of(number: int) -> str:
    return f"ex_{number:024x}"


def exchange(number: int, said: tuple[Message, ...], reply: Reply | None, **fields: Any) -> Exchange:
    wanted = {"model": "firstpass", "target": "cascade"} | fields
    ask = Ask(of(number), time.time() - 90_000 + number, "chat", messages=said, **wanted)
    if reply is None:
        return Exchange(ask, (), Refuse(NotFound(f"there is no model {LONG}").failure), 0.1)
    return Exchange(ask, (Step(Consult("draft", "answer", binding=True), reply),), Answer(0, "draft"), 0.2)


def reply(text: str, **fields: Any) -> Reply:
    return Reply(text, "small", "stop", Usage(20, 9), 0.2, **fields)


def recorded() -> Iterator[Exchange]:
    yield exchange(1, (Message("user", LONG),), reply(LONG), session=LONG[:190])
    yield exchange(2, (Message("user", EVIL),), reply(EVIL), session=ODD_SESSION)
    yield exchange(3, (Message("user", "whom?"),), None, model=LONG[:400])
    yield exchange(4, WITH_TOOLS, reply("", tool_calls=CALLS, reasoning=Reasoning("again a look")), session="tools")
    yield exchange(5, (Message("user", "the same"),), reply("yes"), shadows=of(4))
    for number in range(100, 250):
        yield exchange(number, (Message("user", f"turn {number}"),), reply(f"answer {number}"), session="long")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    data_dir = tmp_path_factory.mktemp("odd")
    with closing(SqliteStore(data_dir / "firstpass.sqlite")) as store:
        for one in recorded():
            store.append(one)
    for name, body in RUNS.items():
        (data_dir / "results" / name).mkdir(parents=True)
        (data_dir / "results" / name / "results.json").write_text(json.dumps({"format": 1} | body))
    with listening(data_dir) as url:
        yield url


@pytest.fixture
def opened(browser: Browser, odd: str) -> Iterator[Tab]:
    with tab(browser, odd) as opened:
        opened.refusals = True  # There is no engine behind it.
        yield opened


@pytest.mark.parametrize("name", sorted(RUNS))
def test_a_run_that_makes_no_sense_leaves_the_page_as_it_is(opened: Tab, name: str) -> None:
    """A date past the end of time, or an arm that is null, left nothing of the page."""
    page = opened.open(f"results/{name}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Evaluations and benchmarks")
    expect(page.locator(".picks a")).to_have_count(len(RUNS))
    expect(page.get_by_role("region", name=f"Run {name}").or_(page.get_by_role("alert")).first).to_be_visible()
    page.get_by_role("link", name="Usage").click()
    expect(page.get_by_role("heading", name="Usage")).to_be_visible()


def test_tools_images_thoughts_and_shadows_are_shown(opened: Tab) -> None:
    """A call or an image without words was said to be one whose words were not kept."""
    page = opened.open(f"exchanges/{of(4)}")
    expect(page.locator(".turn")).to_have_count(3)
    asked = page.locator(".card", has=page.get_by_role("heading", name="What was asked"))
    expect(asked).to_contain_text("an image, image/png")
    expect(asked.locator(".calls")).to_contain_text('look_up{"name": "createSession"}')
    expect(page.locator(".step .calls")).to_contain_text("look_up")
    expect(page.locator(".step .thought")).to_contain_text("again a look")
    expect(page.get_by_text("not kept")).to_have_count(0)
    opened.open("sessions/tools")
    expect(page.locator(".turns .calls")).to_contain_text("look_up")
    opened.open(f"exchanges/{of(5)}")
    page.get_by_role("link", name=of(4)).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(of(4))


WIDE = {f"exchanges/{of(number)}": "W" * 40 for number in (1, 3)} | {
    f"exchanges/{of(2)}": "onerror",
    "exchanges?q=whom": "W" * 40,
    "sessions": "W" * 40,
    "results/words": "W" * 40,
}
"""By view, what is to be seen of it."""


def test_words_without_end_and_signs_of_all_kinds_break_no_view(browser: Browser, odd: str) -> None:
    with tab(browser, odd, viewport=PHONE) as opened:
        opened.refusals = True
        for view, seen in WIDE.items():
            page = opened.open(view)
            expect(page.locator("main")).to_contain_text(seen)
            assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"], view
        assert page.locator("main :is(img, script, a[href^=javascript])").count() == 0


def test_a_session_has_any_name(opened: Tab) -> None:
    page = opened.open("sessions")
    page.locator(".picks a", has_text="onerror").click()
    expect(page.locator(".talk > header h2")).to_have_text(ODD_SESSION)
    expect(page.locator(".talk .turns > li")).to_have_count(2)
    page.reload()
    expect(page.locator(".talk > header h2")).to_have_text(ODD_SESSION)


def test_a_long_session_goes_on_from_its_latest_messages_alone(opened: Tab) -> None:
    """It went on from the page that was looked at, as if nothing had been said since."""
    page = opened.open("sessions/long")
    expect(page.locator(".talk .turns > li")).to_have_count(200)
    page.get_by_role("button", name="Earlier").click()
    expect(page.get_by_text("answer 100", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Go on with it")).to_be_disabled()
    page.get_by_role("button", name="Latest").click()
    page.get_by_role("button", name="Go on with it").click()
    expect(page.locator(".before")).to_contain_text("its newest 200 messages")


def test_a_search_and_its_page_stay_through_a_look_at_an_exchange_and_a_reload(opened: Tab) -> None:
    page = opened.open("exchanges")
    page.get_by_label("Search whole words").fill("turn")
    expect(page.locator("a.title").first).to_have_text("turn 249")
    page.get_by_role("button", name="Older").click()
    expect(page.locator("a.title").first).to_have_text("turn 199")
    page.locator("a.title").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(of(199))
    expect(page.locator("main")).to_be_focused()
    page.go_back()
    expect(page.locator("a.title").first).to_have_text("turn 199")
    page.reload()
    expect(page.locator("a.title").first).to_have_text("turn 199")
    expect(page.get_by_label("Search whole words")).to_have_value("turn")
    page.go_back()
    expect(page.locator("a.title").first).to_have_text("turn 249")
