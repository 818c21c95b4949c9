"""The bill of materials of what is installed, made by the real script from the real locks."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "scripts/requirements"
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[.*?\])?==([^ \\;]+)", re.MULTILINE)

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    environment = os.environ | {"FIRSTPASS_VENV": sys.prefix}
    command = ["bash", str(ROOT / "scripts/sbom"), "transformers"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=True)
    return dict(json.loads(done.stdout))


def test_every_package_of_the_locks_is_in_the_bill_with_its_version(bill: dict[str, Any]) -> None:
    locked = {pinned for name in ("base", "build", "transformers") for pinned in pins(name)}
    listed = {(part["name"].lower(), part["version"]) for part in bill["components"]}
    assert listed == locked | {("torch", version())}


def pins(lock: str) -> list[tuple[str, str]]:
    return [(name.lower(), number) for name, number in PINNED.findall((LOCKS / f"{lock}.txt").read_text())]


def version() -> str:
    (torch,) = re.findall(r"^TORCH=(.+)$", (ROOT / "scripts/install").read_text(), re.MULTILINE)
    return str(torch)


def test_all_but_torch_have_the_hashes_that_are_allowed(bill: dict[str, Any]) -> None:
    without = [part["name"] for part in bill["components"] if not hashes(part)]
    assert without == ["torch"]


def hashes(part: dict[str, Any]) -> list[dict[str, str]]:
    return [digest for place in part.get("externalReferences", ()) for digest in place.get("hashes", ())]


def test_it_is_what_the_schema_says(bill: dict[str, Any]) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(bill)) is None
    wrong = bill["components"][0] | {"type": "a thing of no known type"}
    assert validator.validate_str(json.dumps(bill | {"components": [wrong]})) is not None


@pytest.mark.parametrize("lock", ["base", "build", "cpu", "gpu", "transformers", "dev", "clients", "openai2", "aider"])
def test_everything_in_a_lock_is_pinned_with_a_hash(lock: str) -> None:
    blocks = re.split(r"^(?=[A-Za-z0-9])", (LOCKS / f"{lock}.txt").read_text(), flags=re.MULTILINE)
    packages = [block for block in blocks if block[:1].isalnum()]
    assert packages and all("==" in block and "--hash=sha256:" in block for block in packages)
