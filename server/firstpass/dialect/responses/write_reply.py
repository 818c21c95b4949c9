"""The response object of the Responses API: whole from the record, or as far as a stream has come. It decides nothing.

Sources: the OpenAI API reference; openai-python 3.54, openai/types/responses/response.py; Open Responses 2026-04-24,
which wants more fields to be there and fewer of them null.
"""

from collections.abc import Sequence
from typing import Any, Literal

from firstpass.chat import Usage
from firstpass.dialect.openai.write_reply import error_body
from firstpass.dialect.render import answered, dump, how_made
from firstpass.dialect.responses.items import PREFIX, is_freeform, named, output_items
from firstpass.dialect.responses.read_request import in_our_words
from firstpass.errors import ContextTooLong, Failure
from firstpass.exchange import Ask, Exchange, Refuse, Terms

Status = Literal["in_progress", "completed", "incomplete", "failed"]

CODES = {429: "rate_limit_exceeded", 400: "invalid_prompt"}
"""Of a failed response, by the status that it would have had; every other is the server's."""

REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why an answer is incomplete, by how the model ended."""

DEFAULTS = {"temperature": 1.0, "top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
"""The API's, said of what a request leaves to the model, whose own are not known here: none of these may be null."""


def whole(exchange: Exchange) -> bytes:
    return dump(of(exchange))


def of(exchange: Exchange) -> dict[str, Any]:
    """From the record alone: the same whenever it is asked for."""
    if isinstance(exchange.ending, Refuse):
        return failed(exchange.ask, exchange.ask.model, exchange.ending.failure)
    status = status_of(exchange)
    return ended(exchange, output_items(exchange, "incomplete" if status == "incomplete" else "completed"))


def ended(exchange: Exchange, output: Sequence[dict[str, Any]]) -> dict[str, Any]:
    (step, reply), ask, status = answered(exchange), exchange.ask, status_of(exchange)
    reason = REASONS[step.finish_reason or reply.finish_reason or ""] if status == "incomplete" else None
    return _base(ask, reply.model, status) | {
        "completed_at": int(ask.received_unix + (exchange.seconds or 0)),
        "incomplete_details": {"reason": reason} if reason else None,
        "output": list(output),
        "usage": _usage(reply.usage),
        **how_made(exchange),
    }


def status_of(exchange: Exchange) -> Literal["completed", "incomplete"]:
    step, reply = answered(exchange)
    return "incomplete" if (step.finish_reason or reply.finish_reason) in REASONS else "completed"


def begun(ask: Ask, model: str) -> dict[str, Any]:
    return _base(ask, model, "in_progress")


def failed(ask: Ask, model: str, failure: Failure, output: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """The API has words of its own for the error of a response; what each of our parts calls it is beside them."""
    too_long = failure.kind == ContextTooLong.__name__
    code = failure.code if too_long else CODES.get(failure.status, "server_error")
    param = in_our_words(failure).param
    error = {"code": code, "message": failure.message, "param": param, "part": failure.part, "exchange": ask.id}
    return _base(ask, model, "failed") | {"error": error, "output": list(output)}


def error(failure: Failure, exchange_id: str | None = None) -> dict[str, Any]:
    return error_body(in_our_words(failure), exchange_id)


def _base(ask: Ask, model: str, status: Status) -> dict[str, Any]:
    terms, sampling = ask.terms or Terms(), ask.sampling
    return {
        "id": PREFIX + ask.id,
        "object": "response",
        "created_at": int(ask.received_unix),
        "completed_at": None,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": ask.messages[0].content if terms.instructed else None,
        "max_output_tokens": sampling.max_tokens,
        "max_tool_calls": None,
        "metadata": ask.metadata or {},
        "model": model,
        "output": [],
        "parallel_tool_calls": sampling.parallel_tool_calls is not False,
        "previous_response_id": PREFIX + ask.previous if ask.previous else None,
        "prompt_cache_key": terms.prompt_cache_key,
        "reasoning": {"effort": sampling.reasoning_effort, "summary": terms.summary},
        "safety_identifier": terms.safety_identifier,
        "service_tier": "default",
        "store": ask.store,
        "text": {"format": _format(sampling.response_format), "verbosity": "medium"},
        "tool_choice": _tool_choice(ask),
        "tools": _tools(ask),
        "top_logprobs": sampling.top_logprobs or 0,
        "truncation": "disabled",
        "usage": None,
        "user": ask.user,
    } | {name: default if (asked := getattr(sampling, name)) is None else asked for name, default in DEFAULTS.items()}


def _format(response_format: dict[str, Any] | None) -> dict[str, Any]:
    if response_format is None:
        return {"type": "text"}
    schema = response_format.get("json_schema")
    defaults = {"description": None, "strict": False} if schema else {}
    return {"type": response_format["type"]} | defaults | (schema or {})


def _tool_choice(ask: Ask) -> str | dict[str, Any]:
    choice = ask.sampling.tool_choice
    if choice is None:
        return "auto"
    if choice.mode != "named":
        return choice.mode
    return {"type": _kind(ask, choice.name or "")} | named(ask, choice.name or "")


def _kind(ask: Ask, tool: str) -> str:
    return "custom" if is_freeform(ask, tool) else "function"


def _tools(ask: Ask) -> list[dict[str, Any]]:
    """As they were offered, those of a namespace together."""
    listed: list[dict[str, Any]] = []
    spaces: dict[str, dict[str, Any]] = {}
    for tool in ask.sampling.tools or ():
        whose, kind = named(ask, tool.name), _kind(ask, tool.name)
        said: dict[str, Any] = {"type": kind, "name": whose["name"], "description": tool.description}
        said |= {"parameters": tool.parameters, "strict": tool.strict} if kind == "function" else {}
        namespace = whose.get("namespace")
        if namespace is not None and namespace not in spaces:
            spaces[namespace] = {"type": "namespace", "name": namespace, "description": "", "tools": []}
            listed.append(spaces[namespace])
        (listed if namespace is None else spaces[namespace]["tools"]).append(said)
    return listed


def _usage(usage: Usage | None) -> dict[str, Any] | None:
    """Nothing is said of tokens that were written to a cache: no tier counts them."""
    if usage is None:
        return None
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
