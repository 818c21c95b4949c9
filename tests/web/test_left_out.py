"""What the transformers engine takes and does nothing with, before a scripted engine that would take anything."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from firstpass.chat import Message, Sampling, ToolChoice
from firstpass.engine import EngineSpec
from firstpass.engine.external import ExternalEngine
from firstpass.engine.transformers import LEAVES_OUT
from firstpass.errors import BadAsk
from firstpass.exchange import Ask
from firstpass.tier.local import LocalDoor
from firstpass.tier.openai_http import OpenAITier
from tests.conftest import serving, starting
from tests.doubles import openai_app, says


class Whole:
    """Hears nothing of a reply that comes whole."""

    streaming = watching = False


@asynccontextmanager
async def tier() -> AsyncIterator[OpenAITier]:
    with serving(openai_app(says("hi"))) as url:
        engine = ExternalEngine(EngineSpec("e", "external", Path("unused"), url=f"{url}/v1"))
        door = LocalDoor(engine, 5.0, leaves_out=LEAVES_OUT)
        try:
            yield OpenAITier("draft", door)
        finally:
            await door.aclose()


def ask(sampling: Sampling, *wishes: str) -> Ask:
    return Ask("a", 0.0, "chat", "local", "local", (Message("user", "x"),), sampling, wishes=wishes)


@pytest.mark.parametrize(
    ("sampling", "named"),
    [
        (Sampling(response_format={"type": "json_object"}), "response_format"),
        (Sampling(stop=("x",)), "stop"),
        (Sampling(n=2), "n"),
        (Sampling(tool_choice=ToolChoice("required")), "tool_choice"),
        (Sampling(parallel_tool_calls=False), "parallel_tool_calls"),
        (Sampling(logit_bias={"1": -100.0}), "logit_bias"),
        (Sampling(presence_penalty=0.5), "presence_penalty"),
        (Sampling(frequency_penalty=0.5), "frequency_penalty"),
    ],
)
async def test_a_field_that_would_be_left_out_is_refused_by_name_unless_a_contract_only_wishes_it(
    sampling: Sampling, named: str
) -> None:
    async with tier() as asked:
        with pytest.raises(BadAsk) as caught:
            await asked.reply(ask(sampling), Whole())  # type: ignore[arg-type]
        assert caught.value.failure.param == named
        assert (await asked.reply(ask(sampling, named), Whole())).text == "hi"  # type: ignore[arg-type]


async def test_a_field_that_says_what_holds_anyway_is_no_reason_to_refuse() -> None:
    neutral = Sampling(
        n=1,
        response_format={"type": "text"},
        tool_choice=ToolChoice("auto"),
        parallel_tool_calls=True,
        presence_penalty=0.0,
        logit_bias={},
    )
    async with tier() as asked:
        assert (await asked.reply(ask(neutral), Whole())).text == "hi"  # type: ignore[arg-type]


def test_readyz_says_why_an_engine_has_failed(tmp_path: Path) -> None:
    with starting("http://127.0.0.1:9", tmp_path) as client:
        while "failed" not in (said := client.get("/readyz").json()["error"]["message"]):
            assert "starting" in said or "stopped" in said
        assert said == "the draft engine is failed: no server answers at the engine's address (ClientConnectorError)"
