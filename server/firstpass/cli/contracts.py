"""`firstpass contracts`: which there are, and what one says. Reads the files; needs no server."""

import json
from typing import Annotated

import typer
from rich.markup import escape

from firstpass.cli.terminal import AsJson, Config, out, print_table, table
from firstpass.contract import Shelf
from firstpass.settings import load
from firstpass.web.ours import contract as shown

contracts = typer.Typer(no_args_is_help=True, help="Prompt contracts: list them, show one with its wording.")


@contracts.command("list")
def list_contracts(config: Config = None, as_json: AsJson = False) -> None:
    """Every version of every contract, the shipped ones and those of server.contracts_dir."""
    shelf = Shelf.of(load(config).server.contracts_dir)
    if as_json:
        typer.echo(json.dumps([shown(files) for files in shelf.files.values()], indent=1))
        return
    rows = table("contract", "reads", "what it is")
    for files in shelf.files.values():
        rows.add_row(files.pinned, files.spec.reads, files.spec.summary)
    print_table(rows)


@contracts.command("show")
def show_contract(
    name: Annotated[str, typer.Argument(help="Such as pr-summary, which means the newest, or pr-summary@3.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """One contract: what it holds an answer to, and every word that a model is told."""
    files = Shelf.of(load(config).server.contracts_dir).find(name)
    if as_json:
        typer.echo(json.dumps(shown(files, whole=True), indent=1))
        return
    out.print(f"[bold]{files.pinned}[/]  {escape(files.spec.summary)}")
    mending = "; what fails is mended by code first" if files.spec.mend else ""
    out.print(f"checks {', '.join(files.spec.checks)}{mending}; sha256 {files.sha256}")
    for section in files.form.sections:
        out.print(f"  {section.name}: {section.holds}")
    for title, text in (("asked", files.prompt), ("asked for a verdict", files.verify if files.prompt else None)):
        if text is not None:
            out.print(f"\n[bold]{title}[/]")
            out.print(text, markup=False)
    if files.schema is not None:
        out.print("\n[bold]the answer as an object[/]")
        out.print(json.dumps(files.schema, indent=1), markup=False)
