"""The routes to the log: a signed checkpoint, and the proof that a receipt is in it."""

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
        if not (number.isascii() and number.isdecimal() and len(number) <= DIGITS):
            raise NotFound(f"no receipt {number[:80]!r} in the log", part="store", param="number")
        proof, note = await audit.receipt(int(number), request.scope["state"]["key"])
        return {
            "object": "audit.receipt",
            "number": proof.number,
            "entry": proof.line.decode(),
            "leaf": proof.leaf.hex(),
            "hashes": [hash_.hex() for hash_ in proof.hashes],
            "checkpoint": note,
        }
