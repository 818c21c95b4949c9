"""What is looked for in a record. It knows no database."""

from dataclasses import dataclass

from firstpass.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Query:
    """Of the exchanges that have all of this, the newest `limit`; None: whatever it is.

    before, after: ids of exchanges, those that ended before or after which are wanted; of those after one, the oldest,
    oldest first.
    words: all of which are there, "several in a row" in quotes.
    contract: with or without its version. owners: of API keys, None for none; None in their place: everybody's.
    """

    limit: int = 50
    before: str | None = None
    after: str | None = None
    words: str | None = None
    session: str | None = None
    route: str | None = None
    model: str | None = None
    contract: str | None = None
    status: int | None = None
    owners: tuple[str | None, ...] | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """The exchanges of one owner that were asked under one name. first, latest: of those that can be read.

    place: the exchange by which it stands where it does in a list. exchanges: how many there are.
    """

    owner: str | None
    name: str
    place: str
    exchanges: int
    first: Exchange | None
    latest: Exchange | None


@dataclass(frozen=True, slots=True)
class Used:
    """What an owner of API keys had, in how many requests, of which some were refused; None is who had no key.

    usd: what the verifiers cost, where the settings say what tokens do.
    """

    owner: str | None
    requests: int
    refused: int
    prompt_tokens: int
    completion_tokens: int
    usd: float
