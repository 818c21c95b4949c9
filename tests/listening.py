"""A whole server as `firstpass serve` runs it, connections and HTTPS included, before an engine that is not there."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from firstpass.front import address, front
from firstpass.settings import Settings


@contextmanager
def listening(data_dir: Path, **server: Any) -> Iterator[str]:
    """Its URL. No test that uses it needs an answer of the engine."""
    sections = {
        "engine": {"kind": "external", "url": "http://127.0.0.1:9/v1"},
        "server": {"port": 0, "data_dir": data_dir} | server,
    }
    running = front(Settings.model_validate(sections))
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        yield address(running)
    finally:
        running.should_exit = True
        thread.join()
