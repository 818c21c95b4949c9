"""Why an engine's start failed, in the words of its log. Knows how Python, vLLM and llama.cpp print them."""

import re

LONGEST = 500
"""vLLM says last what to do, after 300 characters of why: how long a context would fit, for one."""

ERROR = re.compile(
    r"^(?:\([^)]*\) )?"  # vLLM names its process: `(EngineCore pid=7) `
    r"(?:[A-Z]+ \S+ \S+ \[[^\]]*\] )?"  # a line of its logger: `ERROR 11-23 14:22:19 [core.py:1120] `
    r"\s*(?P<text>(?:[A-Za-z_][\w.]*(?:Error|Exception): |Value error, ).+|MemoryError$)"
)
"""`Value error, ` is pydantic's, on the line below its own name. Python says no more of a MemoryError."""

OF_LLAMA = re.compile(
    r"^(?:\d+\.)+\d+ E (?:\S+ +)?\w+: (?P<text>.+)"  # `0.00.623.468 E srv    load_model: `
    r'|^error(?: while handling argument (?=")|: )(?P<plain>.+)'
)

HOLLOW = (
    *("validation error for", "validation errors for", "Engine core initialization failed"),
    *("failed to load model '", "failed to load model,", "file_impl: failed to load model", "exiting due to"),
    *("create context with model", "create_context with model"),
)
"""They only say that something else went wrong."""

DIRECTORIES = re.compile(r"(?<![\w.:/])/(?:[^\s/'\"]+/)+")
"""Of an absolute path: the caller, who may be on another machine, gets its last name only."""

PYDANTIC_TAIL = re.compile(r" \[type=\w+, input_value=.*")


def quoted(log: str) -> str:
    """The last two different errors of a log, the later one last; empty where it names none.

    Two, because the last is often what another process made of the first: the engine process says what is wrong, the
    server above it that there is no engine.
    """
    errors: list[str] = []
    for line in reversed(log.splitlines()):
        text = error_of(line)
        if text and text not in errors:
            errors.insert(0, text)
        if len(errors) == 2:
            break
    return "; ".join(errors)


def error_of(line: str) -> str:
    """What a line says after the name of an error, with that name; empty for any other line."""
    match, llama = ERROR.match(line), OF_LLAMA.match(line)
    said = match["text"] if match else llama and (llama["text"] or llama["plain"])
    if not said or any(words in line for words in HOLLOW):
        return ""
    text = DIRECTORIES.sub("…/", PYDANTIC_TAIL.sub("", said).strip())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
