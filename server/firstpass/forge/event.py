"""Which pull or merge request a CI job is about, as GitHub Actions and GitLab CI say it to every job.

It opens the event's file and no connection. What these variables hold may be an author's: each is held to its form.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from firstpass.changes import COMMIT
from firstpass.egress.forge import Token
from firstpass.errors import NotPosted
from firstpass.forge import Request, ServiceName

EVENT_BYTES = 32 * 2**20
GITHUB_API = "https://api.github.com"
GITHUB_TOKEN = "GITHUB_TOKEN"  # noqa: S105 - a variable's name
GITLAB_TOKEN = "GITLAB_TOKEN"  # noqa: S105 - likewise
"""Not CI_JOB_TOKEN: GitLab's notes API does not take it."""

_TOKENS: Mapping[ServiceName, tuple[str, tuple[str, str]]] = {
    "GitHub": (GITHUB_TOKEN, ("authorization", "Bearer {}")),
    "GitLab": (GITLAB_TOKEN, ("private-token", "{}")),
}
"""The variable that holds a service's token, and the header that it goes in."""

_REPOSITORY = re.compile(r"(?!\.+/)[A-Za-z0-9_.-]{1,100}/(?!\.+$)[A-Za-z0-9_.-]{1,100}")
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")


def here(environment: Mapping[str, str]) -> Request | None:
    """None where no CI job of a pull or merge request runs. Raises: NotPosted, with the variable that is wrong."""
    if environment.get("GITHUB_ACTIONS") == "true":
        return _github(environment)
    if environment.get("GITLAB_CI") == "true":
        return _gitlab(environment)
    return None


def token(request: Request, environment: Mapping[str, str]) -> Token | None:
    """None where the environment has none."""
    name, header = _TOKENS[request.service]
    secret = environment.get(name, "")
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise NotPosted(f"{name} holds what can not be a token")
    return Token(name, secret, header) if secret else None


def _github(environment: Mapping[str, str]) -> Request | None:
    pull = _event(environment).get("pull_request")
    if not isinstance(pull, dict):
        return None
    project = _held(environment.get("GITHUB_REPOSITORY"), _REPOSITORY, "GITHUB_REPOSITORY")
    try:
        base, head = pull["base"]["sha"], pull["head"]["sha"]
        origin = (pull["head"].get("repo") or {}).get("full_name")
        number = str(pull["number"])
    except (KeyError, TypeError, AttributeError) as error:
        raise NotPosted("GITHUB_EVENT_PATH: the event's pull_request is not as GitHub writes it") from error
    return Request(
        service="GitHub",
        api=environment.get("GITHUB_API_URL") or GITHUB_API,
        project=project,
        number=int(_held(number, _NUMBER, "pull_request.number")),
        base=_held(base, COMMIT, "pull_request.base.sha"),
        head=_held(head, COMMIT, "pull_request.head.sha"),
        foreign=origin != project or environment.get("GITHUB_ACTOR") == "dependabot[bot]",
    )


def _event(environment: Mapping[str, str]) -> dict[str, Any]:
    path = Path(environment.get("GITHUB_EVENT_PATH") or "")
    if not path.is_file() or path.stat().st_size > EVENT_BYTES:
        raise NotPosted(f"GITHUB_EVENT_PATH: there is no event of at most {EVENT_BYTES} bytes")
    try:
        event = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise NotPosted("GITHUB_EVENT_PATH: the event is no JSON") from error
    return event if isinstance(event, dict) else {}


def _gitlab(environment: Mapping[str, str]) -> Request | None:
    """The pipeline of a merge request from a fork may run in the fork, whose variables are not the project's."""
    if not environment.get("CI_MERGE_REQUEST_IID"):
        return None
    heads = ("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "CI_COMMIT_SHA")
    head = next((environment[name] for name in heads if environment.get(name)), None)
    project = _held(environment.get("CI_MERGE_REQUEST_PROJECT_ID"), _NUMBER, "CI_MERGE_REQUEST_PROJECT_ID")
    return Request(
        service="GitLab",
        api=environment.get("CI_API_V4_URL") or "",
        project=project,
        number=int(_held(environment["CI_MERGE_REQUEST_IID"], _NUMBER, "CI_MERGE_REQUEST_IID")),
        base=_held(environment.get("CI_MERGE_REQUEST_DIFF_BASE_SHA"), COMMIT, "CI_MERGE_REQUEST_DIFF_BASE_SHA"),
        head=_held(head, COMMIT, "CI_COMMIT_SHA"),
        foreign=environment.get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", project) != project,
    )


def _held(said: object, form: re.Pattern[str], name: str) -> str:
    if not isinstance(said, str) or form.fullmatch(said) is None:
        raise NotPosted(f"{name} is missing, or not as it should be")
    return said
