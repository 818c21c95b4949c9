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
from pathlib import Path
from typing import Any, Literal, NamedTuple

from firstpass.allowance import turns
from firstpass.allowance.keyring import Keyring
from firstpass.allowance.purse import Prices, Purse
from firstpass.audit import Keeping
from firstpass.contract import Shelf
from firstpass.egress import EgressDoor
from firstpass.egress.known import known_secrets
from firstpass.engine import EngineSpec
from firstpass.errors import BadSettings
from firstpass.exchange import Target
from firstpass.gate import Gate, load_gate
from firstpass.loopback import is_loopback
from firstpass.policy.escalation import Verifier as Whereabouts
from firstpass.policy.rules import Rule
from firstpass.redaction import Redactor
from firstpass.redaction.known import LEAST
from firstpass.settings import AliasSettings, Server, Settings, VerifierSettings
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
    """Settings as the record keeps them, and the digests of the files that they mean.

    Without secrets, and without the words that do not leave.
    """
    files = {pinned: files.sha256 for pinned, files in sorted(shelf.files.items())}
    arms = (arm for experiment in settings.experiments.values() for arm in experiment.arms.values())
    paths = (*settings.policy.gates, *(path for arm in arms for path in arm.gates or ()))
    gates = {str(path): sha256(path.read_bytes()).hexdigest() for path in paths}
    values = settings.model_dump(mode="json")
    values["redaction"]["words"] = ["***"] * len(settings.redaction.words)
    told = {"settings": _without_secrets(values), "contracts": files, "gates": gates}
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
    server = settings.server
    places = {"draft": server.in_flight_limit} | dict.fromkeys(further, server.in_flight_limit)
    verifiers = settings.ordered_verifiers
    places |= {room(settings, name): verifier.in_flight_limit for name, verifier in verifiers.items()}
    keyed = keys_required(settings)

    def bounds(limit: int) -> turns.Bounds:
        return turns.Bounds(limit, server.waiting_limit, server.waiting_seconds, limit // 8 if keyed else 0)

    of_verifiers = {room(settings, name) for name in verifiers}
    return {
        name: turns.Turns("verifier" if name in of_verifiers else "draft", bounds(limit))
        for name, limit in places.items()
    }


def room(settings: Settings, verifier: str) -> str:
    """Of a verifier's places: the first one's are called as the tier is."""
    return "verifier" if verifier == next(iter(settings.ordered_verifiers)) else verifier


def read_gates(paths: Sequence[Path], shelf: Shelf, where: str = "policy.gates") -> list[Gate]:
    """Raises: BadSettings for a file that is no gate, or one of no contract here, or two for the same requests."""
    gates = [load_gate(path) for path in paths]
    for path, gate in zip(paths, gates, strict=True):
        if gate.contract not in shelf.files:
            raise BadSettings(f"gate {path}: it is for {gate.contract}, and there is no such contract")
    twice = [whose for whose, number in Counter(gate.whose for gate in gates).items() if number > 1]
    if twice:
        contract, key, language = twice[0]
        narrowed = [f"{what} {value}" for what, value in (("key", key), ("language", language)) if value]
        raise BadSettings(f"{where}: there are two for {', '.join([contract, *narrowed])}")
    return gates


class Lead(NamedTuple):
    """Where a name leads; engine, verifier: to which alone, if that is another than the first, or one of several."""

    target: Target
    engine: str | None = None
    verifier: str | None = None


def read_aliases(settings: Settings, models: Mapping[str, Lead], engines: Sequence[str]) -> Mapping[str, Lead]:
    """Raises: BadSettings for one that means no model here, or that hides one."""
    verifiers = tuple(settings.verifiers)
    return {name: _alias(name, meant, models, engines, verifiers) for name, meant in settings.aliases.items()}


def _alias(
    name: str, meant: str | AliasSettings, models: Mapping[str, Lead], engines: Sequence[str], verifiers: Sequence[str]
) -> Lead:
    where = f"aliases.{name}"
    wanted = AliasSettings(model=meant) if isinstance(meant, str) else meant
    if wanted.model not in models:
        raise BadSettings(f"{where}: there is no model {wanted.model!r}; this server has {', '.join(models)}")
    if name in models:
        raise BadSettings(f"{where}: it is the name of a model; give the alias another")
    lead = models[wanted.model]
    if wanted.engine is not None and (lead.target == "strong" or lead.engine is not None):
        raise BadSettings(f"{where}: {wanted.model} is drafted by no other engine; its model is firstpass or local")
    if wanted.verifier is not None and (lead.target == "local" or lead.verifier is not None):
        raise BadSettings(f"{where}: {wanted.model} is verified by no other; its model is firstpass or strong")
    engine = further(wanted.engine, engines, where) or lead.engine
    return Lead(lead.target, engine, one_of(wanted.verifier, verifiers, where) or lead.verifier)


def one_of(verifier: str | None, verifiers: Sequence[str], where: str) -> str | None:
    """Raises: BadSettings."""
    if verifier is not None and verifier not in verifiers:
        there = f"there are {', '.join(verifiers)}" if verifiers else "there are none by a name"
        raise BadSettings(f"{where}.verifier: there is no verifier {verifier!r}; {there}")
    return verifier


def further(engine: str | None, engines: Sequence[str], where: str) -> str | None:
    """The name of an engine as asks have it: none for the first. Raises: BadSettings."""
    if engine is not None and engine not in engines:
        raise BadSettings(f"{where}.engine: there is no engine {engine!r}; there are {', '.join(engines)}")
    return None if engine == engines[0] else engine


def rules(settings: Settings, engines: Sequence[str]) -> Sequence[Rule]:
    """Raises: BadSettings for one with an engine or a verifier that there is not."""
    made = [Rule(**rule.model_dump()) for rule in settings.policy.rules]
    verifiers = tuple(settings.verifiers)
    for number, rule in enumerate(made):
        where = f"policy.rules.{number}"
        one_of(rule.verifier, verifiers, where)
        made[number] = replace(rule, engine=further(rule.engine, engines, where))
    return made


def check_names(models: Iterable[str], verifiers: Iterable[str]) -> None:
    """Raises: BadSettings where a name would mean a model on this machine, and one that may be elsewhere."""
    if twice := set(models) & set(verifiers):
        raise BadSettings(f"verifiers.{min(twice)}: it is the name of the engine's model; give the verifier another")


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


def prices(verifier: VerifierSettings) -> Prices | None:
    if verifier.usd_per_million_input_tokens is None:
        return None
    assert verifier.usd_per_million_output_tokens is not None, "the settings have both prices or none"
    return Prices(verifier.usd_per_million_input_tokens, verifier.usd_per_million_output_tokens)


def purse(settings: Settings, store: Store, keyring: Keyring) -> Purse:
    """Raises: BadSettings where a key has a cap that nothing can be counted for."""
    a_day, verifiers = settings.policy.keyless_usd_a_day, settings.ordered_verifiers
    known = {name: found for name, verifier in verifiers.items() if (found := prices(verifier))}
    keys = store.list_keys()
    for damaged in (key for key in keys if isinstance(key, Damaged)):
        log.warning("nobody gets in with it: %s", damaged.why)
    capped = [key.id for key in whole_keys(keys) if key.scopes.spend and key.live(time.time())]
    for name in verifiers.keys() - known.keys() if capped else ():
        section = f"verifiers.{name}" if settings.verifiers else "verifier"
        raise BadSettings(f"{section}.usd_per_million_...: the key {capped[0]} has a spend cap, which needs the prices")
    return Purse(store, keyring, known, None if a_day is None else Spend(a_day))


def seeing(specs: Mapping[str, EngineSpec], verifiers: Mapping[str, VerifierSettings]) -> frozenset[str]:
    """Where images may go: to the cascade if its models take them. Engines and verifiers by their names, too."""
    spec, *_ = specs.values()
    strong = any(map(sees, verifiers.values()))
    takes = {name: one.images for name, one in specs.items()} | {name: sees(one) for name, one in verifiers.items()}
    takes |= {"local": spec.images, "strong": strong, "cascade": spec.images and (strong or not verifiers)}
    return frozenset(name for name, takes_them in takes.items() if takes_them)


def sees(verifier: VerifierSettings) -> bool:
    """Whether it takes images."""
    return verifier.dialect == "anthropic" if verifier.images is None else verifier.images


def secrets(settings: Settings) -> frozenset[str]:
    """Those that this machine knows, which are held back whatever they look like.

    Raises: BadSettings for a file that can't be read.
    """
    wanted, verifiers = settings.redaction, settings.ordered_verifiers.values()
    own = {verifier.api_key.get_secret_value() for verifier in verifiers if verifier.api_key}
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


def whereabouts(verifiers: Mapping[str, VerifierSettings]) -> Whereabouts:
    """Of the nearest."""
    if not verifiers:
        return "none"
    return "hosted" if all(verifier.hosted for verifier in verifiers.values()) else "local"


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


def score_floor(verifiers: Mapping[str, VerifierSettings]) -> float | None:
    """As the first of them has it."""
    first = next(iter(verifiers.values()), None)
    return first.score_floor if first is not None and first.mode == "score" else None
