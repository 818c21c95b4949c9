"""What an engine's further arguments say, and which it may not get. Knows the names of vLLM 0.32, transformers 5.19."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from firstpass.errors import BadSettings

RUNS_CODE = (
    *("--trust-remote-code", "--trust-request-chat-template", "--trust-request-mm-kwargs"),
    *("--middleware", "--tool-parser-plugin", "--reasoning-parser-plugin", "--logits-processors"),
    *("--io-processor-plugin", "--worker-cls", "--worker-extension-cls", "--scheduler-cls"),
    *("--model-class-overrides", "--logging-config", "--log-config-file"),
)
"""They name a module, a class or a file that is imported, or believe what a model directory or a request holds."""

OPENS_A_DOOR = (
    *("--host", "--port", "--uds", "--grpc", "--grpc-port", "--data-parallel-supervisor-port", "--root-path"),
    *("--api-key", "--ssl-keyfile", "--ssl-certfile", "--ssl-ca-certs", "--ssl-cert-reqs", "--ssl-ciphers"),
    *("--enable-ssl-refresh", "--allowed-origins", "--allowed-methods", "--allowed-headers", "--allow-credentials"),
    *("--enable-cors", "--non-blocking", "--enable-tokenizer-info-endpoint", "--enable-scale-out"),
    *("--weight-transfer-config", "--profiler-config", "--kv-events-config"),
)
"""The engine listens on a private socket, for the front alone, with no more routes than the front needs."""

FETCHES = (
    *("--allowed-local-media-path", "--allowed-media-domains", "--enable-prompt-embeds", "--enable-mm-embeds"),
    *("--tool-server", "--hf-token"),
)
"""They let a request read files, hosts or pickled tensors, or let the engine speak to servers."""

CHOSEN_ELSEWHERE = ("--config", "--model", "--force-model", "--tokenizer")
"""A file of further arguments is not looked through; the model is the one whose files were checked."""

EXECUTORS = frozenset({"mp", "ray", "uni", "external_launcher"})
"""Of --distributed-executor-backend: those that are vLLM's own."""

SAFE_FORMATS = frozenset({"auto", "hf", "safetensors", "fastsafetensors", "mistral", "sharded_state", "dummy"})
"""Of --load-format: those that read safetensors where a directory has some, as every model here does."""

WHY = {
    **dict.fromkeys(RUNS_CODE, "code that comes with a model, or beside it, is never run"),
    **dict.fromkeys(OPENS_A_DOOR, "the engine answers the front alone, on a socket of its own"),
    **dict.fromkeys(FETCHES, "an engine fetches nothing"),
    **dict.fromkeys(CHOSEN_ELSEWHERE, "the model is engine.model, and the arguments are engine.extra_args"),
}

HARMLESS = frozenset({"--reasoning-parser"})
"""Options with names that a refused one begins with."""


def refuse(extra_args: Iterable[str]) -> None:
    """An option may be shortened, have `_` for `-`, its value behind `=` or a key behind a dot, as vLLM allows.

    Raises: BadSettings that names the argument.
    """
    arguments = tuple(extra_args)
    for argument, following in zip(arguments, (*arguments[1:], ""), strict=False):
        if argument.startswith("-"):
            given, equals, value = argument.partition("=")
            reason = _why(given.replace("_", "-"), value if equals else following)
            if reason:
                raise BadSettings(f"engine.extra_args: {argument} is refused: {reason}")


def value_of(option: str, extra_args: Sequence[str]) -> str | None:
    """What they give to an option; the last of several wins."""
    said = None
    for argument, following in pairwise((*extra_args, "")):
        name, equals, value = argument.partition("=")
        if name.replace("_", "-") == option:
            said = value if equals else following
    return said


def _why(given: str, value: str) -> str | None:
    name = given.partition(".")[0]
    if name not in HARMLESS and (reason := next((WHY[full] for full in WHY if full.startswith(name)), None)):
        return reason
    if "--load-format".startswith(name) and value not in SAFE_FORMATS:
        return "weights are read as safetensors alone"
    if "--distributed-executor-backend".startswith(name) and value not in EXECUTORS:
        return "it names code to import"
    if name == "-cc" or "--compilation-config".startswith(name):
        return "it names code to import" if "backend" in given + value else None
    if "--speculative-config".startswith(name) and "model" in given + value:
        return "its model's files were not checked"
    if "--attn-implementation".startswith(name) and "/" in value:
        return "it is code of a hub"
    if "module-path" in given or "module_path" in value:
        return "it names code to import"
    return None
