"""The record, listed and searched, on a real SQLite file."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from itertools import count
from pathlib import Path

import apsw
import pytest

from firstpass.chat import Message, ToolCall, Usage
from firstpass.errors import BadAsk, StoreFailed, StoreUnavailable, TierFailed
from firstpass.exchange import Answer, Ask, Consult, Exchange, Refuse, Reply, Step
from firstpass.store import Damaged, index, sqlite_browsing
from firstpass.store.index import Index
from firstpass.store.indexed import MOST_CHARACTERS
from firstpass.store.query import Query, Used
from firstpass.store.sqlite import SqliteStore
from firstpass.store.verify import verify
from tests.scenes import until

PATH = "store.sqlite"
DRAFT = Answer(0, "draft")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / PATH)) as made:
        yield made


def exchange(
    number: int,
    asked: str = "hello",
    said: str = "yes",
    *,
    key: str | None = None,
    session: str | None = None,
    ending: Answer | Refuse = DRAFT,
    **more: object,
) -> Exchange:
    ask = Ask(f"ex_{number}", 1000.0 + number, "chat", "firstpass", "cascade", (Message("user", asked),))
    ask = replace(ask, key=key, session=session, **more)  # type: ignore[arg-type]
    return Exchange(ask, (Step(Consult("draft", "draft"), Reply(said, "m", "stop", Usage(3, 4), 0.1)),), ending, 0.5)


def ids(found: Iterable[Exchange | Damaged]) -> list[str]:
    return [one.id if isinstance(one, Damaged) else one.ask.id for one in found]


def found(store: SqliteStore, words: str) -> list[str]:
    return ids(store.browse(Query(words=words)))


def test_what_was_just_written_is_listed_newest_first(store: SqliteStore) -> None:
    for number in range(5):
        store.append(exchange(number))
        assert ids(store.browse(Query(limit=2))) == [f"ex_{one}" for one in (number, number - 1) if one >= 0]


def test_pages_lead_through_all_of_it_in_both_directions(store: SqliteStore) -> None:
    for number in range(7):
        store.append(exchange(number))
    first = ids(store.browse(Query(limit=3)))
    second = ids(store.browse(Query(limit=3, before=first[-1])))
    third = ids(store.browse(Query(limit=3, before=second[-1])))
    assert [*first, *second, *third] == [f"ex_{number}" for number in range(6, -1, -1)]
    assert ids(store.browse(Query(limit=2, after="ex_1"))) == ["ex_2", "ex_3"]
    assert ids(store.browse(Query(after="ex_6"))) == []


@pytest.mark.parametrize(
    "query",
    [
        *(
            Query(before="ex_9"),
            Query(after="ex_9"),
            Query(words="()  ,"),
            Query(words="creat*"),
            Query(words="long-a*"),
        ),
        *(Query(words="--a*"), Query(words='"' + "a " * 65 + '"'), Query(words="a." * 65), Query(words="会" * 65)),
    ],
)
def test_a_place_or_a_word_that_there_is_not_is_an_error_that_names_the_field(store: SqliteStore, query: Query) -> None:
    with pytest.raises(BadAsk) as caught:
        store.browse(query)
    assert caught.value.failure.param in ("before", "after", "q")


def test_a_page_after_anothers_exchange_is_told_from_one_after_none_by_nothing(store: SqliteStore) -> None:
    store.append(exchange(1, key="aa"))
    store.append(exchange(2, key="bb"))
    for query in (Query(before="ex_2"), Query(after="ex_2")):
        assert len(list(store.browse(query))) <= 1
        with pytest.raises(BadAsk, match="no exchange 'ex_2'"):
            store.browse(replace(query, owners=("aa",)))
    store._connection.execute("UPDATE exchanges SET seconds = 9")
    assert ids(store.browse(Query(after="ex_1", owners=("aa",)))) == [], "a page may end with one that is damaged"
    with pytest.raises(BadAsk, match="no exchange 'ex_2'"):
        store.browse(Query(before="ex_2", owners=("aa",)))


@pytest.mark.parametrize(
    "words",
    [
        "createSession",
        "CREATESESSION",
        "auth.py",
        '"log the user"',
        "naïve",
        "naive",
        "snake_case",
        "会话",
        "創建會話",
        "ログイン",
        "사용자",
        "user -rocket",
        'say "half a phrase',
        "NEAR",
        "words:user",
        'AND OR NOT "the user"',
    ],
)
def test_words_are_found_as_a_person_writes_them(store: SqliteStore, words: str) -> None:
    text = "auth.py: log the user in with createSession(); naïve snake_case AND OR NOT NEAR words:user -rocket"
    store.append(exchange(1, f"{text} 用户会话 創建會話 ログインする 사용자가 say half a phrase\0and more"))
    store.append(exchange(2, "something else"))
    assert found(store, words) == ["ex_1"]


@pytest.mark.parametrize("words", ["rocket launch", '"user the log"', "session", "snake", "户用", "elsewhere"])
def test_words_that_are_not_there_are_not_found(store: SqliteStore, words: str) -> None:
    store.append(exchange(1, "log the user in with createSession() snake_case rocket 用户会话", "else"))
    assert found(store, words) == []


def test_an_answer_its_calls_and_what_is_new_in_a_question_are_searched_and_what_is_old_is_not(
    store: SqliteStore,
) -> None:
    old = (Message("system", "sysprompt"), Message("user", "earlier"), Message("assistant", "before"))
    asked = exchange(1, said="replied", messages=(*old, Message("user", "newest")))
    [step] = asked.steps
    assert step.reply is not None
    calls = (ToolCall("c", "weather", '{"city": "Oslo"}'),)
    store.append(replace(asked, steps=(replace(step, reply=replace(step.reply, tool_calls=calls)),)))
    for words in ("replied", "newest", "weather", "oslo"):
        assert found(store, words) == ["ex_1"], words
    for words in ("sysprompt", "earlier", "before"):
        assert found(store, words) == [], words


def test_every_property_narrows_the_list_and_with_words_too(store: SqliteStore) -> None:
    refused = Refuse(TierFailed("broke").failure)
    store.append(exchange(1, "alpha", contract="pr-summary@4"))
    store.append(exchange(2, "alpha", ending=Answer(0, "verified"), contract="pr-summary@3"))
    store.append(exchange(3, "alpha beta", ending=refused, model="Local/Model-7B"))
    store.append(exchange(4, "beta", session="a session", key="aa"))
    wanted = {
        Query(route="verified"): ["ex_2"],
        Query(contract="pr-summary"): ["ex_2", "ex_1"],
        Query(contract="pr-summary@4"): ["ex_1"],
        Query(model="Local/Model-7B"): ["ex_3"],
        Query(status=refused.failure.status): ["ex_3"],
        Query(status=200): ["ex_4", "ex_2", "ex_1"],
        Query(session="a session"): ["ex_4"],
        Query(owners=("aa",)): ["ex_4"],
        Query(owners=(None,)): ["ex_3", "ex_2", "ex_1"],
        Query(owners=()): [],
        Query(owners=("aa", None), limit=2): ["ex_4", "ex_3"],
        Query(words="beta", status=200): ["ex_4"],
        Query(words="alpha", contract="pr-summary", route="draft"): ["ex_1"],
        Query(words="alpha", owners=("aa",)): [],
    }
    for query, expected in wanted.items():
        assert ids(store.browse(query)) == expected, query


def test_what_is_forgotten_is_still_listed_but_found_by_no_word_and_not_in_the_file(
    store: SqliteStore, tmp_path: Path
) -> None:
    store.append(exchange(1, "zanzibarword alpha", "quixoticanswer", session="hushhushname"))
    store.append(exchange(2, "alpha", session="other"))
    assert found(store, "zanzibarword") == ["ex_1"]
    on_disk = lambda: b"".join(path.read_bytes() for path in tmp_path.iterdir())  # noqa: E731
    assert b"zanzibarword" in on_disk() and b"hushhushname" in on_disk()
    assert store.forget("ex_1")
    assert found(store, "zanzibarword") == [] and found(store, "alpha") == ["ex_2"]
    assert ids(store.browse(Query())) == ["ex_2", "ex_1"]
    assert [session.name for session in store.sessions(Query())] == ["other"]
    for word in (b"zanzibarword", b"quixoticanswer", b"hushhushname"):
        assert word not in on_disk(), word


def test_what_is_not_to_be_stored_is_listed_and_found_by_no_word(store: SqliteStore, tmp_path: Path) -> None:
    store.append(exchange(1, "zanzibarword", store=False, session="hushhushname"))
    assert ids(store.browse(Query())) == ["ex_1"] and found(store, "zanzibarword") == []
    assert list(store.sessions(Query())) == []
    assert b"zanzibarword" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_what_is_purged_leaves_the_index_too(store: SqliteStore, tmp_path: Path) -> None:
    store.append(exchange(1, "zanzibarword", session="s"))
    store.append(exchange(2, "zanzibarword", session="s"))
    assert len(found(store, "zanzibarword")) == 2
    assert store.purge(2**40, 1001.5) == 1
    assert found(store, "zanzibarword") == ["ex_2"] and ids(store.browse(Query())) == ["ex_2"]
    [session] = store.sessions(Query())
    assert session.exchanges == 1 and session.first == session.latest
    store.purge(2**40, 2000.0)
    assert list(store.sessions(Query())) == []
    assert b"zanzibarword" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_sessions_are_listed_by_their_last_use_page_by_page(store: SqliteStore) -> None:
    for number, session in enumerate("abcab"):
        store.append(exchange(number, session=session))
    listed = list(store.sessions(Query()))
    assert [(one.name, one.exchanges) for one in listed] == [("b", 2), ("a", 2), ("c", 1)]
    first, latest = listed[0].first, listed[0].latest
    assert first is not None and latest is not None and (first.ask.id, latest.ask.id) == ("ex_1", "ex_4")
    assert [one.place for one in listed] == ["ex_4", "ex_3", "ex_2"]
    assert [one.name for one in store.sessions(Query(limit=1, before="ex_4"))] == ["a"]
    assert [one.name for one in store.sessions(Query(session="c"))] == ["c"]
    with pytest.raises(BadAsk, match="no exchange 'x'"):
        store.sessions(Query(before="x"))


def test_two_owners_sessions_of_one_name_are_two(store: SqliteStore) -> None:
    store.append(exchange(1, "alpha", session="s", key="aa"))
    store.append(exchange(2, "alpha", session="s"))
    for query in (Query(), Query(words="alpha")):
        assert [(one.owner, one.exchanges) for one in store.sessions(query)] == [(None, 1), ("aa", 1)]
        mine = store.sessions(replace(query, owners=("aa",)))
        assert [(one.owner, one.exchanges) for one in mine] == [("aa", 1)]
        [newest, oldest] = store.sessions(query)
        assert [one.owner for one in store.sessions(replace(query, before=newest.place))] == ["aa"]
        assert list(store.sessions(replace(query, before=oldest.place))) == []
    assert store.forget_session("aa", "s") == 1
    assert [one.owner for one in store.sessions(Query())] == [None]


def test_sessions_are_searched_by_what_was_said_in_them_each_once_page_by_page(store: SqliteStore) -> None:
    for number, (session, text) in enumerate(
        [("a", "x"), ("b", "x y"), ("a", "y"), ("c", "x"), (None, "x"), ("a", "x")]
    ):
        store.append(exchange(number, text, session=session))
    assert [one.name for one in store.sessions(Query(words="x"))] == ["a", "c", "b"]
    assert [one.name for one in store.sessions(Query(words="x", limit=1))] == ["a"]
    assert [one.name for one in store.sessions(Query(words="x", limit=1, before="ex_5"))] == ["c"]
    assert [one.name for one in store.sessions(Query(words="x", before="ex_3"))] == ["b"]
    assert [(one.name, one.place) for one in store.sessions(Query(words="y"))] == [("a", "ex_2"), ("b", "ex_1")]


def test_a_forgotten_session_leaves_others_and_no_word_of_its_own(store: SqliteStore, tmp_path: Path) -> None:
    for number in range(3):
        store.append(exchange(number, f"zanzibar{number}", session="hushhushname"))
    store.append(exchange(3, "alpha", session="other"))
    shadow = exchange(4, "zanzibar0", session="hushhushname", shadows="ex_0")
    store.append(shadow)
    assert store.session_ids(None, "hushhushname") == ["ex_0", "ex_1", "ex_2"]
    assert store.forget_session(None, "hushhushname") == 3
    assert [one.name for one in store.sessions(Query())] == ["other"]
    assert found(store, "zanzibar0") == [] and store.forget_session(None, "hushhushname") == 0
    on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"zanzibar" not in on_disk and b"hushhushname" not in on_disk


def test_what_was_used_is_counted_once_whatever_becomes_of_it(store: SqliteStore) -> None:
    store.append(exchange(1, key="aa"))
    store.append(exchange(2, key="aa", ending=Refuse(TierFailed("broke").failure)))
    store.append(exchange(3))
    store.add_spend("aa", "1970-01-01", 0.25, "1970-01-01", None)
    expected = [Used("aa", 2, 1, 6, 8, 0.25), Used(None, 1, 0, 3, 4, 0.0)]
    assert store.used("1970-01-01", None) == expected
    store.forget("ex_1")
    store.purge(2**40, 1002.5)
    again = Index(store._connection, store._log)
    store._write("make the index anew", lambda: again.begin_again("a test wants it"))
    assert store.used("1970-01-01", None) == expected and store.used("1970-01-02", None) == []
    assert store.used("1970-01-01", ["aa"]) == expected[:1]


def test_a_damaged_exchange_is_listed_as_such_and_hides_no_other(store: SqliteStore) -> None:
    for number in range(3):
        store.append(exchange(number, "alpha", session="s"))
    assert len(found(store, "alpha")) == 3
    store._connection.execute("UPDATE exchanges SET seconds = 9 WHERE id = 'ex_1'")
    listed = list(store.browse(Query(words="alpha")))
    assert ids(listed) == ["ex_2", "ex_1", "ex_0"] and isinstance(listed[1], Damaged)
    assert [one.name for one in store.sessions(Query(words="alpha"))] == ["s"]
    with pytest.raises(StoreFailed, match="1 of 3 exchanges stay"):
        store.forget_session(None, "s")
    assert ids(store.browse(Query(session="s"))) == ["ex_1"]


@pytest.mark.parametrize("harm", ["UPDATE found_data SET block = zeroblob(50)", "DELETE FROM found_data WHERE id > 10"])
def test_a_damaged_index_is_made_anew_and_what_is_to_go_goes(tmp_path: Path, harm: str) -> None:
    with closing(SqliteStore(tmp_path / PATH)) as store:
        for number in range(4):
            store.append(exchange(number, f"alpha zanzibar{number}"))
        assert len(found(store, "alpha")) == 4
    with closing(apsw.Connection(str(tmp_path / PATH))) as connection:
        connection.execute(harm)
    with closing(SqliteStore(tmp_path / PATH)) as again:
        assert again.forget("ex_1")
        again.append(exchange(4, "alpha"))
        assert found(again, "alpha") == ["ex_4", "ex_3", "ex_2", "ex_0"]
        assert found(again, "zanzibar1") == []
    assert verify(tmp_path / PATH, []).flaws == []
    assert b"zanzibar1" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_an_index_of_another_version_is_made_anew(store: SqliteStore) -> None:
    store.append(exchange(1, "alpha"))
    assert found(store, "alpha") == ["ex_1"]
    store._connection.execute("UPDATE indexed SET version = 7")
    store.append(exchange(2, "alpha"))
    assert found(store, "alpha") == ["ex_2", "ex_1"]


def test_two_processes_index_each_exchange_once(store: SqliteStore, tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / PATH)) as other:
        for number in range(20):
            (store, other)[number % 2].append(exchange(number, "alpha"))
        assert len(found(store, "alpha")) == len(found(other, "alpha")) == 20
        assert other.forget("ex_0") and len(found(store, "alpha")) == 19
    assert verify(tmp_path / PATH, []).flaws == []


async def test_a_writer_that_never_rests_indexes_all_the_same(store: SqliteStore) -> None:
    numbers = count()

    async def write() -> None:
        while store._browser.rows("look", "SELECT last FROM indexed")[0][0] < 50:
            await store.soon(store.append, exchange(next(numbers), "alpha"))

    await asyncio.wait_for(asyncio.gather(*(write() for _ in range(4))), 60)


def test_what_nobody_looked_for_is_indexed_by_itself_a_moment_later(store: SqliteStore) -> None:
    store.append(exchange(1, "alpha"))
    until(lambda: store._browser.rows("look", "SELECT last FROM indexed") == [(0,)])


def test_words_past_the_bound_are_not_searched_and_those_before_are(store: SqliteStore) -> None:
    store.append(exchange(1, "alpha " + "w " * MOST_CHARACTERS + "omega"))
    assert found(store, "alpha") == ["ex_1"] and found(store, "omega") == []
    assert store.forget("ex_1") and found(store, "alpha") == []


def test_a_session_whose_newest_exchange_is_damaged_is_found_by_words_once_on_every_page(store: SqliteStore) -> None:
    for number, session in enumerate("babaa"):
        store.append(exchange(number, "alpha", session=session))
    assert len(found(store, "alpha")) == 5
    store._connection.execute("UPDATE exchanges SET seconds = 9 WHERE id IN ('ex_3', 'ex_4')")
    assert [(one.name, one.place) for one in store.sessions(Query(words="alpha"))] == [("b", "ex_2"), ("a", "ex_1")]
    assert [one.name for one in store.sessions(Query(words="alpha", before="ex_2"))] == ["a"]
    assert [one.name for one in store.sessions(Query(words="alpha", before="ex_1"))] == []


def test_a_session_is_forgotten_whole_although_the_index_has_not_come_so_far(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "GROW_SECONDS", 0.0)
    monkeypatch.setattr(sqlite_browsing, "CATCH_UPS", 1)
    made = [exchange(number, f"alpha {number}", session="s") for number in range(30)]
    store._write("append them", lambda: [store.append(one) for one in made])
    assert store.forget_session(None, "s") == 30
    assert found(store, "alpha") == []


def test_an_index_that_errs_about_owners_shows_and_forgets_nothing_of_another(store: SqliteStore) -> None:
    store.append(exchange(1, "alpha", session="s", key="aa"))
    assert found(store, "alpha") == ["ex_1"]
    mine = exchange(1, "alpha", session="s", key="bb")
    store._write("mislead", lambda: store._index.replace(0, exchange(1, "alpha", session="s", key="aa"), mine))
    for query in (Query(owners=("bb",)), Query(words="alpha", owners=("bb",))):
        assert [one for one in store.sessions(query) if one.first or one.latest] == []
    assert store.forget_session("bb", "s") == 0
    kept = store.read("ex_1")
    assert kept is not None and kept.ask.store


def test_no_beginning_of_a_forgotten_word_stays_between_the_pages_of_the_index(store: SqliteStore) -> None:
    def edges() -> list[str]:
        return [bytes(term[1:]).decode() for (term,) in store._connection.execute("SELECT term FROM found_idx")]

    words = {sha256(f"{number}".encode()).hexdigest(): number // 30 for number in range(3000)}
    texts = [" ".join(word for word, owner in words.items() if owner == number) for number in range(100)]
    store._write("append all", lambda: [store.append(exchange(number, text)) for number, text in enumerate(texts)])
    assert found(store, max(words)) == [f"ex_{words[max(words)]}"]
    begun = ([word for word in words if word.startswith(edge)] for edge in edges())
    gone = {words[alone[0]] for alone in begun if len(alone) == 1}
    assert gone
    for number in gone:
        assert store.forget(f"ex_{number}")
    said = [word for word, number in words.items() if number not in gone]
    for edge in edges():
        assert not any(word.startswith(edge) for word in words) or any(word.startswith(edge) for word in said), edge
    for word, number in words.items():
        if number not in gone and number % 7 == 0:
            assert found(store, word) == [f"ex_{number}"]
    store._connection.execute("INSERT INTO found (found) VALUES ('integrity-check')")


def test_a_full_disk_is_said_to_be_one_while_the_index_grows_and_it_goes_on_with_more_room(store: SqliteStore) -> None:
    made = [exchange(number, " ".join(f"alpha w{number}x{word}" for word in range(200))) for number in range(60)]

    def bound(pages: int | None = None) -> None:
        [(there,)] = store._connection.execute("PRAGMA page_count")
        store._connection.execute(f"PRAGMA max_page_count = {pages or there}")

    store._write("append all", lambda: [*(store.append(one) for one in made), bound()])
    with pytest.raises(StoreUnavailable, match="full"):
        while store._write("index what it has", store._index.grow):
            pass
    store._write("make room", lambda: bound(10**6))
    assert len(list(store.browse(Query(words="alpha", limit=100)))) == 60
