"""`firstpass bench` with engines that it starts itself: real ones, which are gone when it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.vllm

RUN_SECONDS = 400.0


def engines_of(folder: Path) -> list[str]:
    """Command lines of processes that have something of this run's own."""
    found = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
    return [line for line in map(" ".join, found) if str(folder) in line and "bench run" not in line]


def test_engines_are_started_measured_and_ended(tmp_path: Path, tiny_model: Path) -> None:
    load = ["--requests", "2", "--rounds", "2", "--words", "8", "--tokens", "8", "--temperature", "0", "--warm-up", "1"]
    arms = ["--arm", f"v=vllm:{tiny_model}", "--arm", f"t=transformers:{tiny_model}"]
    command = [sys.executable, "-m", "firstpass", "bench", "run", *arms, *load, "--out", str(tmp_path / "r")]
    environment = os.environ | {"FIRSTPASS_SERVER__DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "r" / "results.json").read_text())
    for arm in told["arms"].values():
        assert arm["start_seconds"] > 0 and arm["url"] is None
        assert arm["figures"]["errors"]["value"] == 0 and arm["figures"]["ttft_ms.p50"]["value"] > 0
    assert (tmp_path / "data" / "engine-bench-v.log").is_file()
    assert not engines_of(tiny_model) and not engines_of(tmp_path)
