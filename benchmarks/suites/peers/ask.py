"""What moe-fit, llama.cpp's --fit and `firstpass plan` say of models on this machine: whether they fit, and how fast.

Usage: python benchmarks/suites/peers/ask.py FILE.gguf ... --moefit PROGRAM --llama LLAMA_CPP_BIN --disk DIRECTORY
           [--measure] [--out FILE]

The files may have no weights (`engines/to_gguf.py --no-weights`): all three read only what stands before them. moe-fit
measures how fast files are read in DIRECTORY, where it leaves one of 2 GiB; plan keeps there what it has measured of
the machine. llama.cpp looks at the memory that is free at the moment, the others at all that there is.

--measure has llama-bench decode where the memory holds the model. In a file without weights every router is in doubt
and takes the first experts, always the same ones: as many bytes a token as any others, so that one answer at a time is
as fast; of a prompt or of several answers it says nothing.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from firstpass import hardware

HEAD = [
    *("model", "GB", "moe-fit: fits", "moe-fit: tokens/s", "read a token, GB", "from the disk, GB"),
    *("--fit: fits", "--fit: GB", "its buffers, GB", "--fit alone: context"),
    *("plan: place", "plan: GB", "plan: tokens/s", "measured tokens/s"),
]
BENCH_TOKENS = 32
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


def plan(file: Path, disk: Path, context: int) -> Mapping[str, Any]:
    """The way that `firstpass plan` chooses."""
    argv = [sys.executable, "-m", "firstpass", "plan", str(file), "--context-tokens", str(context), "--json"]
    kept = os.environ | {"FIRSTPASS_SERVER__DATA_DIR": str(disk)}
    said = subprocess.run(argv, env=kept, check=True, capture_output=True, text=True)
    (ways,) = json.loads(said.stdout)["models"].values()
    return next((one for one in ways if one["chosen"]), ways[0])


def measured(program: Path, file: Path) -> float:
    """Tokens a second of one answer, by llama-bench: the mean of three."""
    argv = [str(program), "-m", str(file), "-p", "0", "-n", str(BENCH_TOKENS), "-r", "3", "-o", "json"]
    argv += ["-t", str(len(os.sched_getaffinity(0)))]
    said = subprocess.run(argv, check=True, capture_output=True, text=True)
    return float(json.loads(said.stdout)[0]["avg_ts"])


def row(asked: argparse.Namespace, file: Path) -> list[str]:
    placement = moefit(asked.moefit, file, asked.disk, asked.context)["placement"]
    context, fits = ("-c", str(asked.context)), asked.llama / "llama-fit-params"
    counted, taken = memory(fits, file, *context)
    free = fit(fits, file)
    way = plan(file, asked.disk, asked.context)
    said = way["predicted"]
    runs = asked.measure and taken < hardware.this().usable_bytes
    return [
        file.stem,
        f"{file.stat().st_size / 1e9:.1f}",
        "yes" if placement["fits"] else f"no: {placement['reason']}",
        speed(placement),
        f"{placement['read_per_token_gb']:.2f}",
        f"{placement['streamed_per_token_gb']:.2f}",
        "yes" if fit(fits, file, *context) else "no",
        f"{counted / 1e9:.1f}",
        f"{taken / 1e9:.1f}",
        free.split()[1] if free else "none",
        way["place"] if way["fits"] else f"no: {way['why_not']}",
        f"{(way['main_bytes'] + way['gpu_bytes']) / 1e9:.1f}",
        f"{said['tokens_per_s']:.2f}" if said else "",
        f"{measured(asked.llama / 'llama-bench', file):.2f}" if runs else "",
    ]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--moefit", type=Path, required=True)
    parser.add_argument("--llama", type=Path, required=True)
    parser.add_argument("--disk", type=Path, required=True)
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows = [HEAD, *(row(asked, file) for file in asked.files)]
    print(markdown(rows))
    if asked.out:
        asked.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
