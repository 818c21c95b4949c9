"""What is asked again: a recorded exchange with its answer, or a case, which has none yet. Reads no record or file."""

import json
from dataclasses import dataclass, replace

from starlette.datastructures import Headers

from firstpass.cases import Case, body_of
from firstpass.dialect.openai import read_request as openai_in
from firstpass.dialect.openai.read_request import Caller
from firstpass.errors import FirstpassError
from firstpass.exchange import Ask, Exchange
from firstpass.house import House
from firstpass.replay.answer import Answered, recorded
from firstpass.replay.asking import Again, Unfit, again
from firstpass.replay.totals import Skipped

TITLE_CHARACTERS = 80
FILE_LINE = "+++ b/"


@dataclass(frozen=True, slots=True)
class Subject:
    """name: an exchange's id, or a case's name. before: None where other arms are held against the first one."""

    name: str
    title: str
    ask: Ask
    asked: Again
    before: Answered | None = None


def of_exchange(exchange: Exchange) -> Subject | Skipped:
    name = exchange.ask.id
    asked = again(exchange)
    if isinstance(asked, Unfit):
        return Skipped(name, asked.why)
    return Subject(name, title_of(exchange.ask), exchange.ask, asked, recorded(exchange))


def of_case(case: Case) -> Subject | Skipped:
    """As the server would read the request that the case makes."""
    house = House(
        models={case.model: "cascade"},
        contracts={} if case.contract is None else {case.contract: case.contract},
        ceiling="any",
        repositories=lambda: [case.repository] if case.repository else [],
        seeing=frozenset({"cascade", "local", "strong"}),
    )
    try:
        ask = openai_in.chat(json.dumps(body_of(case)).encode(), Caller(Headers({}), None), house)
    except FirstpassError as error:
        return Skipped(case.name, str(error))
    asked = again(Exchange(replace(ask, store=True)))
    if isinstance(asked, Unfit):
        return Skipped(case.name, asked.why)
    return Subject(case.name, title_of(ask), ask, asked)


def title_of(ask: Ask) -> str:
    """What the newest words of a user begin with; of a diff, the files that it changes."""
    said = next((message.content for message in reversed(ask.messages) if message.role == "user"), "")
    paths = [line.removeprefix(FILE_LINE) for line in said.splitlines() if line.startswith(FILE_LINE)]
    whole = " ".join((", ".join(paths) or said).split())
    return whole if len(whole) <= TITLE_CHARACTERS else f"{whole[: TITLE_CHARACTERS - 1]}…"
