"""A plan by the settings: what is installed and on this disk, what was measured here, and what `serve` takes of it."""

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from firstpass import catalogue, gguf, hardware
from firstpass.catalogue import Card
from firstpass.engine import Kind, llama_cpp, vllm
from firstpass.errors import BadSettings
from firstpass.plan import kept
from firstpass.plan.kept import Kept
from firstpass.plan.prediction import Prediction, predicted
from firstpass.plan.shape import Shape, of_gguf
from firstpass.plan.ways import Hardware, Way, place, ways
from firstpass.settings import Settings

PROMPT_TOKENS, ANSWER_TOKENS = 1000, 64
"""Of a diff with its summary, by whose time ways are compared."""

PREFIX = "FIRSTPASS_ENGINE__"

Ways = Callable[[Hardware, int | None], list[Way]]


def present(settings: Settings) -> Hardware:
    """What this machine has, and which engines. Raises: BadSettings where engine.binary names no program."""
    engines: set[Kind] = set()
    if find_spec("vllm") is not None:
        engines.add("vllm")
    if find_spec("transformers") is not None:
        engines.add("transformers")
    gpus, on_gpu = hardware.gpus(), True
    try:
        program = llama_cpp.program(settings.first_engine.binary)
        engines.add("llama.cpp")
        on_gpu = not gpus or llama_cpp.uses_gpu(program)
    except BadSettings:
        if settings.first_engine.binary is not None:
            raise
    return Hardware(hardware.this(), gpus, frozenset(engines), vllm.runs_on_cpu(), on_gpu)


def machine_name(here: Hardware) -> str:
    cpu = hardware.cpu()
    return kept.named(cpu.name, cpu.cores, here.machine.memory_bytes, [gpu.name for gpu in here.gpus])


def known(settings: Settings, here: Hardware) -> Kept:
    """What was measured on this machine. Raises: BadSettings."""
    return kept.read(settings.server.data_dir, machine_name(here))


def wanted(model: str | None, settings: Settings) -> Mapping[str, Ways]:
    """By name, what finds the ways of a model: of each card, or of a card or a GGUF file. Raises: BadSettings."""
    if model is None:
        return {card.name: _of_card(card, settings) for card in catalogue.cards()}
    if catalogue.is_gguf(model):
        path = Path(model).expanduser()
        path = next(iter(sorted(path.glob(f"*{gguf.SUFFIX}"))), path) if path.is_dir() else path
        return {path.name: lambda here, tokens: [_of_file(path, here, tokens)]}
    if _is_a_checkpoint(model):
        why = (
            "a plan is made for a name of the catalogue or a GGUF file, and `firstpass serve --model` runs this without"
        )
        raise BadSettings(f"{model} is a directory: {why}")
    return {model: _of_card(catalogue.named(model), settings)}


def _of_card(card: Card, settings: Settings) -> Ways:
    models_dir = settings.models_dir

    def found(here: Hardware, tokens: int | None) -> list[Way]:
        pulled = catalogue.place(card, models_dir) != "not pulled"
        each = ways(card, here, tokens)
        lack = "" if pulled else f"firstpass models pull {card.name}"
        return [
            _from_disk(one, card, models_dir, here, tokens)
            if one.engine == "llama.cpp"
            else replace(one, weights_lack=lack)
            for one in each
        ]

    return found


def _from_disk(way: Way, card: Card, models_dir: Path, here: Hardware, tokens: int | None) -> Way:
    """As the files of the model have it, where there are some: the largest that memory has room for, else the smallest
    that fits at all.
    """
    files = files_of(card, models_dir)
    if not files:
        file = models_dir / f"{card.name}-{way.weights}{gguf.SUFFIX}"
        return replace(way, weights_lack=f"a GGUF file, {file}", file=file)
    each = [_readable(path, here, tokens) for path in files]
    in_memory = next((one for one in each if one.fits and not one.disk_bytes), None)
    return in_memory or next((one for one in reversed(each) if one.fits), each[0])


def files_of(card: Card, models_dir: Path) -> Sequence[Path]:
    """GGUF files of a model, as `NAME-Q4_K_M.gguf`, or any in the model's own directory; the largest first."""
    longer = tuple(f"{one.name}-" for one in catalogue.cards() if one.name.startswith(f"{card.name}-"))
    beside = (one for one in models_dir.glob(f"{card.name}-*{gguf.SUFFIX}") if not one.name.startswith(longer))
    own = (models_dir / card.name).glob(f"*{gguf.SUFFIX}")
    return sorted((one for one in (*beside, *own) if one.is_file()), key=lambda path: -path.stat().st_size)


def _readable(path: Path, here: Hardware, tokens: int | None) -> Way:
    """A damaged file fits nowhere, and the other models are planned all the same."""
    try:
        return _of_file(path, here, tokens)
    except BadSettings as error:
        nothing = Shape(path.name, 1, float(path.stat().st_size), 0.0, 0, 0, 0.0, 0, 0.0)
        return Way("llama.cpp", "as in its file", nothing, str(error), file=path)


def _of_file(path: Path, here: Hardware, tokens: int | None) -> Way:
    """Called as the file is: what was measured of one holds for no other of the same model. Raises: BadSettings."""
    lacks = "" if "llama.cpp" in here.engines else f"llama.cpp's {llama_cpp.PROGRAM} is not installed"
    way = place(of_gguf(path.name, gguf.read(path)), "as in its file", here, tokens, lacks)
    return replace(way, file=path)


def expected(way: Way, known: Kept, prompt_tokens: int) -> Prediction | None:
    """None where it or the prompt does not fit, or where the machine's rates are not known."""
    if not way.fits or known.rates is None or prompt_tokens > way.context_tokens:
        return None
    return predicted(way, known.rates, prompt_tokens, known.correction(way))


def chosen(every: Sequence[Way], known: Kept) -> Way | None:
    """Of those that fit the fastest one, as far as that is known; before it goes whose engine is here, and weights.

    transformers gives no log-probabilities: it is for where nothing else runs. A GPU that nobody measured, for PyTorch
    does not reach it, is taken to be faster than the CPU.
    """

    def nearness(way: Way) -> tuple[bool, bool, bool, float]:
        found = expected(way, known, min(PROMPT_TOKENS, way.context_tokens))
        unknown = math.inf if way.gpus else 0.0
        speed = 1 / found.whole_seconds(ANSWER_TOKENS) if found else unknown
        return not way.engine_lacks, not way.weights_lack, way.engine != "transformers", speed

    return max((way for way in every if way.fits), key=nearness, default=None)


def settings_of(model: str, way: Way, known: Kept) -> Mapping[str, str]:
    """The settings of an engine that run it so, by their names in the section `engine`; values as in the environment.

    What was found by measuring the model here goes before what is usual.
    """
    said = {"kind": way.engine, "model": str(way.file or model), "context_tokens": str(way.context_tokens)}
    found = known.of(way)
    if found and found.threads:
        said["threads"] = str(found.threads)
    if arguments := (*way.arguments, *(found.arguments if found else ())):
        said["extra_args"] = shlex.join(arguments)
    if found and found.preload:
        said["preload"] = ",".join(found.preload)
    return said


def decided(model: str, settings: Settings, here: Hardware, known: Kept, context_tokens: int | None = None) -> Way:
    """How `serve` runs a model. context_tokens: wanted, in the place of what the settings say.

    Raises: BadSettings for a model that does not fit or is not here, with why.
    """
    if settings.engines:
        raise BadSettings("a model that is named here is for one engine, and the settings have several: name it there")
    found = next(iter(wanted(model, settings).values()))
    own = settings.engine.kind
    every = found(here, context_tokens or settings.engine.context_tokens)
    every = [way for way in every if own in ("auto", way.engine)]
    way = chosen(every, known)
    if way is None or way.lacks:
        reasons = (
            "; ".join(f"{way.engine}: {way.why_not or way.lacks}" for way in every) or f"kind {own} can not run it"
        )
        raise BadSettings(f"{model}: {reasons}")
    return way


def overrides(model: str, settings: Settings, context_tokens: int | None = None) -> dict[str, str]:
    """The environment's variables by which `serve` runs a model as planned. What the settings say themselves stays, and
    their further arguments come behind those of the plan. A directory and an external engine's model have no plan.

    Raises: BadSettings, as above.
    """
    named = {f"{PREFIX}MODEL": model}
    if settings.engine.kind == "external" or _is_a_checkpoint(model):
        return named
    here = present(settings)
    known_ = known(settings, here)
    way = decided(model, settings, here, known_, context_tokens)
    said = dict(settings_of(model, way, known_))
    if own := settings.engine.extra_args:
        said["extra_args"] = shlex.join((*shlex.split(said.get("extra_args", "")), *own))
    if settings.engine.binary is not None and way.engine != "llama.cpp":
        del said["kind"]  # A program of llama.cpp's beside it is refused, unless the kind is found by itself.
    stays = settings.engine.model_fields_set - {"model", "extra_args"}
    stays -= {"kind"} if settings.engine.kind == "auto" else set()
    stays -= {"context_tokens"} if context_tokens else set()
    return {f"{PREFIX}{name.upper()}": value for name, value in said.items() if name not in stays}


def _is_a_checkpoint(model: str) -> bool:
    """Whether it is a directory of one, and no name."""
    named = any(card.name == model.lower() for card in catalogue.cards())
    try:
        return not named and not catalogue.is_gguf(model) and Path(model).expanduser().is_dir()
    except (OSError, RuntimeError):  # Too long a name, or nobody's home: it is no name of the catalogue either.
        return False
