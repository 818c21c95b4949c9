"""The sections `experiments.NAME`: requests are split between arms, and the record says which one each was in."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from firstpass.settings.section import Section

WAYS = ("share", "keys", "values")
"""In which requests are split; an experiment has one."""

SLACK = 1e-9
"""Of shares that are to make 1: three thirds do."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class ArmSettings(Section):
    """What is not said is as it is without the experiment."""

    share: float | None = Field(
        None, gt=0, le=1, description="Of the requests, where they are split by shares; of a shadow, 1 by default."
    )
    keys: tuple[str, ...] = Field((), description="Owners of API keys, where they are split by keys.")
    values: tuple[str, ...] = Field((), description="Of the experiment's header, where they are split by that.")
    model: str | None = Field(
        None,
        description="Who answers: firstpass, local, strong, an engine, a verifier or an alias. Rules come first.",
    )
    contract: str | None = Field(None, description="NAME@VERSION, of the one contract that the experiment is about.")
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    gates: tuple[Path, ...] | None = Field(
        None, description="In the place of policy.gates: files that `firstpass calibrate` made; an empty list for none."
    )
    shadow: bool = Field(
        False,
        description="It answers nobody: once another arm has answered, it is asked the same, under the same ceilings,"
        " and recorded. What it costs counts against the key of the request that it repeats.",
    )

    @property
    def decoding(self) -> dict[str, object]:
        fields = {name: getattr(self, name) for name in ("temperature", "top_p", "reasoning_effort")}
        return {name: value for name, value in fields.items() if value is not None}


class ExperimentSettings(Section):
    """The first experiment that takes a request has it alone."""

    models: tuple[str, ...] = Field(
        (),
        description="Names that requests for it ask for, with * for any text; by default all that mean the cascade.",
    )
    contracts: tuple[str, ...] = Field(
        (), description="Names without versions; `none` for requests without one; by default all."
    )
    header: str | None = Field(
        None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$", description="Of requests, by whose value they are split."
    )
    arms: dict[Name, ArmSettings] = Field(
        description="Tables `experiments.NAME.arms.NAME`; the first is what the others are compared with."
    )

    @field_validator("header")
    @classmethod
    def _is_no_option(cls, header: str | None) -> str | None:
        if header is not None and header.lower().startswith("x-firstpass-"):
            raise ValueError("headers that begin with x-firstpass- are options of requests; take another")
        return header.lower() if header else None

    @model_validator(mode="after")
    def _splits(self) -> Self:
        if len(self.arms) < 2:
            raise ValueError("arms: an experiment has at least two")
        live = {name: arm for name, arm in self.arms.items() if not arm.shadow}
        if not live or next(iter(self.arms)) not in live:
            raise ValueError("arms: the first one has to answer, and so can be no shadow")
        for name, arm in self.arms.items():
            if arm.shadow and (arm.keys or arm.values):
                raise ValueError(f"arms.{name}: a shadow has a share of what the others answer, no keys and no values")
        ways = [[way for way in WAYS if getattr(arm, way)] for arm in live.values()]
        if len(ways[0]) != 1 or any(way != ways[0] for way in ways):
            raise ValueError("arms: each that is no shadow needs a share, or each keys, or each values of the header")
        if (ways[0] == ["values"]) != (self.header is not None):
            raise ValueError("header and the arms' values belong together")
        if sum(arm.share or 0 for arm in live.values()) > 1 + SLACK:
            raise ValueError("arms: their shares make more than 1")
        said = [one for arm in live.values() for one in (*arm.keys, *arm.values)]
        if len(set(said)) != len(said):
            raise ValueError(f"arms: {next(one for one in said if said.count(one) > 1)!r} is said twice")
        self._is_about_one_contract()
        return self

    def _is_about_one_contract(self) -> None:
        """Raises: ValueError where arms have versions of anything else than the one contract that it is about."""
        for name, arm in self.arms.items():
            if arm.contract is not None and self.contracts != (arm.contract.partition("@")[0],):
                raise ValueError(f"arms.{name}.contract: the experiment's `contracts` has to name it, and no other")
