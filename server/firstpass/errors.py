"""What can go wrong, as one tree: one HTTP status a class. Knows no dialect: the web puts a Failure into an envelope.

FirstpassError
├── BadAsk 400                the request itself; `param` names the field
│   ├── ContextTooLong 400    more tokens than the model's context holds
│   └── KillsEngine 400       the draft engine died over it, twice: it is not sent again
├── Unauthorised 401          no key, or not a live one
├── Forbidden 403             a rule of this server: host, origin, egress ceiling
├── NotFound 404              no such model, route or exchange
├── WrongMethod 405
│   └── NoWebSockets 426      asked for where there are only requests
├── InUse 409                 a model that can not be unloaded now
├── TooLarge 413              the body is over the limit
├── WrongMediaType 415        the body is not JSON
├── Busy 429                  more requests at once than this server takes of one caller
├── Overloaded 503            more than it takes of all callers
├── RateLimited 429           more requests or tokens a minute than an API key may have; too many wrong keys
├── QuotaSpent 429            a spend cap has no room; nothing went to the verifier
├── Stopping 503              the server has been told to end: it answers what ends in time, and nothing new
├── StoreFailed 500           the record could not be written or read
│   ├── StoreLost 503         its files were deleted or replaced while they were open
│   └── StoreUnavailable 503  the disk is full or read-only, or another process holds the file; it may pass
├── TierFailed 502            a model answered with an error, or with nonsense
│   ├── BadVerdict 502        a verifier's reply that is no verdict on the draft: a reject, never an accept
│   ├── TierUnavailable 503   it is not running (yet); Retry-After says when to come back
│   └── TierTimedOut 504
├── Abandoned 499             the caller went away; recorded, never sent
├── PullFailed (no status)    a model was not fetched: the hub, the way to it, or bytes that are not the recorded ones
├── BadCheckpoint (no status) what was exported of the log can not be read, or another log's key signed it
├── BadIndex 500              a repository's index can not be read or written
├── NoChange (no status)      git does not say what changed
│   └── ChangeTooLarge        it would say more than anybody reads
├── NotPosted (no status)     a comment was not put on a pull request, or there is no place for it
├── BadHook (no status)       a git hook that can not be put there or taken away
├── BadLabels (no status)     what an evaluation was given to ask about can not be read
├── BadCases (no status)      a file of cases, or one of them, is not as it has to be
└── BadSettings (no status)   the configuration; ends the process at start
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

Part = Literal["web", "policy", "contract", "draft", "verifier", "egress", "store"]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as data, so that it can be recorded and rendered later."""

    kind: str
    part: Part
    message: str
    status: int
    code: str
    param: str | None = None
    retry_after_seconds: int | None = None


class FirstpassError(Exception):
    """Base of the tree. `part` says which part of the path failed, `param` which field of the request."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        part: Part = "web",
        param: str | None = None,
        code: str | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.failure = Failure(
            kind=type(self).__name__,
            part=part,
            message=message,
            status=self.status,
            code=code or self.code,
            param=param,
            retry_after_seconds=retry_after_seconds,
        )


class BadAsk(FirstpassError):
    status = 400
    code = "invalid_value"


class ContextTooLong(BadAsk):
    code = "context_length_exceeded"


class KillsEngine(BadAsk):
    """No outage: clients try those again, and this one is better left alone. A verifier may be asked."""

    code = "request_kills_engine"


class Unauthorised(FirstpassError):
    status = 401
    code = "invalid_api_key"


class Forbidden(FirstpassError):
    status = 403
    code = "forbidden"


class NotFound(FirstpassError):
    status = 404
    code = "not_found"


class WrongMethod(FirstpassError):
    status = 405
    code = "method_not_allowed"


class NoWebSockets(WrongMethod):
    """Codex tries a WebSocket first, and only this status sends it to requests at once, not after five tries more."""

    status = 426
    code = "no_websockets"


class InUse(FirstpassError):
    status = 409
    code = "in_use"


class TooLarge(FirstpassError):
    status = 413
    code = "body_too_large"


class WrongMediaType(FirstpassError):
    status = 415
    code = "unsupported_media_type"


class Busy(FirstpassError):
    status = 429
    code = "too_many_requests"


class Overloaded(FirstpassError):
    status = 503
    code = "server_overloaded"


class RateLimited(FirstpassError):
    status = 429
    code = "rate_limit_exceeded"


class QuotaSpent(FirstpassError):
    """As the OpenAI API calls it; waiting a little does not help."""

    status = 429
    code = "insufficient_quota"


class Stopping(FirstpassError):
    status = 503
    code = "server_stopping"


STOPPED = "this server is about to stop"
"""The message of a cancellation by the server's end; all others are a caller's leaving."""


class Abandoned(FirstpassError):
    status = 499
    code = "client_closed_request"


class StoreFailed(FirstpassError):
    status = 500
    code = "store_failed"


class StoreLost(StoreFailed):
    status = 503
    code = "store_lost"


class StoreUnavailable(StoreFailed):
    status = 503
    code = "store_unavailable"


class TierFailed(FirstpassError):
    status = 502
    code = "tier_failed"


class BadVerdict(TierFailed):
    code = "bad_verdict"


class TierUnavailable(TierFailed):
    """asked_to_wait_seconds: what the endpoint itself said, where it did."""

    status = 503
    code = "tier_unavailable"
    asked_to_wait_seconds: int | None = None


class TierTimedOut(TierFailed):
    """in_all: whether the time for the whole reply was over, and not the time for its next piece."""

    status = 504
    code = "tier_timed_out"
    in_all: bool = False


class PullFailed(FirstpassError):
    code = "pull_failed"


class BadSettings(FirstpassError):
    code = "bad_settings"


class BadCheckpoint(FirstpassError):
    code = "bad_checkpoint"


class BadIndex(FirstpassError):
    code = "bad_index"


class BadLabels(FirstpassError):
    code = "bad_labels"


class BadCases(FirstpassError):
    code = "bad_cases"


class NoChange(FirstpassError):
    code = "no_change"


class ChangeTooLarge(NoChange):
    pass


class NoGit(NoChange):
    pass


class NotPosted(FirstpassError):
    code = "not_posted"


class BadHook(FirstpassError):
    code = "bad_hook"
