"""Which arm of an experiment a request is in, by nothing but the request itself. Knows no model, settings or HTTP.

What a request says itself no arm changes: one that says what the arms differ in is in no experiment, as is one that an
arm could not answer. Whether it takes part is so decided before the arm is drawn, and is the same for all of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from firstpass.exchange import Ask, Target
from firstpass.linear import fits

SHADOW_PATIENCE = 0.0
"""In seconds: where no place is free at once, a shadow is not asked."""

SAYING: Mapping[str, tuple[str, ...]] = {"reasoning_effort": ("thinking_tokens", "thinks_adaptively")}
"""Of fields of `Sampling`, others in which a request says the same."""


@dataclass(frozen=True, slots=True)
class Arm:
    """What is done otherwise with its requests.

    share: of those that its experiment takes, from 0 to 1; of a shadow, of those that are in another arm. keys: ids of
    API keys whose requests it has; values: of the experiment's header.
    target: who answers where no routing rule says so, and with it engine, verifier: as an ask has them. None: whom the
    request names.
    contract: with its version; every arm of an experiment has one, or none has. decoding: fields of `Sampling`.
    sees: whether who answers takes images. answers: whether it may be asked a request, as that arm has it, and can be.
    shadow: it answers nobody, and is asked once another arm has answered.
    """

    name: str
    share: float = 0.0
    keys: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    target: Target | None = None
    engine: str | None = None
    verifier: str | None = None
    contract: str | None = None
    decoding: Mapping[str, Any] | None = None
    sees: bool = True
    shadow: bool = False
    answers: Callable[[Ask], bool] = lambda _: True


@dataclass(frozen=True, slots=True)
class Experiment:
    """models: the names that its requests ask for, with * for any text; without any, it takes what the cascade is asked
    for.

    contracts: without versions, `none` for requests that have none; without any, it takes requests of all. header: by
    whose value its arms have their requests, in lower case.
    """

    name: str
    arms: tuple[Arm, ...]
    models: tuple[str, ...] = ()
    contracts: tuple[str, ...] = ()
    header: str | None = None

    @property
    def _differ(self) -> set[str]:
        """The fields of `Sampling` that any arm says."""
        return {field for arm in self.arms for field in arm.decoding or ()}

    def takes(self, ask: Ask, *, pinned: bool) -> bool:
        """pinned: the request itself says which version of its contract it wants."""
        if self.models:
            named = any(fits(pattern, ask.model) for pattern in self.models)
        else:
            named = ask.target == "cascade" and ask.engine is None and ask.verifier is None
        says = {name for field in self._differ for name in (field, *SAYING.get(field, ()))}
        images = any(message.images for message in ask.messages)
        return (
            named
            and ask.kind != "embedding"
            and (not self.contracts or (ask.contract or "none").partition("@")[0] in self.contracts)
            and not (pinned and any(arm.contract for arm in self.arms))
            and all(getattr(ask.sampling, name) is None for name in says)
            and (not images or all(arm.sees for arm in self.arms))
            and all(arm.answers(self.in_arm(ask, arm)) for arm in self.arms)
        )

    def arm(self, ask: Ask, value: str | None, before: Ask | None = None) -> Arm | None:
        """The one that answers, if any does. value: of the header. before: the request that this one goes on with."""
        live = [arm for arm in self.arms if not arm.shadow]
        if before is not None and before.experiment == self.name:
            kept = next((arm for arm in live if arm.name == before.arm), None)
            if kept is not None:
                return kept
        by_name = next((arm for arm in live if ask.key in arm.keys or value in arm.values), None)
        if by_name is not None:
            return by_name
        drawn, upto = _drawn(self.name, ask), 0.0
        for arm in live:
            upto += arm.share
            if drawn < upto:
                return arm
        return None

    def repeated(self, ask: Ask) -> Iterator[Ask]:
        """What its shadows are asked once the request was answered, without ids and times of their own.

        ask: as it came, but for what an arm has of it.
        """
        for arm in self.arms:
            if arm.shadow and _drawn(f"{self.name}\0{arm.name}", ask) < arm.share:
                alone = replace(ask, shadows=ask.id, stream=False, optimistic=False, patience_seconds=SHADOW_PATIENCE)
                yield self.in_arm(alone, arm)

    def in_arm(self, ask: Ask, arm: Arm) -> Ask:
        """The request as that arm has it, whatever arm it was in. Where it goes is for the policy to say."""
        decoding = dict.fromkeys(self._differ) | dict(arm.decoding or {})
        sampling = replace(ask.sampling, **decoding) if decoding else ask.sampling
        contract = arm.contract or ask.contract
        ask = replace(ask, experiment=self.name, arm=arm.name, contract=contract, sampling=sampling)
        return ask if arm.target is None else replace(ask, engine=arm.engine, verifier=arm.verifier)


def placed(
    experiments: Sequence[Experiment],
    ask: Ask,
    headers: Mapping[str, str],
    *,
    pinned: bool,
    before: Ask | None = None,
) -> Ask:
    """The request in its arm of the first experiment that takes it, where one does. headers: with any case."""
    for experiment in experiments:
        if experiment.takes(ask, pinned=pinned):
            value = headers.get(experiment.header) if experiment.header else None
            arm = experiment.arm(ask, value, before)
            return ask if arm is None else experiment.in_arm(ask, arm)
    return ask


def _drawn(salt: str, ask: Ask) -> float:
    """From 0 to 1, the same for all that a session asks; without one, for all of a user; else for the request alone."""
    said = ask.session or ask.user
    unit = ask.id if said is None else f"{ask.key or ''}\0{said}"
    return int.from_bytes(sha256(f"{salt}\0{unit}".encode("utf-8", "replace")).digest()[:8]) / 2**64
