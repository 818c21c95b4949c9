"""Notes on a merge request by GitLab's REST API, version 4. The socket is the door's."""

from typing import Any

from firstpass.egress.forge import Door, Lost
from firstpass.forge import Comment, Request

HEADERS = {"accept": "application/json"}
PAGE = 100
PAGES = 50


class GitLab:
    body_characters = 1_000_000

    def __init__(self, door: Door, request: Request, author: str | None = None) -> None:
        self._door, self._author = door, author
        self._list = f"/projects/{request.project}/merge_requests/{request.number}/notes"
        self.where = f"{request.api.rstrip('/')}{self._list}"

    def own(self) -> str:
        """A project's token is a user of its own, a bot."""
        if self._author:
            return self._author.lower()
        said = self._door.ask("GET", "/user")
        if not isinstance(said, dict) or not isinstance(said.get("username"), str):
            raise Lost("the answer has no username")
        return str(said["username"]).lower()

    def comments(self) -> list[Comment]:
        """Without the notes that GitLab itself makes of each change."""
        rows = self._door.pages(self._list, PAGES, per_page=str(PAGE), sort="asc", order_by="created_at")
        return [_comment(one) for page in rows for one in page if not one.get("system")]

    def create(self, body: str) -> Comment:
        return _comment(self._door.ask("POST", self._list, {"body": body}))

    def update(self, comment: Comment, body: str) -> None:
        self._door.ask("PUT", f"{self._list}/{comment.id}", {"body": body})


def _comment(said: Any) -> Comment:
    if not isinstance(said, dict) or not isinstance(said.get("id"), int):
        raise Lost("a note has no id")
    author = said.get("author") or {}
    return Comment(said["id"], str(author.get("username", "")).lower(), str(said.get("body") or ""))
