"""The routes to the log: a signed checkpoint, the proof that a receipt is in it, and that it has only grown."""

from fastapi import FastAPI, Request, Response

from firstpass.audit import Audit
from firstpass.errors import NotFound

NOTE = "text/plain; charset=utf-8"
DIGITS = 18


def add_audit(app: FastAPI, audit: Audit) -> None:
    @app.get("/v1/audit/checkpoint")
    async def checkpoint() -> Response:
        return Response(await audit.checkpoint(), headers={"content-type": NOTE})

    @app.get("/v1/audit/receipts/{number}")
    async def receipt(number: str, request: Request) -> dict[str, object]:
        proof, note = await audit.receipt(_count(number, "number"), request.scope["state"]["key"])
        return {
            "object": "audit.receipt",
            "number": proof.number,
            "entry": proof.line.decode(),
            "leaf": proof.leaf.hex(),
            "hashes": [hash_.hex() for hash_ in proof.hashes],
            "checkpoint": note,
        }

    @app.get("/v1/audit/consistency/{size}")
    async def consistency(size: str) -> dict[str, object]:
        hashes, note = await audit.consistency(_count(size, "size"))
        return {
            "object": "audit.consistency",
            "size": int(size),
            "hashes": [hash_.hex() for hash_ in hashes],
            "checkpoint": note,
        }


def _count(text: str, param: str) -> int:
    """Raises: NotFound."""
    if not (text.isascii() and text.isdecimal() and len(text) <= DIGITS):
        raise NotFound(f"the log has no {param} {text[:80]!r}", part="store", param=param)
    return int(text)
