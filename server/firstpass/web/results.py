"""What `firstpass eval` and `firstpass bench` left in the folder of results, listed and read. Runs nothing.

A run is a folder with a results.json. Nothing else is read there, nothing by a link, and nothing outside.
"""

import asyncio
import json
import os
import re
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any, Literal

from fastapi import FastAPI

from firstpass.errors import FirstpassError, NotFound

RESULTS = "results.json"
MOST_BYTES = 2**23
"""Of one file; a bench of twenty rounds has 60 kB."""

MOST_RUNS = 100
"""The newest, by when their folder last changed."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Kind = Literal["eval", "bench"]


@dataclass(frozen=True, slots=True)
class Results:
    """folder: it may be missing; then there are none."""

    folder: Path

    def all(self) -> dict[str, Any]:
        """The newest first; a run that can not be read says why."""
        return {"object": "list", "data": [self._outline(name) for name in self._names()]}

    def one(self, name: str) -> dict[str, Any]:
        """Raises: NotFound, FirstpassError where it can not be read."""
        if not _NAME.fullmatch(name):
            raise NotFound(f"there is no run {name[:80]!r}", part="web", param="name")
        body = self._read(name)
        return {"object": "result", "id": name, "kind": _kind(body), "results": body}

    def _names(self) -> list[str]:
        try:
            with os.scandir(self.folder) as entries:
                found = [one for one in entries if _NAME.fullmatch(one.name) and one.is_dir(follow_symlinks=False)]
                dated = sorted(((one.stat(follow_symlinks=False).st_mtime, one.name) for one in found), reverse=True)
        except OSError:
            return []
        return [name for _, name in dated[:MOST_RUNS]]

    def _outline(self, name: str) -> dict[str, Any]:
        try:
            body = self._read(name)
        except FirstpassError as error:
            return {"object": "result.damaged", "id": name, "why": str(error)}
        made = body.get("made_unix")
        return {
            "object": "result.outline",
            "id": name,
            "kind": _kind(body),
            "made_unix": made if isinstance(made, int | float) else None,
            "arms": [str(arm) for arm in body["arms"]],
        }

    def _read(self, name: str) -> dict[str, Any]:
        """Raises: NotFound, FirstpassError."""
        try:
            raw = _bytes_of(self.folder, name)
        except OSError as error:
            raise NotFound(f"there is no {RESULTS} of a run {name!r}", part="web", param="name") from error
        if len(raw) > MOST_BYTES:
            raise FirstpassError(f"{RESULTS} of {name} has more than {MOST_BYTES} bytes", part="web")
        try:
            body = json.loads(raw, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise FirstpassError(f"{RESULTS} of {name} is not JSON", part="web") from error
        if not isinstance(body, dict) or body.get("format") != 1 or not isinstance(body.get("arms"), dict):
            raise FirstpassError(f"{RESULTS} of {name} is none of `firstpass eval` or `firstpass bench`", part="web")
        return body


def _bytes_of(folder: Path, name: str) -> bytes:
    """At most a byte over the limit. Raises: OSError, also for a link at either place."""
    closed = os.O_NOFOLLOW | os.O_CLOEXEC
    inside = os.open(folder / name, os.O_RDONLY | os.O_DIRECTORY | closed)
    try:
        file = os.open(RESULTS, os.O_RDONLY | os.O_NONBLOCK | closed, dir_fd=inside)
    finally:
        os.close(inside)
    with closing(os.fdopen(file, "rb")) as stream:
        if not S_ISREG(os.fstat(file).st_mode):
            raise OSError("it is no file")
        return stream.read(MOST_BYTES + 1)


def _kind(body: dict[str, Any]) -> Kind:
    return "bench" if "load" in body else "eval"


def _no_number(text: str) -> None:
    """JSON has neither NaN nor infinity, and a browser reads none."""
    raise ValueError(text)


def add_results(app: FastAPI, folder: Path) -> None:
    results = Results(folder)

    @app.get("/v1/results")
    async def listed() -> dict[str, object]:
        return await asyncio.to_thread(results.all)

    @app.get("/v1/results/{name}")
    async def found(name: str) -> dict[str, object]:
        return await asyncio.to_thread(results.one, name)
