"""What a key may do, as data and as the text that a store keeps. It knows no key, no request and no clock."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from firstpass.exchange import Ceiling

_Number = Annotated[int, Field(gt=0)]


@dataclass(frozen=True, slots=True)
class Spend:
    """A cap, in US dollars, on what a verifier may cost in a day or a calendar month, both of UTC."""

    usd: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    per: Literal["day", "month"] = "day"

    def since(self, day: str) -> str:
        """The first day, as `day` is written, of the period that has `day` in it."""
        return day if self.per == "day" else f"{day[:8]}01"

    def seconds_left(self, now_unix: float) -> int:
        """Until the next period begins, at least one."""
        now = datetime.fromtimestamp(now_unix, UTC)
        last = now.day if self.per == "day" else monthrange(now.year, now.month)[1]
        midnight = now.replace(day=last, hour=0, minute=0, second=0, microsecond=0)
        return max(1, round((midnight + timedelta(days=1) - now).total_seconds()))


def day_of(unix: float) -> str:
    """The day of UTC, as 2027-01-31."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d")


@dataclass(frozen=True, slots=True)
class Scopes:
    """The limits of a key; the defaults are none.

    routes: names of groups of routes, models: names that may be asked for, with * for any text; all where empty.
    ceiling: the strictest of server, key and request holds. requests, tokens: a minute. spend: at the verifier.
    record: which exchanges it may see and have forgotten, its owner's or everybody's.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    routes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    ceiling: Ceiling = "any"
    requests: _Number | None = None
    tokens: _Number | None = None
    spend: Spend | None = None
    record: Literal["own", "all"] = "own"


NO_LIMITS = Scopes()

_ADAPTER: TypeAdapter[Scopes] = TypeAdapter(Scopes)


def encode_scopes(scopes: Scopes) -> str:
    return _ADAPTER.dump_json(scopes).decode()


def decode_scopes(text: str | None) -> Scopes:
    """None is of a key from before there were scopes, and means no limits.

    Raises: pydantic.ValidationError (a ValueError) for anything else: a limit that is not understood is not lifted.
    """
    return NO_LIMITS if text is None else _ADAPTER.validate_json(text)
