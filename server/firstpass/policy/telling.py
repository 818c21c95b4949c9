"""An ended exchange in words: what was done, and why. It reads the record alone: what was, not what would be."""

from collections.abc import Iterator

from firstpass.exchange import Answer, Exchange, Judgement, Mend, Refuse, Step

_DID = {
    "draft": "drafted",
    "answer": "answered",
    "redraft": "wrote a sentence again that named what is not there, in the diff's names alone",
    "score": "scored the draft",
    "verify": "gave its verdict",
}
_ENDS = {
    "draft": "the draft is the answer",
    "repaired": "the mended draft is the answer",
    "verified": "the verified draft is the answer",
    "strong": "the strong model's answer is the answer",
    "unverified": "the answer is marked unverified",
}


def told(exchange: Exchange) -> Iterator[str]:
    """A sentence for each step, and what came of it."""
    judged = exchange.judged
    for number, step in enumerate(exchange.steps):
        rule = f" by the rule {step.move.rule!r}" if step.move.rule else ""
        yield f"{_who(step)}{rule}: {_outcome(step)}"
        if judged is not None and number == 0:
            yield _of_gate(judged)
    match exchange.ending:
        case Answer(route=route):
            yield f"so {_ENDS[route]}"
        case Refuse(failure=failure):
            yield f"so it was refused: {failure.message}"


def _who(step: Step) -> str:
    if isinstance(step.move, Mend):
        return "code mended it"
    who = "the draft model" if step.move.tier == "draft" else "the verifier"
    named = f"{who} {step.reply.model}" if step.reply else who
    tokens = f" ({step.reply.usage.completion_tokens} tokens)" if step.reply and step.reply.usage else ""
    return f"{named} {_DID[step.move.purpose]}{tokens}"


def _outcome(step: Step) -> str:
    if step.failure is not None:
        return f"it failed: {step.failure.message}"
    if step.cut:
        return f"it was cut off, since nothing here could put this right: {step.failed[0].message}"
    if step.text is None:
        return "there was nothing to say"
    if step.passed:
        return "it doubts no name" if step.move.purpose == "score" else "no check found a fault"
    if step.move.purpose == "score":
        return "; ".join(finding.message for finding in step.failed)
    return f"{len(step.failed)} checks failed: {'; '.join(finding.message for finding in step.failed)}"


def _of_gate(judged: Judgement) -> str:
    """The score beside the threshold, and what the gate promises."""
    promise = (
        f"at most {judged.risk:.1%} of all requests are accepted and wrong, with {judged.confidence:.0%} confidence"
    )
    if judged.by != "score":
        return f"the gate {judged.gate} accepts nothing here: {judged.by}"
    floor = "every score" if judged.accept_from is None else f"scores from {judged.accept_from:.4f}"
    return (
        f"the gate {judged.gate} gave the draft {judged.score:.4f} and accepts {floor}, so it was"
        f" {'accepted' if judged.accepted else 'not accepted'}; its promise is that {promise}"
    )
