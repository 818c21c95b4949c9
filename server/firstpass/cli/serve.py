"""`firstpass serve`: the engine and the front, until Ctrl-C."""

import os
from functools import partial
from typing import Annotated

import typer

from firstpass.cli.keys import require_a_key
from firstpass.cli.logs import show_log
from firstpass.cli.terminal import Config
from firstpass.settings import load


def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Overrides server.host.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Overrides engine.model, run as `firstpass plan` says unless the settings say how."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Overrides server.port.", min=0, max=65535)] = None,
) -> None:
    """Start the engine and the front, and serve until Ctrl-C."""
    from firstpass.assembly import keys_required
    from firstpass.front import front, run
    from firstpass.planning import overrides

    environment = _overridden(host, port)
    if model is not None:
        environment |= overrides(model, load(config, environment))
    again = partial(load, config, environment)
    settings = again()
    show_log(settings.server.log_format)
    if keys_required(settings):
        require_a_key(settings)
    run(front(settings, again))


def _overridden(host: str | None, port: int | None) -> dict[str, str]:
    environment = dict(os.environ)
    if host is not None:
        environment["FIRSTPASS_SERVER__HOST"] = host
    if port is not None:
        environment["FIRSTPASS_SERVER__PORT"] = str(port)
    return environment
