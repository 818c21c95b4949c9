"""Comments on a pull request by GitHub's REST API, version 2022-11-28. The socket is the door's."""

from typing import Any

from firstpass.egress.forge import Door, Lost, Refused
from firstpass.forge import Comment, Request

HEADERS = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
PAGE = 100
PAGES = 50
WORKFLOW = "github-actions[bot]"
"""Who the token of a workflow is; it may not ask so itself."""


class GitHub:
    body_characters = 65_536

    def __init__(self, door: Door, request: Request, author: str | None = None) -> None:
        self._door, self._author = door, author
        self._repository, self._number = f"/repos/{request.project}", request.number
        self.where = f"{request.api.rstrip('/')}{self._list}"

    @property
    def _list(self) -> str:
        """To GitHub a pull request's comments are those of an issue of its number."""
        return f"{self._repository}/issues/{self._number}/comments"

    def own(self) -> str:
        if self._author:
            return self._author.lower()
        try:
            return _text(self._door.ask("GET", "/user"), "login").lower()
        except Refused as error:
            if error.http != 403:
                raise
            return WORKFLOW

    def comments(self) -> list[Comment]:
        rows = self._door.pages(self._list, PAGES, per_page=str(PAGE))
        return [_comment(one) for page in rows for one in page]

    def create(self, body: str) -> Comment:
        return _comment(self._door.ask("POST", self._list, {"body": body}))

    def update(self, comment: Comment, body: str) -> None:
        self._door.ask("PATCH", f"{self._repository}/issues/comments/{comment.id}", {"body": body})


def _comment(said: Any) -> Comment:
    """A deleted user's comment has no user."""
    user = (said.get("user") if isinstance(said, dict) else None) or {}
    return Comment(_number(said), str(user.get("login", "")).lower(), str(said.get("body") or ""))


def _number(said: Any) -> int:
    if not isinstance(said, dict) or not isinstance(said.get("id"), int):
        raise Lost("a comment has no id")
    return int(said["id"])


def _text(said: object, name: str) -> str:
    if not isinstance(said, dict) or not isinstance(said.get(name), str):
        raise Lost(f"the answer has no {name}")
    return str(said[name])
