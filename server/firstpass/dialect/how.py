"""The `firstpass` object of an answer, described: how it was made. For the document alone; `render.how` writes it."""

from typing import Literal

from pydantic import BaseModel

from firstpass.chat import Usage
from firstpass.exchange import Finding, Judgement, Receipt, Route


class HowStep(BaseModel):
    """One step, without its text.

    seconds, first_token_seconds: of the model's reply; the latter where it streamed. checks_seconds: of code alone.
    """

    tier: Literal["draft", "verifier", "code"]
    purpose: Literal["answer", "draft", "redraft", "score", "verify", "mend"]
    rule: str | None
    model: str | None
    seconds: float | None
    first_token_seconds: float | None
    checks_seconds: float | None
    usage: Usage | None
    finish_reason: str | None
    failed_checks: int
    signals: dict[str, float]
    failure: str | None


class How(BaseModel):
    """exchange: its id in the record. experiment, arm: what it is a part of, if it is.

    findings: what the checks saw in the answer. gate: what it said of the draft.
    """

    exchange: str
    route: Route
    contract: str | None
    experiment: str | None
    arm: str | None
    findings: list[Finding]
    gate: Judgement | None
    steps: list[HowStep]
    receipts: list[Receipt]
    seconds: float | None
