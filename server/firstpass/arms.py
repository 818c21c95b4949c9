"""From the settings to the experiments of a server. It starts nothing, and knows no request."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from firstpass.assembly import Lead, read_gates
from firstpass.contract import Shelf
from firstpass.errors import BadSettings
from firstpass.exchange import Ask
from firstpass.experiments import Arm, Experiment
from firstpass.gate import Gate
from firstpass.linear import fits
from firstpass.policy.escalation import InArm
from firstpass.settings import ArmSettings, ExperimentSettings, Settings


def read_gates_of_arms(settings: Settings, shelf: Shelf) -> Mapping[InArm, Sequence[Gate]]:
    """Of each arm, by its experiment's name and its own, that has gates in the place of everybody's.

    Raises: BadSettings.
    """
    return {
        (name, one): read_gates(arm.gates, shelf, f"experiments.{name}.arms.{one}.gates")
        for name, experiment in settings.experiments.items()
        for one, arm in experiment.arms.items()
        if arm.gates is not None
    }


@dataclass(frozen=True, slots=True)
class Means:
    """What there is to experiment with.

    leads: of every name that a request may give. sees: whether who answers for a name takes images. answers: whether
    a request, directed to where a name leads, may and can be answered there.
    """

    leads: Mapping[str, Lead]
    shelf: Shelf
    sees: Callable[[str], bool]
    answers: Callable[[Lead, Ask], bool]


def experiments(settings: Settings, means: Means) -> tuple[Experiment, ...]:
    """Raises: BadSettings for an experiment about what there is not."""
    return tuple(
        _experiment(f"experiments.{name}", name, wanted, means) for name, wanted in settings.experiments.items()
    )


def _experiment(where: str, name: str, wanted: ExperimentSettings, means: Means) -> Experiment:
    shelf, leads = means.shelf, means.leads
    there = dict.fromkeys([*(pinned.partition("@")[0] for pinned in shelf.files), "none"])
    for contract in wanted.contracts:
        if contract not in there:
            raise BadSettings(f"{where}.contracts: there is no contract {contract!r}; there are {', '.join(there)}")
    for model in wanted.models:
        if _lead(model, leads) is None:
            raise BadSettings(f"{where}.models: there is no model {model!r}; this server has {', '.join(leads)}")
    versions = any(arm.contract for arm in wanted.arms.values())
    usual = shelf.pins.get(wanted.contracts[0]) if versions else None
    arms = tuple(_arm(f"{where}.arms.{one}", one, arm, usual, means) for one, arm in wanted.arms.items())
    return Experiment(name, arms, wanted.models, wanted.contracts, wanted.header)


def _arm(where: str, name: str, wanted: ArmSettings, usual: str | None, means: Means) -> Arm:
    """usual: the version of the contract that it has where it says none, if the arms differ in that."""
    shelf, leads = means.shelf, means.leads
    lead = None if wanted.model is None else _lead(wanted.model, leads)
    if wanted.model is not None and lead is None:
        raise BadSettings(f"{where}.model: there is no model {wanted.model!r}; this server has {', '.join(leads)}")
    if wanted.contract is not None and wanted.contract not in shelf.files:
        raise BadSettings(f"{where}.contract: there is no {wanted.contract}; there are {', '.join(shelf.files)}")
    return Arm(
        name,
        wanted.share or (1.0 if wanted.shadow else 0.0),
        wanted.keys,
        wanted.values,
        lead.target if lead else None,
        lead.engine if lead else None,
        lead.verifier if lead else None,
        wanted.contract or usual,
        wanted.decoding,
        wanted.model is None or means.sees(wanted.model),
        wanted.shadow,
        partial(means.answers, lead) if lead else lambda _: True,
    )


def _lead(model: str, leads: Mapping[str, Lead]) -> Lead | None:
    """As a request finds it that asks for that name."""
    return leads.get(model) or next((lead for name, lead in leads.items() if fits(name, model)), None)
