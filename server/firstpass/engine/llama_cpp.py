"""How llama.cpp's own server is run over a GGUF file, where vLLM has no quantised experts. Starts nothing.

Read in the source of llama.cpp as llama-cpp-python 0.3.36 has it (tools/server, common/arg.cpp).

llama-cpp-python's server (`python -m llama_cpp.server`) does not stand in for it: it answers one request at a time, by
its defaults breaks off a stream for the next one, listens on TCP alone, and has no path that says it is ready.
"""

import logging
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from firstpass import gguf
from firstpass.engine import llama_arguments
from firstpass.engine.arguments import value_of
from firstpass.engine.cache_size import CacheSize, Needs, fitted, tell_cut
from firstpass.engine.recipe import Command, clean_environment, thread_count
from firstpass.engine.spec import Endpoint, EngineSpec, Need
from firstpass.errors import BadSettings
from firstpass.gguf import Gguf
from firstpass.hardware import Machine

log = logging.getLogger(__name__)

PROGRAM = "llama-server"

SLOTS = 4
"""Requests that it works on at once, each with a context of its own; its own default."""

LIST_SECONDS = 10.0

RUNTIME_BYTES = 150_000_000
"""What its process takes beside weights and cache."""

HOW_TO_GET_IT = (
    "install Debian's package llama.cpp, or build it (cmake -B build -DLLAMA_BUILD_SERVER=ON; cmake --build build"
    " --target llama-server) and name it by engine.binary"
)

NO_TEMPLATE = (
    "engine %s: its file has no chat template, so llama.cpp takes ChatML's; the settings can name another:"
    ' engine.extra_args = ["--chat-template-file", "FILE"]'
)

LEAVES_OUT = frozenset({"echo", "suffix", "dimensions"})
"""Fields of a request that its server does nothing with, or has no more than one value for."""

TEMPLATE, TEMPLATE_FILE = "--chat-template", "--chat-template-file"
PROJECTORS = ("--mmproj", "-mm")


class LlamaCppRecipe:
    """`llama-server` on a Unix socket."""

    ready_path = "/health"
    expects_logprobs = True
    stages: Mapping[str, str] = {
        "loading model": "loading weights",
        "threadpool init": "allocating the key-value cache",
        "model loaded": "loaded",
    }

    def __init__(self, spec: EngineSpec, machine: Machine) -> None:
        """Raises: BadSettings without the program, or for a file that is no whole model or larger than the memory."""
        llama_arguments.refuse(spec.extra_args)
        if spec.gguf is None:
            raise BadSettings(f"engine {spec.name}: llama.cpp reads a GGUF file, and there is none")
        self._spec = spec
        self._file = spec.gguf
        self._program = program(spec.binary)
        model = gguf.read(spec.gguf)
        refuse_what_it_is_not(spec, model)
        needs = Needs(model.bytes, model.token_bytes, spec.holds_tokens or model.context_tokens)
        needs, size = placed(spec, machine, model, needs)
        tell_cut(spec, size, needs.longest_tokens)
        self._context_tokens = size.context_tokens
        self._slots = max(1, min(SLOTS, size.bytes // (size.token_bytes * size.context_tokens)))
        if not template_of(spec, model):
            log.warning(NO_TEMPLATE, spec.name)
        self.need = Need(needs.weight_bytes + size.bytes + RUNTIME_BYTES)

    def command(self, scratch: Path) -> Command:
        """The suffix .sock is what makes a socket of it. Prompts of the past are kept in their contexts alone.

        By default 8 GiB more hold what others have had there, and to find out what fits it loads the model twice.
        """
        spec = self._spec
        endpoint = Endpoint("http://engine/v1", scratch / "api.sock", spec.served_name or spec.name)
        argv = [str(self._program), "--host", str(endpoint.uds), "--model", str(self._file), "--alias", endpoint.model]
        argv += ["--ctx-size", str(self._context_tokens * self._slots), "--parallel", str(self._slots)]
        argv += ["--threads", str(thread_count(spec)), "--jinja", "--no-prefill-assistant"]
        argv += ["--offline", "--no-webui", "--no-slots", "--cache-ram", "0", "--fit", "off"]
        environment = clean_environment(TMPDIR=str(scratch), LLAMA_CACHE=str(scratch))
        return Command((*argv, *spec.extra_args), environment, endpoint)


def placed(spec: EngineSpec, machine: Machine, model: Gguf, needs: Needs) -> tuple[Needs, CacheSize]:
    """(What of the file is in memory, the cache beside it). Experts that find no room stay in the file, which is mapped
    into memory, and are read whenever they are chosen: slow, and the only way to run the largest models.

    Raises: BadSettings for a model that is too large even so.
    """
    try:
        return needs, fitted(spec, machine, needs, SLOTS, on_gpu=machine.gpu)
    except BadSettings:
        if not model.expert_bytes:
            raise
    size = fitted(spec, machine, replace(needs, weight_bytes=model.bytes - model.expert_bytes), 1)
    held = machine.usable_bytes - size.bytes
    log.warning(
        "engine %s: %.1f GB of its experts stay on the disk: it will be slow", spec.name, (model.bytes - held) / 1e9
    )
    return replace(needs, weight_bytes=held), size


def leaves_out(spec: EngineSpec) -> frozenset[str]:
    """Fields of a request that its server would take and do nothing with. Raises: BadSettings.

    A template that knows no tools shows the model none, and then also a required one is not called.
    """
    takes_tools = spec.gguf is None or "tools" in template_of(spec, gguf.read(spec.gguf))
    return LEAVES_OUT if takes_tools else LEAVES_OUT | {"tools"}


def template_of(spec: EngineSpec, model: gguf.Gguf) -> str:
    """The arguments' before the model's own. Raises: BadSettings for a file that can't be read."""
    file = value_of(TEMPLATE_FILE, spec.extra_args)
    try:
        said = Path(file).read_text(encoding="utf-8") if file else value_of(TEMPLATE, spec.extra_args)
    except (OSError, ValueError) as error:
        raise BadSettings(f"engine.extra_args: {TEMPLATE_FILE} {file}: {error}") from error
    return said or model.template


def program(named: Path | None) -> Path:
    """Raises: BadSettings that says where it was looked for, and how to get it."""
    if named is not None:
        path = named.expanduser().absolute()
        if path.is_file() and os.access(path, os.X_OK):
            return path
        raise BadSettings(f"engine.binary: {path} is no program that this user can run: {HOW_TO_GET_IT}")
    found = shutil.which(PROGRAM)
    if found is None:
        where = os.environ.get("PATH", "") or "nowhere"
        raise BadSettings(f"engine.kind is llama.cpp, and PATH ({where}) has no {PROGRAM}: {HOW_TO_GET_IT}")
    return Path(found).absolute()


def uses_gpu(program: Path) -> bool:
    """Whether it is built for one that is here: its list of devices has more than the CPU. One that has no list may."""
    try:
        said = subprocess.run((program, "--list-devices"), capture_output=True, text=True, timeout=LIST_SECONDS)
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return True
    return said.returncode != 0 or "(none)" not in said.stdout


def refuse_what_it_is_not(spec: EngineSpec, model: gguf.Gguf) -> None:
    """Raises: BadSettings for a model that writes nothing, and for images without what sees them."""
    if model.embeds:
        raise BadSettings(f"engine.model: {spec.gguf} gives embeddings alone, and the draft engine has to write")
    if spec.images and not any(value_of(option, spec.extra_args) for option in PROJECTORS):
        told = 'llama.cpp sees by a projector: engine.extra_args = ["--mmproj", "FILE"]'
        raise BadSettings(f"engine.images: {told}")
