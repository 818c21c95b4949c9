"""What engines are started with. Starts none."""

import json
import os
import re
from contextlib import nullcontext
from pathlib import Path

import pytest

from firstpass import catalogue, engine
from firstpass.engine import EngineSpec
from firstpass.engine.arguments import refuse
from firstpass.engine.cache_size import cache_size, tell_cut
from firstpass.engine.recipe import recipe_for, thread_count
from firstpass.engine.transformers import TransformersRecipe
from firstpass.engine.vllm import VllmRecipe
from firstpass.errors import BadSettings
from firstpass.hardware import Machine

LARGE = Machine(2**40, bfloat16=True)
CONFIG = {"num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 256}


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"max_position_embeddings": 4096}))
    return tmp_path


def spec_of(model_dir: Path, kind: engine.Kind = "vllm", **more: object) -> EngineSpec:
    return EngineSpec(name="m", kind=kind, data_dir=model_dir, model_dir=model_dir, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["vllm", "transformers"])
def test_an_engine_sees_no_key_and_no_proxy_and_may_not_phone(
    kind: engine.Kind, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "FIRSTPASS_VERIFIER__API_KEY", "HF_TOKEN", "HTTPS_PROXY", "VLLM_SERVER_DEV_MODE"):
        monkeypatch.setenv(name, "planted")
    environment = recipe_for(spec_of(model_dir, kind)).command(model_dir).environment
    assert "planted" not in environment.values()
    assert environment["HF_HUB_OFFLINE"] == environment["VLLM_NO_USAGE_STATS"] == environment["DO_NOT_TRACK"] == "1"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--trust-remote-code",),
        ("--trust_remote_code",),
        ("--trust-rem",),
        ("--middleware=evil.Door",),
        ("--tool_parser_plugin", "/tmp/parser.py"),
        ("--reasoning-parser-pl", "/tmp/parser.py"),
        ("--logits-processors", "evil:Processor"),
        ("--worker-extension-cls", "evil.Worker"),
        ("--kv-transfer-config", '{"kv_connector_module_path": "evil"}'),
        ("--kv-transfer-config.kv_connector_module_path", "evil"),
        ("--attn-implementation", "someone/kernel"),
        ("--load-format", "pt"),
        ("--load-f=npcache",),
        ("--load-format",),
        ("--host", "0.0.0.0"),
        ("--uds=/tmp/other.sock",),
        ("--api-key", "k"),
        ("--ssl-keyfile", "k.pem"),
        ("--enable-cors",),
        ("--allowed-local-media-path", "/"),
        ("--allowed-media-domains", "example.com"),
        ("--enable-prompt-embeds",),
        ("--config", "more.yaml"),
        ("--model", "someone/else"),
        ("--tokenizer", "/tmp/other"),
        ("--distributed-executor-backend", "evil.Executor"),
        ("--compilation-config", '{"backend": "evil.f"}'),
        ("-cc.backend=evil.f",),
        ("--speculative-config", '{"model": "/tmp/other", "num_speculative_tokens": 2}'),
    ],
)
@pytest.mark.parametrize("kind", ["vllm", "transformers"])
def test_arguments_that_run_foreign_code_or_open_a_door_are_refused_by_name(
    kind: engine.Kind, arguments: tuple[str, ...], model_dir: Path
) -> None:
    with pytest.raises(BadSettings, match=re.escape(f"engine.extra_args: {arguments[0]} is refused: ")):
        engine.build(spec_of(model_dir, kind, extra_args=("--seed", "1", *arguments)))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--no-trust-remote-code",),
        ("--load-format", "safetensors"),
        ("--reasoning-parser", "qwen3"),
        ("--model-impl", "transformers"),
        ("--tokenizer-mode", "mistral"),
        ("--distributed-executor-backend", "mp"),
        ("--compilation-config", '{"level": 0}'),
        ("--speculative-config", '{"method": "ngram", "num_speculative_tokens": 2}'),
        ("--kv-transfer-config", '{"kv_connector": "NixlConnector"}'),
        ("--attn-implementation", "sdpa"),
        ("--port-of-call-is-no-option",),
    ],
)
def test_other_arguments_reach_the_engine_as_they_are(arguments: tuple[str, ...], model_dir: Path) -> None:
    argv = recipe_for(spec_of(model_dir, extra_args=arguments)).command(model_dir).argv
    assert argv[-len(arguments) :] == arguments


def test_every_flag_of_the_catalogue_s_cards_is_allowed() -> None:
    for card in catalogue.cards():
        refuse(card.vllm_flags)


def test_vllm_listens_on_a_socket_in_the_private_directory_and_nowhere_else(model_dir: Path) -> None:
    command = VllmRecipe(spec_of(model_dir, served_name="served"), LARGE).command(Path("/private"))
    assert command.endpoint.uds == Path("/private/api.sock") and command.endpoint.model == "served"
    assert command.argv[command.argv.index("--uds") + 1] == "/private/api.sock"
    assert "--host" not in command.argv and "--port" not in command.argv
    assert command.environment["VLLM_RPC_BASE_PATH"] == "/private"


def test_vllm_on_a_cpu_starts_without_compiling_and_on_all_threads(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firstpass.engine.vllm.runs_on_cpu", lambda: True)
    command = VllmRecipe(spec_of(model_dir, threads=3), LARGE).command(Path("/private"))
    assert "--enforce-eager" in command.argv
    assert command.environment["OMP_NUM_THREADS"] == "3"
    assert command.environment["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"


def test_vllm_on_a_gpu_compiles_and_sizes_its_own_cache(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstpass.engine.vllm.runs_on_cpu", lambda: False)
    command = VllmRecipe(spec_of(model_dir), LARGE).command(Path("/private"))
    assert not {"--enforce-eager", "--kv-cache-memory-bytes"} & set(command.argv)
    assert "TORCHDYNAMO_DISABLE" not in command.environment


@pytest.mark.parametrize("sleeps", [True, False])
def test_vllm_s_routes_of_development_are_open_only_where_it_sleeps(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch, sleeps: bool
) -> None:
    """Errors stay out of its log, where such routes would have it write them with what a caller said."""
    monkeypatch.setattr("firstpass.engine.vllm.runs_on_cpu", lambda: False)
    command = VllmRecipe(spec_of(model_dir, sleeps=sleeps), LARGE).command(Path("/private"))
    assert ({"--enable-sleep-mode", "--no-log-error-stack"} <= set(command.argv)) is sleeps
    assert (command.environment.get("VLLM_SERVER_DEV_MODE") == "1") is sleeps
    assert command.endpoint.uds == Path("/private/api.sock")


@pytest.mark.parametrize(("model_type", "by_head"), [("lfm2_moe", True), ("qwen3_moe", False), (None, False)])
def test_where_vllm_s_rotary_kernel_is_wrong_on_a_cpu_it_is_not_used(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch, model_type: str | None, by_head: bool
) -> None:
    monkeypatch.setattr("firstpass.engine.vllm.runs_on_cpu", lambda: True)
    config = json.loads((model_dir / "config.json").read_text()) | {"model_type": model_type}
    (model_dir / "config.json").write_text(json.dumps(config))
    argv = VllmRecipe(spec_of(model_dir), LARGE).command(Path("/private")).argv
    assert any("-rotary_embedding" in argument for argument in argv) is by_head


@pytest.mark.parametrize(
    ("layers", "cached"),
    [
        ({}, True),
        ({"layer_types": ["full_attention", "sliding_attention"]}, True),
        ({"layer_types": ["conv", "full_attention"]}, False),
        ({"layers_block_type": ["mamba", "attention"]}, False),
    ],
)
def test_on_a_cpu_a_model_that_keeps_states_caches_no_prefix(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch, layers: dict[str, list[str]], cached: bool
) -> None:
    """Else vLLM ends at its start: "Chunked prefill is required for mamba cache mode 'align'"."""
    monkeypatch.setattr("firstpass.engine.vllm.runs_on_cpu", lambda: True)
    (model_dir / "config.json").write_text(json.dumps(CONFIG | {"max_position_embeddings": 4096} | layers))
    argv = VllmRecipe(spec_of(model_dir), LARGE).command(Path("/private")).argv
    assert ("--enable-prefix-caching" in argv, "--no-enable-prefix-caching" in argv) == (cached, not cached)


def test_extra_arguments_come_last_so_that_they_win(model_dir: Path) -> None:
    assert (
        VllmRecipe(spec_of(model_dir, extra_args=("--dtype", "float32")), LARGE).command(model_dir).argv[-1]
        == "float32"
    )


def test_transformers_listens_on_a_private_socket_and_promises_no_logprobs(model_dir: Path) -> None:
    recipe = recipe_for(spec_of(model_dir, "transformers"))
    command = recipe.command(Path("/private"))
    assert command.endpoint.uds == Path("/private/api.sock") and not recipe.expects_logprobs
    assert "/private/api.sock" in command.argv and "--port" not in command.argv


TOKEN_BYTES = 2 * 2 * 6 * 2 * 64
"""Keys and values, bfloat16, layers, heads, size."""


def test_the_cache_holds_sixteen_contexts_within_bounds(model_dir: Path) -> None:
    assert cache_size(spec_of(model_dir), LARGE).bytes == 16 * 4096 * TOKEN_BYTES
    assert cache_size(spec_of(model_dir, context_tokens=16), LARGE).bytes == 64 * 2**20
    assert cache_size(spec_of(model_dir), LARGE, number_bytes=4).bytes == 2 * 16 * 4096 * TOKEN_BYTES


def test_a_context_is_cut_to_what_four_gibibytes_hold_unless_more_is_asked_for(
    model_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    longest = 2**21
    spec = spec_of(model_dir, holds_tokens=longest)
    cut = cache_size(spec, LARGE)
    tell_cut(spec, cut)
    assert 0.9 * 2**32 < cut.context_tokens * TOKEN_BYTES < cut.bytes <= 2**32
    assert f"{cut.context_tokens} tokens of the model's {longest}" in caplog.text
    asked = cache_size(spec_of(model_dir, holds_tokens=longest, context_tokens=longest), LARGE)
    assert asked.context_tokens == longest and asked.bytes > longest * TOKEN_BYTES


def test_layers_that_keep_states_take_no_cache_for_each_token(model_dir: Path) -> None:
    kinds = ["conv", "conv", "full_attention"] * 2
    (model_dir / "config.json").write_text(
        json.dumps(CONFIG | {"max_position_embeddings": 2**23, "layer_types": kinds})
    )
    cut = cache_size(spec_of(model_dir), LARGE)
    assert cut.token_bytes == TOKEN_BYTES // 3
    assert 0.9 * 2**32 < cut.context_tokens * cut.token_bytes < cut.bytes <= 2**32


def test_a_context_is_cut_to_what_the_memory_holds(model_dir: Path) -> None:
    small = Machine(2 * 2**30, bfloat16=True)
    cut = cache_size(spec_of(model_dir, holds_tokens=2**21), small)
    assert cut.context_tokens * TOKEN_BYTES < cut.bytes <= small.usable_bytes < 2**21 * TOKEN_BYTES
    with pytest.raises(BadSettings, match=r"need 6\.4 GB; .* has 2\.1 GB, .* a context of \d+ tokens fits") as error:
        cache_size(spec_of(model_dir, holds_tokens=2**21, context_tokens=2**21), small)
    told = int(re.search(r"context of (\d+) tokens fits", str(error.value))[1])  # type: ignore[index]
    assert cache_size(spec_of(model_dir, holds_tokens=2**21, context_tokens=told), small).bytes <= small.usable_bytes


@pytest.mark.parametrize("kind", ["vllm", "transformers"])
def test_a_model_larger_than_the_memory_is_a_bad_setting_that_says_the_sizes(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch, kind: engine.Kind
) -> None:
    monkeypatch.setattr("firstpass.engine.vllm.runs_on_cpu", lambda: True)
    monkeypatch.setattr("firstpass.hardware.this", lambda: Machine(2 * 2**30, bfloat16=True))
    with (model_dir / "model.safetensors").open("wb") as file:
        file.truncate(3 * 10**9)
    with pytest.raises(BadSettings, match=r"weights \(3\.0 GB\).*2\.1 GB.*choose a smaller model"):
        recipe_for(spec_of(model_dir, kind))


@pytest.mark.parametrize(
    ("bfloat16", "quantised", "megabytes", "dtype"),
    [
        (True, False, 1, "bfloat16"),
        (False, False, 1, "float32"),
        (False, True, 1, "bfloat16"),
        (False, False, 800, "bfloat16"),
    ],
)
def test_a_cpu_without_bfloat16_reckons_in_float32_where_there_is_room(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch, bfloat16: bool, quantised: bool, megabytes: int, dtype: str
) -> None:
    monkeypatch.setattr("firstpass.engine.vllm.runs_on_cpu", lambda: True)
    more: dict[str, object] = {"max_position_embeddings": 4096} | ({"quantization_config": {}} if quantised else {})
    (model_dir / "config.json").write_text(json.dumps(CONFIG | more))
    with (model_dir / "model.safetensors").open("wb") as file:
        file.truncate(megabytes * 2**20)
    argv = VllmRecipe(spec_of(model_dir), Machine(2 * 2**30, bfloat16)).command(model_dir).argv
    assert argv[argv.index("--dtype") + 1] == dtype


def test_float32_is_left_where_it_would_shorten_the_context(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A context was half as long as bfloat16 allows, and the log told of the one that was not taken."""
    monkeypatch.setattr("firstpass.engine.vllm.runs_on_cpu", lambda: True)
    longest = 2**20  # 3.2 GB in bfloat16, 6.4 GB in float32.
    argv = VllmRecipe(spec_of(model_dir, holds_tokens=longest), Machine(2**40, bfloat16=False)).command(model_dir).argv
    assert argv[argv.index("--dtype") + 1] == "bfloat16"
    assert argv[argv.index("--max-model-len") + 1] == str(longest) and not caplog.text


@pytest.mark.parametrize("kind", ["vllm", "transformers"])
@pytest.mark.parametrize("on_cpu", [True, False])
def test_a_gpu_that_the_engine_does_not_run_on_holds_no_model(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch, kind: engine.Kind, on_cpu: bool
) -> None:
    monkeypatch.setattr(f"firstpass.engine.{kind}.runs_on_cpu", lambda: on_cpu)
    monkeypatch.setattr("firstpass.hardware.this", lambda: Machine(2 * 2**30, bfloat16=True, gpu=True))
    with (model_dir / "model.safetensors").open("wb") as file:
        file.truncate(3 * 10**9)
    with pytest.raises(BadSettings, match="choose a smaller model") if on_cpu else nullcontext():
        recipe_for(spec_of(model_dir, kind))


@pytest.mark.parametrize(
    ("said", "number_bytes", "gigabytes"),
    [
        ({}, 2, "1.6"),
        ({"dtype": "bfloat16"}, 4, "3.2"),
        ({"dtype": "float32"}, 4, "1.6"),
        ({"torch_dtype": "float32"}, 2, "0.8"),
        ({"torch_dtype": "float32", "quantization_config": {}}, 2, "1.6"),
        ({"torch_dtype": "float32", "quantization_config": None}, 2, "0.8"),
    ],
)
def test_weights_in_memory_are_of_the_size_that_they_are_loaded_in(
    model_dir: Path, said: dict[str, object], number_bytes: int, gigabytes: str
) -> None:
    (model_dir / "config.json").write_text(json.dumps(CONFIG | {"max_position_embeddings": 4096} | said))
    with (model_dir / "model.safetensors").open("wb") as file:
        file.truncate(16 * 10**8)
    with pytest.raises(BadSettings, match=rf"its weights \({gigabytes} GB\)"):
        cache_size(spec_of(model_dir), Machine(2**30, bfloat16=True), number_bytes)


def test_transformers_loads_in_the_type_that_the_config_says_or_that_it_is_told(model_dir: Path) -> None:
    config = CONFIG | {"max_position_embeddings": 4096, "dtype": "float32"}
    (model_dir / "config.json").write_text(json.dumps(config))
    with (model_dir / "model.safetensors").open("wb") as file:
        file.truncate(12 * 10**8)
    small = Machine(2 * 2**30, bfloat16=True)
    with pytest.raises(BadSettings, match=r"its weights \(1\.2 GB\)"):
        TransformersRecipe(spec_of(model_dir, "transformers"), small)
    TransformersRecipe(spec_of(model_dir, "transformers", extra_args=("--dtype=bfloat16",)), small)


def test_only_a_model_of_our_contracts_is_kept_from_white_space(model_dir: Path) -> None:
    ours = VllmRecipe(spec_of(model_dir, contracts=("pr-summary@3",)), LARGE).command(model_dir).argv
    other = VllmRecipe(spec_of(model_dir), LARGE).command(model_dir).argv
    assert "disable_any_whitespace" in ours[ours.index("--structured-outputs-config") + 1]
    assert "disable_any_whitespace" not in other[other.index("--structured-outputs-config") + 1]


def test_a_directory_without_a_config_is_a_bad_setting(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="no readable"):
        cache_size(spec_of(tmp_path), LARGE)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"num_attention_heads": 0}, "no usable num_attention_heads"),
        ({"num_attention_heads": 0, "num_key_value_heads": 0, "head_dim": 64}, "no usable num_attention_heads"),
        ({"num_attention_heads": None}, "no usable num_attention_heads"),
        ({"num_key_value_heads": -2}, "no usable num_key_value_heads"),
        ({"num_key_value_heads": [2, None]}, "no usable num_key_value_heads"),
        ({"num_key_value_heads": [2, 2], "layer_types": ["full_attention"]}, "no usable num_key_value_heads"),
        ({"head_dim": [64]}, "no usable head_dim"),
        ({"hidden_size": 2}, "no usable hidden_size"),
        ({"num_hidden_layers": "six"}, "no usable num_hidden_layers"),
        ({"max_position_embeddings": float("inf")}, "set engine.context_tokens, .*no usable max_position_embeddings"),
        ({"text_config": ["no"]}, "no description of a model"),
        ([CONFIG], "no description of a model"),
    ],
)
def test_a_config_that_says_nothing_usable_is_a_bad_setting(model_dir: Path, more: object, said: str) -> None:
    config = CONFIG | {"max_position_embeddings": 4096} | more if isinstance(more, dict) else more
    (model_dir / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadSettings, match=said):
        cache_size(spec_of(model_dir), LARGE)


@pytest.mark.parametrize(
    ("more", "heads"),
    [
        ({"num_key_value_heads": [1, 2, 3, 0, 4, 5]}, 15),
        ({"num_key_value_heads": [1, 2, 3], "layer_types": ["full_attention", "conv", "sliding_attention"]}, 4),
        ({"layer_types": "full_attention"}, 12),
        ({"layer_types": [["full_attention"], "full_attention"]}, 2),
    ],
)
def test_heads_are_those_of_every_layer_that_keeps_some(model_dir: Path, more: dict[str, object], heads: int) -> None:
    (model_dir / "config.json").write_text(json.dumps(CONFIG | {"max_position_embeddings": 4096} | more))
    assert cache_size(spec_of(model_dir), LARGE).token_bytes == 2 * 2 * heads * 64


def test_an_engine_without_a_model_is_a_bad_setting(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="model directory"):
        engine.build(EngineSpec(name="m", kind="vllm", data_dir=tmp_path))


@pytest.mark.parametrize(("megabytes", "one"), [(16, True), (65, False), (0, False)])
def test_a_small_model_gets_one_thread(model_dir: Path, megabytes: int, one: bool) -> None:
    with (model_dir / "model.safetensors").open("wb") as file:
        file.truncate(megabytes * 2**20)
    assert thread_count(spec_of(model_dir)) == (1 if one else len(os.sched_getaffinity(0)))


def test_cpus_bound_the_threads_of_a_large_model_and_leave_a_small_one_its_own(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small one got as many threads as it was given CPUs, though a second gains nothing."""
    monkeypatch.setattr("firstpass.hardware.cores", lambda: 8)
    assert thread_count(spec_of(model_dir, cpus=(0, 1))) == 2
    (model_dir / "model.safetensors").write_bytes(b"small")
    assert thread_count(spec_of(model_dir, cpus=(0, 1))) == 1
    assert thread_count(spec_of(model_dir, cpus=(0, 1), threads=3)) == 3
