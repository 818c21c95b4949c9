"""`firstpass ps`, `load`, `unload` and `reload`: a running server's models, what they take, and its settings."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.markup import escape

from firstpass.cli.calling import DEFAULT_URL, ApiKey, Ca, Url, error_message, get, post
from firstpass.cli.terminal import AsJson, err, fail, print_table, table

Name = Annotated[str, typer.Argument(help="An engine's name, or its model's.")]


def ps(url: Url = DEFAULT_URL, api_key: ApiKey = None, ca: Ca = None, as_json: AsJson = False) -> None:
    """List the models of a running server: which are loaded, what they take, who uses them."""
    response = get(f"{url.rstrip('/')}/v1/models", api_key, ca)
    if not response.is_success:
        fail(error_message(response))
    standings = [card["firstpass"] for card in response.json()["data"] if "firstpass" in card]
    engines = {standing["engine"]: standing for standing in standings}
    if as_json:
        typer.echo(json.dumps(list(engines.values())))
        return
    rows = table("engine", "state", "memory", "in flight", "waiting", "idle")
    for name, one in engines.items():
        state = f"{one['state']}{', pinned' if one['pinned'] else ''}"
        rows.add_row(escape(name), state, _memory(one), str(one["in_flight"]), str(one["waiting"]), _idle(one))
    print_table(rows)


def load(name: Name, url: Url = DEFAULT_URL, api_key: ApiKey = None, ca: Ca = None) -> None:
    """Load a model into a running server's memory, and wait until it is there. Others may have to leave for it."""
    _move("load", name, url, api_key, ca)


def unload(name: Name, url: Url = DEFAULT_URL, api_key: ApiKey = None, ca: Ca = None) -> None:
    """Have a model that nobody uses leave a running server's memory, or sleep. The next request has it back."""
    _move("unload", name, url, api_key, ca)


def reload(url: Url = DEFAULT_URL, api_key: ApiKey = None, ca: Ca = None) -> None:
    """Have a running server read its settings again. A fault in them changes nothing."""
    response = post(f"{url.rstrip('/')}/v1/settings/reload", {}, api_key, ca)
    if not response.is_success:
        fail(error_message(response))
    told = response.json()
    err.print(f"settings {told['digest']} {'are in use' if told['changed'] else 'were in use already'}")


def _move(what: str, name: str, url: str, api_key: str | None, ca: Ca) -> None:
    response = post(f"{url.rstrip('/')}/v1/models/{quote(name, safe='')}/{what}", {}, api_key, ca)
    if not response.is_success:
        fail(error_message(response))
    standing = response.json()["firstpass"]
    err.print(f"{escape(standing['engine'])}: {standing['state']}, {_memory(standing)}")


def _memory(standing: dict[str, Any]) -> str:
    """What one that sleeps keeps of each; what somebody else's engine takes is not known."""
    if standing.get("kept_bytes"):
        return ", ".join(f"{size / 1e9:.1f} GB {memory}" for memory, size in standing["kept_bytes"].items())
    return f"{standing['memory_bytes'] / 1e9:.1f} GB" if standing["memory_bytes"] else "?"


def _idle(standing: dict[str, Any]) -> str:
    idle = standing["idle_seconds"]
    return "" if idle is None else f"{idle:.0f} s"
