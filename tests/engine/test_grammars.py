"""What an engine would compile is compiled in a child first: the engine's own compiler, real schemas and real bombs."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
from pydantic import BaseModel, Field

from firstpass import catalogue
from firstpass.chat import Message, Sampling, Tool, ToolChoice
from firstpass.contract import Shelf
from firstpass.contract.pattern import form_pattern
from firstpass.contract.redraft import sentence_pattern
from firstpass.engine import EngineSpec
from firstpass.engine.grammars import Constraint, Grammars, NotCompiled, for_engine
from firstpass.errors import BadAsk
from firstpass.exchange import Ask, CallerDialect, Consult
from firstpass.listening import StepListener
from firstpass.tier.compiled import TOO_EXPENSIVE, CompiledTier
from tests.doubles import ScriptedTier

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(find_spec("xgrammar") is None, reason="xgrammar comes with vLLM"),
]


class Step(BaseModel):
    explanation: str
    output: str


class Solution(BaseModel):
    """As OpenAI's own example of structured outputs."""

    steps: list[Step]
    final_answer: str = Field(description="What it comes to.")
    confidence: float | None = Field(None, ge=0, le=1)


class Node(BaseModel):
    name: str
    children: list["Node"] = []


STRICT = {
    "type": "object",
    "properties": {
        "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
        "unit": {"type": ["string", "null"], "enum": ["celsius", "fahrenheit", None]},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
    },
    "required": ["location", "unit", "days"],
    "additionalProperties": False,
}
ZOD = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "kind": {"type": "string", "const": "invoice"},
        "lines": {
            "minItems": 1,
            "maxItems": 50,
            "type": "array",
            "items": {
                "anyOf": [
                    {"type": "object", "properties": {"sku": {"type": "string", "minLength": 1, "maxLength": 64}}},
                    {"type": "object", "properties": {"note": {"type": "string"}}, "required": ["note"]},
                ]
            },
        },
        "due": {"type": "string", "format": "date-time"},
        "tags": {"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": "string"}},
    },
    "required": ["kind", "lines"],
    "additionalProperties": False,
}
RECURSIVE = {
    "$defs": {"ui": {"type": "object", "properties": {
        "type": {"enum": ["div", "button", "header", "section", "field", "form"]},
        "children": {"type": "array", "items": {"$ref": "#/$defs/ui"}},
    }, "required": ["type", "children"], "additionalProperties": False}},
    "$ref": "#/$defs/ui",
}  # fmt: skip
PATTERNS = (
    r"^[a-z0-9]+([.-][a-z0-9]+)*@([a-z0-9]+\.)+[a-z]{2,9}$",
    r"^([A-Za-z0-9_-]{1,63}\.)+[a-z]{2,}$",
    r"^(\d{1,3}\.){3}\d{1,3}$",
    r"^\+?[0-9]{1,3}([ -]?[0-9]{2,4}){2,5}$",
    r"^#?([a-fA-F0-9]{6}|[a-fA-F0-9]{3})$",
    r"^[A-Z]{2}[0-9]{2}( ?[A-Z0-9]{4}){3,7}$",
    r"^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$",
    r"^([a-z]+-)*[a-z]+$",
)
USUAL: dict[str, Any] = {
    "a model of pydantic": Solution.model_json_schema(),
    "a recursive model of pydantic": Node.model_json_schema(),
    "OpenAI's strict form": STRICT,
    "as zod writes it": ZOD,
    "recursive with $defs": RECURSIVE,
    "a list": {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 300},
    "an enumeration": {"type": "string", "enum": [f"label {at}" for at in range(300)]},
    "anything": {},
    "many properties": {"type": "object", "properties": {f"p{at}": {"type": ["string", "null"]} for at in range(150)}},
    "a long text": {"type": "object", "properties": {"text": {"type": "string", "maxLength": 20_000}}},
    "tagged kinds": {"oneOf": [
        {"type": "object", "properties": {"kind": {"const": kind}, "at": {"type": "integer"}}, "required": ["kind"]}
        for kind in ("move", "click", "type", "wait")
    ]},
    "formats": {"type": "object", "properties": {
        name: {"type": "string", "format": name} for name in ("email", "date", "time", "uuid", "ipv4", "uri")
    }},
    "patterns": {"type": "object", "properties": {
        f"p{at}": {"type": "string", "pattern": pattern} for at, pattern in enumerate(PATTERNS)
    }},
}  # fmt: skip

NESTED = "(([a-z]{0,300}){0,300})"
BOMBS = {
    "nested repetitions": {"type": "object", "properties": {"a": {"type": "string", "pattern": f"^{NESTED}$"}}},
    "some of many names": {"type": "object", "properties": {f"n{at}": {} for at in range(200)}, "minProperties": 100},
    "behind another choice": {"type": "string", "pattern": "^(ok|zq((a{0,90}){0,90}){0,90})$"},
    "in a property's name": {"type": "object", "patternProperties": {"^((a?){0,300}){0,300}b$": {"type": "string"}}},
    "without an end": {"type": "object", "properties": {"a": {}, "b": {"pattern": "^(a|aa|aaa|a*|(a*)*)*b$"}}},
}
DEEP = BOMBS["nested repetitions"]
FAULTS = {
    "a type that is none": ({"type": "strong"}, "strong"),
    "a reference to nothing": ({"$ref": "#/$defs/x"}, "$defs"),
    "a pattern with a fault": ({"type": "string", "pattern": "^(a$"}, "parenthesis"),
    "no look-behind": ({"type": "string", "pattern": "(?<=a)b"}, "ookbehind"),
}


def bundled() -> EngineSpec:
    return EngineSpec("bundled", "vllm", Path(), model_dir=catalogue.find("firstpass-draft-10m", Path()).directory)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def checks() -> AsyncIterator[Grammars]:
    made = for_engine(bundled())
    assert made is not None
    await made.start()
    yield made
    await made.close()


def schema(value: object) -> list[Constraint]:
    return [Constraint("json", json.dumps(value))]


def child(checks: Grammars) -> psutil.Process:
    assert checks.child is not None
    return psutil.Process(checks.child.pid)


async def refused(checks: Grammars, constraints: list[Constraint], key: str | None = None) -> NotCompiled:
    with pytest.raises(NotCompiled) as caught:
        await checks.check(constraints, key)
    return caught.value


@pytest.mark.parametrize("name", USUAL)
async def test_what_clients_usually_send_passes(checks: Grammars, name: str) -> None:
    await checks.check(schema(USUAL[name]), None)


async def test_the_sentence_of_a_contract_passes(checks: Grammars) -> None:
    pattern = sentence_pattern(f"getUser{at}Name_{at}" for at in range(200))
    await checks.check([Constraint("regex", pattern)], None)


async def test_the_forms_of_all_contracts_pass_together(checks: Grammars) -> None:
    patterns = {pattern for files in Shelf.of(None).files.values() if (pattern := form_pattern(files.form))}
    await checks.check([Constraint("regex", pattern) for pattern in sorted(patterns)], None)
    assert len(patterns) == 5


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_is_refused_for_what_it_costs_and_then_at_once(checks: Grammars, name: str) -> None:
    constraints = [*schema(STRICT), *schema(BOMBS[name])]
    first = await refused(checks, constraints)
    assert (first.part, first.why) == (1, None)
    again = await refused(checks, constraints)
    assert (again.part, again.why) == (1, None)


@pytest.mark.parametrize("name", FAULTS)
async def test_what_the_engine_would_refuse_is_refused_with_its_reason(checks: Grammars, name: str) -> None:
    wrong, word = FAULTS[name]
    why = (await refused(checks, schema(wrong))).why
    assert why is not None and word in why and "/project/" not in why


async def test_a_schema_that_needs_more_memory_than_there_is_ends_its_own_process_alone(checks: Grammars) -> None:
    pid = child(checks).pid
    assert (await refused(checks, [Constraint("regex", "[a-z]" * 400_000)])).why is None
    assert child(checks).pid == pid and not child(checks).children()
    await checks.check(schema(STRICT), None)


async def test_one_key_s_bombs_hold_up_no_other_key(checks: Grammars) -> None:
    bombs = [schema(BOMBS["some of many names"] | {"title": f"bomb {at}"}) for at in range(2)]
    running = [asyncio.ensure_future(checks.check(bomb, "hostile")) for bomb in bombs]
    await asyncio.sleep(0)
    await checks.check(schema(STRICT | {"title": "for another key"}), "harmless")
    assert not running[-1].done()
    assert all(isinstance(one, NotCompiled) for one in await asyncio.gather(*running, return_exceptions=True))


async def test_a_child_that_was_killed_is_replaced(checks: Grammars) -> None:
    pid = child(checks).pid
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        assert checks.child is not None
        await checks.child.ended()
    await checks.check(schema(STRICT | {"title": "after the kill"}), None)
    assert child(checks).pid != pid


@pytest.mark.parametrize(
    ("dialect", "sampling", "field"),
    [
        ("openai", Sampling(response_format={"type": "json_schema", "json_schema": {"schema": DEEP}}),
         "response_format.json_schema.schema"),
        ("responses", Sampling(response_format={"type": "json_schema", "json_schema": {"schema": {"type": "strong"}}}),
         "text.format.schema"),
        ("anthropic", Sampling(tools=(Tool("a"), Tool("b", parameters=BOMBS["nested repetitions"], strict=True))),
         "tools.1.input_schema"),
        ("openai", Sampling(tools=(Tool("a", parameters={"type": "strong"}),), tool_choice=ToolChoice("required")),
         "tools.0.function.parameters"),
    ],
)  # fmt: skip
async def test_the_error_names_the_field_as_the_caller_does_and_no_model_is_asked(
    checks: Grammars, dialect: CallerDialect, sampling: Sampling, field: str
) -> None:
    inner = ScriptedTier(["hi"])
    ask = Ask("x", 0.0, "chat", "m", "local", (Message("user", "hi"),), sampling, dialect=dialect)
    with pytest.raises(BadAsk) as caught:
        await CompiledTier(inner, checks).reply(ask, StepListener(Consult("draft", "answer"), None, None))
    assert caught.value.failure.param == field and field in caught.value.failure.message
    assert ("strong" in caught.value.failure.message) != (TOO_EXPENSIVE in caught.value.failure.message)
    assert not inner.asked


async def test_a_tool_that_the_model_may_fill_as_it_likes_is_not_compiled(checks: Grammars) -> None:
    inner = ScriptedTier(["hi"])
    sampling = Sampling(tools=(Tool("a", parameters=BOMBS["nested repetitions"]),))
    ask = Ask("x", 0.0, "chat", "m", "local", (Message("user", "hi"),), sampling)
    await CompiledTier(inner, checks).reply(ask, StepListener(Consult("draft", "answer"), None, None))
    assert inner.asked == [ask]


async def test_an_engine_that_is_no_vllm_of_ours_has_no_such_checks() -> None:
    other = ("--structured-outputs-config", '{"backend": "guidance"}')
    assert for_engine(EngineSpec("x", "external", Path())) is None
    assert for_engine(EngineSpec("x", "vllm", Path(), extra_args=other)) is None
