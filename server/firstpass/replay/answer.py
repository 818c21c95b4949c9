"""One answer, from the record or fresh from a server, as two of them are compared. It decides nothing."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from firstpass.chat import ToolCall, Usage, strict_json
from firstpass.dialect.anthropic import read_reply as anthropic_in
from firstpass.dialect.openai import read_reply as openai_in
from firstpass.dialect.values import NONSENSE
from firstpass.errors import FirstpassError
from firstpass.exchange import Ask, Exchange, Finding, Refuse, Reply
from firstpass.replay.asking import INFER, MESSAGES

IGNORED = "ignored"
"""The check that notes what a request wished for in vain; a request that is repeated has nothing of it."""

ERROR_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Answered:
    """exchange: its id. model: whose reply it is or was made of. others: the texts of further choices.

    calls: of tools, by name and arguments. tokens: prompt and completion, of all steps; verifier_tokens: those of them
    that verifiers counted. error: in the place of an answer, its status and code; said, param: its words, and the field
    that it names. experiment: of which the server made it a part, with the arm. checked: whether checks looked at it.
    """

    exchange: str | None = None
    route: str | None = None
    model: str | None = None
    contract: str | None = None
    text: str = ""
    others: tuple[str, ...] = ()
    refusal: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    finish_reason: str | None = None
    findings: tuple[Finding, ...] = ()
    tokens: tuple[int, int] = (0, 0)
    verifier_tokens: tuple[int, int] | None = None
    seconds: float | None = None
    receipts: int = 0
    error: str | None = None
    said: str = ""
    param: str | None = None
    experiment: str | None = None
    checked: bool = False

    @property
    def failed(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == "fail")

    @property
    def essence(self) -> tuple[Any, ...]:
        """What a caller gets of it; arguments of calls are compared as the JSON that they are."""
        called = tuple((name, canonical(given)) for name, given in self.calls)
        return self.error, self.text, self.others, self.refusal, called, self.finish_reason or "stop"


def canonical(arguments: str) -> str:
    """The same for texts that are the same JSON; a text that is none stands for itself."""
    try:
        return json.dumps(strict_json(arguments, _members), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises: ValueError for a name that stands twice: which of the values counts, each reader says otherwise."""
    if len(members := dict(pairs)) != len(pairs):
        raise ValueError("a name stands twice")
    return members


def recorded(exchange: Exchange) -> Answered:
    """What its caller got."""
    ask, step, reply = exchange.ask, exchange.answer, exchange.answer_reply
    every = [(one.move.tier, one.reply.usage) for one in exchange.steps if one.reply and one.reply.usage]
    used = [(tier, (usage.prompt_tokens, usage.completion_tokens)) for tier, usage in every]
    by_verifiers = [tokens for tier, tokens in used if tier == "verifier"]
    shared: dict[str, Any] = {
        "exchange": ask.id,
        "contract": ask.contract,
        "tokens": exchange.tokens,
        "verifier_tokens": _sum(by_verifiers) if by_verifiers else None,
        "seconds": exchange.seconds,
        "receipts": len(exchange.receipts),
    }
    if step is None or reply is None:
        failure = exchange.ending.failure if isinstance(exchange.ending, Refuse) else None
        error = f"{failure.status} {failure.code}" if failure else "it has no end"
        return Answered(**shared, error=error, said=failure.message if failure else "")
    mine = _of(reply)
    mine |= {"text": step.text or "", "finish_reason": step.finish_reason or reply.finish_reason}
    if step.edited is not None:
        mine["refusal"] = ""
    route = getattr(exchange.ending, "route", None)
    return Answered(**shared, **mine, route=route, findings=_seen(step.findings), checked=ask.contract is not None)


def fresh(ask: Ask, path: str, raw: bytes, headers: Mapping[str, str], seconds: float) -> Answered:
    """headers: of a successful answer. seconds: as who asked saw it; the server's own count where it says one.

    A body that is no answer is an error.
    """
    try:
        body = json.loads(raw)
        how = body.get("firstpass") or {}
        return _fresh(_reply(ask, path, raw, body, seconds), how, headers, seconds)
    except (*NONSENSE, FirstpassError) as error:
        return Answered(error="no answer", said=f"a body that is no answer of Firstpass ({type(error).__name__})")


def _reply(ask: Ask, path: str, raw: bytes, body: Mapping[str, Any], seconds: float) -> Reply:
    """Raises: one of NONSENSE, FirstpassError."""
    if path == INFER:
        usage = Usage(**body["usage"]) if body["usage"] else None
        return Reply(str(body["output"]), str(body["model"]), body["finish_reason"], usage, seconds)
    return anthropic_in.whole_reply(ask, raw, seconds) if path == MESSAGES else openai_in.whole_reply(ask, raw, seconds)


def _fresh(reply: Reply, how: Mapping[str, Any], headers: Mapping[str, str], seconds: float) -> Answered:
    route = headers["x-firstpass-route"]
    if how:
        steps = [(step["tier"], _counted(step["usage"])) for step in how["steps"] if step["usage"]]
    else:
        counted = (reply.usage.prompt_tokens, reply.usage.completion_tokens) if reply.usage else (0, 0)
        steps = [("verifier" if route == "strong" else "draft", counted)]
    by_verifiers = [tokens for tier, tokens in steps if tier == "verifier"]
    return Answered(
        **_of(reply),
        exchange=headers.get("x-request-id"),
        route=route,
        contract=how.get("contract"),
        findings=_seen(Finding(**finding) for finding in how.get("findings") or ()),
        tokens=_sum(tokens for _, tokens in steps),
        verifier_tokens=_sum(by_verifiers) if by_verifiers else None,
        seconds=how.get("seconds") or seconds,
        receipts=len(headers.get("x-firstpass-receipt", "").split(",")) if "x-firstpass-receipt" in headers else 0,
        experiment=headers.get("x-firstpass-experiment"),
        checked=how.get("contract") is not None,
    )


def refused(status: int, raw: bytes, seconds: float) -> Answered:
    """An error of the server, whichever API it was asked by."""
    try:
        error = json.loads(raw)["error"]
        code, words = error.get("code") or error["type"], str(error["message"])
        exchange, param = error.get("exchange"), error.get("param")
    except NONSENSE:
        code, words, exchange, param = "error", raw[:200].decode(errors="replace"), None, None
    said = " ".join(words.split())[:ERROR_CHARACTERS]
    return Answered(exchange=exchange, error=f"{status} {code}", said=said, param=param, seconds=seconds)


def _of(reply: Reply) -> dict[str, Any]:
    return {
        "model": reply.model,
        "text": reply.text,
        "others": reply.others,
        "refusal": reply.refusal or "",
        "calls": tuple(map(_call, reply.tool_calls)),
        "finish_reason": reply.finish_reason,
    }


def _call(call: ToolCall) -> tuple[str, str]:
    return call.name, call.given


def _seen(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(finding for finding in findings if finding.check != IGNORED)


def _counted(usage: Mapping[str, Any]) -> tuple[int, int]:
    return usage["prompt_tokens"], usage["completion_tokens"]


def _sum(counts: Iterable[tuple[int, int]]) -> tuple[int, int]:
    prompt = completion = 0
    for read, written in counts:
        prompt, completion = prompt + read, completion + written
    return prompt, completion
