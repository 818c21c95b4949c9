"""`firstpass hook`: git hooks that ask a running server. `run` is what the hooks call."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from firstpass.hooks.script import Name

hook = typer.Typer(
    no_args_is_help=True,
    help="Git hooks: a draft of each commit's message, a summary of each push. They never stop either.",
)

Only = Annotated[list[str] | None, typer.Option("--only", help="prepare-commit-msg or pre-push; both by default.")]
Shared = Annotated[
    bool, typer.Option("--shared", help="Also where core.hooksPath names a folder that others may use too.")
]
PASSED = {"ignore_unknown_options": True, "allow_extra_args": True}


@hook.command("install")
def install(only: Only = None, shared: Shared = False) -> None:
    """Put the hooks where git looks for them in this repository; hooks that are there already are kept, and called."""
    from firstpass.cli.terminal import out
    from firstpass.hooks import placing

    for placed in placing.install(placing.place(), _names(only), shared):
        out.print(f"{placed.name}: {placed.says} ({placed.path})", markup=False)
    out.print("They ask the server at FIRSTPASS_URL, if that is this machine, or at `git config firstpass.url`.")


@hook.command("uninstall")
def uninstall(only: Only = None) -> None:
    """Take the hooks away, and put those back that were there before."""
    from firstpass.cli.terminal import out
    from firstpass.hooks import placing

    for name, became in placing.uninstall(placing.place(), _names(only)):
        out.print(f"{name}: {became}", markup=False)


@hook.command("status")
def status() -> None:
    """Say which hooks are in this repository, and where."""
    from firstpass.cli.terminal import out
    from firstpass.hooks import placing

    where = placing.place()
    for found in placing.look(where):
        out.print(f"{found.name}: {found.says} ({found.path})", markup=False)
    if where.shared:
        out.print("core.hooksPath is set: others may use that folder too.")


@hook.command("run", context_settings=PASSED)
def run(context: typer.Context) -> None:
    """What the hook files call, as `firstpass hook run NAME "$@"`; a line of husky's own files may, too.

    It ends with status 0 whatever happens.
    """
    from firstpass.hooks.running import called

    called(context.args)


def _names(only: list[str] | None) -> tuple["Name", ...]:
    from firstpass.cli.terminal import fail
    from firstpass.hooks.script import NAMES

    unknown = [name for name in only or () if name not in NAMES]
    if unknown:
        fail(f"--only: there is no hook {unknown[0]!r}; those are {' and '.join(NAMES)}", 2)
    return tuple(name for name in NAMES if not only or name in only)
