"""Two real engines: the stronger model gives its verdict over HTTP. It stands in for a hosted model, and is none."""

import json
from collections.abc import Iterator

import httpx
import pytest

from firstpass.contract.sections import parse_answer
from firstpass.contract.verdict import RESPONSE_FORMAT
from tests.conftest import Front
from tests.doubles import DIFF, NAMES, says
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
            answer = client.post("/v1/chat/completions", json=body | {"firstpass": {"contract": "pr-summary"}}).json()
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


def test_both_models_are_served_at_once_each_by_its_own_engine(live: Live, stronger: Live) -> None:
    for running, name in ((live, "firstpass-draft-10m"), (stronger, STRONGER)):
        shown = running.cli("ask", "--contract", "pr-summary", stdin=DIFF.encode())
        assert shown.returncode == 0 and b"createSession()" in shown.stdout, name
