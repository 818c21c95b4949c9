"""`firstpass backup` and `firstpass restore`: the record in one file, and back."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from firstpass.audit import whole_notes
from firstpass.cli.terminal import Config, err, fail, out
from firstpass.errors import StoreFailed
from firstpass.settings import Settings, load
from firstpass.store import whole_keys
from firstpass.store.backup import back_up, restore
from firstpass.store.keys import load_pepper
from firstpass.store.notes import Checkpoint, Signer, checkpoint
from firstpass.store.sqlite import SqliteStore
from firstpass.store.verify import Finding


def backup_command(
    to: Annotated[Path, typer.Argument(help="The file to make; it must not be there yet.", metavar="FILE")],
    config: Config = None,
) -> None:
    """Copy the record as it is at this moment into one file, while a server goes on; the copy is verified.

    In it are the exchanges, their labels, the log, the keys (as HMACs) with their limits, and what was spent. Not in it
    are the two secrets beside the store, `pepper` and `log-key`, without which no key is recognised and no checkpoint
    signed: they never change, so copy them once, to a place of their own. Who has the file and the pepper can try keys.

    Texts are in it as they are in the store: keep it as safe. What is forgotten later stays in it.
    """
    settings = load(config)
    if not settings.server.store_path.exists():
        fail(f"there is no record yet at {settings.server.store_path}")
    _show(back_up(settings.server.store_path, to), to)
    err.print("pepper and log-key are not in it: keep a copy of them in a place of their own")


def restore_command(
    backup: Annotated[Path, typer.Argument(help="What `firstpass backup` made.", metavar="FILE", exists=True)],
    config: Config = None,
) -> None:
    """Put a backup in the place of the record, which is kept beside it under another name. The server must not run.

    Before anything is replaced, the backup is verified as by `firstpass audit verify`, and held against the checkpoints
    of server.checkpoints. One that is older than the last of them is refused, as the server would refuse it: move that
    file away if what came since is to be given up.

    Then keys that were revoked since are live again, what was forgotten since is there again, and what was spent since
    is not counted: look through `firstpass keys list`.
    """
    settings = load(config)
    found, aside = restore(backup, settings.server.store_path, _checkpoints(settings))
    _show(found, settings.server.store_path)
    if aside is not None:
        out.print(f"the record that was there is {escape(str(aside))}")
    _warn_of_keys(settings)


def _checkpoints(settings: Settings) -> list[Checkpoint]:
    """Raises: StoreFailed, BadCheckpoint."""
    path = settings.server.checkpoints
    if path is None or not path.exists():
        return []
    if not settings.server.log_key_path.exists():
        raise StoreFailed(f"{settings.server.log_key_path} is missing: put it back first", part="store")
    verifier = Signer(load_pepper(settings.server.log_key_path)).verifier
    return [checkpoint(note, verifier) for note in whole_notes(path)]


def _warn_of_keys(settings: Settings) -> None:
    store = SqliteStore(settings.server.store_path)
    try:
        live = [key for key in whole_keys(store.list_keys()) if key.live(time.time())]
    finally:
        store.close()
    if live and not settings.server.pepper_path.exists():
        err.print(f"its {len(live)} live keys are recognised only with the pepper of the server that made them")


def _show(found: Finding, path: Path) -> None:
    rows = ", ".join(f"{count} {table}" for table, count in found.rows.items())
    out.print(f"{escape(str(path))}: {found.entries} entries; {rows}; [green]nothing was altered[/]")
