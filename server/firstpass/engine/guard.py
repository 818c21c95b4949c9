"""The processes between the front and an engine, so that no part of the engine outlives the front or the rest of it.

    python -m firstpass.engine.guard [--grace SECONDS] [--remove DIR] [--cpus 0,1] [--isolate] -- COMMAND...

Its standard input is a pipe that the front holds open and never writes to. When that pipe ends (the front exited, or
was killed with signal 9), on SIGTERM, and when the command exits, the guard ends every process below it and waits until
none is left; on SIGUSR1 it does so with no grace. It exits with the command's status (128 plus the signal, as a shell
says it).

There are two of it, since one may be killed too: an outer guard, which the front knows, and below it an inner one with
a pipe of its own, which runs the command and sees by that pipe's end that the outer one is gone. Each ends all that the
other leaves. With --isolate the inner one is the first process of a process namespace, where the system has one: when
it dies, however that happens, the kernel kills all others in it.

It knows no engine. Standard library only, and nothing of its own package: it is run by its path and starts in
milliseconds. If both are killed with signal 9, the kernel kills the command (PR_SET_PDEATHSIG), and the front the rest
of the process group.
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

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
"""<linux/sched.h>"""

MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
"""<linux/mount.h>"""

SIOCSIFFLAGS = 0x8914
IFF_UP = 1
"""<linux/sockios.h>, <linux/if.h>"""

NOT_ISOLATED = 125
"""The exit status where the system has no network namespace for us."""

ON_LINUX = sys.platform == "linux"
FRONT = 0
"""The file descriptor of the pipe to the front; the inner guard's leads to the outer one."""

SPARE_SECONDS = 2.0
"""What the outer guard gives the inner one beyond its grace, to kill what is left and collect it."""

POLL_SECONDS = 0.02
KILL_SECONDS = 10.0
ORPHAN_SECONDS = 1.0
"""For what a command that ended by itself has left behind."""

Start = Callable[[], int]
"""Starts what is guarded, and gives its pid."""


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


def forked(work: Callable[[], int]) -> int:
    """The pid of a child that does `work` and exits with its result; with NOT_ISOLATED after an OSError."""
    pid = os.fork()
    if pid:
        return pid
    status = NOT_ISOLATED
    with contextlib.suppress(OSError):
        status = work()
    os._exit(status)


def first_of_its_own(work: Callable[[], int]) -> int:
    """The same, by the first process of a process namespace, with a /proc that shows no others.

    Programs look themselves up there by their pid, which is another's in the /proc of another namespace. The caller's
    later children would be in that namespace too, once there is one. Raises: OSError where the system allows none.
    """

    def inside() -> int:
        c_call("unshare", CLONE_NEWNS)
        c_call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
        c_call("mount", b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, None)
        return work()

    c_call("unshare", CLONE_NEWPID)
    return forked(inside)


def exit_status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def has_process_namespaces() -> bool:
    """Tried by a child: who has asked for one starts no process outside of it any more."""
    return exit_status(forked(lambda: exit_status(first_of_its_own(lambda: 0)))) == 0


def launch(command: list[str]) -> int:
    """Starts the command, which will die with its guard, and whose files are its user's alone."""
    guard = os.getpid()

    def before_exec() -> None:
        os.umask(0o077)
        signal.set_wakeup_fd(-1)
        if ON_LINUX:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != guard:  # it died before the prctl
                os._exit(1)

    started = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=before_exec)
    started.returncode = 0  # Else it would complain that nobody waits for it: the guard waits for everyone.
    return started.pid


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

    def __init__(self, start: Start, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._asked_to_stop = False
        self._status: int | None = None
        self._wake = self._wake_on_signals()
        self._pid = start()

    def _wake_on_signals(self) -> int:
        """A descriptor that becomes readable when a child ends or a signal to stop arrives."""
        wake, written = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(written, False)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGUSR1, self._stop)
        return wake

    def _stop(self, number: int, _: object) -> None:
        self._asked_to_stop = True
        if number == signal.SIGUSR1:
            self._grace_seconds = 0.0

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
            if pid == self._pid:
                code = os.waitstatus_to_exitcode(status)
                self._status = code if code >= 0 else 128 - code

    def _end_all(self) -> None:
        """SIGTERM to the command, which knows how to end its own; SIGTERM to its orphans; SIGKILL to what is left."""
        send([self._pid] if self._status is None else self._alive(), signal.SIGTERM)
        if not self._gone_within(self._grace_seconds if self._status is None else ORPHAN_SECONDS):
            deadline = time.monotonic() + KILL_SECONDS
            while self._reap() and time.monotonic() < deadline:
                send(self._alive(), signal.SIGKILL)
                time.sleep(POLL_SECONDS)

    def _gone_within(self, seconds: float) -> bool:
        """Whether nothing is left in time. When the command has ended, its orphans get their SIGTERM too."""
        deadline, orphans_told = time.monotonic() + seconds, self._status is not None
        while self._reap():
            if time.monotonic() > deadline or self._grace_seconds == 0.0:
                return False
            if self._status is not None and not orphans_told:
                send(self._alive(), signal.SIGTERM)
                orphans_told = True
            time.sleep(POLL_SECONDS)
        return True

    def _alive(self) -> list[int]:
        if ON_LINUX:
            return descendants()
        return [self._pid] if self._status is None else []


def guarded(start: Start, grace_seconds: float, scratch: Path | None) -> int:
    """The status of what is started, once nothing of it is left."""
    if ON_LINUX:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        return Guard(start, grace_seconds).run()
    finally:
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)


def below_a_pipe(work: Callable[[], int], fork: Callable[[Callable[[], int]], int]) -> int:
    """The pid of a child that does `work` with a pipe for its standard input, which ends when this process does."""
    read, written = os.pipe()

    def inside() -> int:
        os.dup2(read, FRONT)
        os.close(read)
        os.close(written)
        return work()

    pid = fork(inside)
    os.close(read)
    return pid


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="guard", description="Run a command that never outlives the caller.")
    parser.add_argument("--grace", type=float, default=8.0, help="seconds between SIGTERM and SIGKILL")
    parser.add_argument("--remove", type=Path, help="a directory to remove in the end")
    parser.add_argument("--cpus", type=lambda said: {int(one) for one in said.split(",")}, help="to run on, as 0,1")
    parser.add_argument("--isolate", action="store_true", help="in a network of its own, or not at all")
    parser.add_argument("command", nargs="+")
    wanted = parser.parse_args(argv)
    if wanted.cpus:
        os.sched_setaffinity(0, wanted.cpus)
    try:
        if wanted.isolate:
            leave_the_network()
    except OSError as error:
        print(f"no network namespace: {error.strerror}", file=sys.stderr)
        return NOT_ISOLATED
    fork = first_of_its_own if wanted.isolate and has_process_namespaces() else forked

    def inner() -> int:
        return guarded(lambda: launch(wanted.command), wanted.grace, wanted.remove)

    return guarded(lambda: below_a_pipe(inner, fork), wanted.grace + SPARE_SECONDS, wanted.remove)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
