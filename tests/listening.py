"""A whole server as `firstpass serve` runs it, connections and HTTPS included. Knows no engine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from firstpass.front import address, front
from firstpass.settings import Settings

NO_ENGINE = "http://127.0.0.1:9"


@contextmanager
def listening(data_dir: Path, engine_url: str = NO_ENGINE, **server: Any) -> Iterator[str]:
    """Its URL, ready or not."""
    sections = {
        "engine": {"kind": "external", "url": f"{engine_url}/v1"},
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
