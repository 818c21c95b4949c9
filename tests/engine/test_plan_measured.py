"""`firstpass plan --measure` with a real engine: what it takes is kept, and is what the next plan says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.vllm

RUN_SECONDS = 400.0
MODEL = "firstpass-draft-10m"


def planned(data: Path, *more: str) -> dict:  # type: ignore[type-arg]
    command = [sys.executable, "-m", "firstpass", "plan", MODEL, "--json", "--prompt-tokens", "200", *more]
    environment = os.environ | {"FIRSTPASS_SERVER__DATA_DIR": str(data)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_a_model_takes_is_kept_and_foretold(tmp_path: Path) -> None:
    told = planned(tmp_path, "--measure")
    chosen = next(way for way in told["models"][MODEL] if way["chosen"])
    found = chosen["measured"]
    assert (chosen["engine"], found["engine_version"].split(".")[0]) == ("vllm", "0")
    assert 100 < found["prompt_tokens"] < 400 and 0 < found["token_seconds"] < found["first_seconds"] * 10
    again = planned(tmp_path)
    same = next(way for way in again["models"][MODEL] if way["chosen"])
    assert same["measured"] == found and again["machine"]["rates"] == told["machine"]["rates"]
    expected = same["predicted"]["first_seconds"]
    assert expected == pytest.approx(found["first_seconds"], rel=0.5)
