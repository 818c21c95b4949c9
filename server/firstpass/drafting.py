"""What the settings say of the models on this machine: their engines, and how they share a memory. It starts none."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec

from firstpass import catalogue, hardware
from firstpass.assembly import ROUTES
from firstpass.engine import EngineSpec, HangAfter, Kind, sleeping
from firstpass.engine.vllm import runs_on_cpu
from firstpass.errors import BadSettings
from firstpass.fleet import Berth, Bounds, Memory, mb
from firstpass.local_model import LocalModel, Wanted
from firstpass.settings import EngineSettings, Settings
from firstpass.tier.http import ReplyBounds

log = logging.getLogger(__name__)


def engine_specs(settings: Settings) -> Mapping[str, EngineSpec]:
    """Of each draft engine, by its name; the first is the one that is meant where none is named.

    Raises: BadSettings for a model that is not there or not the recorded bytes.
    """
    if not settings.engines:
        spec = engine_spec(settings, settings.engine)
        return {spec.name: spec}
    return {name: _named(name, _found(name, settings, one)) for name, one in settings.engines.items()}


def _found(name: str, settings: Settings, engine: EngineSettings) -> EngineSpec:
    """Raises: BadSettings that says whose fault it is."""
    try:
        return engine_spec(settings, engine)
    except BadSettings as error:
        raise BadSettings(f"engines.{name}: {error}") from error


def _named(name: str, spec: EngineSpec) -> EngineSpec:
    """An engine by the name that the settings give it, which serves its model by the model's own."""
    served = spec.served_name if spec.kind == "external" else spec.name
    return replace(spec, name=name, served_name=served, title=f"the engine {name}")


def engine_spec(settings: Settings, wanted: EngineSettings) -> EngineSpec:
    """Raises: as above."""
    kind = _kind_of(wanted)
    if wanted.holds_form and not constrains(wanted):
        raise BadSettings("holds_form: the engine can not be held to a pattern, see structured_outputs")
    if kind == "external":
        named = wanted.model if "model" in wanted.model_fields_set else None
        data_dir = settings.server.data_dir
        deadline = wanted.start_deadline_seconds
        return EngineSpec(
            "external",
            kind,
            data_dir,
            url=wanted.url,
            served_name=named,
            start_deadline_seconds=deadline,
            images=bool(wanted.images),
            patience=_patience(wanted),
        )
    if kind == "transformers" and wanted.kind == "auto":
        log.warning("vLLM is not installed: the transformers engine takes its place (no logprobs)")
    finds = catalogue.find_gguf if kind == "llama.cpp" else catalogue.find
    model = finds(wanted.model, settings.models_dir_of(wanted))
    if model.name in ROUTES:
        raise BadSettings(f"engine.model: {model.name} is the name of a route; give the model another")
    if wanted.context_tokens and wanted.context_tokens > model.context_tokens:
        raise BadSettings(f"engine.context_tokens: {model.name} holds {model.context_tokens} at most")
    if damaged := catalogue.flipped(model):
        raise BadSettings(f"engine.model: {model.name} is damaged: {', '.join(damaged)} differ from the record")
    spec = EngineSpec(
        name=model.name,
        kind=kind,
        model_dir=model.directory,
        context_tokens=wanted.context_tokens,
        holds_tokens=model.context_tokens,
        threads=wanted.threads,
        cpus=wanted.cpu_numbers,
        preload=wanted.preload,
        data_dir=settings.server.data_dir,
        extra_args=(model.vllm_flags if kind == "vllm" else ()) + wanted.extra_args,
        start_deadline_seconds=wanted.start_deadline_seconds,
        contracts=model.contracts,
        least_told=model.least_told,
        images=(model.images and kind == "vllm") if wanted.images is None else wanted.images,
        isolate=wanted.isolate,
        patience=_patience(wanted),
        gguf=model.gguf,
        binary=wanted.binary,
        sleeps=wanted.sleeps,
    )
    if spec.sleeps:
        sleeping.check(spec, on_gpu=hardware.this().gpu and not runs_on_cpu())
    return spec


def _patience(wanted: EngineSettings) -> HangAfter:
    busy_seconds = wanted.canary_busy_seconds or wanted.reply_seconds + wanted.canary_seconds
    return HangAfter(wanted.canary_seconds, busy_seconds, wanted.canary_idle_seconds)


def _kind_of(wanted: EngineSettings) -> Kind:
    """vLLM where it is installed; it is asked for without importing it, which takes seconds."""
    if wanted.kind != "auto":
        return wanted.kind
    if catalogue.is_gguf(wanted.model):
        return "llama.cpp"
    return "vllm" if find_spec("vllm") is not None else "transformers"


def constrains(engine: EngineSettings) -> bool:
    """Whether the draft engine can be held to a pattern."""
    if engine.structured_outputs is not None:
        return engine.structured_outputs
    return _kind_of(engine) in ("vllm", "llama.cpp")


def wanted(settings: Settings, engine: EngineSettings) -> Wanted:
    """Of one model on this machine."""
    bounds = ReplyBounds(engine.whole_seconds, engine.whole_seconds, engine.reply_limit_bytes)
    return Wanted(constrains(engine), engine.reply_seconds, bounds, settings.server.in_flight_limit)


def berths(settings: Settings, models: Mapping[str, LocalModel]) -> Sequence[Berth]:
    engines = zip(models, settings.draft_engines, strict=True)
    return [_berth(name, models[name], engine, only=len(models) == 1) for name, engine in engines]


def _berth(name: str, model: LocalModel, engine: EngineSettings, *, only: bool) -> Berth:
    """One that stays, whether there is room for it or not: the only one, and what somebody else runs."""
    need = model.engine.need
    if need is None:
        return Berth(name, model, pinned=True)
    pinned = engine.pinned if engine.pinned is not None else only and engine.idle_seconds is None and not engine.sleeps
    seen = engine.memory_bytes or need.bytes
    memory: Memory = "gpu" if need.on_gpu else "main"
    return Berth(name, model, seen, need.later_bytes, memory, pinned, engine.priority, engine.idle_seconds)


def budgets(settings: Settings, berths: Sequence[Berth]) -> Mapping[Memory, int]:
    """Of each memory that one of them takes. Raises: BadSettings where what is pinned takes more than there is."""
    memories: set[Memory] = {berth.memory for berth in berths}
    found = {memory: budget_bytes(settings, gpu=memory == "gpu") for memory in memories}
    for memory, budget in found.items():
        pinned = [berth for berth in berths if berth.pinned and berth.memory == memory]
        need = sum(berth.bytes for berth in pinned)
        if need > budget and len(berths) > 1:
            names = ", ".join(berth.name for berth in pinned)
            raise BadSettings(f"engines: {names} are pinned and need {mb(need)}; there are {mb(budget)}")
    return found


def budget_bytes(settings: Settings, *, gpu: bool) -> int:
    """Of what models on a GPU, or the others, may take together."""
    if settings.fleet.memory_bytes is not None:
        return settings.fleet.memory_bytes
    return hardware.gpu_bytes() if gpu else hardware.this().usable_bytes


def fleet_bounds(settings: Settings) -> Bounds:
    return Bounds(settings.fleet.load_seconds, settings.fleet.turn_seconds)
