"""The objects of routes that are ours alone: labels, explanations, contracts. It decides nothing."""

from dataclasses import asdict
from typing import Any

from firstpass.contract import Files
from firstpass.contract.known import Known
from firstpass.exchange import Ask, Label
from firstpass.policy.escalation import Course


def label(made: Label) -> dict[str, Any]:
    return {"object": "label"} | {name: value for name, value in asdict(made).items() if name != "key"}


def explanation(ask: Ask, course: Course) -> dict[str, Any]:
    """What would become of a request."""
    return {
        "object": "explanation",
        "model": ask.model,
        "target": course.target,
        "contract": ask.contract,
        "egress": ask.ceiling,
        "experiment": ask.experiment,
        "arm": ask.arm,
        "rule": asdict(course.rule) if course.rule else None,
        "steps": list(course.steps),
    }


def evidence(known: Known) -> dict[str, Any]:
    return {"object": "evidence"} | asdict(known)


def contract(files: Files, *, whole: bool = False) -> dict[str, Any]:
    """One version of a contract, with its wording if `whole`."""
    spec = files.spec
    outline = {
        "id": files.pinned,
        "object": "contract",
        "name": files.name,
        "version": files.version,
        "summary": spec.summary,
        "reads": spec.reads,
        "form": spec.form,
        "sections": [asdict(section) for section in files.form.sections],
        "checks": list(spec.checks),
        "mend": spec.mend,
        "sha256": files.sha256,
    }
    if not whole:
        return outline
    return outline | {"prompt": files.prompt, "verify": files.verify, "schema": files.schema}
