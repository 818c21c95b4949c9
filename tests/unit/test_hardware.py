"""What a machine has, by files as Linux writes them."""

import os
from pathlib import Path

import pytest

from firstpass import hardware
from firstpass.hardware import Machine

GIB = 2**30


def machine(root: Path, **files: str) -> Path:
    """Written under root; a name's __ is a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMORY = f"MemTotal:       {16 * 2**20} kB\nMemFree: 5 kB\n"


def test_memory_is_what_the_machine_has_where_no_group_limits_it(tmp_path: Path) -> None:
    root = machine(tmp_path, proc__meminfo=MEMORY, proc__self__cgroup="0::/a/b\n")
    assert hardware.this(root).memory_bytes == 16 * GIB


def test_the_least_limit_of_all_groups_above_holds(tmp_path: Path) -> None:
    root = machine(tmp_path, proc__meminfo=MEMORY, proc__self__cgroup="0::/a/b\n")
    for group, limit in (("", "max"), ("a/", str(3 * GIB)), ("a/b/", str(8 * GIB))):
        path = root / "sys/fs/cgroup" / group / "memory.max"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{limit}\n")
    assert hardware.this(root).memory_bytes == 3 * GIB


def test_where_a_group_is_slowed_down_its_memory_ends(tmp_path: Path) -> None:
    root = machine(tmp_path, proc__meminfo=MEMORY, proc__self__cgroup="0::/a\n")
    group = root / "sys/fs/cgroup/a"
    group.mkdir(parents=True)
    (group / "memory.max").write_text(f"{8 * GIB}\n")
    (group / "memory.high").write_text(f"{5 * GIB}\n")
    assert hardware.this(root).memory_bytes == 5 * GIB


@pytest.mark.parametrize(
    ("said", "mounted"),
    [
        ("memory", "memory"),
        ("memory,hugetlb", "memory,hugetlb"),
        ("memory,hugetlb", "hugetlb,memory"),
        ("hugetlb,memory", "memory"),
    ],
)
def test_the_first_version_s_groups_are_read_too(tmp_path: Path, said: str, mounted: str) -> None:
    cgroup = f"5:cpu,cpuacct:/c\n4:{said}:/m\n1:name=systemd:/s\n"
    root = machine(tmp_path, proc__meminfo=MEMORY, proc__self__cgroup=cgroup)
    (root / f"sys/fs/cgroup/{mounted}/m").mkdir(parents=True)
    (root / f"sys/fs/cgroup/{mounted}/m/memory.limit_in_bytes").write_text(f"{2 * GIB}\n")
    assert hardware.this(root).memory_bytes == 2 * GIB


def test_a_group_whose_name_is_no_text_is_read_and_lines_that_are_none_are_passed_over(tmp_path: Path) -> None:
    root = machine(tmp_path, proc__meminfo=MEMORY)
    name = b"caf\xe9:\xc2\x85x"
    (root / "proc/self").mkdir()
    (root / "proc/self/cgroup").write_bytes(b"\nodd\n4:memory\n0::/" + name + b"\n")
    group = root / "sys/fs/cgroup" / os.fsdecode(name)
    group.mkdir(parents=True)
    (group / "memory.max").write_text(f"{GIB}\n")
    assert hardware.this(root).memory_bytes == GIB


@pytest.mark.parametrize(
    ("cpu", "has"),
    [
        ("flags\t\t: fpu avx2 avx512f", False),
        ("flags\t\t: fpu avx512f avx512_bf16", True),
        ("flags\t\t: fpu amx_bf16 amx_tile", True),
        ("Features\t: fp asimd bf16 i8mm", True),
        ("Features\t: fp asimd", False),
        ("", False),
    ],
)
def test_a_cpu_reckons_in_bfloat16_where_it_has_instructions_for_it(tmp_path: Path, cpu: str, has: bool) -> None:
    root = machine(tmp_path, proc__cpuinfo=f"processor\t: 0\n{cpu}\n\nprocessor\t: 1\n{cpu}\n")
    assert hardware.this(root).bfloat16 is has


def test_a_gpu_is_seen_by_its_device(tmp_path: Path) -> None:
    assert not hardware.this(machine(tmp_path, dev__nvidiactl="")).gpu
    assert hardware.this(machine(tmp_path, dev__nvidia0="")).gpu


def test_the_reserve_is_a_tenth_and_a_gibibyte_at_least() -> None:
    assert Machine(100 * GIB, bfloat16=True).usable_bytes == 90 * GIB
    assert Machine(4 * GIB, bfloat16=True).usable_bytes == 3 * GIB
    assert Machine(GIB // 2, bfloat16=True).usable_bytes == 0


@pytest.mark.parametrize(
    ("script", "gibibytes"),
    [
        ("echo 'GPU-1, NVIDIA A10, 24576, 8.6'; echo 'GPU-2, NVIDIA H100, 80 GB, 81920, 9.0'", 80),
        ("echo none", 0),
        ("echo 'GPU-1, NVIDIA A10, [N/A], 8.6'", 0),
        ("exit 9", 0),
    ],
)
def test_the_largest_gpu_is_what_nvidia_s_program_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, gibibytes: int
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert hardware.gpu_bytes() == int(gibibytes * GIB * hardware.GPU_SHARE)


@pytest.mark.parametrize(
    ("visible", "gibibytes"),
    [
        (None, [8, 16]),
        ("1", [16]),
        ("1,0", [16, 8]),
        ("GPU-b", [16]),
        ("", []),
        ("-1", []),
        ("0,7,1", [8]),
        ("GPU", []),
    ],
)
def test_gpus_are_those_that_cuda_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, gibibytes: list[int]
) -> None:
    """NVIDIA's program tells of all: of eight, seven of them others', a model was divided between eight."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU-a1, A, 8192, 8.6'; echo 'GPU-b2, B, 16384, 8.6'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.bytes // GIB for gpu in hardware.gpus()] == gibibytes


AVAILABLE = f"{MEMORY}MemAvailable: {10 * 2**20} kB\n"


def test_what_is_spare_is_what_nobody_uses_less_the_reserve(tmp_path: Path) -> None:
    root = machine(tmp_path, proc__meminfo=AVAILABLE, proc__self__cgroup="0::/\n")
    assert hardware.spare_bytes(root) == 10 * GIB - int(1.6 * GIB)
    assert hardware.spare_bytes(machine(tmp_path / "b", proc__meminfo=MEMORY)) == 0


@pytest.mark.parametrize(
    ("said", "group", "limit", "used", "stat"),
    [
        ("0::/a", "a", "memory.max", "memory.current", "anon 5\nactive_file 1073741824\ninactive_file 1073741824\n"),
        (
            "4:memory:/a",
            "memory/a",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "active_file 7\ninactive_file 7\ntotal_active_file 1073741824\ntotal_inactive_file 1073741824\n",
        ),
    ],
)
def test_what_a_group_caches_of_files_is_spare(
    tmp_path: Path, said: str, group: str, limit: str, used: str, stat: str
) -> None:
    root = machine(tmp_path, proc__meminfo=AVAILABLE, proc__self__cgroup=f"{said}\n")
    directory = root / "sys/fs/cgroup" / group
    directory.mkdir(parents=True)
    (directory / limit).write_text(f"{8 * GIB}\n")
    assert hardware.spare_bytes(root) == 0, "one that does not say what it uses has nothing to spare"
    (directory / used).write_text(f"{6 * GIB}\n")
    assert hardware.spare_bytes(root) == 1 * GIB
    (directory / "memory.stat").write_text(stat)
    assert hardware.spare_bytes(root) == 3 * GIB


def cpu_quota(root: Path, group: str, **files: str) -> Path:
    path = root / "sys/fs/cgroup" / group
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(f"{text}\n")
    return root


@pytest.mark.parametrize(("quota", "cores"), [("250000 100000", 3), ("50000 100000", 1), ("max 100000", 8)])
def test_cores_are_those_that_a_quota_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cores: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    root = machine(tmp_path, proc__self__cgroup="0::/a/b\n")
    assert hardware.cores(cpu_quota(root, "a", cpu__max=quota)) == cores


def test_a_quota_of_the_first_version_is_in_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    root = machine(tmp_path, proc__self__cgroup="5:cpuset:/c\n4:cpu,cpuacct:/c\n")
    cpu_quota(root, "cpu,cpuacct/c", cpu__cfs_quota_us="400000", cpu__cfs_period_us="200000")
    cpu_quota(root, "cpu,cpuacct", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    assert hardware.cores(root) == 2


def test_a_cpu_says_its_name_and_what_matters_of_its_instructions(tmp_path: Path) -> None:
    told = "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx2 avx512_bf16 lm\n\nprocessor\t: 1\nflags\t: x\n"
    found = hardware.cpu(machine(tmp_path, proc__cpuinfo=told))
    assert (found.name, found.features) == ("Some CPU", ("avx2", "avx512_bf16"))
    arm = hardware.cpu(machine(tmp_path / "arm", proc__cpuinfo="processor\t: 0\nFeatures\t: fp asimd bf16 i8mm\n"))
    assert arm.features == ("asimd", "bf16", "i8mm") and "without a name" in arm.name
