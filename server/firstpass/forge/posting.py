"""One comment, made or brought up to date: found again by its mark and its author. It knows neither API."""

from dataclasses import dataclass
from typing import Literal

from firstpass.egress.forge import Door, Lost, Refused, Token
from firstpass.errors import NotPosted
from firstpass.forge import Comment, Request, Service, github, gitlab
from firstpass.forge.comment import MARK, cut

TRIES = 2


@dataclass(frozen=True, slots=True)
class Posted:
    """others: further comments of ours that are there, which stay as they are.

    stranger: who a new comment is of, where that is another than who we took ourselves for.
    """

    became: Literal["made", "updated", "as it was"]
    others: int = 0
    stranger: str | None = None


def service(request: Request, token: Token, author: str | None) -> Service:
    """author: who our comments are of, where the token can't be asked. Raises: NotPosted."""
    if request.service == "GitHub":
        return github.GitHub(Door(request.api, token, github.HEADERS), request, author)
    return gitlab.GitLab(Door(request.api, token, gitlab.HEADERS), request, author)


def put(service: Service, body: str) -> Posted:
    """Raises: NotPosted. A comment that may have been made before the answer was lost is looked for, not made twice."""
    body, own = cut(body, service.body_characters), service.own()
    for attempt in range(1, TRIES + 1):
        ours = sorted((one for one in service.comments() if _is_ours(one, own)), key=lambda one: one.id)
        try:
            if ours:
                return Posted(_updated(service, ours[0], body), others=len(ours) - 1)
            made = service.create(body)
            return Posted("made", stranger=made.author if made.author != own else None)
        except NotPosted as error:
            if attempt == TRIES or not (isinstance(error, Lost) or (ours and _is_gone(error))):
                raise
    raise AssertionError("the last try returns or raises")


def _is_ours(comment: Comment, own: str) -> bool:
    return comment.author == own and comment.body.startswith(MARK)


def _is_gone(error: NotPosted) -> bool:
    """Somebody deleted the comment since it was listed."""
    return isinstance(error, Refused) and error.http in (404, 410)


def _updated(service: Service, ours: Comment, body: str) -> Literal["updated", "as it was"]:
    if ours.body.replace("\r\n", "\n").rstrip() == body.rstrip():
        return "as it was"
    service.update(ours, body)
    return "updated"
