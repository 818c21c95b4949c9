"""`firstpass check` and `firstpass case`, against a whole front over real HTTP before a scripted model."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from firstpass.cases.reading import read_cases
from firstpass.cli.main import app
from firstpass.errors import FirstpassError
from firstpass.exchange import Route
from tests.conftest import Front, serving
from tests.doubles import DIFF, NAMES, STRAYS, openai_app, says

QUIET = ("GITHUB_ACTIONS", "GITLAB_CI", "GITHUB_STEP_SUMMARY", "FIRSTPASS_URL", "FIRSTPASS_API_KEY")
ROUTES = json.dumps(get_args(Route))
HEAD = '[[case]]\nname = "a session"\ndiff_file = "auth.diff"\ncontract = "pr-summary@3"\n'


def firstpass(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in QUIET}
    command = [sys.executable, "-m", "firstpass", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment | {"COLUMNS": "200"} | variables,
        timeout=600,
        check=False,
    )


def here(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str, **variables: str) -> Result:
    """The same in this process, where many are tried."""
    for name in QUIET:
        monkeypatch.delenv(name, raising=False)
    for name, value in {"COLUMNS": "200", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    return CliRunner().invoke(app, arguments)


def why(done: Result) -> str:
    """What an error that ends the command says; `main` writes it."""
    assert isinstance(done.exception, FirstpassError | SystemExit)
    return done.stderr if isinstance(done.exception, SystemExit) else str(done.exception)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Where the cases lie; a folder below it is where commands run."""
    root = tmp_path / "repository"
    (root / "below").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / "auth.diff").write_text(DIFF)
    return root


def cases(root: Path, *lines: str) -> Path:
    path = root / "firstpass.cases.toml"
    path.write_text(HEAD + "".join(f"{line}\n" for line in lines))
    return path


def test_a_good_answer_passes_and_the_file_is_found_from_below(front: Front, repository: Path) -> None:
    cases(repository, 'must_mention = ["createSession"]', 'expect_route = ["draft", "repaired"]', "max_seconds = 30")
    with front(says(NAMES)) as client:
        done = firstpass(repository / "below", "check", FIRSTPASS_URL=str(client.base_url))
    assert done.returncode == 0, done.stderr
    assert "a session" in done.stdout and "1 of 1 case passed" in done.stdout and "the answer" not in done.stdout


def test_a_hallucination_fails_and_is_said_with_its_place_and_the_answer(front: Front, repository: Path) -> None:
    path = cases(repository, 'must_not_mention = ["launchRocket"]')
    with front(says(STRAYS)) as client:
        where = ("--url", str(client.base_url))
        done = firstpass(repository, "check", str(path), *where, "--junit", "out/j.xml", "--code-quality", "q.json")
        machine = firstpass(repository, "check", *where, "--json")
    assert done.returncode == 1 and machine.returncode == 1
    assert "FAILED  a session\nfirstpass.cases.toml:1\n" in done.stdout
    assert "must_not_mention: the answer mentions 'launchRocket': \"Summary: Launch the rocket" in done.stdout
    assert "expect_checks: hallucinated: Summary names launchRocket, which does not occur in the diff" in done.stdout
    assert "the answer (route unverified, " in done.stdout and "\n| Calls:\n| - createSession()\n" in done.stdout
    assert "0 of 1 case passed, 1 failed" in done.stdout and "::error" not in done.stdout
    assert '<failure message="must_not_mention' in (repository / "out" / "j.xml").read_text()
    assert json.loads((repository / "q.json").read_text())[0]["location"]["path"] == "firstpass.cases.toml"
    (case,) = json.loads(machine.stdout)["cases"]
    assert [fault["expects"] for fault in case["runs"][0]["faults"]] == ["must_not_mention", "expect_checks"]
    assert case["runs"][0]["exchange"].startswith("ex_")


def test_on_github_what_a_model_says_is_no_command_and_the_case_is_annotated(
    front: Front, repository: Path, tmp_path: Path
) -> None:
    path = cases(repository, 'must_mention = ["never said"]')
    path.write_text(path.read_text().replace('diff_file = "auth.diff"\ncontract = "pr-summary@3"', 'prompt = "Hi"'))
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    (tmp_path / "summary.md").write_text("before\n")
    with front(says("::set-output name=a::b\n::error::mine\n##[error]mine")) as client:
        where = ("--url", str(client.base_url), "--only", "a s*")
        done = firstpass(repository, "check", *where, **github)
        machine = firstpass(repository, "check", *where, "--json", **github)
    lines = done.stdout.splitlines()
    guard = lines[0].removeprefix("::stop-commands::")
    assert len(guard) == 32 and lines[-2] == f"::{guard}::" and "| ##[error]mine" in lines
    assert lines[-1].startswith("::error file=firstpass.cases.toml,line=1,title=firstpass check%3A a session::must_")
    assert sum(line.startswith("::") for line in lines) == 3
    assert json.loads(machine.stdout)["failed"] == 1 and "##[" not in machine.stdout
    assert machine.stderr.splitlines()[-1] == lines[-1]
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("before\n### firstpass check\n") and summary.count("0 of 1 case passed, 1 failed.") == 2


def test_on_gitlab_a_code_quality_report_is_written(
    front: Front, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases(repository)
    with front(says(STRAYS)) as client:
        done = here(monkeypatch, repository, "check", "--url", str(client.base_url), GITLAB_CI="true")
        none = here(monkeypatch, repository / "below", "check", "--url", str(client.base_url), "--annotations", "none")
    assert done.exit_code == none.exit_code == 1
    assert len(json.loads((repository / "gl-code-quality-report.json").read_text())) == 1
    assert list((repository / "below").iterdir()) == []


def test_a_request_that_the_server_refuses_fails_with_its_words(
    front: Front, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cases(repository)
    path.write_text(path.read_text().replace("pr-summary@3", "pr-summary@99"))
    with front(says(NAMES)) as client:
        done = here(monkeypatch, repository, "check", "--url", str(client.base_url))
    assert done.exit_code == 1 and "the server refuses it: unknown contract 'pr-summary@99'" in done.stdout


def test_a_model_that_wavers_is_said_to_be_unstable(
    front: Front, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases(repository, 'expect_checks = "any"', "max_seconds = 30")
    texts = iter([NAMES, NAMES.replace("Create", "Make")] * 4)
    with front(lambda body: next(texts)) as client:
        done = here(monkeypatch, repository, "check", "--url", str(client.base_url), "--repeat", "2")
    assert done.exit_code == 0 and "passed, unstable" in done.stdout
    assert "PASSED  a session\n" in done.stdout and "2 runs of the same request had different answers" in done.stdout


def test_many_cases_are_asked_at_once_and_come_in_their_order(
    front: Front, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [{"name": f"case {number}", "prompt": "Hi", "must_mention": ["createSession"]} for number in range(20)]
    (repository / "many.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with front(says(NAMES)) as client:
        where = ("--url", str(client.base_url), "--at-once", "8", "--json")
        done = here(monkeypatch, repository, "check", "many.jsonl", *where)
    told = json.loads(done.stdout)
    assert done.exit_code == 0 and [case["name"] for case in told["cases"]] == [line["name"] for line in lines]
    assert [case["line"] for case in told["cases"]] == list(range(1, 21))


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("", (), "there is no case in it"),
        (
            HEAD + "must_mentoin = []\n",
            (),
            "firstpass.cases.toml:5: case 'a session': 'must_mentoin': there is no such",
        ),
        (
            HEAD.replace("auth.diff", "none.diff"),
            (),
            "firstpass.cases.toml:3: case 'a session': diff_file: 'none.diff'",
        ),
        (
            HEAD + f'expect_checks = "any"\nexpect_route = {ROUTES}\n',
            (),
            "it expects nothing, so any answer would pass",
        ),
        (HEAD + 'expect_checks = "any"\n', (), "it expects nothing, so any answer would pass"),
        (HEAD, ("--only", "b*"), "--only b*: no case is called so"),
        (HEAD, ("firstpass.cases.toml", "./firstpass.cases.toml"), "is given twice"),
        (HEAD, ("none.toml",), "none.toml can not be read"),
        (HEAD, ("--serve", "--url", "http://127.0.0.1:9"), "--serve starts a server"),
    ],
)
def test_cases_that_are_wrong_are_another_status_and_nobody_is_asked(
    repository: Path, monkeypatch: pytest.MonkeyPatch, text: str, options: tuple[str, ...], words: str
) -> None:
    (repository / "firstpass.cases.toml").write_text(text)
    done = here(monkeypatch, repository, "check", *options)
    assert done.exit_code == 2 and words in done.stderr and done.stdout == ""


def test_the_command_starts_a_server_for_the_run_and_ends_it(repository: Path, tmp_path: Path) -> None:
    cases(repository, 'must_mention = ["createSession"]')
    with serving(openai_app(says(NAMES))) as engine:
        config = tmp_path / "firstpass.toml"
        config.write_text(
            f'[engine]\nkind = "external"\nurl = "{engine}/v1"\n[server]\ndata_dir = "{tmp_path / "data"}"\n'
        )
        done = firstpass(repository, "check", "--serve", "--config", str(config), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["passed"] == 1 and told["url"].startswith("http://127.0.0.1:")
    with pytest.raises(httpx.ConnectError):
        httpx.get(told["url"])


def test_a_server_that_does_not_start_is_the_third_status(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cases(repository)
    config = tmp_path / "firstpass.toml"
    config.write_text('[engine]\nmodel = "/nowhere"\n')
    done = here(monkeypatch, repository, "check", "--serve", "--config", str(config))
    assert done.exit_code == 3 and "engine.model" in done.stderr and "Traceback" not in done.stderr


def test_no_file_of_cases_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = here(monkeypatch, tmp_path, "check")
    assert done.exit_code == 2 and "there is no firstpass.cases.toml or firstpass.cases.jsonl in" in done.stderr


def test_a_server_that_is_not_there_is_a_third_status(repository: Path) -> None:
    cases(repository)
    done = firstpass(repository, "check", "--url", "http://127.0.0.1:9", "--junit", "j.xml")
    assert done.returncode == 3 and "no answer: ConnectError" in done.stdout and "1 had no answer" in done.stdout
    assert "<error" in (repository / "j.xml").read_text()


@pytest.mark.parametrize(("option", "value"), [("--ca", "auth.diff"), ("--url", "http://[")])
def test_a_gate_that_can_not_ask_is_the_third_status(
    repository: Path, monkeypatch: pytest.MonkeyPatch, option: str, value: str
) -> None:
    cases(repository)
    done = here(monkeypatch, repository, "check", option, value)
    assert done.exit_code == 3 and isinstance(done.exception, SystemExit)


def test_a_report_that_can_not_be_written_does_not_look_like_a_pass(
    front: Front, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases(repository)
    with front(says(NAMES)) as client:
        where = ("--url", str(client.base_url), "--junit", "auth.diff/j.xml")
        done = here(monkeypatch, repository, "check", *where)
    assert done.exit_code == 3 and "can not be written" in done.stderr


@contextmanager
def scripted(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[str]:
    """A server that says these one after the other, and the last for ever."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            status, headers, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def said(**how: Any) -> tuple[int, dict[str, str], bytes]:
    choice = {"message": {"role": "assistant", "content": "hi \ud800there"}}
    body = {"choices": [choice]} | ({"firstpass": how} if how else {})
    return 200, {}, json.dumps(body).encode()


BUSY = (503, {"retry-after": "0"}, b'{"error": {"message": "loading", "code": "x"}}')


@pytest.mark.parametrize(
    ("answers", "status", "words"),
    [
        ([BUSY, BUSY, said()], 0, "1 of 1 case passed"),
        ([BUSY], 3, "no answer: loading (503 x, web)"),
        ([(429, {"retry-after": "3600"}, b"{}")], 3, "no answer: 429: {}"),
        ([(401, {}, b'{"error": {"message": "no key", "code": "y"}}')], 3, "no answer: no key (401 y, web)"),
        ([(400, {}, b'{"error": {"message": "bad \\ud800", "code": "z"}}')], 1, "the server refuses it: bad ?"),
        ([(200, {}, b"<html>")], 3, "200 with a body that is no answer of the chat API"),
        ([(200, {}, b'{"choices": []}')], 3, "200 with a body that is no answer of the chat API"),
        ([(200, {}, b'[1]')], 3, "200 with a body that is no answer of the chat API"),
        ([(200, {}, b"[" * 200_000)], 3, "200 with a body that is no answer of the chat API"),
        ([(500, {}, b"[" * 200_000)], 3, "no answer: 500: [[["),
        ([(302, {"location": "/elsewhere"}, b"")], 3, "no answer: 302"),
    ],
)  # fmt: skip
def test_what_a_server_says_decides_whether_the_case_or_the_gate_failed(
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    answers: list[tuple[int, dict[str, str], bytes]],
    status: int,
    words: str,
) -> None:
    line = {"name": "greets", "prompt": "Hi", "must_mention": ["hi", "there"]}
    (repository / "one.jsonl").write_text(json.dumps(line).replace('"there"', '"?there"'))
    with scripted(*answers) as url:
        done = here(monkeypatch, repository, "check", "one.jsonl", "--url", url)
    assert done.exit_code == status, done.output
    assert words in done.stdout


def test_a_server_that_takes_too_long_gave_no_answer(
    front: Front, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(body: dict[str, Any]) -> str:
        time.sleep(2.5 if "createSession" in str(body) else 0)
        return NAMES

    cases(repository)
    with front(slow) as client:
        done = here(monkeypatch, repository, "check", "--url", str(client.base_url), "--timeout", "1")
    assert done.exit_code == 3 and "no answer: not within 1 s" in done.stdout


def test_ctrl_c_ends_the_command_at_once(front: Front, repository: Path) -> None:
    asked = threading.Event()

    def slow(body: dict[str, Any]) -> str:
        if "createSession" in str(body):
            asked.set()
            time.sleep(5)
        return NAMES

    cases(repository)
    with front(slow) as client:
        command = [sys.executable, "-m", "firstpass", "check", "--url", str(client.base_url)]
        environment = {name: value for name, value in os.environ.items() if name not in QUIET}
        running = subprocess.Popen(
            command, cwd=repository, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        assert asked.wait(60)
        began = time.monotonic()
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
        assert time.monotonic() - began < 3 and running.returncode == 130


def test_a_server_that_does_not_say_what_checks_found_fails_the_case(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases(repository)
    with scripted(said()) as url:
        done = here(monkeypatch, repository, "check", "--url", url)
    assert done.exit_code == 1 and "the answer does not say what its checks found" in done.stdout


def test_a_bad_answer_of_the_record_becomes_a_case_that_it_fails(
    front: Front, repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = {"FIRSTPASS_SERVER__DATA_DIR": str(tmp_path / "data")}
    path = cases(repository)
    with front(says(STRAYS)) as client:
        body = {"model": "firstpass", "messages": [{"role": "user", "content": DIFF}]}
        answer = client.post("/v1/chat/completions", json=body | {"firstpass": {"contract": "pr-summary@3"}})
        exchange = answer.headers["x-request-id"]
        edit = {"verdict": "edit", "text": "Summary: createSession(user) makes a session that check() wants."}
        assert client.post(f"/v1/exchanges/{exchange}/label", json=edit).is_success
        options = ("--name", "no rockets", "--must-mention", "session")
        added = here(monkeypatch, repository / "below", "case", "add", exchange, *options, **home)
        again = here(monkeypatch, repository, "case", "add", exchange, "--name", "no rockets", **home)
        bare = here(monkeypatch, repository, "case", "add", exchange, "--no-propose", "--file", "new.jsonl", **home)
        done = here(monkeypatch, repository, "check", "--only", "no rockets", "--url", str(client.base_url))
    assert added.exit_code == 0, added.stderr
    assert "the recorded answer fails: must_not_mention: the answer mentions 'launchRocket'" in added.stderr
    made = read_cases(path)[1]
    assert made.must_mention == ("session", "check") and made.must_not_mention == ("launchRocket",)
    assert (made.asked.text, made.contract, made.egress) == (DIFF, "pr-summary@3", "local-only")
    assert again.exit_code == 1 and "the case at" in why(again) and len(read_cases(path)) == 2
    (plain,) = read_cases(repository / "new.jsonl")
    assert bare.exit_code == 0 and (plain.name, plain.must_mention, plain.must_not_mention) == (exchange, (), ())
    assert done.exit_code == 1 and "must_not_mention: the answer mentions 'launchRocket'" in done.stdout


def test_a_case_that_holds_on_to_a_good_answer_says_so_and_one_without_expectations_is_refused(
    front: Front, repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = {"FIRSTPASS_SERVER__DATA_DIR": str(tmp_path / "data")}
    with front(says("Two.")) as client:
        body = {"model": "local", "messages": [{"role": "user", "content": "Name a prime."}]}
        exchange = client.post("/v1/chat/completions", json=body).headers["x-request-id"]
        unsaid = client.post("/v1/chat/completions", json=body | {"store": False}).headers["x-request-id"]
    none = here(monkeypatch, repository, "case", "add", exchange, **home)
    assert none.exit_code == 1 and "--must-mention WORD" in why(none)
    assert not (repository / "firstpass.cases.toml").exists()
    kept = here(monkeypatch, repository, "case", "add", exchange, "--must-mention", "two", **home)
    assert kept.exit_code == 0 and "the recorded answer passes it" in kept.stderr
    wordless = here(monkeypatch, repository, "case", "add", unsaid, "--must-mention", "two", **home)
    assert wordless.exit_code == 1 and "its words are not in the record" in why(wordless)
    unknown = here(monkeypatch, repository, "case", "add", "ex_none", **home)
    assert unknown.exit_code == 1 and "no exchange ex_none" in unknown.stderr
    listed = here(monkeypatch, repository, "case", "list")
    assert listed.exit_code == 0 and "prompt, 13 characters" in listed.stdout and "+two" in listed.stdout
    machine = json.loads(here(monkeypatch, repository, "case", "list", "--json").stdout)
    assert machine == [{"line": 1, "name": exchange, "prompt": "Name a prime.", "model": "local",
                        "must_mention": ["two"], "egress": "local-only"}]  # fmt: skip


def test_a_list_of_a_wrong_file_is_its_error(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases(repository, "seed = true")
    done = here(monkeypatch, repository, "case", "list")
    assert done.exit_code == 1 and "firstpass.cases.toml:5: case 'a session': seed:" in why(done)


@pytest.mark.parametrize(
    "command", [("check",), ("ps",), ("replay", "--cases", "firstpass.cases.toml", "--arm", "a=x", "--arm", "b=y")]
)
def test_no_error_repeats_the_api_key(
    front: Front, repository: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """A line end behind it, as a secret of CI may have, is not a part of it; what else no header can have ends it."""
    cases(repository, 'must_mention = ["createSession"]')
    with front(says(NAMES)) as client:
        url = str(client.base_url)
        ended = here(monkeypatch, repository, *command, "--url", url, FIRSTPASS_API_KEY="fp_secret\n")
        within = here(monkeypatch, repository, *command, "--url", url, FIRSTPASS_API_KEY="fp_sec\nret")
    for done in (ended, within):
        assert "secret" not in done.output + str(done.exception) and "ret\n" not in done.output
    assert "header" not in ended.output + str(ended.exception)
    assert within.exit_code == 2 and "characters that no API key has" in within.output
