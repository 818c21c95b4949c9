"""Which arguments llama.cpp's server may not get. Knows its names (common/arg.cpp), which are never shortened."""

from collections.abc import Iterable

from firstpass.errors import BadSettings

OPENS_A_DOOR = (
    *("--host", "--port", "--reuse-port", "--path", "--api-prefix", "--api-key", "--api-key-file", "--ssl-", "--cors-"),
    *("--ui", "--ui-", "--webui", "--webui-", "--props", "--slots", "--slot-save-path", "--media-path"),
)
"""The engine listens on a private socket, for the front alone, with no more routes than the front needs."""

RUNS_CODE = ("--tools", "--tools-", "--agent", "-ag", "--mcp-", "--log-prompts-dir")
"""They let a request run programs, or read and write files; the last writes down what callers say."""

FETCHES = (
    *("--hf-", "-hf", "-hff", "-hft", "-hfd", "-hfr", "-hfrd", "-hfv", "--spec-draft-hf", "--docker-repo", "-dr"),
    *("--model-url", "-mu", "--mmproj-url", "-mmu", "--rpc", "--fim-"),
)
"""They speak to a hub or to other machines."""

ANSWERS_NO_CHAT = ("--embedding", "--embeddings", "--rerank", "--reranking")
"""With these it gives vectors or ranks alone."""

CHOSEN_ELSEWHERE = ("--model", "-m", "--alias", "-a", "--models-", "--offline", "--prefill-assistant")
"""The model is the file that was looked at, nothing else is loaded by name, and the rest is as the front needs it."""

WHY = {
    **dict.fromkeys(OPENS_A_DOOR, "the engine answers the front alone, on a socket of its own"),
    **dict.fromkeys(RUNS_CODE, "no request runs programs or touches files"),
    **dict.fromkeys(FETCHES, "an engine fetches nothing"),
    **dict.fromkeys(ANSWERS_NO_CHAT, "the draft engine has to write"),
    **dict.fromkeys(CHOSEN_ELSEWHERE, "the model is engine.model, and how it is asked is the front's"),
}
"""A name that ends in `-` stands for all that begin so."""

DOWNLOADED = "-default"
"""What names of models end with that it would download."""

HARMLESS = frozenset({"--spec-default"})


def refuse(extra_args: Iterable[str]) -> None:
    """Raises: BadSettings that names the argument."""
    for argument in extra_args:
        name = argument.partition("=")[0].replace("_", "-")
        if argument.startswith("-") and (reason := _why(name)):
            raise BadSettings(f"engine.extra_args: {argument} is refused: {reason}")


def _why(name: str) -> str | None:
    if name in HARMLESS:
        return None
    if name.startswith("--") and name.endswith(DOWNLOADED):
        return "an engine fetches nothing"
    return next((why for known, why in WHY.items() if _is(name, known)), None)


def _is(name: str, known: str) -> bool:
    return name.startswith(known) if known.endswith("-") else name == known
