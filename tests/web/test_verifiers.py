"""Several verifiers: each asked by its name, the next where one fails, with a ceiling and a price of its own."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from firstpass import app
from firstpass.cli import calibrate
from firstpass.errors import BadSettings
from firstpass.exchange import Exchange
from firstpass.settings import Settings
from firstpass.store.scopes import Spend, day_of
from firstpass.store.sqlite import SqliteStore
from tests.conftest import serving, wait_until_ready
from tests.doubles import DIFF, STRAYS, anthropic_app, claude_says, judges, openai_app, says
from tests.keyed import bearer, new_key
from tests.replayed import Replayed
from tests.web.test_anthropic_tier import KEY
from tests.web.test_engines import said

NEAR = {"url": "http://127.0.0.1:9/v1", "model": "m", "hosted": False}
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJ"
    "RU5ErkJggg=="
)
SECRET = "AKIAIOSFODNN7EXAMPLE"
PRICED = {"usd_per_million_input_tokens": 0.0, "usd_per_million_output_tokens": 100.0}


def broken(status: int = 500) -> Any:
    return Replayed(error=lambda body: (status, {"error": {"message": "no", "type": "server_error"}})).app


@contextmanager
def judged_by(
    folder: Path, verifiers: dict[str, tuple[Any, dict[str, Any]]], draft: Any = "I am the draft.", **sections: Any
) -> Iterator[httpx.Client]:
    """verifiers: by name, the application and its further settings. draft: what the engine says, or its application."""
    with ExitStack() as stack:
        engine = stack.enter_context(serving(openai_app(says(draft)) if isinstance(draft, str) else draft))
        tables = {
            name: {"url": f"{stack.enter_context(serving(one))}/v1", "model": f"model-{name}"} | further
            for name, (one, further) in verifiers.items()
        }
        server = {"data_dir": folder} | sections.pop("server", {})
        engines = {"kind": "external", "url": f"{engine}/v1", "images": True}
        wanted = {"engine": engines, "verifiers": tables, "server": server, "policy": {"egress": "any"}} | sections
        url = stack.enter_context(serving(app.build(Settings.model_validate(wanted))))
        client = stack.enter_context(httpx.Client(base_url=url, timeout=30))
        wait_until_ready(client)
        yield client


def recorded(folder: Path) -> list[Exchange]:
    store = SqliteStore(folder / "firstpass.sqlite")
    found = [one for one in reversed(store.latest(20)) if isinstance(one, Exchange)]
    store.close()
    return found


def two(**further: Any) -> dict[str, tuple[Any, dict[str, Any]]]:
    return {name: (openai_app(says(f"I am {name}.")), dict(further)) for name in ("near", "far")}


def test_the_first_is_strong_and_each_is_asked_by_its_name(tmp_path: Path) -> None:
    aliases = {"careful": "far", "hard": {"model": "strong", "verifier": "far"}}
    with judged_by(tmp_path, two(), aliases=aliases) as client:
        by_name = {name: said(client, name) for name in ("strong", "near", "far", "careful", "hard")}
        listed = [card["id"] for card in client.get("/v1/models").json()["data"]]
    assert by_name.pop("strong") == by_name.pop("near") == "I am near."
    assert set(by_name.values()) == {"I am far."} and {"near", "far"} <= set(listed)
    assert [one.steps[0].reply.verifier for one in recorded(tmp_path) if one.steps[0].reply] == [
        *("near", "near", "far", "far", "far")
    ]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_the_next_is_asked_where_one_fails_and_both_leave_a_receipt(tmp_path: Path, status: int) -> None:
    verifiers = {"near": (broken(status), {"retries": 0}), "far": (openai_app(says("I am far.")), {})}
    with judged_by(tmp_path, verifiers) as client:
        assert said(client, "strong") == "I am far."
        alone = client.post(
            "/v1/chat/completions", json={"model": "near", "messages": [{"role": "user", "content": "x"}]}
        )
    assert alone.status_code >= httpx.codes.BAD_REQUEST, "who is named is asked alone"
    assert [receipt.model for receipt in recorded(tmp_path)[0].receipts] == ["model-near", "model-far"]


def test_a_stream_that_has_begun_is_not_begun_again_by_another(tmp_path: Path) -> None:
    first = Replayed(
        stream=b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
        b'"delta":{"content":"I am ne"},"finish_reason":null}]}\n\n',
        breaks=True,
    )
    verifiers = {"near": (first.app, {"retries": 0}), "far": (openai_app(says("I am far.")), {})}
    with judged_by(tmp_path, verifiers) as client:
        body = {"model": "strong", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        text = client.post("/v1/chat/completions", json=body).text
    assert "I am ne" in text and "I am far" not in text and "error" in text


def test_what_may_not_go_to_one_goes_to_the_next_that_it_may_go_to(tmp_path: Path) -> None:
    here = {"hosted": False}
    verifiers = {"far": (openai_app(says("I am far.")), {}), "near": (openai_app(says("I am near.")), here)}
    with judged_by(tmp_path, verifiers) as client:
        kept = [said_under(client, "strong", ceiling) for ceiling in ("any", "local-only")]
        refused = client.post(
            "/v1/chat/completions",
            json={
                "model": "far",
                "messages": [{"role": "user", "content": "hi"}],
                "firstpass": {"egress": "local-only"},
            },
        )
    assert kept == ["I am far.", "I am near."]
    assert refused.status_code == httpx.codes.FORBIDDEN and refused.json()["error"]["code"] == "egress_forbidden"


def said_under(client: httpx.Client, model: str, ceiling: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "firstpass": {"egress": ceiling}}
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.is_success, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def test_a_verifier_s_own_ceiling_holds_for_it_alone(tmp_path: Path) -> None:
    heard: dict[str, list[str]] = {"near": [], "far": []}

    def hears(name: str) -> Any:
        def answer(body: dict[str, Any]) -> str:
            heard[name].append(json.dumps(body))
            return f"I am {name}."

        return openai_app(answer)

    verifiers = {"near": (hears("near"), {"ceiling": "redacted"}), "far": (hears("far"), {})}
    with judged_by(tmp_path, verifiers) as client:
        for name in ("near", "far"):
            assert said(client, name, f"the key is {SECRET}") == f"I am {name}."
    assert SECRET not in "".join(heard["near"]) and SECRET in "".join(heard["far"])


def test_each_costs_by_its_own_price(tmp_path: Path) -> None:
    verifiers = two(**PRICED)
    verifiers["near"][1]["usd_per_million_output_tokens"] = 1.0
    with judged_by(tmp_path, verifiers, server={"keys": "required"}) as client:
        keys = {name: new_key(tmp_path, spend=Spend(5.0)) for name in ("near", "far")}
        for name, (key, _) in keys.items():
            client.post(
                "/v1/chat/completions",
                headers=bearer(key),
                json={"model": name, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9},
            ).raise_for_status()
    store = SqliteStore(tmp_path / "firstpass.sqlite")
    exchanges = recorded(tmp_path)
    spent = {
        name: store.spent(record.owner, day_of(exchanges[0].ask.received_unix)) for name, (_, record) in keys.items()
    }
    store.close()
    assert spent["near"] > 0 and spent["far"] == pytest.approx(100 * spent["near"])


def test_a_failed_one_that_was_never_counted_stays_spent_at_the_most(tmp_path: Path) -> None:
    """It broke off midway: it may have its price."""
    cut = Replayed(whole={"nonsense": True}).app
    verifiers = {"near": (cut, {"retries": 0} | PRICED), "far": (openai_app(says("I am far.")), dict(PRICED))}
    with judged_by(tmp_path, verifiers, server={"keys": "required"}) as client:
        key, record = new_key(tmp_path, spend=Spend(5.0))
        body = {"model": "strong", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1000}
        client.post("/v1/chat/completions", headers=bearer(key), json=body).raise_for_status()
    store = SqliteStore(tmp_path / "firstpass.sqlite")
    spent = store.spent(record.owner, day_of(recorded(tmp_path)[0].ask.received_unix))
    store.close()
    assert spent >= 1000 * 100 / 1e6


def test_a_verdict_comes_from_the_next_where_the_first_fails(tmp_path: Path) -> None:
    right = openai_app(
        judges("Summary: Calls createSession.\nCalls:\n- createSession()\nTODOs:\n- none\nActions:\n- none")
    )
    verifiers = {"near": (broken(), {"retries": 0}), "far": (right, {})}
    with judged_by(tmp_path, verifiers, draft=STRAYS) as client:
        body = {"model": "firstpass", "messages": [{"role": "user", "content": DIFF}]}
        answer = client.post("/v1/chat/completions", json=body | {"firstpass": {"contract": "pr-summary@3"}})
    how = answer.json()["firstpass"]
    assert how["route"] == "verified" and [step["model"] for step in how["steps"]][-1]


def test_an_anthropic_one_may_be_behind_an_openai_one(tmp_path: Path) -> None:
    claude = anthropic_app(claude_says("I am far."))
    verifiers = {"near": (broken(), {"retries": 0}), "far": (claude, {"dialect": "anthropic", "api_key": KEY})}
    with judged_by(tmp_path, verifiers) as client:
        assert said(client, "strong") == "I am far."


def test_a_rule_names_a_verifier(tmp_path: Path) -> None:
    rules = [{"name": "hard", "then": "strong", "verifier": "far", "text": "hard"}]
    with judged_by(tmp_path, two(), policy={"egress": "any", "rules": rules}) as client:
        assert [said(client, "firstpass", text) for text in ("easy", "hard")] == ["I am the draft.", "I am far."]


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"verifier": {"url": "http://127.0.0.1:9/v1", "model": "m"}}, "verifier and verifiers exclude each other"),
        ({"verifiers": {"local": {"url": "http://127.0.0.1:9/v1", "model": "m"}}}, r"verifiers\.local"),
        ({"verifiers": {"cascade": NEAR}}, r"verifiers\.cascade"),
        ({"verifiers": {"external": NEAR}}, r"verifiers\.external: it is the name of the engine's model"),
        ({"aliases": {"a": {"model": "strong", "verifier": "no"}}}, "there is no verifier 'no'; there are near, far"),
        ({"aliases": {"a": {"model": "near", "verifier": "far"}}}, "near is verified by no other"),
        ({"policy": {"rules": [{"name": "r", "then": "strong", "verifier": "no"}]}}, r"policy\.rules\.0\.verifier"),
        ({"policy": {"rules": [{"name": "r", "then": "local", "verifier": "far"}]}}, "nobody verifies"),
        ({"policy": {"keyless_usd_a_day": 1.0}}, "needs the prices"),
        ({"verifiers": {"near": NEAR | {"ceiling": "redacted"}}}, "ceiling does not hold"),
    ],
)
def test_a_setting_that_names_what_is_not_there_says_so(tmp_path: Path, sections: dict[str, Any], told: str) -> None:
    verifiers = {name: {"url": "http://127.0.0.1:9/v1", "model": "m"} for name in ("near", "far")}
    engine = {"kind": "external", "url": "http://127.0.0.1:9/v1"}
    base: dict[str, Any] = {"engine": engine, "verifiers": verifiers, "server": {"data_dir": tmp_path}}
    with pytest.raises((BadSettings, ValidationError), match=told):
        app.build(Settings.model_validate(base | sections))


@pytest.mark.parametrize(("egress", "own"), [("redacted", "any"), ("any", "redacted")])
def test_an_image_never_goes_where_it_would_have_to_be_redacted(tmp_path: Path, egress: str, own: str) -> None:
    """A verifier on this machine beside it does not open the way to the one outside."""
    far = openai_app(says("I am far."))
    verifiers = {
        "far": (far, {"ceiling": own, "images": True}),
        "near": (openai_app(says("I am near.")), {"hosted": False, "images": True}),
    }
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    body = {"messages": [{"role": "user", "content": content}], "firstpass": {"egress": egress}}
    with judged_by(tmp_path, verifiers) as client:
        answers = {name: client.post("/v1/chat/completions", json=body | {"model": name}) for name in ("strong", "far")}
    assert answers["strong"].json()["choices"][0]["message"]["content"] == "I am near."
    assert answers["far"].status_code == httpx.codes.FORBIDDEN, answers["far"].text
    assert far.state.seen == []


def test_a_draft_that_fails_says_so_where_no_verifier_may_be_asked(tmp_path: Path) -> None:
    """It was refused for a ceiling, as if its caller had asked for what leaves the machine."""
    blind = {"hosted": False, "images": False}
    verifiers = {"far": (openai_app(says("I am far.")), {"images": True}), "near": (openai_app(says("no")), blind)}
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    body = {"model": "firstpass", "messages": [{"role": "user", "content": content}]}
    with judged_by(tmp_path, verifiers, draft=broken(), policy={"egress": "redacted"}) as client:
        explained = client.post("/v1/explain", json=body).text
        answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code != httpx.codes.FORBIDDEN and "draft" in answer.text, answer.text
    assert "nobody else is asked" in explained


def test_embeddings_are_never_another_model_s(tmp_path: Path) -> None:
    """Those of two models can not be compared: who keeps them asks for the second one by its name."""
    vectors = {"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.5]}]}
    far = Replayed(whole=vectors)
    verifiers = {"near": (broken(), {"retries": 0}), "far": (far.app, {})}
    with judged_by(tmp_path, verifiers) as client:
        body = {"input": "word"}
        answers = [client.post("/v1/embeddings", json=body | {"model": name}) for name in ("strong", "far")]
    assert [answer.is_success for answer in answers] == [False, True], answers[0].text
    assert len(far.seen) == 1


def test_a_server_of_calibrate_s_own_has_no_verifier_of_several(tmp_path: Path) -> None:
    """One on this machine was asked in spite of the ceiling, and nothing could be calibrated on what it said."""
    with serving(openai_app(says("x"))) as engine:
        file = tmp_path / "firstpass.toml"
        file.write_text(
            f'aliases = {{ careful = "far" }}\n[server]\ndata_dir = "{tmp_path}"\n'
            f'[engine]\nkind = "external"\nurl = "{engine}/v1"\n'
            '[verifiers.far]\nurl = "http://127.0.0.1:9/v1"\nmodel = "m"\nhosted = false\n'
        )
        with calibrate._server(None, file) as url:
            listed = {card["id"] for card in httpx.get(f"{url}/v1/models").json()["data"]}
    assert "firstpass" in listed and not listed & {"far", "strong", "careful"}
