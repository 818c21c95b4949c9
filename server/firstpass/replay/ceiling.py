"""Where recorded words may go on their second way. It opens no connection and reads no settings.

A server holds a request to its ceiling; which machine that server stands on, only who asks it can see.
"""

from urllib.parse import urlsplit

from firstpass.exchange import Ceiling
from firstpass.loopback import is_loopback


def is_here(url: str) -> bool:
    """Whether the host of a URL is this machine. A name counts as elsewhere, whatever it leads to, but localhost."""
    return is_loopback(urlsplit(url).hostname or "")


def withheld(ceiling: Ceiling, url: str, *, explicit: bool) -> str | None:
    """Why an exchange of that ceiling may not be sent to that server; None where it may.

    explicit: whether this command was told the URL, and did not have it from the environment. Nobody replaces secrets
    on this way, so `redacted` does not allow it.
    """
    if is_here(url):
        return None
    if ceiling != "any":
        return f"its ceiling is {ceiling}, and {urlsplit(url).hostname} is another machine"
    if not explicit:
        return f"{urlsplit(url).hostname} is another machine, and only --url or --arm may name one"
    return None
