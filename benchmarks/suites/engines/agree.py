"""Whether llama.cpp answers as transformers does: greedy answers to the same token ids, and where they part.

Usage: python benchmarks/suites/engines/agree.py DIRECTORY FILE.gguf LLAMA_SERVER [--tokens N] [--texts FILE ...]

Token ids, because llama.cpp splits a text by a rule of its own (`to_gguf.py`); how many texts it splits alike is said
too. Where two answers part, the margin of transformers' choice over llama.cpp's tells rounding (near zero) from fault.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import torch
import transformers

from firstpass import engine
from firstpass.engine import EngineSpec

ROOT = Path(__file__).parents[3]
TEXTS = (ROOT / "scripts" / "sample.diff", Path(__file__), ROOT / "README.md", ROOT / "LICENSE")
PROMPT_TOKENS = 256
CONTEXT_TOKENS = 1024


async def answers(spec: EngineSpec, texts: Sequence[str], prompts: Sequence[Sequence[int]], tokens: int) -> Any:
    """(llama.cpp's own token ids of each text, its greedy answer to each prompt)"""
    running = engine.build(spec)
    try:
        endpoint = await running.ensure_ready()
        transport = httpx.AsyncHTTPTransport(uds=str(endpoint.uds))
        async with httpx.AsyncClient(transport=transport, base_url="http://engine", timeout=600) as client:

            async def asked(path: str, **fields: Any) -> list[int]:
                return list((await client.post(path, json=fields)).raise_for_status().json()["tokens"])

            split = [await asked("/tokenize", content=text) for text in texts]
            greedy = {"n_predict": tokens, "temperature": 0, "return_tokens": True, "cache_prompt": False}
            return split, [await asked("/completion", prompt=list(prompt), **greedy) for prompt in prompts]
    finally:
        await running.close()


def parting(model: Any, prompt: Sequence[int], answer: Sequence[int]) -> tuple[int, float]:
    """(tokens until transformers would have said another one, by how many nats it would rather have said that)"""
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1].float()
    for at, token in enumerate(answer):
        margin = float(logits[at].max() - logits[at, token])
        if margin > 0:
            return at, margin
    return len(answer), 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("server", type=Path)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--texts", type=Path, nargs="+", default=TEXTS)
    asked = parser.parse_args()
    tokenizer = transformers.AutoTokenizer.from_pretrained(asked.directory)
    texts = [file.read_text(encoding="utf-8") for file in asked.texts]
    ids = [list(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    prompts = [one[:PROMPT_TOKENS] for one in ids]
    with tempfile.TemporaryDirectory() as folder:
        spec = EngineSpec(
            "agree",
            "llama.cpp",
            Path(folder),
            asked.directory.absolute(),
            context_tokens=CONTEXT_TOKENS,
            gguf=asked.file.absolute(),
            binary=asked.server.absolute(),
        )
        split, found = asyncio.run(answers(spec, texts, prompts, asked.tokens))
    model = transformers.AutoModelForCausalLM.from_pretrained(asked.directory, dtype=torch.float32)
    for file, ours, theirs, prompt, answer in zip(asked.texts, ids, split, prompts, found, strict=True):
        same, margin = parting(model, prompt, answer)
        where = "all alike" if same == len(answer) else f"{same} alike, then {margin:.3f} nats apart"
        alike = "split alike" if ours == theirs else f"{len(ours)} tokens, {len(theirs)} as llama.cpp splits it"
        print(f"{file.name}: {len(answer)} tokens said, {where}; {alike}")


if __name__ == "__main__":
    main()
