"""`firstpass calibrate` and what its gate does, with whole fronts before a scripted model that says how sure it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Front, fronted, serving
from tests.doubles import DIFF, NAMES, judges, openai_app
from tests.web.test_cli import firstpass

CHANGES, HARD_EVERY = 400, 8
ENGINE = {"model": "scripted"}
SIGNALS = {"signals": True}


def is_hard(body: dict[str, Any]) -> bool:
    return "hard.py" in body["messages"][-1]["content"]


def drafts(body: dict[str, Any]) -> str:
    """Right in form everywhere; on a hard change the labels want a call that the diff's lines do not show."""
    return NAMES


def sure(body: dict[str, Any]) -> float:
    return -1.5 if is_hard(body) else -0.01


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    return changes(tmp_path / "changes.jsonl")


def changes(file: Path) -> Path:
    """Changes of four repositories. In one of eight another call is new too, as only the whole file would show."""
    with file.open("w") as out:
        for number in range(CHANGES):
            hard = number // 4 % HARD_EVERY == 0
            diff = DIFF.replace("auth.py", "hard.py") if hard else DIFF
            required = ["createSession", *(["elsewhere"] if hard else [])]
            row = {"repo": f"shop-{number % 4}", "sha": str(number), "diff": diff, "required": required}
            out.write(json.dumps(row) + "\n")
    return file


def calibrated(url: str, labelled: Path, out: Path, *options: str) -> Any:
    contract = () if "--contract" in options else ("--contract", "pr-summary@3")
    given = ("--url", url, "--out", str(out), "--commits", "1000", *contract)
    return firstpass("calibrate", str(labelled), *given, *options)


@pytest.fixture(scope="module")
def gate_text(tmp_path_factory: pytest.TempPathFactory) -> str:
    there = tmp_path_factory.mktemp("gate")
    with (
        serving(openai_app(drafts, sure)) as engine,
        fronted(engine, there / "data", engine=ENGINE, policy=SIGNALS) as client,
    ):
        done = calibrated(str(client.base_url), changes(there / "changes.jsonl"), there / "gate.json")
    assert done.returncode == 0, done.stderr
    return (there / "gate.json").read_text()


@pytest.fixture
def gate(gate_text: str, tmp_path: Path) -> Path:
    """The file of one that was calibrated once, for each test anew: a server writes no gate, but a test may."""
    file = tmp_path / "gate.json"
    file.write_text(gate_text)
    return file


def test_a_gate_is_fitted_on_some_repositories_and_calibrated_on_others(gate: Path) -> None:
    made = json.loads(gate.read_text())
    assert (made["contract"], made["model"]) == ("pr-summary@3", "scripted")
    assert made["fitted_on"].keys().isdisjoint(made["calibrated_on"])
    assert sum(made["fitted_on"].values()) + sum(made["calibrated_on"].values()) == CHANGES
    promise = made["promise"]
    assert promise["upper"] <= promise["risk"] == 0.02 and promise["failures"] == 0
    assert promise["coverage"] == pytest.approx(1 - 1 / HARD_EVERY, abs=0.02)
    weights = {term["signal"]: term["weight"] for term in made["score"]["terms"]}
    assert weights["least_logprob"] > 0 and made["accept_from"] > 0


def test_a_gate_may_be_for_one_language_and_one_key_alone(front: Front, labelled: Path, tmp_path: Path) -> None:
    with labelled.open("a") as out:
        for number in range(40):
            row = {"repo": "shop-0", "sha": f"go{number}", "diff": DIFF.replace(".py", ".go"), "required": []}
            out.write(json.dumps(row) + "\n")
    file = tmp_path / "gate.json"
    with front(drafts, sure, engine=ENGINE, policy=SIGNALS) as client:
        done = calibrated(str(client.base_url), labelled, file, "--language", "python", "--key", "k1")
    assert done.returncode == 0, done.stderr
    made = json.loads(file.read_text())
    assert (made["language"], made["key"]) == ("python", "k1")
    assert sum(made["fitted_on"].values()) + sum(made["calibrated_on"].values()) == CHANGES
    assert "for requests of the language python and the key k1 alone" in " ".join(done.stdout.decode().split())
    twice = tmp_path / "again.json"
    twice.write_text(json.dumps(made | {"made_unix": 1.0}))
    policy = {"gates": [str(file), str(twice)]}
    said = "there are two for pr-summary@3, key k1, language python"
    with pytest.raises(Exception, match=said), front(drafts, sure, engine=ENGINE, policy=policy):
        pass


def test_a_gate_may_come_from_labels_in_the_record(front: Front, tmp_path: Path) -> None:
    body = {"model": "firstpass", "firstpass": {"contract": "pr-summary@3"}}
    said = body | {"messages": [{"role": "user", "content": DIFF}]}
    here = {"FIRSTPASS_SERVER__DATA_DIR": str(tmp_path / "data")}
    wanted = (
        "calibrate",
        "--labels",
        "--contract",
        "pr-summary@3",
        "--risk",
        "0.2",
        "--confidence",
        "0.9",
        "--out",
        str(tmp_path / "gate.json"),
    )
    with front(drafts, sure, engine=ENGINE, policy=SIGNALS) as client:

        def labelled(asked: dict[str, Any], *verdicts: str) -> None:
            exchange = client.post("/v1/chat/completions", json=asked).headers["x-request-id"]
            for verdict in verdicts:
                assert client.post(f"/v1/exchanges/{exchange}/label", json={"verdict": verdict}).is_success

        for number in range(30):
            labelled(said, *(["reject"] if number == 0 else ["reject", "accept"]))
        labelled(said | {"temperature": 0.5}, "reject")
        labelled(said | {"firstpass": body["firstpass"] | {"store": False}}, "reject")
        labelled(said | {"model": "local"}, "reject")
        labelled(said)
    done = firstpass(*wanted, **here)
    assert done.returncode == 0, done.stderr
    made = json.loads((tmp_path / "gate.json").read_text())
    assert (made["contract"], made["model"], made["most_bytes"]) == ("pr-summary@3", "scripted", len(DIFF))
    assert sum([*made["fitted_on"].values(), *made["calibrated_on"].values()]) == 30
    for options, fault in (
        (("--language", "go"), "the record has no labelled drafts of pr-summary@3 like these"),
        (("--key", "k1"), "the record has no labelled drafts of pr-summary@3 like these"),
        (("--risk", "0.02"), "needs 114 labelled drafts; there are 20 beside"),
        ((str(tmp_path),), "give changes to ask about, or --labels, and not both"),
    ):
        refused = firstpass(*wanted, *options, **here)
        assert refused.returncode == 1 and fault in " ".join(refused.stderr.decode().split())
    (tmp_path / "firstpass.toml").write_text('[policy]\nauditors = ["k1"]\n')
    unheard = firstpass(*wanted, "--config", str(tmp_path / "firstpass.toml"), **here)
    assert unheard.returncode == 1 and b"no labelled drafts" in unheard.stderr, (
        "nobody's labels but the auditors' count"
    )


def explained(exchange: str, folder: Path) -> str:
    return firstpass("explain", exchange, FIRSTPASS_SERVER__DATA_DIR=str(folder / "data")).stdout.decode()


def test_the_gate_sends_unsure_drafts_to_the_verifier_and_says_why(front: Front, gate: Path, tmp_path: Path) -> None:
    body = {"model": "firstpass", "firstpass": {"contract": "pr-summary@3"}}
    with serving(openai_app(judges(NAMES))) as url:
        verifier = {"url": f"{url}/v1", "model": "stronger", "hosted": False}
        policy = {"gates": [str(gate)]}
        with front(drafts, sure, engine=ENGINE, policy=policy, verifier=verifier) as client:
            easy, hard = (
                client.post(
                    "/v1/chat/completions", json=body | {"messages": [{"role": "user", "content": diff}]}
                ).json()
                for diff in (DIFF, DIFF.replace("auth.py", "hard.py"))
            )
    assert easy["firstpass"]["route"] == "draft" and hard["firstpass"]["route"] == "verified"
    kept, sent = easy["firstpass"]["gate"], hard["firstpass"]["gate"]
    assert kept["accepted"] and not sent["accepted"] and kept["score"] > kept["accept_from"] > sent["score"]
    assert kept["gate"] == sent["gate"] and kept["gate"].startswith("pr-summary@3-")
    assert (kept["risk"], kept["confidence"]) == (0.02, 0.95)
    assert easy["choices"][0]["logprobs"] is None, "the gate's logprobs are not the caller's"
    told = [explained(answer["firstpass"]["exchange"], tmp_path) for answer in (easy, hard)]
    assert "so it was accepted; its promise is that at most 2.0% of all requests" in told[0]
    assert "so it was not accepted" in told[1] and "4. so the verified draft is the answer" in told[1]


def scores(logprob: float | None) -> Any:
    """A verifier that gives every token of a draft this log-probability, and mends every draft to NAMES."""

    def answer(body: dict[str, Any]) -> str:
        return "x" if "prompt_logprobs" in body else judges(NAMES)(body)

    return openai_app(answer, None if logprob is None else lambda body: logprob)


@pytest.mark.parametrize(
    ("logprob", "purposes", "told"),
    [
        (-0.2, ["draft", "score"], "the verifier stronger scored the draft (13 tokens): it doubts no name"),
        (-6.0, ["draft", "score", "verify"], "The verifier doubts createSession: -6.00 nats, below -3.00"),
        (
            None,
            ["draft", "score", "verify"],
            "it failed: the verifier model's answer is no chat",
        ),
    ],
)
def test_a_verifier_that_scores_is_asked_for_a_verdict_only_where_it_doubts(
    front: Front, gate: Path, tmp_path: Path, logprob: float | None, purposes: list[str], told: str
) -> None:
    hard = [{"role": "user", "content": DIFF.replace("auth.py", "hard.py")}]
    body = {"model": "firstpass", "firstpass": {"contract": "pr-summary@3"}, "messages": hard}
    stronger = scores(logprob)
    with serving(stronger) as url:
        verifier = {"url": f"{url}/v1", "model": "stronger", "hosted": False, "mode": "score", "score_floor": -3.0}
        policy = {"gates": [str(gate)]}
        with front(drafts, sure, engine=ENGINE, policy=policy, verifier=verifier) as client:
            answer = client.post("/v1/chat/completions", json=body).json()
            metrics = client.get("/metrics").text
    how, scored = answer["firstpass"], stronger.state.seen[0]
    assert how["route"] == "verified" and [step["purpose"] for step in how["steps"]] == purposes
    assert answer["choices"][0]["message"]["content"] == NAMES and "prompt_logprobs" not in answer
    assert (scored["messages"][-1]["content"], scored["max_tokens"], scored["prompt_logprobs"]) == (NAMES, 1, 0)
    assert scored["messages"][0]["content"].startswith("Write a pull request summary")
    assert told in explained(how["exchange"], tmp_path)
    assert ('firstpass_findings_total{check="doubted",severity="fail"}' in metrics) == (logprob == -6.0)


def test_a_caller_s_own_logprobs_have_as_many_alternatives_as_it_asked_for(front: Front) -> None:
    body = {"model": "firstpass", "messages": [{"role": "user", "content": DIFF}], "logprobs": True}
    with front(drafts, sure, engine=ENGINE, policy=SIGNALS) as client:
        for wanted in (0, 1):
            asked = body | {"top_logprobs": wanted, "firstpass": {"contract": "pr-summary@3"}}
            content = client.post("/v1/chat/completions", json=asked).json()["choices"][0]["logprobs"]["content"]
            assert {len(entry["top_logprobs"]) for entry in content} == {wanted}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--risk", "0.001"), "needs 2995 labelled drafts; there are 200 beside those for the score"),
        (("--risk", "0"), "--risk: must be above 0 and below 1"),
        (("--confidence", "1"), "--confidence: must be above 0 and below 1"),
        (("--fit", "nowhere"), "no draft is of this repository"),
        (("--contract", "free"), "it reads no diff"),
        (("--language", "go"), "none of the 400 changes is of this language alone"),
        (("--language", "cobol"), "--language: must be one of"),
        (("--contract", "touched-functions"), "no label here says what belongs into its lists"),
    ],
)
def test_what_can_not_be_promised_is_refused(
    front: Front, labelled: Path, tmp_path: Path, options: tuple[str, str], said: str
) -> None:
    with front(drafts, sure, engine=ENGINE, policy=SIGNALS) as client:
        done = calibrated(str(client.base_url), labelled, tmp_path / "gate.json", *options)
    assert done.returncode == 1 and said in done.stderr.decode().replace("\n", " ")
    assert not (tmp_path / "gate.json").exists()


def test_a_verifier_s_answers_are_no_drafts_to_calibrate_on(front: Front, labelled: Path, tmp_path: Path) -> None:
    strays = NAMES.replace("Create a session", "Use launchRocket()")
    with serving(openai_app(judges(NAMES))) as url:
        verifier = {"url": f"{url}/v1", "model": "stronger", "hosted": False}
        with front(lambda _: strays, sure, engine=ENGINE, policy=SIGNALS, verifier=verifier) as client:
            done = calibrated(str(client.base_url), labelled, tmp_path / "gate.json")
    assert done.returncode == 1 and "the server asked its verifier" in done.stderr.decode()


def test_a_model_without_log_probabilities_gets_no_gate(front: Front, labelled: Path, tmp_path: Path) -> None:
    with front(drafts, engine=ENGINE, policy=SIGNALS) as client:
        done = calibrated(str(client.base_url), labelled, tmp_path / "gate.json")
    assert done.returncode == 1 and "policy.signals" in done.stderr.decode()


def test_a_server_that_records_no_signals_is_told_so(front: Front, labelled: Path, tmp_path: Path) -> None:
    with front(drafts, sure, engine=ENGINE) as client:
        done = calibrated(str(client.base_url), labelled, tmp_path / "gate.json")
    assert done.returncode == 1 and "policy.signals" in done.stderr.decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"contract": "pr-summary@9"}, "there is no such contract"),
        ({"accept_from": "high"}, "accept_from"),
        ({"promise": {}}, "promise.risk"),
    ],
)
def test_a_gate_that_does_not_fit_the_server_is_refused(
    front: Front, gate: Path, change: dict[str, Any], said: str
) -> None:
    gate.write_text(json.dumps(json.loads(gate.read_text()) | change))
    with (
        pytest.raises(Exception, match=said),
        front(drafts, sure, engine=ENGINE, policy={"gates": [str(gate)]}),
    ):
        pass


def test_labels_of_audited_answers_end_a_gate_whose_promise_is_broken(front: Front, gate: Path, tmp_path: Path) -> None:
    policy = {"gates": [str(gate)], "audit_share": 1.0}
    body = {"model": "firstpass", "messages": [{"role": "user", "content": DIFF}]}
    asked = body | {"firstpass": {"contract": "pr-summary@3"}}
    with front(drafts, sure, engine=ENGINE, policy=policy) as client:
        for _ in range(12):
            how = client.post("/v1/chat/completions", json=asked).json()["firstpass"]
            if not how["gate"]["accepted"]:
                break
            assert how["gate"]["audit"] and how["route"] == "draft"
            done = firstpass("label", how["exchange"], "reject", "--url", str(client.base_url))
            assert done.returncode == 0, done.stderr
        assert how["gate"]["by"] == "broken promise" and how["route"] == "unverified"
        name = how["gate"]["gate"]
        assert f'firstpass_gate_broken{{gate="{name}"}} 1.0' in client.get("/metrics").text
    with front(drafts, sure, engine=ENGINE, policy=policy) as client:
        again = client.post("/v1/chat/completions", json=asked).json()["firstpass"]
        assert again["gate"]["by"] == "broken promise", "a restart forgets no audit"


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("ex_0", {"verdict": "accept"}, 404, "exchange"),
        ("EXCHANGE", {"verdict": "fine"}, 400, "verdict"),
        ("EXCHANGE", {"verdict": "edit"}, 400, "text"),
        ("EXCHANGE", {"verdict": "accept", "text": "x"}, 400, "text"),
        ("EXCHANGE", {"verdict": "edit", "text": "x"}, 200, None),
    ],
)
def test_a_label_that_says_nothing_is_refused(
    front: Front, path: str, body: dict[str, Any], status: int, param: str | None
) -> None:
    asked = {"model": "local", "messages": [{"role": "user", "content": "hello"}]}
    with front(drafts) as client:
        exchange = client.post("/v1/chat/completions", json=asked).headers["x-request-id"]
        answer = client.post(f"/v1/exchanges/{path.replace('EXCHANGE', exchange)}/label", json=body)
    assert answer.status_code == status
    if param is not None:
        assert answer.json()["error"]["param"] == param
    else:
        assert answer.json() | {"made_unix": 0} == {
            "object": "label",
            "exchange": exchange,
            "verdict": "edit",
            "source": "user",
            "made_unix": 0,
            "text": "x",
        }
