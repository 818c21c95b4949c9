"""The record over HTTP: lists, searches, sessions that clients make, what a key sees of others, what it used."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import openai
import pytest

from firstpass import browsing
from firstpass.store.keys import load_pepper, mint
from firstpass.store.scopes import Scopes
from firstpass.store.sqlite import SqliteStore
from tests.conftest import fronted, serving
from tests.doubles import DIFF, NAMES, echo, messages_app, openai_app, says

CHAT = "/v1/chat/completions"
LISTED = "/v1/exchanges"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    with serving(messages_app(echo)) as url, fronted(url, tmp_path) as made:
        yield made


def ask(client: httpx.Client, text: str, session: str | None = None, **more: Any) -> str:
    body = {"model": "local", "messages": [{"role": "user", "content": text}]} | more
    response = client.post(CHAT, json=body | ({"firstpass": {"session": session}} if session else {}))
    assert response.is_success, response.text
    return response.headers["x-request-id"]


def said(client: httpx.Client, **params: Any) -> list[dict[str, Any]]:
    response = client.get(LISTED, params=params)
    assert response.is_success, response.text
    data: list[dict[str, Any]] = response.json()["data"]
    return data


def ids(client: httpx.Client, **params: Any) -> list[str]:
    return [one["id"] for one in said(client, **params)]


def test_what_was_asked_is_listed_found_and_read_at_once(client: httpx.Client) -> None:
    first, second = ask(client, "name a prime"), ask(client, "name a\n\n  river")
    assert ids(client) == [second, first]
    assert ids(client, q="prime") == [first] and ids(client, q="nothing") == []
    [outline] = said(client, limit=1)
    assert (outline["title"], outline["route"], outline["status"], outline["stored"]) == (
        "name a river",
        "draft",
        200,
        True,
    )
    whole = client.get(f"{LISTED}/{first}").json()
    assert whole["exchange"]["ask"]["messages"][0]["content"] == "name a prime"
    assert whole["told"] and whole["labels"] == []
    client.post(f"{LISTED}/{first}/label", json={"verdict": "edit", "text": "7"})
    [label] = client.get(f"{LISTED}/{first}").json()["labels"]
    assert (label["verdict"], label["text"]) == ("edit", "7")


def test_pages_follow_each_other_without_a_gap(client: httpx.Client) -> None:
    made = [ask(client, f"number {number}") for number in range(5)]
    page = client.get(LISTED, params={"limit": 2}).json()
    assert [one["id"] for one in page["data"]] == made[:2:-1] and page["has_more"]
    page = client.get(LISTED, params={"limit": 3, "before": made[3]}).json()
    assert [one["id"] for one in page["data"]] == made[2::-1] and not page["has_more"]
    page = client.get(LISTED, params={"limit": 2, "after": made[1]}).json()
    assert [one["id"] for one in page["data"]] == [made[3], made[2]] and page["has_more"]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"before": "ex_x"}, "before"),
        ({"before": "a", "after": "b"}, "after"),
        ({"q": " "}, "q"),
        ({"q": "?!"}, "q"),
        ({"q": "creat*"}, "q"),
        ({"q": "x " * 400}, "q"),
        ({"route": "rocket"}, "route"),
        ({"status": "teapot"}, "status"),
        ({"rocket": 1}, "rocket"),
    ],
)
def test_a_bad_query_is_told_which_field_is_wrong(client: httpx.Client, params: dict[str, Any], param: str) -> None:
    response = client.get(LISTED, params=params)
    assert response.status_code == 400 and response.json()["error"]["param"] == param, response.text


def test_a_diff_has_its_files_for_a_title_and_its_checks_are_counted(tmp_path: Path) -> None:
    with serving(openai_app(says(NAMES))) as url, fronted(url, tmp_path) as client:
        ask(client, DIFF, model="firstpass", firstpass={"contract": "pr-summary"})
        [outline] = said(client, contract="pr-summary")
        assert outline["title"] == "auth.py" and outline["contract"].startswith("pr-summary@")
        assert outline["failed"] == 0 and ids(client, contract=outline["contract"]) and ids(client, q="createSession")
        assert client.get(f"{LISTED}/{outline['id']}").json()["exchange"]["ask"]["messages"][0]["content"] == DIFF


def test_a_session_is_a_conversation_across_models_dialects_and_contracts(client: httpx.Client) -> None:
    name = "a/b c?é"
    first = ask(client, "one", name)
    headers = {"x-firstpass-session": "a/b c?"}
    old = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "x"}]
    second = client.post(
        "/v1/messages",
        json={
            "model": "local",
            "max_tokens": 20,
            "messages": [*old, {"role": "user", "content": "two"}],
            "firstpass": {"session": name},
        },
    )
    assert second.is_success, second.text
    ask(client, "elsewhere", "other")
    assert client.post(CHAT, headers=headers, json={"model": "local", "messages": old[:1]}).is_success
    listed = client.get("/v1/sessions").json()["data"]
    assert [(one["id"], one["exchanges"], one["title"]) for one in listed] == [
        ("a/b c?", 1, "one"),
        ("other", 1, "elsewhere"),
        (name, 2, "one"),
    ]
    session = client.get("/v1/sessions/a%2Fb%20c%3F%C3%A9").json()
    turns = [(turn["role"], turn["content"]) for turn in session["messages"]]
    assert [turn for turn in turns if turn[0] == "user"] == [("user", "one"), ("user", "two")]
    assert session["messages"][0]["exchange"] == first == session["messages"][1]["exchange"]
    assert session["messages"][1]["route"] == "draft" and not session["has_more"]
    assert [one["id"] for one in client.get("/v1/sessions", params={"q": "two"}).json()["data"]] == [name]
    assert client.get("/v1/sessions", params={"limit": 1, "before": listed[1]["place"]}).json()["data"] == listed[2:]


def test_a_response_that_is_gone_on_with_is_a_session_from_its_beginning(client: httpx.Client) -> None:
    sdk = openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="unused")
    first = sdk.responses.create(model="local", input="one")
    alone = sdk.responses.create(model="local", input="alone")
    assert client.get("/v1/sessions").json()["data"] == []
    second = sdk.responses.create(model="local", input="two", previous_response_id=first.id)
    sdk.responses.create(model="firstpass", input="three", previous_response_id=second.id)
    [session] = client.get("/v1/sessions").json()["data"]
    assert session["exchanges"] == 3 and session["id"] == first.id.removeprefix("resp_")
    [found] = client.get("/v1/sessions", params={"q": "three"}).json()["data"]
    assert found == session
    assert client.get("/v1/sessions", params={"q": "alone"}).json()["data"] == []
    messages = client.get(f"/v1/sessions/{session['id']}").json()["messages"]
    assert [turn["content"] for turn in messages if turn["role"] == "user"] == ["one", "two", "three"]
    named = sdk.responses.create(
        model="local", input="four", previous_response_id=alone.id, extra_body={"firstpass": {"session": "named"}}
    )
    sdk.responses.create(model="local", input="five", previous_response_id=named.id)
    assert client.get("/v1/sessions/named").json()["exchanges"] == 2


@pytest.mark.parametrize(
    "name", ["two\nlines", "\n", " ", "a/", "//a", "50%", "a%2Fb", "x" * 200, "ex_mine", "?#", "ש🎉"]
)
def test_a_session_of_any_name_is_listed_read_and_forgotten(client: httpx.Client, name: str) -> None:
    made = ask(client, "one", name)
    assert [one["id"] for one in client.get("/v1/sessions").json()["data"]] == [name]
    assert ids(client, session=name) == [made]
    address = f"/v1/sessions/{quote(name, safe='')}"
    assert client.get(address).json()["id"] == name
    assert client.delete(address).json()["exchanges"] == 1


@pytest.mark.parametrize("field", ["limit", "before", "rocket"])
def test_a_part_of_a_session_is_not_forgotten_and_who_wants_it_is_told(client: httpx.Client, field: str) -> None:
    made = ask(client, "one", "s")
    response = client.delete("/v1/sessions/s", params={field: 1})
    assert response.status_code == 400 and response.json()["error"]["param"] == field
    assert ids(client, q="one") == [made]


def test_a_long_session_comes_page_by_page(client: httpx.Client) -> None:
    for number in range(5):
        ask(client, f"turn {number}", "long")
    page = client.get("/v1/sessions/long", params={"limit": 2}).json()
    assert [turn["content"] for turn in page["messages"] if turn["role"] == "user"] == ["turn 3", "turn 4"]
    older = client.get("/v1/sessions/long", params={"limit": 4, "before": page["messages"][0]["exchange"]}).json()
    assert [turn["content"] for turn in older["messages"] if turn["role"] == "user"] == ["turn 0", "turn 1", "turn 2"]
    assert page["has_more"] and not older["has_more"]


def test_a_page_of_huge_exchanges_ends_early_and_says_that_there_is_more(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [ask(client, f"{number} " * 100_000, "huge") for number in range(3)]
    monkeypatch.setattr(browsing, "PAGE_CHARACTERS", 300_000)
    page = client.get("/v1/sessions/huge").json()
    assert {turn["exchange"] for turn in page["messages"]} == {made[2]} and page["has_more"]
    monkeypatch.setattr(browsing, "PAGE_SECONDS", 0.0)
    page = client.get(LISTED).json()
    assert [one["id"] for one in page["data"]] == made[:1:-1] and page["has_more"]
    assert len(page["data"][0]["title"]) <= 120


def test_a_list_of_sessions_that_takes_long_ends_early_and_goes_on_from_there(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        ask(client, "one", name)
    monkeypatch.setattr(browsing, "PAGE_SECONDS", 0.0)
    for query in ({}, {"q": "one"}):
        page = client.get("/v1/sessions", params=query).json()
        assert [one["id"] for one in page["data"]] == ["c"] and page["has_more"]
        for name in "ba":
            page = client.get("/v1/sessions", params={"before": page["data"][0]["place"]} | query).json()
            assert [one["id"] for one in page["data"]] == [name] and page["has_more"] == (name == "b")


def test_what_is_deleted_is_gone_for_good(client: httpx.Client, tmp_path: Path) -> None:
    one, other = ask(client, "zanzibar", "s"), ask(client, "quixote", "s")
    assert client.delete(f"{LISTED}/{one}").json() == {"id": one, "object": "exchange", "deleted": True}
    assert client.delete(f"{LISTED}/{one}").is_success, "its counts are there, and it may be forgotten again"
    assert client.delete("/v1/sessions/s").json()["exchanges"] == 1
    assert client.delete("/v1/sessions/s").status_code == 404
    assert ids(client, q="zanzibar") == ids(client, q="quixote") == [] and ids(client) == [other, one]
    on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"zanzibar" not in on_disk and b"quixote" not in on_disk


def test_what_is_not_there_is_a_404_that_says_what(client: httpx.Client) -> None:
    for path in (f"{LISTED}/ex_1", "/v1/sessions/none", "/v1/sessions/ex_1"):
        for method in ("GET", "DELETE"):
            response = client.request(method, path)
            assert response.status_code == 404 and "in the record" in response.json()["error"]["message"], path


@contextmanager
def keyed(tmp_path: Path, *scopes: Scopes) -> Iterator[tuple[httpx.Client, list[dict[str, str]], list[str]]]:
    """A front that requires keys: the headers of a key for each scopes, and their owners."""
    with (
        serving(openai_app(says("hi"))) as url,
        fronted(url, tmp_path, server={"keys": "required"}) as client,
    ):
        store, pepper = SqliteStore(tmp_path / "firstpass.sqlite"), load_pepper(tmp_path / "pepper")
        made = [mint(f"key {number}", pepper, 1.0, one) for number, one in enumerate(scopes)]
        for _, record in made:
            store.add_key(record)
        yield client, [{"x-api-key": key} for key, _ in made], [record.owner for _, record in made]


def test_a_key_sees_its_own_record_alone_unless_it_was_made_for_more(tmp_path: Path) -> None:
    with keyed(tmp_path, Scopes(), Scopes(), Scopes(record="all")) as (client, [a, b, every], [owner_a, owner_b, _]):
        body = {"model": "local", "messages": [{"role": "user", "content": "word"}], "firstpass": {"session": "s"}}
        [of_a, of_b] = [client.post(CHAT, json=body, headers=headers).headers["x-request-id"] for headers in (a, b)]

        def listed(headers: dict[str, str], path: str = LISTED, **params: Any) -> list[str]:
            response = client.get(path, params=params, headers=headers)
            assert response.is_success, response.text
            return [one["id"] for one in response.json()["data"]]

        assert listed(a) == listed(a, q="word") == listed(a, session="s") == [of_a]
        assert listed(every) == listed(every, session="s") == [of_b, of_a]
        assert listed(every, key=owner_a) == [of_a] and listed(b, key=owner_b) == [of_b]
        assert client.get(LISTED, params={"key": owner_b}, headers=a).status_code == 403
        for path in (f"{LISTED}/{of_b}", f"{LISTED}/{of_b}"):
            assert client.get(path, headers=a).status_code == client.delete(path, headers=a).status_code == 404
        assert client.get(f"{LISTED}/{of_b}", headers=every).is_success
        assert listed(a, "/v1/sessions") == ["s"] and listed(every, "/v1/sessions") == ["s", "s"]
        assert client.get("/v1/sessions/s", headers=a).json()["messages"][0]["exchange"] == of_a
        used = client.get("/v1/usage", headers=every).json()["data"]
        assert {(one["key"], one["name"], one["requests"]) for one in used} == {
            (owner_a, "key 0", 1),
            (owner_b, "key 1", 1),
        }
        assert [one["key"] for one in client.get("/v1/usage", headers=a).json()["data"]] == [owner_a]
        assert client.delete("/v1/sessions/s", headers=a).json()["exchanges"] == 1
        assert client.get("/v1/sessions/s", headers=b).json()["exchanges"] == 1
        assert client.delete(f"{LISTED}/{of_b}", headers=every).is_success
        assert listed(b, q="word") == []


def test_a_key_for_labels_may_not_read_the_record(tmp_path: Path) -> None:
    with keyed(tmp_path, Scopes(routes=("labels",)), Scopes(routes=("exchanges",))) as (client, [labels, reads], _):
        assert client.get(LISTED, headers=labels).status_code == 403
        assert client.post(f"{LISTED}/ex_1/label", json={"verdict": "accept"}, headers=labels).status_code == 404
        assert client.get(LISTED, headers=reads).is_success
        assert client.post(f"{LISTED}/ex_1/label", json={"verdict": "accept"}, headers=reads).status_code == 403
        assert client.get("/v1/sessions", headers=reads).status_code == 403
