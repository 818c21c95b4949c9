"""The command line of Firstpass: serve a model, ask it, read the record, make keys, look after the models."""

import json
import logging
import os
import re
import ssl
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import typer
from rich.markup import escape

from firstpass.cli.audit import audit
from firstpass.cli.backup import backup_command, restore_command
from firstpass.cli.calibrate import calibrate
from firstpass.cli.contracts import contracts
from firstpass.cli.eval import evaluate
from firstpass.cli.index import index
from firstpass.cli.keys import keys, opened, require_a_key
from firstpass.cli.models import models
from firstpass.cli.prove import prove
from firstpass.cli.terminal import AsJson, Config, WordlessFormatter, err, fail, moment, out, plain, print_table, table
from firstpass.errors import FirstpassError
from firstpass.exchange import Answer, Exchange, Refuse
from firstpass.policy.telling import told
from firstpass.settings import Settings, load
from firstpass.store import Damaged
from firstpass.store.codec import encode

DEFAULT_URL = "http://127.0.0.1:8080"
ASK_SECONDS = 600.0
LIST_LIMIT = 100_000
EXCHANGE = re.compile(r"ex_[0-9a-f]{24}")

Prompt = Annotated[str | None, typer.Argument(help="The prompt; read from stdin where it is left out.")]
Contract = Annotated[str | None, typer.Option(help="Such as pr-summary: then the input is a diff.")]
Model = Annotated[str, typer.Option(help="firstpass (the cascade), local, strong or a model.")]
Egress = Annotated[str | None, typer.Option(help="The ceiling of this request: local-only, redacted or any.")]
Url = Annotated[str, typer.Option(envvar="FIRSTPASS_URL", help="The server.")]
Ca = Annotated[Path | None, typer.Option(envvar="FIRSTPASS_CA", help="For https: a PEM file of the server's CA.")]
ApiKey = Annotated[str | None, typer.Option(envvar="FIRSTPASS_API_KEY", show_envvar=True)]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(keys, name="keys")
app.add_typer(models, name="models")
app.add_typer(contracts, name="contracts")
app.add_typer(audit, name="audit")
app.command("eval")(evaluate)
app.command("calibrate")(calibrate)
app.command("index")(index)
app.command("prove")(prove)
app.command("backup")(backup_command)
app.command("restore")(restore_command)


def main() -> None:
    """The console script. Errors of ours and the system's end with a line on stderr and status 1."""
    try:
        app()
    except (FirstpassError, OSError) as error:
        fail(str(error))


@app.command()
def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Overrides server.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Overrides server.port.", min=0, max=65535)] = None,
) -> None:
    """Start the engine and the front, and serve until Ctrl-C."""
    from firstpass.assembly import keys_required
    from firstpass.front import front, run

    show_log()
    settings = load(config, _overridden(host, port))
    if keys_required(settings):
        require_a_key(settings)
    run(front(settings))


def show_log() -> None:
    """The server's log on stderr, readable for people."""
    shown = logging.StreamHandler()
    shown.setFormatter(WordlessFormatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[shown])
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _overridden(host: str | None, port: int | None) -> dict[str, str]:
    environment = dict(os.environ)
    if host is not None:
        environment["FIRSTPASS_SERVER__HOST"] = host
    if port is not None:
        environment["FIRSTPASS_SERVER__PORT"] = str(port)
    return environment


@app.command()
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
    response = _post(f"{url.rstrip('/')}/v1/chat/completions", body, api_key, ca)
    if as_json:
        typer.echo(response.text)
        raise typer.Exit(0 if response.is_success else 1)
    if not response.is_success:
        fail(_error_message(response))
    print_answer(response)


@app.command()
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
    response = _post(
        f"{url.rstrip('/')}/v1/explain", _body(prompt, model, contract=contract, egress=egress), api_key, ca
    )
    if not response.is_success:
        fail(_error_message(response))
    if as_json:
        typer.echo(response.text)
        return
    course = response.json()
    rule = f"by the rule {course['rule']['name']!r}" if course["rule"] else "by no rule"
    out.print(f"{escape(course['model'])} means {course['target']}, {escape(plain(rule))}; ceiling {course['egress']}")
    for number, step in enumerate(course["steps"], start=1):
        out.print(f"{number}. {escape(plain(step))}")


@app.command()
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
    response = _post(f"{url.rstrip('/')}/v1/exchanges/{quote(exchange, safe='')}/label", body, api_key, ca)
    if not response.is_success:
        fail(_error_message(response))
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


def _post(url: str, body: dict[str, Any], api_key: str | None, ca: Path | None) -> httpx.Response:
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        verify = ssl.create_default_context(cafile=ca) if ca else True
    except OSError as error:
        fail(f"{ca} is no PEM file of certificates ({error})")
    try:
        return httpx.post(url, json=body, headers=headers, timeout=ASK_SECONDS, trust_env=False, verify=verify)
    except (httpx.InvalidURL, UnicodeError) as error:
        fail(f"bad URL or API key: {error}")
    except httpx.HTTPError as error:
        fail(f"no answer from {url} ({error}); is the server up? Start it with `firstpass serve`")


def _error_message(response: httpx.Response) -> str:
    try:
        error = response.json()["error"]
        return f"{error['message']} ({response.status_code} {error['code']}, {error.get('part', 'web')})"
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code}: {response.text[:300]}"


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


@app.command()
def history(
    exchange_id: Annotated[str | None, typer.Argument(help="Show this exchange whole.")] = None,
    limit: Annotated[int, typer.Option(help="How many of the newest to list.", min=1, max=LIST_LIMIT)] = 20,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the recorded exchanges, newest first, or show one with its steps and findings."""
    with opened(load(config)) as store:
        if exchange_id is None:
            _list(store.latest(limit), as_json)
            return
        exchange = store.read(exchange_id)
    if exchange is None:
        fail(f"no exchange {exchange_id} in the record")
    _show(exchange, as_json)


def _list(exchanges: list[Exchange | Damaged], as_json: bool) -> None:
    damaged = [exchange for exchange in exchanges if isinstance(exchange, Damaged)]
    for each in damaged:
        err.print(f"[red]damaged:[/] {escape(plain(each.id))}: {escape(plain(each.why))}")
    if as_json:
        typer.echo("[" + ",\n".join(_line(exchange) for exchange in exchanges) + "]")
        return
    rows = table("time", "exchange", "model", "contract", "end", "steps", "tokens", "seconds")
    for exchange in exchanges:
        if isinstance(exchange, Damaged):
            rows.add_row("-", escape(plain(exchange.id)), "-", "-", "damaged", "-", "-", "-")
            continue
        tokens = sum(step.reply.usage.completion_tokens for step in exchange.steps if step.reply and step.reply.usage)
        ask_ = exchange.ask
        rows.add_row(
            moment(ask_.received_unix),
            ask_.id,
            escape(ask_.model),
            ask_.contract or "-",
            _end(exchange),
            str(len(exchange.steps)),
            str(tokens),
            f"{exchange.seconds or 0:.3f}",
        )
    print_table(rows)


def _line(exchange: Exchange | Damaged) -> str:
    if isinstance(exchange, Damaged):
        return json.dumps({"damaged": exchange.why, "ask": {"id": exchange.id}})
    return encode(exchange)


def _show(exchange: Exchange, as_json: bool) -> None:
    if as_json:
        typer.echo(encode(exchange))
        return
    ask_, received = exchange.ask, moment(exchange.ask.received_unix)
    out.print(f"[bold]{ask_.id}[/]  {received}  {escape(ask_.model)}  contract {ask_.contract or '-'}")
    out.print(f"ceiling {ask_.ceiling}, end {_end(exchange)}, {exchange.seconds or 0:.3f} s")
    for message in ask_.messages:
        said = message.told(lambda image: f"[{image.media_type}]")
        out.print(f"\n[bold]{message.role}[/]\n{escape(plain(said))}")
    for number, step in enumerate(exchange.steps):
        out.print(f"\n[bold]step {number}: {step.move.tier}, {step.move.purpose}[/]")
        if step.reply:
            out.print(f"[dim]{escape(str(step.reply.usage))}, {step.reply.seconds:.3f} s[/]")
            out.print(plain(step.reply.text), markup=False)
        if step.edited is not None:
            out.print("[dim]with its edits made:[/]")
            out.print(plain(step.edited), markup=False)
        if step.failure:
            out.print(f"[red]{step.failure.kind}[/] {escape(plain(step.failure.message))}")
        for finding in step.findings:
            out.print(f"  {finding.severity} {finding.check}: {escape(plain(finding.message))}")
    for receipt in exchange.receipts:
        where = "" if receipt.number is None else f", entry {receipt.number} of the log"
        out.print(f"\nleft the machine: {receipt.bytes} bytes to {receipt.host}, sha256 {receipt.sha256}{where}")
    if not exchange.receipts:
        out.print("\nnothing left the machine")


def _end(exchange: Exchange) -> str:
    match exchange.ending:
        case Answer(route=route):
            return route
        case Refuse(failure=failure):
            return f"{failure.status} {failure.code}"
        case None:
            return "unended"
