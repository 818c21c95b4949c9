"""`firstpass check`: holds a server to the cases of a repository, as a job of its CI does. Asks as any client does."""

import asyncio
import os
import secrets
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import IntEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
import typer
from rich.markup import escape
from rich.progress import Progress

from firstpass.cases import Case, body_of
from firstpass.cases.judging import Answered, Outcome, Refused, Run, Said, Unanswered, judge
from firstpass.cases.reading import found, read_cases
from firstpass.cases.report import as_json, as_markdown, counts, rows, summary, told
from firstpass.cases.services import code_quality, github, junit
from firstpass.cli.calling import DEFAULT_URL, ApiKey, Ca, busy_seconds, error_message
from firstpass.cli.eval import own_server
from firstpass.cli.terminal import AsJson, Config, err, fail, plain, print_rows
from firstpass.dialect.values import NONSENSE
from firstpass.errors import BadCases, FirstpassError
from firstpass.settings import load

TRIES = 4
LONGEST_WAIT_SECONDS = 30.0
"""For a server that says when to come back."""

CODE_QUALITY = Path("gl-code-quality-report.json")
PASSING = (408, 409, 425, 429)
"""Of the statuses from 400 to 499, those that say nothing about the request itself; 401 says it of the gate's key."""


class Exit(IntEnum):
    """What the command ends with. BROKEN: the gate could not do its work; a case that failed counts for more."""

    PASSED = 0
    FAILED = 1
    BAD_CASES = 2
    BROKEN = 3


Service = Literal["github", "gitlab", "none"]
Annotations = Literal["github", "gitlab", "none", "auto"]

Files = Annotated[
    list[Path] | None,
    typer.Argument(help="Files of cases; by default firstpass.cases.toml (or .jsonl) here or in a folder above."),
]
Only = Annotated[
    list[str] | None, typer.Option("--only", help="The cases of this name, with * for any text; may be repeated.")
]
Repeat = Annotated[int, typer.Option(help="Ask each case so often, and say where the answers differ.", min=1, max=100)]


def check(
    files: Files = None,
    only: Only = None,
    repeat: Repeat = 1,
    at_once: Annotated[int, typer.Option(help="Requests in flight; times are honest at one.", min=1, max=64)] = 1,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for one answer.", min=1)] = 600.0,
    junit_file: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML here.", dir_okay=False)] = None,
    annotations: Annotated[
        Annotations, typer.Option(help="Mark failed cases in the repository's files; auto looks where it runs.")
    ] = "auto",
    code_quality_file: Annotated[
        Path | None, typer.Option("--code-quality", help="Write GitLab's code quality report here.", dir_okay=False)
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Start a server for this run, by --config.")] = False,
    url: Annotated[
        str | None, typer.Option(envvar="FIRSTPASS_URL", help=f"The server; by default {DEFAULT_URL}.")
    ] = None,
    api_key: ApiKey = None,
    ca: Ca = None,
    config: Config = None,
    as_json_: AsJson = False,
) -> None:
    """Hold a server to the cases of a repository: what its answers must mention, must not, and how they may come.

    Ends with 0 where all passed, 1 where a case failed, 2 where cases can not be read, 3 where the server did not
    answer.
    """
    if serve and url is not None:
        fail("--serve starts a server, and --url names another", Exit.BAD_CASES)
    try:
        cases = chosen(files, only)
    except BadCases as error:
        fail(str(error), Exit.BAD_CASES)
    try:
        with _server(url, config, serve=serve) as where:
            how = Asking(repeat, at_once, timeout)
            client = _client(where, None if serve else api_key, ca, how)
            outcomes = asyncio.run(asked(client, cases, how))
    except (FirstpassError, OSError) as error:
        fail(f"the server did not answer: {error}", Exit.BROKEN)
    _print(outcomes, where, as_json_=as_json_, service=_service(annotations))
    try:
        _write(outcomes, junit_file, _code_quality_file(code_quality_file, annotations))
    except OSError as error:
        fail(
            f"what came of it can not be written: {error}",
            Exit.FAILED if ended(outcomes) == Exit.FAILED else Exit.BROKEN,
        )
    raise typer.Exit(ended(outcomes))


def chosen(files: Sequence[Path] | None, only: Sequence[str] | None) -> list[Case]:
    """Raises: BadCases, also for a case that any answer passes, and for a name that no case has."""
    paths = list(files or [found(Path.cwd())])
    if twice := [path for path, count in Counter(one.resolve() for one in paths).items() if count > 1]:
        raise BadCases(f"{twice[0]} is given twice")
    cases = [case for path in paths for case in read_cases(path)]
    for case in cases:
        if not case.expects:
            raise BadCases(f"{case.place}: case {case.name!r}: it expects nothing, so any answer would pass")
    for pattern in only or ():
        if not any(fnmatchcase(case.name, pattern) for case in cases):
            raise BadCases(f"--only {pattern}: no case is called so")
    return [case for case in cases if not only or any(fnmatchcase(case.name, pattern) for pattern in only)]


def ended(outcomes: Sequence[Outcome]) -> Exit:
    number = counts(outcomes)
    if number["failed"]:
        return Exit.FAILED
    return Exit.BROKEN if number["unanswered"] else Exit.PASSED


@dataclass(frozen=True, slots=True)
class Asking:
    """repeat: how often each case is asked. at_once: requests in flight. seconds: for one answer."""

    repeat: int
    at_once: int
    seconds: float


async def asked(client: httpx.AsyncClient, cases: Sequence[Case], how: Asking) -> list[Outcome]:
    """In the order of the cases; the runs of one come one after the other."""
    room = asyncio.Semaphore(how.at_once)
    with Progress(console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("asking", total=len(cases) * how.repeat)
        async with client:
            asker = Asker(client, how, room, lambda: bar.advance(task))
            return list(await asyncio.gather(*map(asker.outcome, cases)))


@dataclass(frozen=True, slots=True)
class Asker:
    """done: is told of each run."""

    client: httpx.AsyncClient
    how: Asking
    room: asyncio.Semaphore
    done: Callable[[], None]

    async def outcome(self, case: Case) -> Outcome:
        async with self.room:
            return Outcome(case, tuple([await self._run(case) for _ in range(self.how.repeat)]))

    async def _run(self, case: Case) -> Run:
        try:
            return judge(case, await self._said(body_of(case)))
        finally:
            self.done()

    async def _said(self, body: dict[str, Any]) -> Said:
        """A server that is busy for a while is asked again, when it says."""
        for left in reversed(range(TRIES)):
            began = time.monotonic()
            try:
                async with asyncio.timeout(self.how.seconds):
                    response = await self.client.post("/v1/chat/completions", json=body)
            except (TimeoutError, httpx.TimeoutException):
                return Unanswered(f"not within {self.how.seconds:g} s", time.monotonic() - began)
            except httpx.HTTPError as error:
                words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                return Unanswered(words, time.monotonic() - began)
            seconds = time.monotonic() - began
            wait = busy_seconds(response, LONGEST_WAIT_SECONDS)
            if wait is None or not left:
                break
            await asyncio.sleep(wait)
        return said_of(response, seconds)


def said_of(response: httpx.Response, seconds: float) -> Said:
    """What a response of the chat completions API says to a case."""
    status = response.status_code
    if not response.is_success:
        words = _readable(" ".join(error_message(response).split()))
        about_the_request = 400 <= status < 500 and status != 401 and status not in PASSING
        return Refused(words, seconds) if about_the_request else Unanswered(words, seconds)
    try:
        body = response.json()
        how = body.get("firstpass") or {}
        failed = [_finding(one) for one in how["findings"] if one["severity"] == "fail"] if how else None
        text = _text(body["choices"][0]["message"])
        route = how.get("route") or response.headers.get("x-firstpass-route")
        exchange = response.headers.get("x-request-id")
    except NONSENSE:
        return Unanswered(f"{status} with a body that is no answer of the chat API", seconds)
    return Answered(text, seconds, route, None if failed is None else tuple(failed), exchange)


def _finding(finding: dict[str, Any]) -> str:
    return _readable(f"{finding['check']}: {finding['message']}")


def _text(message: dict[str, Any]) -> str:
    """What the model says, and below it the calls that it wants to be made."""
    calls = (one["function"] for one in message.get("tool_calls") or ())
    called = (f"{one['name']}({one['arguments']})" for one in calls)
    parts = (message.get("content") or "", message.get("refusal") or "", *called)
    return _readable("\n".join(part for part in parts if part))


def _readable(text: str) -> str:
    """JSON can say half of a UTF-16 pair, and no file can hold it."""
    return text.encode(errors="replace").decode()


def _server(url: str | None, config: Path | None, *, serve: bool) -> AbstractContextManager[str]:
    return own_server(load(config)) if serve else nullcontext(url or DEFAULT_URL)


def _client(url: str, api_key: str | None, ca: Path | None, how: Asking) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    limits = httpx.Limits(max_connections=how.at_once)
    try:
        verify = ssl.create_default_context(cafile=ca) if ca else True
        return httpx.AsyncClient(
            base_url=url.rstrip("/"),
            headers=headers,
            limits=limits,
            timeout=how.seconds,
            trust_env=False,
            verify=verify,
        )
    except OSError as error:
        fail(f"{ca} is no PEM file of certificates ({error})", Exit.BROKEN)
    except (httpx.InvalidURL, UnicodeError) as error:
        fail(f"bad URL or API key: {error}", Exit.BROKEN)


def _print(outcomes: Sequence[Outcome], url: str, *, as_json_: bool, service: Service) -> None:
    """Where GitHub reads along, nothing that a model said is taken for a command, and its own commands come last."""
    commands = list(github(outcomes)) if service == "github" else []
    if as_json_:
        typer.echo(as_json(outcomes, url))
        for command in commands:
            typer.echo(command, err=True)
        return
    guard = secrets.token_hex(16) if os.environ.get("GITHUB_ACTIONS") == "true" or commands else None
    if guard:
        typer.echo(f"::stop-commands::{guard}")
    _tell(outcomes)
    for command in [f"::{guard}::", *commands] if guard else []:
        typer.echo(command)


def _tell(outcomes: Sequence[Outcome]) -> None:
    """For people."""
    print_rows([[escape(plain(cell)) for cell in row] for row in rows(outcomes)])
    for outcome in outcomes:
        if outcome.verdict != "passed" or outcome.unstable:
            typer.echo(plain(f"\n{outcome.verdict.upper()}  {outcome.case.name}\n{told(outcome)}"))
    typer.echo(f"\n{summary(outcomes)}")


def _write(outcomes: Sequence[Outcome], junit_file: Path | None, quality_file: Path | None) -> None:
    if junit_file is not None:
        _put(junit_file, junit(outcomes, time.time()))
    if quality_file is not None:
        _put(quality_file, code_quality(outcomes))
    if summary_file := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary_file).open("a", encoding="utf-8") as file:
            file.write(as_markdown(outcomes))


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _service(annotations: Annotations) -> Service:
    if annotations != "auto":
        return annotations
    if os.environ.get("GITHUB_ACTIONS") == "true":
        return "github"
    return "gitlab" if os.environ.get("GITLAB_CI") == "true" else "none"


def _code_quality_file(given: Path | None, annotations: Annotations) -> Path | None:
    return given or (CODE_QUALITY if _service(annotations) == "gitlab" else None)
