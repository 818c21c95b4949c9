"""Programs of benchmarks/suites, whose folders are no packages."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

SUITES = Path(__file__).parents[1] / "benchmarks/suites"


def loaded(suite: str, name: str) -> ModuleType:
    """Under its bare name, as its neighbours import it."""
    spec = importlib.util.spec_from_file_location(name, SUITES / suite / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
