"""`firstpass pull-request`: the summary of a pull or merge request, shown, or put there as one comment."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from firstpass import changes
from firstpass.answered import TOO_LARGE, NoAnswer, question, read
from firstpass.changes import Deadline
from firstpass.cli.calling import DEFAULT_URL, ApiKey, Ca, Url, post
from firstpass.cli.terminal import err, fail
from firstpass.egress.forge import Refused
from firstpass.errors import ChangeTooLarge, NoChange, NotPosted
from firstpass.forge import Request, comment, event, posting

GIT_SECONDS = 120.0
NEEDED = "; a CI job needs the whole history (fetch-depth: 0, or GIT_DEPTH: 0)"
MAY_NOT = (401, 403, 404)
SUMMARY = "GITHUB_STEP_SUMMARY"

Between = Annotated[str | None, typer.Argument(metavar="BASE..HEAD", help="Two commits; the CI job's by default.")]
Post = Annotated[bool, typer.Option("--post", help="Put the comment there; without it, it is only shown.")]
Author = Annotated[str | None, typer.Option(help="The user whose comments are ours; by default the token's.")]
Model = Annotated[str, typer.Option(help="firstpass (the cascade), local, strong or a model.")]
Egress = Annotated[str | None, typer.Option(help="The ceiling of this request: local-only, redacted or any.")]


def pull_request(
    between: Between = None,
    send: Post = False,
    author: Author = None,
    model: Model = "firstpass",
    egress: Egress = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    ca: Ca = None,
) -> None:
    """Summarise a pull or merge request; with --post, put the summary there as one comment, which is kept up to date.

    In a job of GitHub Actions or GitLab CI the request is the job's. The token is read from GITHUB_TOKEN, or
    from GITLAB_TOKEN, and goes to that service's API alone.
    """
    request = event.here(os.environ)
    if send and request is None:
        fail("--post: this is no CI job of a pull or merge request, so there is no place for a comment")
    base, head = _commits(between, request)

    def asked(diff: bytes) -> str:
        body = question("pr-summary", diff, model, egress)
        response = post(f"{url.rstrip('/')}/v1/chat/completions", body, api_key, ca)
        return comment.written(read(response.status_code, response.content), head)

    try:
        body = _summary(_diff(base, head), head, asked)
    except NoAnswer as error:
        fail(str(error))
    if send and request is not None:
        _post(request, body, author)
    else:
        _show(request, body)


def _commits(between: str | None, request: Request | None) -> tuple[str, str]:
    """The ids of both. A range of the user's goes before the job's."""
    names = between.replace("...", "..").split("..") if between else [request.base, request.head] if request else []
    if len(names) != 2:
        fail("which commits? Say BASE..HEAD, such as origin/main..HEAD; in a job of a pull request they are known")
    until = Deadline.after(GIT_SECONDS)
    return _commit(names[0] or "HEAD", until), _commit(names[1] or "HEAD", until)


def _commit(name: str, until: Deadline) -> str:
    try:
        return changes.commit(name, until)
    except NoChange as error:
        why = str(error) if str(error).startswith("git: ") else f"there is no commit {name!r} here"
        raise NoChange(f"{why}{NEEDED}") from error


def _diff(base: str, head: str) -> bytes | str:
    """What the request changes, since its branch left the other one; or why there is none, in words."""
    until = Deadline.after(GIT_SECONDS)
    try:
        fork = changes.fork_point(base, head, until)
    except NoChange as error:
        raise NoChange(f"the two commits have none in common here{NEEDED}") from error
    try:
        diff = changes.between(fork, head, until)
    except ChangeTooLarge as error:
        return str(error)
    return diff if changes.has_text(diff) else "no line of text changes"


def _summary(diff: bytes | str, head: str, asked: Callable[[bytes], str]) -> str:
    """An older summary would be of another commit, so that there is none is a comment too. Raises: NoAnswer."""
    if isinstance(diff, str):
        return comment.without_summary(diff, head)
    try:
        return asked(diff)
    except NoAnswer as error:
        if error.code not in TOO_LARGE:
            raise
        return comment.without_summary("the change is too large for the model", head)


def _show(request: Request | None, body: str) -> None:
    _print(body)
    if request is not None:
        err.print(escape(f"not posted: --post would put this on {request.called}"))


def _print(body: str) -> None:
    """GitHub's runner reads a log for commands: `::` where a line begins, as none of ours does, and `##[` anywhere."""
    typer.echo(body.replace("##[", "## ["))


def _post(request: Request, body: str, author: str | None) -> None:
    token = event.token(request, os.environ)
    if token is None:
        _without_token(request, body)
        return
    try:
        posted = posting.put(posting.service(request, token, author), body)
    except Refused as error:
        if not request.foreign or error.http not in MAY_NOT:
            raise
        _instead(body, str(error))
        return
    err.print(escape(f"{request.called}: the comment {_BECAME[posted.became]}"))
    if posted.stranger:
        err.print(escape(f"it is of {posted.stranger}: without --author {posted.stranger} each run makes another"))
    if posted.others:
        err.print(escape(f"{posted.others} more of ours are there; the oldest is kept up to date"))


_BECAME = {"made": "is there now", "updated": "is brought up to date", "as it was": "says so already"}


def _without_token(request: Request, body: str) -> None:
    if request.foreign:
        _instead(body, "a request from another project has no token that may comment")
        return
    needs = "GITHUB_TOKEN" if request.service == "GitHub" else "GITLAB_TOKEN (CI_JOB_TOKEN may not write notes)"
    raise NotPosted(f"{request.called}: there is no token in {needs}")


def _instead(body: str, why: str) -> None:
    """In the job's summary, where there is one, else in its log: a fork's pull request ends well all the same."""
    if path := os.environ.get(SUMMARY):
        with Path(path).open("a", encoding="utf-8") as summary:
            summary.write(f"{body}\n")
    else:
        _print(body)
    err.print(escape(f"no comment ({why}); the summary is in the job's {'summary' if path else 'log'} instead"))
