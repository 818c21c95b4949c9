"""A model directory as a GGUF file, by llama.cpp's own converter.

Usage: python benchmarks/suites/engines/to_gguf.py LLAMA_CPP DIRECTORY FILE.gguf [--type bf16|f32|q8_0] [--no-weights]

LLAMA_CPP is a checkout of llama.cpp; the sources of llama-cpp-python have one at vendor/llama.cpp. The converter asks a
list of hashes how a tokenizer splits a text before its merges, and stops at one that it does not know, for llama.cpp
has a fixed number of such rules and a file only names one of them. The bundled tokenizer's own rule is not among them:
the name of a near one is put in (--split). Tokens and merges are the same; a text is cut into other tokens at some
places. So prompts for a comparison of answers are token ids, and speeds count tokens of each engine's own usage.

--no-weights writes what stands before the weights, for `shapes.py --zeros`: the file has its full size and takes none.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

SPLIT = "qwen2"


def write_without_weights(model: Any) -> None:
    """In the place of the converter's own `write`."""
    model.prepare_tensors()
    model.prepare_metadata(vocab_only=False)
    writer = model.gguf_writer
    writer.write_header_to_file(path=model.fname_out)
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    (file,), (tensors,) = writer.fout, writer.tensors
    writer.write_padding(file, file.tell())
    file.truncate(file.tell() + sum(writer.ggml_pad(one.nbytes, writer.data_alignment) for one in tensors.values()))
    file.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("llama_cpp", type=Path)
    parser.add_argument("directory", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--type", default="bf16")
    parser.add_argument("--split", default=SPLIT)
    parser.add_argument("--no-weights", action="store_true")
    asked = parser.parse_args()
    sys.path.insert(0, str(asked.llama_cpp))
    import convert_hf_to_gguf
    from conversion.base import ModelBase, TextModel

    TextModel.get_vocab_base_pre = lambda *_: asked.split
    TextModel._set_vocab_glm = TextModel._set_vocab_gpt2  # GLM's own looks for tokens that the bundled one lacks.
    if asked.no_weights:
        ModelBase.write = write_without_weights
    sys.argv = ["convert_hf_to_gguf.py", str(asked.directory), "--outfile", str(asked.file), "--outtype", asked.type]
    convert_hf_to_gguf.main()


if __name__ == "__main__":
    main()
