"""Streams that show a draft before it is checked, because the caller said so: the verdict comes last."""

import json
from dataclasses import replace
from typing import Any

import openai
import pytest

from firstpass.chat import Chunk, Delta, Sampling, TokenLogprob
from firstpass.dialect.openai.write_reply import Stream
from firstpass.exchange import Ask, Consult, Step
from tests.conftest import Front, serving
from tests.doubles import DIFF, NAMES, OMITS, STRAYS, judges, openai_app, says

ASKED: dict[str, Any] = {
    "model": "firstpass",
    "messages": [{"role": "user", "content": DIFF}],
    "stream": True,
    "firstpass": {"contract": "pr-summary@3", "optimistic": True},
}


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]


def words(chunks: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def test_a_draft_that_passes_is_kept(front: Front) -> None:
    with front(says(NAMES)) as client:
        response = client.post("/v1/chat/completions", json=ASKED)
    *chunks, last = events(response.text)
    assert words(chunks) == NAMES and len(chunks) > 1, "it came as it was written"
    assert last["choices"] == [] and last["firstpass"]["verdict"] == "kept" and "text" not in last["firstpass"]
    assert (
        last["firstpass"]["route"] == "draft"
        and last["id"] == chunks[0]["id"] == f"chatcmpl-{last['firstpass']['exchange']}"
    )
    assert response.text.endswith("data: [DONE]\n\n") and response.text.count("[DONE]") == 1
    assert response.headers["x-firstpass-stream"] == "optimistic" and "x-firstpass-route" not in response.headers


def test_a_draft_that_code_mends_is_replaced_by_the_verdict(front: Front) -> None:
    with front(says(OMITS)) as client:
        *chunks, last = events(client.post("/v1/chat/completions", json=ASKED).text)
    assert words(chunks) == OMITS
    assert last["firstpass"]["verdict"] == "replaced" and last["firstpass"]["route"] == "repaired"
    assert last["firstpass"]["text"] == NAMES.replace("Create a session at login", "Log the user in")


def test_a_draft_that_the_verifier_corrects_is_replaced(front: Front) -> None:
    with serving(openai_app(judges(NAMES))) as url:
        verifier = {"url": f"{url}/v1", "model": "stronger", "hosted": False}
        with front(says(STRAYS), verifier=verifier) as client:
            *chunks, last = events(client.post("/v1/chat/completions", json=ASKED).text)
    assert words(chunks) == STRAYS and last["firstpass"]["route"] == "verified"
    assert (last["firstpass"]["verdict"], last["firstpass"]["text"]) == ("replaced", NAMES)


def test_a_draft_that_nobody_can_mend_says_so_in_the_verdict(front: Front) -> None:
    with front(says(STRAYS)) as client:
        last = events(client.post("/v1/chat/completions", json=ASKED).text)[-1]["firstpass"]
    assert (last["verdict"], last["route"]) == ("kept", "unverified")
    assert [finding["subject"] for finding in last["findings"] if finding["severity"] == "fail"] == ["launchRocket"]


def test_the_official_client_reads_such_a_stream_to_its_end(front: Front) -> None:
    with front(says(OMITS)) as client:
        sdk = openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="none", max_retries=0)
        with sdk:
            stream = sdk.chat.completions.create(
                model="firstpass",
                messages=[{"role": "user", "content": DIFF}],
                stream=True,
                stream_options={"include_usage": True},
                extra_body={"firstpass": ASKED["firstpass"]},
            )
            chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == OMITS and chunks[-1].firstpass["verdict"] == "replaced"


def test_the_checks_logprobs_are_not_the_caller_s() -> None:
    tokens = (TokenLogprob("Su", -0.1, (("Su", -0.1), ("No", -2.4))),)
    chunk = Chunk(b"", "openai", "m", (Delta(text="Su", logprobs=tokens),))
    step = Step(Consult("draft", "draft", early=True))
    ask = Ask("ex_1", 0.0, "chat", "firstpass", "cascade", (), stream=True, optimistic=True)

    def shown(sampling: Sampling) -> Any:
        data = Stream(replace(ask, sampling=sampling)).chunk(step, chunk)
        return json.loads(data.removeprefix(b"data: "))["choices"][0]["logprobs"]

    assert shown(Sampling()) is None
    (entry,) = shown(Sampling(logprobs=True))["content"]
    assert (entry["token"], entry["logprob"], entry["top_logprobs"]) == ("Su", -0.1, [])
    (entry,) = shown(Sampling(logprobs=True, top_logprobs=1))["content"]
    assert [one["token"] for one in entry["top_logprobs"]] == ["Su"]


@pytest.mark.parametrize("header", [False, True])
def test_only_a_stream_can_be_optimistic(front: Front, header: bool) -> None:
    asked = ASKED | {
        "stream": False,
        "firstpass": {"contract": "pr-summary@3"} | ({} if header else {"optimistic": True}),
    }
    headers = {"x-firstpass-optimistic": "true"} if header else {}
    with front(says(NAMES)) as client:
        response = client.post("/v1/chat/completions", json=asked, headers=headers)
        told = client.post("/v1/explain", json=ASKED).json()
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, "firstpass.optimistic")
    assert "streaming what nothing has checked yet" in told["steps"][0]
