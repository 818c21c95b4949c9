"""What was asked, every step taken, and how it ended. Knows no HTTP, database, clock or model: standard library only.

An `Exchange` only grows: a policy reads it and names the next `Move`; the cascade carries it out and appends a `Step`.
History, audit, replay and evaluation all read this one type.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from firstpass.chat import Dialect, Message, Reasoning, Sampling, TokenLogprob, ToolCall, Usage
from firstpass.errors import Failure

Ceiling = Literal["local-only", "redacted", "any"]
"""How far a request's text may travel, strictest first."""

CEILINGS: tuple[Ceiling, ...] = ("local-only", "redacted", "any")

Target = Literal["cascade", "local", "strong"]
OWN_NAMES: Mapping[Target, str] = {"cascade": "firstpass", "local": "local", "strong": "strong"}
"""Of the targets, as models."""
Route = Literal["draft", "repaired", "verified", "strong", "unverified"]
TierName = Literal["draft", "verifier"]
Kind = Literal["chat", "completion", "embedding"]
CallerDialect = Literal["openai", "anthropic", "responses", "infer"]
Purpose = Literal["answer", "draft", "redraft", "score", "verify"]
"""What a tier is asked for."""
LimitName = Literal["max_tokens", "max_completion_tokens"]
Watch = Literal["mended", "rewritten"]
"""What is tried on a faulty draft before a verifier is asked: code mends it; its model writes a sentence again, too."""

ESCALATED = "escalated"
"""The finish reason of a reply that was cut off."""

TRUNCATED = "truncated"
"""The check that finds an answer cut off at its limit."""


def strictest(*ceilings: Ceiling) -> Ceiling:
    """The ceiling that all the given ones allow."""
    return min(ceilings, key=CEILINGS.index)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a Responses request says beside what models are asked with; its answer repeats most of it.

    instructed: the first message is the request's own instructions, which no later request takes over.
    skipped_tools: the types of the tools that nothing here can call. summary: how a model's thoughts are wanted.
    namespaces: by the name that the model has for a tool, the namespace that the caller has it in, and its name there.
    freeform: the names that the model has for the tools that are called with a text.
    """

    instructed: bool = False
    skipped_tools: tuple[str, ...] = ()
    summary: str | None = None
    include: tuple[str, ...] = ()
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    client_metadata: dict[str, str] | None = None
    namespaces: dict[str, tuple[str, str]] = field(default_factory=dict)
    freeform: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, after the dialect has been taken off.

    A chat has `messages`; a completion has one user message, the prompt; embeddings one for each text. `received_unix`
    is in seconds. dialect: what the caller speaks.
    engine: which of the models on this machine drafts; None: the first, or the only one.
    verifier: which of several is asked, and no other; None: the first that may be asked, and the next where it fails.
    settings: the digest of those that it was read under.
    experiment, arm: of which experiment it is a part, and what is done otherwise there.
    shadows: the exchange whose request it repeats, for an arm that answers nobody.
    repository: the name of the index that the contract's checks may look names up in.
    optimistic: a checked answer is streamed while it is written; what the checks made of it comes last.
    continues: the last message is how the reply begins. pattern: a regular expression that the reply has to match; only
    what a contract prepares has one. scored: likewise, the last message itself is wanted as the reply, with its tokens'
    log-probabilities.
    wishes: fields of the sampling that a contract set for itself. A tier that has none of them does without; what the
    caller set is an error there.
    forwarded: headers of an Anthropic caller, by name, that go on unchanged to an Anthropic verifier.
    limit_name: what the caller called `sampling.max_tokens`, of the two names that the OpenAI API has for it.
    stands_in: nothing here has the name of that model, and the target answers for it.
    ignored: fields of the body that wish for what nothing here can do, and that change no answer's meaning.
    why: what a tier is asked it for; the caller's own ask has none.
    """

    id: str
    received_unix: float
    kind: Kind
    model: str
    target: Target
    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    engine: str | None = None
    verifier: str | None = None
    settings: str | None = None
    experiment: str | None = None
    arm: str | None = None
    shadows: str | None = None
    contract: str | None = None
    repository: str | None = None
    ceiling: Ceiling = "local-only"
    stream: bool = False
    optimistic: bool = False
    include_usage: bool = False
    logprobs_required: bool = False
    store: bool = True
    session: str | None = None
    key: str | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    continues: bool = False
    pattern: str | None = None
    scored: bool = False
    wishes: tuple[str, ...] = ()
    dialect: CallerDialect = "openai"
    previous: str | None = None
    """The exchange that this one goes on with."""
    thread: str | None = None
    """The session of that one, or the exchange that began it where nobody named a session."""
    patience_seconds: float | None = None
    """How long the caller says that it waits."""
    forwarded: dict[str, str] = field(default_factory=dict)
    terms: Terms | None = None
    limit_name: LimitName = "max_tokens"
    stands_in: bool = False
    ignored: tuple[str, ...] = ()
    why: Purpose | None = None

    @property
    def notes(self) -> "tuple[Finding, ...]":
        """That the answer is of a request without what was ignored."""
        return tuple(Finding("ignored", "note", f"{path} was left out", subject=path) for path in self.ignored)

    @property
    def conversation(self) -> str | None:
        """The session that it belongs to in the record. A response begins one, which others may go on with."""
        if not self.store or self.shadows is not None:
            return None
        return self.session or self.thread or (self.id if self.dialect == "responses" else None)

    @property
    def new_messages(self) -> tuple[Message, ...]:
        """Of users and tools, what was said since the last answer: what came before that is an earlier request's."""
        said = self.messages[:-1] if self.continues else self.messages
        answers = [place for place, message in enumerate(said, start=1) if message.role == "assistant"]
        new = said[answers[-1] if answers else 0 :]
        return tuple(message for message in new if message.role in ("user", "tool"))

    def directed(self, engine: str | None, verifier: str | None) -> "Ask":
        """As a rule says who drafts and who verifies it, where it names any."""
        if engine is None and verifier is None:
            return self
        return replace(self, engine=engine or self.engine, verifier=verifier or self.verifier)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What left the machine: where to, how many bytes, and the digest of exactly those bytes.

    redacted: how many secrets of which kind had placeholders in their place.
    path, model, why: what was asked of which model, and what for. ceiling: under which it was allowed to leave.
    key: the id of the API key that the request came with.
    number, leaf: where it stands in the log of this server, from 0, and its hash there (RFC 9162, 2.1.1), in hex.
    """

    host: str
    sent_unix: float
    bytes: int
    sha256: str
    redacted: dict[str, int] = field(default_factory=dict)
    path: str | None = None
    model: str | None = None
    why: Purpose | None = None
    ceiling: Ceiling | None = None
    key: str | None = None
    number: int | None = None
    leaf: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a tier said.

    raw: its wire body in its dialect, None for a reply that came in pieces; kept only until the answer is rendered.
    others: the texts of the choices past the first. stop_sequence: the one of the asked ones that ended it.
    verifier: the name of the one that wrote it, of several.
    refusal: words in which the model refused, where its dialect keeps them apart from its text.
    """

    text: str
    model: str
    finish_reason: str | None
    usage: Usage | None
    seconds: float
    first_token_seconds: float | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    others: tuple[str, ...] = ()
    raw: bytes | None = None
    dialect: Dialect = "openai"
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: Reasoning | None = None
    stop_sequence: str | None = None
    refusal: str | None = None
    verifier: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check saw in a reply.

    subject: the reference, TODO or section that it is about. value: what was measured, if something was.
    """

    check: str
    severity: Literal["fail", "note"]
    message: str
    section: str | None = None
    subject: str | None = None
    value: float | None = None


GateReason = Literal[
    "score",
    "failed checks",
    "broken promise",
    "another model",
    "another decoding",
    "a larger input",
    "no log-probabilities",
]
"""What a gate decides by. Its promise is about drafts that pass the checks, of the model, the decoding and the sizes
that it was calibrated on, as long as audits do not show it to be broken."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a calibrated gate says of a draft.

    gate: its name. score: from 0 to 1. accept_from: the lowest score that it accepts, None where every one is.
    by: what decided; where it was not the score, nothing is accepted.
    audit: it was accepted and drawn to be looked at: a label of it tells whether the promise still holds.
    risk: the most of all requests that it accepts bad, with probability `confidence`; accepted_risk: of its accepted
    answers.
    """

    gate: str
    score: float
    accept_from: float | None
    accepted: bool
    by: GateReason
    risk: float
    confidence: float
    accepted_risk: float | None
    audit: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """What somebody says of an answer: that it is right, that it is not, or how it should have been.

    source: a person, or `firstpass eval` by known truth. text: of an edit. key: the id of the API key that said it.
    """

    exchange: str
    verdict: Literal["accept", "reject", "edit"]
    source: Literal["user", "eval"]
    made_unix: float
    text: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Consult:
    """Ask a tier. A binding reply is the answer whatever it says, so it may stream straight to the caller.

    rule: the name of the routing rule that chose the tier, if one did.
    early: the caller wants to see the reply while it is written, although it does not bind.
    measured: the reply's signals are wanted. judged: what the gate said of the draft that this is about.
    watched: the reply is cut off as soon as it has a fault that nobody but a verifier could put right: none of those
    that this names, and no further text.
    floor: of a score, in nats: names that the verifier finds less likely are doubted.
    engine, verifier: which of the models on this machine drafts from here on, and who verifies, where a rule says so.
    """

    tier: TierName
    purpose: Purpose
    binding: bool = False
    rule: str | None = None
    early: bool = False
    measured: bool = False
    judged: Judgement | None = None
    watched: Watch | None = None
    floor: float | None = None
    engine: str | None = None
    verifier: str | None = None

    @property
    def streams(self) -> bool:
        return self.binding or self.early


@dataclass(frozen=True, slots=True)
class Mend:
    """Let code mend what step number `step` proposed. It costs no token; who is asked and what for never differ."""

    step: int
    tier: Literal["code"] = "code"
    purpose: Literal["mend"] = "mend"
    binding: Literal[False] = False
    rule: None = None
    measured: Literal[False] = False
    streams: Literal[False] = False


@dataclass(frozen=True, slots=True)
class Answer:
    """End with the reply of step number `step`. judged: what the gate said of the draft, if there is one."""

    step: int
    route: Route
    judged: Judgement | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """End without an answer."""

    failure: Failure


Move = Consult | Mend | Answer | Refuse


@dataclass(frozen=True, slots=True)
class Step:
    """One consultation, or what code made of an earlier one: the move, the reply or the failure, what checks found.

    A reply that a contract can make nothing of is kept beside the failure that says so: its tokens were used.
    """

    move: Consult | Mend
    reply: Reply | None = None
    failure: Failure | None = None
    findings: tuple[Finding, ...] = ()
    receipt: Receipt | None = None
    refused: tuple[Receipt, ...] = ()
    """Of what was sent before that, refused, and sent again in another form."""
    streamed: bool = False
    """Whether some of its text already reached the caller."""
    edited: str | None = None
    """The draft after the edits that the reply or code made; None where the reply's own text is the answer."""
    signals: dict[str, float] = field(default_factory=dict)
    """What the reply shows of how sure its model was, by name; empty where the move did not want it."""
    instead: dict[str, str] = field(default_factory=dict)
    """What the endpoint was asked with in the place of what the caller said, by the field's name."""
    checks_seconds: float | None = None
    """For which code looked at the answer, and mended it where it did; None where there was nothing to look at."""

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        return (*self.refused, self.receipt) if self.receipt else ()

    @property
    def text(self) -> str | None:
        """The answer that this step proposes; None where it failed."""
        if self.failure is not None:
            return None
        return self.reply.text if self.reply and self.edited is None else self.edited

    @property
    def finish_reason(self) -> str | None:
        """Of the answer that it proposes: an edited one is whole, unless it lacks what had been cut off."""
        if self.edited is None:
            return self.reply.finish_reason if self.reply else None
        return "length" if any(finding.check == TRUNCATED for finding in self.failed) else "stop"

    @property
    def cut(self) -> bool:
        """Whether the reply was cut off because of what its one finding says."""
        watched = isinstance(self.move, Consult) and self.move.watched is not None
        return watched and self.reply is not None and self.reply.finish_reason == ESCALATED

    @property
    def failed(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == "fail")

    @property
    def passed(self) -> bool:
        """Whether there is an answer and no check failed on it."""
        return self.text is not None and not self.failed


@dataclass(frozen=True, slots=True)
class Exchange:
    ask: Ask
    steps: tuple[Step, ...] = ()
    ending: Answer | Refuse | None = None
    seconds: float | None = None

    def grown(self, step: Step) -> "Exchange":
        return replace(self, steps=(*self.steps, step))

    def ended(self, ending: Answer | Refuse, seconds: float) -> "Exchange":
        return replace(self, ending=ending, seconds=seconds)

    @property
    def answer(self) -> Step | None:
        """The step whose reply the caller gets."""
        return self.steps[self.ending.step] if isinstance(self.ending, Answer) else None

    @property
    def answer_reply(self) -> Reply | None:
        """The reply that the answer is or was made of."""
        step = self.answer
        if step is not None and isinstance(step.move, Mend):
            step = self.steps[step.move.step]
        return step.reply if step else None

    @property
    def judged(self) -> Judgement | None:
        """What the gate said of the draft, if there is one."""
        moves = [*(step.move for step in self.steps), self.ending]
        found = (move.judged for move in moves if isinstance(move, Consult | Answer) and move.judged is not None)
        return next(found, None)

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        return tuple(receipt for step in self.steps for receipt in step.receipts)

    @property
    def tokens(self) -> tuple[int, int]:
        """Read and written, in all steps, as far as the tiers have counted them."""
        usages = [step.reply.usage for step in self.steps if step.reply and step.reply.usage]
        return sum(usage.prompt_tokens for usage in usages), sum(usage.completion_tokens for usage in usages)
