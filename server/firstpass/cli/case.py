"""`firstpass case`: the cases of a file, and new ones from the record. Reads the store; needs no server."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from firstpass.cases import Case
from firstpass.cases.judging import Answered, judge
from firstpass.cases.proposed import proposed
from firstpass.cases.reading import NAMES, found, read_cases
from firstpass.cases.recorded import case_of_exchange
from firstpass.cases.writing import append, fields_of
from firstpass.cli.keys import opened
from firstpass.cli.terminal import AsJson, Config, err, fail, plain, print_rows
from firstpass.errors import BadCases
from firstpass.exchange import Answer, Exchange, Label
from firstpass.settings import load

Words = list[str] | None

case = typer.Typer(
    no_args_is_help=True,
    help="Cases that `firstpass check` asks: list those of a file, make one of a recorded exchange.",
)


@case.command("list")
def list_cases(
    file: Annotated[Path | None, typer.Argument(help="By default as for check.")] = None, as_json: AsJson = False
) -> None:
    """The cases of a file, which is checked from end to end meanwhile: files and commits that they name are read."""
    cases = read_cases(file or found(Path.cwd()))
    if as_json:
        typer.echo(json.dumps([{"line": one.place and one.place.line} | fields_of(one) for one in cases], indent=1))
        return
    rows = [("line", "case", "asks", "contract", "model", "expects")]
    rows += [(str(one.place and one.place.line), one.name, *_columns(one)) for one in cases]
    print_rows([[escape(plain(cell)) for cell in row] for row in rows])
    for one in cases:
        if not one.expects:
            err.print(
                f"[yellow]{escape(plain(one.name))}[/] expects nothing, so any answer would pass: check refuses it"
            )


@case.command("add")
def add_case(
    exchange_id: Annotated[str, typer.Argument(metavar="EXCHANGE", help="As `firstpass history` lists it.")],
    name: Annotated[str | None, typer.Option(help="What to call the case; by default as the exchange.")] = None,
    file: Annotated[Path | None, typer.Option(help="By default as for check, or a new one here.")] = None,
    must_mention: Annotated[Words, typer.Option(help="A word or a name; may be repeated.")] = None,
    must_not_mention: Annotated[Words, typer.Option(help="Likewise.")] = None,
    propose: Annotated[
        bool, typer.Option(help="Take over what the answer's findings and the newest edit of it name.")
    ] = True,
    config: Config = None,
) -> None:
    """Put a recorded exchange into a file of cases, so that its mistake is noticed when it comes again.

    What an answer must and must not mention is taken from the findings of its checks, and from the newest label that
    says how it should have been.
    """
    with opened(load(config)) as store:
        exchange = store.read(exchange_id)
        labels = store.labels(exchange_id) if exchange is not None else []
    if exchange is None:
        fail(f"no exchange {exchange_id} in the record")
    path = file or _file()
    made = _made(exchange, labels if propose else None, name, must_mention or [], must_not_mention or [])
    append(made, path)
    _say(made, exchange, path)


def _file() -> Path:
    try:
        return found(Path.cwd())
    except BadCases:
        return Path.cwd() / NAMES[0]


def _made(exchange: Exchange, labels: list[Label] | None, name: str | None, must: list[str], not_: list[str]) -> Case:
    """labels: None where nothing is to be proposed. Raises: BadCases."""
    plain_case = case_of_exchange(exchange, name)
    wanted, unwanted = ((), ()) if labels is None else proposed(exchange, labels)
    made = replace(
        plain_case,
        must_mention=tuple(dict.fromkeys([*must, *(word for word in wanted if word not in not_)])),
        must_not_mention=tuple(dict.fromkeys([*not_, *(word for word in unwanted if word not in must)])),
    )
    if not made.expects:
        raise BadCases("any answer would pass: say what it has to mention, or must not, by --must-mention WORD")
    return made


def _say(made: Case, exchange: Exchange, path: Path) -> None:
    err.print(f"{escape(made.name)} is in {escape(str(path))}")
    for field, words in (("must mention", made.must_mention), ("must not mention", made.must_not_mention)):
        if words:
            err.print(f"  {field} {escape(plain(', '.join(words)))}")
    step, ending = exchange.answer, exchange.ending
    if step is None or step.text is None or not isinstance(ending, Answer):
        return
    failed = tuple(f"{finding.check}: {finding.message}" for finding in step.failed)
    run = judge(made, Answered(step.text, exchange.seconds or 0.0, ending.route, failed))
    if not run.faults:
        err.print("[yellow]the recorded answer passes it[/]; it holds on to what is right, and finds no fault")
    for fault in run.faults:
        err.print(f"  the recorded answer fails: {escape(plain(str(fault)))}")


def _columns(one: Case) -> tuple[str, str, str, str]:
    asked = one.asked
    size = sum(len(str(message.get("content"))) for message in asked.messages) or len(asked.text)
    asks = f"{asked.kind} {asked.named}" if asked.named else f"{asked.kind}, {size} characters"
    return asks, one.contract or "-", one.model, _expected(one)


def _expected(one: Case) -> str:
    parts = [f"+{word}" for word in one.must_mention] + [f"-{word}" for word in one.must_not_mention]
    parts += ["checks"] if one.expect_checks == "passed" else []
    parts += ["|".join(one.expect_route)] if one.expect_route else []
    parts += [f"{one.max_seconds:g} s"] if one.max_seconds is not None else []
    return ", ".join(parts) or "nothing"
