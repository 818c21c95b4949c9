"""The examples of examples/pull-request: their form by the services' published schemas, and their job, run whole."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import serving
from tests.doubles import openai_app
from tests.forge.standing import TOKEN, Forge, forge_app, shown
from tests.repository import made
from tests.web.test_pull_request import SAID, job

EXAMPLES = Path(__file__).parents[2] / "examples" / "pull-request"
FORMS = {
    "action.yml": "vendor.github-actions",
    "workflow.yml": "vendor.github-workflows",
    "firstpass.gitlab-ci.yml": "vendor.gitlab-ci",
}


@pytest.mark.parametrize("name", FORMS)
def test_a_template_has_the_form_that_its_service_publishes(name: str) -> None:
    pytest.importorskip("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", FORMS[name], str(EXAMPLES / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def scripts(part: Any) -> list[str]:
    """What a shell would run, wherever it stands."""
    if isinstance(part, list):
        return [line for each in part for line in scripts(each)]
    if not isinstance(part, dict):
        return []
    own = [part[name] for name in ("run", "script", "before_script", "after_script") if name in part]
    lines = [line for each in own for line in (each if isinstance(each, list) else [each])]
    return lines + [line for each in part.values() for line in scripts(each)]


@pytest.mark.parametrize("name", FORMS)
def test_nothing_that_an_author_writes_stands_in_a_script(name: str) -> None:
    template = yaml.safe_load((EXAMPLES / name).read_text())
    for line in scripts(template):
        assert "${{" not in line and "$CI_MERGE_REQUEST" not in line and "$CI_COMMIT" not in line
    assert scripts(template) or name == "workflow.yml"


def test_the_workflow_may_do_no_more_than_read_and_comment() -> None:
    workflow = yaml.safe_load((EXAMPLES / "workflow.yml").read_text())
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert list(workflow[True]) == ["pull_request"]  # YAML 1.1 reads `on` as true
    assert all(step["with"]["persist-credentials"] is False for step in workflow["jobs"]["summary"]["steps"][:2])


def test_two_jobs_of_one_request_do_not_run_at_once() -> None:
    """Each found no comment of ours, and both made one."""
    workflow = yaml.safe_load((EXAMPLES / "workflow.yml").read_text())
    assert "github.event.pull_request.number" in workflow["concurrency"]["group"]
    gitlab = yaml.safe_load((EXAMPLES / "firstpass.gitlab-ci.yml").read_text())
    assert "$CI_MERGE_REQUEST_IID" in gitlab["firstpass"]["resource_group"]


def run_job(folder: Path, environment: dict[str, str], port: str) -> "subprocess.CompletedProcess[str]":
    command = [str(EXAMPLES / "job"), f"--port={port}"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def free_port() -> str:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        return str(taken.getsockname()[1])


def listens(port: str) -> bool:
    import socket

    try:
        socket.create_connection(("127.0.0.1", int(port)), 1).close()
    except OSError:
        return False
    return True


def test_the_job_starts_a_server_comments_and_leaves_nothing_running(tmp_path: Path) -> None:
    shop = made(tmp_path, NO_PROXY="*")
    shop.git("checkout", "-qb", "side")
    shop.adds("auth.py", "def login(user):\n    check(user)\n    s = createSession(user)\n    return s\n")
    shop.git("commit", "-qm", "Sessions")
    forge, port = Forge("GitHub"), free_port()
    with serving(openai_app(lambda _: SAID)) as engine, serving(forge_app(forge)) as api:
        environment = (
            shop.environment
            | job(shop, "GitHub", api)
            | {
                "FIRSTPASS_VENV": str(Path(sys.executable).parents[1]),
                "FIRSTPASS_SERVER__DATA_DIR": str(tmp_path / "data"),
                "FIRSTPASS_ENGINE__KIND": "external",
                "FIRSTPASS_ENGINE__URL": f"{engine}/v1",
            }
        )
        done = run_job(shop.folder, environment, port)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the comment is there now" in done.stderr and "no case to check" in done.stderr
    assert forge.wrong == [] and TOKEN not in done.stdout + done.stderr + "".join(shown(forge))
    assert "Create a session in login" in forge.comments[0].body and not listens(port)


def test_a_server_that_does_not_get_ready_ends_the_job_with_its_log(tmp_path: Path) -> None:
    environment = dict(os.environ) | {
        "FIRSTPASS_VENV": str(Path(sys.executable).parents[1]),
        "FIRSTPASS_SERVER__DATA_DIR": str(tmp_path / "data"),
        "FIRSTPASS_ENGINE__MODEL": "/nowhere",
        "GITHUB_TOKEN": TOKEN,
    }
    done = run_job(tmp_path, environment, free_port())
    assert done.returncode == 1 and "did not get ready" in done.stderr and "engine.model" in done.stderr
    assert TOKEN not in done.stdout + done.stderr


def test_a_port_where_another_server_listens_is_refused(tmp_path: Path) -> None:
    """What answered there was taken for the job's own server, and heard the diff."""
    heard = list[Any]()
    with serving(openai_app(lambda body: str(heard.append(body)))) as other:
        environment = dict(os.environ) | {"FIRSTPASS_VENV": str(Path(sys.executable).parents[1])}
        done = run_job(tmp_path, environment, other.rpartition(":")[2])
    assert done.returncode == 1 and "job: no server of ours can listen" in done.stderr and not heard


def test_the_server_and_the_cases_do_not_see_the_token(tmp_path: Path) -> None:
    """In the place of the program a script that writes down what it was started with, as a user's own might."""
    program = tmp_path / "venv" / "bin" / "firstpass"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nenv >"$SEEN/$1"\ncase $1 in serve) exec sleep 60 ;; esac\n')
    program.chmod(0o755)
    (program.parent / "python").write_text("#!/bin/sh\nexit 0\n")
    (program.parent / "python").chmod(0o755)
    (tmp_path / "firstpass.cases.toml").write_text("")
    names = ("GITHUB_TOKEN", "GITLAB_TOKEN", "CI_JOB_TOKEN", "CI_REGISTRY_PASSWORD", "CI_DEPENDENCY_PROXY_PASSWORD")
    tokens = dict.fromkeys(names, TOKEN)
    tokens["CI_REPOSITORY_URL"] = f"https://gitlab-ci-token:{TOKEN}@gitlab.example/shop/till.git"
    more = {"FIRSTPASS_VENV": str(tmp_path / "venv"), "SEEN": str(tmp_path)}
    done = run_job(tmp_path, dict(os.environ) | tokens | more, free_port())
    assert done.returncode == 0, done.stderr
    assert TOKEN in (tmp_path / "pull-request").read_text()
    assert TOKEN not in (tmp_path / "serve").read_text() + (tmp_path / "check").read_text()
