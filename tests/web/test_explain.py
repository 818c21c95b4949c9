"""`firstpass explain` and /v1/explain: what would become of a request, and the same request when it is really made."""

import json
from typing import Any

import pytest

from tests.conftest import Front, serving
from tests.doubles import DIFF, NAMES, openai_app, says
from tests.web.test_cli import firstpass

RULES = [{"name": "authorisation", "then": "strong", "paths": ["auth.py"]}]
BODY: dict[str, Any] = {"model": "firstpass", "messages": [{"role": "user", "content": DIFF}]}
SUMMARY = BODY | {"firstpass": {"contract": "pr-summary@3"}}


def test_a_rule_sends_a_request_to_the_strong_model_and_explain_says_so_before(front: Front) -> None:
    stronger, drafter = openai_app(says(NAMES)), says("Summary: the draft")
    with serving(stronger) as url:
        verifier = {"url": f"{url}/v1", "model": "stronger", "hosted": False}
        with front(drafter, verifier=verifier, policy={"rules": RULES}) as client:
            told = client.post("/v1/explain", json=SUMMARY).json()
            assert stronger.state.seen == [] and client.get("/metrics").text.count("firstpass_requests_total{") == 0
            done = client.post("/v1/chat/completions", json=SUMMARY).json()["firstpass"]
            other = client.post("/v1/explain", json=BODY | {"messages": [{"role": "user", "content": "hi"}]}).json()
    assert (told["target"], told["rule"]["name"], told["contract"]) == ("strong", "authorisation", "pr-summary@3")
    assert told["steps"][0] == "the verifier answers alone"
    assert done["route"] == "strong" and [step["rule"] for step in done["steps"]] == ["authorisation"]
    assert other["target"] == "cascade" and other["rule"] is None


def test_a_rule_that_can_not_be_met_is_a_refusal_that_explain_foresees(front: Front) -> None:
    with front(says(NAMES), policy={"rules": RULES}) as client:
        told = client.post("/v1/explain", json=SUMMARY).json()
        refused = client.post("/v1/chat/completions", json=SUMMARY)
    message = "the rule 'authorisation' sends this to the strong model, and no verifier is configured on this server"
    assert told["steps"] == [f"it is refused: {message}"]
    assert refused.status_code == 404 and refused.json()["error"]["message"] == message


def test_explain_speaks_to_people_and_to_machines(front: Front) -> None:
    with front(says(NAMES)) as client:
        url = str(client.base_url)
        said = firstpass("explain", "--contract", "pr-summary@3", "--url", url, stdin=DIFF.encode()).stdout.decode()
        raw = json.loads(firstpass("explain", "--json", "--url", url, "hello").stdout)
        wrong = firstpass("explain", "--contract", "haiku", "--url", url, stdin=b"x")
    assert "firstpass means cascade, by no rule; ceiling local-only" in said
    assert "4. what still fails is answered unverified: no verifier is configured" in said
    assert raw["steps"][0].startswith("the draft model answers") and wrong.returncode == 1


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ({"name": "x", "then": "strong", "path": ["a"]}, "policy.rules.0.path: Extra inputs"),
        ({"name": "x", "then": "upwards"}, "policy.rules.0.then: Input should be"),
        ({"then": "strong"}, "policy.rules.0.name: Field required"),
        (
            {"name": "x", "then": "strong", "text": "("},
            "policy.rules.0.text: Value error, the expression is no regular expression",
        ),
    ],
)
def test_a_wrong_rule_is_said_with_its_key(rule: dict[str, Any], fault: str, tmp_path: Any) -> None:
    config = tmp_path / "firstpass.toml"
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in rule.items())
    config.write_text(f"[[policy.rules]]\n{lines}")
    done = firstpass("contracts", "list", "--config", str(config))
    assert done.returncode == 1 and fault in " ".join(done.stderr.decode().split())
