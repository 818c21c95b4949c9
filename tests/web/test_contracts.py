"""Contracts as callers and operators meet them: listed, shown, pinned, their own, and never changed under a version."""

import json
from pathlib import Path

import pytest

from firstpass.contract import Shelf
from firstpass.errors import BadSettings
from tests.conftest import Front, fronted, serving
from tests.doubles import DIFF, NAMES, messages_app, says
from tests.web.test_cli import firstpass

PINNED = sorted(Shelf.of(None).files)
NOTE = """summary = "A line for the release notes."
reads = "diff"
form = "headed"
checks = ["format", "references"]
mend = true
[[sections]]
name = "Note"
holds = "sentence"
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "contracts" / "release-note" / "1"
    folder.mkdir(parents=True)
    (folder / "contract.toml").write_text(NOTE)
    (folder / "prompt.txt").write_text("Note: one sentence on this diff.\n{diff}\n")
    return tmp_path / "contracts"


def asked(contract: str) -> dict[str, object]:
    return {
        "model": "firstpass",
        "messages": [{"role": "user", "content": DIFF}],
        "firstpass": {"contract": contract},
    }


def test_contracts_are_listed_and_shown_by_the_api(front: Front) -> None:
    with front(says(NAMES)) as client:
        listed = client.get("/v1/contracts").json()
        assert [one["id"] for one in listed["data"]] == PINNED and "prompt" not in listed["data"][0]
        shown = client.get("/v1/contracts/pr-summary").json()
        assert shown == client.get("/v1/contracts/pr-summary@4").json()
        assert "{openings}" in shown["prompt"] and shown["schema"]["type"] == "object" and shown["checks"]
        missing = client.get("/v1/contracts/haiku")
    assert missing.status_code == 404 and "pr-summary@3" in missing.json()["error"]["message"]


def test_contracts_are_listed_and_shown_by_the_command_line(own: Path) -> None:
    variables = {"FIRSTPASS_SERVER__CONTRACTS_DIR": str(own)}
    listed = json.loads(firstpass("contracts", "list", "--json", **variables).stdout)
    assert sorted(one["id"] for one in listed) == sorted([*PINNED, "release-note@1"])
    assert "release-note@1" in firstpass("contracts", "list", **variables).stdout.decode()
    shown = firstpass("contracts", "show", "release-note", **variables).stdout.decode()
    assert "Note: one sentence on this diff." in shown and "checks format, references" in shown
    wrong = firstpass("contracts", "show", "haiku", **variables)
    assert wrong.returncode == 1 and b"there is no contract" in wrong.stderr


def test_a_version_is_pinned_by_the_request_and_a_version_that_is_not_there_is_named(front: Front) -> None:
    with front(says(NAMES)) as client:
        pinned = client.post("/v1/chat/completions", json=asked("pr-summary@3"))
        assert pinned.json()["firstpass"]["contract"] == "pr-summary@3"
        gone = client.post("/v1/chat/completions", json=asked("pr-summary@2"))
    error = gone.json()["error"]
    assert (gone.status_code, error["param"], error["code"]) == (400, "firstpass.contract", "contract_not_found")
    assert "pr-summary@2" in error["message"] and "pr-summary@3" in error["message"]


def test_a_contract_of_the_user_s_own_is_drafted_checked_and_mended(front: Front, own: Path) -> None:
    with front(says("Note: Sessions are made by createSesion."), server={"contracts_dir": own}) as client:
        answer = client.post("/v1/chat/completions", json=asked("release-note")).json()
    assert answer["firstpass"]["contract"] == "release-note@1" and answer["firstpass"]["route"] == "repaired"
    assert answer["choices"][0]["message"]["content"] == "Note: Sessions are made by createSession."


def test_a_file_that_changed_under_its_version_ends_the_start(front: Front, own: Path) -> None:
    with front(says(NAMES), server={"contracts_dir": own}) as client:
        assert client.get("/healthz").is_success
    with (own / "release-note/1/prompt.txt").open("a") as prompt:
        prompt.write("Be brief.\n")
    with (
        pytest.raises(BadSettings, match="release-note@1 is not what it was"),
        front(says(NAMES), server={"contracts_dir": own}),
    ):
        pass
    (own / "release-note/1").rename(own / "release-note/2")
    with front(says(NAMES), server={"contracts_dir": own}) as client:
        assert "release-note@2" in {one["id"] for one in client.get("/v1/contracts").json()["data"]}


CUT = "Summary: Call createSession() at login.\nCalls:\n- createSession\nTODOs:\n- none\nActions:\n- Run the te"


def test_an_answer_that_was_cut_off_is_said_to_be_in_every_dialect_after_its_repair_too(tmp_path: Path) -> None:
    engine = messages_app(lambda _: {"content": CUT}, finish_reason="length")
    asked = {"model": "firstpass", "firstpass": {"contract": "pr-summary@3"}}
    turns = [{"role": "user", "content": DIFF}]
    with serving(engine) as url, fronted(url, tmp_path / "data") as client:
        chat = client.post("/v1/chat/completions", json=asked | {"messages": turns})
        message = client.post("/v1/messages", json=asked | {"messages": turns, "max_tokens": 500})
        response = client.post("/v1/responses", json=asked | {"input": DIFF})
    for said in (chat, message, response):
        assert said.headers["x-firstpass-route"] == "unverified" and "- Run" not in said.text
    assert chat.json()["choices"][0]["finish_reason"] == "length"
    assert message.json()["stop_reason"] == "max_tokens"
    assert response.json()["status"] == "incomplete"
    assert response.json()["incomplete_details"] == {"reason": "max_output_tokens"}
