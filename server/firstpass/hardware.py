"""What this machine has, as far as this process may use it. Reads Linux's own files; knows no model and no engine."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

RESERVE_SHARE, LEAST_RESERVE_BYTES = 0.1, 2**30
"""Of the memory, what is left to everything else on the machine."""

GPU_SHARE = 0.92
"""Its --gpu-memory-utilization, where nothing else is said."""

SMI_SECONDS = 10.0

BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"})
"""Names of instructions for it, as Linux lists them on x86 and on ARM."""


@dataclass(frozen=True, slots=True)
class Machine:
    """memory_bytes: physical, or what its cgroup allows where that is less. bfloat16: whether the CPU reckons in it.
    gpu: whether there is one that PyTorch may use.
    """

    memory_bytes: int
    bfloat16: bool
    gpu: bool = False

    @property
    def usable_bytes(self) -> int:
        """For models: all but the reserve."""
        return max(0, self.memory_bytes - max(LEAST_RESERVE_BYTES, int(self.memory_bytes * RESERVE_SHARE)))


def this(root: Path = Path("/")) -> Machine:
    """root: where /proc and /sys are. What is not said there is as on the simplest machine."""
    gpu = any((root / "dev").glob("nvidia[0-9]*")) or (root / "dev/kfd").exists()
    return Machine(min(_physical_bytes(root), *_cgroup_limits(root)), _reckons_in_bfloat16(root), gpu)


def gpu_bytes() -> int:
    """Of the largest GPU, as far as vLLM takes it when it is told nothing; 0 where NVIDIA's program does not say."""
    query = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=SMI_SECONDS, check=True).stdout
        return int(max(map(float, said.split())) * 2**20 * GPU_SHARE)
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


def _physical_bytes(root: Path) -> int:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _cgroup_limits(root: Path) -> list[int]:
    """Of this process's group and of all above it: the least of them holds. One without a limit says none."""
    limits = [2**63]
    for line in _text(root / "proc/self/cgroup").split("\n"):  # The only character that no group's name has.
        if line.count(":") < 2:
            continue
        _, controllers, path = line.split(":", 2)
        tops, names = _cgroup_files(root / "sys/fs/cgroup", controllers.split(","))
        group = Path(path.lstrip("/"))
        for top, one, name in product(tops, (group, *group.parents), names):
            said = _text(top / one / name).strip()
            limits += [int(said)] if said.isdecimal() else []
    return limits


def _cgroup_files(mounts: Path, controllers: Sequence[str]) -> tuple[list[Path], Sequence[str]]:
    """(Where the groups of memory are, names of the files of their limits) for a line of /proc/self/cgroup.

    The second version of cgroups has one tree, whose line names no controller; above memory.high it slows a group down
    till it stands still. The first has a tree for each controller, or for some together: `hugetlb,memory`.
    """
    if controllers == [""]:
        return [mounts], ("memory.max", "memory.high")
    if "memory" not in controllers:
        return [], ()
    return [top for top in mounts.glob("*memory*") if "memory" in top.name.split(",")], ("memory.limit_in_bytes",)


def _reckons_in_bfloat16(root: Path) -> bool:
    for line in _text(root / "proc/cpuinfo").splitlines():
        if line.lower().startswith(("flags", "features")):
            return not BFLOAT16.isdisjoint(line.split())
    return False


def _text(path: Path) -> str:
    """As names of files are read: a group's need not be UTF-8."""
    try:
        return os.fsdecode(path.read_bytes())
    except (OSError, ValueError):
        return ""
