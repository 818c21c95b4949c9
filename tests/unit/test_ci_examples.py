"""The example jobs of GitHub and GitLab: their structure, their shell lines, and that what they call is there.

By hand they were held to the schemas that check-jsonschema 0.39 carries (github-workflows, gitlab-ci).
"""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

from firstpass.cli.main import app

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "ci"
USES = re.compile(r"[\w-]+/[\w-]+@v\d+")


def read(name: str) -> dict[Any, Any]:
    document = yaml.safe_load((EXAMPLES / name).read_text())
    assert isinstance(document, dict)
    return document


@pytest.fixture
def github() -> dict[Any, Any]:
    return read("github.yml")


@pytest.fixture
def gitlab() -> dict[Any, Any]:
    return read("gitlab.yml")


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    (job,) = workflow["jobs"].values()
    return list(job["steps"])


def lines_of(name: str) -> list[str]:
    """The shell lines of an example."""
    if name == "github.yml":
        return [step["run"] for step in steps(read(name)) if "run" in step]
    return list(read(name)["firstpass-check"]["script"])


def test_the_workflow_may_read_and_no_more_and_leaves_no_credential(github: dict[Any, Any]) -> None:
    assert github["permissions"] == {"contents": "read"}
    assert set(github[True]) == {"pull_request", "push"}, (
        "pull_request_target would run a stranger's cases with secrets"
    )
    (job,) = github["jobs"].values()
    assert job["timeout-minutes"] <= 60
    checkouts = [step for step in steps(github) if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == 2 and not any(step["with"]["persist-credentials"] for step in checkouts)


def test_each_step_of_the_workflow_runs_or_uses_something_and_an_id_that_is_meant_is_there(
    github: dict[Any, Any],
) -> None:
    for step in steps(github):
        assert ("run" in step) != ("uses" in step)
        assert "uses" not in step or USES.fullmatch(step["uses"])
    ids = {step["id"] for step in steps(github) if "id" in step}
    assert set(re.findall(r"steps\.(\w+)\.", (EXAMPLES / "github.yml").read_text())) == ids


def test_what_is_cached_is_where_the_installation_is(github: dict[Any, Any], gitlab: dict[Any, Any]) -> None:
    (job,) = github["jobs"].values()
    (cache,) = (step for step in steps(github) if step.get("uses", "").startswith("actions/cache@"))
    assert job["env"]["FIRSTPASS_VENV"].endswith("/" + cache["with"]["path"])
    for pattern in re.findall(r"'\.firstpass/([^']+)'", cache["with"]["key"]):
        assert list(ROOT.glob(pattern)), pattern
    ours = gitlab["firstpass-check"]
    assert ours["variables"]["FIRSTPASS_VENV"].endswith("/" + ours["cache"]["paths"][0])


def test_what_the_check_writes_is_what_is_uploaded(github: dict[Any, Any], gitlab: dict[Any, Any]) -> None:
    (upload,) = (step for step in steps(github) if step.get("uses", "").startswith("actions/upload-artifact@"))
    assert f"--junit {upload['with']['path']}" in lines_of("github.yml")[-1] and "cancelled()" in upload["if"]
    artifacts = gitlab["firstpass-check"]["artifacts"]
    assert f"--junit {artifacts['reports']['junit']}" in lines_of("gitlab.yml")[-1] and artifacts["when"] == "always"
    assert artifacts["reports"]["codequality"] == "gl-code-quality-report.json"
    assert gitlab["firstpass-check"]["retry"]["exit_codes"] == [3]


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_the_shell_lines_can_be_read_and_call_what_is_there(name: str) -> None:
    lines = lines_of(name)
    subprocess.run(["bash", "-n", "-c", "\n".join(lines)], check=True)
    assert ".firstpass/scripts/install" in lines and (ROOT / "scripts" / "install").is_file()
    program, command, *arguments = shlex.split(lines[-1])
    assert program == "$FIRSTPASS_VENV/bin/firstpass" and command == "check"
    group = typer.main.get_command(app)
    found = group.resolve_command(click.Context(group), [command])[1]  # type: ignore[attr-defined]
    options = {option for parameter in found.params for option in parameter.opts}
    assert {argument for argument in arguments if argument.startswith("-")} <= options
