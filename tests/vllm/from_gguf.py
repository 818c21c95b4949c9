"""A GGUF file as a directory that vLLM serves: config.json, safetensors, and the tokenizer with its chat template.

Usage: python tests/vllm/from_gguf.py FILE.gguf DIRECTORY
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig


def convert(file: Path, directory: Path) -> None:
    """Needs the package gguf, by which transformers reads the file. Quantised weights become bfloat16."""
    dense = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.bfloat16, quantization_config=dense
    )
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    assert tokenizer.chat_template, f"{file} has no chat template"
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
