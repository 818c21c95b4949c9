"""The routes that no other API has, and those about the server itself, described. For the document alone."""

from collections.abc import Mapping
from typing import Any, Literal

from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from firstpass.chat import Usage
from firstpass.contract.form import Section
from firstpass.contract.known import KnownFile, KnownTerm, UnreadFile
from firstpass.dialect.described import Operation, Where, in_query
from firstpass.dialect.how import How
from firstpass.dialect.openai.described import CHAT_RULES, ModelCard, OpenAIError
from firstpass.dialect.openai.wire import ChatBody, EvidenceBody, InferBody, LabelBody
from firstpass.evidence.suspects.suspicion import Suspect
from firstpass.exchange import Ceiling, Route, Target
from firstpass.web.audit import NOTE
from firstpass.web.browsing import ExchangesQuery, OwnerQuery, SessionQuery, SessionsQuery, UsageQuery


class InferToken(BaseModel):
    token: str
    logprob: float


class Inference(BaseModel):
    """logprobs: None where the model gives none, or where code changed its text."""

    id: str
    model: str
    output: str
    finish_reason: str | None
    logprobs: list[InferToken] | None
    usage: Usage | None
    latency_ms: float
    firstpass: How


class Explanation(BaseModel):
    """rule: the routing rule that decides, with its conditions. steps: what would happen, in words.

    experiment, arm: what it would be a part of, if it would; without a session the arm is drawn anew each time.
    """

    object: Literal["explanation"]
    model: str
    target: Target
    contract: str | None
    egress: Ceiling
    experiment: str | None
    arm: str | None
    rule: dict[str, Any] | None
    steps: list[str]


class KnownEvidence(BaseModel):
    """What code knows of a diff. calls: newly introduced. perhaps_calls: those that may be. terms: the most telling
    first. suspects: the gravest first. unread: files that may have calls which were not read. left_out: by list, how
    many more there are.
    """

    object: Literal["evidence"]
    files: list[KnownFile]
    languages: list[str]
    calls: list[str]
    perhaps_calls: list[str]
    removed_calls: list[str]
    todos: list[str]
    terms: list[KnownTerm]
    phrases: list[str]
    suspects: list[Suspect]
    unread: list[UnreadFile]
    notes: list[str]
    left_out: dict[str, int]


class ResultOutline(BaseModel):
    """A run of `firstpass eval` or `firstpass bench`. arms: their names."""

    id: str
    object: Literal["result.outline"]
    kind: Literal["eval", "bench"]
    made_unix: float | None
    arms: list[str]


class DamagedResult(BaseModel):
    id: str
    object: Literal["result.damaged"]
    why: str


class ResultList(BaseModel):
    object: Literal["list"]
    data: list[ResultOutline | DamagedResult]


class FoundResult(BaseModel):
    """results: the run's results.json."""

    id: str
    object: Literal["result"]
    kind: Literal["eval", "bench"]
    results: dict[str, Any]


class ContractOutline(BaseModel):
    """id: `name@version`. sha256: over its files' names and bytes."""

    id: str
    object: Literal["contract"]
    name: str
    version: int
    summary: str
    reads: Literal["diff", "anything"]
    form: str
    sections: list[Section]
    checks: list[str]
    mend: bool
    sha256: str


class WholeContract(ContractOutline):
    prompt: str | None
    verify: str
    wording: dict[str, Any] | None = Field(alias="schema", serialization_alias="schema")


class ContractList(BaseModel):
    object: Literal["list"]
    data: list[ContractOutline]


class MadeLabel(LabelBody):
    object: Literal["label"]
    exchange: str
    made_unix: float


class AuditReceipt(BaseModel):
    """That a receipt is in the log. entry: its text, whose hash is `leaf` (RFC 9162, 2.1.1, with SHA-256), in hex.

    hashes: from the leaf up, those that lead to the root of the checkpoint (2.1.3). checkpoint: a signed note.
    """

    object: Literal["audit.receipt"]
    number: int
    entry: str
    leaf: str
    hashes: list[str]
    checkpoint: str


class AuditConsistency(BaseModel):
    """That the checkpoint's log begins with that of `size` entries. hashes: the proof (RFC 9162, 2.1.4), in hex."""

    object: Literal["audit.consistency"]
    size: int
    hashes: list[str]
    checkpoint: str


class ReloadedSettings(BaseModel):
    """digest: of the settings that hold now. changed: whether others held before."""

    object: Literal["settings"]
    digest: str
    changed: bool


class ExchangeOutline(BaseModel):
    """An exchange in a list. route: null where it was refused, `code` then says why. key: the owner of its API key.

    tokens: of all steps. failed: how many checks the answer did not pass. receipts: how many requests left the machine.
    title: the begin of what was asked; of a diff, its files. shadows: the exchange that it repeats for an experiment.
    stored: whether its words are kept.
    """

    object: Literal["exchange.outline"]
    id: str
    received_unix: float
    model: str
    contract: str | None
    session: str | None
    route: Route | None
    status: int
    code: str | None
    seconds: float | None
    prompt_tokens: int
    completion_tokens: int
    failed: int
    receipts: int
    title: str
    key: str | None
    shadows: str | None
    stored: bool


class DamagedExchange(BaseModel):
    """In the place of one that is not as the log vouches for it."""

    object: Literal["exchange.damaged"]
    id: str
    why: str


class ExchangeList(BaseModel):
    object: Literal["list"]
    data: list[ExchangeOutline | DamagedExchange]
    has_more: bool


class KeptLabel(BaseModel):
    object: Literal["label"]
    exchange: str
    verdict: Literal["accept", "reject", "edit"]
    source: Literal["user", "eval"]
    made_unix: float
    text: str | None


class WholeExchange(BaseModel):
    """exchange: as `firstpass history ID --json` has it. told: what was done and why, in words."""

    object: Literal["exchange"]
    exchange: dict[str, Any]
    labels: list[KeptLabel]
    told: list[str]


class ForgottenExchange(BaseModel):
    id: str
    object: Literal["exchange"]
    deleted: Literal[True]


class SessionOutline(BaseModel):
    """id: as its callers named it, or the response that it began with. begun_unix, latest_unix: of what can be read.

    place: what `before` takes for the next page of a list.
    """

    object: Literal["session"]
    id: str
    key: str | None
    place: str
    begun_unix: float | None
    latest_unix: float | None
    exchanges: int
    title: str


class SessionList(BaseModel):
    object: Literal["list"]
    data: list[SessionOutline]
    has_more: bool


class CalledTool(BaseModel):
    name: str
    arguments: str


class Turn(BaseModel):
    """What was new in a request, or its answer; `damaged` where neither can be read. code: why there is no answer."""

    role: Literal["user", "tool", "assistant", "damaged"]
    content: str
    exchange: str
    received_unix: float | None = None
    model: str | None = None
    contract: str | None = None
    route: Route | None = None
    code: str | None = None
    tool_calls: list[CalledTool] | None = None


class WholeSession(SessionOutline):
    """messages: oldest first. has_more: older ones."""

    messages: list[Turn]
    has_more: bool


class ForgottenSession(BaseModel):
    """exchanges: how many there were."""

    id: str
    object: Literal["session"]
    deleted: Literal[True]
    exchanges: int


class UsedByKey(BaseModel):
    """key: the owner's id, null for those who had no key. usd: what the verifiers cost."""

    key: str | None
    name: str | None
    requests: int
    refused: int
    prompt_tokens: int
    completion_tokens: int
    usd: float


class KeysUsage(BaseModel):
    """since: the first day of UTC that counts."""

    object: Literal["usage"]
    since: str
    data: list[UsedByKey]


class Health(BaseModel):
    status: Literal["ok", "ready"]


LABEL_RULES = "Refused although the schema allows it: a `text` with another verdict than `edit`, or none with that."

OPERATIONS: Mapping[Where, Operation] = {
    ("POST", "/infer"): Operation(
        "A prompt's answer with the log-probability of each token. It never streams.",
        Inference,
        OpenAIError,
        body=InferBody,
        asks=True,
    ),
    ("POST", "/v1/explain"): Operation(
        "What would become of a chat request; nobody is asked, and nothing is recorded.",
        Explanation,
        OpenAIError,
        body=ChatBody,
        rules=CHAT_RULES,
        fails=(404,),
    ),
    ("POST", "/v1/evidence"): Operation(
        "What code knows of a diff: its calls, TODOs, telling terms, suspects. Nobody is asked, nothing is recorded.",
        KnownEvidence,
        OpenAIError,
        body=EvidenceBody,
    ),
    ("GET", "/v1/results"): Operation(
        "The newest runs of `firstpass eval` and `firstpass bench` in `server.results_dir`.", ResultList, OpenAIError
    ),
    ("GET", "/v1/results/{name}"): Operation("One of them, whole.", FoundResult, OpenAIError, fails=(404,)),
    ("POST", "/v1/models/{name}/load"): Operation(
        "Load a model of this machine, and wait until it is there. Others may have to leave the memory for it.",
        ModelCard,
        OpenAIError,
        fails=(400, 404, 413, 415, 503, 504),
    ),
    ("POST", "/v1/models/{name}/unload"): Operation(
        "Have a model that nobody uses leave the memory, or sleep; one that sleeps leaves it. A request has it back.",
        ModelCard,
        OpenAIError,
        fails=(400, 404, 409, 413, 415),
    ),
    ("POST", "/v1/settings/reload"): Operation(
        "Read the settings again. A fault in them changes nothing; what has begun ends under those that it began with.",
        ReloadedSettings,
        OpenAIError,
        fails=(400, 413, 415),
    ),
    ("GET", "/v1/contracts"): Operation("Every version of every contract.", ContractList, OpenAIError),
    ("GET", "/v1/contracts/{name}"): Operation(
        "One of them with its wording, by `name` (the newest) or `name@version`.",
        WholeContract,
        OpenAIError,
        fails=(404,),
    ),
    ("POST", "/v1/exchanges/{exchange_id}/label"): Operation(
        "Say of a recorded answer that it is right, that it is not, or how it should have been.",
        MadeLabel,
        OpenAIError,
        body=LabelBody,
        rules=LABEL_RULES,
        fails=(404,),
    ),
    ("GET", "/v1/exchanges"): Operation(
        "The recorded exchanges of the caller's own key, newest first, page by page; or those with words in them.",
        ExchangeList,
        OpenAIError,
        fails=(400,),
        parameters=in_query(ExchangesQuery),
    ),
    ("GET", "/v1/exchanges/{exchange_id}"): Operation(
        "One of them with its steps, its findings and what was said of its answer.",
        WholeExchange,
        OpenAIError,
        fails=(404,),
    ),
    ("DELETE", "/v1/exchanges/{exchange_id}"): Operation(
        "Its words leave the record for good; counts and times stay.", ForgottenExchange, OpenAIError, fails=(404,)
    ),
    ("GET", "/v1/sessions"): Operation(
        "The sessions of the caller's own key, the last used first; or those in which words were said.",
        SessionList,
        OpenAIError,
        fails=(400,),
        parameters=in_query(SessionsQuery),
    ),
    ("GET", "/v1/sessions/{session}"): Operation(
        "One of them as a conversation, its newest exchanges first page by page.",
        WholeSession,
        OpenAIError,
        fails=(400, 404),
        parameters=in_query(SessionQuery),
    ),
    ("DELETE", "/v1/sessions/{session}"): Operation(
        "The words of all its exchanges leave the record for good.",
        ForgottenSession,
        OpenAIError,
        fails=(400, 404),
        parameters=in_query(OwnerQuery),
    ),
    ("GET", "/v1/usage"): Operation(
        "What the caller's own key had, in requests, tokens and the verifiers' cost.",
        KeysUsage,
        OpenAIError,
        fails=(400,),
        parameters=in_query(UsageQuery),
    ),
    ("GET", "/v1/audit/checkpoint"): Operation(
        "The log of what left, signed as it is now: a note as c2sp.org/tlog-checkpoint describes it.",
        NOTE,
        OpenAIError,
    ),
    ("GET", "/v1/audit/receipts/{number}"): Operation(
        "The proof that a receipt of the caller's own key is in the log, by its number there.",
        AuditReceipt,
        OpenAIError,
        fails=(404,),
    ),
    ("GET", "/v1/audit/consistency/{size}"): Operation(
        "The proof that the log still begins as it was when it had so many entries, as an older checkpoint has it.",
        AuditConsistency,
        OpenAIError,
        fails=(404,),
    ),
    ("GET", "/healthz"): Operation("This process answers.", Health, OpenAIError, open=True),
    ("GET", "/readyz"): Operation(
        "The draft engine is ready: an answer needs no wait.", Health, OpenAIError, open=True, fails=(503,)
    ),
    ("GET", "/metrics"): Operation("For Prometheus.", CONTENT_TYPE_LATEST, OpenAIError),
}
