"""The programs of benchmarks/suites/injection, which is no package."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

SUITE = Path(__file__).parents[1] / "benchmarks/suites/injection"


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SUITE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


families, placing, planting = map(loaded, ("families", "placing", "planting"))
