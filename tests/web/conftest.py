"""One front before an engine that each test makes answer as it likes; the engine is the verifier, too."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx
import pytest

from tests.conftest import fronted, serving
from tests.replayed import Replayed

Play = Callable[[Replayed], AbstractContextManager[httpx.Client]]


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """play(engine) has it answer for the block: `local` as itself, `strong` as a verifier of the Anthropic API."""
    on_stage = Replayed()
    with serving(on_stage.app) as url:
        verifier = {"dialect": "anthropic", "url": f"{url}/v1", "model": "claude", "hosted": False}
        with fronted(url, tmp_path_factory.mktemp("data"), verifier=verifier) as client:

            @contextmanager
            def start(engine: Replayed) -> Iterator[httpx.Client]:
                on_stage.take(engine)
                yield client

            yield start
