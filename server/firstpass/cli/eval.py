"""`firstpass eval`: what answers are worth on changes with known truth, arm by arm. Asks a server as a client does."""

import asyncio
import itertools
import platform
import random
import re
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import typer
from rich.markup import escape
from rich.progress import Progress

from firstpass.bench import page, report
from firstpass.bench.cases import Case, case_of, read_labelled, with_rivals
from firstpass.bench.figures import Price, figures_of
from firstpass.bench.history import History
from firstpass.bench.report import Run
from firstpass.bench.require import requirement
from firstpass.bench.runner import NONSENSE, Arm, Bench, Outcome, run, said
from firstpass.cli.terminal import AsJson, Config, err, fail, out, print_rows, write_files
from firstpass.contract.form import Form, Section, form_of
from firstpass.errors import BadLabels, NotFound, TierFailed
from firstpass.settings import Settings, load

ROUTES = {"local": "local", "strong": "strong", "cascade": "firstpass"}
"""By arm: the model to ask the server for."""

MAIN_ARM = "cascade"
WARM_UP = """diff --git a/greet.py b/greet.py
--- a/greet.py
+++ b/greet.py
@@ -1,2 +1,3 @@
 def greet(name):
+    name = tidied(name)
     return f"Hello {name}"
"""

_ARM = re.compile(r"(?P<name>[\w-]{1,40})(?:=(?P<model>\S+))?")

Sources = Annotated[
    list[Path], typer.Argument(help="Git repositories on this disk, or files of labelled changes (.jsonl, .jsonl.zst).")
]
OptionalSources = Annotated[
    list[Path] | None, typer.Argument(help="As for eval: git repositories on this disk, or files of labelled changes.")
]
Repos = Annotated[list[str] | None, typer.Option("--repo", help="Of labelled files, only this repository; repeatable.")]
Commits = Annotated[int, typer.Option(help="From each repository the newest, from each file at random.", min=1)]
Arms = Annotated[
    list[str] | None,
    typer.Option("--arm", help="local, strong, cascade or NAME=MODEL; repeatable. By default all that can be asked."),
]
Requirements = Annotated[
    list[str] | None,
    typer.Option("--require", help="Such as 'pass>=0.98' or 'strong.p50_ms<900'; status 1 where one is not met."),
]
Out = Annotated[
    Path | None, typer.Option("--out", help="The folder to write to; by default eval-TIME.", file_okay=False)
]
PriceIn = Annotated[float | None, typer.Option(help="The verifier's, in US dollars a million tokens read.", min=0)]
PriceOut = Annotated[float | None, typer.Option(help="The verifier's, in US dollars a million tokens written.", min=0)]


def evaluate(
    sources: Sources,
    repo: Repos = None,
    commits: Commits = 100,
    most_bytes: Annotated[int, typer.Option(help="A longer diff is left out.", min=1)] = 8_000,
    contract: Annotated[str, typer.Option(help="Which answers are asked for.")] = "pr-summary",
    arm: Arms = None,
    egress: Annotated[str | None, typer.Option(help="Of every request: local-only, redacted or any.")] = None,
    at_once: Annotated[int, typer.Option(help="Requests in flight; latency is honest at one.", min=1)] = 1,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    require: Requirements = None,
    out_dir: Out = None,
    seed: Annotated[int, typer.Option(help="Of the order, the choice and the intervals.")] = 1,
    url: Annotated[
        str | None, typer.Option(envvar="FIRSTPASS_URL", help="A running server; else one of its own.")
    ] = None,
    api_key: Annotated[str | None, typer.Option(envvar="FIRSTPASS_API_KEY", show_envvar=True)] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Measure local only, strong only and the cascade on a repository's history or on labelled changes.

    Writes results.json, report.md, report.html and outcomes.jsonl. With a hosted verifier, the changes leave this
    machine where --egress and the server's own ceiling allow it.
    """
    arms = _arms(arm)
    wanted = [requirement(text, {one.name: one for one in arms}) for text in require or ()]
    price = price_of(price_in, price_out)
    cases, left_out = cases_of(sources, repo or [], commits, most_bytes, seed)
    folder = out_dir or Path(datetime.now(UTC).strftime("eval-%Y%m%d-%H%M%S"))
    folder.mkdir(parents=True, exist_ok=True)
    with _server(url, config) as where:
        client = client_of(where, api_key, at_once)
        plan = Plan(client, contract, {"egress": egress} if egress else {}, arms, optional=arm is None)
        arms, outcomes, pinned = asyncio.run(plan.measured(cases, seed, at_once))
    if all(outcome.error for outcome in outcomes):
        raise TierFailed(f"no request was answered: {outcomes[0].error}")
    main = MAIN_ARM if MAIN_ARM in {one.name for one in arms} else arms[0].name
    figures = figures_of(cases, outcomes, price, main, seed)
    facts = {
        "made_unix": time.time(),
        "version": version("firstpass"),
        "machine": machine(),
        "sources": [path.resolve().name for path in sources],
        "contract": pinned,
        "seed": seed,
        "at_once": at_once,
        "egress": egress,
        "left_out": dict(left_out),
    }
    judged = [one.judge(figures.arms, main) for one in wanted]
    done = Run(facts, arms, cases, outcomes, figures, price, judged)
    _write(done, folder)
    _print(done, folder, as_json)
    if not all(one.met for one in judged):
        raise typer.Exit(1)


def client_of(url: str, api_key: str | None, at_once: int) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    limits = httpx.Limits(max_connections=at_once)
    try:
        return httpx.AsyncClient(base_url=url.rstrip("/"), headers=headers, limits=limits, trust_env=False)
    except (httpx.InvalidURL, UnicodeError) as error:
        fail(f"bad URL or API key: {error}")


class Plan:
    """What is asked, and whom. optional: an arm that can not be asked is left out instead of an error."""

    def __init__(
        self, client: httpx.AsyncClient, contract: str, options: dict[str, Any], arms: Sequence[Arm], *, optional: bool
    ) -> None:
        self._client, self._contract, self._options, self._arms = client, contract, options, arms
        self._optional = optional

    async def measured(self, cases: Sequence[Case], seed: int, at_once: int) -> tuple[list[Arm], list[Outcome], str]:
        """(the arms that could be asked, what came, the contract's pinned name). Raises: TierFailed, NotFound."""
        async with self._client:
            pinned, form = await self._form()
            bench = Bench(self._client, pinned, form, self._options, {"eval": f"eval-{uuid.uuid4().hex}"})
            arms = [arm for arm in self._arms if await self._answers(bench, arm)]
            if not arms:
                raise TierFailed("no arm can be asked")
            with Progress(console=err, disable=not err.is_terminal) as bar:
                task = bar.add_task("asking", total=len(arms) * len(cases))
                outcomes = await run(bench, cases, arms, seed, at_once, lambda _: bar.advance(task))
            await self._label(outcomes)
        return arms, outcomes, pinned

    async def _label(self, outcomes: Sequence[Outcome]) -> None:
        """What the truth says of each answer goes into the server's record beside it."""
        for outcome in outcomes:
            if outcome.exchange is None:
                continue
            body = {"verdict": "accept" if outcome.score.passed else "reject", "source": "eval"}
            try:
                response = await self._client.post(f"/v1/exchanges/{outcome.exchange}/label", json=body)
            except httpx.HTTPError as error:
                err.print(f"the labels could not all be recorded: {type(error).__name__}")
                return
            if not response.is_success:
                err.print(f"the labels could not all be recorded: {escape(said(response))}")
                return

    async def _form(self) -> tuple[str, Form]:
        try:
            response = await self._client.get(f"/v1/contracts/{quote(self._contract, safe='@')}")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TierFailed(f"no answer from {self._client.base_url} ({error})") from error
        if not response.is_success:
            raise NotFound(f"--contract {self._contract}: {said(response)}")
        try:
            shown = response.json()
            pinned, form = shown["id"], form_of(shown["form"], [Section(**section) for section in shown["sections"]])
        except NONSENSE as error:
            raise TierFailed(f"what answers at {self._client.base_url} is no Firstpass") from error
        listed = any(section["holds"] == "calls" for section in shown["sections"])
        if listed and "calls" not in shown["checks"]:
            raise BadLabels(f"--contract {self._contract}: no label here says what belongs into its lists")
        if shown["reads"] != "diff":
            raise BadLabels(f"--contract {self._contract}: it reads no diff, so no label says what is right")
        return pinned, form

    async def _answers(self, bench: Bench, arm: Arm) -> bool:
        """Asks once: it warms the arm up, counts for nothing, and tells whether it may be asked at all."""
        first = await bench.ask(arm, 0, case_of("", "", WARM_UP, ["tidied"], []))
        if first.error is None or not first.error.startswith(("400", "401", "403", "404", "422")):
            return True
        if not self._optional or not first.error.startswith(("403", "404")):
            raise TierFailed(f"the arm {arm.name} can not be asked: {first.error}")
        err.print(f"without the arm {arm.name}: {escape(first.error)}")
        return False


def _arms(names: Sequence[str] | None) -> list[Arm]:
    arms = [_arm(name) for name in names or ROUTES]
    twice = [name for name, number in Counter(arm.name for arm in arms).items() if number > 1]
    if twice:
        raise BadLabels(f"--arm {twice[0]}: given twice")
    return arms


def _arm(text: str) -> Arm:
    match = _ARM.fullmatch(text)
    if match is None or not (match["model"] or match["name"] in ROUTES):
        raise BadLabels(f"--arm {text!r}: must be {', '.join(ROUTES)} or NAME=MODEL")
    return Arm(match["name"], match["model"] or ROUTES[match["name"]])


def cases_of(
    sources: Sequence[Path], repositories: Sequence[str], number: int, most_bytes: int, seed: int
) -> tuple[list[Case], Counter[str]]:
    """(cases, how many were left out by reason). Raises: BadLabels."""
    cases: list[Case] = []
    left_out: Counter[str] = Counter()
    for source, name in zip(sources, _names(sources), strict=True):
        if source.is_dir():
            if repositories:
                raise BadLabels(f"--repo chooses among the lines of labelled files; {source} is a directory")
            history = History(source, most_bytes, name)
            cases += itertools.islice(history.cases(), number)
            left_out += history.left_out
        else:
            cases += _drawn(_of_file(source, name, repositories, most_bytes, left_out), number, seed)
    if not cases:
        why = "; ".join(f"{count}: {reason}" for reason, count in left_out.items()) or "they hold none"
        raise BadLabels(f"no change to ask about in {', '.join(map(str, sources))} ({why})")
    return with_rivals(cases, seed), left_out


def _names(sources: Sequence[Path]) -> list[str]:
    """The last part of each path, and as much before it as tells it from the others."""
    paths = [source.resolve() for source in sources]
    if len(set(paths)) < len(paths):
        raise BadLabels("a source is given twice")
    for parts in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def _of_file(
    source: Path, name: str, repositories: Sequence[str], most_bytes: int, left_out: Counter[str]
) -> Iterator[Case]:
    for case in read_labelled(source, name):
        if repositories and case.repository not in repositories:
            continue
        if len(case.diff.encode()) > most_bytes:
            left_out[f"its diff has more than {most_bytes} bytes"] += 1
        else:
            yield case


def _drawn(cases: Iterator[Case], number: int, seed: int) -> list[Case]:
    every = list(cases)
    return random.Random(seed).sample(every, min(number, len(every)))


def _server(url: str | None, config: Path | None) -> AbstractContextManager[str]:
    return nullcontext(url) if url is not None else own_server(load(config))


def own_server(settings: Settings) -> AbstractContextManager[str]:
    """A server for this run alone: it listens on loopback, on any free port."""
    from firstpass.front import beside

    own: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "keys": "optional"}
    plain = {"tls_certificate": None, "tls_key": None, "tls_client_ca": None}
    here = settings.server.model_copy(update=own | plain)
    err.print("starting a server for this run")
    return beside(settings.model_copy(update={"server": here}))


def price_of(price_in: float | None, price_out: float | None) -> Price | None:
    """Ends the command where only one is given."""
    if (price_in is None) != (price_out is None):
        fail("--price-in and --price-out belong together")
    return Price(price_in, price_out) if price_in is not None and price_out is not None else None


def machine() -> str:
    """Of the client; what serves may stand elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text()
        model = re.search(r"^model name\s*:\s*(.+)$", text, re.M)
    except OSError:
        model = None
    return f"{model[1] if model else platform.processor() or platform.machine()}, {platform.system()}"


def _write(done: Run, folder: Path) -> None:
    written = {
        "results.json": report.as_json(done),
        "report.md": report.as_markdown(done),
        "report.html": page.as_html(done),
        "outcomes.jsonl": "".join(f"{line}\n" for line in report.lines_of_outcomes(done)),
    }
    write_files(folder, written)


def _print(done: Run, folder: Path, as_json: bool) -> None:
    if as_json:
        typer.echo(report.as_json(done), nl=False)
    else:
        print_rows(report.table(done))
        for one in done.figures.comparisons:
            out.print(report.sentence(one))
    for judgement in done.judgements:
        err.print(escape(report.verdict(judgement)))
    err.print(f"written to {folder}")
