"""Pull and merge requests at the service that holds the code: which one a job is about, and the one comment on it.

`event` reads the job's environment, `comment` writes the comment in a Markdown (`markdown`) that a diff's author can't
break out of, `github` and `gitlab` are the two APIs, `posting` puts it there once. The socket is `egress.forge`'s.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

ServiceName = Literal["GitHub", "GitLab"]


@dataclass(frozen=True, slots=True)
class Request:
    """A pull or a merge request. api: the URL of the service's. project: its name there, or its number.

    base, head: the commits that it is between. foreign: its code is another project's, so this job has no token that
    may write.
    """

    service: ServiceName
    api: str
    project: str
    number: int
    base: str
    head: str
    foreign: bool = False

    @property
    def called(self) -> str:
        return f"{self.project}{'#' if self.service == 'GitHub' else '!'}{self.number} at {self.service}"


@dataclass(frozen=True, slots=True)
class Comment:
    """author: as `Service.own` says who one is."""

    id: int
    author: str
    body: str


class Service(Protocol):
    """One request's comments."""

    body_characters: int
    """Of a comment, at most; in UTF-16 units, of which a letter has one or two."""

    @property
    def where(self) -> str:
        """The address at which comments are listed and made."""

    def own(self) -> str:
        """Who the token is. Raises: NotPosted."""

    def comments(self) -> list[Comment]:
        """All of them, in their order. Raises: NotPosted."""

    def create(self, body: str) -> Comment:
        """Raises: NotPosted."""

    def update(self, comment: Comment, body: str) -> None:
        """Raises: NotPosted."""
