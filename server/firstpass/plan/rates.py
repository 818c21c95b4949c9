"""How fast this machine reads, reckons and begins an operation, measured now; and the same of its GPU.

The best of a few tries counts: what others do meanwhile only slows it.
"""

import ctypes
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstpass import hardware

BUFFER_BYTES, ALL_BYTES = 2**28, 2**31
"""For each thread, but no more for all of them: more than any cache holds, and less than a machine can spare."""

READS, TRIES = 2, 6
MATRIX, GPU_MATRIX, SMALL = 1024, 8192, 256
"""Rows and columns of what is multiplied to see the arithmetic, and the time that a small operation takes."""

OPERATIONS = 500
GPU_BYTES = 2**30
FILE_BYTES, BLOCK_BYTES = 2**28, 2**22


@dataclass(frozen=True, slots=True)
class Rates:
    """bytes_per_s: that all cores together read from memory. flops: of matrices of float32, or of bfloat16 where the
    CPU reckons in it. operation_seconds: of one small product of matrices, which is mostly its call.

    gpu_bytes_per_s, gpu_flops: of the first GPU, in bfloat16; 0 where PyTorch has none. disk_bytes_per_s: that a file
    is read with past all caches; 0 where that was not measured.
    """

    bytes_per_s: float
    flops: float
    operation_seconds: float
    gpu_bytes_per_s: float = 0.0
    gpu_flops: float = 0.0
    disk_bytes_per_s: float = 0.0


def measured(machine: hardware.Machine, disk: Path | None = None) -> Rates:
    """Takes some seconds, with PyTorch's import. disk: a directory of that to be measured; it has 256 MiB in it for a
    moment.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(hardware.cores())
    try:
        flops = _flops(torch, "cpu", MATRIX, torch.bfloat16 if machine.bfloat16 else torch.float32)
        operation = _operation_seconds(torch)
    finally:
        torch.set_num_threads(before)
    read = disk_bytes_per_s(disk) if disk else 0.0
    if not torch.cuda.is_available():
        return Rates(bandwidth(), flops, operation, disk_bytes_per_s=read)
    gpu_flops = _flops(torch, "cuda", GPU_MATRIX, torch.bfloat16)
    return Rates(bandwidth(), flops, operation, _gpu_bytes_per_s(torch), gpu_flops, read)


def where_models_are() -> float:
    """Bytes a second of the memory that engines read: of the first GPU, where PyTorch has one, else the main one."""
    import torch

    return _gpu_bytes_per_s(torch) if torch.cuda.is_available() else bandwidth()


def bandwidth() -> float:
    """Bytes a second that as many threads read as this process has cores; the most of a few tries.

    Each looks through zeros for a one, outside of the interpreter's lock: as fast as memory can be read.
    """
    library = ctypes.CDLL(None)
    library.memchr.restype = ctypes.c_void_p
    library.memchr.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    cores = hardware.cores()
    size = min(BUFFER_BYTES, ALL_BYTES // cores)
    buffers = [bytearray(size) for _ in range(cores)]
    places = [ctypes.addressof((ctypes.c_char * size).from_buffer(one)) for one in buffers]

    def read(place: int) -> None:
        for _ in range(READS):
            library.memchr(place, 1, size)

    return max(cores * READS * size / _seconds_of_all(places, read) for _ in range(TRIES))


def _seconds_of_all(places: Sequence[int], read: Callable[[int], None]) -> float:
    threads = [threading.Thread(target=read, args=(place,)) for place in places]
    began = time.perf_counter()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return time.perf_counter() - began


def _flops(torch: Any, device: str, size: int, dtype: Any) -> float:
    left, right = (torch.ones(size, size, dtype=dtype, device=device) for _ in range(2))
    return 2 * float(size) ** 3 / _least_seconds(torch, device, lambda: left @ right)


def _operation_seconds(torch: Any) -> float:
    row, matrix = (torch.ones(rows, SMALL, dtype=torch.float32) for rows in (1, SMALL))
    torch.set_num_threads(1)  # Two wait for each other for 7 us or for 50, as it happens.

    def often() -> None:
        for _ in range(OPERATIONS):
            row @ matrix

    return _least_seconds(torch, "cpu", often) / OPERATIONS


def _gpu_bytes_per_s(torch: Any) -> float:
    """A copy reads all bytes, and writes as many."""
    source = torch.empty(GPU_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * GPU_BYTES / _least_seconds(torch, "cuda", lambda: target.copy_(source))


def _least_seconds(torch: Any, device: str, work: Callable[[], object]) -> float:
    def once() -> float:
        began = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    once()
    return min(once() for _ in range(TRIES))


def disk_bytes_per_s(directory: Path) -> float:
    """Of one file, in blocks, past the system's cache where its file system allows that and has room; else 0."""
    try:
        return _of_a_new_file(directory)
    except OSError:  # A full disk holds its models already.
        return 0.0


def _of_a_new_file(directory: Path) -> float:
    """Raises: OSError."""
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        block = os.urandom(BLOCK_BYTES)
        for _ in range(FILE_BYTES // BLOCK_BYTES):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        return _read_directly(file.name)


def _read_directly(name: str) -> float:
    import mmap

    try:
        handle = os.open(name, os.O_RDONLY | os.O_DIRECT)
    except (OSError, AttributeError):
        return 0.0
    try:
        buffer, began, read = mmap.mmap(-1, BLOCK_BYTES), time.perf_counter(), 0
        while got := os.readv(handle, [buffer]):
            read += got
        return read / (time.perf_counter() - began)
    finally:
        os.close(handle)
