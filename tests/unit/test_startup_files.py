"""Files that Python runs at every start, in a real virtual environment of their own."""

import json
import os
import subprocess
import sys
import time
import venv
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from firstpass import startup_files
from firstpass.errors import BadSettings
from firstpass.front import front
from firstpass.settings import Settings, load

CHECK = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from firstpass.startup_files import refuse_strangers
refuse_strangers(sys.argv[2:])
"""
CODE = "import os; os.environ['PLANTED'] = 'ran'\n"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("venv")
    venv.create(made, with_pip=False)
    return made


@pytest.fixture
def site_dir(environment: Path) -> Path:
    directory = next(environment.glob("lib*/python3*/site-packages"))
    for left in [*directory.glob("*.pth"), *directory.glob("*customize.py"), *directory.glob("*.dist-info/RECORD")]:
        left.unlink()
    return directory


def checked(environment: Path, *allowed: str) -> str:
    """What the check says there, empty where it finds nothing. The environment has no packages, so it borrows ours."""
    borrowed = json.dumps([entry for entry in sys.path if entry])
    command = [environment / "bin/python", "-c", CHECK, borrowed, *allowed]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=clean, check=False)
    assert (done.returncode == 0) == (done.stderr == "")
    return done.stderr


def install(site_dir: Path, name: str, content: str, recorded: str) -> None:
    """A file, and a package that lists it with the digest of `recorded`."""
    (site_dir / name).write_text(content)
    package = site_dir / "somebody-1.0.dist-info"
    package.mkdir(exist_ok=True)
    digest = urlsafe_b64encode(sha256(recorded.encode()).digest()).rstrip(b"=").decode()
    (package / "RECORD").write_text(f"somebody.py,,\n{name},sha256={digest},{len(recorded)}\n")


def test_an_environment_as_it_was_made_is_clean(environment: Path, site_dir: Path) -> None:
    assert checked(environment) == ""


@pytest.mark.parametrize("name", ["evil.pth", "sitecustomize.py"])
@pytest.mark.parametrize("content", [CODE, "import this\n"])
def test_a_file_that_no_package_lists_is_refused_by_its_path(
    environment: Path, site_dir: Path, name: str, content: str
) -> None:
    (site_dir / name).write_text(content)
    assert f"{site_dir / name} is run at every start" in checked(environment)
    assert checked(environment, name) == ""


def test_a_directory_that_no_package_adds_is_refused_too(environment: Path, site_dir: Path, tmp_path: Path) -> None:
    (site_dir / "paths.pth").write_text(f"{tmp_path}\n")
    assert "paths.pth" in checked(environment)


def test_what_a_package_lists_is_known_until_its_bytes_change(environment: Path, site_dir: Path) -> None:
    install(site_dir, "own.pth", CODE, recorded=CODE)
    assert checked(environment) == ""
    install(site_dir, "own.pth", CODE + CODE, recorded=CODE)
    assert "own.pth is run at every start" in checked(environment)
    (site_dir / "own.pth").unlink()
    install(site_dir, "sitecustomize.py", "planted = True\n", recorded="planted = True\n")
    assert checked(environment) == ""


def test_virtualenv_s_own_file_is_known_and_no_other_content_of_that_name(environment: Path, site_dir: Path) -> None:
    (site_dir / "_virtualenv.py").write_text("")
    (site_dir / "_virtualenv.pth").write_text("import _virtualenv\n")
    assert checked(environment) == ""
    (site_dir / "_virtualenv.pth").write_text("import _virtualenv, os\n")
    assert "_virtualenv.pth" in checked(environment)


def test_the_server_does_not_start_beside_a_stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.pth").write_text(CODE)
    monkeypatch.setattr(startup_files, "site_directories", lambda: [tmp_path])
    data = {"data_dir": tmp_path / "data"}
    engine = {"kind": "external", "url": "http://127.0.0.1:1/v1"}
    with pytest.raises(BadSettings, match=r"evil\.pth .* server\.allowed_startup_files"):
        front(Settings.model_validate({"server": data, "engine": engine}))
    front(Settings.model_validate({"server": data | {"allowed_startup_files": ["evil.pth"]}, "engine": engine}))
    named = load(environment={"FIRSTPASS_SERVER__ALLOWED_STARTUP_FILES": "a.pth, b.pth"})
    assert named.server.allowed_startup_files == ("a.pth", "b.pth")


def test_the_environment_of_these_tests_is_checked_at_every_start() -> None:
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        startup_files.refuse_strangers(())
        seconds.append(time.perf_counter() - began)
    print(f"checked in {min(seconds) * 1000:.1f} ms")
    assert min(seconds) < 1.0


def test_what_is_no_file_is_passed_over_as_python_does(tmp_path: Path) -> None:
    (tmp_path / "x.pth").mkdir()
    (tmp_path / "y.pth").symlink_to(tmp_path / "nowhere")
    assert list(startup_files.pth_files([tmp_path])) == []


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"gone\.pth"):
        startup_files.is_known(tmp_path / "gone.pth")
