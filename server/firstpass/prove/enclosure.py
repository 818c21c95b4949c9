"""How a process shuts itself in: a network without a way out, and none of the machine's services to ask. Linux only."""

import signal
from pathlib import Path

from firstpass.engine.guard import PR_SET_PDEATHSIG, c_call, leave_the_network, prctl

CLONE_NEWNS = 0x00020000
"""<linux/sched.h>"""

MS_REC = 0x4000
MS_PRIVATE = 1 << 18
"""<linux/mount.h>"""

SERVICES = ("/run", "/var/run")
"""Where the sockets of name services, buses and container engines are: each of them could reach the network for us."""


def enter() -> list[str]:
    """To be called before any thread is started; there is no way back. It ends with the process that started it.

    Returns: the directories of services that stay within reach; none, as a rule.
    Raises: OSError where the system allows this neither to root nor in a user namespace.
    """
    leave_the_network()
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        c_call("unshare", CLONE_NEWNS)
        c_call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    except OSError:
        return list(SERVICES)
    return [directory for directory in SERVICES if not _covered(directory)]


def _covered(directory: str) -> bool:
    """Lays an empty directory over it, for this process and what it starts."""
    if not Path(directory).is_dir() or not any(Path(directory).iterdir()):
        return True
    try:
        c_call("mount", b"tmpfs", directory.encode(), b"tmpfs", 0, None)
    except OSError:
        return False
    return True
