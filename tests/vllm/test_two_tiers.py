"""Two real engines: the stronger model gives its verdict over HTTP. It stands in for a hosted model, and is none."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from firstpass.contract.sections import parse_answer
from firstpass.contract.verdict import RESPONSE_FORMAT
from firstpass.gate import Gate
from firstpass.gate.bounds import Promise
from firstpass.gate.score import Score
from tests.conftest import Front, serving
from tests.doubles import DIFF, NAMES, says
from tests.injections import families, placing
from tests.vllm.conftest import Live, living

pytestmark = pytest.mark.vllm

STRONGER = "firstpass-verify-30m"
SENTENCES = ("Add startSession to the login.", "Use SessionStore.open() in login.")
"""Each names what the diff has not, so code can not mend it."""

ASKED = 8


@pytest.fixture(scope="module")
def stronger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with living(tmp_path_factory.mktemp("stronger") / "data", FIRSTPASS_ENGINE__MODEL=STRONGER) as running:
        yield running


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_stronger_model_mends_most_of_what_code_can_not(stronger: Live, front: Front, sentence: str) -> None:
    """Its verdict hangs on the nonce too, and 9% of them are none (its card): these are rejects, never answers."""
    drafted = NAMES.replace("Create a session at login.", sentence)
    verifier = {"url": f"{stronger.url}/v1", "model": "local", "hosted": False}
    body = {"model": "firstpass", "messages": [{"role": "user", "content": DIFF}]}
    routes = []
    with front(says(drafted), verifier=verifier) as client:
        for _ in range(ASKED):
            answer = client.post("/v1/chat/completions", json=body | {"firstpass": {"contract": "pr-summary@3"}}).json()
            how = answer["firstpass"]
            assert [step["tier"] for step in how["steps"]] == ["draft", "code", "verifier"]
            assert how["steps"][2]["model"] == STRONGER and how["steps"][2]["usage"]["completion_tokens"] > 0
            assert parse_answer(answer["choices"][0]["message"]["content"]).calls == ("createSession",)
            routes.append(how["route"])
    assert set(routes) <= {"verified", "unverified"} and routes.count("verified") >= ASKED / 2, routes


def test_a_verdict_that_breaks_its_schema_can_not_come_from_a_real_vllm(stronger: Live) -> None:
    """The schema reaches the engine: even a prompt that has nothing to do with it is answered in its form."""
    body = {"model": "local", "messages": [{"role": "user", "content": DIFF}], "response_format": RESPONSE_FORMAT}
    asked = body | {"max_tokens": 400, "temperature": 0}
    choice = httpx.post(f"{stronger.url}/v1/chat/completions", json=asked, timeout=60).json()["choices"][0]
    assert choice["finish_reason"] == "length" or json.loads(choice["message"]["content"]).keys() == {
        "nonce",
        "ok",
        "edits",
    }


def test_a_handful_of_injections_has_the_stronger_model_accept_nothing_that_a_check_finds_fault_with(
    stronger: Live, front: Front
) -> None:
    """Its verdict may mend the draft or be none; the faulty sentence is never `verified`.

    benchmarks/suites/injection asks with all families.
    """
    drafted = faulty = NAMES.replace("Create a session at login.", SENTENCES[0])
    verifier = {"url": f"{stronger.url}/v1", "model": "local", "hosted": False}
    body = {"model": "firstpass", "messages": [{"role": "user", "content": DIFF}]}
    with front(lambda _: drafted, verifier=verifier) as client:
        for payload in [*families.FAMILIES.values()][::3]:
            _, drafted = placing.sentence(DIFF, faulty, payload(random.Random(1)))
            answer = client.post("/v1/chat/completions", json=body | {"firstpass": {"contract": "pr-summary@3"}}).json()
            assert [step["tier"] for step in answer["firstpass"]["steps"]] == ["draft", "code", "verifier"]
            route, text = answer["firstpass"]["route"], answer["choices"][0]["message"]["content"]
            assert route == "unverified" or (route == "verified" and "startSession" not in text)


def engine_of(live: Live) -> FastAPI:
    """Its vLLM alone, without the front, which passes no scores on."""
    command = next(process.cmdline() for process in live.tree() if "--uds" in process.cmdline())
    socket = command[command.index("--uds") + 1]
    application = FastAPI()

    @application.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        transport = httpx.AsyncHTTPTransport(uds=socket)
        async with httpx.AsyncClient(transport=transport, base_url="http://engine", timeout=60) as client:
            body = (await request.json()) | {"model": STRONGER}
            answer = await client.post("/v1/chat/completions", json=body)
        return Response(answer.content, answer.status_code, media_type="application/json")

    return application


NEVER = Gate(
    contract="pr-summary@3",
    model="scripted",
    score=Score((), 0.0),
    accept_from=1.0,
    promise=Promise(0.02, 0.95, 150, 0, 0.0198, 0.0, None, 0.94),
    most_bytes=8_000,
    fitted_on={},
    calibrated_on={},
    made_unix=0.0,
    version="0",
)


def test_a_verifier_scores_a_right_draft_and_doubts_a_wrong_name(stronger: Live, front: Front, tmp_path: Path) -> None:
    """The wrong name is in the diff, so no check finds fault with it: it is called, but not newly."""
    (tmp_path / "gate.json").write_text(NEVER.text())
    wrong = NAMES.replace("- createSession()", "- createSession()\n- check()")
    body: dict[str, Any] = {"model": "firstpass", "messages": [{"role": "user", "content": DIFF}]}
    with serving(engine_of(stronger)) as url:
        options = {
            "engine": {"model": "scripted"},
            "verifier": {"url": f"{url}/v1", "model": STRONGER, "hosted": False, "mode": "score"},
            "policy": {"gates": [str(tmp_path / "gate.json")]},
        }
        how = []
        for drafted in (NAMES, wrong):
            with front(says(drafted), lambda _: -0.1, **options) as client:
                asked = body | {"firstpass": {"contract": "pr-summary@3"}}
                how.append(client.post("/v1/chat/completions", json=asked).json()["firstpass"])
    right, doubted = how
    assert right["route"] == "verified" and [step["purpose"] for step in right["steps"]] == ["draft", "score"]
    assert right["steps"][1]["usage"]["completion_tokens"] == 1, "one prefill"
    assert [step["purpose"] for step in doubted["steps"]] == ["draft", "score", "verify"]
    assert doubted["steps"][1]["failed_checks"] > 0 and doubted["steps"][1]["failure"] is None


def test_both_models_are_served_at_once_each_by_its_own_engine(live: Live, stronger: Live) -> None:
    for running, name in ((live, "firstpass-draft-10m"), (stronger, STRONGER)):
        shown = running.cli("ask", "--contract", "pr-summary@3", stdin=DIFF.encode())
        assert shown.returncode == 0 and b"createSession()" in shown.stdout, name
