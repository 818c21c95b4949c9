"""`python -m diff_reader COMMAND`: the recipe's commands, in the order in which they run."""

import argparse
import importlib

COMMANDS = {
    "commits": "labelled commits from git repositories on this disk",
    "data": "rows from commits and made diffs",
    "tokenizer": "train the tokenizer",
    "encode": "every row as tokens",
    "train": "train the model, or go on with it",
    "grow": "a larger model that starts out as a smaller one",
    "export": "write the catalogue folder from a checkpoint",
    "evaluate": "measure an exported model on held-out repositories",
    "card": "write the exported folder's card and README from what was measured",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="diff_reader", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help_text in COMMANDS.items():
        commands.add_parser(name, help=help_text, add_help=False)
    chosen, rest = parser.parse_known_args()
    command = importlib.import_module(f"diff_reader.{chosen.command}")
    inner = argparse.ArgumentParser(prog=f"diff_reader {chosen.command}", description=command.__doc__)
    command.add_arguments(inner)
    command.run(inner.parse_args(rest))


if __name__ == "__main__":
    main()
