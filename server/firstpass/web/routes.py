"""The routes: read a body, parse it to an Ask, hand it on. They know the backend's few methods, nothing behind them."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Match
from starlette.types import Lifespan

from firstpass.audit import Audit
from firstpass.browsing import Browsing
from firstpass.contract import Shelf
from firstpass.contract.known import Known
from firstpass.dialect.anthropic import read_request as messages_parse
from firstpass.dialect.anthropic.write_reply import ANTHROPIC
from firstpass.dialect.base import Dialect
from firstpass.dialect.infer import INFER
from firstpass.dialect.openai import read_request as parse
from firstpass.dialect.openai.read_request import Caller
from firstpass.dialect.openai.write_reply import OPENAI
from firstpass.dialect.responses import items
from firstpass.dialect.responses import read_request as responses
from firstpass.dialect.responses import write_reply as response
from firstpass.dialect.responses.listing import Page, Retrieval, query
from firstpass.dialect.responses.stream import RESPONSES
from firstpass.errors import (
    BadAsk,
    Failure,
    FirstpassError,
    NotFound,
    NoWebSockets,
    TierUnavailable,
    TooLarge,
    WrongMediaType,
    WrongMethod,
)
from firstpass.exchange import Ask, Exchange
from firstpass.house import House
from firstpass.listening import Sink
from firstpass.policy.escalation import Course
from firstpass.record import Record
from firstpass.spans import Spans
from firstpass.tier.tokens import Counted
from firstpass.web import ours
from firstpass.web.access import Admit, Gate, Rules
from firstpass.web.answer import AnswerResponse, as_failure
from firstpass.web.audit import add_audit
from firstpass.web.browsing import add_browsing
from firstpass.web.connection import BODY_PACE
from firstpass.web.credentials import Credentials
from firstpass.web.crowded import Crowded
from firstpass.web.direct import Direct, Handle
from firstpass.web.document.copies import Copies
from firstpass.web.document.operation import HEADERS
from firstpass.web.envelope import from_anthropic, refusal
from firstpass.web.front_page import add_page
from firstpass.web.loading import Engines
from firstpass.web.metrics import Metrics
from firstpass.web.models import Listing
from firstpass.web.observed import Observed
from firstpass.web.reading import Reading
from firstpass.web.reloading import Reloaded, add_reload
from firstpass.web.results import add_results
from firstpass.web.weighing import Weighing


class ModelName(PathConvertor):
    """In a path: with slashes in it, as the hub's names have, but for what is done to a model."""

    regex = ".*(?<!/load)(?<!/unload)"


register_url_convertor("model", ModelName())

Parser = Callable[[bytes, Caller, House], Ask]


@dataclass(frozen=True, slots=True)
class Limits:
    """body_bytes: of a request. body_seconds: in which it must have arrived whole, with a second for each BODY_PACE.

    bodies_bytes: of all requests at once, but for small ones.
    """

    body_bytes: int
    body_seconds: float
    bodies_bytes: int = 2**27


class Backend(Protocol):
    """What the web needs of the server behind it."""

    audit: Audit
    browsing: Browsing
    metrics: Metrics
    spans: Spans
    started_unix: float

    @property
    def results_dir(self) -> Path: ...

    @property
    def shelf(self) -> Shelf: ...

    @property
    def record(self) -> Record: ...

    @property
    def engines(self) -> Engines: ...

    @property
    def house(self) -> House: ...

    def engine_state(self) -> str:
        """One word; `ready` means that an answer needs no wait."""
        ...

    def engine_states(self) -> Mapping[str, str]:
        """Of each engine, by its name."""
        ...

    def engine_trouble(self) -> str:
        """Why it has failed; empty in every other state."""
        ...

    def check_room(self, key: str | None, patience_seconds: float | None) -> None:
        """Raises: Busy, Overloaded for a request of this owner that would find no place at any tier."""
        ...

    async def explain(self, ask: Ask) -> Course:
        """What would become of the ask; nobody is asked, and nothing is recorded."""
        ...

    async def known(self, ask: Ask) -> Known:
        """What code knows of the diff that the ask is; nobody is asked, nothing is recorded. Raises: BadAsk, Busy."""
        ...

    async def run(self, ask: Ask, sink: Sink | None) -> Exchange: ...

    async def reload(self) -> Reloaded:
        """The settings, read again. Raises: BadSettings where they have a fault: then nothing has changed."""
        ...

    async def count(self, ask: Ask) -> Counted:
        """The tokens of an ask, by the draft engine's tokenizer; nobody is asked. Raises: FirstpassError."""
        ...


def build(
    backend: Backend,
    rules: Rules,
    limits: Limits,
    credentials: Credentials,
    admit: Admit,
    lifespan: Lifespan[FastAPI] | None = None,
) -> FastAPI:
    """The ASGI application. The interactive pages are off: they load scripts from other hosts."""
    app = FastAPI(title="Firstpass", openapi_url=None, redirect_slashes=False, lifespan=lifespan)
    posts: dict[str, Handle] = {}
    app.add_middleware(Direct, posts=posts)
    app.add_middleware(Weighing, limit_bytes=limits.bodies_bytes)
    app.add_middleware(Crowded, check=backend.check_room)
    app.add_middleware(Gate, rules=rules, credentials=credentials, admit=admit)
    if rules.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(rules.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            allow_private_network=True,
            expose_headers=sorted(HEADERS),
        )
    app.add_middleware(Observed, metrics=backend.metrics, spans=backend.spans)
    _add_errors(app)
    reading = Reading()
    _add_asks(app, posts, backend, limits, reading)
    _add_responses(app, posts, backend, limits, reading)
    _add_models(app, backend, limits)
    _add_contracts(app, backend)
    _add_labels(app, backend, limits, reading)
    add_browsing(app, backend.browsing)
    add_audit(app, backend.audit)
    add_reload(app, backend.reload, partial(_without_fields, limits=limits))
    add_results(app, backend.results_dir)
    add_page(app)
    _add_status(app, backend)
    _add_document(app, backend)
    return app


def _house(request: Request, backend: Backend) -> House:
    """As it is for the key that the request brings: what is not in it, no dialect can let through."""
    holder = request.scope["state"]["holder"]
    return backend.house.narrowed(holder.scopes.models, holder.scopes.ceiling) if holder else backend.house


def _add_asks(app: FastAPI, posts: dict[str, Handle], backend: Backend, limits: Limits, reading: Reading) -> None:
    def route(path: str, parser: Parser, dialect: Dialect) -> None:
        async def handle(request: Request) -> Response:
            raw, caller = await _received(request, limits)
            ask = await reading.read(raw, caller.key, parser, raw, caller, _house(request, backend))
            return AnswerResponse(ask, backend.run, dialect, backend.count if dialect is ANTHROPIC else None)

        app.add_route(path, handle, methods=["POST"])  # FastAPI's own would look for parameters where there are none.
        posts[path] = handle

    route("/v1/chat/completions", responses.chat, OPENAI)
    route("/v1/completions", parse.completion, OPENAI)
    route("/v1/embeddings", parse.embeddings, OPENAI)
    route("/infer", parse.infer, INFER)
    route("/v1/messages", messages_parse.messages, ANTHROPIC)

    @app.post("/v1/messages/count_tokens")
    async def count(request: Request) -> Response:
        raw, caller = await _received(request, limits)
        ask = await reading.read(raw, caller.key, messages_parse.prompt, raw, caller, _house(request, backend))
        counted = await backend.count(ask)
        return JSONResponse({"input_tokens": counted.tokens}, headers={"x-firstpass-counted-by": counted.model})

    @app.post("/v1/explain")
    async def explain(request: Request) -> dict[str, object]:
        raw, caller = await _received(request, limits)
        ask = await reading.read(raw, caller.key, parse.chat, raw, caller, _house(request, backend))
        return ours.explanation(ask, await backend.explain(ask))

    @app.post("/v1/evidence")
    async def evidence(request: Request) -> dict[str, object]:
        raw, caller = await _received(request, limits)
        ask = await reading.read(raw, caller.key, parse.evidence, raw, caller, _house(request, backend))
        return ours.evidence(await backend.known(ask))


def _add_responses(app: FastAPI, posts: dict[str, Handle], backend: Backend, limits: Limits, reading: Reading) -> None:
    async def create(request: Request) -> Response:
        raw, caller = await _received(request, limits)
        house, recall = _house(request, backend), backend.record.recall
        read = partial(reading.read, raw, caller.key)
        ask = await responses.responses(raw, caller, house, recall, limits.body_bytes, read)
        return AnswerResponse(ask, backend.run, RESPONSES)

    app.add_route("/v1/responses", create, methods=["POST"])
    posts["/v1/responses"] = create

    async def recalled(response_id: str, request: Request) -> Exchange:
        return await responses.recalled(response_id, request.scope["state"]["key"], backend.record.recall)

    @app.get("/v1/responses/{response_id}")
    async def retrieve(response_id: str, request: Request) -> dict[str, object]:
        query(Retrieval, request.query_params)
        return response.of(await recalled(response_id, request))

    @app.delete("/v1/responses/{response_id}")
    async def delete(response_id: str, request: Request) -> dict[str, object]:
        exchange = await recalled(response_id, request)
        await backend.record.forget(exchange.ask.id, exchange.ask.key)
        return {"id": response_id, "object": "response", "deleted": True}

    @app.get("/v1/responses/{response_id}/input_items")
    async def input_items(response_id: str, request: Request) -> dict[str, object]:
        page = query(Page, request.query_params)
        return page.of(items.input_items((await recalled(response_id, request)).ask))


def _add_models(app: FastAPI, backend: Backend, limits: Limits) -> None:
    def listing(request: Request) -> Listing:
        anthropic = from_anthropic(request.headers)
        return Listing(_house(request, backend), backend.engines, backend.started_unix, anthropic)

    @app.get("/v1/models")
    async def models(request: Request) -> dict[str, object]:
        return listing(request).all(request.query_params)

    @app.get("/v1/models/{name:model}")
    async def model(name: str, request: Request) -> dict[str, object]:
        return listing(request).one(name)

    @app.post("/v1/models/{name:model}/load")
    async def load(name: str, request: Request) -> dict[str, object]:
        await _without_fields(request, limits)
        return await listing(request).load(name)

    @app.post("/v1/models/{name:model}/unload")
    async def unload(name: str, request: Request) -> dict[str, object]:
        await _without_fields(request, limits)
        return await listing(request).unload(name)


def _add_contracts(app: FastAPI, backend: Backend) -> None:
    @app.get("/v1/contracts")
    async def contracts() -> dict[str, object]:
        return {"object": "list", "data": [ours.contract(files) for files in backend.shelf.files.values()]}

    @app.get("/v1/contracts/{name}")
    async def contract(name: str) -> dict[str, object]:
        return ours.contract(backend.shelf.find(name), whole=True)


def _add_labels(app: FastAPI, backend: Backend, limits: Limits, reading: Reading) -> None:
    @app.post("/v1/exchanges/{exchange_id}/label")
    async def label(exchange_id: str, request: Request) -> dict[str, object]:
        raw, caller = await _received(request, limits)
        made = await reading.read(raw, caller.key, parse.label, raw, exchange_id, caller.key, time.time())
        await backend.record.label(made)
        return ours.label(made)


def _add_status(app: FastAPI, backend: Backend) -> None:
    @app.get("/healthz")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def ready(request: Request) -> Response:
        backend.record.check()
        state = backend.engine_state()
        if state == "ready":
            return JSONResponse({"status": "ready"})
        why = backend.engine_trouble()
        said = f"the draft engine is {state}{f': {why}' if why else ''}"
        return refusal(request.scope, TierUnavailable(said, part="draft").failure)

    @app.get("/metrics")
    async def metrics() -> Response:
        backend.metrics.show_engines(backend.engines, backend.engine_states())
        return Response(backend.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})


def _add_document(app: FastAPI, backend: Backend) -> None:
    copies = Copies()

    async def described(request: Request) -> Response:
        return Response(await copies.of(_house(request, backend)), media_type="application/json")

    app.add_route("/openapi.json", described)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> Response:
        response = refusal(request.scope, _routing_failure(request, error.status_code))
        if response.status_code == NoWebSockets.status:
            response.headers["upgrade"] = "HTTP/1.1"
        elif error.status_code == 405:
            response.headers["allow"] = _allowed(request)
        return response

    @app.exception_handler(FirstpassError)
    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return refusal(request.scope, as_failure(error))


def _allowed(request: Request) -> str:
    """RFC 9110, 15.5.6: what the target resource supports. Starlette says it of the path's first route alone."""
    here = (route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE)
    return ", ".join(sorted({method for route in here for method in getattr(route, "methods", None) or ()}))


def _routing_failure(request: Request, status: int) -> Failure:
    path = request.url.path
    if status == 405:
        if request.headers.get("upgrade", "").lower() == "websocket":
            return NoWebSockets(f"there are no WebSockets here: POST to {path}").failure
        return WrongMethod(f"{request.method} is not allowed on {path}").failure
    return NotFound(f"there is no {path} here", code="route_not_found").failure


async def _received(request: Request, limits: Limits) -> tuple[bytes, Caller]:
    """The body, and who sent it. Raises: WrongMediaType, TooLarge, BadAsk where it does not arrive in time."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise WrongMediaType(f"the body must be application/json, not {kind or 'untyped'}")
    if (coding := request.headers.get("content-encoding", "identity").strip().lower()) != "identity":
        raise WrongMediaType(f"content-encoding: {coding}: the body must come as it is", param="content-encoding")
    try:
        async with asyncio.timeout(limits.body_seconds) as deadline:
            body = await _read(request, limits.body_bytes, deadline)
    except TimeoutError as error:
        raise BadAsk("the body did not arrive in time", code="body_timeout") from error
    return body, Caller(request.headers, request.scope["state"]["key"])


async def _without_fields(request: Request, limits: Limits) -> None:
    """A request that says all by its path. It is JSON all the same, which no form of a web page can send.

    Raises: as `_received`; BadAsk for a body that says something.
    """
    body, _ = await _received(request, limits)
    if body.strip() not in (b"", b"{}"):
        raise BadAsk("the body has to be empty, or {}: this request has no fields")


async def _read(request: Request, limit_bytes: int, deadline: asyncio.Timeout) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit_bytes:
            raise TooLarge(f"the body is over the limit of {limit_bytes} bytes")
        parts.append(part)
        deadline.reschedule((deadline.when() or 0.0) + len(part) / BODY_PACE)
    return b"".join(parts)
