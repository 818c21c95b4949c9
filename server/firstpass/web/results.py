"""What `firstpass eval` and `firstpass bench` left in the folder of results, listed and read. Runs nothing.

A run is a folder with a results.json. Nothing else is read there, nothing by a link, and nothing outside.
"""

import asyncio
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import Any, Literal

from fastapi import FastAPI, Response

from firstpass.chat import strict_json
from firstpass.errors import FirstpassError, NotFound

RESULTS = "results.json"
MOST_BYTES = 2**23
"""Of one file; a bench of twenty rounds has 60 kB."""

MOST_RUNS = 100
"""The newest, by when their folder last changed."""

MOST_ARMS, MOST_NAME = 20, 80
"""Of a run in the list: so many arms, and so many characters of each name."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Kind = Literal["eval", "bench"]


Stamp = tuple[int, ...]
"""Another one where a file has changed."""


@dataclass(frozen=True, slots=True)
class Results:
    """folder: it may be missing; then there are none.

    outlines: by name, of the files that were read; a list reads again what has changed since. For one thread at a time.
    """

    folder: Path
    outlines: dict[str, tuple[Stamp, dict[str, Any]]] = field(default_factory=dict)

    def all(self) -> dict[str, Any]:
        """The newest first; a run that can not be read says why."""
        names = self._names()
        for gone in self.outlines.keys() - set(names):
            del self.outlines[gone]
        return {"object": "list", "data": [self._outline(name) for name in names]}

    def one(self, name: str) -> str:
        """As JSON. Raises: NotFound, FirstpassError where it can not be read."""
        if not _NAME.fullmatch(name):
            raise NotFound(f"there is no run {name[:80]!r}", part="web", param="name")
        with self._opened(name) as file:
            text = file.text()
        about = {"object": "result", "id": name, "kind": _kind(_body(name, text))}
        return f'{json.dumps(about)[:-1]}, "results": {text}}}'

    def _names(self) -> list[str]:
        try:
            with os.scandir(self.folder) as entries:
                dated = sorted((found for one in entries if (found := _dated(one)) is not None), reverse=True)
        except OSError:
            return []
        return [name for _, name in dated[:MOST_RUNS]]

    def _outline(self, name: str) -> dict[str, Any]:
        try:
            with self._opened(name) as file:
                known = self.outlines.get(name)
                if known is None or known[0] != file.stamp:
                    self.outlines[name] = known = file.stamp, _outlined(name, file)
        except FirstpassError as error:
            return _damaged(name, error)
        return known[1]

    def _opened(self, name: str) -> "_File":
        """Raises: NotFound."""
        try:
            return _File(self.folder, name)
        except OSError as error:
            raise NotFound(f"there is no {RESULTS} of a run {name!r}", part="web", param="name") from error


class _File:
    """A run's file, opened by no link. Raises: OSError, also where it is no file."""

    def __init__(self, folder: Path, name: str) -> None:
        closed = os.O_NOFOLLOW | os.O_CLOEXEC
        inside = os.open(folder / name, os.O_RDONLY | os.O_DIRECTORY | closed)
        try:
            self._file = os.open(RESULTS, os.O_RDONLY | os.O_NONBLOCK | closed, dir_fd=inside)
        finally:
            os.close(inside)
        self._name = name
        found = os.fstat(self._file)
        self.stamp: Stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if not S_ISREG(found.st_mode):
            os.close(self._file)
            raise OSError("it is no file")

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def text(self) -> str:
        """Raises: FirstpassError."""
        try:
            with os.fdopen(self._file, "rb", closefd=False) as stream:
                raw = stream.read(MOST_BYTES + 1)
        except OSError as error:
            raise FirstpassError(f"{RESULTS} of {self._name} can not be read", part="web") from error
        if len(raw) > MOST_BYTES:
            raise FirstpassError(f"{RESULTS} of {self._name} has more than {MOST_BYTES} bytes", part="web")
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise FirstpassError(f"{RESULTS} of {self._name} is not UTF-8", part="web") from error


def _dated(entry: os.DirEntry[str]) -> tuple[float, str] | None:
    """None for what is no run, and for one that has gone meanwhile."""
    try:
        if _NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            return entry.stat(follow_symlinks=False).st_mtime, entry.name
    except OSError:
        return None
    return None


def _body(name: str, text: str) -> dict[str, Any]:
    """Raises: FirstpassError."""
    try:
        body = strict_json(text)
    except (ValueError, RecursionError) as error:
        raise FirstpassError(f"{RESULTS} of {name} is not JSON", part="web") from error
    if not isinstance(body, dict) or body.get("format") != 1 or not isinstance(body.get("arms"), dict):
        raise FirstpassError(f"{RESULTS} of {name} is none of `firstpass eval` or `firstpass bench`", part="web")
    return body


def _outlined(name: str, file: _File) -> dict[str, Any]:
    try:
        body = _body(name, file.text())
    except FirstpassError as error:
        return _damaged(name, error)
    made = body.get("made_unix")
    return {
        "object": "result.outline",
        "id": name,
        "kind": _kind(body),
        "made_unix": made if type(made) in (int, float) else None,
        "arms": [arm[:MOST_NAME] for arm in list(body["arms"])[:MOST_ARMS]],
    }


def _damaged(name: str, error: FirstpassError) -> dict[str, Any]:
    return {"object": "result.damaged", "id": name, "why": str(error)}


def _kind(body: dict[str, Any]) -> Kind:
    return "bench" if "load" in body else "eval"


def add_results(app: FastAPI, folder: Path) -> None:
    results = Results(folder)
    thread = ThreadPoolExecutor(1, "results")

    @app.get("/v1/results")
    async def listed() -> dict[str, object]:
        return await asyncio.get_running_loop().run_in_executor(thread, results.all)

    @app.get("/v1/results/{name}")
    async def found(name: str) -> Response:
        text = await asyncio.get_running_loop().run_in_executor(thread, results.one, name)
        return Response(text, media_type="application/json")
