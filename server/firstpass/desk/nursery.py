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

from firstpass.desk.frames import HEAD_BYTES, framed, length
from firstpass.desk.recipe import Recipe

LOW_PRIORITY = 10
_READ_BYTES = 1 << 18
_INHERITED = ("PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONHASHSEED", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
_FORGET = framed(b"")


@dataclass(eq=False)
class Worker:
    """One process, at one piece of work at a time. asks: the ids of those whose texts it has read last."""

    pid: int
    _socket: socket.socket
    asks: deque[str] = field(default_factory=lambda: deque(maxlen=16))
    slow: bool = False
    ended: bool = False
    given_up: bool = False
    _forgets: bool = False

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


class _Nursery:
    """The process that workers are forked of."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        with theirs:
            command = [sys.executable, *flags, "-P", "-m", "firstpass.desk.worker", str(theirs.fileno())]
            environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
            self.process = subprocess.Popen(
                command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, env=environment
            )

    def fork(self) -> Worker:
        """Raises: OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"x"], [theirs.fileno()])
            said = self._control.recv(HEAD_BYTES, socket.MSG_WAITALL)
        if len(said) < HEAD_BYTES:
            ours.close()
            raise OSError("the process that workers are made of has ended")
        return Worker(length(said), ours)

    def close(self) -> None:
        self._control.close()
        self.process.wait()


_lock = threading.Lock()
_nurseries: list[_Nursery] = []


def born(recipe: Recipe) -> Worker:
    """A worker that will make the recipe's contracts. The first one waits for the process that it is forked of.

    Raises: OSError.
    """
    with _lock:
        if not _nurseries:
            _nurseries.append(_Nursery())
            atexit.register(_nurseries[0].close)
        try:
            worker = _nurseries[0].fork()
        except OSError:
            _nurseries.pop().close()
            raise
    worker._socket.sendall(framed(pickle.dumps(recipe, 5)))
    worker._socket.setblocking(False)
    return worker
