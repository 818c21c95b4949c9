"""What this machine has, as far as this process may use it. Reads Linux's own files; knows no model and no engine."""

import math
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
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

TOLD = BFLOAT16 | {
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "amx_tile",
    "amx_int8",
    "asimd",
    "asimddp",
    "i8mm",
    "sve",
}
"""Of all the instructions that a CPU has, those that matter to an engine."""

CPU_FILES = ("cpu.max",), ("cpu.cfs_quota_us",)
MEMORY_FILES = ("memory.max", "memory.high"), ("memory.limit_in_bytes",)
"""Of a group's limits, in the second version of cgroups and in the first. Above memory.high the second slows a group
down till it stands still."""


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
        return max(0, self.memory_bytes - self.reserve_bytes)

    @property
    def reserve_bytes(self) -> int:
        return max(LEAST_RESERVE_BYTES, int(self.memory_bytes * RESERVE_SHARE))


@dataclass(frozen=True, slots=True)
class Cpu:
    """name: as its maker calls it. cores: that this process may use at once, by its affinity and its cgroup's quota.
    features: its instructions that matter to an engine, as Linux names them.
    """

    name: str
    cores: int
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gpu:
    """bytes: of its memory. capability: of CUDA, as 9.0."""

    name: str
    bytes: int
    capability: float


def this(root: Path = Path("/")) -> Machine:
    """root: where /proc and /sys are. What is not said there is as on the simplest machine."""
    gpu = any((root / "dev").glob("nvidia[0-9]*")) or (root / "dev/kfd").exists()
    return Machine(min(_physical_bytes(root), *_cgroup_limits(root)), _reckons_in_bfloat16(root), gpu)


def spare_bytes(root: Path = Path("/")) -> int:
    """Of the memory that nobody uses now, all but the reserve. root: as above."""
    return max(0, min(_available_bytes(root), *_cgroup_spare(root)) - this(root).reserve_bytes)


def cpu(root: Path = Path("/")) -> Cpu:
    """root: as above."""
    said: dict[str, str] = {}
    for line in _text(root / "proc/cpuinfo").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            said.setdefault(name.strip().lower(), value.strip())
    features = TOLD.intersection(said.get("flags", said.get("features", "")).split())
    return Cpu(said.get("model name", "a CPU without a name"), cores(root), tuple(sorted(features)))


def cores(root: Path = Path("/")) -> int:
    """That this process may use at once. A container with a quota of 2 on a machine of 64 runs on all of them, and
    stands still for most of the time where 64 threads use the quota up. root: as above.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, *map(math.ceil, (allowed, *_cgroup_cores(root)))))


def gpus() -> tuple[Gpu, ...]:
    """Those that CUDA_VISIBLE_DEVICES leaves to this process, or all in the order of their numbers; none where NVIDIA's
    program does not say.
    """
    query = ("nvidia-smi", "--query-gpu=uuid,name,memory.total,compute_cap", "--format=csv,noheader,nounits")
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=SMI_SECONDS, check=True).stdout
        rows = [line.rsplit(",", 2) for line in said.splitlines() if line.strip()]
        each = [(*first.split(",", 1), size, version) for first, size, version in rows]
        found = {
            uuid.strip(): Gpu(name.strip(), int(float(size) * 2**20), float(version))
            for uuid, name, size, version in each
        }
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()
    return tuple(_visible(found, os.environ.get("CUDA_VISIBLE_DEVICES")))


def _visible(found: Mapping[str, Gpu], said: str | None) -> Iterator[Gpu]:
    """found: by their ids. Of those that are said CUDA shows the ones before the first that there is not; a part of one
    (MIG) is not looked up.

    Source: CUDA C++ Programming Guide, CUDA_VISIBLE_DEVICES.
    """
    if said is None or said.startswith("MIG-"):
        yield from found.values()
        return
    for one in map(str.strip, said.split(",")):
        ids = [list(found)[int(one)]] if one.isdecimal() and int(one) < len(found) else []
        ids = ids or [uuid for uuid in found if one.startswith("GPU-") and uuid.startswith(one)]
        if len(ids) != 1:
            return
        yield found[ids[0]]


def used_seconds(root: Path = Path("/")) -> float | None:
    """Of processor time, by all processes since the machine's start; None where it is not said. root: as above."""
    line = _text(root / "proc/stat").split("\n", 1)[0].split()[1:]
    if len(line) < 8 or not all(part.isdecimal() for part in line):
        return None
    numbers = [int(part) for part in line]
    return (sum(numbers[:8]) - sum(numbers[3:5])) / os.sysconf("SC_CLK_TCK")


class Others:
    """What other processes do since it was made."""

    def __init__(self) -> None:
        self._began, self._own, self._all = time.perf_counter(), time.process_time(), used_seconds()

    def cores(self) -> float | None:
        """That they used meanwhile, on the mean; None where that is not known."""
        seconds, own, every = time.perf_counter() - self._began, time.process_time() - self._own, used_seconds()
        if self._all is None or every is None or not seconds:
            return None
        return max(0.0, (every - self._all - own) / seconds)


def gpu_bytes() -> int:
    """Of the largest GPU, as far as vLLM takes it when it is told nothing; 0 where none is known."""
    return int(max((gpu.bytes for gpu in gpus()), default=0) * GPU_SHARE)


def _physical_bytes(root: Path) -> int:
    return _meminfo(root, "MemTotal:") or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _available_bytes(root: Path) -> int:
    return _meminfo(root, "MemAvailable:") or 0


def _meminfo(root: Path, name: str) -> int | None:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return None


def _cgroup_limits(root: Path) -> list[int]:
    """Of this process's group and of all above it: the least of them holds. One without a limit says none."""
    return [2**63, *(limit for _, limit in _limited_groups(root))]


def _cgroup_spare(root: Path) -> list[int]:
    return [2**63, *(limit - _used_bytes(group) for group, limit in _limited_groups(root))]


def _limited_groups(root: Path) -> Iterator[tuple[Path, int]]:
    """(Its directory, a limit of it in bytes)"""
    for group, said in _said_by_groups(root, "memory", MEMORY_FILES):
        if said.isdecimal():
            yield group, int(said)


def _cgroup_cores(root: Path) -> Iterator[float]:
    """Of the groups that have a quota: microseconds of processor time in so many, in one file or in two."""
    for group, said in _said_by_groups(root, "cpu", CPU_FILES):
        quota, _, period = (said if " " in said else f"{said} {_text(group / 'cpu.cfs_period_us').strip()}").partition(
            " "
        )
        if quota.isdecimal() and period.isdecimal() and int(period):
            yield int(quota) / int(period)


def _said_by_groups(
    root: Path, controller: str, files: tuple[Sequence[str], Sequence[str]]
) -> Iterator[tuple[Path, str]]:
    """(A directory, what a file in it says), of this process's group and of all above it. files: as above."""
    for line in _text(root / "proc/self/cgroup").split("\n"):  # The only character that no group's name has.
        if line.count(":") < 2:
            continue
        _, controllers, path = line.split(":", 2)
        tops, names = _cgroup_files(root / "sys/fs/cgroup", controllers.split(","), controller, files)
        group = Path(path.lstrip("/"))
        for top, one, name in product(tops, (group, *group.parents), names):
            yield top / one, _text(top / one / name).strip()


def _used_bytes(group: Path) -> int:
    """What a group takes, but for what it keeps of files, which gives way. One that does not say takes all."""
    used = _text(group / "memory.current") or _text(group / "memory.usage_in_bytes")
    if not used.strip().isdecimal():
        return 2**63
    kept = dict(line.split(" ", 1) for line in _text(group / "memory.stat").splitlines() if " " in line)
    total = "total_" if "total_active_file" in kept else ""  # The first version says its own and, so, all below it.
    return int(used) - sum(int(kept.get(f"{total}{one}_file", 0)) for one in ("active", "inactive"))


def _cgroup_files(
    mounts: Path, controllers: Sequence[str], wanted: str, files: tuple[Sequence[str], Sequence[str]]
) -> tuple[list[Path], Sequence[str]]:
    """(Where the groups are, names of the files of their limits) for a line of /proc/self/cgroup.

    The second version of cgroups has one tree, whose line names no controller. The first has a tree for each
    controller, or for some together: `hugetlb,memory`.
    """
    if controllers == [""]:
        return [mounts], files[0]
    if wanted not in controllers:
        return [], ()
    return [top for top in mounts.glob(f"*{wanted}*") if wanted in top.name.split(",")], files[1]


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
