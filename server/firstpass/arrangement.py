"""All that follows from the settings, made whole before any of it is used: who answers, by which rules and contracts.

A server has one at a time. Another one takes its place while requests go on, which end under the one they began with.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from firstpass import arms, assembly, drafting
from firstpass.allowance.keyring import Keyring
from firstpass.allowance.purse import PurseFor
from firstpass.allowance.seats import SeatedTier, Seats
from firstpass.assembly import Lead
from firstpass.cascade import Parts
from firstpass.contract import Learned, Shelf
from firstpass.desk import Desk, Threads
from firstpass.desk.recipe import Recipe
from firstpass.dialect.anthropic.write_request import foreign
from firstpass.dialect.openai.read_request import new_id
from firstpass.egress import EgressDoor
from firstpass.evidence.memory import forget
from firstpass.evidence.repository import Repositories
from firstpass.exchange import Ask, Receipt, Target, TierName
from firstpass.fleet import Fleet
from firstpass.fleet.tier import FleetTier
from firstpass.gate import Gate
from firstpass.gate.drift import Monitor
from firstpass.house import House
from firstpass.local_model import LocalModel
from firstpass.policy.escalation import EscalationPolicy, InArm
from firstpass.record import Record
from firstpass.redaction import Redactor
from firstpass.settings import Settings, VerifierSettings
from firstpass.spans import Spans
from firstpass.store import Store, settings_digest
from firstpass.tier import Tier
from firstpass.tier.ordered import OrderedTier, Verifier
from firstpass.tier.steady import SteadyTier
from firstpass.web.loading import Engines
from firstpass.web.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Premises:
    """What stays while arrangements change. aside: begins work on a thread. departed: records what leaves."""

    store: Store
    keyring: Keyring
    fleet: Fleet
    metrics: Metrics
    spans: Spans
    aside: Threads
    departed: Callable[[str, Receipt], Awaitable[Receipt]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A verifier: the door to it, and what asks it."""

    door: EgressDoor
    tier: SteadyTier


class Arrangement:
    """A context that a request is in for as long as it goes on. digest: of the settings, contracts and gates."""

    def __init__(self, settings: Settings, premises: Premises, before: "Arrangement | None" = None) -> None:
        """before: the one whose place it will take; it keeps those models that are as they were.

        Changes nothing that is in use, leaves no trace where it fails, and may be made on any thread.
        Raises: BadSettings, StoreFailed.
        """
        self.settings = settings
        self._users, self._idle = 0, asyncio.Event()
        self._premises = premises
        self.models: Mapping[str, LocalModel] = self._local_models(before.models if before else {})
        self.first, *self._further = self.models
        assembly.check_names(self.models, settings.verifiers)
        self._berths = drafting.berths(settings, self.models)
        self._budgets = drafting.budgets(settings, self._berths)
        self.engines = Engines(premises.fleet, self.models, self.first)
        self._rooms = assembly.rooms(settings, self._further)
        self.seats = Seats(self._rooms)
        self.purse = assembly.purse(settings, premises.store, premises.keyring)
        self._secrets = assembly.secrets(settings) if settings.ordered_verifiers else frozenset[str]()
        self._verifiers = self._asked()
        self._ordered = OrderedTier([self._verifier(name) for name in self._verifiers])
        self.shelf = Shelf.of(settings.server.contracts_dir)
        gates = assembly.read_gates(settings.policy.gates, self.shelf)
        gates_of_arms = arms.read_gates_of_arms(settings, self.shelf)
        told = assembly.described(settings, self.shelf)
        self.digest = settings_digest(told)
        repositories, learned = Repositories(settings.repositories_dir), self._learned()
        self._aliases: Mapping[str, Lead] = {}
        self._served, names = self._serves(), self._names()
        self._aliases = assembly.read_aliases(settings, names, tuple(self.models))
        self._house = self._first_house(names, repositories.names)
        every = {gate.name: gate for some in (gates, *gates_of_arms.values()) for gate in some}
        monitor = Monitor(tuple(every.values()))
        self.record = Record(premises.store, monitor, settings.policy.auditors, premises.metrics.show_gate)
        self.policy = self._escalation(gates, gates_of_arms)
        contracts = self.shelf.contracts(repositories.find, learned)
        recipe = Recipe(tuple(self.shelf.files.values()), settings.repositories_dir, learned)
        self.desk = Desk(recipe, contracts, premises.aside)
        self.parts = Parts(self.policy, self._tiers(), contracts, time.monotonic, self.desk, premises.spans)
        assembly.hold(self.shelf, premises.store)
        premises.store.hold_settings(told, time.time())

    def __enter__(self) -> "Arrangement":
        self._users += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        if not self._users:
            self._idle.set()

    def means(self, other: "Arrangement") -> bool:
        """Whether the other one would do the same. Two that differ in secrets alone have one digest."""
        ours, theirs = ((one.digest, one.settings, one._secrets) for one in (self, other))
        return ours == theirs

    async def unused(self) -> None:
        """Returns when no request goes on under it."""
        while self._users:
            self._idle.clear()
            await self._idle.wait()

    async def sit(self, ask: Ask) -> None:
        """Who goes to one verifier alone waits there, but not for one that is left alone, which refuses at once.

        Raises: Busy, Overloaded.
        """
        if ask.target != "strong" or not self._verifiers:
            await self.seats.sit(ask, "draft")
            return
        name, *others = [ask.verifier] if ask.verifier else self._verifiers
        if not others and not self._verifiers[name].tier.left_alone:
            await self.seats.sit(ask, "verifier", assembly.room(self.settings, name))

    async def sit_at(self, ask: Ask, tier: TierName) -> None:
        """Raises: Busy, Overloaded."""
        first = self._ordered.first(ask) if tier == "verifier" else None
        await self.seats.sit(ask, tier, assembly.room(self.settings, first.name) if first else None)

    def shadows(self, ask: Ask) -> Iterator[Ask]:
        """What is asked once more for the record alone, now that the ask was answered; each with an id of its own."""
        house = self.house
        found = next((one for one in house.experiments if one.name == ask.experiment), None)
        if found is not None and ask.shadows is None:
            named = replace(ask, engine=house.engine(ask.model), verifier=house.verifier(ask.model))
            for shadow in found.repeated(named):
                yield replace(shadow, id=new_id(), received_unix=time.time())

    async def warm(self) -> None:
        """What takes time before its first use."""
        await self.desk.warm()
        for asked in self._verifiers.values():
            if asked.door.hosted:
                await asyncio.to_thread(asked.door.redactor.load)

    def begin(self) -> None:
        """It is the server's from now on."""
        self._premises.fleet.arrange(self._berths, self._budgets, drafting.fleet_bounds(self.settings))
        self._premises.metrics.show_waiting(self._rooms)

    async def close(self) -> None:
        """Its models are the fleet's to end."""
        await self.desk.close()
        for asked in self._verifiers.values():
            await asked.door.aclose()

    @property
    def pinned(self) -> Sequence[LocalModel]:
        names = {berth.name for berth in self._berths if berth.pinned}
        return [model for name, model in self.models.items() if name in names]

    @property
    def house(self) -> House:
        """As it is now: what an engine that somebody else runs serves is known once it is there."""
        if (serves := self._serves()) != self._served:
            self._served, names = serves, self._names()
            engines = _engines({**names, **self._aliases})
            self._house = replace(self._house, models=_targets(names), engines=engines)
        return self._house

    def model(self, engine: str | None) -> LocalModel:
        return self.models[engine or self.first]

    def _in_asks(self, engine: str) -> str | None:
        """An engine as asks name it: the first is the one that they mean where they name none."""
        return None if engine == self.first else engine

    def _local_models(self, before: Mapping[str, LocalModel]) -> Mapping[str, LocalModel]:
        """One is as it was where it would be asked in the same way: how many prompts are counted at once is no reason
        to have it leave the memory and come back. Raises: BadSettings.
        """
        made: dict[str, LocalModel] = {}
        specs, premises = drafting.engine_specs(self.settings), self._premises
        for (name, spec), engine in zip(specs.items(), self.settings.draft_engines, strict=True):
            wanted, same = drafting.wanted(self.settings, engine), before.get(name)
            progress = partial(premises.metrics.engine_progress, name)
            if same is not None and (same.spec, replace(same.wanted, counts=wanted.counts)) == (spec, wanted):
                made[name] = same
            else:
                made[name] = LocalModel(spec, wanted, progress, premises.spans.onward)
        return made

    def _asked(self) -> Mapping[str, Asked]:
        """Raises: BadSettings."""
        verifiers = self.settings.ordered_verifiers
        if not verifiers:
            return {}
        redactor = assembly.redactor(self.settings, self._secrets)
        doors = {name: self._door(name, verifier, redactor) for name, verifier in verifiers.items()}
        return {name: Asked(doors[name], assembly.verifier_tier(one, doors[name])) for name, one in verifiers.items()}

    def _door(self, name: str, verifier: VerifierSettings, redactor: Redactor) -> EgressDoor:
        return EgressDoor(
            verifier.url,
            verifier.model,
            assembly.credentials(verifier),
            hosted=verifier.hosted,
            reply_seconds=verifier.reply_seconds,
            record=self._premises.departed,
            purse=PurseFor(self.purse, name),
            redactor=redactor,
        )

    def _first_house(self, names: Mapping[str, Lead], repositories: Callable[[], Sequence[str]]) -> House:
        """Raises: BadSettings."""
        settings, leads = self.settings, {**names, **self._aliases}
        house = House(
            _targets(names),
            self.shelf.pins,
            settings.policy.egress,
            repositories,
            _targets(self._aliases),
            assembly.unknown_target(settings),
            assembly.seeing({name: model.spec for name, model in self.models.items()}, settings.ordered_verifiers),
            engines=_engines(leads),
            verifiers=_verifiers(leads),
            settings=self.digest,
        )
        means = arms.Means(leads, self.shelf, house.sees, self._may_be_answered)
        return replace(house, experiments=arms.experiments(settings, means))

    def _may_be_answered(self, lead: Lead, ask: Ask) -> bool:
        """What a rule sends somewhere goes there, and not to the engine or the verifier of an arm."""
        rule = self.policy.rule(ask)
        if not ask.store:
            forget()  # It may never be run: where it finds no place, for one.
        return rule is None and (lead.target != "strong" or self._may_be_verified(ask))

    def _may_be_verified(self, ask: Ask) -> bool:
        """Whether a verifier alone may be asked it, and whichever is asked has words for it.

        Prompts that are no chats most hosted models do not take; who wants that of one asks for it by its name.
        """
        every = self.settings.ordered_verifiers
        those = [every[ask.verifier]] if ask.verifier else every.values()
        wordless = any(one.dialect == "anthropic" for one in those) and foreign(ask)
        return ask.kind == "chat" and not wordless and self.policy.may_be_verified(ask)

    def _escalation(self, gates: Sequence[Gate], gates_of_arms: Mapping[InArm, Sequence[Gate]]) -> EscalationPolicy:
        settings, there = self.settings, self._house.experiments
        return EscalationPolicy(
            assembly.whereabouts(settings.ordered_verifiers),
            assembly.rules(settings, tuple(self.models)),
            redrafts=self.models[self.first].wanted.constrains,
            redrafting=frozenset(name for name in self._further if self.models[name].wanted.constrains),
            gates=gates,
            broken=self.record.broken,
            audit_share=settings.policy.audit_share,
            measures=settings.policy.signals,
            escalates_early=settings.policy.early_escalation,
            score_floor=assembly.score_floor(settings.ordered_verifiers),
            score_floors={name: assembly.score_floor({name: one}) for name, one in settings.verifiers.items()},
            verifiers={name: assembly.whereabouts({name: one}) for name, one in settings.verifiers.items()},
            may_be_asked=self._ordered.may_be_asked,
            arms={(one.name, arm.name): arm.target for one in there for arm in one.arms if arm.target},
            gates_of_arms=gates_of_arms,
        )

    def _learned(self) -> Mapping[str | None, Learned]:
        engines = zip(self.models.items(), self.settings.draft_engines, strict=True)
        return {
            self._in_asks(name): Learned(model.spec.contracts, model.spec.least_told, engine.holds_form)
            for (name, model), engine in engines
        }

    def _tiers(self) -> Mapping[TierName, Tier]:
        models = {self._in_asks(name): model for name, model in self.models.items()}
        draft = FleetTier(self._premises.fleet, models)
        seated: dict[TierName, Tier] = {"draft": SeatedTier("draft", draft, self.seats)}
        if self._verifiers:
            seated["verifier"] = self._ordered
        return seated

    def _verifier(self, name: str) -> Verifier:
        asked, wanted = self._verifiers[name], self.settings.ordered_verifiers[name]
        room = assembly.room(self.settings, name)
        tier = SeatedTier("verifier", asked.tier, self.seats, asked.tier.check, room)
        return Verifier(name, tier, wanted.hosted, wanted.ceiling, assembly.sees(wanted))

    def _serves(self) -> Sequence[str | None]:
        return [model.engine.served for model in self.models.values()]

    def _names(self) -> Mapping[str, Lead]:
        """The names that a caller may give, and the engine that each means if it is another than the first.

        An engine's own name and its model's mean the engine; where several serve one model, the first of them.
        """
        names = {"firstpass": Lead("cascade"), "local": Lead("local")}
        names |= {"strong": Lead("strong")} if self._verifiers else {}
        names |= {name: Lead("local", self._in_asks(name)) for name in self.models}
        names |= {name: Lead("strong", None, name) for name in self.settings.verifiers}
        for name, model in self.models.items():
            own = model.engine.served
            if own is not None and own not in names and own not in self._aliases:
                names[own] = Lead("local", self._in_asks(name))
        return names


def _targets(names: Mapping[str, Lead]) -> Mapping[str, Target]:
    return {name: lead.target for name, lead in names.items()}


def _engines(names: Mapping[str, Lead]) -> Mapping[str, str]:
    """Of those that mean another engine than the first."""
    return {name: lead.engine for name, lead in names.items() if lead.engine is not None}


def _verifiers(names: Mapping[str, Lead]) -> Mapping[str, str]:
    """Of those that mean one verifier alone."""
    return {name: lead.verifier for name, lead in names.items() if lead.verifier is not None}
