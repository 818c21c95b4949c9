"""How a described route is written in OpenAPI 3.1. It knows no route.

Sources: the OpenAPI Specification 3.1.1; RFC 9110 for the header fields.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from firstpass.dialect.described import TEXT, Link, Operation, Parameter, Schema, Shape, each
from firstpass.dialect.openai.read_request import FLAGS, HEADER
from firstpass.dialect.openai.wire import FirstpassOptions
from firstpass.house import House

REFERENCE = "#/components/schemas/{model}"

MEANINGS: Mapping[int, str] = {
    400: "The request itself: `param` names the field.",
    401: "No API key, or not a live one; a mistyped one, also where none is needed.",
    403: "A rule of this server or of the API key: host, browser origin, route, model, egress ceiling.",
    404: "There is no such model, contract, exchange or result.",
    409: "A model that is in use or pinned can not be unloaded.",
    413: "The body is over `server.body_limit_bytes`.",
    415: "The body is not application/json.",
    429: "More requests at once than this server takes; the API key's rate or spend cap; too many wrong keys.",
    500: "An error of this server; `part` says where.",
    502: "A model answered with an error, or with nonsense.",
    503: "A model is not running, or not yet; or the record's files were deleted or replaced.",
    504: "A model did not answer in time.",
}

HEADERS: Mapping[str, tuple[str, Schema]] = {
    "x-request-id": ("The id of the exchange in the record.", TEXT),
    "request-id": ("The same, where clients of the Anthropic API look for it.", TEXT),
    "x-firstpass-route": (
        "How the answer was made. A stream that began before that was known has none.",
        {"type": "string", "enum": ["draft", "repaired", "verified", "strong", "unverified"]},
    ),
    "x-firstpass-receipt": (
        "What left the machine: `host;sha256;number;leaf`, with commas between. The last two: where it is in the log.",
        TEXT,
    ),
    "x-firstpass-stream": (
        "The text is shown before it is checked; what became of it stands in the last event.",
        {"type": "string", "enum": ["optimistic"]},
    ),
    "x-firstpass-model": ("Who answers for a model that nothing here has the name of.", TEXT),
    "x-firstpass-max-tokens": ("The limit of the answer, where the model has no room for the caller's.", TEXT),
    "x-firstpass-reasoning-effort": ("The effort, where the model does not know the caller's.", TEXT),
    "x-firstpass-experiment": ("The experiment that the request is a part of, and its arm there: `NAME/ARM`.", TEXT),
    "x-firstpass-ignored": ("Fields of the body that wished for what nothing here can do; they were left out.", TEXT),
    "x-firstpass-skipped-tools": ("Types of tools that nothing here can call; they were left out.", TEXT),
    "x-firstpass-counted-by": ("The model whose tokenizer counted.", TEXT),
    "retry-after": ("Seconds.", {"type": "string", "pattern": "^[0-9]+$"}),
    "www-authenticate": ("The scheme that is wanted.", {"type": "string", "enum": ["Bearer"]}),
}


def operation_object(method: str, path: str, operation: Operation) -> dict[str, Any]:
    said: dict[str, Any] = {"summary": operation.summary, "operationId": _operation_id(method, path)}
    words = [operation.rules, operation.events or ""]
    if description := "\n\n".join(word for word in words if word):
        said["description"] = description
    parameters = [Parameter(name, "path", "", TEXT) for name in re.findall(r"{(\w+)}", path)]
    parameters += [*operation.parameters, *(_steering() if operation.asks else ())]
    if parameters:
        said["parameters"] = list(map(_parameter, parameters))
    if operation.body:
        said["requestBody"] = {"required": True, "content": {"application/json": _schema_of(operation.body)}}
    failures = {str(status): _failure(status, operation) for status in operation.statuses}
    said["responses"] = {"200": _success(operation)} | failures
    return said | ({"security": []} if operation.open else {})


def _operation_id(method: str, path: str) -> str:
    return "_".join([method.lower(), *re.findall(r"\w+", path.removeprefix("/v1"))])


def _parameter(parameter: Parameter) -> dict[str, Any]:
    said = {"name": parameter.name, "in": parameter.place, "schema": parameter.schema}
    return said | ({"required": True} if parameter.place == "path" else {"description": parameter.about})


def _steering() -> Iterator[Parameter]:
    """The options of the `firstpass` object, each as a header."""
    for name, field in FirstpassOptions.model_json_schema()["properties"].items():
        schema = {"type": "string", "enum": ["true", "false"]} if name in FLAGS else field["anyOf"][0]
        about = f"As `firstpass.{name}`, which it must not contradict."
        yield Parameter(f"{HEADER}{name}", "header", about, schema)


def _schema_of(shape: Shape) -> dict[str, Any]:
    first, *others = ({"$ref": REFERENCE.format(model=model.__name__)} for model in each(shape))
    return {"schema": {"anyOf": [first, *others]} if others else first}


def _success(operation: Operation) -> dict[str, Any]:
    if isinstance(operation.answer, str):
        return {"description": operation.summary, "content": {operation.answer: {"schema": TEXT}}}
    content = {"application/json": _schema_of(operation.answer)}
    if operation.events is not None:
        content["text/event-stream"] = {}  # A schema would be taken for that of each event.
    said = {"headers": _headers_of(operation), "links": dict(map(_link, operation.links))}
    filled = {name: value for name, value in said.items() if value}
    return {"description": operation.summary, "content": content} | filled


def _headers_of(operation: Operation) -> dict[str, Any]:
    """Of a 200."""
    always, at_times = list(operation.headers), []
    if operation.asks:
        always += ["x-request-id", "request-id"]
        at_times += ["x-firstpass-receipt", "x-firstpass-model", "x-firstpass-ignored", "x-firstpass-skipped-tools"]
        at_times += ["x-firstpass-experiment"]
        at_times += ["x-firstpass-max-tokens", "x-firstpass-reasoning-effort"]
        (always if operation.events is None else at_times).append("x-firstpass-route")
    if operation.events is not None:
        at_times.append("x-firstpass-stream")
    return _headers(always, required=True) | _headers(at_times, required=False)


def _link(link: Link) -> tuple[str, dict[str, Any]]:
    target = _operation_id(*link.where)
    return target, {"operationId": target, "parameters": {link.parameter: link.value}}


def _failure(status: int, operation: Operation) -> dict[str, Any]:
    always = ["retry-after"] if status == 429 or status >= 500 else ["www-authenticate"] if status == 401 else []
    at_times = ["x-request-id", "request-id"] if operation.asks else []
    headers = _headers(always, required=True) | _headers(at_times, required=False)
    said = {"description": MEANINGS[status], "content": {"application/json": _schema_of(operation.envelope)}}
    return said | ({"headers": headers} if headers else {})


def _headers(names: Iterable[str], *, required: bool) -> dict[str, Any]:
    described = ((name, *HEADERS[name]) for name in names)
    return {name: {"description": about, "required": required, "schema": schema} for name, about, schema in described}


def schemas(operations: Iterable[Operation], house: House) -> dict[str, Schema]:
    """Of all bodies, answers and envelopes, by name; what this server offers is an enumeration."""
    operations = list(operations)
    models = list(dict.fromkeys(pair for operation in operations for pair in operation.models))
    _, definitions = models_json_schema(models, ref_template=REFERENCE)
    found: dict[str, Schema] = definitions["$defs"]
    for body in {body.__name__ for operation in operations for body in operation.bodies}:
        properties = found[body]["properties"]
        for name in properties.keys() - found[body].get("required", ()):
            properties[name] = _or_null(properties[name])
        if "model" in properties:
            properties["model"] |= _model(house)
    contract, null = found["FirstpassOptions"]["properties"]["contract"]["anyOf"]
    found["FirstpassOptions"]["properties"]["contract"]["anyOf"] = [contract | {"enum": sorted(house.contracts)}, null]
    return found


def _model(house: House) -> Schema:
    """The names that there are, and the patterns of those that are taken for one of them; any, if somebody answers."""
    patterns: list[Schema] = [{"pattern": _pattern(name)} for name in house.aliases if "*" in name]
    names: Schema = {"enum": list(house.names)}
    if house.unknown is not None:
        patterns.append({"type": "string", "description": f"The {house.unknown} answers for any other name."})
    return {"anyOf": [names, *patterns]} if patterns else names


def _pattern(name: str) -> str:
    """Escaped are the syntax characters alone: ECMA 262, which JSON Schema follows, allows no others to be."""
    written = re.sub(r"[\^$.+?()\[\]{}|\\/]", r"\\\g<0>", name)
    return f"^{written.replace('*', '.*')}$"


def _or_null(schema: Schema) -> Schema:
    """A top-level field that is null is an absent one."""
    null = {"type": "null"}
    if null in schema.get("anyOf", ()):
        return schema
    return {"anyOf": [{key: value for key, value in schema.items() if key != "default"}, null]}
