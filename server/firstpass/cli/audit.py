"""`firstpass audit`: what left the machine and what became of the record, and whether any of it was altered."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from firstpass.audit import whole_notes
from firstpass.cli.terminal import AsJson, Config, err, fail, moment, out, plain, print_table, table
from firstpass.errors import BadCheckpoint
from firstpass.settings import Settings, load
from firstpass.store.keys import load_pepper
from firstpass.store.log import Log
from firstpass.store.notes import Checkpoint, Signer, Verifier, checkpoint
from firstpass.store.verify import Finding, reading, verify

LIST_LIMIT = 1_000_000

audit = typer.Typer(no_args_is_help=True, help=__doc__)


@audit.command("list")
def list_entries(
    limit: Annotated[int, typer.Option(help="How many of the newest to list.", min=1, max=LIST_LIMIT)] = 50,
    exchange: Annotated[str | None, typer.Option(help="Only what is about this exchange, or this key.")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the entries of the log, newest first: what left, what was recorded, forgotten and purged, keys, labels."""
    with reading(load(config).server.store_path) as connection:
        lines = list(Log(connection).lines(exchange, limit))
    if as_json:
        typer.echo("[" + ",\n".join(line.decode(errors="replace") for line in lines) + "]")
        return
    rows = table("entry", "time", "event", "about", "what")
    for line in lines:
        rows.add_row(*(escape(plain(cell)) for cell in _cells(line)))
    print_table(rows)


def _cells(line: bytes) -> tuple[str, str, str, str, str]:
    try:
        said = json.loads(line)
        about = str(said.get("exchange") or said.get("id") or "-")
        return str(said["number"]), moment(said["time"]), str(said["event"]), about, _what(said)
    except (ValueError, KeyError, TypeError, AttributeError):
        return "?", "?", "damaged", "?", line.decode(errors="replace")[:80]


def _what(said: dict[str, Any]) -> str:
    """Of a departure, what left and where to; of other entries, their row."""
    if said["event"] != "departure":
        return f"{said['table']} {said['id']}" if "table" in said else "-"
    hidden = sum((said.get("redacted") or {}).values())
    why = f", to {said['why']} ({said.get('ceiling')})" if said.get("why") else ""
    return f"{said['bytes']} bytes to {said['host']}{why}{f', {hidden} secrets replaced' if hidden else ''}"


@audit.command("verify")
def verify_log(
    checkpoint: Annotated[
        Path | None, typer.Option(help="A file of exported checkpoints, of one or many.", exists=True, dir_okay=False)
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(help="The key that they are signed with; this server's own by default.", exists=True),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Another store than that of the settings, such as a backup.", exists=True)
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Look for anything in the record that was altered, deleted, reordered, cut off or put back; status 1 if there is.

    Without a checkpoint, what does not fit together inside is found. Who can write to the data directory can also write
    a record and a log that fit: that is found with a checkpoint and a public key that were kept where they can't write.
    It reads the store as it is at one moment, while a server goes on.
    """
    settings = load(config)
    if public_key is not None and checkpoint is None:
        fail("--public-key is for checkpoints: name a file of them with --checkpoint")
    held = _checkpoints(checkpoint, _verifier(public_key, settings)) if checkpoint else []
    if checkpoint and public_key is None:
        err.print(
            "the checkpoints are held against this server's own key: with --public-key, against one kept elsewhere"
        )
    found = verify(store or settings.server.store_path, held)
    if as_json:
        typer.echo(json.dumps(_as_json(found)))
    else:
        _show(found)
    raise typer.Exit(1 if found.flaw_count else 0)


def _checkpoints(path: Path, verifier: Verifier) -> list[Checkpoint]:
    """Raises: BadCheckpoint."""
    try:
        read = [checkpoint(note, verifier) for note in whole_notes(path)]
    except (BadCheckpoint, ValueError) as error:
        raise BadCheckpoint(f"{path}: {error}") from error
    if not read:
        raise BadCheckpoint(f"{path}: there is no checkpoint in it")
    return read


def _verifier(path: Path | None, settings: Settings) -> Verifier:
    return _signer(settings).verifier if path is None else Verifier.read(path.read_text())


def _signer(settings: Settings) -> Signer:
    return Signer(load_pepper(settings.server.log_key_path))


def _as_json(found: Finding) -> dict[str, Any]:
    return {
        "entries": found.entries,
        "root": found.root.hex(),
        "rows": found.rows,
        "checkpoints": found.checkpoints,
        "flaw_count": found.flaw_count,
        "flaws": found.flaws,
    }


def _show(found: Finding) -> None:
    for flaw in found.flaws:
        out.print(f"[red]{escape(plain(flaw))}[/]")
    if found.flaw_count > len(found.flaws):
        out.print(f"[red]and {found.flaw_count - len(found.flaws)} more[/]")
    rows = ", ".join(f"{count} {table}" for table, count in found.rows.items())
    out.print(f"{found.entries} entries; {rows}; {found.checkpoints} checkpoints held")
    out.print("[red]the record is damaged or was altered[/]" if found.flaw_count else "[green]nothing was altered[/]")


@audit.command("export")
def export(
    to: Annotated[Path | None, typer.Option(help="A file for the checkpoint; standard output by default.")] = None,
    entries: Annotated[Path | None, typer.Option(help="A file for the entries, one a line.")] = None,
    public_key: Annotated[Path | None, typer.Option(help="A file for the public key.")] = None,
    config: Config = None,
) -> None:
    """Write a signed checkpoint of the log, its public key, and, if wanted, its entries. Keep them on another machine.

    The checkpoint is a signed note (c2sp.org/tlog-checkpoint): the log's name, how many entries it has, and the root of
    the Merkle tree over them in base64 (RFC 9162, 2.1.1, with SHA-256), signed with Ed25519.

    Who has the three files needs nothing of ours to check them: hash each line of the entries, without its newline, as
    a leaf, SHA-256 of a zero byte and the line; hash these up to the root; compare it and the number of lines with the
    checkpoint; check its signature with the public key (name+hash+key, as golang.org/x/mod/sumdb/note reads it).
    """
    settings = load(config)
    signer = _signer(settings)
    with reading(settings.server.store_path) as connection:
        log = Log(connection)
        size = log.size()
        note = signer.sign(size, log.root(size))
        if entries is not None:
            with entries.open("wb") as file:
                file.writelines(line + b"\n" for line in log.all())
    if public_key is not None:
        public_key.write_text(f"{signer.verifier}\n")
    else:
        err.print(f"public key: {escape(str(signer.verifier))}")
    if to is None:
        typer.echo(note, nl=False)
    else:
        to.write_text(note)
