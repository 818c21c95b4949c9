"""Keys for tests, made as `firstpass keys create` makes them."""

import time
from contextlib import closing
from pathlib import Path
from typing import Any

from firstpass.store.keys import KeyRecord, load_pepper, mint
from firstpass.store.scopes import Scopes
from firstpass.store.sqlite import SqliteStore


def new_key(data_dir: Path, **scopes: Any) -> tuple[str, KeyRecord]:
    """A key of the server that keeps its data there."""
    with closing(SqliteStore(data_dir / "firstpass.sqlite")) as store:
        key, record = mint("ci", load_pepper(data_dir / "pepper"), time.time(), Scopes(**scopes))
        store.add_key(record)
    return key, record


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}
