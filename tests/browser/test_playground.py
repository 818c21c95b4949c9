"""The playground in a real browser: streams, evidence, findings, heat, and answers side by side."""

import json
import re
import time
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Locator, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from firstpass import app
from firstpass.settings import Settings
from firstpass.store.sqlite import SqliteStore
from tests.browser.conftest import LARGE, SMALL, STRONG, Open, external, model
from tests.browser.watching import tab
from tests.conftest import fronted, serving, wait_until_ready
from tests.doubles import DIFF, STRAYS
from tests.keyed import new_key
from tests.listening import listening
from tests.scenes import Scene, list_models, whole


def ask_about(page: Page, text: str, *, chat: bool = False) -> None:
    if chat:
        page.get_by_role("button", name="Chat", exact=True).click()
    page.locator("#input").fill(text)
    page.locator("#input").press("Control+Enter")


def lane(page: Page, number: int = 1) -> Locator:
    return page.get_by_role("article", name=f"Answer {number}")


def test_a_diff_is_answered_with_what_code_knows_of_it(open_tab: Open) -> None:
    with open_tab() as tab:
        page = tab.open()
        ask_about(page, DIFF)
        known = page.get_by_role("complementary", name="Evidence")
        expect(known).to_contain_text("createSession()")
        expect(known).to_contain_text("1 file, +1")
        answer = lane(page)
        expect(answer.locator(".badge")).to_have_text("repaired")
        expect(answer).to_contain_text("createSession()")
        expect(answer).to_contain_text("Nothing left this machine")
        expect(answer.locator(".timeline")).to_contain_text("draft · draft")
        expect(answer).to_contain_text("Checks of pr-summary@")


def test_a_plain_chat_shows_how_sure_the_model_was_of_each_token(open_tab: Open) -> None:
    with open_tab() as tab:
        page = tab.open()
        ask_about(page, "What is a session?", chat=True)
        answer = lane(page)
        expect(answer.locator(".answer")).to_have_text(SMALL)
        first = answer.locator(".answer span[title*=probability]").first
        expect(first).to_have_class("heat1")
        expect(first).to_have_attribute("title", "probability 90.5%, log -0.100")
        page.get_by_label("Token heat").uncheck()
        expect(answer.locator("[class*=heat]")).to_have_count(0)


def test_tokens_that_are_no_text_of_their_own_take_no_heat_from_the_others(browser: Browser, tmp_path: Path) -> None:
    """The token that ends an answer, and halves of a character: no answer of the bundled model had any heat."""
    said = [("Caf", -0.01), ("\ufffd", -1.0), ("\ufffd", -1.0), (" at sea", -2.0), ("<|end|>", -0.01)]

    async def chat(request: Request) -> Response:
        asked = await request.json()
        if not asked.get("stream"):
            return JSONResponse(whole(Scene(), asked))
        tokens = [{"token": token, "logprob": logprob, "top_logprobs": []} for token, logprob in said]
        choice = {"index": 0, "delta": {"content": "Café at sea"}, "logprobs": {"content": tokens}}
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        lines = [json.dumps({"id": "x", "model": "m", "choices": [one]}) for one in (choice, end)]
        return Response("".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"]), media_type="text/event-stream")

    engine = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"]), Route("/v1/models", list_models)])
    with serving(engine) as url, fronted(url, tmp_path) as client, tab(browser, str(client.base_url)) as opened:
        page = opened.open()
        ask_about(page, "Where?", chat=True)
        answer = lane(page).locator(".answer")
        expect(answer).to_have_text("Café at sea")
        expect(answer.locator(".heat0")).to_have_text("Caf")
        expect(answer.locator(".heat4")).to_have_text(" at sea")


def test_answers_side_by_side_have_their_differences_marked(open_tab: Open) -> None:
    with open_tab() as tab:
        page = tab.open()
        page.get_by_role("button", name="Chat", exact=True).click()
        page.get_by_role("button", name="Compare with another").click()
        page.get_by_role("button", name="Compare with another").click()
        for number, name in enumerate(["small", "large", "strong"]):
            page.get_by_label("Model or route").nth(number).select_option(name)
        ask_about(page, "What is a session?")
        expect(lane(page, 1).locator(".answer")).to_have_text(SMALL)
        expect(lane(page, 2).locator(".answer")).to_have_text(LARGE)
        expect(lane(page, 3).locator(".answer")).to_have_text(STRONG)
        expect(lane(page, 1).locator("mark.differs")).to_have_count(0)
        marked = "".join(lane(page, 2).locator("mark.differs").all_inner_texts())
        assert "Every" in marked and "createSession" not in marked
        page.get_by_role("button", name="Remove answer 3").click()
        expect(page.get_by_role("article")).to_have_count(2)


def test_a_draft_is_seen_while_it_is_written_and_its_faults_are_marked(browser: Browser, tmp_path: Path) -> None:
    with ExitStack() as held:
        url = held.enter_context(model(STRAYS, tokens_a_second=12))
        settings = Settings.model_validate({"engine": external(url), "server": {"data_dir": tmp_path}})
        front = held.enter_context(serving(app.build(settings)))
        wait_until_ready(held.enter_context(httpx.Client(base_url=front)))
        opened = held.enter_context(tab(browser, front))
        page = opened.open()
        page.get_by_label("Contract").select_option("pr-summary@3")
        ask_about(page, DIFF)
        expect(lane(page).get_by_role("status")).to_contain_text("writing")
        expect(lane(page).locator(".answer").first).to_contain_text("Summary: Launch")
        expect(lane(page).locator(".badge")).to_be_visible()
        found = lane(page).locator("mark.found.fail").first
        expect(found).to_have_text("launchRocket")
        expect(found).to_have_attribute("title", re.compile("launchRocket, which does not occur in the diff"))


def test_an_answer_can_be_stopped(browser: Browser, tmp_path: Path) -> None:
    with ExitStack() as held:
        url = held.enter_context(model("a word and " * 300, tokens_a_second=5))
        settings = Settings.model_validate({"engine": external(url), "server": {"data_dir": tmp_path}})
        front = held.enter_context(serving(app.build(settings)))
        wait_until_ready(held.enter_context(httpx.Client(base_url=front)))
        page = held.enter_context(tab(browser, front)).open()
        ask_about(page, "Go on.", chat=True)
        expect(lane(page).locator(".answer")).to_contain_text("a word")
        page.get_by_role("button", name="Compare with another").click()
        expect(page.get_by_role("button", name="Remove answer 1")).to_be_disabled()
        page.get_by_role("button", name="Stop").click()
        expect(lane(page).get_by_role("status")).to_contain_text("stopped")
        expect(page.get_by_role("button", name="Ask")).to_be_enabled()
        expect(page.get_by_role("button", name="Remove answer 1")).to_be_enabled()


def test_what_a_model_says_is_never_read_as_markup(browser: Browser, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)> <script>alert(2)</script> [a](javascript:alert(3)) </div>"
    with ExitStack() as held:
        url = held.enter_context(model(evil))
        settings = Settings.model_validate({"engine": external(url), "server": {"data_dir": tmp_path}})
        front = held.enter_context(serving(app.build(settings)))
        wait_until_ready(held.enter_context(httpx.Client(base_url=front)))
        page = held.enter_context(tab(browser, front)).open()
        ask_about(page, evil, chat=True)
        expect(lane(page).locator(".answer")).to_have_text(evil)
        assert page.locator("main img, main script, main a[href^=javascript]").count() == 0


def test_a_refusal_is_shown_in_the_words_of_the_server(browser: Browser, tmp_path: Path) -> None:
    with listening(tmp_path, body_limit_bytes=2000) as url, tab(browser, url) as opened:
        opened.refusals = True
        page = opened.open()
        ask_about(page, DIFF + "+ x\n" * 1000)
        expect(lane(page).get_by_role("alert")).to_have_text("the body is over the limit of 2000 bytes")
        expect(page.get_by_role("complementary", name="Evidence")).to_contain_text("over the limit")


def test_a_key_is_asked_for_kept_in_memory_alone_and_forgotten(browser: Browser, tmp_path: Path) -> None:
    key, _ = new_key(tmp_path)
    with listening(tmp_path, keys="required") as url, tab(browser, url) as opened:
        opened.refusals = True
        page = opened.open("engines")
        expect(page.get_by_role("alert")).to_contain_text("key")
        page.get_by_label("API key").fill(key)
        page.get_by_label("API key").press("Enter")
        expect(page.get_by_role("rowheader", name="external")).to_be_visible()
        kept = page.evaluate(
            "() => [JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie, location.href,"
            " document.documentElement.outerHTML]"
        )
        assert key not in "".join(kept)
        assert not page.context.cookies()
        expect(page.get_by_role("button", name="Forget key")).to_be_focused()
        page.get_by_role("button", name="Forget key").click()
        expect(page.get_by_role("alert")).to_contain_text("key")
        expect(page.get_by_role("rowheader", name="external")).to_have_count(0)
        expect(page.get_by_label("API key")).to_be_focused()
        assert all(key not in request.url for request in opened.requests)


def test_a_key_that_is_revoked_is_said_where_the_newest_come_by_themselves(browser: Browser, tmp_path: Path) -> None:
    """The list stood still, and said that new ones come."""
    key, record = new_key(tmp_path)
    with listening(tmp_path, keys="required") as url, tab(browser, url) as opened:
        opened.refusals = True
        page = opened.open("exchanges")
        page.get_by_label("API key").fill(key)
        page.get_by_label("API key").press("Enter")
        expect(page.get_by_text("new ones come by themselves")).to_be_visible()
        with closing(SqliteStore(tmp_path / "firstpass.sqlite")) as store:
            assert store.revoke_key(record.id, time.time())
        expect(page.get_by_role("alert")).to_contain_text("key")
        expect(page.get_by_text("new ones come by themselves")).to_have_count(0)
