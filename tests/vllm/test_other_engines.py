"""The whole front before the transformers engine, with the bundled model."""

from pathlib import Path

import httpx
import pytest

from tests.doubles import DIFF
from tests.vllm.conftest import living
from tests.vllm.test_main_job import summary

pytestmark = pytest.mark.vllm


def test_the_transformers_engine_answers_and_says_that_it_gives_no_logprobs(tmp_path: Path) -> None:
    with living(tmp_path / "data", FIRSTPASS_ENGINE__KIND="transformers") as own:
        answer = summary(own, DIFF)
        notes = [finding for finding in answer.json()["firstpass"]["findings"] if finding["check"] == "logprobs"]
        assert answer.status_code == 200 and notes[0]["severity"] == "note"
        body = {"model": "local", "messages": [{"role": "user", "content": "x"}], "max_tokens": 4}
        assert httpx.post(f"{own.url}/v1/chat/completions", json=body, timeout=60).status_code == 200
        refused = httpx.post(f"{own.url}/v1/chat/completions", json=body | {"logprobs": True}, timeout=60)
        assert refused.status_code == 400 and refused.json()["error"]["param"] == "logprobs"
        whole = httpx.post(f"{own.url}/v1/chat/completions", json=body, timeout=60).json()
        assert "<|" not in whole["choices"][0]["message"]["content"], "the prompt is no answer"
        with httpx.stream("POST", f"{own.url}/v1/chat/completions", json=body | {"stream": True}, timeout=60) as events:
            said = "".join(events.iter_text())
        assert said.endswith("data: [DONE]\n\n") and '"error"' not in said
        for field, value in {"response_format": {"type": "json_object"}, "stop": "x", "n": 2}.items():
            refused = httpx.post(f"{own.url}/v1/chat/completions", json=body | {field: value}, timeout=60)
            assert refused.status_code == 400 and refused.json()["error"]["param"] == field
        assert (
            httpx.post(f"{own.url}/infer", json={"model": "local", "prompt": "x"}, timeout=60).json()["logprobs"]
            is None
        )
