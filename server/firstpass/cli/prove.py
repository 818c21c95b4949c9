"""`firstpass prove`: front and engine at work where nothing can leave, and every try to leave counted. Linux only."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from firstpass.cli.terminal import AsJson, Config, err, fail, out, print_table, table
from firstpass.prove.seen import Phase, faults
from firstpass.settings import load

IMPOSSIBLE = 3
"""The exit status where nothing can be proved."""

Plant = Annotated[bool, typer.Option("--plant", help="Let the server leak: the proof has to fail.")]


def prove(config: Config = None, plant: Plant = False, as_json: AsJson = False) -> None:
    """Show that nothing leaves: runs front and engine in a network without a way out, and counts the tries.

    The engine and its model are those of the settings; the requests, the record and the policy (local-only) are its
    own. It needs root, or user namespaces. Exit status: 0 nothing tried to leave; 1 something did, or the work failed;
    3 it can't be proved here.
    """
    if load(config).first_engine.kind == "external":
        fail("an external engine runs elsewhere: where it is, nothing can be counted", IMPOSSIBLE)
    seen = []
    for phase in _inside(config, plant):
        seen.append(phase)
        if not as_json:
            err.print(f"[dim]{phase.seconds:6.1f} s[/]  {escape(phase.name)}")
    found = faults(seen)
    if as_json:
        typer.echo(json.dumps({"proved": not found, "faults": found, "phases": [asdict(phase) for phase in seen]}))
    else:
        _show(seen, found)
    raise typer.Exit(1 if found else 0)


def _inside(config: Path | None, plant: bool) -> Iterator[Phase]:
    """What the process in the enclosure says. It ends with this one, and everything below it too."""
    arguments = [*(["--config", str(config.resolve())] if config else []), *(["--plant"] if plant else [])]
    command = [sys.executable, "-P", "-m", "firstpass.prove", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as inside:
        assert inside.stdout is not None
        yield from (Phase.of(line) for line in inside.stdout)
    if inside.returncode:
        fail("nothing was proved", inside.returncode if inside.returncode == IMPOSSIBLE else 1)


def _show(seen: list[Phase], found: list[str]) -> None:
    rows = table("phase", "requests", "seconds", "packets out", "tries to leave")
    for phase in seen:
        counts = phase.counts
        numbers = (
            (str(counts.packets), str(counts.total - counts.packets))
            if counts
            else ("-", "unseen" if phase.wrong else "all seen")
        )
        rows.add_row(escape(phase.name), str(phase.requests), f"{phase.seconds:.1f}", *numbers)
    print_table(rows)
    for fault in found:
        out.print(f"[red]{escape(fault)}[/]")
    requests = sum(phase.requests for phase in seen if phase.counts)
    out.print(
        f"[red]not proved[/]: {len(found)} faults" if found else f"[green]proved[/]: {requests} requests, nothing left"
    )
