"""A calibrated gate and the file that holds it. A changed file is another gate: its name ends with its digest."""

import json
import math
from collections.abc import Set
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from firstpass.chat import Sampling
from firstpass.errors import BadSettings
from firstpass.exchange import Ask, GateReason, Judgement, Step
from firstpass.gate.bounds import Promise
from firstpass.gate.score import Score

STEERING = (
    *("top_p", "top_k", "stop", "logit_bias", "presence_penalty", "frequency_penalty"),
    *("min_p", "repetition_penalty", "chat_template_kwargs", "reasoning_effort", "thinking_tokens"),
)
"""Fields of `Sampling` with which a model says something else."""

DIGITS = 8
"""Of the digest, in a gate's name."""


@dataclass(frozen=True, slots=True)
class Gate:
    """For the drafts of one model under one version of a contract.

    language: for diffs whose files that a grammar reads are all in this one. key: for requests with the API key of this
    id. None is for all.
    accept_from: the lowest score that is accepted; None accepts all that pass the checks.
    most_bytes: of the inputs that it was calibrated on. fitted_on, calibrated_on: repositories, and how many drafts of
    each.
    """

    contract: str
    model: str
    score: Score
    accept_from: float | None
    promise: Promise
    most_bytes: int
    fitted_on: dict[str, int]
    calibrated_on: dict[str, int]
    made_unix: float
    version: str
    language: str | None = None
    key: str | None = None

    @property
    def whose(self) -> tuple[str, str | None, str | None]:
        """What it is for; two gates for the same contradict each other."""
        return self.contract, self.key, self.language

    @property
    def narrowness(self) -> tuple[bool, bool]:
        """Of gates that fit a request, the one with the highest counts."""
        return self.key is not None, self.language is not None

    def fits(self, ask: Ask, languages: Set[str]) -> bool:
        """languages: those of the ask's diff."""
        of_language = self.language is None or languages == {self.language}
        return ask.contract == self.contract and self.key in (None, ask.key) and of_language

    @property
    def name(self) -> str:
        digest = sha256(self.text().encode()).hexdigest()
        return f"{self.contract}-{digest[:DIGITS]}"

    def judge(self, draft: Step, ask: Ask, *, broken: bool = False, drawn: bool = False) -> Judgement:
        """broken: audits say that the promise does not hold any more. drawn: the exchange is one to audit."""
        score, by = self.score.of(draft.signals), self._reason(draft, ask, broken)
        floor = -math.inf if self.accept_from is None else self.accept_from
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

    def _reason(self, draft: Step, ask: Ask, broken: bool) -> GateReason:
        if broken:
            return "broken promise"
        if draft.reply is None or draft.reply.model != self.model:
            return "another model"
        if steered(ask.sampling):
            return "another decoding"
        if input_bytes(ask) > self.most_bytes:
            return "a larger input"
        return "score" if "least_logprob" in draft.signals else "no log-probabilities"

    def text(self) -> str:
        """The file's. What is for all does not say so: a gate from before this could be said keeps its name."""
        fields = {name: value for name, value in asdict(self).items() if name not in ("language", "key") or value}
        return json.dumps(fields, indent=1, ensure_ascii=False) + "\n"


def load_gate(path: Path) -> Gate:
    """Raises: BadSettings with the file and the field that are wrong."""
    try:
        return TypeAdapter(Gate).validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise BadSettings(f"gate {path}: {error.strerror}") from error
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise BadSettings(f"gate {path}: {'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}") from error


def input_bytes(ask: Ask) -> int:
    return sum(len(message.content.encode("utf-8", "replace")) for message in ask.messages)


def steered(sampling: Sampling) -> bool:
    """Whether the caller changes what the model would say; a temperature of 0 is what contracts ask for themselves."""
    asked = (getattr(sampling, name) for name in STEERING)
    return bool(sampling.temperature or sampling.thinks_adaptively) or any(value is not None for value in asked)
