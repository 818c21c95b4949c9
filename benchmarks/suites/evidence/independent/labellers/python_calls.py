"""The calls of Python files, by Python's own `ast`. Knows no grammar of Firstpass's and no diff.

Standard input: a line of JSON for each file, {"path", "text"}. Standard output, in the same order: {"path", "calls":
[[name, line]], "errors": count}. A call counts where its name stands: `a.b(...)` is `b`, on the line of `b`.
"""

import ast
import json
import sys
from collections.abc import Iterator


def calls(text: str) -> Iterator[tuple[str, int]]:
    """(bare name, 1-based line) of each call by name, in no order. Raises: SyntaxError, ValueError."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node.func.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.end_lineno is not None, "the parser sets it"
            yield node.func.attr, node.func.end_lineno


def labelled(path: str, text: str) -> dict[str, object]:
    try:
        return {"path": path, "calls": sorted(calls(text), key=lambda call: call[1]), "errors": 0}
    except (SyntaxError, ValueError, RecursionError):
        return {"path": path, "calls": [], "errors": 1}


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(labelled(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
