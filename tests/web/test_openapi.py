"""The document at /openapi.json, held to the routes that there are and to what they really answer."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from starlette.routing import Route

from firstpass import app
from firstpass.dialect.openai.wire import Wire
from firstpass.house import House
from firstpass.settings import Settings
from firstpass.store.keys import load_pepper, mint
from firstpass.store.sqlite import SqliteStore
from firstpass.web.document import OPERATIONS, document
from firstpass.web.document.copies import Copies
from tests.conftest import fronted, serving
from tests.doubles import FLAT_TOOL
from tests.scenes import Scene, Stage

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance,ignored_auth"
)
"""All of Schemathesis's that hold for one request: no 5xx, no status or header or body that the document has not."""

SERVER = {"keys": "required", "wrong_keys_a_minute": 1_000_000}
"""Wrong keys are tried in every way, and are to be answered as such."""

UNDESCRIBED = {"/openapi.json", "/", "/assets/{name}"}
"""The document itself, and the page with its files."""

EXAMPLES = os.environ.get("OPENAPI_EXAMPLES", "12")
"""Of each operation; benchmarks/suites/openapi/README.md tells of the long run."""


def test_every_route_is_described_and_nothing_else(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"engine": {"kind": "external", "url": "http://127.0.0.1:9/v1"}, "server": {"data_dir": tmp_path}}
    )
    routes = [route for route in app.build(settings).routes if isinstance(route, Route)]
    there = {(method, re.sub(r":\w+}", "}", route.path)) for route in routes for method in route.methods or ()}
    there = {(method, path) for method, path in there if method != "HEAD" and path not in UNDESCRIBED}
    assert there == set(OPERATIONS)


def test_every_body_that_is_read_is_described() -> None:
    described = {body for operation in OPERATIONS.values() for body in operation.bodies}
    bodies = {model for model in subclasses(Wire) if model.__name__.endswith("Body") and not subclasses(model)}
    assert bodies <= described


def subclasses(model: type[Wire]) -> set[type[Wire]]:
    return {found for child in model.__subclasses__() for found in (child, *subclasses(child))}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, str]]:
    """A front that requires keys, before an engine that answers everything, and a live key."""
    data_dir = tmp_path_factory.mktemp("openapi")
    stage = Stage(lambda body: Scene())
    with serving(stage.app) as url, fronted(url, data_dir, server=SERVER) as client:
        key, record = mint("openapi", load_pepper(data_dir / "pepper"), 1.0)
        SqliteStore(data_dir / "firstpass.sqlite").add_key(record)
        yield client, key


def test_the_document_names_this_server_s_models_and_contracts(guarded: tuple[httpx.Client, str]) -> None:
    client, key = guarded
    schemas = client.get("/openapi.json", headers={"x-api-key": key}).json()["components"]["schemas"]
    names, others = schemas["ChatBody"]["properties"]["model"]["anyOf"]
    assert names["enum"] == ["firstpass", "local", "external", "scripted"] and others["type"] == "string"
    assert schemas["MessagesBody"]["properties"]["model"] == schemas["ResponsesBody"]["properties"]["model"]
    contracts: list[Any] = schemas["FirstpassOptions"]["properties"]["contract"]["anyOf"]
    assert "pr-summary@3" in contracts[0]["enum"]


def test_the_document_names_what_aliases_there_are_for_models() -> None:
    house = House({"local": "local"}, {"pr-summary@3": "pr-summary@3"}, "any", tuple, {"gpt": "local", "a.*": "local"})
    names = document(house)["components"]["schemas"]["InferBody"]["properties"]["model"]["anyOf"]
    assert names == [{"enum": ["local", "gpt"]}, {"pattern": r"^a\..*$"}]


def test_a_wrong_method_is_told_the_right_ones(guarded: tuple[httpx.Client, str]) -> None:
    client, key = guarded
    for path, methods in {"/infer": "POST", "/v1/responses/resp_ex_0": "DELETE, GET"}.items():
        response = client.put(path, headers={"x-api-key": key})
        assert response.status_code == 405 and response.headers["allow"] == methods


def test_what_the_record_gives_back_is_what_the_document_says(guarded: tuple[httpx.Client, str]) -> None:
    client, key = guarded
    headers = {"x-api-key": key}
    components = client.get("/openapi.json", headers=headers).json()["components"]

    def hold(model: str, body: dict[str, Any]) -> dict[str, Any]:
        jsonschema.validate(body, {"$ref": f"#/components/schemas/{model}", "components": components})
        return body

    call = {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c", "output": "rain"}
    custom_call = {"type": "custom_tool_call", "call_id": "d", "name": "patch", "input": "+ a"}
    custom_result = {"type": "custom_tool_call_output", "call_id": "d", "output": "done"}
    custom = {"type": "custom", "name": "patch", "description": "Of a file."}
    tools = [FLAT_TOOL, custom, {"type": "namespace", "name": "maps", "tools": [FLAT_TOOL, custom]}]
    said = [{"role": "user", "content": "hi"}, call, custom_call, result, custom_result]
    asked = {"model": "local", "input": said, "tools": tools}
    made = hold("ResponseObject", client.post("/v1/responses", json=asked, headers=headers).json())
    here = f"/v1/responses/{made['id']}"
    assert hold("ResponseObject", client.get(here, headers=headers).json()) == made
    assert len(hold("InputItems", client.get(f"{here}/input_items", headers=headers).json())["data"]) == 5
    hold("DeletedResponse", client.delete(here, headers=headers).json())
    with pytest.raises(jsonschema.ValidationError):
        hold("DeletedResponse", client.get(here, headers=headers).json())


def test_what_the_server_answers_is_what_the_document_says(guarded: tuple[httpx.Client, str], tmp_path: Path) -> None:
    client, key = guarded
    document = client.get("/openapi.json", headers={"x-api-key": key})
    (tmp_path / "openapi.json").write_bytes(document.content)
    (tmp_path / "schemathesis.toml").write_text(f'[auth.openapi.bearer]\nbearer = "{key}"\n')
    command = [sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", str(client.base_url)]
    command += ["--checks", CHECKS, "--max-examples", EXAMPLES, "--phases", "examples,coverage,fuzzing,stateful"]
    command += ["--seed", "1", "--continue-on-failure", "--warnings", "off"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    print(ran.stdout)
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    assert answers(client, key) > 50, "some of the requests are valid, and are answered"


def answers(client: httpx.Client, key: str) -> float:
    lines = client.get("/metrics", headers={"x-api-key": key}).text.splitlines()
    counted = (line for line in lines if line.startswith("firstpass_requests_total{") and 'route="draft"' in line)
    return sum(float(line.split()[-1]) for line in counted)


async def test_a_document_is_made_once_for_all_that_see_the_same_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request held up the event loop for a quarter of a second, and a slow reader kept 300 kB of its own."""
    monkeypatch.setattr("firstpass.web.document.copies.KEPT", 2)
    copies, house = Copies(), House({"firstpass": "cascade", "local": "local"}, {"pr-summary@3": "pr-summary@3"}, "any")
    first, again = await asyncio.gather(copies.of(house), copies.of(house.narrowed((), "local-only")))
    assert first is again and json.loads(first) == document(house)
    for name in ("local", "firstpass"):
        narrow = json.loads(await copies.of(house.narrowed((name,), "any")))
        assert narrow["components"]["schemas"]["InferBody"]["properties"]["model"]["enum"] == [name]
    assert await copies.of(house) is not first, "only the last ones are kept"
