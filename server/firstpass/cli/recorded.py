"""Recorded exchanges that a command is to work on: from the record, or from files. It asks nobody."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from firstpass.cli.keys import DURATION, opened, seconds_of
from firstpass.cli.terminal import fail
from firstpass.errors import BadLabels
from firstpass.exchange import Answer, Exchange
from firstpass.replay.chosen import Chosen, in_order
from firstpass.settings import Settings
from firstpass.store import Damaged, Store
from firstpass.store.codec import decode
from firstpass.store.query import Query

MOST_FILE_BYTES = 512_000_000
MOST_READ = 100_000
"""Of the newest exchanges of a record that fit, those that are looked through."""

_LIST: TypeAdapter[list[object]] = TypeAdapter(list[object])
_OBJECT: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])

Found = tuple[list[Exchange], list[Damaged]]


def of_record(settings: Settings, ids: Sequence[str], chosen: Chosen, limit: int) -> Found:
    """Those of the ids, each of which has to be there; else the newest that fit. In the order in which they came.

    Raises: BadAsk for words of which none can be looked for; StoreFailed.
    """
    with opened(settings) as store:
        if ids:
            return in_order(_by_id(store, one) for one in ids), []
        same = {name: getattr(chosen, name) for name in ("session", "route", "model", "contract")}
        newest = store.browse(Query(MOST_READ, words=chosen.search, **same))
        return _chosen(newest, Chosen(since_unix=chosen.since_unix, until_unix=chosen.until_unix), limit)


def _by_id(store: Store, exchange_id: str) -> Exchange:
    exchange = store.read(exchange_id)
    if exchange is None:
        fail(f"no exchange {exchange_id} in the record")
    return exchange


def of_file(path: Path, ids: Sequence[str], chosen: Chosen, limit: int) -> Found:
    """As `firstpass history --json` writes them: a JSON array, or an exchange a line. Raises: BadLabels."""
    every = list(_read(path))
    if ids:
        known = {one.ask.id: one for one in every if isinstance(one, Exchange)}
        if missing := [one for one in ids if one not in known]:
            raise BadLabels(f"{path}: there is no exchange {missing[0]} in it")
        return in_order(known[one] for one in ids), []
    return _chosen(reversed(every) if _ascends(every) else iter(every), chosen, limit)


def _ascends(every: Sequence[Exchange | Damaged]) -> bool:
    times = [one.ask.received_unix for one in every if isinstance(one, Exchange)]
    return times == sorted(times)


def _chosen(newest_first: Iterator[Exchange | Damaged], chosen: Chosen, limit: int) -> Found:
    """limit: of those that have words; earlier replays, which have none, take nobody's place."""
    exchanges, damaged, whole = list[Exchange](), list[Damaged](), 0
    for one in newest_first:
        if isinstance(one, Damaged):
            damaged.append(one)
        elif chosen.fits(one):
            exchanges.append(one)
            whole += one.ask.store and one.ask.shadows is None
        if whole == limit:
            break
    return in_order(exchanges), damaged


def _read(path: Path) -> Iterator[Exchange | Damaged]:
    """Raises: BadLabels that names the line, or the place in the array."""
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise BadLabels(f"{path} has more than {MOST_FILE_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadLabels(f"{path} can not be read: {error}") from error
    if text.lstrip().startswith("["):
        try:
            for number, one in enumerate(_LIST.validate_json(text), start=1):
                yield _exchange(_OBJECT.validate_python(one), f"{path}, number {number}")
        except ValidationError as error:
            raise BadLabels(f"{path} is no JSON array of exchanges: {_fault(error)}") from error
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield _exchange(_OBJECT.validate_json(line), f"{path}:{number}")
            except ValidationError as error:
                raise BadLabels(f"{path}:{number} is no exchange: {_fault(error)}") from error


def _exchange(fields: dict[str, object], where: str) -> Exchange | Damaged:
    """Raises: BadLabels, ValidationError."""
    inner = fields.get("exchange") if fields.get("object") == "exchange" else fields
    if isinstance(inner, dict) and "damaged" in inner:
        ask = inner.get("ask")
        return Damaged(str(ask.get("id")) if isinstance(ask, dict) else where, str(inner["damaged"]))
    try:
        exchange = decode(TypeAdapter(object).dump_json(inner).decode())
        if isinstance(exchange.ending, Answer) and not 0 <= exchange.ending.step < len(exchange.steps):
            raise ValueError("its answer is of a step that it does not have")
        return exchange
    except ValueError as error:
        fault = _fault(error) if isinstance(error, ValidationError) else str(error)
        raise BadLabels(f"{where} is no exchange as `firstpass history --json` writes it: {fault}") from error


def _fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"


def moment_of(said: str, option: str, now_unix: float) -> float:
    """A time ago such as 7d or 12h, a day, or a day with a time; without a zone it is UTC's. What is none ends it."""
    if DURATION.fullmatch(said):
        return now_unix - seconds_of(said)
    try:
        read = datetime.fromisoformat(said)
    except ValueError:
        fail(f"{option}: {said!r} is no time, such as 7d, 12h, 2027-01-31 or 2027-01-31T12:00")
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
