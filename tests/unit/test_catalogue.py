"""Cards, model directories and what is wrong with them; the wheel's share of the catalogue."""

import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firstpass import catalogue, drafting
from firstpass.catalogue import Card, Held, Lock
from firstpass.catalogue.card import (
    COMMIT,
    cache_token_bytes,
    expert_parameters,
    fitting_tokens,
    memory_bytes,
    read_card,
    weight_bytes,
)
from firstpass.engine import EngineSpec, HangAfter
from firstpass.errors import BadSettings
from firstpass.settings import Settings

ROOT = Path(__file__).parents[2]
DRAFT = ROOT / "models/catalogue/firstpass-draft-10m"
CARDS = catalogue.cards()
HUB_CARDS = [card for card in CARDS if card.hub]


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    """A directory that is a model as far as one can see without an engine."""
    directory = tmp_path / "mine"
    directory.mkdir()
    (directory / "config.json").write_text('{"max_position_embeddings": 2048}')
    (directory / "tokenizer.json").write_text("{}")
    (directory / "model.safetensors").write_bytes(b"weights")
    return directory


def pulled(models_dir: Path, model_dir: Path, name: str, *, complete: bool = True) -> Path:
    directory = models_dir / name
    shutil.copytree(model_dir, directory)
    files = {path.name: Held(path.stat().st_size, digest(path)) for path in model_dir.iterdir()}
    catalogue.write_lock(directory, Lock(name, "owner/name", "0" * 40, files, complete))
    return directory


def digest(path: Path) -> str:
    return subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.split()[0]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_a_card_has_the_name_of_its_folder_and_says_where_its_weights_are(card: Card) -> None:
    assert card.name == card.directory.name == card.name.lower()
    assert card.hub or card.sha256, "weights beside a card are recorded in it"
    assert card.hub is None or (COMMIT.fullmatch(card.hub.revision) or card.hub.note)


@pytest.mark.parametrize("card", HUB_CARDS, ids=lambda card: card.name)
def test_the_numbers_of_a_card_agree_with_each_other(card: Card) -> None:
    """What a token leaves out are the experts that it does not choose. Publishers round, and some count embeddings."""
    left_out = expert_parameters(card) * (card.experts - card.experts_per_token) / card.experts
    assert card.parameters_total - card.parameters_active == pytest.approx(left_out, abs=0.07 * card.parameters_total)


def test_memory_is_weights_and_cache() -> None:
    oss = catalogue.named("gpt-oss-20b")
    assert weight_bytes(oss) == pytest.approx(13.76e9, rel=0.01), "the size of its files at the hub"
    assert cache_token_bytes(oss) == 2 * 12 * 8 * 64 * 2
    assert memory_bytes(oss, 1000) == weight_bytes(oss) + 1000 * cache_token_bytes(oss)
    draft = catalogue.named("firstpass-draft-10m")
    assert weight_bytes(draft) == pytest.approx((DRAFT / "model.safetensors").stat().st_size, rel=0.01)


SMALL_CARD = """name = "small"
licence = "MIT"
architecture = "OlmoeForCausalLM"
dtype = "bfloat16"
parameters_total = 1000
parameters_active = 500
experts = 8
experts_per_token = 2
layers = 1
hidden = 8
kv_heads = 1
head_dim = 8
context_tokens = 64
colour = "blue"
"""


@pytest.mark.parametrize(
    ("line", "instead", "named"),
    [
        ("experts = 8", "", "experts: "),
        ("experts = 8", 'experts = "many"', "experts: "),
        ('dtype = "bfloat16"', 'dtype = "int3"', "dtype: "),
        ("experts = 8", "experts =", "line 7"),
    ],
)
def test_a_bad_card_is_an_error_that_names_file_and_field(tmp_path: Path, line: str, instead: str, named: str) -> None:
    (tmp_path / "card.toml").write_text(SMALL_CARD.replace(line, instead, 1))
    with pytest.raises(BadSettings, match=rf"card\.toml: .*{named}"):
        read_card(tmp_path / "card.toml")


def test_what_a_card_says_beyond_the_known_fields_is_kept_for_people(tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text(SMALL_CARD)
    assert read_card(tmp_path / "card.toml").further == {"colour": "blue"}


def test_any_directory_is_served_by_its_path_and_bears_its_name(model_dir: Path) -> None:
    model = catalogue.find(str(model_dir))
    assert (model.name, model.context_tokens, model.sha256) == ("mine", 2048, {})
    assert catalogue.flipped(model) == []


def test_a_directory_with_a_card_is_held_to_it(tmp_path: Path) -> None:
    shutil.copytree(DRAFT, tmp_path / "copy")
    model = catalogue.find(str(tmp_path / "copy"))
    assert model.name == "firstpass-draft-10m" and catalogue.flipped(model) == []
    weights = tmp_path / "copy/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    (tmp_path / "copy/train.json").unlink()
    assert catalogue.flipped(model) == ["model.safetensors", "train.json"]
    assert catalogue.damage(model.directory, model.sha256) == {"model.safetensors": "differs", "train.json": "missing"}
    sections = {"engine": {"model": str(tmp_path / "copy"), "kind": "vllm"}, "server": {"data_dir": tmp_path}}
    with pytest.raises(BadSettings, match=r"damaged: model\.safetensors, train\.json differ from the record"):
        spec_of(sections)


@pytest.mark.parametrize("flag", ["--otlp-traces-endpoint", "--lora-modules", "-dpa", "--seed"])
def test_a_card_that_came_with_a_model_may_not_ask_for_what_ours_do_not(tmp_path: Path, flag: str) -> None:
    shutil.copytree(DRAFT, tmp_path / "copy")
    card = tmp_path / "copy/card.toml"
    card.write_text(card.read_text().replace("vllm_flags = [", f'vllm_flags = ["{flag}", "x", '))
    with pytest.raises(BadSettings, match=f"card\\.toml: vllm_flags: {flag} is none"):
        catalogue.find(str(tmp_path / "copy"))


@pytest.mark.parametrize("pickled", ["pytorch_model.bin", "model.pt", "weights.pkl", "model.h5"])
def test_weights_that_are_pickled_are_refused_and_named(model_dir: Path, pickled: str) -> None:
    (model_dir / pickled).write_bytes(b"x")
    catalogue.find(str(model_dir))  # with safetensors beside them they are never read
    (model_dir / "model.safetensors").rename(model_dir / "other.safetensors")
    with pytest.raises(BadSettings, match=rf"has its weights in {pickled}, which is not safetensors"):
        catalogue.find(str(model_dir))
    (model_dir / "other.safetensors").unlink()
    with pytest.raises(BadSettings, match=rf"has its weights in {pickled}, which is not safetensors"):
        catalogue.find(str(model_dir))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.json", None, r"has no config\.json"),
        ("config.json", "{", r"mine/config\.json can not be read as JSON"),
        ("config.json", "[]", r"mine/config\.json holds no JSON object"),
        ("config.json", "{}", r"mine/config\.json has no max_position_embeddings"),
        ("config.json", '{"text_config": 3}', r"mine/config\.json has no max_position_embeddings"),
        ("tokenizer.json", None, r"mine has no tokenizer: none of tokenizer\.json"),
        ("model.safetensors", None, r"mine has no weights: no \*\.safetensors"),
        (
            "model.safetensors.index.json",
            '{"weight_map": {"a": "m-1.safetensors"}}',
            r"mine/m-1\.safetensors is missing",
        ),
        ("model.safetensors.index.json", "{}", "has no weight_map"),
        ("pulled.json", "{}", r"mine/pulled\.json: not written"),
    ],
)
def test_what_is_wrong_with_a_directory_is_said_with_the_file(
    model_dir: Path, name: str, content: str | None, said: str
) -> None:
    if content is None:
        (model_dir / name).unlink()
    else:
        (model_dir / name).write_text(content)
    with pytest.raises(BadSettings, match=said):
        catalogue.find(str(model_dir))


def test_a_name_that_is_nothing_lists_the_catalogue(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"no model 'gpt-9' and no such directory; the catalogue has .*gpt-oss-20b"):
        catalogue.find("gpt-9", tmp_path)


def test_what_was_meant_by_a_name_that_leads_nowhere_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    (tmp_path / "weights.safetensors").write_bytes(b"x")
    for name, said in (
        ("openai/gpt-oss-20b", r"is gpt-oss-20b here: .* `firstpass models pull gpt-oss-20b`"),
        ("someone/theirs-7b", r"no directory 'someone/theirs-7b', and no card for it: if it is of the hub"),
        (f"{tmp_path}/m.gguf", r"m\.gguf is GGUF, which only llama\.cpp reads: set engine\.kind to"),
        (f"{tmp_path}/other.GGUF", r"no file '.*other\.GGUF'"),
        ("~nobody-has-this-name/x", r"can not be looked at"),
        ("n" * 5000, r"can not be looked at: .*name too long"),
        (f"{tmp_path}/other.gguf", r"no file '.*other\.gguf'"),
        (f"{tmp_path}/weights.safetensors", r"is a file; name the directory"),
        (f"{tmp_path}/models/mine", rf"no directory '.*/models/mine'; there is {tmp_path}$"),
    ):
        with pytest.raises(BadSettings, match=said):
            catalogue.find(name, tmp_path)
    with pytest.raises(BadSettings, match=r"holds m\.gguf, which only llama\.cpp reads"):
        (tmp_path / "weights.safetensors").unlink()
        catalogue.find(str(tmp_path))


def test_what_fits_beside_the_weights_is_at_most_the_card_s_own_context() -> None:
    card = catalogue.named("granite-3.1-1b-a400m")
    weights, each = weight_bytes(card), cache_token_bytes(card)
    assert fitting_tokens(card, weights - 1) == 0
    assert fitting_tokens(card, weights + 5 * each) == 5
    assert fitting_tokens(card, 2**45) == card.context_tokens
    keeps_states_alone = replace(card, kv_layers=0)
    assert fitting_tokens(keeps_states_alone, weights) == card.context_tokens
    assert fitting_tokens(keeps_states_alone, weights - 1) == 0


def test_a_model_of_the_hub_is_found_once_it_is_pulled(tmp_path: Path, model_dir: Path) -> None:
    with pytest.raises(BadSettings, match="firstpass models pull gpt-oss-20b"):
        catalogue.find("gpt-oss-20b", tmp_path)
    directory = pulled(tmp_path / "models", model_dir, "gpt-oss-20b")
    for name in ("gpt-oss-20b", "GPT-OSS-20B", str(directory)):
        model = catalogue.find(name, tmp_path / "models")
        assert (model.name, model.directory, model.context_tokens) == ("gpt-oss-20b", directory, 2048)
        assert "openai_gptoss" in model.vllm_flags
    half = pulled(tmp_path / "half", model_dir, "gpt-oss-20b", complete=False).parent
    with pytest.raises(BadSettings, match="not all here"):
        catalogue.find("gpt-oss-20b", half)


def test_a_start_compares_the_sizes_of_a_pulled_model_and_verify_its_bytes(tmp_path: Path, model_dir: Path) -> None:
    directory = pulled(tmp_path, model_dir, "gpt-oss-20b")
    model = catalogue.find("gpt-oss-20b", tmp_path)
    assert catalogue.flipped(model) == []
    (directory / "model.safetensors").write_bytes(b"Weights")
    assert catalogue.flipped(model) == [] and list(catalogue.damage(directory, model.sha256)) == ["model.safetensors"]
    (directory / "model.safetensors").write_bytes(b"w")
    assert catalogue.flipped(model) == ["model.safetensors"]


def test_the_card_s_context_is_the_ceiling_where_the_config_says_more(tmp_path: Path, model_dir: Path) -> None:
    (model_dir / "config.json").write_text('{"max_position_embeddings": 128000}')
    pulled(tmp_path, model_dir, "lfm2-8b-a1b")
    assert catalogue.find("lfm2-8b-a1b", tmp_path).context_tokens == 32768


def test_weights_that_stayed_in_the_repository_are_told_apart_from_a_wrong_name(tmp_path: Path) -> None:
    shutil.copy(DRAFT / "card.toml", tmp_path)
    card = replace(read_card(tmp_path / "card.toml"), wheel=False)
    assert catalogue.place(card, tmp_path) == "repository"
    with pytest.raises(BadSettings, match="in the repository, not in this installation"):
        catalogue.weights_directory(card, tmp_path)


def test_there_is_nothing_to_verify_a_bare_directory_against(model_dir: Path) -> None:
    with pytest.raises(BadSettings, match=r"nothing to verify .*mine against: it has neither card\.toml nor pulled"):
        catalogue.recorded(str(model_dir), model_dir)


@pytest.mark.parametrize(("kind", "flags"), [("vllm", True), ("transformers", False)])
def test_a_card_s_flags_reach_vllm_before_the_user_s_own(
    kind: str, flags: bool, tmp_path: Path, model_dir: Path
) -> None:
    pulled(tmp_path / "models", model_dir, "gpt-oss-20b")
    engine = {"kind": kind, "model": "gpt-oss-20b", "extra_args": ["--seed", "1"]}
    spec = spec_of({"engine": engine, "server": {"data_dir": tmp_path}})
    card = catalogue.named("gpt-oss-20b").vllm_flags if flags else ()
    assert spec.extra_args == (*card, "--seed", "1") and spec.model_dir == tmp_path / "models/gpt-oss-20b"


def test_the_wheel_has_every_card_and_only_the_bundled_weights(tmp_path: Path) -> None:
    """Built from a copy that has one more model, whose weights are to stay in the repository."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "server", tmp_path / "server", ignore=ignored)
    shutil.copytree(ROOT / "models/catalogue", tmp_path / "models/catalogue", ignore=ignored)
    stays = tmp_path / "models/catalogue/firstpass-stays-here"
    stays.mkdir()
    (stays / "card.toml").write_text((DRAFT / "card.toml").read_text())
    with (stays / "model.safetensors").open("wb") as file:
        file.truncate(60_000_000)
    build = "import hatchling.build; hatchling.build.build_wheel('.')"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = {name.removeprefix("firstpass/_catalogue/") for name in wheel.namelist() if "_catalogue" in name}
    assert {f"{card.name}/card.toml" for card in CARDS} | {"firstpass-stays-here/card.toml"} <= packed
    assert {name for name in packed if name.endswith(".safetensors")} == {
        f"{card.name}/model.safetensors" for card in CARDS if card.hub is None and card.wheel
    }, "a model whose weights are not in the wheel says `wheel = false` in its card"


def test_the_cards_are_json_for_machines() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "firstpass", "models", "list", "--json"], capture_output=True, check=True, text=True
    )
    listed = {card["name"]: card for card in json.loads(done.stdout)}
    assert listed.keys() == {card.name for card in CARDS}
    oss = listed["gpt-oss-20b"]
    assert oss["hub"]["pinned"] is True and oss["memory_bytes"] > oss["weight_bytes"] and oss["vllm_flags"]


def test_an_engine_s_patience_is_what_the_settings_say(tmp_path: Path) -> None:
    engine = {"kind": "vllm", "canary_seconds": 5, "canary_busy_seconds": 50, "canary_idle_seconds": 500}
    settings = Settings.model_validate({"engine": engine, "server": {"data_dir": tmp_path}})
    assert drafting.engine_spec(settings, settings.engine).patience == HangAfter(5, 50, 500)
    engine = {"kind": "vllm", "canary_seconds": 5, "reply_seconds": 700}
    settings = Settings.model_validate({"engine": engine, "server": {"data_dir": tmp_path}})
    assert drafting.engine_spec(settings, settings.engine).patience.busy_seconds == 705, (
        "no sooner than a caller gives up"
    )


def spec_of(sections: dict[str, Any]) -> EngineSpec:
    """Of the only engine of such settings."""
    settings = Settings.model_validate(sections)
    return drafting.engine_spec(settings, settings.engine)
