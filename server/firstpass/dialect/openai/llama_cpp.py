"""What llama.cpp's server wants said otherwise, and says otherwise, than the OpenAI API and vLLM. Knows no connection.

Read in tools/server of llama.cpp as llama-cpp-python 0.3.36 has it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from firstpass.dialect import render
from firstpass.dialect.openai.gbnf import gbnf
from firstpass.dialect.openai.repeats import repeats_twice
from firstpass.dialect.values import logprob, parsed, text
from firstpass.errors import BadAsk
from firstpass.exchange import Ask

PENALTIES = frozenset({"repetition_penalty", "presence_penalty", "frequency_penalty"})
PENALISED_TOKENS = 2**17
"""How far back they look: as far as any text goes here. It makes room for as many in each request."""


def as_llama_takes(fields: dict[str, Any], ask: Ask) -> dict[str, Any]:
    """The body of a request as vLLM takes it, in llama.cpp's own words. Raises: BadAsk."""
    for name in ("response_format", "tools"):
        if pattern := repeats_twice(fields.get(name)):
            why = f"the pattern {pattern[:60]!r} repeats what repeats, which llama.cpp can hang over"
            raise BadAsk(f"{name}: {why}", part="draft", param=name)
    said = fields | _logprobs(fields, ask) | _tools(fields)
    if ask.kind == "completion" and "response_format" in said:
        said |= _schema(said.pop("response_format"))
    if "messages" in said:
        said["messages"] = as_llama_reads(said["messages"])
    if PENALTIES & said.keys():  # It looks at the last 64 tokens alone, unless told otherwise.
        said["repeat_last_n"] = PENALISED_TOKENS
    if "repetition_penalty" in said:
        said["repeat_penalty"] = said.pop("repetition_penalty")
    if "structured_outputs" in said:
        said["grammar"] = gbnf(said.pop("structured_outputs")["regex"])
    if ask.sampling.thinking_tokens is not None:  # Of use where the template shows where thoughts end.
        said["reasoning_budget_tokens"] = ask.sampling.thinking_tokens
    if ask.key is not None:  # What one key has asked before is not to be told by how fast another's comes.
        said["cache_prompt"] = False
    return said


def as_llama_reads(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A model's thoughts have another name in it."""
    names = {"reasoning": "reasoning_content"}
    return [{names.get(name, name): value for name, value in message.items()} for message in messages]


def _logprobs(fields: Mapping[str, Any], ask: Ask) -> dict[str, Any]:
    """It gives none where no likeliest tokens are asked for, and 20 where a chat does not say how many."""
    asked = fields.get("logprobs")
    if asked is None or asked is False:
        return {}
    if ask.kind == "completion":
        return {"logprobs": max(1, int(asked))}
    return {"top_logprobs": max(1, fields.get("top_logprobs") or 0)}


def _tools(fields: Mapping[str, Any]) -> dict[str, Any]:
    """It takes a tool's name for "auto": that tool alone is offered, and one is required."""
    choice = fields.get("tool_choice")
    if not isinstance(choice, dict):
        return {}
    name = choice["function"]["name"]
    return {"tools": [tool for tool in fields["tools"] if tool["function"]["name"] == name], "tool_choice": "required"}


def _schema(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A completion has no `response_format`. Raises: BadAsk."""
    kind = wanted.get("type", "text")
    if kind == "text":
        return {}
    if kind == "json_object":
        return {"json_schema": {"type": "object"}}
    if kind == "json_schema":
        return {"json_schema": (wanted.get("json_schema") or {}).get("schema") or {"type": "object"}}
    raise BadAsk(
        f"the draft model's server takes no response_format of type {kind}", part="draft", param="response_format"
    )


def without_beginning(raw: bytes, begun: str) -> bytes:
    """A whole reply without what it was to go on from; a template may have left out white space around that.

    Raises: one of NONSENSE where it begins otherwise.
    """
    answer = parsed(raw)
    for choice in answer["choices"]:
        said = text(choice["message"].get("content"))
        beginning = begun if said.startswith(begun) else begun.strip()
        if not said.startswith(beginning):
            raise ValueError("the reply does not begin as it was to")
        choice["message"]["content"] = said[len(beginning) :]
    return render.dump(answer)


def in_lists(block: Mapping[str, Any], begin: int) -> tuple[dict[str, Any], int]:
    """The log-probabilities of a text completion, which it writes as a chat's, as the API has them.

    begin: how many characters came before. Returns: them, and how many have come now. Raises: one of NONSENSE.
    """
    tokens, values, tops, offsets = list[str](), list[float](), list[dict[str, float]](), list[int]()
    for entry in block["content"] or ():
        tokens.append(text(entry["token"]))
        values.append(logprob(entry["logprob"]))
        tops.append({text(one["token"]): logprob(one["logprob"]) for one in entry.get("top_logprobs") or ()})
        offsets.append(begin)
        begin += len(tokens[-1])
    return {"tokens": tokens, "token_logprobs": values, "top_logprobs": tops, "text_offset": offsets}, begin
