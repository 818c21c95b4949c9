"""The store on a real SQLite file."""

import hashlib
import json
import random
import stat
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from firstpass.chat import Message, Sampling, TokenLogprob, Usage
from firstpass.errors import StoreFailed, TierFailed
from firstpass.exchange import Answer, Ask, Consult, Exchange, Finding, Judgement, Label, Receipt, Refuse, Reply, Step
from firstpass.store.codec import decode, encode, kept
from firstpass.store.keys import key_id, load_pepper, matches, mint
from firstpass.store.opening import wal_is_safe
from firstpass.store.sqlite import SqliteStore

SECRET_TEXT = "launch code 0000"
RECEIPT = Receipt("verifier.example", 2.0, 10, "ab" * 32)
DEPARTED = (RECEIPT.host, RECEIPT.bytes, RECEIPT.sha256)
WHOLE = Exchange(
    Ask("ex_1", 1.0, "chat", "firstpass", "cascade", (Message("user", SECRET_TEXT),), Sampling(stop=("x",), seed=3)),
    (
        Step(
            Consult("draft", "draft"),
            Reply(SECRET_TEXT, "m", "stop", Usage(3, 4), 0.5, logprobs=(TokenLogprob("a", -0.5),), raw=b"{}"),
            findings=(Finding("omitted", "fail", SECRET_TEXT, "Calls", SECRET_TEXT),),
            edited=SECRET_TEXT,
        ),
        Step(Consult("verifier", "verify"), failure=TierFailed(SECRET_TEXT).failure, receipt=RECEIPT),
    ),
    Answer(0, "unverified"),
    seconds=1.5,
)


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "store.sqlite")


def test_an_exchange_comes_back_as_it_was_without_its_wire_body(store: SqliteStore) -> None:
    store.append(WHOLE)
    first = WHOLE.steps[0]
    assert first.reply is not None
    expected = replace(WHOLE, steps=(replace(first, reply=replace(first.reply, raw=None)), WHOLE.steps[1]))
    assert store.read("ex_1") == expected
    assert store.read("ex_2") is None


def test_a_refusal_and_half_a_character_come_back_too_and_a_forgotten_refusal_does_not(store: SqliteStore) -> None:
    first = WHOLE.steps[0]
    assert first.reply is not None
    half = TokenLogprob("\ufffd", -0.5, octets=(195,))
    reply = replace(first.reply, refusal=SECRET_TEXT, logprobs=(half, TokenLogprob("a", -0.5)), raw=None)
    store.append(replace(WHOLE, steps=(replace(first, reply=reply),)))
    found = store.read("ex_1")
    assert found is not None and found.steps[0].reply == reply
    assert store.forget("ex_1") and SECRET_TEXT not in str(store.read("ex_1"))


def test_a_record_from_before_there_were_bytes_and_refusals_is_read() -> None:
    told = json.loads(encode(kept(WHOLE)))
    reply, ask = told["steps"][0]["reply"], told["ask"]
    del reply["refusal"], ask["limit_name"], reply["logprobs"][0]["octets"], reply["logprobs"][0]["top_octets"]
    assert decode(json.dumps(told)) == kept(WHOLE)


def test_a_refused_exchange_comes_back_as_refused(store: SqliteStore) -> None:
    refused = replace(WHOLE, ending=Refuse(TierFailed("broke").failure))
    store.append(refused)
    found = store.read("ex_1")
    assert found is not None and found.ending == refused.ending


def test_the_newest_are_listed_first(store: SqliteStore) -> None:
    for number in range(3):
        store.append(replace(WHOLE, ask=replace(WHOLE.ask, id=f"ex_{number}", received_unix=float(number))))
    assert [exchange.ask.id for exchange in store.latest(2)] == ["ex_2", "ex_1"]


def test_what_was_appended_survives_a_new_start(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "store.sqlite")
    first.append(WHOLE)
    first.close()
    assert SqliteStore(tmp_path / "store.sqlite").read("ex_1") is not None


def test_store_false_keeps_the_counts_and_no_text(store: SqliteStore, tmp_path: Path) -> None:
    store.append(replace(WHOLE, ask=replace(WHOLE.ask, store=False)))
    found = store.read("ex_1")
    assert found is not None and found.steps[0].reply is not None
    assert found.steps[0].reply.usage == Usage(3, 4) and found.steps[0].findings[0].check == "omitted"
    store.close()
    assert SECRET_TEXT.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_the_same_exchange_twice_is_an_error(store: SqliteStore) -> None:
    store.append(WHOLE)
    with pytest.raises(StoreFailed, match="append an exchange"):
        store.append(WHOLE)


def test_a_departure_is_there_before_its_exchange_ends(store: SqliteStore) -> None:
    kept = store.record_departure("ex_1", RECEIPT)
    (line,) = store.entries("ex_1", 10)
    said = json.loads(line)
    assert (said["event"], said["host"], said["bytes"], said["sha256"]) == ("departure", *DEPARTED)
    assert kept == replace(RECEIPT, number=0, leaf=hashlib.sha256(b"\0" + line).hexdigest())


def test_the_file_is_for_its_owner_alone(tmp_path: Path, store: SqliteStore) -> None:
    assert stat.S_IMODE((tmp_path / "store.sqlite").stat().st_mode) == 0o600


def test_every_commit_is_synced_in_wal_mode(tmp_path: Path, store: SqliteStore) -> None:
    assert next(store._connection.execute("PRAGMA journal_mode"))[0] == "wal"
    assert next(store._connection.execute("PRAGMA synchronous"))[0] == 2


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_text("not a database, but long enough to have a header " * 4)
    with pytest.raises(StoreFailed):
        SqliteStore(tmp_path / "store.sqlite")


def test_a_store_from_a_newer_version_is_refused(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "store.sqlite").close()
    with apsw.Connection(str(tmp_path / "store.sqlite")) as connection:
        connection.execute("INSERT INTO migrations VALUES ('9999_future')")
        connection.execute("CREATE TABLE later (what TEXT)")
    before = schema_of(tmp_path / "store.sqlite")
    with pytest.raises(StoreFailed, match=r"written by a newer version \(migration 9999_future\)"):
        SqliteStore(tmp_path / "store.sqlite")
    assert schema_of(tmp_path / "store.sqlite") == before, "it is left as it was"


def schema_of(path: Path) -> list[tuple[object, ...]]:
    with closing(apsw.Connection(str(path))) as connection:
        named = "SELECT name, sql FROM sqlite_schema UNION ALL SELECT name, '' FROM migrations ORDER BY 1, 2"
        return list(connection.execute(named))


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False),
        ((3, 44, 6), True),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 54, 0), True),
    ],
)
def test_a_sqlite_with_the_wal_reset_bug_is_known(version: tuple[int, ...], safe: bool) -> None:
    assert wal_is_safe(version) is safe


def test_a_key_is_known_by_its_digest_alone_until_it_is_revoked(store: SqliteStore, tmp_path: Path) -> None:
    pepper = load_pepper(tmp_path / "pepper")
    key, record = mint("ci", pepper, 1.0)
    store.add_key(record)
    assert key not in str(store.list_keys())
    found = store.find_key(key_id(key) or "")
    assert found is not None and matches(key, found, pepper, 2.0)
    assert not matches(key, found, b"another pepper", 2.0)
    assert store.revoke_key(record.id, 2.0) and not store.revoke_key(record.id, 3.0)
    revoked = store.find_key(record.id)
    assert revoked is not None and not matches(key, revoked, pepper, 3.0)


def test_a_mistyped_key_is_no_key() -> None:
    key, _ = mint("ci", b"pepper", 1.0)
    assert key_id(key) is not None
    assert key_id(key[:-1] + ("0" if key[-1] != "0" else "1")) is None
    assert key_id("sk-anything") is None and key_id("") is None


def test_a_damaged_pepper_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pepper").write_bytes(b"")
    with pytest.raises(StoreFailed, match="damaged"):
        load_pepper(tmp_path / "pepper")


def test_a_folder_that_can_not_be_made_is_a_store_failure() -> None:
    with pytest.raises(StoreFailed, match="open"):
        SqliteStore(Path("/proc/nowhere/store.sqlite"))


def test_many_processes_may_make_the_store_at_once(tmp_path: Path) -> None:
    code = "import sys, pathlib; from firstpass.store.sqlite import SqliteStore; SqliteStore(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path / "store.sqlite")]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(6)]
    assert [process.communicate()[1] for process in started] == [b""] * 6


def test_the_pepper_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    pepper = load_pepper(tmp_path / "pepper")
    assert load_pepper(tmp_path / "pepper") == pepper and len(pepper) == 32
    assert stat.S_IMODE((tmp_path / "pepper").stat().st_mode) == 0o600


def test_labels_come_back_in_their_order_with_their_exchange(store: SqliteStore) -> None:
    store.append(WHOLE)
    first, second = Label("ex_1", "reject", "user", 3.0, key="k1"), Label("ex_1", "edit", "user", 4.0, text="better")
    store.add_label(first)
    store.add_label(second)
    assert store.labels("ex_1") == [first, second] and store.labels("ex_2") == []
    assert [(exchange.ask.id, label) for exchange, label in store.labelled("user")] == [
        ("ex_1", first),
        ("ex_1", second),
    ]
    assert store.labelled("eval") == []


def test_of_audits_what_the_gate_said_comes_back_alone_and_in_order(store: SqliteStore) -> None:
    """Bug: all that was ever labelled was read whole at each start: 30,000 exchanges took 607 MB."""
    judged = Judgement("g", 0.9, 0.5, True, "score", 0.1, 0.95, 0.1, audit=True)
    said = replace(judged, audit=False, gate='"audit":true')
    for name, one in (("ex_1", judged), ("ex_2", said), ("ex_3", None), ("ex_4", judged)):
        store.append(replace(WHOLE, ask=replace(WHOLE.ask, id=name), ending=Answer(0, "draft", one)))
        store.add_label(Label(name, "accept", "user", 3.0))
    store.add_label(Label("ex_1", "reject", "user", 4.0))
    store._connection.execute("UPDATE labels SET verdict = 'reject' WHERE exchange_id = 'ex_4'")
    found = [(one, label.exchange, label.verdict) for one, label in store.audits("user")]
    assert found == [(judged, "ex_1", "accept"), (judged, "ex_1", "reject")]
    assert not list(store.audits("eval"))


def test_what_is_forgotten_is_nowhere_on_the_disk(store: SqliteStore, tmp_path: Path) -> None:
    """Also not where a page had a copy of it before others were written, changed and moved."""
    sizes = (1, 40, 300, 900)
    words = [f"secret{number:03}x" for number in range(30)]
    for number, word in enumerate(words):
        ask = replace(WHOLE.ask, id=f"ex_{number}", messages=(Message("user", f"{word} " * sizes[number % 4]),))
        store.append(replace(WHOLE, ask=replace(ask, user=word, metadata={word: word})))
        store.add_label(Label(ask.id, "edit", "user", 3.0, text=f"{word} was wrong"))
    order = random.Random(5).sample(range(30), 24)
    for number in order:
        assert store.forget(f"ex_{number}")
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert [word for word in words if word.encode() in kept] == [words[n] for n in range(30) if n not in order]


def test_what_is_forgotten_keeps_its_counts_and_times(store: SqliteStore) -> None:
    store.append(WHOLE)
    store.add_label(Label("ex_1", "edit", "user", 3.0, text=SECRET_TEXT))
    assert store.forget("ex_1") and not store.forget("ex_2")
    found = store.read("ex_1")
    assert found is not None and found.steps[0].reply is not None
    assert found.steps[0].reply.usage == Usage(3, 4) and found.seconds == 1.5 and not found.ask.store
    assert SECRET_TEXT not in str(found)
    assert store.labels("ex_1") == [Label("ex_1", "edit", "user", 3.0)]


def test_no_free_text_of_a_request_outlives_it(store: SqliteStore, tmp_path: Path) -> None:
    """The reasoning effort, the session, and the model's name under an alias with a `*` stayed."""
    sampling = replace(WHOLE.ask.sampling, reasoning_effort="secret-effort")
    ask = replace(WHOLE.ask, model="claude-secret-model", target="strong", session="secret-session", sampling=sampling)
    store.append(replace(WHOLE, ask=ask))
    store.append(replace(WHOLE, ask=replace(ask, id="ex_2", store=False)))
    assert store.forget("ex_1")
    found = [store.read("ex_1"), store.read("ex_2")]
    assert [(each.ask.model, each.ask.session) for each in found if each] == [("strong", None)] * 2
    assert b"secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize("then", ["append", "forget", "open"])
def test_words_that_another_reader_keeps_in_the_log_leave_it_soon_after(
    store: SqliteStore, tmp_path: Path, then: str
) -> None:
    """A deletion waited 10 s for it, with all other calls behind, then failed, and the words stayed for ever."""

    def on_disk() -> bool:
        return SECRET_TEXT.encode() in b"".join(path.read_bytes() for path in tmp_path.iterdir())

    plain = replace(WHOLE, ask=replace(WHOLE.ask, id="ex_2", store=False))
    store.append(WHOLE)
    store.append(plain)
    with closing(apsw.Connection(str(tmp_path / "store.sqlite"))) as reader:
        reader.execute("BEGIN")
        assert next(reader.execute("SELECT count(*) FROM exchanges")) == (2,)
        begun = time.monotonic()
        assert store.forget("ex_1")
        assert time.monotonic() - begun < 5
        assert SECRET_TEXT not in str(store.read("ex_1")) and on_disk()
        store.append(replace(plain, ask=replace(plain.ask, id="ex_3")))
        assert on_disk()
        reader.execute("COMMIT")
        match then:
            case "append":
                store.append(replace(plain, ask=replace(plain.ask, id="ex_4")))
            case "forget":
                assert store.forget("ex_2")
            case "open":
                SqliteStore(tmp_path / "store.sqlite").close()
        assert not on_disk()
