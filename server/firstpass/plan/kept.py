"""What was measured on this machine, in one file: its rates, and what models took beside what was predicted."""

import json
import math
import os
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from firstpass.errors import BadSettings
from firstpass.plan.prediction import Correction
from firstpass.plan.rates import Rates
from firstpass.plan.ways import Way

FILE = "plan.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Measured:
    """Of a model as an engine ran it. predicted_first_seconds, predicted_token_seconds: without any correction.

    arguments, threads, preload: with which it was fastest.
    """

    model: str
    engine: str
    weights: str
    place: str
    prompt_tokens: int
    first_seconds: float
    token_seconds: float
    predicted_first_seconds: float
    predicted_token_seconds: float
    measured_unix: float
    engine_version: str = ""
    arguments: tuple[str, ...] = ()
    threads: int | None = None
    preload: tuple[str, ...] = ()

    @property
    def tuned(self) -> bool:
        return bool(self.arguments or self.threads or self.preload)


@dataclass(frozen=True, slots=True)
class Kept:
    """machine: which one it was; on another nothing of it holds."""

    machine: str
    rates: Rates | None = None
    measured: tuple[Measured, ...] = ()
    format: int = field(default=FORMAT)

    def of(self, way: Way) -> Measured | None:
        """The last of the model itself, as this way runs it."""
        same = (one for one in reversed(self.measured) if one.model == way.shape.name and _alike(one, way))
        return next((one for one in same if one.weights == way.weights), None)

    def correction(self, way: Way) -> Correction:
        """By what was measured of the model itself, else by the median of others that its engine ran as it comes."""
        own = self.of(way)
        those = [own] if own else [one for one in self.measured if _alike(one, way) and not one.tuned]
        if not those:
            return Correction()
        return Correction(
            statistics.median(one.token_seconds / one.predicted_token_seconds for one in those),
            statistics.median(one.first_seconds / one.predicted_first_seconds for one in those),
        )

    def with_(self, new: Measured) -> "Kept":
        """In the place of what was measured of it before."""
        key = (new.model, new.engine, new.weights, new.place)
        others = (one for one in self.measured if (one.model, one.engine, one.weights, one.place) != key)
        return Kept(self.machine, self.rates, (*others, new))


def _alike(one: Measured, way: Way) -> bool:
    return (one.engine, one.place) == (way.engine, way.place)


_KEPT = TypeAdapter(Kept)


def read(directory: Path, machine: str) -> Kept:
    """Nothing where there is no file, or one of another machine. Raises: BadSettings for one that can not be read."""
    path = directory / FILE
    try:
        found = _KEPT.validate_json(path.read_bytes())
    except FileNotFoundError:
        return Kept(machine)
    except OSError as error:
        raise BadSettings(f"{path} can not be read: {error.strerror}") from error
    except ValidationError as error:
        raise _damaged(path, error.errors()[0]["msg"]) from error
    if not all(0 < number < math.inf for number in _divisors(found)):
        raise _damaged(path, "it has rates or times that are no positive numbers")
    return found if (found.machine, found.format) == (machine, FORMAT) else Kept(machine)


def _damaged(path: Path, why: str) -> BadSettings:
    return BadSettings(f"{path} is damaged, `firstpass plan` makes another if it is removed: {why}")


def _divisors(found: Kept) -> Iterator[float]:
    """What predictions are divided by, or come to."""
    if rates := found.rates:
        yield from (rates.bytes_per_s, rates.flops, rates.operation_seconds)
    for one in found.measured:
        yield from (one.first_seconds, one.token_seconds, one.predicted_first_seconds, one.predicted_token_seconds)


def write(directory: Path, kept: Kept) -> None:
    """Whole or not at all. Raises: OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    beside = directory / f"{FILE}.{os.getpid()}"
    beside.write_text(json.dumps(asdict(kept), indent=1) + "\n", encoding="utf-8")
    beside.replace(directory / FILE)


def named(cpu_name: str, cores: int, memory_bytes: int, gpus: Sequence[str]) -> str:
    """A machine, as far as it decides about speed."""
    return "; ".join([f"{cpu_name}, {cores} cores, {memory_bytes / 1e9:.0f} GB", *gpus])
