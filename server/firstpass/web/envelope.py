"""In whose words an error is told where no route has chosen a dialect yet: the one place that decides it."""

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from firstpass.dialect.anthropic.write_reply import ANTHROPIC
from firstpass.dialect.base import Dialect
from firstpass.dialect.openai.write_reply import OPENAI
from firstpass.errors import Failure
from firstpass.web.answer import error_response

MESSAGES = "/v1/messages"


def from_anthropic(headers: Headers) -> bool:
    """Its clients say on every path which version of the API they speak."""
    return "anthropic-version" in headers


def dialect_of(scope: Scope) -> Dialect:
    """vllm-project/vllm#57997: whatever goes wrong on /v1/messages, its clients read only their own envelope."""
    path: str = scope["path"]
    of_messages = path == MESSAGES or path.startswith(f"{MESSAGES}/")
    return ANTHROPIC if of_messages or from_anthropic(Headers(scope=scope)) else OPENAI


def refusal(scope: Scope, failure: Failure) -> Response:
    """scope["state"] has the failure as `refused`, for who counts them."""
    scope.setdefault("state", {})["refused"] = failure
    return error_response(failure, dialect=dialect_of(scope))
