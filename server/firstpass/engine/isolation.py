"""Whether an engine gets a network of its own, and who can reach it where it has none. The guard makes the network.

What is known of an engine's processes from outside is read here too: their ports, their work.
"""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from firstpass.engine import guard
from firstpass.engine.spec import EngineSpec
from firstpass.errors import TierFailed

log = logging.getLogger(__name__)

ON_OTHER_MACHINES = (
    *("--data-parallel-address", "--data-parallel-hybrid-lb", "--data-parallel-external-lb", "--headless"),
    *("--data-parallel-multi-port-external-lb", "--master-addr", "--nnodes", "--node-rank", "--otlp-traces-endpoint"),
    *("-dpa", "-dph", "-dpe", "-dpm", "-n", "-r"),
)
"""vLLM's arguments for an engine with parts elsewhere, which has to reach them."""

LISTENING = "0A"
"""A socket's state in /proc/net/tcp, proc_net_tcp(5)."""


async def isolated(spec: EngineSpec) -> bool:
    """Whether the engine's next start shall have a network of its own; says so where it should and can't.

    Raises: TierFailed where the settings insist on one.
    """
    if spec.isolate == "off":
        return False
    reason = reaches_out(spec.extra_args) if spec.isolate == "auto" else None
    reason = reason or await why_not()
    if reason and spec.isolate == "on":
        raise TierFailed(f"engine.isolate is on, and that can't be: {reason}", part="draft")
    if reason:
        log.warning("engine %s shares this machine's network: %s", spec.name, reason)
    return reason is None


def reaches_out(extra_args: tuple[str, ...]) -> str | None:
    """The argument for which an engine needs the network, as a reason."""
    names = [argument.partition("=")[0].replace("_", "-") for argument in extra_args]
    needed = next((name for name in names if name in ON_OTHER_MACHINES), None)
    needed = needed or next((argument for argument in extra_args if argument.rpartition("=")[2] == "ray"), None)
    return f"{needed} is among engine.extra_args" if needed else None


async def why_not() -> str | None:
    """Why this system gives no process of ours a network of its own; None where it does. Takes some 50 ms."""
    if not guard.ON_LINUX:
        return "only Linux has network namespaces"
    command = (sys.executable, "-I", "-S", guard.__file__, "--isolate", "--", "true")
    pipe = asyncio.subprocess.PIPE
    tried = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    said = await tried.stderr.read() if tried.stderr else b""
    status = await tried.wait()
    if tried.stdin:
        tried.stdin.close()
    return (said.decode(errors="replace").strip() or f"status {status}") if status else None


def open_ports(group: int) -> list[int]:
    """The TCP ports, in this process's network, that the processes of a session listen on. Linux; none elsewhere."""
    held = {inode for pid in _session(group) for inode in _sockets(pid)}
    return sorted(port for inode, port in _listening() if inode in held)


def worked_seconds(group: int) -> float | None:
    """Processor time of a session's processes so far, with that of children that have ended, as compilers do.

    Linux; None elsewhere, and where there is no process. Source: proc_pid_stat(5), utime, stime, cutime, cstime.
    """
    ticks, found = 0, False
    for pid in _session(group):
        with contextlib.suppress(OSError):
            after_name = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            ticks, found = ticks + sum(map(int, after_name[11:15])), True
    return ticks / os.sysconf("SC_CLK_TCK") if found else None


def memory_bytes(group: int) -> int | None:
    """Of a session's processes: what several of them share counts once (PSS), as far as that may be read, else RSS.

    Linux; None elsewhere, and where there is no process. Source: proc_pid_smaps(5), smaps_rollup.
    """
    total, found = 0, False
    for pid in _session(group):
        with contextlib.suppress(OSError, ValueError, IndexError):
            total, found = total + _memory_bytes(Path(f"/proc/{pid}")), True
    return total if found else None


def _memory_bytes(process: Path) -> int:
    """Raises: OSError where it is gone."""
    try:
        for line in (process / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except PermissionError:
        pass
    return int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _session(number: int) -> Iterator[int]:
    for directory in Path("/proc").glob("[0-9]*") if guard.ON_LINUX else ():
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid := int(directory.name)) == number:
                yield pid


def _sockets(pid: int) -> Iterator[str]:
    """The inodes of a process's sockets."""
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            kind, _, inode = str(descriptor.readlink()).partition(":[")
            if kind == "socket":
                yield inode.rstrip("]")


def _listening() -> Iterator[tuple[str, int]]:
    """(inode, port) of each. Source: proc_net_tcp(5)."""
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            columns = line.split()
            if columns[3] == LISTENING:
                yield columns[9], int(columns[1].rpartition(":")[2], 16)
