"""The cascade of the two bundled models on labelled commits: two engines, and a network's delay before the verifier.

    python measure.py commits.jsonl.zst --number 400 --delay-ms 150 --out run

The stronger bundled model stands in for a hosted one. It answers over loopback HTTP through a proxy that holds back
each request, and each reply, for half of the delay. Everything else is `firstpass eval`. With --without-repair code
mends nothing and no sentence is written again, so that what fails its checks goes to the verifier as it is.
"""

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from firstpass.contract.files import SHIPPED
from firstpass.front import beside
from firstpass.settings import Settings

HELD_OUT = ("psf/requests", "fastify/fastify", "gin-gonic/gin", "BurntSushi/ripgrep", "axios/axios")
STRONGER = "firstpass-verify-30m"
UNMENDED = "pr-summary-unmended"
CHUNK_BYTES = 65_536


@contextmanager
def delayed(url: str, seconds: float) -> Iterator[str]:
    """A loopback port that leads to the URL's, or to a `unix:` socket, with so much delay each way, in a thread."""
    target = urlsplit(url)
    loop = asyncio.new_event_loop()

    async def forward(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """What was read goes out so much later, however many pieces it came in."""
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def release() -> None:
            while True:
                due, data = await held.get()
                await asyncio.sleep(due - loop.time())
                if not data:
                    break
                sink.write(data)
                await sink.drain()
            sink.close()

        sending = asyncio.ensure_future(release())
        while data := await source.read(CHUNK_BYTES):
            held.put_nowait((loop.time() + seconds, data))
        held.put_nowait((loop.time() + seconds, b""))
        await sending

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if target.scheme == "unix":
            there, back = await asyncio.open_unix_connection(target.path)
        else:
            there, back = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(forward(reader, back), forward(there, writer), return_exceptions=True)

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def unmended(folder: Path) -> Path:
    """A folder of contracts with UNMENDED: pr-summary, but that code mends nothing."""
    version = max((SHIPPED / "pr-summary").iterdir(), key=lambda path: int(path.name))
    copy = shutil.copytree(version, folder / UNMENDED / "1") / "contract.toml"
    text = copy.read_text(encoding="utf-8")
    copy.write_text(text.replace("mend = true", "mend = false"), encoding="utf-8")
    return folder


def settings(folder: Path, **sections: dict[str, object]) -> Settings:
    server = {"host": "127.0.0.1", "port": 0, "data_dir": folder} | sections.pop("server", {})
    return Settings.model_validate({"server": server} | sections)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", type=Path)
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--delay-ms", type=float, default=150.0, help="a round trip's")
    parser.add_argument("--without-repair", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        beside(settings(Path(folder) / "stronger", engine={"model": STRONGER})) as stronger,
        delayed(stronger, options.delay_ms / 2000) as far,
    ):
        verifier = {"url": f"{far}/v1", "model": "local", "hosted": False}
        front: dict[str, dict[str, object]] = {"verifier": verifier}
        if options.without_repair:
            contracts = {"contracts_dir": unmended(Path(folder) / "contracts")}
            front |= {"engine": {"structured_outputs": False}, "server": contracts}
        with beside(settings(Path(folder) / "front", **front)) as url:
            command = [sys.executable, "-m", "firstpass", "eval", str(options.commits), "--url", url]
            command += ["--commits", str(options.number), "--out", str(options.out)]
            command += ["--contract", UNMENDED] if options.without_repair else []
            command += [word for name in HELD_OUT for word in ("--repo", name)]
            raise SystemExit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
