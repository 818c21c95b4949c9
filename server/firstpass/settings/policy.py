"""The section `policy`: where requests go, and what may leave the machine."""

from pathlib import Path
from typing import Literal, Self

from pathspec import GitIgnoreSpec
from pydantic import Field, field_validator, model_validator

from firstpass.evidence import LanguageName
from firstpass.linear import Expression, NotLinear
from firstpass.settings.section import Section


class RuleSettings(Section):
    """Every condition that is named must hold."""

    name: str = Field(min_length=1, description="Said in the record, and in errors where the rule can not be met.")
    then: Literal["strong", "local", "cascade"] = Field(description="Where a request that fits goes.")
    engine: str | None = Field(
        None, description="Which of several engines drafts it there; by default the one that was asked for."
    )
    verifier: str | None = Field(None, description="Which of several verifiers is asked, and no other.")
    paths: tuple[str, ...] = Field((), description="Patterns as in .gitignore, for a changed file's old or new path.")
    languages: tuple[LanguageName, ...] = Field((), description="Of a changed file.")
    contracts: tuple[str, ...] = Field((), description="Names without versions; `none` for a request without one.")
    keys: tuple[str, ...] = Field((), description="Owners of API keys, as `firstpass keys list` shows them.")
    over_bytes: int | None = Field(None, ge=0, description="Of all messages together, with their images in base64.")
    over_changed_lines: int | None = Field(None, ge=0, description="Added and removed lines of the diff.")
    over_openings: int | None = Field(
        None, ge=0, description="Names that the diff may newly call: a cheap estimate of how hard it is."
    )
    text: str | None = Field(None, description="A regular expression, in RE2's syntax, looked for in all messages.")

    @field_validator("text")
    @classmethod
    def _is_an_expression(cls, text: str | None) -> str | None:
        try:
            Expression(text or "")
        except NotLinear as error:
            raise ValueError(f"the expression {error}") from error
        return text

    @model_validator(mode="after")
    def _names_whom_it_asks(self) -> Self:
        if self.engine is not None and self.then == "strong":
            raise ValueError("engine: nobody drafts what goes to the strong model")
        if self.verifier is not None and self.then == "local":
            raise ValueError("verifier: nobody verifies what goes to the local model")
        return self

    @field_validator("paths")
    @classmethod
    def _are_patterns(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        GitIgnoreSpec.from_lines(paths)
        return paths


class PolicySettings(Section):
    egress: Literal["local-only", "redacted", "any"] = Field(
        "local-only", description="The ceiling for every request; a key or a request may only ask for a stricter one."
    )
    rules: tuple[RuleSettings, ...] = Field(
        (), description="Looked at in this order for each request to the cascade; the first that fits decides."
    )
    gates: tuple[Path, ...] = Field(
        (),
        description="Files that `firstpass calibrate` made, each for the engine's model. Of those that fit a request"
        " the narrowest counts: key before language before neither; two for the same requests are an error.",
    )
    keyless_usd_a_day: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="What all callers without an API key together may cost at the verifier in a day of UTC, by its"
        " prices. Keys have caps of their own.",
    )
    audit_share: float = Field(
        0.05, ge=0, le=1, description="Of the answers that a gate accepts, how many are marked to be labelled."
    )
    auditors: tuple[str, ...] = Field(
        (), description="Owners of the API keys whose labels of marked answers count; by default every caller's do."
    )
    early_escalation: bool = Field(
        False,
        description="Cut a draft off as soon as a line of it has a fault that would end at the verifier, which then"
        " answers in its place.",
    )
    signals: bool = Field(
        False, description="Record what a gate would look at for every checked draft, also where there is no gate."
    )
