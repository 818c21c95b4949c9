"""`firstpass models pull` with huggingface_hub's real client, against a hub on this machine."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from firstpass import catalogue
from firstpass.catalogue import Card, Hub
from firstpass.cli.models import pull
from firstpass.errors import PullFailed
from tests.conftest import serving
from tests.hub import COMMIT, LATER, REPOSITORY, WEIGHTS, FakeHub, hub_app
from tests.processes import heeding

NAME = "granite-3.1-1b-a400m"
PIECE_BYTES = 10 * 2**20
NEEDED = {"config.json", "tokenizer.json", "model.safetensors"}


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub()


@pytest.fixture
def url(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "*")
    with serving(hub_app(hub)) as address:
        yield address


@pytest.fixture
def card() -> Card:
    return catalogue.named(NAME)


def environment(url: str, home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "HF_ENDPOINT": url,
        "HF_HOME": str(home / "hf"),
        "FIRSTPASS_SERVER__DATA_DIR": str(home),
        "NO_PROXY": "*",
        "COLUMNS": "300",
    }


def firstpass(url: str, home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "firstpass", "models", *arguments]
    variables = environment(url, home) | more
    return subprocess.run(command, capture_output=True, env=variables, timeout=600, check=False, text=True)


def test_a_pulled_model_is_listed_verified_and_found_by_its_name(hub: FakeHub, url: str, tmp_path: Path) -> None:
    done = firstpass(url, tmp_path, "pull", NAME)
    assert done.returncode == 0, done.stderr
    directory = tmp_path / "models" / NAME
    assert {path.name for path in directory.iterdir()} == NEEDED | {"pulled.json"}
    assert (directory / "model.safetensors").read_bytes() == WEIGHTS
    listed = {model["name"]: model for model in json.loads(firstpass(url, tmp_path, "list", "--json").stdout)}
    assert listed[NAME]["where"] == "pulled" and listed["gpt-oss-20b"]["where"] == "not pulled"
    found = catalogue.find(NAME, tmp_path / "models")
    assert found.directory == directory and found.sha256["model.safetensors"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert "--tool-call-parser" in found.vllm_flags
    assert firstpass(url, tmp_path, "verify").returncode == 0
    assert not [path for path, _ in hub.asked if "agent" in path], "the client phoned for more than the model"


def test_a_flipped_byte_of_a_pulled_model_is_found_and_a_second_pull_mends_it(
    hub: FakeHub, url: str, tmp_path: Path
) -> None:
    firstpass(url, tmp_path, "pull", NAME)
    weights = tmp_path / "models" / NAME / "model.safetensors"
    weights.write_bytes(WEIGHTS[:-1] + b"x")
    verdict = firstpass(url, tmp_path, "verify", NAME)
    assert verdict.returncode == 1 and "model.safetensors differs" in verdict.stdout
    asked = len(hub.asked)
    assert firstpass(url, tmp_path, "pull", NAME).returncode == 0 and weights.read_bytes() == WEIGHTS
    assert not [path for path, _ in hub.asked[asked:] if "config.json" in path], "a good file was fetched again"


def test_a_cut_connection_is_taken_up_where_it_ended(hub: FakeHub, url: str, card: Card, tmp_path: Path) -> None:
    hub.cuts = [15 * 2**20]
    pull(card, tmp_path / NAME, url)
    assert hub.ranges() == [None, f"bytes={PIECE_BYTES}-"]
    assert (tmp_path / NAME / "model.safetensors").read_bytes() == WEIGHTS


def _size(part: Path) -> int:
    """Of a file that may get its last name meanwhile."""
    with suppress(FileNotFoundError):
        return part.stat().st_size
    return 0


def test_an_interrupted_pull_goes_on_in_the_next_run(hub: FakeHub, url: str, tmp_path: Path) -> None:
    hub.stalled_at = PIECE_BYTES + PIECE_BYTES // 2
    command = [sys.executable, "-m", "firstpass", "models", "pull", NAME]
    variables = environment(url, tmp_path)
    child = subprocess.Popen(
        command, env=variables, stderr=subprocess.PIPE, start_new_session=True, text=True, preexec_fn=heeding
    )
    directory = tmp_path / "models" / NAME
    deadline = time.monotonic() + 30
    while max(map(_size, directory.glob("*.part")), default=0) < PIECE_BYTES:
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=30)
    assert child.returncode == 130 and "again goes on" in said and "Traceback" not in said
    with pytest.raises(Exception, match="not all here"):
        catalogue.find(NAME, tmp_path / "models")
    hub.stalled_at = None
    assert firstpass(url, tmp_path, "pull", NAME).returncode == 0
    assert hub.ranges()[-1] == f"bytes={PIECE_BYTES}-"
    assert (directory / "model.safetensors").read_bytes() == WEIGHTS


def test_a_corrupted_byte_is_caught_and_not_kept(hub: FakeHub, url: str, card: Card, tmp_path: Path) -> None:
    hub.recorded["model.safetensors"] = WEIGHTS[:-1] + b"x"
    with pytest.raises(PullFailed, match="other bytes"):
        pull(card, tmp_path / NAME, url)
    assert not [path for path in (tmp_path / NAME).iterdir() if "safetensors" in path.name]


def test_a_small_file_is_held_to_its_git_blob(hub: FakeHub, url: str, card: Card, tmp_path: Path) -> None:
    hub.recorded["config.json"] = hub.files["config.json"].replace(b"131072", b"131073")
    with pytest.raises(PullFailed, match=r"config\.json .* other bytes"):
        pull(card, tmp_path / NAME, url)


def test_a_model_that_is_not_pinned_stays_at_the_commit_of_its_first_pull(
    hub: FakeHub, url: str, card: Card, tmp_path: Path
) -> None:
    moving = replace(card, hub=Hub(REPOSITORY, "main", "no commit is known"))
    directory = tmp_path / NAME
    pull(moving, directory, url)
    hub.head, hub.asked = LATER, []
    pull(moving, directory, url)
    lock = catalogue.read_lock(directory)
    assert lock and lock.revision == COMMIT and hub.asked == [], "a whole model was looked up again"
    (directory / "config.json").unlink()
    pull(moving, directory, url)
    assert {path.split("/")[-1] for path, _ in hub.asked} == {COMMIT, "config.json"}


def test_a_new_pin_replaces_the_files_of_the_old_one(hub: FakeHub, url: str, card: Card, tmp_path: Path) -> None:
    hub.files["model-old.safetensors"] = b"old"
    pull(card, tmp_path, url)
    del hub.files["model-old.safetensors"]
    pull(replace(card, hub=Hub(REPOSITORY, LATER)), tmp_path, url)
    lock = catalogue.read_lock(tmp_path)
    assert lock and lock.revision == LATER and not (tmp_path / "model-old.safetensors").exists()


def test_a_token_goes_to_the_hub_and_not_to_its_storage(hub: FakeHub, url: str, tmp_path: Path) -> None:
    assert firstpass(url, tmp_path, "pull", NAME, HF_TOKEN="hf_secret").returncode == 0
    assert hub.tokens == [None]


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_model_is_told_with_what_to_do(hub: FakeHub, url: str, card: Card, tmp_path: Path, status: int) -> None:
    hub.gated = (status, "GatedRepo")
    with pytest.raises(PullFailed, match=r"is gated: accept its terms at .* then set HF_TOKEN"):
        pull(card, tmp_path / NAME, url)


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (404, "RepoNotFound", "has no repository"),
        (401, "", "answered 401"),
        (404, "RevisionNotFound", "has no revision"),
        (403, "", "answered 403"),
        (500, "", "answered 500"),
    ],
)
def test_a_refusal_of_the_hub_is_explained(
    hub: FakeHub, url: str, card: Card, tmp_path: Path, status: int, code: str, said: str
) -> None:
    hub.refusal = (status, code)
    with pytest.raises(PullFailed, match=said):
        pull(card, tmp_path / NAME, url)
    assert not (tmp_path / NAME).exists()


def test_a_hub_that_refuses_the_connection_is_a_line(tmp_path: Path) -> None:
    done = firstpass("http://127.0.0.1:9", tmp_path, "pull", NAME)
    assert done.returncode == 1 and "can't be reached" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_hub_whose_name_is_unknown_can_not_be_reached(card: Card, tmp_path: Path) -> None:
    with pytest.raises(PullFailed, match="can't be reached"):
        pull(card, tmp_path / NAME, "http://no-such-host.invalid")


def test_a_hub_that_does_not_answer_is_a_timeout(
    hub: FakeHub, url: str, card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firstpass.egress.hub.LOOK_UP_SECONDS", 0.0001)
    with pytest.raises(PullFailed, match="in time"):
        pull(card, tmp_path / NAME, url)


def test_offline_mode_is_obeyed(hub: FakeHub, url: str, tmp_path: Path) -> None:
    done = firstpass(url, tmp_path, "pull", NAME, HF_HUB_OFFLINE="1")
    assert done.returncode == 1 and "HF_HUB_OFFLINE" in done.stderr and hub.asked == []


def test_a_page_that_is_no_hub_is_a_line(card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def page(scope: dict[str, object], receive: object, send: object) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
            await send({"type": "http.response.body", "body": b"<html>"})  # type: ignore[operator]

    monkeypatch.setenv("NO_PROXY", "*")
    with serving(page) as address, pytest.raises(PullFailed, match="does not answer as a hub"):
        pull(card, tmp_path / NAME, address)


def test_a_disk_that_is_too_small_is_told_before_a_byte_is_fetched(
    hub: FakeHub, url: str, card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(PullFailed, match="free"):
        pull(card, tmp_path / NAME, url)
    assert hub.ranges() == []


def test_a_repository_without_safetensors_is_refused(hub: FakeHub, url: str, card: Card, tmp_path: Path) -> None:
    del hub.files["model.safetensors"]
    with pytest.raises(PullFailed, match="no safetensors"):
        pull(card, tmp_path / NAME, url)


def test_a_bundled_model_needs_no_pull(tmp_path: Path) -> None:
    done = firstpass("http://127.0.0.1:9", tmp_path, "pull", "firstpass-draft-10m")
    assert done.returncode == 1 and "come with Firstpass" in done.stderr
