"""Programs that no test runs whole: what they take from the package is there."""

import ast
import json
import sys
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import pytest

from tests.suites import loaded

ROOT = Path(__file__).parents[2]
PROGRAMS = [path for folder in ("benchmarks", "scripts", "examples") for path in sorted((ROOT / folder).rglob("*.py"))
            if "node_modules" not in path.parts]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_program_imports_of_the_package_is_there(program: Path) -> None:
    for node in ast.walk(ast.parse(program.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "firstpass":
            module = import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name) or import_module(f"{node.module}.{alias.name}"), alias.name


def test_programs_of_two_suites_may_have_one_name() -> None:
    """The second was the first for whatever imported it by that name."""
    before = sys.modules.copy()
    one, other = (loaded(folder, "placing") for folder in ("injection", "evidence/independent"))
    assert one is not other and loaded("injection", "placing") is one
    assert sys.modules.get("placing") is before.get("placing")


def test_what_was_never_answered_has_no_times() -> None:
    quiet, loud = {"healthz": [0.001, 0.002], "chat": [0.1]}, {"healthz": [0.004]}
    figures = dict(loaded("overload", "diffs").shown(defaultdict(list, quiet), defaultdict(list, loud)))
    assert figures["healthz"]["p50_times"] == pytest.approx(4 / 1.5)
    assert figures["chat"]["attacked_number"] == 0 and not {"attacked_p50_ms", "p50_times"} & figures["chat"].keys()
    json.dumps(figures, allow_nan=False)
