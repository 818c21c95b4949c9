"""What this server has and allows, as a request may name it. Knows no request, dialect or model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from firstpass.errors import Forbidden, NotFound
from firstpass.exchange import OWN_NAMES, Ceiling, Target, strictest
from firstpass.experiments import Experiment
from firstpass.linear import fits

SHOWN = 200
"""Characters of a model's name that an error repeats."""


@dataclass(frozen=True, slots=True)
class House:
    """The names that a request may say.

    models: the names a caller may give, and where each leads. contracts: likewise, and the version that each means.
    ceiling: the server's own, which a request can only make stricter. repositories: those that are indexed now.
    aliases: further names of models, some with a * in them. unknown: who answers for a name that is none of these; the
    house's own names are never unknown ones. seeing: where each model that may answer takes images;
    further engines by their own names.
    engines: of those names, and of aliases, that mean another model on this machine than the first, which that is.
    verifiers: of names and aliases, those that mean one of several verifiers alone.
    settings: the digest of those that this follows from.
    experiments: that a request may be a part of, in the order in which they take it.
    permitted: the names that the caller's key may say, with * for any text; all where there are none.
    """

    models: Mapping[str, Target]
    contracts: Mapping[str, str]
    ceiling: Ceiling
    repositories: Callable[[], Sequence[str]] = tuple
    aliases: Mapping[str, Target] = field(default_factory=dict)
    unknown: Literal["cascade", "local"] | None = None
    seeing: frozenset[str] = frozenset()
    engines: Mapping[str, str] = field(default_factory=dict)
    verifiers: Mapping[str, str] = field(default_factory=dict)
    settings: str | None = None
    experiments: tuple[Experiment, ...] = ()
    permitted: tuple[str, ...] = ()

    def narrowed(self, permitted: tuple[str, ...], ceiling: Ceiling) -> "House":
        """As it is for the holder of a key."""
        return replace(self, permitted=permitted, ceiling=strictest(self.ceiling, ceiling))

    @property
    def names(self) -> tuple[str, ...]:
        """Of models, all that can be listed."""
        every = (*self.models, *(name for name in self.aliases if "*" not in name))
        return tuple(name for name in every if self.permits(name))

    def permits(self, model: str) -> bool:
        return not self.permitted or any(fits(pattern, model) for pattern in self.permitted)

    def known(self, model: str) -> Target | None:
        exact = self.models.get(model) or self.aliases.get(model)
        fitting = (target for name, target in self.aliases.items() if fits(name, model))
        return exact or next(fitting, None)

    def target(self, model: str) -> Target:
        """Raises: NotFound, Forbidden."""
        self.check(model)
        found = self.known(model) or (None if model in OWN_NAMES.values() else self.unknown)
        if found is None:
            raise self.no_model(model)
        return found

    def engine(self, model: str) -> str | None:
        """Which model on this machine that is the name of; None: the first, where it is one at all."""
        meant = self._meant(model)
        return None if meant is None else self.engines.get(meant)

    def verifier(self, model: str) -> str | None:
        """Which verifier alone that is the name of; None: none alone, where it is one at all."""
        meant = self._meant(model)
        return None if meant is None else self.verifiers.get(meant)

    def _meant(self, model: str) -> str | None:
        """The name or the alias that it is, of those that there are."""
        named = model in self.models or model in self.aliases
        return model if named else next((name for name in self.aliases if fits(name, model)), None)

    def check(self, model: str) -> None:
        """Raises: Forbidden, as the OpenAI API says that a project may not use a model."""
        if not self.permits(model):
            message = f"this API key may not use the model {model[:SHOWN]!r}, only {', '.join(self.permitted)}"
            raise Forbidden(message, param="model", code="model_not_found")

    def sees(self, model: object) -> bool:
        """Whether who answers for that name takes images; no for a name that nothing answers for."""
        if not isinstance(model, str):
            return False
        engine, verifier = self.engine(model), self.verifier(model)
        target = self.known(model) or self.unknown
        if target is None or (engine is None and verifier is None):
            return target in self.seeing
        drafts = target == "strong" or (engine or "local") in self.seeing
        verified = target != "local" and "strong" in self.models
        return drafts and (not verified or (verifier or "strong") in self.seeing)

    def no_model(self, name: str) -> NotFound:
        message = f"unknown model {name[:SHOWN]!r}; this server has {', '.join(self.names)}"
        return NotFound(message, param="model", code="model_not_found")
