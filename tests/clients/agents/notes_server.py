"""A server of the Model Context Protocol over its standard input: one tool, whose schema is long, gives what was noted.

Source: the protocol's specification of 2025-06-18, its transport over stdio.
"""

import json
import sys
from typing import Any

SCHEMA = {
    "type": "object",
    "properties": {"about": {"type": "string", "description": "What the note is about. " * 1000}},
    "required": ["about"],
}
TOOL = {
    "name": "recall",
    "description": "Recalls a note.",
    "inputSchema": SCHEMA,
    "annotations": {"readOnlyHint": True},
}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        about = {"name": "notes", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": about}
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": f"The note about {params['arguments']['about']} says seven."}]}
    return {}


for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        result = answer(asked["method"], asked.get("params", {}))
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
