"""What is quoted of an engine's log when its start fails. The lines are vLLM 0.32's, shortened."""

import pytest

from firstpass.engine.reason import LONGEST, quoted

CORE = """(EngineCore pid=7) ERROR 11-23 14:22:19 [core.py:1120] EngineCore failed to start.
(EngineCore pid=7) ERROR 11-23 14:22:19 [core.py:1120] Traceback (most recent call last):
(EngineCore pid=7) ERROR 11-23 14:22:19 [core.py:1120]     raise NotImplementedError(message)
(EngineCore pid=7) ERROR 11-23 14:22:19 [core.py:1120] NotImplementedError: no kernel for this activation
(EngineCore pid=7) NotImplementedError: no kernel for this activation
(APIServer pid=5) RuntimeError: Engine core initialization failed. See root cause above.
"""

INSPECTED = """(APIServer pid=5) ERROR 11-23 14:22:19 [registry.py:1120] RuntimeError: Error raised in subprocess:
(APIServer pid=5) ERROR 11-23 14:22:19 [registry.py:1120] ModuleNotFoundError: No module named 'torchvision'
pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
  Value error, Model architectures ['X'] failed to be inspected. [type=value_error, input_value=Args((), {'a': 1})]
"""


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (CORE, "NotImplementedError: no kernel for this activation"),
        (
            INSPECTED,
            "ModuleNotFoundError: No module named 'torchvision'; "
            "Value error, Model architectures ['X'] failed to be inspected.",
        ),
        ("INFO all is well\nNo error: nothing\nCould be like `OSError: too many files`\n", ""),
        (
            "OSError: no /srv/models/tiny/config.json nor a/b nor u://c/d",
            "OSError: no …/config.json nor a/b nor u://c/d",
        ),
        ("Traceback (most recent call last):\n    bytearray(2**50)\nMemoryError\n", "MemoryError"),
        ("", ""),
    ],
)
def test_the_errors_that_say_something_are_quoted(log: str, expected: str) -> None:
    assert quoted(log) == expected


def test_a_long_error_is_cut() -> None:
    assert len(quoted("ValueError: " + "x" * 10_000)) == LONGEST
