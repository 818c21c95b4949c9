"""What a model says of labelled commits, with the 20 likeliest tokens at each place and three samples beside it.

    python collect.py commits.jsonl.zst --contract pr-summary --model firstpass-draft-10m --out traces.jsonl.zst

Asks a front of its own for plain chat completions, with the prompt that the contract would send: nothing is checked,
mended or held to a pattern. Goes on where an earlier run of the same command ended.
"""

import argparse
import asyncio
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import zstandard
from tqdm import tqdm

from firstpass.chat import Message
from firstpass.contract import shipped
from firstpass.exchange import Ask, Consult, Exchange
from firstpass.front import beside
from firstpass.settings import Settings

HELD_OUT = ("psf/requests", "fastify/fastify", "gin-gonic/gin", "BurntSushi/ripgrep", "axios/axios")
SAMPLES, TEMPERATURE = 3, 0.7
AT_ONCE = 6


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as stream:
        for text in io.TextIOWrapper(stream, encoding="utf-8"):
            yield json.loads(text)


def body_of(diff: str, contract: str) -> dict[str, Any]:
    made = shipped(contract)
    ask = Ask("trace", 0.0, "chat", "local", "local", (Message("user", diff),), contract=made.pinned)
    asked = made.prepare(Exchange(ask), Consult("draft", "draft"))
    messages = [{"role": message.role, "content": message.content} for message in asked.messages]
    return {"model": "local", "messages": messages, "max_tokens": asked.sampling.max_tokens}


async def trace(client: httpx.AsyncClient, commit: dict[str, Any], contract: str) -> dict[str, Any]:
    body = body_of(commit["diff"], contract)
    greedy = await said(client, body | {"temperature": 0.0, "logprobs": True, "top_logprobs": 20})
    if greedy is None:
        return {"repo": commit["repo"], "sha": commit["sha"], "text": None}
    drawn = await said(client, body | {"temperature": TEMPERATURE, "n": SAMPLES, "seed": 1})
    first = greedy["choices"][0]
    tokens = [
        [entry["token"], entry["logprob"], [[top["token"], round(top["logprob"], 4)] for top in entry["top_logprobs"]]]
        for entry in first["logprobs"]["content"]
    ]
    return {
        "repo": commit["repo"],
        "sha": commit["sha"],
        "text": first["message"]["content"],
        "ended": first["finish_reason"] == "stop",
        "tokens": tokens,
        "samples": [choice["message"]["content"] for choice in drawn["choices"]] if drawn else [],
    }


async def said(client: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any] | None:
    """None where the prompt is too long for the model."""
    response = await client.post("/v1/chat/completions", json=body, timeout=600)
    if response.status_code == 400:
        return None
    if not response.is_success:
        raise SystemExit(f"{response.status_code}: {response.text}")
    found: dict[str, Any] = response.json()
    return found


async def collect(url: str, commits: list[dict[str, Any]], contract: str, out: Path) -> None:
    left = commits[::-1]
    with out.open("ab") as raw, tqdm(total=len(commits)) as bar:
        async with httpx.AsyncClient(base_url=url) as client:

            async def work() -> None:
                while left:
                    line = json.dumps(await trace(client, left.pop(), contract), ensure_ascii=False)
                    raw.write(zstandard.compress(f"{line}\n".encode()))
                    bar.update()

            await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", type=Path)
    parser.add_argument("--contract", default="pr-summary")
    parser.add_argument("--model", default="firstpass-draft-10m")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    done = {(line["repo"], line["sha"]) for line in lines(options.out)} if options.out.exists() else set()
    every = [line for line in lines(options.commits) if line["repo"] in HELD_OUT]
    wanted = [line for line in every if (line["repo"], line["sha"]) not in done]
    with tempfile.TemporaryDirectory() as folder:
        server = {"host": "127.0.0.1", "port": 0, "data_dir": folder}
        settings = Settings.model_validate({"server": server, "engine": {"model": options.model}})
        with beside(settings) as url:
            asyncio.run(collect(url, wanted, options.contract, options.out))


if __name__ == "__main__":
    main()
