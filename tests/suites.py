"""Programs of benchmarks/suites, whose folders are no packages."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

SUITES = Path(__file__).parents[1] / "benchmarks/suites"

_loaded: dict[str, dict[str, ModuleType]] = {}
"""By folder and name. Programs of two suites may have one name, so none stays in sys.modules under its own."""


def loaded(folder: str, name: str) -> ModuleType:
    """A program and the neighbours that it imports, which others of its folder share. folder: within SUITES."""
    known, path = _loaded.setdefault(folder, {}), SUITES / folder
    names = [program.stem for program in path.glob("*.py")]
    strangers = {one: sys.modules.pop(one) for one in names if one in sys.modules}
    sys.modules.update(known)
    sys.path.insert(0, str(path))
    try:
        return import_module(name)
    finally:
        sys.path.remove(str(path))
        known.update({one: sys.modules.pop(one) for one in names if one in sys.modules})
        sys.modules.update(strangers)
