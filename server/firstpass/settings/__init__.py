"""One frozen Settings, from a TOML file and the environment; an unknown key is an error. Read by app and cli alone.

The file is the one named by --config or FIRSTPASS_CONFIG. A variable FIRSTPASS_<SECTION>__<KEY>, such as
FIRSTPASS_SERVER__PORT, wins over the file; of several engines and verifiers, FIRSTPASS_ENGINES__<NAME>__<KEY> (in small
letters).
"""

import os
import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from firstpass.errors import BadSettings
from firstpass.settings.engine import EngineSettings
from firstpass.settings.experiment import ArmSettings, ExperimentSettings
from firstpass.settings.fleet import FleetSettings
from firstpass.settings.policy import PolicySettings
from firstpass.settings.redaction import RedactionSettings
from firstpass.settings.section import IN_ADDRESS, Section
from firstpass.settings.server import Server
from firstpass.settings.telemetry import TelemetrySettings
from firstpass.settings.verifier import VerifierSettings

__all__ = [
    "ArmSettings",
    "EngineSettings",
    "ExperimentSettings",
    "PolicySettings",
    "Server",
    "Settings",
    "TelemetrySettings",
    "VerifierSettings",
    "load",
]

PREFIX = "FIRSTPASS_"
ENGINE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
RESERVED = {"firstpass", "cascade", "local", "strong", "draft", "verifier", "code"}
"""Names of models, of targets and of tiers that no engine and no verifier may have."""

NAMED = ("engines", "verifiers")
"""Sections of tables that have names of the operator's."""

OTHER_VARIABLES = {
    *("FIRSTPASS_CONFIG", "FIRSTPASS_URL", "FIRSTPASS_API_KEY", "FIRSTPASS_CA"),
    *("FIRSTPASS_VENV", "FIRSTPASS_TORCH_INDEX"),
}
"""Variables with our prefix that are not settings: they belong to the client commands and to scripts/."""


class AliasSettings(Section):
    model: str = Field(description="firstpass, local or strong.")
    engine: str | None = Field(None, description="Which of several engines drafts for it.")
    verifier: str | None = Field(None, description="Which of several verifiers is asked for it, and no other.")


class Settings(Section):
    server: Server = Server()
    engine: EngineSettings = EngineSettings()
    engines: dict[Annotated[str, Field(pattern=ENGINE_NAME)], EngineSettings] = Field(
        {},
        description="Several engines, each in a table `engines.NAME`, in the place of `engine`. Callers ask for one by"
        " its NAME or its model's; `firstpass` and `local` mean the first.",
    )
    fleet: FleetSettings = FleetSettings()
    verifier: VerifierSettings | None = None
    verifiers: dict[Annotated[str, Field(pattern=ENGINE_NAME)], VerifierSettings] = Field(
        {},
        description="Several verifiers, each in a table `verifiers.NAME`, in the place of `verifier`. `strong` and the"
        " cascade ask the first that may be asked, and the next where it fails; by its NAME a caller asks one alone.",
    )
    policy: PolicySettings = PolicySettings()
    redaction: RedactionSettings = RedactionSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    aliases: dict[str, str | AliasSettings] = Field(
        {},
        description="Further model names that callers may give, and what each means: firstpass, local, strong or an"
        " engine; or a table of `model` and `engine`, such as the cascade with another engine. A name may have * in it;"
        " of several that fit, the first counts, after those without.",
    )
    experiments: dict[Annotated[str, Field(pattern=ENGINE_NAME)], ExperimentSettings] = Field(
        {},
        description="Requests that are split between models, versions of a contract, gates or ways to decode, each in a"
        " table `experiments.NAME`.",
    )

    @model_validator(mode="after")
    def _has_one_kind_of_engines(self) -> Self:
        if self.engines and "engine" in self.model_fields_set:
            raise ValueError("engine and engines exclude each other: put it among them, the first one by its place")
        if twice := RESERVED & self.engines.keys():
            raise ValueError(f"engines.{min(twice)}: the name has a meaning of its own; give the engine another")
        return self

    @model_validator(mode="after")
    def _has_one_kind_of_verifiers(self) -> Self:
        if self.verifiers and self.verifier is not None:
            raise ValueError("verifier and verifiers exclude each other: put it among them, in its place of the order")
        if twice := (RESERVED | self.engines.keys()) & self.verifiers.keys():
            raise ValueError(f"verifiers.{min(twice)}: the name has a meaning already; give the verifier another")
        return self

    @model_validator(mode="after")
    def _has_prices(self) -> Self:
        if self.policy.keyless_usd_a_day is not None and not self.priced:
            raise ValueError("policy.keyless_usd_a_day needs the prices of a verifier: verifier.usd_per_million_...")
        return self

    @property
    def ordered_verifiers(self) -> Mapping[str, VerifierSettings]:
        """By name, in the order in which they are asked; the only one is called as its route is."""
        return self.verifiers or ({} if self.verifier is None else {"strong": self.verifier})

    @property
    def priced(self) -> bool:
        """Whether there is a verifier, and each has its prices: a spend cap needs them."""
        every = self.ordered_verifiers.values()
        return bool(every) and all(one.usd_per_million_input_tokens is not None for one in every)

    @property
    def draft_engines(self) -> tuple[EngineSettings, ...]:
        return tuple(self.engines.values()) or (self.engine,)

    @property
    def first_engine(self) -> EngineSettings:
        """The one that is meant where none is named."""
        return self.draft_engines[0]

    @property
    def models_dir(self) -> Path:
        return self.models_dir_of(self.engine)

    def models_dir_of(self, engine: EngineSettings) -> Path:
        return engine.models_dir or self.server.data_dir / "models"

    @property
    def repositories_dir(self) -> Path:
        """Of the indexes that `firstpass index` makes."""
        return self.server.data_dir / "repositories"


def load(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Raises: BadSettings that names the key and where it stands."""
    named = environment.get("FIRSTPASS_CONFIG")
    config = path or (Path(named) if named else None)
    values = _read(config) if config else {}
    for name, value in environment.items():
        if name.startswith(PREFIX) and name not in OTHER_VARIABLES:
            _set(values, name, value)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        lines = "; ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors())
        raise BadSettings(f"bad settings: {IN_ADDRESS.sub('***@', lines)}") from None
    except BadSettings as error:
        raise BadSettings(IN_ADDRESS.sub("***@", str(error))) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadSettings(f"bad settings file {path}: {error}") from error


def _set(values: dict[str, Any], name: str, value: str) -> None:
    section, separator, key = name.removeprefix(PREFIX).lower().partition("__")
    if not separator:
        raise BadSettings(f"unknown variable {name}; settings read {PREFIX}<SECTION>__<KEY>")
    field = _table(values, section, section)
    if section in NAMED:
        named, separator, key = key.partition("__")
        if not separator:
            raise BadSettings(f"unknown variable {name}; settings read {PREFIX}{section.upper()}__<NAME>__<KEY>")
        named = next((one for one in field if re.sub("[.-]", "_", one.lower()) == named), named)
        field = _table(field, named, f"{section}.{named}")
    if key in ("allowed_hosts", "trusted_proxies", "allowed_startup_files", "preload"):
        field[key] = [host.strip() for host in value.split(",") if host.strip()]
    else:
        field[key] = shlex.split(value) if key == "extra_args" else value


def _table(values: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    """Raises: BadSettings."""
    table = values.setdefault(name, {})
    if not isinstance(table, dict):
        raise BadSettings(f"{where} must be a table")
    return table
