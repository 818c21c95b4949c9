"""The routes to the record: lists, searches, sessions, and what was used. They know no database and no dialect."""

import json
import time
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI, Request, Response
from pydantic import Field, StrictStr
from starlette.convertors import Convertor, register_url_convertor

from firstpass.browsing import Browsing, Seen, Viewer
from firstpass.conversation import title, turns
from firstpass.dialect.openai.wire import Wire
from firstpass.dialect.responses.listing import query
from firstpass.errors import BadAsk
from firstpass.exchange import Answer, Exchange, Refuse, Route
from firstpass.policy.telling import told
from firstpass.store import Damaged
from firstpass.store.codec import encode
from firstpass.store.query import Query, Session
from firstpass.store.scopes import day_of

DAY_SECONDS = 86_400


class Name(Convertor[str]):
    """All that is left of a path, with slashes and line ends."""

    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("name", Name())


class Paged(Wire):
    """before, after: of ids."""

    limit: int = Field(50, ge=1, le=200, description="How many at once; 50.")
    before: StrictStr | None = Field(None, max_length=400, description="Those that are older than this one.")
    key: StrictStr | None = Field(None, max_length=80, description="Those of this key's owner alone.")


class ExchangesQuery(Paged):
    after: StrictStr | None = Field(
        None, max_length=400, description="Those that are newer than this one, the next ones; not with before."
    )
    q: StrictStr | None = Field(
        None, max_length=1000, description='Words that were all said, "several in a row" in quotes.'
    )
    session: StrictStr | None = Field(None, max_length=400, description="The name of one.")
    route: Route | None = Field(None, description="By which the answer came.")
    model: StrictStr | None = Field(None, max_length=400, description="As it was asked for.")
    contract: StrictStr | None = Field(None, max_length=400, description="With its version, or without.")
    status: int | None = Field(None, ge=200, le=599, description="200 for all that were answered.")


class SessionsQuery(Paged):
    before: StrictStr | None = Field(None, max_length=400, description="Those after the session of this `place`.")
    q: StrictStr | None = Field(None, max_length=1000, description="As for exchanges: of one of them.")


class SessionQuery(Paged):
    pass


class OwnerQuery(Wire):
    key: StrictStr | None = Field(None, max_length=80, description="That of this key's owner.")


class UsageQuery(Wire):
    days: int = Field(30, ge=1, le=3660, description="So many, today included; 30.")
    key: StrictStr | None = Field(None, max_length=80, description="Of this key's owner alone.")


def add_browsing(app: FastAPI, browsing: Browsing) -> None:
    def sought(request: Request, page: Paged, **more: Any) -> Query:
        return Query(page.limit, page.before, owners=_viewer(request).owners(page.key), **more)

    @app.get("/v1/exchanges")
    async def exchanges(request: Request) -> dict[str, object]:
        page = query(ExchangesQuery, request.query_params)
        if page.before is not None and page.after is not None:
            raise BadAsk("before and after exclude each other", param="after")
        named = {field: getattr(page, field) for field in ("after", "session", "route", "model", "contract", "status")}
        found = await browsing.exchanges(sought(request, page, words=page.q, **named), lambda one: (outline(one), 0))
        data = found.data if page.after is None else found.data[::-1]
        return {"object": "list", "data": data, "has_more": found.has_more}

    @app.get("/v1/exchanges/{exchange_id}")
    async def exchange(exchange_id: str, request: Request) -> Response:
        seen = await browsing.exchange(exchange_id, _viewer(request), whole)
        return Response(seen, media_type="application/json")

    @app.delete("/v1/exchanges/{exchange_id}")
    async def forget(exchange_id: str, request: Request) -> dict[str, object]:
        await browsing.forget(exchange_id, _viewer(request))
        return {"id": exchange_id, "object": "exchange", "deleted": True}

    @app.get("/v1/sessions")
    async def sessions(request: Request) -> dict[str, object]:
        page = query(SessionsQuery, request.query_params)
        found = await browsing.sessions(sought(request, page, words=page.q), lambda one: (listed(one), 0))
        return {"object": "list", "data": found.data, "has_more": found.has_more}

    @app.get("/v1/sessions/{session:name}")
    async def session(session: str, request: Request) -> dict[str, object]:
        page = query(SessionQuery, request.query_params)
        there, found = await browsing.session(session, sought(request, page), said)
        messages = [turn for turns in reversed(found.data) for turn in turns]
        return listed(there) | {"messages": messages, "has_more": found.has_more}

    @app.delete("/v1/sessions/{session:name}")
    async def forget_session(session: str, request: Request) -> dict[str, object]:
        wanted = query(OwnerQuery, request.query_params)
        count = await browsing.forget_session(session, Query(owners=_viewer(request).owners(wanted.key)))
        return {"id": session, "object": "session", "deleted": True, "exchanges": count}

    @app.get("/v1/usage")
    async def usage(request: Request) -> dict[str, object]:
        page = query(UsageQuery, request.query_params)
        since = day_of(time.time() - (page.days - 1) * DAY_SECONDS)
        found = await browsing.used(since, _viewer(request).owners(page.key))
        data = [
            {
                "key": one.owner,
                "name": name,
                "requests": one.requests,
                "refused": one.refused,
                "prompt_tokens": one.prompt_tokens,
                "completion_tokens": one.completion_tokens,
                "usd": round(one.usd, 6),
            }
            for one, name in found
        ]
        return {"object": "usage", "since": since, "data": data}


def _viewer(request: Request) -> Viewer:
    state = request.scope["state"]
    holder = state["holder"]
    return Viewer(state["key"], everybody=holder is not None and holder.scopes.record == "all")


def outline(found: Exchange | Damaged) -> dict[str, Any]:
    """An exchange in a list, without its words but for a title."""
    if isinstance(found, Damaged):
        return {"object": "exchange.damaged", "id": found.id, "why": found.why}
    ask, ending, answer = found.ask, found.ending, found.answer
    prompt_tokens, completion_tokens = found.tokens
    return {
        "object": "exchange.outline",
        "id": ask.id,
        "received_unix": ask.received_unix,
        "model": ask.model,
        "contract": ask.contract,
        "session": ask.conversation,
        "route": ending.route if isinstance(ending, Answer) else None,
        "status": ending.failure.status if isinstance(ending, Refuse) else 200,
        "code": ending.failure.code if isinstance(ending, Refuse) else None,
        "seconds": found.seconds,
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "failed": len(answer.failed) if answer else 0,
        "receipts": len(found.receipts),
        "title": title(found),
        "key": ask.key,
        "shadows": ask.shadows,
        "stored": ask.store,
    }


def whole(seen: Seen) -> str:
    """As JSON. The exchange is as the record has it."""
    labels = [_label(label) for label in seen.labels]
    rest = json.dumps({"labels": labels, "told": list(told(seen.exchange))}, ensure_ascii=False)
    return f'{{"object":"exchange","exchange":{encode(seen.exchange)},{rest[1:]}'


def _label(label: Any) -> dict[str, Any]:
    names = ("verdict", "source", "made_unix", "text")
    return {"object": "label", "exchange": label.exchange} | {name: getattr(label, name) for name in names}


def listed(session: Session) -> dict[str, Any]:
    first, latest = session.first, session.latest
    return {
        "object": "session",
        "id": session.name,
        "key": session.owner,
        "place": session.place,
        "begun_unix": first.ask.received_unix if first else None,
        "latest_unix": latest.ask.received_unix if latest else None,
        "exchanges": session.exchanges,
        "title": title(first) if first else "",
    }


def said(found: Exchange | Damaged) -> tuple[list[dict[str, Any]], int]:
    """The turns of an exchange, and how long they are."""
    if isinstance(found, Damaged):
        return [{"role": "damaged", "content": found.why, "exchange": found.id}], len(found.why)
    return (turns := list(_turns(found))), sum(len(turn["content"]) for turn in turns)


def _turns(found: Exchange) -> Iterator[dict[str, Any]]:
    ask, ending = found.ask, found.ending
    for turn in turns(found):
        fields = {"role": turn.role, "content": turn.text, "exchange": ask.id, "received_unix": ask.received_unix}
        if turn.role == "assistant":
            fields |= {"model": ask.model, "contract": ask.contract, "code": turn.code}
            fields["route"] = ending.route if isinstance(ending, Answer) else None
            fields["tool_calls"] = [{"name": call.name, "arguments": call.given} for call in turn.calls]
        yield fields
