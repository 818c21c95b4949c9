"""Leaks on purpose: a proof that does not see them is none."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from firstpass.prove.counters import has_ipv6, read

OUTSIDE, OUTSIDE_6 = "203.0.113.1", "2001:db8::1"
"""Addresses that nobody has (RFC 5737, RFC 3849)."""

CODE = """
import socket, sys
try:
    {leak}
except OSError as error:
    sys.exit(f"{{error}}")
"""

LEAKS: Mapping[str, str] = {
    "a TCP connection": f"socket.create_connection(({OUTSIDE!r}, 443), 2)",
    "a UDP datagram": f'socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ({OUTSIDE!r}, 443))',
    "a name looked up": 'socket.getaddrinfo("planted.firstpass.example", 443)',
    "a question to a local name server": (
        's = socket.socket(type=socket.SOCK_DGRAM); s.sendto(b"x", ("127.0.0.53", 53))'
    ),
    "a connection to a local proxy": 'socket.create_connection(("127.0.0.1", 3128), 2)',
    "a TCP connection over IPv6": f"socket.create_connection(({OUTSIDE_6!r}, 443), 2)",
    "a UDP datagram over IPv6": (
        f'socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b"x", ({OUTSIDE_6!r}, 443))'
    ),
}


def unseen() -> dict[str, str]:
    """The leaks that were planted, each in a process below this one, and not counted; with what became of them."""
    missed = {}
    for name, leak in LEAKS.items():
        if "IPv6" in name and not has_ipv6():
            continue
        before = read()
        command = [sys.executable, "-I", "-S", "-c", CODE.format(leak=leak)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if read().since(before).total == 0:
            missed[name] = done.stderr.strip() or "it was sent"
    return missed


class Leaky:
    """The server with a fault: whatever it is asked, it also tells somebody outside."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].endswith("/completions"):
            _leak()
        await self._application(scope, receive, send)


def _leak() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as leaking, contextlib.suppress(OSError):
        leaking.sendto(b"a prompt", (OUTSIDE, 443))
