"""The routes: read a body, parse it to an Ask, hand it on. They know the backend's few methods, nothing behind them."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import Lifespan

from firstpass.cascade import Sink
from firstpass.contract import Shelf
from firstpass.errors import (
    BadAsk,
    Failure,
    FirstpassError,
    NotFound,
    TierUnavailable,
    TooLarge,
    WrongMediaType,
    WrongMethod,
)
from firstpass.exchange import Ask, Exchange, Label
from firstpass.policy.first import Course
from firstpass.web import parse, render
from firstpass.web.answer import AnswerResponse, as_failure, error_response
from firstpass.web.described import document
from firstpass.web.dialect import Dialect
from firstpass.web.gate import Authenticate, Gate, Rules
from firstpass.web.infer import INFER
from firstpass.web.metrics import Metrics
from firstpass.web.openai import OPENAI
from firstpass.web.parse import Caller, House

Parser = Callable[[bytes, Caller, House], Ask]


@dataclass(frozen=True, slots=True)
class Limits:
    """body_bytes: of a request. body_seconds: in which it must have arrived whole."""

    body_bytes: int
    body_seconds: float


class Backend(Protocol):
    """What the web needs of the server behind it."""

    @property
    def house(self) -> House: ...

    @property
    def shelf(self) -> Shelf: ...

    @property
    def metrics(self) -> Metrics: ...

    @property
    def started_unix(self) -> float: ...

    def engine_state(self) -> str:
        """One word; `ready` means that an answer needs no wait."""
        ...

    def explain(self, ask: Ask) -> Course:
        """What would become of the ask; nobody is asked, and nothing is recorded."""
        ...

    async def run(self, ask: Ask, sink: Sink | None) -> Exchange: ...

    async def label(self, label: Label) -> None:
        """Raises: NotFound for an exchange that is not in the record, or not of the same key."""
        ...


def build(
    backend: Backend,
    rules: Rules,
    limits: Limits,
    authenticate: Authenticate,
    lifespan: Lifespan[FastAPI] | None = None,
) -> FastAPI:
    """The ASGI application. The interactive pages are off: they load scripts from other hosts."""
    app = FastAPI(title="Firstpass", docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lifespan)
    app.add_middleware(Gate, rules=rules, authenticate=authenticate)
    _add_errors(app)
    _add_asks(app, backend, limits)
    _add_models(app, backend)
    _add_contracts(app, backend)
    _add_labels(app, backend, limits)
    _add_status(app, backend)
    app.openapi = lambda: document(backend.house)  # type: ignore[method-assign]
    return app


def _add_asks(app: FastAPI, backend: Backend, limits: Limits) -> None:
    def route(path: str, parser: Parser, dialect: Dialect) -> None:
        async def handle(request: Request) -> Response:
            raw = await _body(request, limits)
            ask = parser(raw, Caller(request.headers, request.scope["state"]["key"]), backend.house)
            return AnswerResponse(ask, backend.run, dialect)

        app.add_api_route(path, handle, methods=["POST"], response_model=None)

    route("/v1/chat/completions", parse.chat, OPENAI)
    route("/v1/completions", parse.completion, OPENAI)
    route("/v1/embeddings", parse.embeddings, OPENAI)
    route("/infer", parse.infer, INFER)

    @app.post("/v1/explain")
    async def explain(request: Request) -> dict[str, object]:
        raw = await _body(request, limits)
        ask = parse.chat(raw, Caller(request.headers, request.scope["state"]["key"]), backend.house)
        return render.explanation(ask, backend.explain(ask))


def _add_models(app: FastAPI, backend: Backend) -> None:
    def card(name: str) -> dict[str, object]:
        return {"id": name, "object": "model", "created": int(backend.started_unix), "owned_by": "firstpass"}

    @app.get("/v1/models")
    async def models() -> dict[str, object]:
        return {"object": "list", "data": [card(name) for name in backend.house.models]}

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> dict[str, object]:
        if name not in backend.house.models:
            raise NotFound(f"unknown model {name!r}", param="model", code="model_not_found")
        return card(name)


def _add_contracts(app: FastAPI, backend: Backend) -> None:
    @app.get("/v1/contracts")
    async def contracts() -> dict[str, object]:
        return {"object": "list", "data": [render.contract(files) for files in backend.shelf.files.values()]}

    @app.get("/v1/contracts/{name}")
    async def contract(name: str) -> dict[str, object]:
        return render.contract(backend.shelf.find(name), whole=True)


def _add_labels(app: FastAPI, backend: Backend, limits: Limits) -> None:
    @app.post("/v1/exchanges/{exchange_id}/label")
    async def label(exchange_id: str, request: Request) -> dict[str, object]:
        raw = await _body(request, limits)
        made = parse.label(raw, exchange_id, request.scope["state"]["key"], time.time())
        await backend.label(made)
        return render.label(made)


def _add_status(app: FastAPI, backend: Backend) -> None:
    @app.get("/healthz")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def ready() -> Response:
        state = backend.engine_state()
        if state == "ready":
            return JSONResponse({"status": "ready"})
        return error_response(TierUnavailable(f"the draft engine is {state}", part="draft").failure)

    @app.get("/metrics")
    async def metrics() -> Response:
        backend.metrics.engine_ready.set(backend.engine_state() == "ready")
        return Response(backend.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(FirstpassError)
    async def ours(request: Request, error: FirstpassError) -> Response:
        return error_response(error.failure)

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> Response:
        response = error_response(_routing_failure(request, error.status_code))
        response.headers.update(error.headers or {})  # RFC 9110, 15.5.6: a 405 says in Allow what is allowed.
        return response

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        return error_response(as_failure(error))


def _routing_failure(request: Request, status: int) -> Failure:
    path = request.url.path
    if status == 405:
        return WrongMethod(f"{request.method} is not allowed on {path}").failure
    return NotFound(f"there is no {path} here", code="route_not_found").failure


async def _body(request: Request, limits: Limits) -> bytes:
    """Raises: WrongMediaType, TooLarge, BadAsk where it does not arrive in time."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise WrongMediaType(f"the body must be application/json, not {kind or 'untyped'}")
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await _read(request, limits.body_bytes)
    except TimeoutError as error:
        raise BadAsk(f"the body did not arrive in {limits.body_seconds:g} s", code="body_timeout") from error


async def _read(request: Request, limit_bytes: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit_bytes:
            raise TooLarge(f"the body is over the limit of {limit_bytes} bytes")
        parts.append(part)
    return b"".join(parts)
