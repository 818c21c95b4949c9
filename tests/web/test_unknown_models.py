"""Change the base URL and nothing else: somebody answers for an unknown name of a model, and the answer says who."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from firstpass.store.sqlite import SqliteStore
from tests.conftest import Front, fronted, serving
from tests.doubles import says
from tests.replayed import Replayed

TURN = {"messages": [{"role": "user", "content": "hi"}]}
ASKS = [
    ("/v1/chat/completions", TURN),
    ("/v1/messages", TURN | {"max_tokens": 9}),
    ("/v1/responses", {"input": "hi"}),
    ("/infer", {"prompt": "hi"}),
]


@pytest.mark.parametrize(("path", "body"), ASKS)
@pytest.mark.parametrize(("setting", "who"), [("auto", "firstpass"), ("cascade", "firstpass"), ("local", "local")])
def test_an_unknown_model_is_answered_for_and_the_answer_says_by_whom(
    front: Front, path: str, body: dict[str, Any], setting: str, who: str
) -> None:
    with front(says("Hello."), server={"unknown_models": setting}) as client:
        for stream in [False] if path == "/infer" else [False, True]:
            answer = client.post(path, json=body | {"model": "gpt-9"} | ({"stream": True} if stream else {}))
            assert answer.is_success and answer.headers["x-firstpass-model"] == who, answer.text
        named = client.post(path, json=body | {"model": who})
    assert named.is_success and "x-firstpass-model" not in named.headers


def test_it_can_be_refused_and_is_no_model_of_the_list(front: Front) -> None:
    with front(says("Hello."), server={"unknown_models": "refuse"}) as client:
        refused = client.post("/v1/chat/completions", json=TURN | {"model": "gpt-9"})
    with front(says("Hello.")) as client:
        listed = [model["id"] for model in client.get("/v1/models").json()["data"]]
        one = client.get("/v1/models/gpt-9")
    assert refused.status_code == one.status_code == httpx.codes.NOT_FOUND and "gpt-9" not in listed
    assert refused.json()["error"]["code"] == one.json()["error"]["code"] == "model_not_found"


def test_a_name_of_the_house_stands_for_nobody_else(front: Front) -> None:
    with front(says("Hello.")) as client:
        answer = client.post("/v1/chat/completions", json=TURN | {"model": "strong"})
    assert answer.status_code == httpx.codes.NOT_FOUND and "unknown model 'strong'" in answer.text


def test_an_alias_comes_before(front: Front) -> None:
    with front(says("Hello."), aliases={"gpt-*": "local"}) as client:
        answer = client.post("/v1/chat/completions", json=TURN | {"model": "gpt-9"})
    assert answer.is_success and "x-firstpass-model" not in answer.headers


def test_an_alias_stays_what_its_operator_said_when_the_engine_has_that_name(tmp_path: Path) -> None:
    with serving(Replayed().app) as url, fronted(url, tmp_path, aliases={"replayed": "firstpass"}) as client:
        listed = [model["id"] for model in client.get("/v1/models").json()["data"]]
        client.post("/v1/chat/completions", json=TURN | {"model": "replayed"})
    (kept,) = SqliteStore(tmp_path / "firstpass.sqlite").latest(1)
    assert listed.count("replayed") == 1 and kept.ask.target == "cascade"


def test_the_model_of_an_engine_that_somebody_else_runs_is_known_and_listed(tmp_path: Path) -> None:
    with serving(Replayed().app) as url, fronted(url, tmp_path, server={"unknown_models": "refuse"}) as client:
        listed = [model["id"] for model in client.get("/v1/models").json()["data"]]
        answer = client.post("/v1/chat/completions", json=TURN | {"model": "replayed"})
    assert listed == ["firstpass", "local", "external", "replayed"]
    assert answer.is_success and "x-firstpass-model" not in answer.headers and answer.json()["model"] == "replayed"
