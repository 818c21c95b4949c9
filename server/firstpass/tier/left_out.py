"""Whether a field asks for anything: what says only what holds anyway is not missed. Knows no endpoint."""

from firstpass.chat import Sampling


def says_something(sampling: Sampling, name: str) -> bool:
    match name, getattr(sampling, name):
        case _, None:
            return False
        case "response_format", wanted:
            return bool(wanted.get("type", "text") != "text")
        case "tool_choice", choice:
            return bool(choice.mode != "auto")
        case "parallel_tool_calls", allowed:
            return not allowed
        case "n", number:
            return bool(number != 1)
        case _, value:
            return bool(value)
