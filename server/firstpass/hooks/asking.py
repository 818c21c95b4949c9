"""One question to a running server within a time, whatever that server does. It knows no git.

http.client and no larger library: a commit waits for what this process imports. It follows no redirect, and no proxy of
the environment sees the question.
"""

import os
import ssl
import threading
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, urlsplit

from firstpass.answered import Answered, NoAnswer, read
from firstpass.changes import Deadline
from firstpass.loopback import is_loopback

REPLY_BYTES = 2**20
DEFAULT_URL = "http://127.0.0.1:8080"


def server(configured: str | None, environment: str | None) -> SplitResult:
    """Which server is asked. configured: by `git config firstpass.url`; environment: FIRSTPASS_URL.

    What a hook sends is sent without a word, so another machine has to be named in git's own settings.
    Raises: NoAnswer.
    """
    try:
        url = urlsplit(configured or environment or DEFAULT_URL)
        host, _ = url.hostname or "", url.port
    except ValueError as error:
        raise NoAnswer("the server's URL has an address or a port that is none") from error
    if url.scheme not in ("http", "https") or not host or url.username or url.password:
        raise NoAnswer("the server's URL is neither http://HOST nor https://HOST")
    if not configured and not is_loopback(host):
        raise NoAnswer(
            f"FIRSTPASS_URL is another machine; `git config firstpass.url {url.geturl()}` lets diffs go there"
        )
    return url


def ask(url: SplitResult, body: bytes, until: Deadline) -> Answered:
    """Raises: NoAnswer, in time."""
    return within(until, lambda: _asked(url, body, until))


def within(until: Deadline, work: Callable[[], Answered]) -> Answered:
    """What the work gives, if it is done in time; else nobody waits for it. Raises: NoAnswer."""
    done = list[Answered | BaseException]()

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again below, in the thread that waits
            done.append(error)

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    worker.join(max(0.0, until.left))
    if not done:
        raise NoAnswer("no answer in time")
    if isinstance(done[0], BaseException):
        raise done[0]
    return done[0]


def _asked(url: SplitResult, body: bytes, until: Deadline) -> Answered:
    connection = _connection(url, until)
    try:
        connection.request("POST", f"{url.path.rstrip('/')}/v1/chat/completions", body, _headers())
        reply = connection.getresponse()
        said = reply.read(REPLY_BYTES + 1)
    except TimeoutError as error:
        raise NoAnswer("no answer in time") from error
    except (OSError, HTTPException, ValueError) as error:
        raise NoAnswer(f"no answer from {url.hostname} ({_why(error)})") from error
    finally:
        connection.close()
    if len(said) > REPLY_BYTES:
        raise NoAnswer("the answer is too long")
    return read(reply.status, said)


def _why(error: Exception) -> str:
    """Without an exception's own words where they may quote a header."""
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else type(error).__name__


def _connection(url: SplitResult, until: Deadline) -> HTTPConnection:
    host, port, seconds = url.hostname or "", url.port, max(0.01, until.left)
    if url.scheme == "http":
        return HTTPConnection(host, port, timeout=seconds)
    try:
        context = ssl.create_default_context(cafile=os.environ.get("FIRSTPASS_CA") or None)
    except OSError as error:
        raise NoAnswer("FIRSTPASS_CA is no PEM file of certificates") from error
    return HTTPSConnection(host, port, timeout=seconds, context=context)


def _headers() -> dict[str, Any]:
    key = os.environ.get("FIRSTPASS_API_KEY")
    fixed = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "firstpass-hook"}
    return fixed | ({"authorization": f"Bearer {key}"} if key else {})
