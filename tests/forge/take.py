"""Takes the few schemas that the tests need out of GitHub's published OpenAPI description, without its words.

    npm pack @octokit/openapi && tar xzf octokit-openapi-*.tgz
    python -m tests.forge.take package/generated/api.github.com.json VERSION_OF_THE_PACKAGE

Types, names and which are required are facts; descriptions and examples stay where they are.
"""

import json
import sys
from pathlib import Path
from typing import Any

TAKEN = Path(__file__).with_name("github.json")
COMMENTS = "/repos/{owner}/{repo}/issues/{issue_number}/comments"
COMMENT = "/repos/{owner}/{repo}/issues/comments/{comment_id}"
OPERATIONS = ((COMMENTS, "get", "200"), (COMMENTS, "post", "201"), (COMMENT, "patch", "200"), ("/user", "get", "200"))
WORDS = ("description", "example", "examples", "title", "deprecated", "x-github")


def main(path: str, version: str) -> None:
    described = json.loads(Path(path).read_text())
    operations = {f"{method} {where}": _operation(described, where, method, ok) for where, method, ok in OPERATIONS}
    needed = dict[str, Any]()
    _gather(described, operations, needed)
    _gather(described, {"$ref": "#/components/schemas/basic-error"}, needed)
    source = f"npm package @octokit/openapi {version} (MIT), {Path(path).name}, by tests/forge/take.py"
    taken = {"source": source, "operations": operations, "components": {"schemas": needed}}
    TAKEN.write_text(json.dumps(taken, indent=1, sort_keys=True) + "\n")


def _operation(described: dict[str, Any], where: str, method: str, ok: str) -> dict[str, Any]:
    operation = described["paths"][where][method]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    answer = operation["responses"][ok]["content"]["application/json"]["schema"]
    named = [_found(described, one["$ref"]) if "$ref" in one else one for one in operation.get("parameters", [])]
    query = {one["name"]: _wordless(one["schema"]) for one in named if one["in"] == "query"}
    return {"query": query, "body": _wordless(body), "status": int(ok), "answer": _wordless(answer)}


def _gather(described: dict[str, Any], part: Any, needed: dict[str, Any]) -> None:
    """What the part refers to, and what that refers to."""
    if isinstance(part, dict):
        if isinstance(reference := part.get("$ref"), str):
            name = reference.rpartition("/")[2]
            if name not in needed:
                needed[name] = _wordless(_found(described, reference))
                _gather(described, needed[name], needed)
        for each in part.values():
            _gather(described, each, needed)
    elif isinstance(part, list):
        for each in part:
            _gather(described, each, needed)


def _found(described: dict[str, Any], reference: str) -> Any:
    part: Any = described
    for name in reference.removeprefix("#/").split("/"):
        part = part[name]
    return part


def _wordless(part: Any) -> Any:
    """As JSON Schema has it: OpenAPI's `nullable` becomes a type."""
    if isinstance(part, list):
        return [_wordless(each) for each in part]
    if not isinstance(part, dict):
        return part
    kept = {
        name: each if name == "enum" else _wordless(each) for name, each in part.items() if not _is_word(name, each)
    }
    if "properties" in part:
        kept["properties"] = {name: _wordless(each) for name, each in part["properties"].items()}
    if kept.pop("nullable", False):
        return {"anyOf": [kept, {"type": "null"}]}
    return kept


def _is_word(name: str, value: Any) -> bool:
    return name.startswith(WORDS) and not (name in WORDS and isinstance(value, dict) and "type" in value)


if __name__ == "__main__":
    main(*sys.argv[1:])
