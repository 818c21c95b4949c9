"""The process between the front and an engine, so that no part of the engine outlives the front or the rest of it.

    python -m firstpass.engine.guard [--grace SECONDS] [--remove DIR] [--isolate] -- COMMAND...

Its standard input is a pipe that the front holds open and never writes to. When that pipe ends (the front exited, or
was killed with signal 9), on SIGTERM, and when the command exits, the guard ends every process below it and waits until
none is left. It exits with the command's status (128 plus the signal, as a shell says it).

It knows no engine. Standard library only, and nothing of its own package: it is run by its path and starts in
milliseconds. If the guard itself is killed with signal 9, the kernel kills the command (PR_SET_PDEATHSIG) and the front
kills the rest of the process group.
"""

import argparse
import contextlib
import ctypes
import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
"""<linux/prctl.h>"""

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
"""<linux/sched.h>"""

SIOCSIFFLAGS = 0x8914
IFF_UP = 1
"""<linux/sockios.h>, <linux/if.h>"""

NOT_ISOLATED = 125
"""The exit status where the system has no network namespace for us."""

ON_LINUX = sys.platform == "linux"
FRONT = 0
"""The file descriptor of the pipe to the front."""

POLL_SECONDS = 0.02
KILL_SECONDS = 10.0


def prctl(option: int, value: int) -> None:
    """Raises: OSError."""
    c_call("prctl", option, value, 0, 0, 0)


def c_call(name: str, *arguments: int | bytes | None) -> None:
    """A function of the C library that returns 0 when it is done. Raises: OSError."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))


def leave_the_network() -> None:
    """Gives this process, and all that it starts, a network that has a loopback of its own and nothing else.

    Nobody else reaches what listens there, and no packet leaves it. What stays open are the sockets that it holds, and
    those that have a path. Root may do so (CAP_SYS_ADMIN); others need a user namespace, in which this user is itself.
    Raises: OSError where the system allows neither; the process is of no more use then.
    """
    try:
        c_call("unshare", CLONE_NEWNET)
    except OSError:
        user, group = os.geteuid(), os.getegid()
        c_call("unshare", CLONE_NEWUSER | CLONE_NEWNET)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def die_with(guard: int) -> Callable[[], None]:
    """What the command does between fork and exec: it will die with the guard, and its files are its user's alone."""

    def before_exec() -> None:
        os.umask(0o077)
        signal.set_wakeup_fd(-1)
        if ON_LINUX:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != guard:  # it died before the prctl
                os._exit(1)

    return before_exec


def parents() -> Iterator[tuple[int, int]]:
    """(pid, parent's pid) of every process on this machine."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            after_name = stat.read_text(errors="replace").rpartition(")")[2].split()
            yield int(stat.parent.name), int(after_name[1])


def descendants() -> list[int]:
    """Every process below this one. Orphans among them have this process as their parent: it is a subreaper."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents():
        children.setdefault(parent, []).append(pid)
    found, queue = [], [os.getpid()]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Guard:
    """grace_seconds: between SIGTERM and SIGKILL."""

    def __init__(self, command: list[str], grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._asked_to_stop = False
        self._status: int | None = None
        self._wake = self._wake_on_signals()
        self._command = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=die_with(os.getpid()))

    def _wake_on_signals(self) -> int:
        """A descriptor that becomes readable when a child ends or a signal to stop arrives."""
        wake, written = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(written, False)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        return wake

    def _stop(self, *_: object) -> None:
        self._asked_to_stop = True

    def run(self) -> int:
        """Wait for a reason to end, end everything, and return the command's exit status."""
        while self._status is None and not self._asked_to_stop and not self._front_is_gone():
            self._reap()
        self._end_all()
        return self._status if self._status is not None else 128 + signal.SIGKILL

    def _front_is_gone(self) -> bool:
        readable, _, _ = select.select([FRONT, self._wake], [], [], 1.0)
        if self._wake in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)
        return FRONT in readable and not os.read(FRONT, 4096)

    def _reap(self) -> bool:
        """Collect the processes that have ended; whether any is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._command.pid:
                code = os.waitstatus_to_exitcode(status)
                self._status = code if code >= 0 else 128 - code
                self._command.returncode = code

    def _end_all(self) -> None:
        """SIGTERM to the command, which knows how to end its own; SIGTERM to its orphans; SIGKILL to what is left."""
        send([self._command.pid] if self._status is None else self._alive(), signal.SIGTERM)
        if not self._gone_within(self._grace_seconds):
            deadline = time.monotonic() + KILL_SECONDS
            while self._reap() and time.monotonic() < deadline:
                send(self._alive(), signal.SIGKILL)
                time.sleep(POLL_SECONDS)

    def _gone_within(self, seconds: float) -> bool:
        """Whether nothing is left in time. When the command has ended, its orphans get their SIGTERM too."""
        deadline, orphans_told = time.monotonic() + seconds, self._status is not None
        while self._reap():
            if time.monotonic() > deadline:
                return False
            if self._status is not None and not orphans_told:
                send(self._alive(), signal.SIGTERM)
                orphans_told = True
            time.sleep(POLL_SECONDS)
        return True

    def _alive(self) -> list[int]:
        if ON_LINUX:
            return descendants()
        return [self._command.pid] if self._status is None else []


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="guard", description="Run a command that never outlives the caller.")
    parser.add_argument("--grace", type=float, default=8.0, help="seconds between SIGTERM and SIGKILL")
    parser.add_argument("--remove", type=Path, help="a directory to remove in the end")
    parser.add_argument("--isolate", action="store_true", help="in a network of its own, or not at all")
    parser.add_argument("command", nargs="+")
    wanted = parser.parse_args(argv)
    if ON_LINUX:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        if wanted.isolate:
            leave_the_network()
    except OSError as error:
        print(f"no network namespace: {error.strerror}", file=sys.stderr)
        return NOT_ISOLATED
    try:
        return Guard(wanted.command, wanted.grace).run()
    finally:
        if wanted.remove:
            shutil.rmtree(wanted.remove, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
