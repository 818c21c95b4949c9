"""`firstpass index`: read a repository's names and definitions, so that checks can look them up. Needs no server."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from firstpass.cli.terminal import AsJson, Config, err, out
from firstpass.evidence.repository import Repositories, RepositoryIndex
from firstpass.settings import load

Repository = Annotated[Path, typer.Argument(help="The repository's folder.", exists=True, file_okay=False)]
Name = Annotated[str | None, typer.Option(help="What requests call it; by default the folder's name.")]


def index(path: Repository, name: Name = None, config: Config = None, as_json: AsJson = False) -> None:
    """Index a repository, or what changed of it: firstpass index . && firstpass ask --repository NAME ...

    What .gitignore names stays out, and so do generated files and lines that look like credentials.
    """
    root = path.resolve()
    name = name or root.name
    where = Repositories(load(config).repositories_dir).path(name)
    made = RepositoryIndex(where)
    with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("reading", total=None)
        changes = made.update(root, lambda _: bar.advance(task))
    files, definitions = made.size()
    made.close()
    if as_json:
        typer.echo(json.dumps({"name": name, "files": files, "definitions": definitions, **asdict(changes)}))
        return
    out.print(f"[bold]{escape(name)}[/]: {files} files, {definitions} definitions")
    out.print(f"{changes.read} read, {changes.same} as they were, {changes.gone} gone")
    for reason, number in changes.left_out.items():
        out.print(f"{number} left out: {escape(reason)}")
