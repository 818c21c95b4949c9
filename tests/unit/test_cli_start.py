"""How commands start: what `--help` imports, counted in a child, and what ends a start."""

import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from firstpass.cli.lazy import Later
from firstpass.cli.main import COMMANDS

HEAVY = ("torch", "vllm", "fastapi", "starlette", "uvicorn", "httpx", "pydantic", "tree_sitter", "apsw", "jsonschema")
OURS = {"firstpass", "firstpass.__main__", "firstpass.cli", "firstpass.cli.main", "firstpass.cli.lazy"}
LOADED = "import sys; sys.argv = ['firstpass', {argument!r}]; from firstpass.cli.main import main\n"
LOADED += "try:\n main()\nexcept SystemExit:\n print(*sys.modules, sep='\\n', file=sys.stderr)"


def loaded(argument: str) -> set[str]:
    """The modules that were there when the command had ended."""
    command = [sys.executable, "-c", LOADED.format(argument=argument)]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stderr.split())


def test_help_imports_no_command_and_nothing_that_serves_or_reads() -> None:
    modules = loaded("--help")
    assert "typer" in modules and not {name.partition(".")[0] for name in modules} & set(HEAVY)
    assert {name for name in modules if name.partition(".")[0] == "firstpass"} <= OURS | {"firstpass.errors"}


@pytest.mark.parametrize("later", COMMANDS, ids=lambda later: later.name)
def test_the_list_says_what_the_command_says_of_itself(later: Later) -> None:
    command = later.command()
    assert command.name == later.name
    assert " ".join(command.help.split("\n\n")[0].split()) == later.says


def test_a_command_that_is_not_there_is_an_error_with_the_nearest_name() -> None:
    done = subprocess.run([sys.executable, "-m", "firstpass", "histroy"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Did you mean 'history'" in done.stderr


def test_each_name_is_there_once() -> None:
    assert len({later.name for later in COMMANDS}) == len(COMMANDS)


def test_a_port_that_is_taken_ends_the_server_and_is_named(tmp_path: Path) -> None:
    settings = tmp_path / "f.toml"
    settings.write_text(f"""[engine]
kind = "external"
url = "http://127.0.0.1:9/v1"
[server]
data_dir = "{tmp_path}"
""")
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = str(other.getsockname()[1])
        command = [sys.executable, "-m", "firstpass", "serve", "--config", str(settings), "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and f"{port}): address already in use" in done.stderr
