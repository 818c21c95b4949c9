"""The recipe's commands, one after the other as its README has them, down to a model whose card holds its files."""

import json
import os
import subprocess
import sys
from pathlib import Path

from firstpass import catalogue
from tests.unit.test_recipe import commit

ROOT = Path(__file__).parents[2]


def recipe(*arguments: object) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT / "models/recipes", ROOT / "server")))}
    command = [sys.executable, "-m", "diff_reader", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_commands_make_a_model_whose_card_holds_its_files_and_says_how_it_was_made(tmp_path: Path) -> None:
    run, target, commits = tmp_path / "run", tmp_path / "model", tmp_path / "commits.jsonl"
    made = [commit("psf/requests" if number % 4 == 0 else "acme/shop") for number in range(16)]
    commits.write_text("\n".join(map(json.dumps, made)) + "\n", encoding="utf-8")
    recipe("data", "--commits", commits, "--out", run, "--synthetic", 60, "--variants", 20, "--corrections", 4)
    recipe("tokenizer", "--out", run)
    recipe("encode", "--out", run)
    recipe("train", "--out", run, "--tokens", 4000, "--tokens-per-step", 2048, "--processes", 1)
    recipe("export", "--out", run, "--target", target)
    recipe("evaluate", "--commits", commits, "--model", target, "--out", run, "--number", 3, "--verdicts", 2)
    recipe("card", "--out", run, "--target", target, "--baseline", run / "evaluation.json", "--note", "A test.")
    model = catalogue.find(str(target))
    assert model.name == "firstpass-draft-10m" and catalogue.flipped(model) == []
    text = (target / "README.md").read_text(encoding="utf-8")
    assert "3 commits drawn at random" in text and "A test." in text and "--corrections 4" in text
    assert "its verdict on 2 drafts" in text and "--verdicts 2" in text
    (target / "tokenizer.json").write_bytes((target / "tokenizer.json").read_bytes().replace(b"a", b"b", 1))
    assert catalogue.flipped(model) == ["tokenizer.json"]
