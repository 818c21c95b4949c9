"""A stand-in for the comments' part of GitHub's and GitLab's API, over real HTTP. It is neither of them.

Every request is held to the published form, and so is every answer before it leaves; what does not hold is in `wrong`,
which a test looks at in the end. Faults are asked for by name.
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import jsonschema
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

Kind = Literal["GitHub", "GitLab"]
TOKEN = "tok_5f2e8c41d09ab37e6655"
WHEN = "2026-11-29T12:00:00Z"
PROJECT = "shop/till"
NUMBER = 7
DESCRIBED: dict[Kind, Any] = {
    "GitHub": json.loads(Path(__file__).with_name("github.json").read_text()),
    "GitLab": json.loads(Path(__file__).with_name("gitlab.json").read_text()),
}
LIMITS: dict[Kind, int] = {"GitHub": 65_536, "GitLab": 1_000_000}
OWN: dict[Kind, str] = {"GitHub": "github-actions[bot]", "GitLab": "project_12_bot_1"}


@dataclass
class Said:
    """A comment that is there. system: GitLab wrote it itself."""

    id: int
    author: str
    body: str
    system: bool = False


@dataclass
class Forge:
    """faults: what the next requests get in the place of an answer: (method, status, headers), or a drip.

    done_first: a fault answers only after what was asked has been done. asked: method, path and body of each request;
    unseen: authors whose comments are counted and then left out of their page, as both services do with what a token
    may not see. elsewhere: headers and bodies of each, without the one header that is for the token.
    """

    kind: Kind
    token: str = TOKEN
    comments: list[Said] = field(default_factory=list)
    faults: list[tuple[str, int, dict[str, str]]] = field(default_factory=list)
    done_first: bool = False
    names_itself: bool = False
    unseen: tuple[str, ...] = ()
    echoes: bool = False
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    heard: str = ""
    wrong: list[str] = field(default_factory=list)

    def says(self, author: str, body: str, **more: bool) -> Said:
        self.comments.append(Said(100 + len(self.comments), author, body, **more))
        return self.comments[-1]

    def methods(self) -> list[str]:
        return [method for method, _, _ in self.asked]


def forge_app(forge: Forge) -> FastAPI:
    application = FastAPI()
    project = f"/repos/{PROJECT}/issues" if forge.kind == "GitHub" else f"/projects/12/merge_requests/{NUMBER}/notes"

    @application.api_route("/api/{path:path}", methods=["GET", "POST", "PATCH", "PUT"])
    async def api(request: Request, path: str) -> Response:
        body = await _seen(forge, request)
        if not _is_known(forge, request):
            return _error(forge, 401, "Bad credentials")
        fault = next((one for one in forge.faults if one[0] == request.method), None)
        done = None if fault and not forge.done_first else _done(forge, f"/{path}", project, request, body)
        if fault:
            forge.faults.remove(fault)
            return _error(forge, fault[1], fault[2].get("x-says", "Not now"), fault[2])
        assert done is not None
        return done

    return application


async def _seen(forge: Forge, request: Request) -> Any:
    raw = await request.body()
    body = json.loads(raw) if raw else None
    forge.heard = request.headers.get(_header(forge), "")
    forge.asked.append((request.method, request.url.path, body))
    other = {name: value for name, value in request.headers.items() if name != _header(forge)}
    forge.elsewhere.append(f"{request.url} {other} {raw.decode()}")
    await asyncio.sleep(0)
    return body


def _header(forge: Forge) -> str:
    return "authorization" if forge.kind == "GitHub" else "private-token"


def _is_known(forge: Forge, request: Request) -> bool:
    expected = f"Bearer {forge.token}" if forge.kind == "GitHub" else forge.token
    return request.headers.get(_header(forge)) == expected


def _done(forge: Forge, path: str, project: str, request: Request, body: Any) -> Response:
    if path == "/user" and request.method == "GET":
        return _own(forge)
    where = f"{project}/{NUMBER}/comments" if forge.kind == "GitHub" else project
    if path == where and request.method == "GET":
        return _list(forge, request)
    if path == where and request.method == "POST":
        return _made(forge, request, body)
    one = f"{project}/comments/" if forge.kind == "GitHub" else f"{project}/"
    change = "PATCH" if forge.kind == "GitHub" else "PUT"
    said = next((each for each in forge.comments if path == f"{one}{each.id}"), None)
    if said is None or request.method != change:
        return _error(forge, 404, "Not Found")
    return _changed(forge, said, request, body)


def _own(forge: Forge) -> Response:
    """A workflow's token may not ask GitHub who it is."""
    if forge.kind == "GitHub" and not forge.names_itself:
        return _error(forge, 403, "Resource not accessible by integration")
    if forge.kind == "GitHub":
        none = dict.fromkeys(("name", "company", "blog", "location", "email", "hireable", "bio"))
        counts = dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0)
        own = _user(forge, OWN["GitHub"]) | none | counts | {"created_at": WHEN, "updated_at": WHEN}
        return _answered(forge, "get /user", own)
    return _answered(forge, "get /user", _user(forge, OWN["GitLab"]))


def _list(forge: Forge, request: Request) -> Response:
    name = _operation(forge, "get")
    query = {key: int(value) if value.isdigit() else value for key, value in request.query_params.items()}
    known = DESCRIBED[forge.kind]["operations"][name]["query"]
    _hold(forge, {"type": "object", "additionalProperties": False, "properties": known}, query, f"query of {name}")
    page, size = int(query.get("page", 1)), int(query.get("per_page", 30))
    counted = forge.comments[(page - 1) * size : page * size]
    answer = _answered(forge, name, [_written(forge, said) for said in counted if said.author not in forge.unseen])
    if len(forge.comments) > page * size:
        answer.headers["link"] = f'<{request.url.include_query_params(page=page + 1)}>; rel="next", <x>; rel="last"'
    return answer


def _made(forge: Forge, request: Request, body: Any) -> Response:
    return _refused(forge, body, "post") or _answered(
        forge, _operation(forge, "post"), _written(forge, forge.says(OWN[forge.kind], body["body"]))
    )


def _changed(forge: Forge, said: Said, request: Request, body: Any) -> Response:
    method = request.method.lower()
    if refusal := _refused(forge, body, method):
        return refusal
    said.body = body["body"]
    return _answered(forge, _operation(forge, method), _written(forge, said))


def _operation(forge: Forge, method: str) -> str:
    if forge.kind == "GitLab":
        return "put note" if method == "put" else f"{method} notes"
    comment = "/repos/{owner}/{repo}/issues/comments/{comment_id}"
    return f"{method} {comment if method == 'patch' else '/repos/{owner}/{repo}/issues/{issue_number}/comments'}"


def _refused(forge: Forge, body: Any, method: str) -> Response | None:
    name = _operation(forge, method)
    _hold(forge, DESCRIBED[forge.kind]["operations"][name]["body"], body, f"body of {name}")
    if set(body) != {"body"}:
        forge.wrong.append(f"{name}: fields {sorted(body)}")
    if not body["body"].strip() or len(body["body"].encode("utf-16-le")) // 2 > LIMITS[forge.kind]:
        return _error(forge, 422 if forge.kind == "GitHub" else 400, "body is too long")
    return None


def _answered(forge: Forge, name: str, answer: Any) -> Response:
    operation = DESCRIBED[forge.kind]["operations"][name]
    _hold(forge, operation["answer"], answer, f"answer of {name}")
    return JSONResponse(answer, operation["status"])


def _hold(forge: Forge, schema: Any, said: Any, where: str) -> None:
    whole = {"components": DESCRIBED[forge.kind]["components"], **schema}
    checker = jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker())
    forge.wrong.extend(f"{where}: {error.json_path} {error.message[:200]}" for error in checker.iter_errors(said))


def _error(forge: Forge, status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    said = f"{message} ({forge.heard})" if forge.echoes else message
    if forge.kind == "GitHub":
        _hold(forge, DESCRIBED["GitHub"]["components"]["schemas"]["basic-error"], {"message": said}, "an error")
    return JSONResponse({"message": said}, status, headers)


def _user(forge: Forge, name: str) -> dict[str, Any]:
    if forge.kind == "GitLab":
        return {"id": 5, "username": name, "name": name, "state": "active", "bot": True}
    url = f"https://api.example/users/{name}"
    links = ("followers", "following", "gists", "starred", "subscriptions", "organizations", "repos", "events")
    return {
        **{f"{link}_url": f"{url}/{link}" for link in (*links, "received_events", "html", "avatar")},
        "login": name,
        "id": 5,
        "node_id": "n",
        "gravatar_id": "",
        "url": url,
        "type": "Bot",
        "site_admin": False,
    }


def _written(forge: Forge, said: Said) -> dict[str, Any]:
    times = {"created_at": WHEN, "updated_at": WHEN}
    if forge.kind == "GitLab":
        noteable = {"noteable_id": 70, "noteable_type": "MergeRequest", "noteable_iid": NUMBER}
        return {"id": said.id, "type": None, "body": said.body, "author": _user(forge, said.author)} | {
            **times,
            **noteable,
            "system": said.system,
        }
    url = f"https://api.example/repos/{PROJECT}/issues/comments/{said.id}"
    return {
        "id": said.id,
        "node_id": "n",
        "url": url,
        "html_url": url,
        "issue_url": url,
        "body": said.body,
        "user": _user(forge, said.author),
        "author_association": "NONE",
        "performed_via_github_app": None,
        **times,
    }


def shown(forge: Forge) -> Iterator[str]:
    """What an attacker would look through for the token, on the service's side."""
    yield from forge.elsewhere
    yield from (said.body for said in forge.comments)
