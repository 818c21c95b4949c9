"""What moe-fit and llama.cpp's --fit say of models on this machine: whether they fit, and how fast they will be.

Usage: python benchmarks/suites/peers/ask.py FILE.gguf ... --moefit PROGRAM --fit LLAMA_FIT_PARAMS --disk DIRECTORY

The files may have no weights (`engines/to_gguf.py --no-weights`): both read only what stands before them. moe-fit
measures how fast files are read in DIRECTORY, where it leaves one of 2 GiB. llama.cpp looks at the memory that is free
at the moment, moe-fit at all that there is.
"""

import argparse
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HEAD = [
    *("model", "GB", "moe-fit: fits", "moe-fit: tokens/s", "read a token, GB", "from the disk, GB"),
    *("--fit: fits", "--fit: GB", "its buffers, GB", "--fit alone: context"),
]
MIB = 2**20
VERBOSE = "5"
BREAKDOWN = re.compile(r"breakdown_print: \|\s+- [^|]+\|\s*(\d+) =")


def moefit(program: Path, file: Path, disk: Path, context: int) -> Mapping[str, Any]:
    """Its placement. It ends with 2 where a model does not fit, and says why."""
    argv = [
        str(program),
        "plan",
        str(file),
        "--context",
        str(context),
        "--kv-bits",
        "16",
        "--disk",
        str(disk),
        "--json",
    ]
    said = subprocess.run(argv, capture_output=True, text=True)
    assert said.returncode in (0, 2) and said.stdout, said.stderr
    return dict(json.loads(said.stdout))


def fit(program: Path, file: Path, *more: str) -> str | None:
    """What it prints; None where it finds nothing that fits."""
    said = subprocess.run([str(program), "-m", str(file), *more], capture_output=True, text=True)
    return said.stdout.strip() if said.returncode == 0 else None


def memory(program: Path, file: Path, *more: str) -> tuple[int, int]:
    """(the bytes that it counts, those of every kind of memory that its log names)

    Lines have a device and its MiB for the model, the context and what is computed; the log has them with a sum.
    """
    argv = [str(program), "-m", str(file), *more, "--fit-print", "on", "--log-verbosity", VERBOSE]
    said = subprocess.run(argv, check=True, capture_output=True, text=True)
    counted = sum(int(number) for line in said.stdout.splitlines() for number in line.split()[-3:])
    return counted * MIB, sum(int(one) for one in BREAKDOWN.findall(said.stderr)) * MIB


def speed(placement: Mapping[str, Any]) -> str:
    found = placement["tokens_per_second_estimate"]
    if found is None:
        return ""
    low, high = (float(one) for one in found)
    if low == float("inf"):
        return "not said"
    return f"{low:.2f} or more" if high == float("inf") else f"{low:.2f} to {high:.2f}"


def row(asked: argparse.Namespace, file: Path) -> list[str]:
    placement = moefit(asked.moefit, file, asked.disk, asked.context)["placement"]
    context = ("-c", str(asked.context))
    counted, taken = memory(asked.fit, file, *context)
    free = fit(asked.fit, file)
    return [
        file.stem,
        f"{file.stat().st_size / 1e9:.1f}",
        "yes" if placement["fits"] else f"no: {placement['reason']}",
        speed(placement),
        f"{placement['read_per_token_gb']:.2f}",
        f"{placement['streamed_per_token_gb']:.2f}",
        "yes" if fit(asked.fit, file, *context) else "no",
        f"{counted / 1e9:.1f}",
        f"{taken / 1e9:.1f}",
        free.split()[1] if free else "none",
    ]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--moefit", type=Path, required=True)
    parser.add_argument("--fit", type=Path, required=True)
    parser.add_argument("--disk", type=Path, required=True)
    parser.add_argument("--context", type=int, default=4096)
    asked = parser.parse_args()
    print(markdown([HEAD, *(row(asked, file) for file in asked.files)]))


if __name__ == "__main__":
    main()
