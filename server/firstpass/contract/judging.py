"""What is made of a tier's reply under a contract, in one piece of work each. Processes that do no more import this."""

from dataclasses import replace

from firstpass.contract.base import Contract
from firstpass.exchange import Consult, Exchange, Finding, Mend, Reply


def judged(
    contract: Contract, exchange: Exchange, move: Consult, reply: Reply
) -> tuple[str, tuple[Finding, ...], dict[str, float]]:
    """(The answer that the reply stands for, what is wrong with it, what a gate looks at)

    Raises: BadVerdict, and BadAsk as `Contract.prepare` does.
    """
    ask = replace(exchange.ask, why=move.purpose)
    text = contract.read(exchange, move, reply)
    answer = replace(reply, text=text)
    findings = contract.check(ask, answer) if move.floor is None else contract.doubts(answer, move.floor)
    return text, findings, contract.signals(ask, reply) if move.measured else {}


def mended(contract: Contract, exchange: Exchange, move: Mend) -> tuple[str | None, tuple[Finding, ...]]:
    """(The text, None where code can do nothing; what is wrong with it). Raises: BadAsk as `Contract.prepare` does."""
    source = exchange.steps[move.step]
    assert source.reply is not None and source.text is not None, "only an answer is mended"
    found = contract.mend(exchange, replace(source.reply, text=source.text))
    return (None, ()) if found is None else (found.text, contract.check(exchange.ask, found))
