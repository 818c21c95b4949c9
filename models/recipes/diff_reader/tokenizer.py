"""Command `tokenizer`: a byte-level BPE in which a name is the same tokens wherever it stands. Knows no model.

Copying a name is then a plain lookup: `.createSession(` in the diff and `- createSession()` in the answer share tokens.
So spaces never stick to letters, a line's marker goes with its line break, and names break at humps and underscores.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from diff_reader.data import read_rows
from diff_reader.rows import CONTRACT, FUNCTIONS, Row
from firstpass.contract.compact import compact
from firstpass.evidence import parse_diff
from firstpass.evidence.calls.candidates import openings

PAD, END, _, _, ASSISTANT = SPECIALS = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
PIECES = r"\r?\n[+\-]?|_*[A-Z]?[a-z]+|_*[A-Z]+(?![a-z])|_+|\d| ?[^\w\s]+ ?|[ \t]+|[^\W\d_A-Za-z]+"
WORDING = tuple(f"{line}\n" for line in (CONTRACT.files.prompt or "").split("\n") if line and "{" not in line)
"""The contract's fixed lines: one token each, which makes a short prompt 60% shorter."""

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- set content = message['content'] or '' -%}"
    "{%- if content is not string -%}{%- set content = content | map(attribute='text') | join('') -%}{%- endif -%}"
    "{%- if message['tool_calls'] -%}{%- set content = content + (message['tool_calls'] | tojson) -%}{%- endif -%}"
    "{%- set role = 'system' if message['role'] == 'developer' else message['role'] -%}"
    "{{- '<|' + role + '|>\\n' + content + '<|end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}"
)


def train_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(WORDING),
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=True,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(line, normalized=False, special=False) for line in WORDING])
    return tokenizer


def chat(row: Row) -> tuple[str, str, str, str]:
    """What the model is given, and what it must say: the sentence by rule, or the author's, and all that follows.

    As the chat template writes them. A line break is a piece of its own, so the parts' tokens are the whole's.
    A verdict has no sentence, and neither has a list of functions.
    """
    asked = "".join(f"<|{message.role}|>\n{message.content}{END}\n" for message in row.messages) + f"{ASSISTANT}\n"
    if row.draft:
        return asked, "", "", f"{row.verdict()}{END}\n"
    if row.contract == FUNCTIONS:
        return asked, "", "", f"{row.answer(authors_words=False)}{END}\n"
    rule, line_end, rest = row.answer(authors_words=False).partition("\n")
    author = row.answer(authors_words=True).partition("\n")[0]
    return asked, rule, author, f"{line_end}{rest}{END}\n"


def texts_of(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        parsed = parse_diff(row.diff)
        yield "\n".join((compact(row.diff, parsed), *openings(parsed).values()))
        yield row.answer(authors_words=True)


def write_config(folder: Path, context: int) -> None:
    """What transformers and vLLM read beside `tokenizer.json`."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "pad_token": PAD,
        "eos_token": END,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder of this run")
    parser.add_argument("--size", type=int, default=4096)


def run(options: argparse.Namespace) -> None:
    rows = read_rows(options.out / "commits.jsonl") + read_rows(options.out / "synthetic.jsonl")[:6000]
    tokenizer = train_tokenizer(texts_of(rows), options.size)
    tokenizer.save(str(options.out / "tokenizer.json"))
    sample = [compact(row.diff, parse_diff(row.diff)) for row in rows[:200]]
    characters = sum(map(len, sample))
    tokens = sum(len(tokenizer.encode(text).ids) for text in sample)
    print(f"{tokenizer.get_vocab_size()} tokens; {characters / tokens:.2f} characters of a diff a token")
