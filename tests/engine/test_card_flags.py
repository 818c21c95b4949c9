"""The cards' flags before vLLM's own argument parser. Starts no engine."""

import json
import subprocess
import sys

import pytest

from firstpass import catalogue

pytestmark = pytest.mark.vllm

PARSE = """
import json, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.model_executor.models.registry import ModelRegistry
from vllm.reasoning import ReasoningParserManager
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser, known = make_arg_parser(FlexibleArgumentParser()), ModelRegistry.get_supported_archs()
for name, architecture, flags in json.load(sys.stdin):
    arguments = parser.parse_args(["--model", "m", *flags])
    validate_parsed_serve_args(arguments)
    assert architecture in known, (name, architecture)
    if arguments.reasoning_parser:
        ReasoningParserManager.get_reasoning_parser(arguments.reasoning_parser)
print("all parsed")
"""


def test_vllm_knows_every_architecture_and_flag_of_the_cards() -> None:
    cards = [(card.name, card.architecture, card.vllm_flags) for card in catalogue.cards()]
    command = [sys.executable, "-c", PARSE]
    done = subprocess.run(command, input=json.dumps(cards), capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.endswith("all parsed\n"), done.stderr[-2000:]
