"""The document at /openapi.json: what every route takes and gives. It knows the wire models, no backend.

Each dialect describes its routes in a room of its own, and `ours` the others; a test holds `OPERATIONS` to the routes
that there are.
"""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from firstpass.dialect.anthropic import described as anthropic
from firstpass.dialect.described import Operation, Where
from firstpass.dialect.openai import described as openai
from firstpass.dialect.responses import described as responses
from firstpass.house import House
from firstpass.web.document import ours
from firstpass.web.document.operation import operation_object, schemas

OPERATIONS: Mapping[Where, Operation] = {
    **openai.OPERATIONS,
    **responses.OPERATIONS,
    **anthropic.OPERATIONS,
    **ours.OPERATIONS,
}

ABOUT = """One API for a local draft model, the checks on it, and a stronger verifier.

A field of a body that is null is an absent one; a field that is not listed is an error, never ignored. Any other
method on a path is answered 405, any other path 404. Errors have the envelope of the path's API; with the header
anthropic-version, Anthropic's on every path where no model was asked. Every 429 and 5xx says in Retry-After when to
come back. The `x-request-id` of an answer is the id of its exchange in the record, as is an error's that has one."""

SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
"""Either of them; none is needed where the server listens on loopback and `server.keys` does not require it."""


def document(house: House, operations: Mapping[Where, Operation] = OPERATIONS) -> dict[str, Any]:
    """An OpenAPI 3.1 document of the operations as this server has them: its models and contracts are named."""
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in operations.items():
        paths.setdefault(path, {})[method.lower()] = operation_object(method, path, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Firstpass", "version": version("firstpass"), "description": ABOUT},
        "paths": paths,
        "components": {"schemas": schemas(operations.values(), house), "securitySchemes": SECURITY},
        "security": [{name: []} for name in SECURITY],
    }
