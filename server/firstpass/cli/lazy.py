"""Commands that are imported when they run; their list needs none of what they are made of. It knows no command."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, slots=True)
class Later:
    """place: `module:name` of a function or of a typer application. says: the first paragraph of its help."""

    name: str
    place: str
    says: str

    def command(self) -> Any:
        """What it is, imported now."""
        module, _, name = self.place.partition(":")
        found = getattr(import_module(module), name)
        if isinstance(found, typer.Typer):
            command: Any = typer.main.get_group(found)
        else:
            alone = typer.Typer(add_completion=False)
            alone.command(self.name)(found)
            command = typer.main.get_command(alone)
        command.name = self.name
        return command


class Lazily(TyperGroup):
    """A group whose list shows names and sentences; the command that is called takes the place of its sentence."""

    later: Sequence[Later] = ()

    @classmethod
    def of(cls, later: Sequence[Later]) -> type["Lazily"]:
        return type(cls.__name__, (cls,), {"later": later})

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands.update({one.name: TyperCommand(one.name, help=one.says) for one in self.later})

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        called = next((one for one in self.later if one.name == args[0]), None)
        if called is not None:
            self.commands[called.name] = called.command()
        return super().resolve_command(ctx, args)
