"""The page at / as it is served, and the two routes that it alone needs: the evidence of a diff, and results."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from firstpass.web.results import MOST_BYTES, Results
from tests.conftest import starting
from tests.doubles import DIFF
from tests.keyed import new_key
from tests.listening import NO_ENGINE, listening

ROOT = Path(__file__).parents[2]
SOURCES, BUILT = ROOT / "server" / "page", ROOT / "server" / "firstpass" / "web" / "page"
MOST_PAGE_BYTES = 120_000
"""Of all its files, as they are sent."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with listening(tmp_path_factory.mktemp("page")) as url, httpx.Client(base_url=url) as client:
        yield client


def assets(page: str) -> list[str]:
    return re.findall(r'(?:src|href)="(assets/[^"]+)"', page)


def test_the_page_allows_nothing_from_elsewhere_and_nothing_inline(server: httpx.Client) -> None:
    answered = server.get("/")
    policy = dict(part.split(" ", 1) for part in answered.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert answered.headers["x-content-type-options"] == "nosniff"
    assert answered.headers["referrer-policy"] == "no-referrer"
    assert "http" not in answered.text and not re.search(
        r"<script(?![^>]*\ssrc=)|<style|\son\w+=|style=", answered.text
    )


def test_its_files_are_kept_by_browsers_as_long_as_they_are_the_same(server: httpx.Client) -> None:
    page = server.get("/")
    assert page.headers["cache-control"] == "no-cache" and len(assets(page.text)) == 3
    for path in assets(page.text):
        found = server.get(f"/{path}")
        assert found.status_code == 200 and "immutable" in found.headers["cache-control"]
        again = server.get(f"/{path}", headers={"if-none-match": found.headers["etag"]})
        assert again.status_code == 304 and not again.content
    assert server.get("/", headers={"if-none-match": page.headers["etag"]}).status_code == 304
    assert server.get("/", headers={"if-none-match": '"another"'}).status_code == 200


def test_the_page_answers_head_and_no_other_method(server: httpx.Client) -> None:
    head = server.head("/")
    assert head.status_code == 200 and not head.content and head.headers["content-length"] != "0"
    assert server.post("/", json={}).status_code == 405


@pytest.mark.parametrize("name", ["index.html", "nothing.js", "../front_page.py", "%2e%2e%2ffront_page.py", ""])
def test_nothing_but_its_files_is_there(server: httpx.Client, name: str) -> None:
    assert server.get(f"/assets/{name}").status_code == 404


def test_the_page_is_small() -> None:
    assert sum(path.stat().st_size for path in BUILT.iterdir()) < MOST_PAGE_BYTES


def test_the_page_needs_no_key_and_all_that_it_shows_does(tmp_path: Path) -> None:
    new_key(tmp_path)
    with listening(tmp_path, keys="required") as url, httpx.Client(base_url=url) as client:
        assert client.get("/").status_code == 200
        assert client.get(f"/{assets(client.get('/').text)[0]}").status_code == 200
        assert client.get("/v1/results").status_code == 401
        assert client.post("/v1/evidence", json={"diff": DIFF}).status_code == 401


def node(*command: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("node") is None:
        pytest.skip("there is no Node.js on this machine")
    assert (SOURCES / "node_modules").is_dir(), "scripts/install --dev has not installed server/page"
    return subprocess.run(["node", *command], cwd=SOURCES, capture_output=True, text=True, check=False)


def test_the_committed_page_is_what_its_sources_give(tmp_path: Path) -> None:
    built = node("build.mjs", str(tmp_path))
    assert built.returncode == 0, built.stderr
    made, kept = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in (tmp_path, BUILT))
    assert made == kept, "node build.mjs in server/page writes it"


def test_the_sources_of_the_page_have_no_fault_of_types() -> None:
    checked = node("node_modules/typescript/bin/tsc", "--noEmit")
    assert checked.returncode == 0, checked.stdout


def test_evidence_is_what_the_diff_says_and_asks_nobody(tmp_path: Path) -> None:
    with listening(tmp_path) as url, httpx.Client(base_url=url, timeout=30) as client:
        known = client.post("/v1/evidence", json={"diff": DIFF}).json()
        assert known["object"] == "evidence" and known["calls"] == ["createSession"] and known["left_out"] == {}
        assert known["files"][0]["path"] == "auth.py" and known["files"][0]["added_lines"] == 1
        assert {"text", "weight", "sign", "code"} == known["terms"][0].keys()
        nothing = client.post("/v1/evidence", json={"diff": "hello"}).json()
        assert nothing["files"] == nothing["calls"] == []
        refused = client.post("/v1/evidence", json={"diff": 3})
        assert refused.status_code == 400 and refused.json()["error"]["param"] == "diff"


LINES = "".join(f"+call{number}()\n" for number in range(500))
LONG = f"diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -0,0 +1,500 @@\n{LINES}"


def test_evidence_is_read_within_the_limits_of_contracts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstpass.desk.LEAST_SECONDS", 0.0)
    monkeypatch.setattr("firstpass.desk.SECONDS_A_CHARACTER", 0.0)
    with listening(tmp_path) as url, httpx.Client(base_url=url, timeout=30) as client:
        refused = client.post("/v1/evidence", json={"diff": LONG})
    assert refused.status_code == 400 and "takes too long to read" in refused.json()["error"]["message"]
    assert refused.json()["error"]["param"] == "diff"


def test_long_lists_of_evidence_are_cut_and_say_so(server: httpx.Client) -> None:
    known = server.post("/v1/evidence", json={"diff": LONG}, timeout=30).json()
    assert len(known["calls"]) == 400 and known["left_out"]["calls"] == 100


EVAL = {
    "format": 1,
    "made_unix": 5.0,
    "arms": {"local": {"figures": {"pass": {"value": 0.5, "low": 0.4, "high": 0.6}}}},
}


def put(folder: Path, name: str, body: Any) -> Path:
    there = folder / name
    there.mkdir(parents=True)
    (there / "results.json").write_text(body if isinstance(body, str) else json.dumps(body))
    return there


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    data_dir = tmp_path_factory.mktemp("results")
    folder, outside = data_dir / "results", put(data_dir, "outside", EVAL)
    put(folder, "eval-1", EVAL)
    put(folder, "bench-1", EVAL | {"load": {}})
    put(folder, "broken", "{")
    put(folder, "foreign", [1])
    put(folder, "endless", json.dumps(EVAL | {"seed": float("nan")}))
    put(folder, "huge", json.dumps(EVAL) + " " * MOST_BYTES)
    put(folder, ".hidden", EVAL)
    (folder / "linked").symlink_to(outside)
    (folder / "inside").mkdir()
    (folder / "inside" / "results.json").symlink_to(outside / "results.json")
    with listening(data_dir) as url, httpx.Client(base_url=url) as client:
        yield client


def test_runs_are_listed_by_what_they_are(results: httpx.Client) -> None:
    listed = {one["id"]: one for one in results.get("/v1/results").json()["data"]}
    assert listed["eval-1"] == {
        "object": "result.outline",
        "id": "eval-1",
        "kind": "eval",
        "made_unix": 5.0,
        "arms": ["local"],
    }
    assert listed["bench-1"]["kind"] == "bench"
    for name, why in {"broken": "JSON", "foreign": "none of", "endless": "JSON", "huge": "bytes"}.items():
        assert listed[name]["object"] == "result.damaged" and why in listed[name]["why"]
    assert not listed.keys() & {".hidden", "linked"}


def test_a_run_is_read_whole(results: httpx.Client) -> None:
    assert results.get("/v1/results/eval-1").json() == {
        "object": "result",
        "id": "eval-1",
        "kind": "eval",
        "results": EVAL,
    }


@pytest.mark.parametrize(
    "name",
    ["nothing", "linked", "inside", ".hidden", "..", "%2e%2e%2foutside", "eval-1%2fresults.json", "a" * 200, "%00"],
)
def test_nothing_outside_of_the_folder_is_read_nor_by_a_link(results: httpx.Client, name: str) -> None:
    assert results.get(f"/v1/results/{name}").status_code == 404


def test_what_can_not_be_read_is_an_error_that_names_the_run(results: httpx.Client) -> None:
    answered = results.get("/v1/results/huge")
    assert answered.status_code == 500 and "huge" in answered.json()["error"]["message"]


def test_a_run_of_many_values_holds_up_no_other_request(tmp_path: Path) -> None:
    """Its JSON was made anew on the event loop, which stood still for most of the time that it took."""
    many = json.dumps(EVAL)[:-1] + ', "rounds": [' + ",".join(['{"a":1}'] * 900_000) + "]}"
    put(tmp_path / "results", "many", many)
    with listening(tmp_path) as url, ThreadPoolExecutor(1) as other, httpx.Client(base_url=url, timeout=60) as client:
        begun = time.monotonic()
        reading = other.submit(httpx.get, f"{url}/v1/results/many", timeout=60)
        waits = []
        while not reading.done():
            asked = time.monotonic()
            client.get("/healthz")
            waits.append(time.monotonic() - asked)
        whole = time.monotonic() - begun
    assert reading.result().is_success and max(waits) < 0.4 * whole, (max(waits), whole)


def test_a_deep_run_is_answered_as_it_is(tmp_path: Path) -> None:
    deep = json.dumps(EVAL)[:-1] + ', "deep": ' + "[" * 500 + "]" * 500 + "}"
    put(tmp_path / "results", "deep", deep)
    put(tmp_path / "results", "deeper", json.dumps(EVAL)[:-1] + ', "deep": ' + "[" * 10**6 + "]" * 10**6 + "}")
    with listening(tmp_path) as url, httpx.Client(base_url=url, timeout=60) as client:
        assert '"deep": [[[' in client.get("/v1/results/deep").text
        assert "is not JSON" in client.get("/v1/results/deeper").json()["error"]["message"]
        assert {one["id"] for one in client.get("/v1/results").json()["data"]} == {"deep", "deeper"}


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="there is no /proc here")
def test_what_is_no_file_is_no_run_and_leaves_nothing_open(tmp_path: Path) -> None:
    """A folder of that name left its descriptor open at every look."""
    (tmp_path / "folder" / "results.json").mkdir(parents=True)
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "results.json")
    results = Results(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        assert {one["object"] for one in results.all()["data"]} == {"result.damaged"}
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_list_reads_only_what_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each list read and parsed a hundred files, of up to 8 MiB each."""
    there = put(tmp_path, "eval-1", EVAL)
    results = Results(tmp_path)
    first = results.all()
    with monkeypatch.context() as patch:
        patch.setattr("firstpass.web.results.strict_json", lambda text: 1 / 0)
        assert results.all() == first
    (there / "results.json").write_text(json.dumps(EVAL | {"made_unix": 7.0}))
    assert results.all()["data"][0]["made_unix"] == 7.0
    (there / "results.json").unlink()
    assert results.all()["data"][0]["object"] == "result.damaged"


def test_an_outline_is_short_whatever_is_in_the_run(tmp_path: Path) -> None:
    arms = {f"{number} {'x' * 1000}": {} for number in range(1000)}
    put(tmp_path, "wide", EVAL | {"arms": arms, "made_unix": True})
    (outline,) = Results(tmp_path).all()["data"]
    assert len(json.dumps(outline)) < 3000 and outline["made_unix"] is None


def test_results_are_where_the_settings_say(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", "eval-2", EVAL)
    server = {"results_dir": tmp_path / "elsewhere"}
    with starting(NO_ENGINE, tmp_path / "data", server=server) as client:
        assert [one["id"] for one in client.get("/v1/results").json()["data"]] == ["eval-2"]
