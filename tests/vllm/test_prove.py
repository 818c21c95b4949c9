"""`firstpass prove` with real engines: nothing leaves, and a server that leaks is caught. Some minutes on two cores."""

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from firstpass.engine import isolation

WHY_NOT = asyncio.run(isolation.why_not())

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(WHY_NOT is not None, reason=f"no network namespaces here: {WHY_NOT}"),
]

PROOF_SECONDS = 900
WORK = {"chat completions", "responses", "messages", "a contract with a diff", "tools", "an engine killed and back"}


def proof(kind: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    environment = os.environ | {"FIRSTPASS_ENGINE__KIND": kind}
    command = [sys.executable, "-m", "firstpass", "prove", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PROOF_SECONDS, check=False)
    return done.returncode, json.loads(done.stdout)


def counted(said: dict[str, Any]) -> dict[str, int]:
    return {phase["name"]: sum(phase["counts"].values()) for phase in said["phases"] if phase["counts"]}


def test_nothing_leaves_a_server_at_work() -> None:
    status, said = proof("vllm")
    assert (status, said["proved"], said["faults"]) == (0, True, [])
    assert counted(said).keys() >= WORK and not any(counted(said).values())


@pytest.mark.skipif("PLANTED" not in os.environ, reason="minutes more; PLANTED=1 runs it, and unit tests plant leaks")
def test_a_server_that_leaks_is_caught_and_the_phases_are_named() -> None:
    status, said = proof("transformers", "--plant")
    assert (status, said["proved"]) == (1, False)
    leaking = {name for name, tries in counted(said).items() if tries}
    assert leaking >= {"chat completions", "a contract with a diff"} and not leaking & {
        "start",
        "responses",
        "messages",
    }
    assert {fault.partition(": ")[0] for fault in said["faults"]} == leaking
