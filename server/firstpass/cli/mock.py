"""`firstpass mock`: a scripted model server with faults, to try a server against."""

import asyncio
import json
from typing import Annotated

import typer

from firstpass.cli.terminal import err
from firstpass.mock.faults import FAULTS, Plan, read_plan
from firstpass.mock.script import Script
from firstpass.mock.server import MockServer

Port = Annotated[int, typer.Option(help="On loopback; 0 takes a free one.", min=0, max=65535)]
Seed = Annotated[int, typer.Option(help="Of the faults: the same seed gives request number N the same fate.")]
Faults = Annotated[
    str,
    typer.Option(help=f"What fails, with its share of requests, as reset:0.01,hang:0.001: {', '.join(FAULTS)}."),
]
Delay = Annotated[float, typer.Option(help="Seconds before the first token.", min=0)]
Rate = Annotated[float, typer.Option(help="Tokens a second of a stream; 0 sends them at once.", min=0)]
Text = Annotated[str | None, typer.Option(help="What it answers; by default what was asked last.")]
Tokens = Annotated[int, typer.Option(help="At most so many words of that.", min=1)]
Model = Annotated[str, typer.Option(help="The name of its model.")]


def mock(
    port: Port = 9000,
    seed: Seed = 0,
    faults: Faults = "",
    delay: Delay = 0.0,
    rate: Rate = 0.0,
    text: Text = None,
    tokens: Tokens = 64,
    model: Model = "mock",
) -> None:
    """Serve a scripted model, with faults where wanted, until Ctrl-C: what a server does under them needs no model.

    It speaks chat and text completions, embeddings and the Anthropic Messages API, whole and streamed. Put a server
    before it with FIRSTPASS_ENGINE__KIND=external FIRSTPASS_ENGINE__URL=http://127.0.0.1:9000/v1, or name it as
    verifier.url. The first request never fails; GET /mock counts the requests and the faults.
    """
    script = Script(model, text, tokens, delay, rate)
    try:
        asyncio.run(_serve(script, read_plan(seed, faults), port))
    except KeyboardInterrupt:
        return


async def _serve(script: Script, plan: Plan, port: int) -> None:
    server = MockServer(script, plan)
    err.print(f"{script.model} at http://127.0.0.1:{await server.start(port)}/v1")
    try:
        await asyncio.Event().wait()
    finally:
        await server.close()
        typer.echo(json.dumps(server.counts()))
