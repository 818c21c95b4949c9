"""What the settings mean: each part of a server as they say, before the parts are joined. It starts nothing."""

import json
import logging
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from firstpass import catalogue, hardware
from firstpass.allowance import turns
from firstpass.allowance.keyring import Keyring
from firstpass.allowance.purse import Prices, Purse
from firstpass.audit import Keeping
from firstpass.contract import Shelf
from firstpass.egress import EgressDoor
from firstpass.egress.known import known_secrets
from firstpass.engine import EngineSpec, HangAfter
from firstpass.engine.address import is_loopback
from firstpass.errors import BadSettings
from firstpass.exchange import Target
from firstpass.fleet import Berth, Bounds, Memory, mb
from firstpass.gate import Gate, load_gate
from firstpass.local_model import LocalModel, Wanted
from firstpass.policy.escalation import Verifier
from firstpass.policy.rules import Rule
from firstpass.redaction import Redactor
from firstpass.redaction.known import LEAST
from firstpass.settings import AliasSettings, EngineSettings, Server, Settings, VerifierSettings
from firstpass.settings.section import IN_ADDRESS
from firstpass.spans import UNHEARD, Spans
from firstpass.store import Damaged, Store, whole_keys
from firstpass.store.keys import PREFIX
from firstpass.store.scopes import Spend
from firstpass.tier import Tier
from firstpass.tier.anthropic_http import AnthropicTier
from firstpass.tier.http import ReplyBounds
from firstpass.tier.openai_http import OpenAITier
from firstpass.tier.steady import Retrying, SteadyTier

log = logging.getLogger(__name__)

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
OUR_KEYS = {"FIRSTPASS_KEY": rf"\b{PREFIX}-[0-9a-f]{{8}}-[0-9a-f]{{64}}-[0-9a-f]{{8}}\b"}
ROUTES = ("firstpass", "local", "strong")


def keeping(settings: Settings) -> Keeping:
    return Keeping(settings.server.checkpoints, settings.server.keep_bytes, settings.server.keep_days)


def spans(settings: Settings) -> Spans:
    """Raises: BadSettings where what traces need is not installed, or the file can't be written."""
    wanted = settings.telemetry
    if wanted.traces_url is None and wanted.traces_file is None:
        return UNHEARD
    try:
        from firstpass.tracing import to_collector, to_file

        return to_collector(wanted.traces_url) if wanted.traces_url else to_file(wanted.traces_file or Path())
    except ImportError as error:
        raise BadSettings(f"telemetry needs OpenTelemetry: pip install 'firstpass[telemetry]' ({error})") from error
    except OSError as error:
        raise BadSettings(f"telemetry.traces_file: {error}") from error


KEY_FLAG = re.compile(r"--[a-z-]*(?:key|token|password|secret)")
KEY_IN_FLAG = re.compile(rf"^({KEY_FLAG.pattern}=).*$", re.DOTALL)

FIXED = frozenset(Server.model_fields) - {
    *("in_flight_limit", "waiting_limit", "waiting_seconds", "contracts_dir", "unknown_models"),
}
"""Of the section `server`: what only a restart changes, as is all of `telemetry`."""


def check_fixed(now: Settings, wanted: Settings) -> None:
    """Raises: BadSettings where they differ in what only a restart changes."""
    changed = [f"server.{name}" for name in sorted(FIXED) if getattr(now.server, name) != getattr(wanted.server, name)]
    changed += ["telemetry"] if now.telemetry != wanted.telemetry else []
    if changed:
        raise BadSettings(f"{', '.join(changed)}: a change of it takes a restart; nothing was changed")


def described(settings: Settings, shelf: Shelf) -> str:
    """Settings as the record keeps them, without secrets, and the digests of the files that they mean."""
    files = {pinned: files.sha256 for pinned, files in sorted(shelf.files.items())}
    gates = {str(path): sha256(path.read_bytes()).hexdigest() for path in settings.policy.gates}
    told = {"settings": _without_secrets(settings.model_dump(mode="json")), "contracts": files, "gates": gates}
    return json.dumps(told, sort_keys=True, ensure_ascii=False)


def _without_secrets(told: Any) -> Any:
    """Without what is none by its type: the password in an address, and what follows a flag for a key."""
    match told:
        case str():
            return KEY_IN_FLAG.sub(r"\1***", IN_ADDRESS.sub("***@", told))
        case list():
            flagged = (isinstance(before, str) and KEY_FLAG.fullmatch(before) for before in ("", *told))
            return ["***" if after else _without_secrets(one) for after, one in zip(flagged, told, strict=False)]
        case dict():
            return {name: _without_secrets(one) for name, one in told.items()}
    return told


def rooms(settings: Settings, further: Iterable[str] = ()) -> Mapping[str, turns.Turns]:
    """Where there are keys, an eighth of the places is kept for those that have none yet.

    further: names of engines beside the first, each with as many places of its own.
    """
    server, verifier = settings.server, settings.verifier
    places = {"draft": server.in_flight_limit} | dict.fromkeys(further, server.in_flight_limit)
    places |= {"verifier": verifier.in_flight_limit} if verifier else {}
    keyed = keys_required(settings)

    def bounds(limit: int) -> turns.Bounds:
        return turns.Bounds(limit, server.waiting_limit, server.waiting_seconds, limit // 8 if keyed else 0)

    return {
        name: turns.Turns("verifier" if name == "verifier" else "draft", bounds(limit))
        for name, limit in places.items()
    }


def read_gates(paths: Sequence[Path], shelf: Shelf) -> list[Gate]:
    """Raises: BadSettings for a file that is no gate, or one of no contract here, or two for the same requests."""
    gates = [load_gate(path) for path in paths]
    for path, gate in zip(paths, gates, strict=True):
        if gate.contract not in shelf.files:
            raise BadSettings(f"gate {path}: it is for {gate.contract}, and there is no such contract")
    twice = [whose for whose, number in Counter(gate.whose for gate in gates).items() if number > 1]
    if twice:
        contract, key, language = twice[0]
        narrowed = [f"{what} {value}" for what, value in (("key", key), ("language", language)) if value]
        raise BadSettings(f"policy.gates: there are two for {', '.join([contract, *narrowed])}")
    return gates


Lead = tuple[Target, str | None]
"""Where a name leads, and to which engine if that is another than the first."""


def read_aliases(settings: Settings, models: Mapping[str, Lead], engines: Sequence[str]) -> Mapping[str, Lead]:
    """Raises: BadSettings for one that means no model here, or that hides one."""
    return {name: _alias(name, meant, models, engines) for name, meant in settings.aliases.items()}


def _alias(name: str, meant: str | AliasSettings, models: Mapping[str, Lead], engines: Sequence[str]) -> Lead:
    model, engine = (meant, None) if isinstance(meant, str) else (meant.model, meant.engine)
    if model not in models:
        raise BadSettings(f"aliases.{name}: there is no model {model!r}; this server has {', '.join(models)}")
    if name in models:
        raise BadSettings(f"aliases.{name}: it is the name of a model; give the alias another")
    target, own = models[model]
    if engine is None:
        return target, own
    if target == "strong" or own is not None:
        raise BadSettings(f"aliases.{name}: {model} is not drafted by another engine; its model is firstpass or local")
    return target, further(engine, engines, f"aliases.{name}")


def further(engine: str | None, engines: Sequence[str], where: str) -> str | None:
    """The name of an engine as asks have it: none for the first. Raises: BadSettings."""
    if engine is not None and engine not in engines:
        raise BadSettings(f"{where}.engine: there is no engine {engine!r}; there are {', '.join(engines)}")
    return None if engine == engines[0] else engine


def rules(settings: Settings, engines: Sequence[str]) -> Sequence[Rule]:
    """Raises: BadSettings for one with an engine that there is not."""
    wanted = settings.policy.rules
    made = [Rule(**rule.model_dump()) for rule in wanted]
    where = (f"policy.rules.{number}" for number in range(len(made)))
    return [replace(rule, engine=further(rule.engine, engines, at)) for rule, at in zip(made, where, strict=True)]


def hold(shelf: Shelf, store: Store) -> None:
    """The record says `name@version`, so that has to mean one thing for ever. Raises: BadSettings."""
    for pinned, files in shelf.files.items():
        if store.hold_contract(pinned, files.sha256) != files.sha256:
            raise BadSettings(f"contracts: {pinned} is not what it was in the record; give the change a new version")


def unknown_target(settings: Settings) -> Literal["cascade", "local"] | None:
    """Who answers for a model that nothing here has the name of."""
    wanted = settings.server.unknown_models
    if wanted == "auto":
        return "cascade" if is_loopback(settings.server.host) else None
    return None if wanted == "refuse" else wanted


def keys_required(settings: Settings) -> bool:
    return settings.server.keys == "required" or not is_loopback(settings.server.host)


def allowed_hosts(settings: Settings) -> frozenset[str] | None:
    """On loopback only known names pass, against DNS rebinding; elsewhere keys guard, and a list is optional."""
    server = settings.server
    if not server.allowed_hosts and not is_loopback(server.host):
        return None
    return LOOPBACK_NAMES | {server.host} | {host.lower() for host in server.allowed_hosts}


def prices(verifier: VerifierSettings | None) -> Prices | None:
    if verifier is None or verifier.usd_per_million_input_tokens is None:
        return None
    assert verifier.usd_per_million_output_tokens is not None, "the settings have both prices or none"
    return Prices(verifier.usd_per_million_input_tokens, verifier.usd_per_million_output_tokens)


def purse(settings: Settings, store: Store, keyring: Keyring) -> Purse:
    """Raises: BadSettings where a key has a cap that nothing can be counted for."""
    a_day, known = settings.policy.keyless_usd_a_day, prices(settings.verifier)
    keys = store.list_keys()
    for damaged in (key for key in keys if isinstance(key, Damaged)):
        log.warning("nobody gets in with it: %s", damaged.why)
    capped = [key.id for key in whole_keys(keys) if key.scopes.spend and key.live(time.time())]
    if settings.verifier is not None and known is None and capped:
        raise BadSettings(f"verifier.usd_per_million_...: the key {capped[0]} has a spend cap, which needs the prices")
    return Purse(store, keyring, known, None if a_day is None else Spend(a_day))


def seeing(specs: Mapping[str, EngineSpec], verifier: VerifierSettings | None) -> frozenset[str]:
    """Where images may go: to the cascade if each of its models takes them. Engines by their names, too."""
    spec, *_ = specs.values()
    strong = verifier is not None and (verifier.dialect == "anthropic" if verifier.images is None else verifier.images)
    both = spec.images and (strong or verifier is None)
    takes = {name: one.images for name, one in specs.items()}
    takes |= {"local": spec.images, "strong": strong, "cascade": both}
    return frozenset(name for name, takes_them in takes.items() if takes_them)


def secrets(settings: Settings) -> frozenset[str]:
    """Those that this machine knows, which are held back whatever they look like.

    Raises: BadSettings for a file that can't be read.
    """
    wanted, verifier = settings.redaction, settings.verifier
    own = {verifier.api_key.get_secret_value()} if verifier and verifier.api_key else set[str]()
    try:
        environment, home = (os.environ, Path.home()) if wanted.credentials else ({}, Path(os.devnull))
        known = known_secrets(environment, home, wanted.files)
    except OSError as error:
        raise BadSettings(f"redaction.files: {error}") from error
    except RuntimeError as error:
        raise BadSettings(f"redaction.credentials: {error}; set HOME, or this to false") from error
    return frozenset(secret for secret in known | own if len(secret) >= LEAST)


def redactor(settings: Settings, known: Iterable[str]) -> Redactor:
    """What is held back under the ceiling `redacted`. known: secrets."""
    wanted = settings.redaction
    return Redactor(tuple(known), tuple((OUR_KEYS | wanted.patterns).items()), wanted.words)


def whereabouts(verifier: VerifierSettings | None) -> Verifier:
    if verifier is None:
        return "none"
    return "hosted" if verifier.hosted else "local"


def credentials(verifier: VerifierSettings) -> Mapping[str, str]:
    if verifier.api_key is None:
        return {}
    key = verifier.api_key.get_secret_value()
    return {"x-api-key": key} if verifier.dialect == "anthropic" else {"authorization": f"Bearer {key}"}


def verifier_tier(verifier: VerifierSettings, door: EgressDoor) -> SteadyTier:
    patience = Retrying(
        verifier.retries,
        verifier.retry_share,
        verifier.retry_seconds,
        verifier.breaker_failures,
        verifier.breaker_seconds,
    )
    return SteadyTier(_verifier_tier(verifier, door), "verifier", patience)


def _verifier_tier(verifier: VerifierSettings, door: EgressDoor) -> Tier:
    bounds = ReplyBounds(verifier.whole_seconds, verifier.stream_seconds, verifier.reply_limit_bytes)
    if verifier.dialect == "anthropic":
        thinks = verifier.thinks is not False
        return AnthropicTier(door, bounds, system_turns=verifier.system_turns, thinks=thinks)
    name = verifier.max_tokens_name
    thinks = name == "max_completion_tokens" if verifier.thinks is None else verifier.thinks
    return OpenAITier("verifier", door, bounds, name, thinks=thinks)


def wanted(settings: Settings, engine: EngineSettings) -> Wanted:
    """Of one model on this machine."""
    bounds = ReplyBounds(engine.whole_seconds, engine.whole_seconds, engine.reply_limit_bytes)
    return Wanted(constrains(engine), engine.reply_seconds, bounds, settings.server.in_flight_limit)


def berths(settings: Settings, models: Mapping[str, LocalModel]) -> Sequence[Berth]:
    engines = zip(models, settings.draft_engines, strict=True)
    return [_berth(name, models[name], engine, only=len(models) == 1) for name, engine in engines]


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


def fleet_bounds(settings: Settings) -> Bounds:
    return Bounds(settings.fleet.load_seconds, settings.fleet.turn_seconds)


def _berth(name: str, model: LocalModel, engine: EngineSettings, *, only: bool) -> Berth:
    """One that stays, whether there is room for it or not: the only one, and what somebody else runs."""
    need = model.engine.need
    if need is None:
        return Berth(name, model, pinned=True)
    pinned = engine.pinned if engine.pinned is not None else only and engine.idle_seconds is None
    seen = engine.memory_bytes or need.bytes
    memory: Memory = "gpu" if need.on_gpu else "main"
    return Berth(name, model, seen, need.later_bytes, memory, pinned, engine.priority, engine.idle_seconds)


def score_floor(verifier: VerifierSettings | None) -> float | None:
    return verifier.score_floor if verifier is not None and verifier.mode == "score" else None


def constrains(engine: EngineSettings) -> bool:
    """Whether the draft engine can be held to a pattern."""
    if engine.structured_outputs is not None:
        return engine.structured_outputs
    return engine.kind == "vllm" or (engine.kind == "auto" and find_spec("vllm") is not None)


def budget_bytes(settings: Settings, *, gpu: bool) -> int:
    """Of what models on a GPU, or the others, may take together."""
    if settings.fleet.memory_bytes is not None:
        return settings.fleet.memory_bytes
    return hardware.gpu_bytes() if gpu else hardware.this().usable_bytes


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
    kind = _engine_kind(wanted.kind)
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
    model = catalogue.find(wanted.model, settings.models_dir_of(wanted))
    if model.name in ROUTES:
        raise BadSettings(f"engine.model: {model.name} is the name of a route; give the model another")
    if wanted.context_tokens and wanted.context_tokens > model.context_tokens:
        raise BadSettings(f"engine.context_tokens: {model.name} holds {model.context_tokens} at most")
    if damaged := catalogue.flipped(model):
        raise BadSettings(f"engine.model: {model.name} is damaged: {', '.join(damaged)} differ from the record")
    return EngineSpec(
        name=model.name,
        kind=kind,
        model_dir=model.directory,
        context_tokens=wanted.context_tokens,
        holds_tokens=model.context_tokens,
        threads=wanted.threads,
        data_dir=settings.server.data_dir,
        extra_args=(model.vllm_flags if kind == "vllm" else ()) + wanted.extra_args,
        start_deadline_seconds=wanted.start_deadline_seconds,
        contracts=model.contracts,
        least_told=model.least_told,
        images=(model.images and kind == "vllm") if wanted.images is None else wanted.images,
        isolate=wanted.isolate,
        patience=_patience(wanted),
    )


def _patience(wanted: EngineSettings) -> HangAfter:
    busy_seconds = wanted.canary_busy_seconds or wanted.reply_seconds + wanted.canary_seconds
    return HangAfter(wanted.canary_seconds, busy_seconds, wanted.canary_idle_seconds)


def _engine_kind(
    wanted: Literal["auto", "vllm", "transformers", "external"],
) -> Literal["vllm", "transformers", "external"]:
    """vLLM where it is installed; it is asked for without importing it, which takes seconds."""
    if wanted != "auto":
        return wanted
    if find_spec("vllm") is not None:
        return "vllm"
    log.warning("vLLM is not installed: the transformers engine takes its place (no logprobs)")
    return "transformers"
