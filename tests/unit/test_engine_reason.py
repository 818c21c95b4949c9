"""What is quoted of an engine's log when its start fails. The lines are vLLM 0.32's and llama.cpp's, shortened."""

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


LLAMA = """0.00.024.447 I srv    load_model: loading model '/srv/m.gguf'
0.00.991.488 E llama_model_load: error loading model: check_tensor_dims: tensor 'output_norm.weight' not found
0.00.991.608 E llama_model_load_from_file_impl: failed to load model
0.00.991.628 E cmn  common_init_: failed to load model '/srv/m.gguf'
0.00.991.645 E srv    load_model: failed to load model, '/srv/m.gguf'
0.00.992.114 E srv  llama_server: exiting due to model loading error
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
        (LLAMA, "error loading model: check_tensor_dims: tensor 'output_norm.weight' not found"),
        ("0.01.2 E srv         start: couldn't bind HTTP server socket\n", "couldn't bind HTTP server socket"),
        ("error: invalid argument: --xyz\n", "invalid argument: --xyz"),
        ('error while handling argument "--ctx-size": stoi\n\nusage:\n', '"--ctx-size": stoi'),
        ("errors were found\n0.01.2 W srv  llama_server: security: no key\n", ""),
        ("", ""),
    ],
)
def test_the_errors_that_say_something_are_quoted(log: str, expected: str) -> None:
    assert quoted(log) == expected


def test_a_long_error_is_cut() -> None:
    assert len(quoted("ValueError: " + "x" * 10_000)) == LONGEST
