"""A model hub over real HTTP, as huggingface_hub's client meets it; every fault is asked for by name."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse

COMMIT = "0da7a48b0276d500ce5922fd2b33944091fc6c09"
LATER = "1" * 40
REPOSITORY = "ibm-granite/granite-3.1-1b-a400m-instruct"
"""What the card of granite-3.1-1b-a400m names, so that the command line can pull it from here."""

CHUNK_BYTES = 2**20
CONFIG = b'{"model_type": "granitemoe", "max_position_embeddings": 131072}\n'
WEIGHTS = bytes(range(256)) * (24 * 4096)
"""24 MiB: the client writes to the disk in pieces of 10 MiB."""

FILES = {
    "config.json": CONFIG,
    "tokenizer.json": b"{}",
    "model.safetensors": WEIGHTS,
    "README.md": b"# not wanted",
    "pytorch_model.bin": b"not wanted",
    "consolidated.safetensors": b"not wanted",
    "modeling.py": b"not wanted",
    "original/model.safetensors": b"not wanted",
}


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()  # noqa: S324


@dataclass
class FakeHub:
    """The hub's state and faults.

    head: the commit that `main` stands for.
    cuts: how many bytes of the weights to send before the connection is cut, one number a request.
    recorded: what the hub says it has, where that is not what it sends.
    refusal: (status, X-Error-Code) for every request to the API; gated: the same for the files.
    stalled_at: bytes of a response after which nothing more comes, for as long as the client stays.
    asked: (path, Range) of every request, in order; tokens: the Authorization headers that reached the storage host.
    """

    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    head: str = COMMIT
    cuts: list[int] = field(default_factory=list)
    recorded: dict[str, bytes] = field(default_factory=dict)
    refusal: tuple[int, str] | None = None
    gated: tuple[int, str] | None = None
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    stalled_at: int | None = None

    def ranges(self) -> list[str | None]:
        """The Range header of every request that reached the weights."""
        return [asked for path, asked in self.asked if path.startswith("/storage/")]

    def sibling(self, name: str) -> dict[str, Any]:
        content = self.recorded.get(name, self.files[name])
        entry = {"rfilename": name, "size": len(content), "blobId": git_sha1(content)}
        if name.endswith(".safetensors"):
            digest = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
        return entry


def hub_app(hub: FakeHub) -> Any:
    """An ASGI application."""
    app = FastAPI()

    @app.get("/api/models/{owner}/{name}/revision/{revision}")
    async def model(owner: str, name: str, revision: str) -> Response:
        if hub.refusal:
            return _refused(*hub.refusal)
        if f"{owner}/{name}" != REPOSITORY:
            return _refused(404, "RepoNotFound")
        if revision not in ("main", COMMIT, LATER):
            return _refused(404, "RevisionNotFound")
        commit = hub.head if revision == "main" else revision
        siblings = [hub.sibling(path) for path in hub.files]
        return JSONResponse({"id": REPOSITORY, "sha": commit, "siblings": siblings, "tags": [], "downloads": 0})

    @app.api_route("/{owner}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
    async def resolve(request: Request, owner: str, name: str, revision: str, path: str) -> Response:
        if hub.gated:
            return _refused(*hub.gated)
        content = hub.recorded.get(path, hub.files[path])
        headers = {"X-Repo-Commit": revision, "ETag": f'"{git_sha1(content)}"'}
        if not path.endswith(".safetensors"):
            return Response(hub.files[path], headers=headers)
        digest = hashlib.sha256(content).hexdigest()
        headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        # Another host, as the real hub's storage is one.
        return RedirectResponse(f"http://localhost:{request.url.port}/storage/{path}", 302, headers=headers)

    @app.get("/storage/{path:path}")
    async def storage(request: Request, path: str) -> Response:
        hub.tokens.append(request.headers.get("authorization"))
        content, asked = hub.files[path], request.headers.get("range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        headers = {"Content-Length": str(len(content) - start), "Accept-Ranges": "bytes"}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cut = hub.cuts.pop(0) if hub.cuts else len(content) - start
        return StreamingResponse(_sent(content[start:], cut, hub), 206 if asked else 200, headers=headers)

    async def remembering(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            asked = dict(scope["headers"]).get(b"range")
            hub.asked.append((scope["path"], asked.decode() if asked else None))
        await app(scope, receive, send)

    return remembering


async def _sent(content: bytes, cut: int, hub: FakeHub) -> AsyncIterator[bytes]:
    for start in range(0, cut, CHUNK_BYTES):
        if hub.stalled_at is not None and start >= hub.stalled_at:
            await asyncio.Event().wait()
        yield content[start : min(cut, start + CHUNK_BYTES)]
    if cut < len(content):
        raise ConnectionResetError("cut on purpose")


def _refused(status: int, code: str) -> Response:
    return JSONResponse({"error": code}, status, headers={"X-Error-Code": code} if code else {})
