"""`firstpass replay`: recorded exchanges asked again, and what changed. Asks a server as a client does."""

import asyncio
import os
import re
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import httpx
import typer
from rich.markup import escape
from rich.progress import Progress
from rich.text import Text

from firstpass.cases.reading import read_cases
from firstpass.cli.calling import DEFAULT_URL, ApiKey, Ca, Url
from firstpass.cli.eval import ROUTES, PriceIn, PriceOut, own_server, price_of
from firstpass.cli.recorded import moment_of, of_file, of_record
from firstpass.cli.replaying import How, Ran, Server, found, run
from firstpass.cli.terminal import AsJson, Config, err, fail, out, plain, print_rows
from firstpass.errors import BadLabels
from firstpass.exchange import Route
from firstpass.replay import report
from firstpass.replay.chosen import Chosen
from firstpass.replay.report import Report
from firstpass.replay.subject import Subject, of_case, of_exchange
from firstpass.replay.totals import Arm, Skipped, answered, fails
from firstpass.replay.wording import Piece, bracketed
from firstpass.settings import load

LIMIT, MOST = 20, 10_000
AT_ONCE_MOST = 64
REPEATS_MOST = 100
LENT = ("models", "repositories", "vllm-cache")
"""Of the data directory, what a server that is started beside shares: no record, no keys."""

FAILED, INTERRUPTED = 1, 130
WEB = ("http://", "https://")
COLOURS = {"worse": "red", "no answer": "red", "better": "green", "changed": "yellow", "unsteady": "yellow"}
ARM_FORMS = "NAME=MODEL, NAME=CONTRACT@VERSION, NAME=URL, NAME=URL#MODEL, NAME=FILE.toml, NAME=FILE.toml#MODEL"

_ARM = re.compile(
    r"(?P<name>[\w-]{1,40})(?:=(?:(?P<url>https?://[^\s#]+)|(?P<file>[^#]+\.toml))(?:#(?P<of>\S+))?"
    r"|=(?P<contract>[a-z0-9][\w-]*@\d+)|=(?P<model>\S+))?"
)

Ids = Annotated[list[str] | None, typer.Argument(help="Exchanges, as `firstpass history` lists them.")]
File = Annotated[
    Path | None,
    typer.Option(help="Exchanges as `history --json` writes them, or one a line.", exists=True, dir_okay=False),
]
Cases = Annotated[
    Path | None,
    typer.Option(help="Cases of `firstpass check`: arms are held against the first.", exists=True, dir_okay=False),
]
Beside = Annotated[
    Path | None,
    typer.Option("--serve", help="Settings of a server to start for this run, on a store of its own.", exists=True),
]
Arms = Annotated[list[str] | None, typer.Option("--arm", help=f"{ARM_FORMS}, or {', '.join(ROUTES)}; repeatable.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="A folder for outcomes.jsonl and report.md, with words.", file_okay=False)
]
Limit = Annotated[
    int | None, typer.Option(help=f"Of these, the newest; by default {LIMIT}, and a whole session.", min=1, max=MOST)
]
FailOn = Annotated[
    Literal["changed", "worse"] | None, typer.Option(help="Status 1 where any answer is that, of all repeats.")
]
Repeat = Annotated[int, typer.Option(help="Answers of each request: how many are alike.", min=1, max=REPEATS_MOST)]


def replay(
    context: typer.Context,
    ids: Ids = None,
    session: Annotated[str | None, typer.Option(help="All of this session.")] = None,
    search: Annotated[str | None, typer.Option(help="Only with these words, as `history --search` takes them.")] = None,
    route: Annotated[Route | None, typer.Option(help="Only what was answered so.")] = None,
    of_model: Annotated[str | None, typer.Option(help="Only what was asked of this model.")] = None,
    of_contract: Annotated[str | None, typer.Option(help="Only of this contract, or this version of it.")] = None,
    since: Annotated[str | None, typer.Option(help="As 7d, 12h, 2027-01-31 or 2027-01-31T12:00 (UTC).")] = None,
    until: Annotated[str | None, typer.Option(help="Likewise; what came before that.")] = None,
    limit: Limit = None,
    file: File = None,
    cases: Cases = None,
    model: Annotated[str | None, typer.Option(help="To ask: firstpass, local, strong or a model.")] = None,
    contract: Annotated[str | None, typer.Option(help="To ask for, such as pr-summary@3.")] = None,
    url: Url = DEFAULT_URL,
    serve: Beside = None,
    arm: Arms = None,
    as_asked: Annotated[
        bool, typer.Option("--as-asked", help="Decode as the caller said: else at temperature 0, with a seed.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Have the new words recorded, with replay_of.")] = False,
    repeat: Repeat = 1,
    at_once: Annotated[int, typer.Option(help="Exchanges in flight.", min=1, max=AT_ONCE_MOST)] = 1,
    timeout: Annotated[float, typer.Option(help="Seconds for an answer.", min=1, max=86_400)] = 600,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    fail_on: FailOn = None,
    out_dir: Out = None,
    api_key: ApiKey = None,
    ca: Ca = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Ask recorded exchanges again, of another model, contract or server, and show what changed.

    Each is asked as its caller asked, under its own ceiling; nothing goes to another machine whose ceiling is not any.
    """
    price, here = price_of(price_in, price_out), _address(url)
    arms = _arms(arm or [], Arm("again", str(serve) if serve else here, model, contract))
    source = context.get_parameter_source("url")
    named = _named(arm or []) | ({here} if source is not None and source.name == "COMMANDLINE" else set())
    how = How(as_asked, keep, repeat, at_once, timeout, frozenset(named))
    now = time.time()
    begin, end = (moment_of(one, name, now) if one else None for one, name in ((since, "--since"), (until, "--until")))
    chosen = Chosen(session, search, route, of_model, of_contract, begin, end)
    subjects, skipped = _subjects(_Wanted(ids or [], chosen, limit, file, cases), config, arms)
    if out_dir is not None:
        out_dir.mkdir(parents=True, exist_ok=True)
    with _places(arms) as places:
        keyed = _keyed(places, here) if api_key else None
        opens = _client(api_key, keyed, ca, at_once, timeout)
        ran = asyncio.run(_ran(subjects, arms, places, how, opens))
    facts = {"made_unix": now, "version": version("firstpass"), "as_asked": as_asked, "kept": keep}
    against = arms[0].name if cases else "the record"
    done = Report(arms, ran.outcomes, [*skipped, *ran.skipped], price, against, ran.cut_short, facts)
    if out_dir is not None:
        _write(done, out_dir)
    typer.echo(report.as_json(done), nl=False) if as_json else print_report(done)
    if out_dir is not None:
        err.print(f"written to {escape(str(out_dir))}")
    if ran.cut_short:
        raise typer.Exit(INTERRUPTED)
    if fail_on and (untold := [arm.name for arm in (arms[1:] if cases else arms) if not answered(arm, ran.outcomes)]):
        fail(f"nothing was answered in {', '.join(untold)}, so --fail-on can't be told")
    if fail_on and fails(ran.outcomes, fail_on):
        raise typer.Exit(FAILED)


@dataclass(frozen=True, slots=True)
class _Wanted:
    ids: Sequence[str]
    chosen: Chosen
    limit: int | None
    file: Path | None
    cases: Path | None

    @property
    def most(self) -> int:
        return self.limit or (MOST if self.chosen.session else LIMIT)


def _subjects(wanted: _Wanted, config: Path | None, arms: Sequence[Arm]) -> tuple[list[Subject], list[Skipped]]:
    """Raises: BadLabels, BadCases, StoreFailed."""
    if wanted.ids and not (wanted.chosen.is_open and wanted.limit is None):
        raise BadLabels(f"{wanted.ids[0]}: ids say which are meant, and leave nothing to options that choose")
    if wanted.cases is not None:
        return _of_cases(wanted, arms)
    if wanted.file is not None:
        exchanges, damaged = of_file(wanted.file, wanted.ids, wanted.chosen, wanted.most)
    else:
        exchanges, damaged = of_record(load(config), wanted.ids, wanted.chosen, wanted.most)
    if not exchanges:
        fail("there is no such exchange, so nothing to ask again; see `firstpass history`")
    subjects, skipped = _parted(map(of_exchange, exchanges))
    return subjects, [*(Skipped(one.id, f"damaged: {one.why}") for one in damaged), *skipped]


def _of_cases(wanted: _Wanted, arms: Sequence[Arm]) -> tuple[list[Subject], list[Skipped]]:
    """Raises: BadLabels, BadCases."""
    assert wanted.cases is not None, "the caller looked"
    if wanted.file is not None or wanted.limit is not None or not wanted.chosen.is_open:
        raise BadLabels("--cases: a case is no recorded exchange; choose cases by their names alone")
    if len(arms) < 2:
        raise BadLabels("--cases: a case has no recorded answer, so two arms are needed; see --arm")
    every = read_cases(wanted.cases)
    if missing := set(wanted.ids) - {case.name for case in every}:
        raise BadLabels(f"{wanted.cases}: there is no case {min(missing)!r} in it")
    return _parted(of_case(case) for case in every if not wanted.ids or case.name in wanted.ids)


def _parted(found: Iterable[Subject | Skipped]) -> tuple[list[Subject], list[Skipped]]:
    subjects, skipped = list[Subject](), list[Skipped]()
    for one in found:
        subjects.append(one) if isinstance(one, Subject) else skipped.append(one)
    return subjects, skipped


def _arms(texts: Sequence[str], usual: Arm) -> list[Arm]:
    """usual: the one where there are none, and what others have of what they do not say. Raises: BadLabels."""
    arms = [_arm(text, usual) for text in texts] or [usual]
    twice = [name for name, number in Counter(one.name for one in arms).items() if number > 1]
    if twice:
        raise BadLabels(f"--arm {twice[0]}: given twice")
    return arms


def _named(texts: Sequence[str]) -> set[str]:
    """The URLs that arms say."""
    return {_address(match["url"]) for text in texts if (match := _ARM.fullmatch(text)) and match["url"]}


def _arm(text: str, usual: Arm) -> Arm:
    """Raises: BadLabels."""
    match = _ARM.fullmatch(text)
    if match is None or not ("=" in text or match["name"] in ROUTES):
        raise BadLabels(f"--arm {text!r}: must be {ARM_FORMS}, or {', '.join(ROUTES)}")
    named = replace(usual, name=match["name"])
    if "=" not in text:
        return replace(named, model=ROUTES[match["name"]])
    if match["contract"]:
        return replace(named, contract=match["contract"])
    if match["model"]:
        return replace(named, model=match["model"])
    place = _address(match["url"]) if match["url"] else match["file"]
    return replace(named, place=place, model=match["of"] or usual.model)


def _address(url: str) -> str:
    """As the client will take it, so that what is looked at is what is asked."""
    try:
        read = httpx.URL(url)
    except httpx.InvalidURL as error:
        fail(f"bad URL: {error}")
    if read.scheme not in ("http", "https") or not read.host or read.userinfo:
        fail(f"bad URL: {escape(url)} must be http(s)://host, without a name or a password")
    return str(read).rstrip("/").removesuffix("/v1")


@contextmanager
def _places(arms: Sequence[Arm]) -> Iterator[Mapping[str, str]]:
    """The URL of each place; servers that are started for this run end with the block. Raises: BadSettings."""
    with ExitStack() as stack:
        yield {place: stack.enter_context(_place(place)) for place in dict.fromkeys(one.place for one in arms)}


@contextmanager
def _place(place: str) -> Iterator[str]:
    if place.startswith(WEB):
        yield place
        return
    settings = load(Path(place))
    with TemporaryDirectory(prefix="firstpass-replay-") as folder:
        for name in LENT:
            if (theirs := settings.server.data_dir / name).exists():
                (Path(folder) / name).symlink_to(theirs.resolve())
        here = settings.server.model_copy(update={"data_dir": Path(folder), "checkpoints": None})
        with own_server(settings.model_copy(update={"server": here})) as url:
            yield url


def _keyed(places: Iterable[str], here: str) -> str | None:
    """The place that the API key is for: --url's where an arm asks it, else the one URL of all arms.

    Raises: BadLabels where there are several: each of them would learn a key that is another's.
    """
    urls = [place for place in places if place.startswith(WEB)]
    if here in urls or not urls:
        return here
    if len(urls) > 1:
        raise BadLabels(f"an API key is for one server, and arms ask {' and '.join(urls)}: say which by --url")
    return urls[0]


Opens = Callable[[str], httpx.AsyncClient]


def _client(api_key: str | None, keyed: str | None, ca: Path | None, at_once: int, seconds: float) -> Opens:
    """No proxy of the environment, and no redirect, leads the words elsewhere. keyed: who alone is told the key."""
    limits = httpx.Limits(max_connections=at_once)
    try:
        verify: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca) if ca else True
    except OSError as error:
        fail(f"{ca} is no PEM file of certificates ({error})")

    def opens(url: str) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {api_key}"} if api_key and url == keyed else {}
        return httpx.AsyncClient(
            base_url=url, headers=headers, limits=limits, timeout=seconds, trust_env=False, verify=verify
        )

    return opens


async def _ran(
    subjects: Sequence[Subject], arms: Sequence[Arm], places: Mapping[str, str], how: How, opens: Opens
) -> Ran:
    """Raises: TierFailed where a place is no Firstpass."""
    async with AsyncExitStack() as stack:
        servers: dict[str, Server] = {}
        for place, url in places.items():
            servers[place] = await found(url, await stack.enter_async_context(opens(url)))
        with Progress(console=err, disable=not err.is_terminal) as bar:
            task = bar.add_task("asking", total=len(subjects))
            return await run(subjects, arms, servers, how, lambda: bar.advance(task))


def _write(done: Report, folder: Path) -> None:
    """For their owner alone: they have the words of the record."""
    for name, text in {"outcomes.jsonl": report.lines_of_outcomes(done), "report.md": report.as_markdown(done)}.items():
        (folder / name).unlink(missing_ok=True)
        opened = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(opened, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)


def print_report(done: Report) -> None:
    several = len(done.by_arm) > 1
    for outcome in done.outcomes:
        word, arm = report.headline(outcome), f"  {outcome.arm}" if several else ""
        told = f" {plain(outcome.exchange)}{arm}  "
        out.print(Text.assemble((f"{word:<9}", COLOURS.get(word, "dim")), told, (plain(outcome.title), "dim")))
        for line in report.lines(outcome, done.price):
            out.print(Text.assemble("    ", (f"{plain(line.about)}: ", "dim"), *map(_marked, line.pieces)))
    out.print()
    print_rows(report.table(done))
    for sentence in report.sentences(done):
        out.print(escape(plain(sentence)))
    for sentence in report.left_out(done.skipped):
        err.print(escape(plain(sentence)))


def _marked(piece: Piece) -> tuple[str, str]:
    """In colour, with brackets for who sees none; what goes on in further lines stands under the first."""
    text = plain(bracketed([piece])).replace("\n", "\n        ")
    return text, {"gone": "red", "new": "green", "same": ""}[piece.kind]
