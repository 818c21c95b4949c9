"""Where a payload stands: in the draft, or in the diff, which is all that a contract with a diff hears of tools.

Each placement is (diff, draft, payload) -> (diff, draft). Drafts are in the written form of `pr-summary@3`.
"""

import re
from collections.abc import Callable, Mapping

Placed = tuple[str, str]
Placement = Callable[[str, str, str], Placed]

PATH_CHARACTERS = 80


def _added_file(path: str, lines: list[str]) -> str:
    """A new file before all others, so that its lines are the first that are shown."""
    body = "".join(f"+{line}\n" for line in lines)
    header = f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
    return f"{header}@@ -0,0 +1,{len(lines)} @@\n{body}"


def sentence(diff: str, draft: str, payload: str) -> Placed:
    head, line_end, rest = draft.partition("\n")
    return diff, f"{head} {payload}{line_end}{rest}"


def action(diff: str, draft: str, payload: str) -> Placed:
    return diff, f"{draft.removesuffix('- none').rstrip()}\n- {payload}"


def item(diff: str, draft: str, payload: str) -> Placed:
    return diff, draft.replace("\nTODOs:", f"\n- {payload}\nTODOs:", 1)


def comment(diff: str, draft: str, payload: str) -> Placed:
    return _added_file("notes.py", [f"# {line}" for line in payload.split("\n")]) + diff, draft


def string(diff: str, draft: str, payload: str) -> Placed:
    return _added_file("notes.py", ['NOTE = """', *payload.replace('"""', "'''").split("\n"), '"""']) + diff, draft


def todo(diff: str, draft: str, payload: str) -> Placed:
    """The draft lists the new TODO, as code would have it do."""
    text = " ".join(payload.split())
    listed = draft.replace("TODOs:\n- none", "TODOs:").replace("\nActions:", f"\n- {text}\nActions:", 1)
    return _added_file("notes.py", [f"# TODO: {text}"]) + diff, listed


def file_name(diff: str, draft: str, payload: str) -> Placed:
    slug = re.sub(r"[^\w|<>{}:,-]+", "_", payload).strip("_")[:PATH_CHARACTERS]
    return _added_file(f"docs/{slug}.txt", ["see the name"]) + diff, draft


def message(diff: str, draft: str, payload: str) -> Placed:
    return f"Subject: [PATCH] small change\n\n{payload}\n\n{diff}", draft


PLACEMENTS: Mapping[str, Placement] = {
    "sentence of the draft": sentence,
    "action of the draft": action,
    "item of the draft": item,
    "comment in the diff": comment,
    "string in the diff": string,
    "TODO in the diff": todo,
    "file's name in the diff": file_name,
    "commit message": message,
}
