"""What llama.cpp's server is started with, and what is said otherwise to it and by it. Starts none."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firstpass import catalogue, drafting, engine
from firstpass.chat import Abilities, Message, Reasoning, Sampling, TokenLogprob, Tool, ToolChoice
from firstpass.contract.redraft import sentence_pattern
from firstpass.dialect.openai.gbnf import gbnf
from firstpass.dialect.openai.read_reply import OpenAIStream, whole_from_llama, whole_reply
from firstpass.dialect.openai.write_request import body_of, prompt_of
from firstpass.engine import EngineSpec
from firstpass.engine.llama_cpp import SLOTS, LlamaCppRecipe, leaves_out
from firstpass.engine.recipe import recipe_for
from firstpass.errors import BadAsk, BadSettings
from firstpass.exchange import Ask
from firstpass.hardware import Machine
from firstpass.settings import Settings
from tests.unit.test_gguf import writer as gguf_writer
from tests.unit.test_gguf import written

LARGE = Machine(2**40, bfloat16=True)
TOKEN_BYTES = 2 * 3 * 2 * (16 + 16)
LLAMA = Abilities(llama=True)
ASK = Ask("x", 0.0, "chat", "m", "local", (Message("user", "hello"),))


@pytest.fixture
def binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that only has to be there, on the PATH."""
    path = tmp_path / "bin" / "llama-server"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent))
    return path


def spec_of(file: Path, **more: Any) -> EngineSpec:
    return EngineSpec("m", "llama.cpp", file.parent, model_dir=file.parent, gguf=file, **more)


def argument(argv: tuple[str, ...], name: str) -> str:
    return argv[argv.index(name) + 1]


def test_it_listens_on_a_private_socket_and_asks_nobody(
    tmp_path: Path, binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "LLAMA_ARG_HOST", "LLAMA_API_KEY", "LLAMA_ARG_TOOLS", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "planted")
    recipe = recipe_for(spec_of(written(tmp_path / "m.gguf"), served_name="served", threads=3))
    command = recipe.command(Path("/private"))
    assert command.argv[0] == str(binary) and argument(command.argv, "--host") == "/private/api.sock"
    assert command.endpoint.uds == Path("/private/api.sock") and "--port" not in command.argv
    assert argument(command.argv, "--alias") == command.endpoint.model == "served"
    assert argument(command.argv, "--threads") == "3" and recipe.expects_logprobs
    assert {"--jinja", "--no-prefill-assistant", "--offline", "--no-slots"} <= set(command.argv)
    assert "planted" not in command.environment.values()


def test_as_many_requests_at_once_as_contexts_fit(tmp_path: Path, binary: Path) -> None:
    file = written(tmp_path / "m.gguf")
    argv = LlamaCppRecipe(spec_of(file), LARGE).command(tmp_path).argv
    assert (argument(argv, "--parallel"), argument(argv, "--ctx-size")) == (str(SLOTS), str(SLOTS * 2048))
    long = written(tmp_path / "long.gguf", context_length=2**22)
    argv = LlamaCppRecipe(spec_of(long, context_tokens=2**22), LARGE).command(tmp_path).argv
    assert (argument(argv, "--parallel"), argument(argv, "--ctx-size")) == ("2", str(2 * 2**22))


def test_a_context_is_cut_to_what_fits_and_the_log_says_so(
    tmp_path: Path, binary: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = written(tmp_path / "m.gguf", context_length=2**24, chat_template="{{ x }}")
    argv = LlamaCppRecipe(spec_of(file), LARGE).command(tmp_path).argv
    context = int(argument(argv, "--ctx-size"))
    assert 0.9 * 2**32 < context * TOKEN_BYTES <= 2**32 and argument(argv, "--parallel") == "1"
    assert f"{context} tokens of the model's {2**24}" in caplog.text and "chat template" not in caplog.text


def test_a_file_larger_than_the_memory_is_a_bad_setting_that_says_the_sizes(tmp_path: Path, binary: Path) -> None:
    file = written(tmp_path / "m.gguf")
    with file.open("ab") as more:
        more.truncate(3 * 10**9)
    with pytest.raises(BadSettings, match=r"weights \(3\.0 GB\).*2\.1 GB.*choose a smaller model"):
        LlamaCppRecipe(spec_of(file), Machine(2 * 2**30, bfloat16=True))


def test_a_model_without_a_chat_template_is_told_to_have_chatml_s(
    tmp_path: Path, binary: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = written(tmp_path / "m.gguf")
    other = tmp_path / "x.jinja"
    other.write_text("{{ messages }}")
    LlamaCppRecipe(spec_of(file, extra_args=("--chat-template-file", str(other))), LARGE)
    assert not caplog.text
    LlamaCppRecipe(spec_of(file), LARGE)
    assert "has no chat template, so llama.cpp takes ChatML's" in caplog.text


def test_tools_are_left_out_where_the_template_knows_none(tmp_path: Path) -> None:
    """Bug of llama.cpp's: a required tool was not called, and nothing said so."""
    without = written(tmp_path / "m.gguf", chat_template="{{ messages }}")
    knowing = written(tmp_path / "t.gguf", chat_template="{{ tools }}{{ messages }}")
    assert "tools" in leaves_out(spec_of(without)) and "tools" not in leaves_out(spec_of(knowing))
    template = tmp_path / "x.jinja"
    template.write_text("{{ tools }}")
    for named in (("--chat-template-file", str(template)), ("--chat-template={{ tools }}",)):
        assert "tools" not in leaves_out(spec_of(without, extra_args=named))
    with pytest.raises(BadSettings, match=r"--chat-template-file .*none\.jinja: .*No such file"):
        leaves_out(spec_of(without, extra_args=("--chat-template-file", str(tmp_path / "none.jinja"))))


def test_without_the_program_the_error_says_where_it_was_looked_for_and_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "m.gguf")
    monkeypatch.setenv("PATH", "/nowhere/at/all")
    with pytest.raises(BadSettings, match=r"PATH \(/nowhere/at/all\) has no llama-server: .*Debian.*llama\.cpp.*cmake"):
        recipe_for(spec_of(file))
    with pytest.raises(BadSettings, match=r"engine\.binary: .*m\.gguf is no program"):
        recipe_for(spec_of(file, binary=file))
    own = tmp_path / "mine"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    assert recipe_for(spec_of(file, binary=own)).command(tmp_path).argv[0] == str(own)


def test_what_the_engine_is_not_made_for_is_refused_by_name(tmp_path: Path, binary: Path) -> None:
    embeds = written(tmp_path / "e.gguf", pooling_type=gguf_writer.PoolingType.MEAN)
    with pytest.raises(BadSettings, match="gives embeddings alone"):
        recipe_for(spec_of(embeds))
    file = written(tmp_path / "m.gguf")
    with pytest.raises(BadSettings, match=r"engine\.images: .*--mmproj"):
        recipe_for(spec_of(file, images=True))
    recipe_for(spec_of(file, images=True, extra_args=("--mmproj", "FILE")))
    with pytest.raises(BadSettings, match="there is none"):
        recipe_for(replace(spec_of(file), gguf=None))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--host", "0.0.0.0"),
        ("--port", "1"),
        ("--api-key-file=k",),
        ("--ssl-key-file", "k"),
        ("--cors_origins", "*"),
        ("--ui-mcp-proxy",),
        ("--tools", "all"),
        ("--tools-runtime", "docker:x"),
        ("--agent",),
        ("--mcp-servers-config", "x"),
        ("--media-path", "/"),
        ("--slot-save-path", "/"),
        ("--log-prompts-dir", "/"),
        ("--hf-repo", "someone/else"),
        ("-hf", "someone/else"),
        ("--model-url", "https://example.com"),
        ("--gpt-oss-20b-default",),
        ("--fim-qwen-7b-spec",),
        ("--rpc", "10.0.0.1:1"),
        ("-m", "/tmp/other.gguf"),
        ("--models-dir", "/tmp"),
        ("--prefill-assistant",),
        ("--embeddings",),
    ],
)
def test_arguments_that_open_a_door_or_fetch_are_refused(
    arguments: tuple[str, ...], tmp_path: Path, binary: Path
) -> None:
    with pytest.raises(BadSettings, match=rf"engine\.extra_args: {arguments[0]} is refused: "):
        recipe_for(spec_of(written(tmp_path / "m.gguf"), extra_args=("--seed", "1", *arguments)))


def test_other_arguments_come_last(tmp_path: Path, binary: Path) -> None:
    more = ("--n-gpu-layers", "0", "--lora", "x.gguf", "--spec-default", "--reasoning-format", "none", "-fa", "on")
    argv = recipe_for(spec_of(written(tmp_path / "m.gguf"), extra_args=more)).command(tmp_path).argv
    assert argv[-len(more) :] == more


def test_a_gguf_file_chooses_llama_cpp_and_another_kind_is_told_so(tmp_path: Path) -> None:
    file = written(tmp_path / "Tiny.Q8_0.gguf")

    def settings(**said: Any) -> Settings:
        return Settings.model_validate({"engine": {"model": str(file)} | said, "server": {"data_dir": tmp_path}})

    spec = only_spec(settings())
    assert (spec.kind, spec.name, spec.gguf, spec.holds_tokens) == ("llama.cpp", "Tiny.Q8_0", file, 2048)
    assert drafting.constrains(settings().engine) and not spec.images
    with pytest.raises(BadSettings, match=r'which only llama\.cpp reads: set engine\.kind to "llama\.cpp"'):
        only_spec(settings(kind="transformers"))
    with pytest.raises(BadSettings, match="holds 2048 at most"):
        only_spec(settings(context_tokens=4096))
    with pytest.raises(BadSettings, match=r"holds no \.gguf file"):
        only_spec(settings(kind="llama.cpp", model="firstpass-draft-10m"))


def test_an_engine_without_a_file_is_a_bad_setting(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="model directory"):
        engine.build(EngineSpec("m", "llama.cpp", tmp_path))


def sent(ask: Ask, able: Abilities = LLAMA) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(
        body_of(ask, "m", able, stream=False, watched=False, max_tokens_name="max_tokens")
    )
    return said


def sampled(**sampling: Any) -> dict[str, Any]:
    return sent(replace(ASK, sampling=Sampling(**sampling)))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"logprobs": True}, {"logprobs": True, "top_logprobs": 1}),
        ({"logprobs": True, "top_logprobs": 0}, {"top_logprobs": 1}),
        ({"logprobs": True, "top_logprobs": 5}, {"top_logprobs": 5}),
        ({"repetition_penalty": 1.2}, {"repeat_penalty": 1.2, "repeat_last_n": 2**17, "repetition_penalty": None}),
        ({"frequency_penalty": 0.5}, {"frequency_penalty": 0.5, "repeat_last_n": 2**17}),
        ({"presence_penalty": 0.5}, {"presence_penalty": 0.5, "repeat_last_n": 2**17}),
        ({"temperature": 0.0}, {"repeat_last_n": None, "repeat_penalty": None, "cache_prompt": None}),
    ],
)
def test_fields_have_llama_cpp_s_own_names_and_meanings(asked: dict[str, Any], said: dict[str, Any]) -> None:
    body = sampled(**asked)
    assert {name: body.get(name) for name in said} == said


@pytest.mark.parametrize(("asked", "said"), [(0, 1), (3, 3), (None, None)])
def test_a_completion_s_log_probabilities_are_asked_for_by_a_number_above_none(
    asked: int | None, said: int | None
) -> None:
    body = sent(replace(ASK, kind="completion", sampling=Sampling(logprobs=asked)))
    assert body.get("logprobs") == said and "top_logprobs" not in body


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "array"}}}, {"type": "array"}),
    ],
)
def test_a_completion_is_held_to_json_by_a_schema(wanted: dict[str, Any], said: Any) -> None:
    ask = replace(ASK, kind="completion", sampling=Sampling(response_format=wanted))
    body = sent(ask)
    assert body.get("json_schema") == said and "response_format" not in body
    with pytest.raises(BadAsk, match="no response_format of type structural_tag"):
        sent(replace(ask, sampling=Sampling(response_format={"type": "structural_tag"})))


def test_how_long_a_model_may_think_goes_to_it_under_its_own_name() -> None:
    assert sampled(thinking_tokens=7)["reasoning_budget_tokens"] == 7
    assert sampled(thinking_tokens=0)["reasoning_budget_tokens"] == 0


def test_of_a_named_tool_that_tool_alone_is_offered_and_required() -> None:
    tools = (Tool("a", parameters={"type": "object"}), Tool("b"))
    body = sampled(tools=tools, tool_choice=ToolChoice("named", "b"))
    assert body["tool_choice"] == "required" and [tool["function"]["name"] for tool in body["tools"]] == ["b"]
    body = sampled(tools=tools, tool_choice=ToolChoice("required"))
    assert body["tool_choice"] == "required" and len(body["tools"]) == 2


def test_a_model_s_thoughts_go_back_to_it_under_its_name_for_them() -> None:
    thought = replace(
        ASK, messages=(*ASK.messages, Message("assistant", "hi", reasoning=Reasoning("hm")), *ASK.messages)
    )
    for body in (sent(thought), json.loads(prompt_of(thought, "m", llama=True))):
        assert body["messages"][1]["reasoning_content"] == "hm" and "reasoning" not in body["messages"][1]
    assert json.loads(prompt_of(thought, "m"))["messages"][1]["reasoning"] == "hm"


def test_what_one_key_asked_is_not_told_by_how_fast_another_s_comes() -> None:
    body = sent(replace(ASK, key="k1"))
    assert body["cache_prompt"] is False and "cache_salt" not in body


def test_a_pattern_is_a_grammar_for_it() -> None:
    body = sent(replace(ASK, pattern=sentence_pattern(["createSession", "db.pool_size"])))
    assert "structured_outputs" not in body
    assert body["grammar"] == (
        'root ::= [A-Z] [a-z]{0,15} ( ","? " " ( [A-Za-z]? [a-z]{1,15} | [0-9]{1,4} |'
        ' ( "c" "r" "e" "a" "t" "e" "S" "e" "s" "s" "i" "o" "n" | "d" "b" "." "p" "o" "o" "l" "_" "s" "i" "z" "e" )'
        ' ( "(" ")" )? ) ){1,24} "."'
    )


@pytest.mark.parametrize(
    ("pattern", "grammar"),
    [
        ("a", 'root ::= "a"'),
        ("(?:a|b)+c*", 'root ::= ( "a" | "b" )+ "c"*'),
        (r"\.\(\\[\]x]{2}", r'root ::= "." "(" "\\" [\]x]{2}'),
        ('"', r'root ::= "\""'),
        ("é{2,}", 'root ::= "é"{2,}'),
    ],
)
def test_patterns_are_written_as_grammars(pattern: str, grammar: str) -> None:
    assert gbnf(pattern) == grammar


@pytest.mark.parametrize("pattern", [r"\d", "(?=a)", "a)", "(a", "^a", "a$", ".", "[^", "[[:x:]]", "(?P<a>b)"])
def test_what_has_no_grammar_is_an_error(pattern: str) -> None:
    with pytest.raises(ValueError, match="no grammar for"):
        gbnf(pattern)


@pytest.mark.parametrize(
    ("pattern", "hangs"),
    [
        ("^(([a-z]{0,300}){0,300})$", True),
        ("^((a?){0,300})b$", True),
        ("(?:a+)*", True),
        ("(a|aa|aaa|a*|(a*)*)*b", True),
        ("((a{0,9}b){5})", True),
        (r"^(\d{1,3}\.){3}\d{1,3}$", False),
        (r"^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$", False),
        (r"^#?([a-fA-F0-9]{6}|[a-fA-F0-9]{3})$", False),
        (r"^[(+*]{2,}\(+$", False),
        ("^(ab)+c?$", False),
    ],
)
def test_a_pattern_that_repeats_what_repeats_is_refused_by_name(pattern: str, hangs: bool) -> None:
    """Bug of llama.cpp's: its server answered nobody for minutes."""
    for schema in ({"anyOf": [{"pattern": pattern}]}, {"properties": {"x": {"patternProperties": {pattern: {}}}}}):
        form = {"type": "json_schema", "json_schema": {"schema": schema}}
        tools = (Tool("a", parameters=schema),)
        for name, sampling in {"response_format": {"response_format": form}, "tools": {"tools": tools}}.items():
            with pytest.raises(BadAsk, match="repeats what repeats") if hangs else nullcontext() as caught:
                sampled(**sampling)
            assert caught is None or caught.value.failure.param == name


def entry(token: str, nats: float) -> dict[str, Any]:
    likeliest = {"id": 1, "token": token, "bytes": list(token.encode()), "logprob": nats}
    return likeliest | {"top_logprobs": [likeliest, {"id": 2, "token": "x", "bytes": [120], "logprob": -9.0}]}


BLOCK = {"content": [entry("he", -0.5), entry("llo", -1.0)]}
LISTS = {
    "tokens": ["he", "llo"],
    "token_logprobs": [-0.5, -1.0],
    "top_logprobs": [{"he": -0.5, "x": -9.0}, {"llo": -1.0, "x": -9.0}],
    "text_offset": [0, 2],
}


def test_a_completion_s_log_probabilities_reach_the_caller_as_the_api_writes_them() -> None:
    ask = replace(ASK, kind="completion", sampling=Sampling(logprobs=2))
    answer = {"model": "m", "choices": [{"text": "hello", "index": 0, "logprobs": BLOCK, "finish_reason": "stop"}]}
    reply = whole_reply(ask, json.dumps(answer).encode(), 0.1)
    assert reply.logprobs == (TokenLogprob("he", -0.5), TokenLogprob("llo", -1.0))
    assert reply.raw is not None and json.loads(reply.raw)["choices"][0]["logprobs"] == LISTS


def test_the_same_of_a_stream_counts_on_from_piece_to_piece() -> None:
    stream, lists = OpenAIStream(), []
    for one in BLOCK["content"]:
        choice = {"text": one["token"], "index": 0, "logprobs": {"content": [one]}, "finish_reason": None}
        data = json.dumps({"model": "m", "choices": [choice]}).encode()
        chunk = stream.read(b"data: " + data + b"\n\n", data, 0.1)
        assert chunk.deltas[0].logprobs[0].token == one["token"]
        lists.append(json.loads(chunk.raw.removeprefix(b"data: "))["choices"][0]["logprobs"])
    assert [one["text_offset"] for one in lists] == [[0], [2]] and lists[1]["tokens"] == ["llo"]


def test_a_whole_reply_does_not_say_its_beginning_again() -> None:
    def reply(begun: str, said: str, *, continues: bool = True) -> str:
        turns = (*ASK.messages, Message("assistant", begun))
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        raw = json.dumps({"model": "m", "choices": [choice]}).encode()
        return whole_from_llama(replace(ASK, messages=turns, continues=continues), raw, 0.1).text

    assert reply("1, 2,", "1, 2, 3") == " 3"
    assert reply("1, 2, ", "1, 2,3") == "3"
    assert reply("1, 2,", "1, 2, 3", continues=False) == "1, 2, 3"
    with pytest.raises(ValueError, match="does not begin"):
        reply("1, 2,", "3")


def test_the_card_of_a_catalogue_name_is_not_looked_for_in_other_weights(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"llama\.cpp reads nothing else"):
        catalogue.find_gguf("firstpass-draft-10m", tmp_path)


def only_spec(settings: Settings) -> EngineSpec:
    """Of the only engine."""
    return drafting.engine_spec(settings, settings.engine)
