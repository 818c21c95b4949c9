"""What a machine can run, how, and how fast, by machines and models that are written down here."""

import json
import shlex
import struct
import sys
import tomllib
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from firstpass import planning
from firstpass.bench.trying import Took
from firstpass.catalogue import Card, named
from firstpass.catalogue.card import cache_token_bytes, weight_bytes
from firstpass.cli.plan import _toml as toml
from firstpass.cli.plan import plan
from firstpass.engine import EngineSpec, Kind, llama_cpp
from firstpass.engine.arguments import value_of
from firstpass.engine.cache_size import USUAL_BYTES
from firstpass.engine.llama_cpp import LlamaCppRecipe
from firstpass.engine.vllm import VllmRecipe
from firstpass.errors import BadSettings
from firstpass.gguf import Gguf
from firstpass.hardware import Gpu, Machine
from firstpass.plan import kept
from firstpass.plan.kept import Kept, Measured
from firstpass.plan.prediction import COSTS, Correction, predicted
from firstpass.plan.rates import Rates, bandwidth, disk_bytes_per_s
from firstpass.plan.shape import Shape, of_card, of_gguf
from firstpass.plan.ways import Hardware, Way, place, ways
from firstpass.settings import load

GB = 10**9
EVERY: frozenset[Kind] = frozenset({"vllm", "transformers", "llama.cpp"})
LAPTOP = Hardware(Machine(32 * GB, bfloat16=True), (), EVERY, vllm_on_cpu=True)
RATES = Rates(40e9, 200e9, 5e-6, gpu_bytes_per_s=2e12, gpu_flops=400e12, disk_bytes_per_s=2e9)


def gpus(number: int, each: int, capability: float = 9.0, memory: int = 64) -> Hardware:
    return Hardware(
        Machine(memory * GB, bfloat16=True, gpu=True), [Gpu("a GPU", each * GB, capability)] * number, EVERY
    )


def of(engine: str, card: str, hardware: Hardware, context: int | None = None) -> Way:
    return next(way for way in ways(named(card), hardware, context) if way.engine == engine)


def test_a_step_reads_the_experts_that_any_of_its_tokens_chose() -> None:
    """Of 32 experts 8 for one token, all for very many; what is fixed is read once, a cache for each sequence."""
    shape = of_card(named("granite-3.1-1b-a400m"))
    assert shape.distinct_experts(1) == pytest.approx(8) and shape.distinct_experts(1000) == pytest.approx(32)
    one, two = (shape.step_bytes(batch, 0) for batch in (1, 2))
    expert = 24 * 3 * 1024 * 512 * 2
    fixed = 1_330_000_000 * 2 - 32 * expert
    assert one == pytest.approx(fixed + 8 * expert) and two == pytest.approx(fixed + 32 * (1 - 0.75**2) * expert)
    assert shape.step_bytes(2, 100) - two == 2 * 100 * 2 * 24 * 8 * 64 * 2


def test_an_embedding_of_its_own_is_not_read_for_a_token() -> None:
    card = named("qwen3-30b-a3b")
    tied = replace(card, tied=True)
    assert of_card(tied).step_bytes(1, 0) - of_card(card).step_bytes(1, 0) == 151936 * 2048 * 2
    assert of_card(card).weight_bytes == weight_bytes(card)


def test_a_shape_has_what_its_file_has() -> None:
    file = Gguf("m", "qwen3moe", 4096, (4,) * 6, 64, 64, "", False, 1000, 8, 2, 800, 50, 500, 400)
    shape = of_gguf("m", file)
    assert (shape.fixed_bytes, shape.expert_bytes, shape.step_bytes(1, 0)) == (200, 800, 150 + 200)
    assert shape.active_parameters == 100 + 100 and shape.layers == 6


def test_memory_is_read_no_faster_than_memory_is() -> None:
    assert 1e8 < bandwidth() < 1e12


def test_a_disk_is_read_past_the_caches_or_not_at_all(tmp_path: Path) -> None:
    assert 0 <= disk_bytes_per_s(tmp_path) < 1e11 and not list(tmp_path.iterdir())


def test_a_disk_without_room_is_not_measured(tmp_path: Path) -> None:
    assert disk_bytes_per_s(tmp_path / "nowhere") == 0.0


def test_without_pytorch_it_is_said_what_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The import's error was all that an installation without the extras got."""
    monkeypatch.setattr(planning, "present", lambda _: LAPTOP)
    monkeypatch.setattr("firstpass.cli.plan.find_spec", lambda _: None)
    monkeypatch.setattr("firstpass.plan.rates.measured", lambda *_: pytest.fail("measured"))
    monkeypatch.setenv("FIRSTPASS_SERVER__DATA_DIR", str(tmp_path))
    plan("firstpass-draft-10m", as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["machine"]["rates"] is None and said["models"]["firstpass-draft-10m"][0]["fits"]


def test_what_fits_a_gpu_goes_there_whole() -> None:
    way = of("vllm", "gpt-oss-20b", gpus(1, 24))
    assert way.fits and (way.gpus, way.place, way.arguments) == (1, "GPU", ())
    assert 15 * GB < way.gpu_bytes <= 24 * GB


def test_a_model_is_divided_between_as_few_gpus_as_hold_it() -> None:
    way = of("vllm", "glm-4.5-air", gpus(8, 80))
    assert (way.gpus, way.arguments) == (4, ("--tensor-parallel-size", "4"))
    assert "8" not in way.arguments and of("vllm", "glm-4.5-air", gpus(2, 80)).why_not


@pytest.mark.parametrize(("capability", "arguments"), [(7.5, ("--dtype", "half")), (8.6, ())])
def test_a_gpu_without_bfloat16_gets_float16(capability: float, arguments: tuple[str, ...]) -> None:
    assert of("vllm", "granite-3.1-1b-a400m", gpus(1, 16, capability)).arguments == arguments


def test_quantised_experts_need_a_gpu_that_knows_them_and_are_refused_on_a_cpu() -> None:
    assert "capability" in of("vllm", "gpt-oss-20b", gpus(1, 24, 7.5)).why_not
    assert "unquantised" in of("vllm", "gpt-oss-20b", LAPTOP).why_not
    assert of("llama.cpp", "gpt-oss-20b", LAPTOP).fits


def test_a_cpu_without_bfloat16_has_both_types_of_numbers_with_the_contexts_that_they_leave() -> None:
    old = replace(LAPTOP, machine=Machine(25 * GB, bfloat16=False))
    found = {way.weights: way for way in ways(named("granite-3.1-1b-a400m"), old) if way.engine == "vllm"}
    assert set(found) == {"float32", "bfloat16"}
    assert found["float32"].context_tokens < found["bfloat16"].context_tokens
    assert found["bfloat16"].emulated and not found["float32"].emulated
    large = [way for way in ways(named("lfm2-8b-a1b"), old) if way.engine == "vllm"]
    assert [way.weights for way in large] == ["bfloat16"]


def test_a_vllm_for_gpus_runs_on_no_cpu() -> None:
    way = of("vllm", "granite-3.1-1b-a400m", replace(LAPTOP, vllm_on_cpu=False))
    assert way.fits and way.engine_lacks == "the vLLM that is installed is for GPUs"


def test_a_program_that_is_named_and_is_none_is_not_passed_over(tmp_path: Path) -> None:
    wrong = load(environment={"FIRSTPASS_ENGINE__BINARY": str(tmp_path / "llama-server")})
    with pytest.raises(BadSettings, match=r"engine\.binary"):
        planning.present(wrong)


@pytest.mark.parametrize("name", ["model", "extra_args", "preload", "context_tokens"])
def test_settings_are_shown_as_toml_has_them(name: str) -> None:
    """JSON's surrogates are none of it."""
    value = "4096" if name == "context_tokens" else '/m/\N{ROCKET}:rocket:\x7f".gguf'
    said = shlex.quote(value) if name == "extra_args" else value
    read = tomllib.loads(f"{name} = {toml(name, said)}")[name]
    assert read == {"context_tokens": 4096, "model": value}.get(name, [value])


def test_the_most_bits_that_fit_are_taken_for_a_gguf_file() -> None:
    assert of("llama.cpp", "granite-3.1-1b-a400m", LAPTOP).weights == "Q8_0"
    assert of("llama.cpp", "qwen3-30b-a3b", LAPTOP).weights == "Q4_K_M"


def test_experts_that_no_gpu_holds_are_in_main_memory_as_few_layers_as_need_be() -> None:
    """llama.cpp's --n-cpu-moe; the attention and as many layers' experts as fit stay on the GPU."""
    way = of("llama.cpp", "gpt-oss-120b", gpus(1, 24, memory=128))
    assert way.place == "GPU and CPU" and 0 < way.cpu_layers < 36
    assert way.arguments[:4] == ("--n-gpu-layers", "999", "--n-cpu-moe", str(way.cpu_layers))
    assert way.gpu_bytes <= 24 * GB and not way.disk_bytes
    each = way.shape.expert_bytes / 36
    assert way.main_bytes == pytest.approx(way.cpu_layers * each)
    more_on_gpu = (
        way.gpu_bytes - way.context_tokens * way.shape.cache_token_bytes + each + 4096 * way.shape.cache_token_bytes
    )
    assert more_on_gpu > 24 * GB * 0.92 and of("llama.cpp", "gpt-oss-120b", gpus(1, 96)).cpu_layers == 0


@pytest.mark.parametrize(("size", "wanted", "slots"), [(12, 4096, 3), (12, 32768, 1), (24, None, 2), (80, None, 4)])
def test_on_a_gpu_only_as_many_contexts_are_begun_as_have_room(size: int, wanted: int | None, slots: int) -> None:
    """The server made four of the one that was planned, where they took less than 4 GiB, and the GPU was full."""
    way = of("llama.cpp", "gpt-oss-20b", gpus(1, size), wanted)
    assert way.arguments[-4:] == ("--parallel", str(slots), "--ctx-size", str(slots * way.context_tokens))
    weights = way.shape.weight_bytes - way.cpu_layers * way.shape.expert_bytes / way.shape.layers
    assert way.gpu_bytes == pytest.approx(weights + slots * way.context_tokens * way.shape.cache_token_bytes + 2e9)
    assert way.gpu_bytes <= size * GB * 0.92


def test_layers_without_experts_are_counted_where_the_first_ones_are_kept_off_a_gpu() -> None:
    """llama.cpp counts them too: of 24 layers two have none, and two too few were kept off."""
    way = of("llama.cpp", "lfm2-8b-a1b", gpus(1, 8))
    each = way.shape.expert_bytes / 22
    assert way.main_bytes == pytest.approx((way.cpu_layers - 2) * each) and way.cpu_layers > 2
    assert way.arguments[3] == str(way.cpu_layers)


def test_a_context_that_only_the_main_memory_holds_is_there() -> None:
    """It was said to fit nowhere, as long as there was a GPU."""
    way = of("llama.cpp", "granite-3.1-1b-a400m", gpus(1, 6), 131072)
    assert way.fits and way.place == "CPU" and way.arguments == ("--n-gpu-layers", "0")
    tiny = replace(gpus(1, 24), machine=Machine(GB, bfloat16=True, gpu=True))
    assert of("llama.cpp", "gpt-oss-120b", tiny).main_bytes == 0


def test_what_is_planned_beside_a_gpu_that_is_too_small_is_kept_off_it() -> None:
    """llama-server puts all layers on a GPU, unless it is told."""
    way = of("llama.cpp", "granite-3.1-3b-a800m", gpus(1, 2))
    assert way.place == "CPU" and way.arguments == ("--n-gpu-layers", "0")
    assert of("llama.cpp", "granite-3.1-3b-a800m", LAPTOP).arguments == ()


def test_gpus_that_share_a_head_of_keys_and_values_have_it_each() -> None:
    """With 2 heads four GPUs keep each of them twice: half as many tokens have room as were said to."""
    way = of("vllm", "qwen3.5-35b-a3b", gpus(4, 24), 32768)
    cache = way.context_tokens * way.shape.cache_token_bytes
    assert way.gpus == 4 and way.gpu_bytes == pytest.approx(way.shape.weight_bytes / 4 + cache / 2 + 2e9)


def test_experts_that_no_memory_holds_stay_on_the_disk() -> None:
    way = of("llama.cpp", "gpt-oss-120b", LAPTOP)
    assert way.place == "disk" and way.fits
    assert way.main_bytes <= LAPTOP.machine.usable_bytes
    assert way.disk_bytes == pytest.approx(
        way.shape.weight_bytes + way.context_tokens * way.shape.cache_token_bytes + 150e6 - way.main_bytes, rel=0.01
    )
    beside = of("llama.cpp", "gpt-oss-120b", gpus(1, 24, memory=32))
    assert beside.gpus == 1 and beside.disk_bytes > 0 and beside.place == "disk"


def test_what_does_not_fit_says_what_it_takes_and_what_there_is() -> None:
    small = replace(LAPTOP, machine=Machine(4 * GB, bfloat16=True))
    way = of("vllm", "olmoe-1b-7b", small)
    assert not way.fits and "13.8 GB" in way.why_not and "2.9 GB" in way.why_not
    assert "65.6" in of("vllm", "gpt-oss-120b", gpus(1, 24)).why_not


def test_a_wanted_context_has_room_or_the_model_does_not_fit() -> None:
    shape = of_card(named("olmoe-1b-7b"))
    tight = replace(LAPTOP, machine=Machine(int((shape.weight_bytes + 2.3 * GB) / 0.9), bfloat16=True))
    assert of("vllm", "olmoe-1b-7b", tight, 2000).fits
    assert (
        "4096 tokens"
        in of("vllm", "olmoe-1b-7b", replace(tight, machine=Machine(16 * GB, bfloat16=True)), 4096).why_not
    )


def test_a_wanted_context_may_take_more_than_the_usual_cache_and_is_said_to_the_engine() -> None:
    """llama.cpp was said to have no room for it beside 16 GB; vLLM was not told of it."""
    card = named("granite-3.1-1b-a400m")
    for engine in ("vllm", "llama.cpp", "transformers"):
        way = of(engine, card.name, LAPTOP, card.context_tokens)
        assert way.fits and way.context_tokens * way.shape.cache_token_bytes > USUAL_BYTES
        assert planning.settings_of(card.name, way, Kept("x"))["context_tokens"] == str(card.context_tokens)


@pytest.mark.parametrize("card", ["granite-3.1-1b-a400m", "olmoe-1b-7b"])
@pytest.mark.parametrize("memory", [8, 25, 64])
@pytest.mark.parametrize("bfloat16", [True, False])
@pytest.mark.parametrize("wanted", [None, 2000])
def test_vllm_on_a_cpu_starts_as_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: str, memory: int, bfloat16: bool, wanted: int | None
) -> None:
    """With the context that the plan in bfloat16 gave, the engine took float32: no other type was said."""
    monkeypatch.setattr("firstpass.engine.vllm.runs_on_cpu", lambda: True)
    known, machine = named(card), Machine(memory * GB, bfloat16)
    heads = {"num_attention_heads": known.kv_heads, "head_dim": known.head_dim, "hidden_size": known.hidden}
    of_it = heads | {"num_hidden_layers": known.layers, "max_position_embeddings": known.context_tokens}
    (tmp_path / "config.json").write_text(json.dumps(of_it | {"dtype": known.dtype}))
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(weight_bytes(known))
    for way in ways(known, replace(LAPTOP, machine=machine), wanted):
        if way.engine == "vllm" and way.fits:
            said = planning.settings_of(card, way, Kept("x"))
            spec = EngineSpec(
                card,
                "vllm",
                tmp_path,
                tmp_path,
                context_tokens=int(said["context_tokens"]) if "context_tokens" in said else None,
                holds_tokens=known.context_tokens,
                extra_args=tuple(shlex.split(said.get("extra_args", ""))),
            )
            argv = VllmRecipe(spec, machine).command(tmp_path).argv
            assert value_of("--dtype", argv) == way.weights
            assert value_of("--max-model-len", argv) == str(way.context_tokens)


def shape(**changes: float) -> Shape:
    fields = {"fixed_bytes": 1e9, "expert_bytes": 8e9, "experts": 8, "experts_per_token": 2, "layers": 10}
    numbers = {**fields, "cache_token_bytes": 0.0, "context_tokens": 4096, "active_parameters": 1e9, **changes}
    return Shape(name="m", **numbers)  # type: ignore[arg-type]


def test_a_cache_beside_weights_in_few_bits_has_16() -> None:
    """It was reckoned in the bits of the weights: a third of it for Q4_K_M."""
    for name in ("granite-3.1-1b-a400m", "qwen3-30b-a3b", "gpt-oss-20b"):
        assert of("llama.cpp", name, LAPTOP).shape.cache_token_bytes == cache_token_bytes(named(name))


def test_a_step_takes_its_bytes_from_where_they_lie() -> None:
    """1 GB fixed and a quarter of 8 GB of experts; half of the layers' experts in main memory; all but 2 GB on disk."""
    whole = Way("llama.cpp", "Q8_0", shape(), main_bytes=9e9)
    costs = COSTS["llama.cpp", False]
    calls = (costs.step_calls + 10 * costs.layer_calls) * RATES.operation_seconds
    found = predicted(whole, RATES, 1)
    assert found is not None and found.ceiling == pytest.approx(40 / 3)
    assert found.token_seconds == pytest.approx(calls + 3 / 40 / costs.reads)
    split = Way("llama.cpp", "Q8_0", shape(), gpus=1, cpu_layers=5, main_bytes=4e9)
    on_both = predicted(split, RATES, 1)
    assert on_both is not None and 1 / on_both.ceiling == pytest.approx(1 / 40 + 2 / 2000)
    far = Way("llama.cpp", "Q8_0", shape(), main_bytes=3e9, disk_bytes=6e9)
    from_disk = predicted(far, RATES, 1)
    assert from_disk is not None and 1 / from_disk.ceiling == pytest.approx((3 - 1.5) / 40 + 1.5 / 2)


def test_nothing_is_predicted_by_a_rate_that_nobody_measured() -> None:
    assert predicted(Way("vllm", "bfloat16", shape(), gpus=1), replace(RATES, gpu_bytes_per_s=0.0), 1) is None
    far = Way("llama.cpp", "Q8_0", shape(), main_bytes=3e9, disk_bytes=6e9)
    assert predicted(far, replace(RATES, disk_bytes_per_s=0.0), 1) is None


def test_a_longer_prompt_takes_longer_and_a_correction_is_a_factor() -> None:
    way = Way("vllm", "bfloat16", shape(), main_bytes=9e9)
    short, long = (predicted(way, RATES, tokens) for tokens in (10, 4000))
    assert short is not None and long is not None and long.first_seconds > 10 * short.first_seconds
    corrected = predicted(way, RATES, 4000, Correction(2.0, 3.0))
    assert corrected is not None and corrected.token_seconds == pytest.approx(2 * long.token_seconds)
    assert corrected.first_seconds == pytest.approx(3 * long.first_seconds)


def took(model: str, step: float, engine: str = "vllm") -> Measured:
    return Measured(model, engine, "bfloat16", "CPU", 1000, 2.0, 0.1 * step, 1.0, 0.1, 1.0)


def test_a_correction_is_the_model_s_own_else_the_median_of_its_engine_s(tmp_path: Path) -> None:
    known = Kept("here", RATES, (took("a", 1.5), took("b", 3.0), took("c", 2.0), took("d", 9.0, "llama.cpp")))
    ways_ = {name: Way("vllm", "bfloat16", replace(shape(), name=name)) for name in ("b", "other")}
    assert known.correction(ways_["b"]).step == pytest.approx(3.0)
    assert known.correction(ways_["other"]).step == pytest.approx(2.0)
    assert known.correction(replace(ways_["b"], weights="float32")).step == pytest.approx(2.0)
    again = known.with_(took("b", 1.0))
    assert len(again.measured) == 4 and again.correction(ways_["b"]).step == pytest.approx(1.0)
    kept.write(tmp_path, again)
    assert kept.read(tmp_path, "here") == again and kept.read(tmp_path, "elsewhere") == Kept("elsewhere")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "Invalid JSON"),
        ("[]", "is damaged"),
        (json.dumps({"machine": "here", "rates": asdict(replace(RATES, bytes_per_s=0.0))}), "no positive numbers"),
        (json.dumps({"machine": "here", "measured": [asdict(took("m", float("nan")))]}), "no positive numbers"),
    ],
)
def test_a_plan_that_can_not_be_used_is_named(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / kept.FILE).write_text(text)
    with pytest.raises(BadSettings, match=rf"plan\.json is damaged.*{why}|plan\.json {why}") as caught:
        kept.read(tmp_path, "here")
    assert "\n" not in str(caught.value)
    with pytest.raises(BadSettings, match="Not a directory"):
        kept.read(tmp_path / kept.FILE, "here")


def test_a_context_longer_than_the_model_s_fits_nowhere() -> None:
    """The plan had room for it, and the server refused it."""
    for way in ways(named("firstpass-draft-10m"), LAPTOP, 4097):
        assert way.why_not == "it holds 4096 tokens at most"
    assert place(shape(), "as in its file", LAPTOP, 4097).why_not


def test_a_prompt_longer_than_the_context_has_no_prediction() -> None:
    way = of("vllm", "firstpass-draft-10m", LAPTOP)
    assert planning.expected(way, Kept("here", RATES), 4096) and not planning.expected(way, Kept("here", RATES), 4097)


def test_what_can_not_be_planned_is_refused_before_anything_is_measured(
    pulled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firstpass.plan.rates.measured", lambda *_: pytest.fail("measured"))
    unknown = dict.fromkeys(("nobody", "~nobody/x", "n" * 5000), "no model")
    for model, why in {**unknown, str(pulled): "is a directory: a plan"}.items():
        with pytest.raises(BadSettings, match=why):
            plan(model)


def test_the_engine_that_is_here_goes_before_a_faster_one_that_is_not() -> None:
    here = Way("vllm", "bfloat16", shape(), main_bytes=9e9)
    faster = Way("llama.cpp", "Q4_K_M", shape(expert_bytes=1e9), engine_lacks="not installed")
    last = Way("transformers", "bfloat16", shape(expert_bytes=1e9))
    known = Kept("here", RATES)
    assert planning.chosen([faster, last, here], known) is here
    assert planning.chosen([faster, last], known) is last
    assert planning.chosen([replace(here, why_not="too large")], known) is None


@pytest.fixture
def pulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory; the machine has every engine, and no model but the bundled ones."""
    monkeypatch.setattr(planning, "present", lambda _: LAPTOP)
    monkeypatch.setenv("FIRSTPASS_SERVER__DATA_DIR", str(tmp_path))
    return tmp_path


def test_serve_takes_of_the_plan_what_the_settings_do_not_say(pulled: Path) -> None:
    del pulled
    said = planning.overrides("firstpass-draft-10m", load())
    model = {"FIRSTPASS_ENGINE__MODEL": "firstpass-draft-10m", "FIRSTPASS_ENGINE__CONTEXT_TOKENS": "4096"}
    assert said == {"FIRSTPASS_ENGINE__KIND": "vllm", **model}
    own = load(environment={"FIRSTPASS_ENGINE__KIND": "transformers", "FIRSTPASS_ENGINE__MODEL": "other"})
    assert planning.overrides("firstpass-draft-10m", own) == model


def test_arguments_of_the_settings_come_behind_those_of_the_plan(pulled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They took their place, and a model that needs four GPUs was started on one."""
    del pulled
    monkeypatch.setattr(planning, "present", lambda _: gpus(4, 16))
    monkeypatch.setattr(planning, "settings_of", lambda *_: {"kind": "vllm", "extra_args": "--tensor-parallel-size 4"})
    own = load(environment={"FIRSTPASS_ENGINE__EXTRA_ARGS": "--seed 1"})
    said = planning.overrides("firstpass-draft-10m", own)
    assert said["FIRSTPASS_ENGINE__EXTRA_ARGS"] == "--tensor-parallel-size 4 --seed 1"


def test_what_has_no_plan_is_served_by_its_name_as_before(pulled: Path) -> None:
    """A directory was no model of the catalogue, and no engine of others' ran anything."""
    directory = str(named("firstpass-draft-10m").directory)
    assert planning.overrides(directory, load()) == {"FIRSTPASS_ENGINE__MODEL": directory}
    url = {"FIRSTPASS_ENGINE__KIND": "external", "FIRSTPASS_ENGINE__URL": "http://127.0.0.1:1/v1"}
    assert planning.overrides("theirs", load(environment=url)) == {"FIRSTPASS_ENGINE__MODEL": "theirs"}
    del pulled


def test_a_kind_that_the_settings_leave_open_is_the_plan_s(pulled: Path) -> None:
    own = load(environment={"FIRSTPASS_ENGINE__KIND": "auto"})
    assert planning.overrides("firstpass-draft-10m", own)["FIRSTPASS_ENGINE__KIND"] == "vllm"
    program = pulled / "llama-server"
    beside = {"FIRSTPASS_ENGINE__BINARY": str(program)}
    load(environment={**beside, **planning.overrides("firstpass-draft-10m", load(environment=beside))})


def test_a_context_that_is_asked_for_goes_before_that_of_the_settings(pulled: Path) -> None:
    del pulled
    own = load(environment={"FIRSTPASS_ENGINE__CONTEXT_TOKENS": "2048"})
    assert "FIRSTPASS_ENGINE__CONTEXT_TOKENS" not in planning.overrides("firstpass-draft-10m", own)
    said = planning.overrides("firstpass-draft-10m", own, 1024)
    assert said["FIRSTPASS_ENGINE__CONTEXT_TOKENS"] == "1024"


def test_a_model_is_measured_by_the_settings_of_the_file_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was read for the plan and not for the engine; and its own arguments were kept as if tuning had found
    them."""

    async def answer(spec: EngineSpec, prompt_tokens: int) -> Took:
        assert spec.extra_args[-2:] == ("--seed", "1") and spec.context_tokens == 2000 and spec.data_dir == tmp_path
        return Took(prompt_tokens, 1.0, 20, 0.1)

    monkeypatch.setattr(planning, "present", lambda _: LAPTOP)
    monkeypatch.setattr("firstpass.cli.plan._took", answer)
    monkeypatch.delenv("FIRSTPASS_SERVER__DATA_DIR", raising=False)
    config = tmp_path / "firstpass.toml"
    config.write_text(f'[server]\ndata_dir = "{tmp_path}"\n[engine]\nextra_args = ["--seed", "1"]\n')
    machine = planning.machine_name(LAPTOP)
    kept.write(tmp_path, Kept(machine, RATES))
    plan("firstpass-draft-10m", 1000, 2000, measure=True, config=config)
    [found] = kept.read(tmp_path, machine).measured
    assert found.token_seconds == 0.1 and found.arguments == ()
    with pytest.raises(BadSettings, match="do not fit in 2000"):
        plan("firstpass-draft-10m", 1990, 2000, measure=True, config=config)


def test_what_measuring_has_found_is_served_too(pulled: Path) -> None:
    found = replace(took("firstpass-draft-10m", 1.0), threads=1, arguments=("--a", "b c"), preload=("/lib/x.so",))
    kept.write(pulled, Kept(planning.machine_name(LAPTOP), RATES, (found,)))
    said = planning.overrides("firstpass-draft-10m", load())
    assert said["FIRSTPASS_ENGINE__THREADS"] == "1" and said["FIRSTPASS_ENGINE__EXTRA_ARGS"] == "--a 'b c'"
    assert said["FIRSTPASS_ENGINE__PRELOAD"] == "/lib/x.so"


def test_serve_says_why_it_can_not_run_a_model(pulled: Path) -> None:
    del pulled
    with pytest.raises(BadSettings, match=r"models pull granite-3\.1-1b-a400m"):
        planning.overrides("granite-3.1-1b-a400m", load())
    with pytest.raises(BadSettings, match="no model 'nobody'"):
        planning.overrides("nobody", load())
    several = load(environment={"FIRSTPASS_ENGINES__A__MODEL": "firstpass-draft-10m"})
    with pytest.raises(BadSettings, match="several"):
        planning.overrides("firstpass-draft-10m", several)


def test_a_file_of_the_model_beside_the_others_is_planned_as_it_is(pulled: Path) -> None:
    models = pulled / "models"
    models.mkdir()
    (models / "granite-3.1-1b-a400m-Q8_0.gguf").write_bytes(b"GGUF no more")
    with pytest.raises(BadSettings, match="GGUF of version"):
        planning.overrides("granite-3.1-1b-a400m", load())


def gguf_file(path: Path, weights_bytes: int) -> None:
    """Of a small model with one large tensor, whose bytes are a hole."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def text(said: str) -> bytes:
        return struct.pack("<Q", len(said)) + said.encode()

    numbers = {"block_count": 2, "context_length": 4096, "embedding_length": 64, "attention.head_count": 4}
    pairs = [text("general.architecture") + struct.pack("<I", 8) + text("llama")]
    pairs += [text(f"llama.{name}") + struct.pack("<II", 4, number) for name, number in numbers.items()]
    tensor = text("blk.0.ffn_up.weight") + struct.pack("<IQIQ", 1, weights_bytes, 24, 0)
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs) + tensor)
        file.truncate(file.tell() + 32 + weights_bytes)


def file_for(card: str, models_dir: Path) -> Way:
    settings = load(environment={"FIRSTPASS_ENGINE__MODELS_DIR": str(models_dir)})
    return next(way for way in planning.wanted(card, settings)[card](LAPTOP, None) if way.engine == "llama.cpp")


def test_llama_cpp_starts_with_the_context_that_was_planned(tmp_path: Path) -> None:
    """Nearly all of the memory is taken: by itself its recipe leaves a block beside the context, and cut it."""
    gguf_file(tmp_path / "m.gguf", 10 * GB)
    machine = Machine(int((10.1501 * GB + 4096 * 512) / 0.9), bfloat16=True)
    way = planning.wanted(str(tmp_path / "m.gguf"), load())["m.gguf"](replace(LAPTOP, machine=machine), None)[0]
    assert way.fits and way.context_tokens == 4096
    context = int(planning.settings_of("m", way, Kept("x"))["context_tokens"])
    program = Path(sys.executable)
    spec = EngineSpec("m", "llama.cpp", tmp_path, tmp_path, context_tokens=context, gguf=way.file, binary=program)
    argv = LlamaCppRecipe(spec, machine).command(tmp_path).argv
    assert value_of("--ctx-size", argv) == str(4096 * int(value_of("--parallel", argv) or 0))


def test_of_several_files_the_largest_that_fits_is_taken_and_none_of_another_card_s(tmp_path: Path) -> None:
    """The largest was taken though it fits nowhere; a link to nothing ended the plan, and so did a damaged file."""
    gguf_file(tmp_path / "qwen3-30b-a3b-fp8-Q4_K_M.gguf", 5 * GB)
    (tmp_path / "qwen3-30b-a3b-Q2.gguf").symlink_to("nowhere")
    none_yet = file_for("qwen3-30b-a3b", tmp_path)
    there = str(tmp_path / "qwen3-30b-a3b-Q4_K_M.gguf")
    assert there in none_yet.weights_lack
    assert planning.settings_of("qwen3-30b-a3b", none_yet, Kept("x"))["model"] == there
    gguf_file(tmp_path / "qwen3-30b-a3b-F16.gguf", 60 * GB)
    assert file_for("qwen3-30b-a3b", tmp_path).why_not
    gguf_file(tmp_path / "qwen3-30b-a3b" / "any.gguf", 6 * GB)
    found = file_for("qwen3-30b-a3b", tmp_path)
    assert found.fits and found.file == tmp_path / "qwen3-30b-a3b" / "any.gguf"
    assert found.shape.name == "any.gguf", "what was measured of one file was taken for the other's"
    (tmp_path / "olmoe-1b-7b-Q8_0.gguf").write_bytes(b"GGUF no more")
    assert "GGUF of version" in file_for("olmoe-1b-7b", tmp_path).why_not


def card_of_every_kind() -> list[Card]:
    return [named(name) for name in ("firstpass-draft-10m", "granite-4.0-h-tiny", "gpt-oss-20b", "qwen3-30b-a3b-fp8")]


@pytest.mark.parametrize("card", card_of_every_kind(), ids=lambda card: card.name)
@pytest.mark.parametrize("hardware", [LAPTOP, gpus(1, 16), gpus(1, 80), gpus(8, 80)], ids=["cpu", "16", "80", "8x80"])
def test_no_way_takes_more_than_there_is(card: Card, hardware: Hardware) -> None:
    for way in ways(card, hardware):
        if way.fits:
            assert way.main_bytes <= hardware.machine.usable_bytes
            assert way.gpus <= len(hardware.gpus)
            assert not way.gpus or way.gpu_bytes <= hardware.gpus[0].bytes
            assert 0 < way.context_tokens <= card.context_tokens
            assert json.dumps(planning.settings_of(card.name, way, Kept("x")))
        else:
            assert way.why_not


def test_a_file_with_a_gpu_beside_it_is_placed_by_its_own_bytes() -> None:
    way = place(shape(fixed_bytes=4e9, expert_bytes=40e9, layers=40), "as in its file", gpus(1, 24), None)
    assert way.fits and way.cpu_layers == 24


def test_what_tuning_made_faster_foretells_no_other_model() -> None:
    tuned = replace(took("a", 0.4), arguments=("--no-enforce-eager",))
    known = Kept("here", RATES, (tuned, took("b", 1.5)))
    assert known.correction(Way("vllm", "bfloat16", replace(shape(), name="a"))).step == pytest.approx(0.4)
    assert known.correction(Way("vllm", "bfloat16", replace(shape(), name="c"))).step == pytest.approx(1.5)


def test_a_gpu_that_pytorch_does_not_reach_goes_before_the_cpu() -> None:
    on_gpu = Way("llama.cpp", "Q8_0", shape(), gpus=1, gpu_bytes=9e9)
    on_cpu = Way("vllm", "bfloat16", shape(), main_bytes=9e9)
    assert planning.chosen([on_cpu, on_gpu], Kept("here", replace(RATES, gpu_bytes_per_s=0.0, gpu_flops=0.0))) is on_gpu


@pytest.mark.parametrize(
    ("script", "uses"),
    [
        ("echo 'Available devices:'; echo '  (none)'", False),
        ("echo 'Available devices:'; echo '  CUDA0: a GPU (24000 MiB)'", True),
        ("echo 'error: invalid argument: --list-devices' >&2; exit 1", True),
    ],
)
def test_llama_cpp_is_asked_whether_it_uses_a_gpu(tmp_path: Path, script: str, uses: bool) -> None:
    program = tmp_path / "llama-server"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    assert llama_cpp.uses_gpu(program) == uses


def test_a_llama_cpp_built_for_cpus_leaves_the_gpu_alone() -> None:
    built = replace(gpus(1, 24), llama_on_gpu=False)
    way = of("llama.cpp", "gpt-oss-20b", built)
    assert (way.place, way.arguments) == ("CPU", ())
