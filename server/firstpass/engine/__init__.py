"""Engines: model servers that are children of this process, or run beside it. They know no policy and no request."""

from firstpass.engine.spec import (
    Asleep,
    AtWork,
    Endpoint,
    Engine,
    EngineSpec,
    HangAfter,
    Kind,
    Need,
    Progress,
    State,
    Warmed,
)
from firstpass.errors import BadSettings

__all__ = [
    "Asleep",
    "AtWork",
    "Endpoint",
    "Engine",
    "EngineSpec",
    "HangAfter",
    "Kind",
    "Need",
    "Progress",
    "State",
    "Warmed",
    "build",
]


def build(spec: EngineSpec, progress: Progress | None = None) -> Engine:
    """An engine, not started; imports only what its kind needs.

    progress: hears what a start is doing; it is logged in any case.
    Raises: BadSettings if the spec lacks what its kind needs.
    """
    if spec.kind == "external":
        from firstpass.engine.external import ExternalEngine

        return ExternalEngine(spec)
    if spec.model_dir is None:
        raise BadSettings(f"engine {spec.name}: a {spec.kind} engine needs a model directory")
    from firstpass.engine.child import GuardedLauncher
    from firstpass.engine.recipe import recipe_for
    from firstpass.engine.supervised import SupervisedEngine

    recipe = recipe_for(spec)
    return SupervisedEngine(spec, GuardedLauncher(spec, recipe), progress=progress, need=recipe.need)
