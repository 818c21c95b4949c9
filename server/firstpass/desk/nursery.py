"""Workers as their front sees them, and the process that all of them are forked of. Knows no contract and no work.

A fork of the front itself would inherit its threads' locks and its sockets. The process that is forked instead has one
thread, and has imported what the workers need: to make one takes some milliseconds, and they share its memory. It ends
with the front, and each worker with it, whatever ended the front.
"""

import asyncio
import atexit
import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from firstpass.desk.frames import HEAD_BYTES, framed, length
from firstpass.desk.recipe import Recipe

LOW_PRIORITY = 10
_READ_BYTES = 1 << 18
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

ANSWER_SECONDS = 60.0
"""The process that workers are forked of has started by then, on a busy machine too."""

CLOSE_SECONDS = 5.0
ROOT = str(Path(__file__).parents[2])
"""Where this package is: the front may have it from its working directory alone."""

_INHERITED = ("PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONHASHSEED", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
_FORGET = framed(b"")


@dataclass(eq=False)
class Worker:
    """One process, at one piece of work at a time. asks: the ids of those whose texts it has read last.

    leaves: it ends by itself after its last answer.
    """

    pid: int
    _socket: socket.socket
    asks: deque[str] = field(default_factory=lambda: deque(maxlen=16))
    slow: bool = False
    ended: bool = False
    given_up: bool = False
    leaves: bool = False
    _forgets: bool = False
    _born_bytes: int = 0

    def __post_init__(self) -> None:
        self._born_bytes = self._bytes()

    def grown_bytes(self) -> int:
        """Of memory, since it began: what it was born with is mostly shared."""
        return max(0, self._bytes() - self._born_bytes)

    def _bytes(self) -> int:
        """0 where that is not said, as of one that has ended."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_BYTES
        except (OSError, IndexError):
            return 0

    async def answer(self, message: bytes, ask: str) -> bytes:
        """Raises: OSError, EOFError where it has ended."""
        self.asks.append(ask)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._socket, framed(message))
        found = bytearray()
        while len(found) < HEAD_BYTES or len(found) < HEAD_BYTES + length(bytes(found[:HEAD_BYTES])):
            more = await loop.sock_recv(self._socket, _READ_BYTES)
            if not more:
                raise EOFError
            found += more
        if self._forgets:
            self.forget(at_once=True)
        return bytes(found[HEAD_BYTES:])

    def forget(self, *, at_once: bool) -> None:
        """at_once: it is at no work."""
        self._forgets = not at_once
        if at_once:
            self.asks.clear()
            with contextlib.suppress(OSError):
                self._socket.send(_FORGET)

    def has_ended(self) -> bool:
        """To be asked while it is at no work, and so has nothing to say."""
        try:
            return not self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def cpu_seconds(self) -> float:
        """Of all that it has done so far. Its clock's number is made as the kernel has it (CPUCLOCK_SCHED)."""
        try:
            return time.clock_gettime((~self.pid << 3) | 2)
        except OSError:
            return 0.0

    def slow_down(self) -> None:
        """Others come first from now on; only a privileged user could take that back."""
        self.slow = True
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self.pid, LOW_PRIORITY)

    def give_up(self) -> None:
        """Who waits for its answer hears that it has ended."""
        self.given_up = True
        self.kill()

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """Nobody waits for its answer."""
        if not self.ended:
            self.kill()
            self.ended = True
            self._socket.close()


class NurseryEnded(OSError):
    """All its workers have ended, or do so with it."""


class _Nursery:
    """The process that workers are forked of."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        with theirs:
            command = [sys.executable, *flags, "-P", "-m", "firstpass.desk.worker", str(theirs.fileno())]
            try:
                self.process = subprocess.Popen(
                    command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, env=environment()
                )
            except OSError:
                self._control.close()
                raise
        self._control.settimeout(ANSWER_SECONDS)

    def fork(self) -> Worker:
        """Raises: OSError; NurseryEnded where it makes none any more."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                return Worker(self._number(theirs), ours)
        except OSError:
            ours.close()
            raise

    def _number(self, theirs: socket.socket) -> int:
        try:
            socket.send_fds(self._control, [b"x"], [theirs.fileno()])
            said = self._control.recv(HEAD_BYTES, socket.MSG_WAITALL)
        except OSError as error:
            raise NurseryEnded("the process that workers are made of does not answer") from error
        if len(said) < HEAD_BYTES:
            raise NurseryEnded("the process that workers are made of has ended")
        if not (number := length(said)):
            raise OSError("the system makes no further process")
        return number

    def close(self) -> None:
        """What does not end by itself is ended, and all its workers with it."""
        self._control.close()
        try:
            self.process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def environment() -> dict[str, str]:
    """For the process that workers are made of: no more than it needs."""
    found = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    paths = [ROOT, *filter(None, [found.get("PYTHONPATH")])]
    return found | {"PYTHONPATH": os.pathsep.join(paths)}


_lock = threading.Lock()
_nurseries: list[_Nursery] = []


def born(recipe: Recipe) -> Worker:
    """A worker that will make the recipe's contracts. The first one waits for the process that it is forked of.

    Raises: OSError.
    """
    with _lock:
        try:
            worker = _forked()
        except NurseryEnded:
            worker = _forked()
    try:
        worker._socket.sendall(framed(pickle.dumps(recipe, 5)))
    except OSError:
        worker.end()
        raise
    worker._socket.setblocking(False)
    return worker


def _forked() -> Worker:
    if not _nurseries:
        _nurseries.append(_Nursery())
        atexit.register(_nurseries[0].close)
    try:
        return _nurseries[0].fork()
    except NurseryEnded:
        ended = _nurseries.pop()
        atexit.unregister(ended.close)
        ended.close()
        raise
