"""A calibrated gate and the file that holds it. A changed file is another gate: its name ends with its digest."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from firstpass.errors import BadSettings
from firstpass.exchange import Judgement
from firstpass.gate.bounds import Promise
from firstpass.gate.score import Score

DIGITS = 8
"""Of the digest, in a gate's name."""


@dataclass(frozen=True, slots=True)
class Gate:
    """For the drafts of one model under one version of a contract.

    accept_from: the lowest score that is accepted; None accepts all that pass the checks.
    fitted_on, calibrated_on: repositories, and how many drafts of each.
    """

    contract: str
    model: str
    score: Score
    accept_from: float | None
    promise: Promise
    fitted_on: dict[str, int]
    calibrated_on: dict[str, int]
    made_unix: float
    version: str

    @property
    def name(self) -> str:
        digest = sha256(self.text().encode()).hexdigest()
        return f"{self.contract}-{digest[:DIGITS]}"

    def judge(
        self, model: str, signals: Mapping[str, float], *, broken: bool = False, drawn: bool = False
    ) -> Judgement:
        """model: who drafted. broken: audits say that the promise does not hold any more. drawn: for an audit."""
        score = self.score.of(signals)
        floor = -math.inf if self.accept_from is None else self.accept_from
        by: Literal["score", "broken promise", "another model", "no log-probabilities"] = "score"
        if broken:
            by = "broken promise"
        elif model != self.model:
            by = "another model"
        elif "least_logprob" not in signals:
            by = "no log-probabilities"
        accepted, promise = by == "score" and score >= floor, self.promise
        return Judgement(
            self.name,
            score,
            self.accept_from,
            accepted,
            by,
            promise.risk,
            promise.confidence,
            promise.accepted_risk,
            audit=accepted and drawn,
        )

    def text(self) -> str:
        """The file's."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def load_gate(path: Path) -> Gate:
    """Raises: BadSettings with the file and the field that are wrong."""
    try:
        return TypeAdapter(Gate).validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise BadSettings(f"gate {path}: {error.strerror}") from error
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise BadSettings(f"gate {path}: {'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}") from error
