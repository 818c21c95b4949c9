"""What the commands share when they talk to a person: two consoles, tables, an error's line. It knows no command."""

import logging
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

TABLE_WIDTH = 200
"""Columns; a narrower terminal wraps the line, which is better than an exchange's id cut short."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Config = Annotated[Path | None, typer.Option("--config", help="A TOML settings file.", exists=True, dir_okay=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def table(*names: str) -> Table:
    return Table(*(Column(name, no_wrap=True) for name in names), box=None)


def print_table(rows: Table) -> None:
    Console(width=TABLE_WIDTH).print(rows)


def print_rows(rows: Iterable[Sequence[str]]) -> None:
    """The first is the head."""
    head, *body = rows
    shown = table(*head)
    for row in body:
        shown.add_row(*row)
    print_table(shown)


def write_files(folder: Path, written: Mapping[str, str]) -> None:
    """written: texts by the names of their files. What is no UTF-8 is escaped."""
    for name, text in written.items():
        (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")


def fail(message: str, status: int = 1) -> NoReturn:
    err.print(f"[red]firstpass:[/] {escape(message)}")
    raise SystemExit(status)


def plain(text: str) -> str:
    """Text of a model or a diff without what would steer a terminal, or what none can show: halves of UTF-16 pairs."""
    return _CONTROLS.sub("", text)


def moment(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


class WordlessFormatter(logging.Formatter):
    """Tracebacks without exceptions' messages, which may quote a request: where it went wrong, and of what type.

    Of what asyncio says, the first line alone: the others show tasks with the exceptions in them.
    """

    def format(self, record: logging.LogRecord) -> str:
        if record.name == "asyncio":
            record = copy(record)
            record.msg, record.args = record.getMessage().partition("\n")[0], None
        return super().format(record)

    def formatException(  # noqa: N802
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        return "".join(_chain(ei[1])).rstrip() if ei[1] is not None else ""


def _chain(error: BaseException) -> Iterator[str]:
    """Its causes first, as Python prints them."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _chain(before)
        yield "and then\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}\n"
