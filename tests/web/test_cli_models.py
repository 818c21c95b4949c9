"""`firstpass models list | show | verify` as people run them."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firstpass import catalogue
from firstpass.catalogue import Hub
from firstpass.cli import models as cli_models
from firstpass.hardware import Machine
from tests.web.test_cli import firstpass

DRAFT = Path(__file__).parents[2] / "models/catalogue/firstpass-draft-10m"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"FIRSTPASS_SERVER__DATA_DIR": str(tmp_path / "data")}


def test_the_list_says_what_a_model_needs_and_where_it_is(home: dict[str, str]) -> None:
    lines = firstpass("models", "list", **home).stdout.decode().splitlines()
    rows = {line.split()[0]: line for line in lines[1:-2]}
    assert rows["firstpass-draft-10m"].rstrip().endswith("bundled")
    said = r"gpt-oss-20b GptOssForCausalLM 20\.9B/3\.61B 32/4 Apache-2\.0 17\.0 GB (yes|no|[\d,]+ tokens) not pulled"
    assert re.fullmatch(said, " ".join(rows["gpt-oss-20b"].split()))


@pytest.mark.parametrize(("room", "said"), [(2 * 10**9, "no"), (4 * 10**9, r"2\d,\d\d\d tokens"), (10**11, "yes")])
def test_the_list_says_what_fits_this_machine(monkeypatch: pytest.MonkeyPatch, room: int, said: str) -> None:
    monkeypatch.setattr(cli_models, "room_here", lambda: (room, "of memory"))
    lines = CliRunner().invoke(cli_models.models, ["list"], terminal_width=200).output.splitlines()
    row = next(line for line in lines if line.lstrip().startswith("granite-3.1-1b"))
    assert re.search(rf" 9\.1 GB +{said} +not pulled", row), row
    shown = CliRunner().invoke(cli_models.models, ["show", "granite-3.1-1b-a400m"]).output
    assert re.search(rf"fits here +{said}\n", shown) and shown.count("with one whole context") == 1


@pytest.mark.parametrize(
    ("script", "kind"),
    [("echo 'GPU-1, NVIDIA X, 81920, 9.0'", "79.0 GB of its largest GPU"), ("exit 9", "14.4 GB of memory")],
)
def test_what_there_is_room_in_is_asked_once_and_called_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, kind: str
) -> None:
    """NVIDIA's program was run for each card, and memory was called a GPU's where it told nothing."""
    program, calls = tmp_path / "nvidia-smi", tmp_path / "calls"
    program.write_text(f"#!/bin/sh\necho >> {calls}\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("firstpass.hardware.this", lambda: Machine(16 * 10**9, bfloat16=True, gpu=True))
    listed = CliRunner().invoke(cli_models.models, ["list"], terminal_width=200).output
    assert f"in the {kind} that this machine can give" in " ".join(listed.split())
    for arguments in (["list", "--json"], ["show", "granite-3.1-1b-a400m"], ["show", "qwen3-30b-a3b", "--json"]):
        calls.unlink()
        assert CliRunner().invoke(cli_models.models, arguments).exit_code == 0
        assert calls.read_text() == "\n"


def test_a_card_is_shown_whole_for_people_and_for_machines(home: dict[str, str]) -> None:
    card = catalogue.named("firstpass-draft-10m")
    shown = firstpass("models", "show", card.name, **home).stdout.decode()
    for part in (card.licence, *card.contracts, *card.limits, *card.further["figures"], *card.sha256.values()):
        assert part and part in shown
    machine = json.loads(firstpass("models", "show", "qwen3-30b-a3b", "--json", **home).stdout)
    assert machine["hub"]["repository"] == "Qwen/Qwen3-30B-A3B-Instruct-2507" and machine["hub"]["pinned"] is True


def test_a_model_that_is_not_pinned_is_shown_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    card = catalogue.named("olmoe-1b-7b")
    moving = replace(card, hub=Hub("a/b", "main", "why"))
    monkeypatch.setattr(catalogue, "cards", lambda: (moving,))
    listed = CliRunner().invoke(cli_models.models, ["list"])
    shown = CliRunner().invoke(cli_models.models, ["show", "olmoe-1b-7b"])
    assert "not pulled, not pinned" in listed.output and "main (not pinned) why" in shown.output


def test_an_unknown_name_is_a_line_that_lists_the_catalogue(home: dict[str, str]) -> None:
    done = firstpass("models", "show", "gpt-9", **home)
    assert done.returncode == 1 and b"the catalogue has firstpass-draft-10m" in done.stderr
    assert b"Traceback" not in done.stderr


def test_verify_names_each_file_that_is_missing_or_flipped(home: dict[str, str], tmp_path: Path) -> None:
    whole = f"firstpass-draft-10m: {len(catalogue.named('firstpass-draft-10m').sha256)} files as recorded"
    assert whole in firstpass("models", "verify", **home).stdout.decode()
    copy = tmp_path / "copy"
    shutil.copytree(DRAFT, copy)
    (copy / "model.safetensors").write_bytes(b"x" + (copy / "model.safetensors").read_bytes()[1:])
    (copy / "config.json").unlink()
    done = firstpass("models", "verify", str(copy), "firstpass-draft-10m", **home)
    said = done.stdout.decode()
    assert done.returncode == 1
    assert f"{copy / 'model.safetensors'} differs" in said and f"{copy / 'config.json'} is missing" in said
    assert whole in said
    machine = firstpass("models", "verify", str(copy), "--json", **home)
    assert machine.returncode == 1
    assert json.loads(machine.stdout)[0]["damage"] == {"config.json": "missing", "model.safetensors": "differs"}


def test_verify_says_what_it_can_not_verify(home: dict[str, str], tmp_path: Path) -> None:
    bare = firstpass("models", "verify", str(tmp_path), **home)
    absent = firstpass("models", "verify", "gpt-oss-20b", **home)
    assert bare.returncode == absent.returncode == 1
    assert b"nothing to verify" in bare.stderr and b"firstpass models pull gpt-oss-20b" in absent.stderr


def test_serving_what_is_no_model_is_a_line_that_names_the_file(home: dict[str, str], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(DRAFT, copy)
    (copy / "tokenizer.json").unlink()
    done = firstpass("serve", "--port", "0", **home, FIRSTPASS_ENGINE__MODEL=str(copy))
    assert done.returncode == 1 and b"has no tokenizer" in done.stderr and b"Traceback" not in done.stderr
    pulled = firstpass("serve", "--port", "0", **home, FIRSTPASS_ENGINE__MODEL="gpt-oss-20b")
    assert pulled.returncode == 1 and b"firstpass models pull gpt-oss-20b" in pulled.stderr
