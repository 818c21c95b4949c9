"""`firstpass plan` on a machine with a GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from firstpass import hardware

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.gpu,
    pytest.mark.skipif(not hardware.gpus(), reason="it needs an NVIDIA GPU"),
]

RUN_SECONDS = 600.0


def test_a_model_is_planned_for_the_gpu_and_takes_about_what_was_foretold(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "firstpass", "plan", "firstpass-draft-10m", "--measure", "--json"]
    environment = os.environ | {"FIRSTPASS_SERVER__DATA_DIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["machine"]["gpus"] and told["machine"]["rates"]["gpu_bytes_per_s"] > 1e11
    way = next(way for way in told["models"]["firstpass-draft-10m"] if way["chosen"])
    assert (way["engine"], way["place"]) == ("vllm", "GPU")
    found = way["measured"]
    assert 0.2 < found["predicted_token_seconds"] / found["token_seconds"] < 5
