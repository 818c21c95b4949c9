"""The short form of benchmarks/suites/durability: nothing that was acknowledged is gone after a kill -9."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks/suites/durability/kill.py"


@pytest.mark.skipif(sys.platform != "linux", reason="the program forks what it kills")
@pytest.mark.parametrize(("what", "kills"), [("store", 20), ("front", 2)])
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, what: str, kills: int) -> None:
    command = [sys.executable, PROGRAM, what, "--kills", str(kills), "--callers", "16", "--directory", tmp_path]
    told = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert told.stdout, told.stderr
    said = json.loads(told.stdout.splitlines()[-1])
    assert said["kills"] == kills and said["acknowledged_by_kind"]["exchange"] > 0
    assert said["integrity"] == "ok" and said["missing"] == 0
