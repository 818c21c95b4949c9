"""Receipts, checkpoints and a lost record, on a whole front with a hosted verifier, and by the commands."""

import asyncio
import base64
import hashlib
import json
import logging
import resource
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from firstpass import audit
from firstpass.cli.main import app
from firstpass.egress import EgressDoor
from firstpass.errors import StoreFailed
from firstpass.exchange import Exchange, Receipt
from firstpass.redaction import Redactor
from firstpass.store.keys import load_pepper, mint
from firstpass.store.merkle import is_consistent, is_included
from firstpass.store.notes import Signer, Verifier, checkpoint, notes
from firstpass.store.sqlite import SqliteStore
from tests.conftest import Front, serving
from tests.doubles import NAMES, STRAYS, judges, openai_app, says
from tests.unit.test_store import RECEIPT, WHOLE
from tests.unit.test_store_log import full, locked, read_only
from tests.web.test_front import SUMMARY
from tests.web.test_tiers import ASK, answering


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def home(data: Path) -> dict[str, str]:
    return {"FIRSTPASS_SERVER__DATA_DIR": str(data)}


@contextmanager
def sending(front: Front, **server: Any) -> Iterator[tuple[httpx.Client, Any]]:
    """A front whose drafts stray, so that a hosted verifier is asked; and what that has seen."""
    stronger = openai_app(judges(NAMES))
    with serving(stronger) as url:
        verifier = {"url": f"{url}/v1", "model": "stronger"}
        with front(says(STRAYS), verifier=verifier, policy={"egress": "any"}, server=server) as client:
            yield client, stronger.state


def test_the_caller_can_prove_a_receipt_without_us(front: Front, data: Path) -> None:
    with sending(front) as (client, _):
        answer = client.post("/v1/chat/completions", json=SUMMARY)
        client.post("/v1/chat/completions", json=SUMMARY)
        (receipt,) = answer.json()["firstpass"]["receipts"]
        proof = client.get(f"/v1/audit/receipts/{receipt['number']}").json()
        note = client.get("/v1/audit/checkpoint")
    assert answer.headers["x-firstpass-receipt"].split(";")[2:] == [str(receipt["number"]), receipt["leaf"]]
    assert proof["leaf"] == receipt["leaf"] == hashlib.sha256(b"\0" + proof["entry"].encode()).hexdigest()
    said = json.loads(proof["entry"])
    assert said["exchange"] == answer.headers["x-request-id"]
    names = ("host", "path", "model", "why", "ceiling", "bytes", "sha256")
    assert {name: said[name] for name in names} == {name: receipt[name] for name in names}
    assert (said["path"], said["model"], said["why"]) == ("/v1/chat/completions", "stronger", "verify")
    assert said["ceiling"] == "any" and receipt["redacted"] == said["redacted"] == {}
    verifier = Signer(load_pepper(data / "log-key")).verifier
    signed = checkpoint(proof["checkpoint"], verifier)
    hashes = [bytes.fromhex(each) for each in proof["hashes"]]
    assert is_included(bytes.fromhex(proof["leaf"]), proof["number"], signed.size, hashes, signed.root)
    assert stat.S_IMODE((data / "log-key").stat().st_mode) == 0o600
    assert note.headers["content-type"] == "text/plain; charset=utf-8"
    assert checkpoint(note.text, verifier) == signed


def test_the_log_is_proved_to_have_only_grown_since_an_older_checkpoint(front: Front, data: Path) -> None:
    with sending(front) as (client, _):
        older = client.get("/v1/audit/checkpoint").text
        client.post("/v1/chat/completions", json=SUMMARY)
        verifier = Signer(load_pepper(data / "log-key")).verifier
        then = checkpoint(older, verifier)
        proof = client.get(f"/v1/audit/consistency/{then.size}").json()
        beyond = client.get("/v1/audit/consistency/1000")
        nothing = client.get("/v1/audit/consistency/0").json()
    now = checkpoint(proof["checkpoint"], verifier)
    assert now.size > then.size and beyond.status_code == 404 and nothing["hashes"] == []
    hashes = [bytes.fromhex(each) for each in proof["hashes"]]
    assert is_consistent(then.size, then.root, now.size, now.root, hashes)


@pytest.mark.parametrize("trouble", [full, read_only, locked])
async def test_nothing_leaves_where_it_can_not_be_recorded(tmp_path: Path, trouble: Any) -> None:
    with answering(b"{}") as (url, seen), closing(SqliteStore(tmp_path / "store.sqlite")) as store:

        async def record(exchange: str, receipt: Receipt) -> Receipt:
            return await asyncio.to_thread(store.record_departure, exchange, replace(receipt, path="p" * 9000))

        door = EgressDoor(url, "m", {}, hosted=True, reply_seconds=5, record=record, redactor=Redactor())
        with trouble(store, tmp_path / "store.sqlite"), pytest.raises(StoreFailed, match="nothing was sent"):
            async with door.post(ASK, "chat/completions", b"secret", lambda *_: None):
                pass
        await door.aclose()
    assert seen == []


def test_the_log_has_every_departure_and_no_other(front: Front, data: Path) -> None:
    with sending(front) as (client, seen):
        ids = [client.post("/v1/chat/completions", json=SUMMARY).headers["x-request-id"] for _ in range(3)]
        client.post("/v1/chat/completions", json=SUMMARY, headers={"x-firstpass-egress": "local-only"})
        sent = len(seen.seen)
    with closing(SqliteStore(data / "firstpass.sqlite")) as store:
        entries = [json.loads(line) for line in store.entries(None, 1000)]
    left = [entry["exchange"] for entry in reversed(entries) if entry["event"] == "departure"]
    assert left == ids and sent == 3


def test_a_receipt_is_told_to_its_own_key_alone(front: Front, data: Path) -> None:
    with sending(front, keys="required") as (client, _):
        keys = []
        with closing(SqliteStore(data / "firstpass.sqlite")) as store:
            for name in ("one", "two"):
                key, record = mint(name, load_pepper(data / "pepper"), 1.0)
                store.add_key(record)
                keys.append({"x-api-key": key})
        answer = client.post("/v1/chat/completions", json=SUMMARY, headers=keys[0])
        number = answer.json()["firstpass"]["receipts"][0]["number"]
        assert client.get(f"/v1/audit/receipts/{number}", headers=keys[0]).is_success
        others = [
            client.get(f"/v1/audit/receipts/{asked}", headers=keys[which])
            for which, asked in ((1, number), (0, 0), (0, 10**9), (0, "-1"), (0, "9" * 400), (0, "\N{SUPERSCRIPT TWO}"))
        ]
        assert client.get(f"/v1/audit/receipts/{number}").status_code == 401
    assert {(other.status_code, other.json()["error"]["code"]) for other in others} == {(404, "not_found")}


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_record_that_was_deleted_under_a_server_is_noticed_at_once(front: Front, data: Path, suffix: str) -> None:
    """Records were lost in silence, and a revoked key went on to work."""
    with sending(front, keys="required") as (client, seen):
        key, record = mint("one", load_pepper(data / "pepper"), 1.0)
        with closing(SqliteStore(data / "firstpass.sqlite")) as store:
            store.add_key(record)
        headers = {"x-api-key": key}
        assert client.get("/v1/models", headers=headers).is_success
        (data / f"firstpass.sqlite{suffix}").unlink()
        answers = [
            client.get("/v1/models", headers=headers),
            client.post("/v1/chat/completions", json=SUMMARY, headers=headers),
            client.get("/readyz"),
        ]
        assert client.get("/healthz").is_success and seen.seen == []
    told = [(answer.status_code, answer.json()["error"]["code"]) for answer in answers]
    assert told == [(503, "store_lost")] * 3 and all("retry-after" in answer.headers for answer in answers)


def test_without_keys_nothing_is_asked_once_the_record_is_lost(front: Front, data: Path) -> None:
    with sending(front) as (client, seen):
        (data / "firstpass.sqlite").rename(data / "aside")
        lost = client.post("/v1/chat/completions", json=SUMMARY | {"stream": True})
        assert (lost.status_code, seen.seen) == (503, []) and "firstpass.sqlite is gone" in lost.text
        (data / "aside").rename(data / "firstpass.sqlite")
        assert client.get("/readyz").is_success
        assert client.post("/v1/chat/completions", json=SUMMARY).is_success


def test_checkpoints_are_appended_at_start_and_end_and_each_goes_on_from_the_last(
    front: Front, data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoints"
    for _ in range(2):
        with sending(front, checkpoints=path) as (client, _):
            client.post("/v1/chat/completions", json=SUMMARY)
    verifier = Signer(load_pepper(data / "log-key")).verifier
    sizes = [checkpoint(note, verifier).size for note in notes(path.read_text())]
    assert len(sizes) == 3 and sizes == sorted(set(sizes)), "what has not grown is not signed twice"


def test_a_record_that_was_rolled_back_is_refused_at_start(front: Front, data: Path, tmp_path: Path) -> None:
    path, older = tmp_path / "checkpoints", tmp_path / "older.sqlite"
    with sending(front, checkpoints=path) as (client, _):
        client.post("/v1/chat/completions", json=SUMMARY)
    shutil.copy(data / "firstpass.sqlite", older)
    with sending(front, checkpoints=path) as (client, _):
        client.post("/v1/chat/completions", json=SUMMARY)
    shutil.copy(older, data / "firstpass.sqlite")
    with pytest.raises(StoreFailed, match="older copy"), sending(front, checkpoints=path):
        pass
    path.rename(tmp_path / "checkpoints.old")
    with sending(front, checkpoints=path) as (client, _):
        assert client.get("/v1/audit/checkpoint").is_success


def test_checkpoints_of_another_key_are_refused_at_start(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints"
    path.write_text(Signer(bytes(32)).sign(0, bytes(32)))
    with closing(SqliteStore(tmp_path / "store.sqlite")) as store, pytest.raises(StoreFailed, match="not signed by"):
        audit.Audit(store, Signer(bytes(range(32))), audit.Keeping(path, 2**40, None))


def test_checkpoints_that_can_not_be_written_are_an_error_that_names_the_setting(front: Front, tmp_path: Path) -> None:
    missing = tmp_path / "no" / "file"
    with pytest.raises(StoreFailed, match=r"server\.checkpoints"), sending(front, checkpoints=missing):
        pass


async def test_a_log_is_signed_while_it_grows_and_what_is_too_old_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(audit, "TURN_SECONDS", 0.01)
    monkeypatch.setattr(audit, "CHECKPOINT_ENTRIES", 5)
    path, signer = tmp_path / "checkpoints", Signer(bytes(32))
    with closing(SqliteStore(tmp_path / "store.sqlite")) as store:
        keeping = audit.Audit(store, signer, audit.Keeping(path, 2**40, keep_days=1.0))
        turning = asyncio.create_task(keeping.keep())
        for number in range(4):
            store.record_departure(f"ex_{number}", RECEIPT)
        await asyncio.sleep(0.1)
        assert [checkpoint(note, signer.verifier).size for note in notes(path.read_text())] == [0]
        store.append(replace(WHOLE, ask=replace(WHOLE.ask, id="new", received_unix=time.time())))
        store.append(WHOLE)
        await until(lambda: store.read("ex_1") is None and len(list(notes(path.read_text()))) == 2)
        assert store.read("new") is not None
        path.unlink()
        path.mkdir()
        for number in range(9):
            store.record_departure(f"ex_{number}", RECEIPT)
        await until(lambda: "the log was not signed" in caplog.text)
        turning.cancel()
        with suppress(asyncio.CancelledError):
            await turning
    assert caplog.records[0].levelno == logging.ERROR


@pytest.mark.parametrize("cut", [10, 70, 84, 120, -5])
def test_a_checkpoint_that_was_cut_off_stops_no_start_and_spoils_no_other(
    data: Path, home: dict[str, str], tmp_path: Path, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    data.mkdir()
    path, signer = tmp_path / "checkpoints", Signer(load_pepper(data / "log-key"))
    keeping = audit.Keeping(path, 2**40, None)
    with closing(SqliteStore(data / "firstpass.sqlite")) as store:
        first = audit.Audit(store, signer, keeping)
        store.record_departure("ex_0", RECEIPT)
        first.sign()
        path.write_bytes(path.read_bytes() + signer.sign(9, bytes(32)).encode()[:cut])
        store.record_departure("ex_1", RECEIPT)
        audit.Audit(store, signer, keeping)
        assert "note 3 of 3 has no whole signature" in caplog.text
    held = firstpass("audit", "verify", "--checkpoint", str(path), **home)
    assert held.exit_code == 0 and "3 checkpoints held" in held.stdout


def test_a_checkpoint_for_which_there_is_no_room_is_not_half_there(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints"
    path.write_text("before\n\n")
    bound, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        with pytest.raises(StoreFailed, match=r"server\.checkpoints"):
            audit.append(path, "a note of more than twenty bytes\n\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bound, hard))
    assert path.read_text() == "before\n\n"


async def test_what_is_too_old_goes_while_no_checkpoint_can_be_written_and_after_any_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(audit, "TURN_SECONDS", 0.01)
    monkeypatch.setattr(audit, "CHECKPOINT_ENTRIES", 1)
    folder = tmp_path / "other disk"
    folder.mkdir()
    with closing(SqliteStore(tmp_path / "store.sqlite")) as store:
        keeping = audit.Audit(store, Signer(bytes(32)), audit.Keeping(folder / "checkpoints", 2**40, keep_days=1.0))
        folder.rename(tmp_path / "unmounted")
        store.append(WHOLE)
        turning = asyncio.create_task(keeping.keep())
        await until(lambda: store.read("ex_1") is None and "the log was not signed" in caplog.text)
        monkeypatch.setattr(store, "purge", None)
        await until(lambda: "TypeError" in caplog.text)
        assert not turning.done()
        turning.cancel()
        with suppress(asyncio.CancelledError):
            await turning


async def until(true: Any) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def firstpass(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, arguments, env=environment | {"COLUMNS": "200"})


def written(data: Path, count: int = 3) -> None:
    with closing(SqliteStore(data / "firstpass.sqlite")) as store:
        for number in range(count):
            exchange = f"ex_{number:024x}"
            store.record_departure(exchange, replace(RECEIPT, why="verify", ceiling="any", redacted={"AWS": 2}))
            store.append(replace(WHOLE, ask=replace(WHOLE.ask, id=exchange)))


def test_the_log_is_listed(data: Path, home: dict[str, str]) -> None:
    written(data)
    listed = firstpass("audit", "list", **home).stdout
    assert "10 bytes to verifier.example, to verify (any), 2 secrets replaced" in listed
    assert f"exchanges ex_{2:024x}" in listed
    one = json.loads(firstpass("audit", "list", "--exchange", f"ex_{1:024x}", "--json", **home).stdout)
    assert [(entry["number"], entry["event"]) for entry in one] == [(3, "exchange"), (2, "departure")]


def test_what_is_exported_is_checked_without_us(data: Path, home: dict[str, str], tmp_path: Path) -> None:
    """As the command's help says it."""
    written(data)
    note, lines, key = (tmp_path / name for name in ("note", "lines", "key"))
    done = firstpass("audit", "export", "--to", str(note), "--entries", str(lines), "--public-key", str(key), **home)
    assert done.exit_code == 0 and done.stdout == ""
    name, size, root, *_ = note.read_text().split("\n")
    leaves = [hashlib.sha256(b"\0" + line).digest() for line in lines.read_bytes().splitlines()]
    assert len(leaves) == int(size) == 6
    pairs = [
        hashlib.sha256(b"\1" + left + right).digest() for left, right in zip(leaves[::2], leaves[1::2], strict=True)
    ]
    first = hashlib.sha256(b"\1" + pairs[0] + pairs[1]).digest()
    assert hashlib.sha256(b"\1" + first + pairs[2]).digest() == base64.b64decode(root)
    verifier = Verifier.read(key.read_text())
    assert checkpoint(note.read_text(), verifier).size == 6 and verifier.name == name
    plain = firstpass("audit", "export", **home)
    assert plain.stdout == note.read_text() and str(verifier) in plain.stderr


def test_a_record_is_verified_and_what_was_altered_is_said(data: Path, home: dict[str, str], tmp_path: Path) -> None:
    written(data)
    note, key = tmp_path / "note", tmp_path / "key"
    firstpass("audit", "export", "--to", str(note), "--public-key", str(key), **home)
    held = ("audit", "verify", "--checkpoint", str(note), "--public-key", str(key))
    whole = firstpass(*held, **home)
    assert whole.exit_code == 0 and "1 checkpoints held" in whole.stdout and "nothing was altered" in whole.stdout
    machine = json.loads(firstpass("audit", "verify", "--json", **home).stdout)
    assert (machine["entries"], machine["flaws"], machine["rows"]["exchanges"]) == (6, [], 3)
    backup = tmp_path / "backup.sqlite"
    shutil.copy(data / "firstpass.sqlite", backup)
    with closing(apsw.Connection(str(data / "firstpass.sqlite"))) as connection:
        connection.execute("UPDATE exchanges SET model = 'other' WHERE rowid = 2")
        connection.execute("DELETE FROM log WHERE number = 5")
        connection.execute("DELETE FROM exchanges WHERE rowid = 3")
    bad = firstpass(*held, **home)
    told = bad.stdout
    assert bad.exit_code == 1 and f"exchange ex_{1:024x}: it is not what entry 3 of the log vouches for" in told
    assert "entries 5 to 5: missing; a checkpoint has 6" in told and "damaged or was altered" in told
    assert firstpass(*held, "--store", str(backup), **home).exit_code == 0
    listed = firstpass("history", "--json", **home)
    assert [item["ask"]["id"] for item in json.loads(listed.stdout) if "damaged" in item] == [f"ex_{1:024x}"]
    table = firstpass("history", **home)
    assert table.exit_code == 0 and "damaged" in table.stdout and f"ex_{0:024x}" in table.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--public-key", "{key}"), "--checkpoint"),
        (("--checkpoint", "{key}"), "no checkpoint in it"),
        (("--checkpoint", "{empty}"), "no checkpoint in it"),
        (("--checkpoint", "{other}", "--public-key", "{key}"), "not signed by"),
        (("--checkpoint", "{other}", "--public-key", "{empty}"), "public key"),
    ],
)
def test_what_can_not_be_verified_with_is_a_line(
    data: Path, home: dict[str, str], tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    written(data, 1)
    files = {name: tmp_path / name for name in ("key", "empty", "other")}
    files["key"].write_text(str(Signer(bytes(32)).verifier))
    files["empty"].write_text("")
    files["other"].write_text(Signer(bytes(range(32))).sign(1, bytes(32)))
    done = firstpass("audit", "verify", *(each.format(**files) for each in arguments), **home)
    assert done.exit_code == 1 and told in f"{done.exception} {done.stderr}"


def test_a_receipt_in_a_record_of_an_older_version_is_read(data: Path) -> None:
    with closing(SqliteStore(data / "firstpass.sqlite")) as store:
        store.append(WHOLE)
        found = store.read("ex_1")
    assert isinstance(found, Exchange) and found.receipts == (RECEIPT,) and RECEIPT.number is None
