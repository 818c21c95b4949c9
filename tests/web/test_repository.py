"""A request that names an indexed repository: names of it are no inventions, and a verifier gets definitions."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Front, serving
from tests.doubles import DIFF, NAMES, OMITS, judges, openai_app, says
from tests.web.test_cli import firstpass

MENTIONS = NAMES.replace("Create a session at login.", "Create a session as openSession() does.")
INVENTS = NAMES.replace("Create a session at login.", "Create a session, then launchRocket() like openSession().")


def asked(**options: str) -> dict[str, Any]:
    return {
        "model": "firstpass",
        "messages": [{"role": "user", "content": DIFF}],
        "firstpass": {"contract": "pr-summary@3"} | options,
    }


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """The name of an index in the data directory of `front`."""
    root = tmp_path / "shop"
    root.mkdir()
    (root / "session.py").write_text("def createSession(user):\n    return openSession(user)\n")
    done = firstpass("index", str(root), FIRSTPASS_SERVER__DATA_DIR=str(tmp_path / "data"))
    assert done.returncode == 0 and b"shop: 1 files, 1 definitions" in done.stdout, done.stderr
    return "shop"


def test_a_name_of_the_repository_is_no_invention(front: Front, shop: str) -> None:
    with front(says(MENTIONS)) as client:
        alone = client.post("/v1/chat/completions", json=asked()).json()["firstpass"]
        known = client.post("/v1/chat/completions", json=asked(repository=shop)).json()["firstpass"]
    assert alone["route"] == "unverified" and known["route"] == "draft"
    assert [finding["check"] for finding in known["findings"] if finding["subject"] == "openSession"] == ["elsewhere"]


def test_what_neither_has_is_one_still(front: Front, shop: str) -> None:
    with front(says(INVENTS)) as client:
        answer = client.post("/v1/chat/completions", json=asked(repository=shop)).json()["firstpass"]
    fails = [finding["subject"] for finding in answer["findings"] if finding["severity"] == "fail"]
    assert answer["route"] == "unverified" and fails == ["launchRocket"]


def test_a_verifier_is_told_where_the_new_calls_are_defined(front: Front, shop: str) -> None:
    stronger = openai_app(judges(MENTIONS))
    with (
        serving(stronger) as url,
        front(says(INVENTS), verifier={"url": f"{url}/v1", "model": "stronger", "hosted": False}) as client,
    ):
        answer = client.post("/v1/chat/completions", json=asked(repository=shop)).json()
        client.post("/v1/chat/completions", json=asked())
    assert answer["firstpass"]["route"] == "verified" and answer["choices"][0]["message"]["content"] == MENTIONS
    told, untold = (body["messages"][-1]["content"] for body in stronger.state.seen)
    assert "Definitions in the repository:\nsession.py:1: def createSession(user):" in told
    assert "Definitions" not in untold


def test_a_change_is_read_in_its_whole_file(front: Front, shop: str, tmp_path: Path) -> None:
    """The hunk is code, and its file says that it is a docstring."""
    text = '"""\nSay hello.\n\n\n\nlaunch(it)\n\n\n\nThe end.\n"""\n'
    (tmp_path / "shop" / "notes.py").write_text(text)
    assert firstpass("index", str(tmp_path / "shop"), FIRSTPASS_SERVER__DATA_DIR=str(tmp_path / "data")).returncode == 0
    diff = "--- a/notes.py\n+++ b/notes.py\n@@ -5,0 +6 @@\n+launch(it)\n"
    messages = {"messages": [{"role": "user", "content": diff}]}
    with front(says(OMITS)) as client:
        alone = client.post("/v1/chat/completions", json=asked() | messages).json()["firstpass"]
        whole = client.post("/v1/chat/completions", json=asked(repository=shop) | messages).json()["firstpass"]
    assert alone["route"] == "repaired" and whole["route"] == "draft"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"contract": "pr-summary@3", "repository": "rocket"}, "repository_not_found", "there are shop"),
        ({"contract": "pr-summary@3", "repository": "../shop"}, "repository_not_found", "there are shop"),
        ({"repository": "shop"}, "invalid_value", "needs a contract"),
    ],
)
def test_an_index_that_is_not_there_is_named(
    front: Front, shop: str, options: dict[str, str], code: str, words: str
) -> None:
    with front(says(NAMES)) as client:
        response = client.post("/v1/chat/completions", json=asked() | {"firstpass": options})
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["code"]) == (400, "firstpass.repository", code)
    assert words in error["message"]


def test_a_diff_is_asked_about_with_its_repository_on_the_command_line(front: Front, shop: str) -> None:
    with front(says(MENTIONS)) as client:
        arguments = ("ask", "--contract", "pr-summary@3", "--repository", shop, "--url", str(client.base_url))
        done = firstpass(*arguments, stdin=DIFF.encode())
    assert done.returncode == 0 and b"route draft" in done.stdout
    assert b"openSession, which is in the repository but not in the diff" in done.stdout
