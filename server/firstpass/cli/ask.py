"""`firstpass ask`, `explain` and `label`: what a caller wants of a running server."""

import json
import os
import re
import sys
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import typer
from rich.markup import escape

from firstpass.cli.calling import DEFAULT_URL, ApiKey, Ca, Url, error_message, post
from firstpass.cli.keys import opened
from firstpass.cli.terminal import AsJson, Config, err, fail, out, plain
from firstpass.policy.telling import told
from firstpass.settings import Settings, load

EXCHANGE = re.compile(r"ex_[0-9a-f]{24}")

Prompt = Annotated[str | None, typer.Argument(help="The prompt; read from stdin where it is left out.")]
Contract = Annotated[str | None, typer.Option(help="Such as pr-summary: then the input is a diff.")]
Model = Annotated[str, typer.Option(help="firstpass (the cascade), local, strong or a model.")]
Egress = Annotated[str | None, typer.Option(help="The ceiling of this request: local-only, redacted or any.")]


def ask(
    prompt: Prompt = None,
    contract: Contract = None,
    model: Model = "firstpass",
    egress: Egress = None,
    session: Annotated[str | None, typer.Option(help="A name that ties requests together.")] = None,
    repository: Annotated[str | None, typer.Option(help="The name of an index made by `firstpass index`.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Length limit of the answer.", min=1)] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Send a prompt or a diff to a running server: git diff main | firstpass ask --contract pr-summary"""
    body = _body(prompt, model, contract=contract, egress=egress, session=session, repository=repository)
    body |= {"max_tokens": max_tokens} if max_tokens else {}
    response = post(f"{url.rstrip('/')}/v1/chat/completions", body, api_key, ca)
    if as_json:
        typer.echo(response.text)
        raise typer.Exit(0 if response.is_success else 1)
    if not response.is_success:
        fail(error_message(response))
    print_answer(response)


def explain(
    prompt: Prompt = None,
    contract: Contract = None,
    model: Model = "firstpass",
    egress: Egress = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    ca: Ca = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Say what a running server would do with a prompt or a diff, and by which rule, without doing it.

    Given the id of a recorded exchange, say what was done and why; that needs no server.
    """
    if prompt is not None and EXCHANGE.fullmatch(prompt):
        _explain_recorded(prompt, load(config), as_json)
        return
    response = post(
        f"{url.rstrip('/')}/v1/explain", _body(prompt, model, contract=contract, egress=egress), api_key, ca
    )
    if not response.is_success:
        fail(error_message(response))
    if as_json:
        typer.echo(response.text)
        return
    course = response.json()
    rule = f"by the rule {course['rule']['name']!r}" if course["rule"] else "by no rule"
    out.print(f"{escape(course['model'])} means {course['target']}, {escape(plain(rule))}; ceiling {course['egress']}")
    for number, step in enumerate(course["steps"], start=1):
        out.print(f"{number}. {escape(plain(step))}")


def label(
    exchange: Annotated[str, typer.Argument(help="The answer's exchange, as `firstpass history` lists it.")],
    verdict: Annotated[str, typer.Argument(help="accept, reject or edit.")],
    text: Annotated[str | None, typer.Option(help="How it should have been, for an edit; - reads stdin.")] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    ca: Ca = None,
) -> None:
    """Tell a running server whether an answer was right: for the record, and for the gate that accepted it."""
    body = {"verdict": verdict} | ({"text": _utf8(_stdin()) if text == "-" else text} if text is not None else {})
    response = post(f"{url.rstrip('/')}/v1/exchanges/{quote(exchange, safe='')}/label", body, api_key, ca)
    if not response.is_success:
        fail(error_message(response))
    err.print(f"{escape(verdict)}: {escape(exchange)}")


def _explain_recorded(exchange_id: str, settings: Settings, as_json: bool) -> None:
    with opened(settings) as store:
        exchange = store.read(exchange_id)
    if exchange is None:
        fail(f"no exchange {exchange_id} in the record")
    sentences = [plain(sentence) for sentence in told(exchange)]
    if as_json:
        typer.echo(json.dumps({"exchange": exchange_id, "steps": sentences}))
        return
    for number, sentence in enumerate(sentences, start=1):
        out.print(f"{number}. {escape(sentence)}")


def _body(prompt: str | None, model: str, **options: str | None) -> dict[str, Any]:
    """A chat's body. options: of Firstpass, those that are given."""
    text = _utf8(os.fsencode(prompt)) if prompt is not None else _utf8(_stdin())
    given = {name: value for name, value in options.items() if value is not None}
    return {"model": model, "messages": [{"role": "user", "content": text}], "firstpass": given}


def _stdin() -> bytes:
    if sys.stdin is None:
        fail("there is neither a prompt nor an open stdin")
    if sys.stdin.isatty():
        err.print("reading from the terminal; end with Ctrl-D")
    return sys.stdin.buffer.read()


def _utf8(data: bytes) -> str:
    """Bytes that are no UTF-8 are replaced: a diff of a Latin-1 file is still a diff."""
    return data.decode(errors="replace")


def print_answer(response: httpx.Response) -> None:
    """An answer for people: the text, how it was made, what the checks found, and whether anything left the machine."""
    answer = response.json()
    out.print(plain(answer["choices"][0]["message"]["content"] or ""), markup=False)
    how = answer.get("firstpass") or {}
    route = how.get("route") or response.headers.get("x-firstpass-route", "?")
    out.print(f"\n[dim]route[/] {route}  [dim]exchange[/] {response.headers['x-request-id']}")
    for finding in how.get("findings", ()):
        colour = "red" if finding["severity"] == "fail" else "yellow"
        out.print(f"[{colour}]{finding['check']}[/] {escape(plain(finding['message']))}")
    if gate := how.get("gate"):
        floor = "every score" if gate["accept_from"] is None else f"from {gate['accept_from']:.3f}"
        out.print(f"[dim]gate[/] {gate['score']:.3f}, accepts {floor} ({gate['by']}); {escape(gate['gate'])}")
    if how:
        out.print(f"[dim]latency[/] {how['seconds']:.3f} s")
        out.print(f"[dim]left the machine[/] {_departed(how['receipts'])}")


def _departed(receipts: list[dict[str, Any]]) -> str:
    return ", ".join(f"{receipt['bytes']} bytes to {receipt['host']}" for receipt in receipts) or "nothing"
