"""Run as a program: the process that is forked for each worker, and what a worker does. Knows no event loop.

Its argument is the number of a socket. For each byte that comes with another socket a worker is forked, which serves
that, and its process number is said; 0 where the system makes none. When the socket is closed at the other end, all is
over.
"""

import ctypes
import gc
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BufferedRWPair
from pathlib import Path
from typing import NoReturn, get_args

import firstpass.contract.judging
import firstpass.contract.known  # noqa: F401
from firstpass.contract import Contract
from firstpass.desk.frames import HEAD_BYTES, framed, length
from firstpass.evidence.account import account_of
from firstpass.evidence.memory import forget
from firstpass.evidence.trees.languages import FirstName, grammar

MOST_PAGES = (64 << 20) // os.sysconf("SC_PAGE_SIZE")
"""A worker that has grown by more than this is not used again."""

_FIRST_DIFF = "".join(
    f"diff --git a/x.{one} b/x.{one}\n--- a/x.{one}\n+++ b/x.{one}\n@@ -1,0 +1,1 @@\n+def class func f(): g()\n"
    for one in ("py", "js", "ts", "go", "rs", "java", "kt")
)
"""With it is loaded what each worker would load with its own first one: tables, and queries for what is defined."""

_PAGES = Path("/proc/self/statm")
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)  # They are meant for the front, which ends this one when it is done.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The kernel reaps.
    for name in get_args(FirstName):
        grammar(name)
    account_of(_FIRST_DIFF)
    forget()
    gc.freeze()
    own = os.getpid()
    while True:
        said, sockets, _, _ = socket.recv_fds(control, 1, 1)
        if not said:
            return
        try:
            number = os.fork() or _begin(own, control, sockets[0])
        except OSError:
            number = 0  # There is no process with this number.
        os.close(sockets[0])
        control.sendall(number.to_bytes(HEAD_BYTES))


def _begin(parent: int, control: socket.socket, number: int) -> NoReturn:
    """number: of the socket that it serves."""
    try:
        control.close()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() == parent:
            with socket.socket(fileno=number) as served, served.makefile("rwb") as stream:
                serve(stream)
    finally:
        os._exit(0)


def serve(stream: BufferedRWPair) -> None:
    """A recipe first, then work; an empty message means that all words are to be forgotten."""
    recipe = _next(stream)
    if not recipe:
        return
    contracts: Mapping[str, Contract] = pickle.loads(recipe).contracts()  # noqa: S301
    began = _pages()
    while (message := _next(stream)) is not None:
        if not message:
            forget()
            continue
        outcome = _outcome(contracts, message)
        leaves = _pages() - began > MOST_PAGES
        stream.write(framed(pickle.dumps((*outcome, leaves), 5)))
        stream.flush()
        if leaves:
            return
        del message, outcome


def _outcome(contracts: Mapping[str, Contract], message: bytes) -> tuple[bool, object]:
    """(Whether all went well, the result or the exception)"""
    try:
        function, pinned, given = pickle.loads(message)  # noqa: S301
        contract = contracts[pinned]
        work: Callable[..., object] = getattr(contract, function) if isinstance(function, str) else function
        return True, work(*given) if isinstance(function, str) else work(contract, *given)
    except Exception as error:  # noqa: BLE001  It is raised at the other end.
        return False, error.with_traceback(None)


def _next(stream: BufferedRWPair) -> bytes | None:
    """None at the end."""
    with suppress(OSError):
        head = stream.read(HEAD_BYTES)
        if len(head) == HEAD_BYTES:
            return stream.read(length(head))
    return None


def _pages() -> int:
    """How many are in memory; 0 where that is not said."""
    try:
        return int(_PAGES.read_text().split()[1])
    except OSError:
        return 0


if __name__ == "__main__":
    main()
