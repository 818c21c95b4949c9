"""What a contract costs beside its engine alone: the same diffs in one run, through Firstpass and past it.

    python -m benchmarks.suites.diffs.measure --requests 20 --rounds 10 --out run

A server with the bundled model; its engine is asked on its own socket, in the words in which Firstpass asks it. No
prompt is in the engine's cache: it has none.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from benchmarks.making.workload import MODEL, contracted, rendered
from benchmarks.suites.diffs.make import changes

from firstpass.bench.load import report
from firstpass.bench.load.doubts import warnings
from firstpass.bench.load.figures import Wanted
from firstpass.bench.load.figures import measured as figures
from firstpass.bench.load.request import Target
from firstpass.bench.load.run import Load, run
from firstpass.bench.load.workload import Line, read_workload, written
from firstpass.cli.eval import machine
from firstpass.front import wait_until_ready

READY_SECONDS = 300.0
WARM_UP = 3


class PastIt(Target):
    """The engine, asked for a diff in the words in which Firstpass asks it."""

    __slots__ = ()

    def body(self, fields: Mapping[str, Any]) -> bytes:
        return Target.body(self, rendered(fields["messages"][0]["content"]))


class Early(Target):
    """Firstpass, which shows the draft while it is written."""

    __slots__ = ()

    def body(self, fields: Mapping[str, Any]) -> bytes:
        return Target.body(self, {**fields, "firstpass": fields["firstpass"] | {"optimistic": True}})


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, Path]]:
    """(the URL of a server with the bundled model, the socket of its engine)"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "FIRSTPASS_SERVER__PORT": str(port),
        "FIRSTPASS_SERVER__DATA_DIR": str(folder),
        "FIRSTPASS_ENGINE__KIND": "vllm",
        "FIRSTPASS_ENGINE__EXTRA_ARGS": "--no-enable-prefix-caching",
    }
    with (folder / "front.log").open("wb") as log:
        front = psutil.Popen([sys.executable, "-m", "firstpass", "serve"], env=environment, stdout=log, stderr=log)
    try:
        wait_until_listening(front, port)
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, READY_SECONDS)
        words = [word for process in front.children(recursive=True) for word in process.cmdline()]
        yield url, Path(words[words.index("--uds") + 1])
    finally:
        front.send_signal(signal.SIGINT)
        front.wait()


def wait_until_listening(front: psutil.Popen, port: int) -> None:
    while front.poll() is None:
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit("the server did not start")


def measured(load: Load, seed: int) -> report.Report:
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as (url, engine):
        through = Target("firstpass", url, "firstpass")
        targets = [
            PastIt("engine", "http://engine", MODEL, uds=engine),
            through,
            Target("again", url, "firstpass"),
            Early("optimistic", url, "firstpass"),
        ]
        ran = asyncio.run(run(targets, load, seed, lambda: None))
    asked, found = Wanted(), figures(ran)
    facts = {"made_unix": time.time(), "version": version("firstpass"), "machine": machine()}
    return report.Report(facts, ran, asked, found, list(warnings(ran, found)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20, help="of each arm in each round")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    wanted = parser.parse_args()
    wanted.out.mkdir(parents=True, exist_ok=True)
    lines = (Line(contracted(change.diff)) for change in changes(wanted.requests * wanted.rounds, wanted.seed))
    workload = wanted.out / "diffs.jsonl"
    workload.write_text("".join(written(lines)), encoding="utf-8")
    load = Load(wanted.requests, wanted.rounds, 1, 1, warm_up=WARM_UP, workload=read_workload(workload))
    done = measured(load, wanted.seed)
    files = {"results.json": report.as_json, "requests.csv": report.as_csv, "report.md": report.as_markdown}
    for name, shown in files.items():
        (wanted.out / name).write_text(shown(done), encoding="utf-8")
    print(report.as_markdown(done))


if __name__ == "__main__":
    main()
