"""`firstpass hook` in real git repositories, before a whole front whose draft engine is scripted."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Response

from firstpass.hooks import placing
from firstpass.hooks.script import NAMES, written
from tests.conftest import fronted, serving
from tests.doubles import openai_app
from tests.repository import Repository, made

SAID = "Create a session in login\n\n- auth.py: calls createSession"
DRAFT = "Create a session in login"
WROTE = "# Firstpass wrote this draft (route "
CHANGED = "def login(user):\n    check(user)\n    s = createSession(user)\n    return s\n"
KEY = "fp-0123456789abcdef-secret"


class Asked(list[str]):
    """What the draft model was asked; it says a good message, or what a test wants."""

    says = SAID

    def __call__(self, body: dict[str, Any]) -> str:
        said = body["messages"][-1]["content"]
        if "Diff:" in said:  # not one that asks whether it is ready
            self.append(said)
        return self.says


@pytest.fixture(scope="module")
def model() -> Asked:
    return Asked()


@pytest.fixture
def asked(model: Asked) -> Asked:
    model.clear()
    model.says = SAID
    return model


@pytest.fixture(scope="module")
def server(model: Asked, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One front for all: what it keeps of one test is of no concern to another."""
    with serving(openai_app(model)) as engine, fronted(engine, tmp_path_factory.mktemp("data")) as client:
        yield str(client.base_url)


@pytest.fixture
def shop(tmp_path: Path, server: str, asked: Asked) -> Repository:
    """A repository with both hooks, and a server that they ask."""
    repository = made(tmp_path, FIRSTPASS_URL=server)
    placing.install(placing.Place(repository.hooks, shared=False), NAMES, shared=False)
    return repository


@pytest.fixture
def alone(tmp_path: Path) -> Repository:
    """Without a server."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    repository = made(tmp_path, FIRSTPASS_URL=f"http://127.0.0.1:{port}")
    placing.install(placing.Place(repository.hooks, shared=False), NAMES, shared=False)
    return repository


def test_the_editor_shows_a_draft_and_the_commit_has_it_without_the_remarks(shop: Repository, asked: Asked) -> None:
    shop.adds("auth.py", CHANGED)
    shown = shop.commit()
    assert shown.startswith(f"{DRAFT}\n") and "# Firstpass wrote this draft (route " in shown
    assert "exchange ex_" in shown and "# Please enter the commit message" in shown
    assert shop.newest.startswith(DRAFT) and "Firstpass" not in shop.newest and "ex_" not in shop.newest
    assert "+    s = createSession(user)" in asked[0]


@pytest.mark.parametrize(
    "arguments",
    [("-m", "Mine"), ("-F", "../home/mine"), ("-C", "HEAD"), ("--amend", "-m", "Mine"), ("--fixup", "HEAD")],
    ids=" ".join,
)
def test_who_gives_a_message_is_not_given_another(shop: Repository, asked: Asked, arguments: tuple[str, ...]) -> None:
    (shop.home / "mine").write_text("Mine\n")
    shop.adds("auth.py", CHANGED)
    shop.commit(*arguments)
    assert shop.newest in ("Mine", "Begin", "fixup! Begin") and not asked


def test_an_amended_message_a_merge_and_a_squash_stay_as_git_writes_them(shop: Repository, asked: Asked) -> None:
    shop.adds("auth.py", CHANGED)
    assert shop.commit("--amend").startswith("Begin\n")
    shop.git("checkout", "-qb", "side")
    shop.adds("side.py", "def side(): pass\n")
    shop.git("commit", "-qm", "Side")
    shop.git("checkout", "-q", "main")
    shop.git("merge", "--no-ff", "--edit", "side")
    assert shop.newest == "Merge branch 'side'"
    shop.git("checkout", "-qb", "other")
    shop.adds("other.py", "def other(): pass\n")
    shop.git("commit", "-qm", "Other")
    shop.git("checkout", "-q", "main")
    shop.git("merge", "--squash", "other")
    assert shop.commit().startswith("Squashed commit of the following:") and not asked


def test_rebases_picks_and_reverts_keep_their_messages(shop: Repository, asked: Asked) -> None:
    shop.git("checkout", "-qb", "side")
    shop.adds("auth.py", CHANGED)
    shop.git("commit", "-qm", "Sessions")
    shop.git("checkout", "-q", "main")
    shop.adds("later.py", "def later(): pass\n")
    shop.git("commit", "-qm", "Later")
    shop.git("cherry-pick", "--edit", "side")
    assert shop.newest == "Sessions"
    shop.git("revert", "--edit", "HEAD")
    assert shop.newest.startswith('Revert "Sessions"')
    shop.git("checkout", "-q", "side")
    shop.git("rebase", "--force-rebase", "main~2")
    shop.git("-c", "sequence.editor=sed -i s/pick/reword/", "rebase", "-i", "--root")
    assert shop.newest == "Sessions" and not asked


def test_a_message_that_no_editor_will_show_is_not_made(shop: Repository, asked: Asked) -> None:
    shop.adds("auth.py", CHANGED)
    done = shop.tries("commit", "--no-edit")
    assert done.returncode == 1 and "empty commit message" in done.stderr and not asked


def test_a_template_with_words_is_kept_and_one_of_comments_stands_below_the_draft(
    shop: Repository, asked: Asked
) -> None:
    (shop.home / "words").write_text("Ticket: why\n\nWhy:\nbecause of\n")
    (shop.home / "comments").write_text("# Say why.\n")
    shop.adds("auth.py", CHANGED)
    assert shop.commit("-t", "../home/words", "--allow-empty-message").startswith("Ticket: why\n\nWhy:") and not asked
    shop.adds("auth.py", CHANGED + "\n# more\n")
    shown = shop.commit("-t", "../home/comments")
    assert shown.index(DRAFT) < shown.index("# Firstpass wrote") < shown.index("# Say why.") and len(asked) == 1


def test_a_sign_off_stays_below_the_draft(shop: Repository) -> None:
    shop.adds("auth.py", CHANGED)
    shop.commit("--signoff")
    assert shop.newest.startswith(DRAFT) and shop.newest.endswith(
        "Signed-off-by: COMMITTER@example <COMMITTER@example>"
    )
    assert "\n\nSigned-off-by: " in shop.newest


@pytest.mark.parametrize("setting", ["commit.verbose=true", "commit.cleanup=scissors", "commit.status=false"])
def test_no_remark_lands_in_the_message_whatever_git_writes_beside_it(shop: Repository, setting: str) -> None:
    shop.adds("auth.py", CHANGED)
    shop.shown.unlink(missing_ok=True)
    shop.git("-c", setting, "commit")
    shown = shop.shown.read_text()
    assert "# Firstpass wrote this draft" in shown and ("createSession(user)\n" in shown) is ("verbose" in setting)
    assert shop.newest.startswith(DRAFT) and "Firstpass" not in shop.newest and "diff --git" not in shop.newest


def test_where_comments_stay_in_the_message_remarks_go_to_the_terminal(shop: Repository) -> None:
    shop.adds("auth.py", CHANGED)
    said = shop.git("-c", "commit.cleanup=verbatim", "commit")
    assert "firstpass: Firstpass wrote this draft" in said and "Firstpass" not in shop.newest


def test_where_git_writes_no_scissors_it_would_keep_a_remark_too(shop: Repository) -> None:
    shop.adds("auth.py", CHANGED)
    said = shop.git("-c", "commit.cleanup=scissors", "-c", "commit.status=false", "commit")
    assert "firstpass: Firstpass wrote this draft" in said and "Firstpass" not in shop.newest


def test_a_message_file_that_is_a_link_stays_one_with_its_rights(shop: Repository) -> None:
    there = shop.home / "message"
    there.write_text("")
    there.chmod(0o660)
    (shop.folder / ".git" / "COMMIT_EDITMSG").unlink(missing_ok=True)
    (shop.folder / ".git" / "COMMIT_EDITMSG").symlink_to(there)
    shop.adds("auth.py", CHANGED)
    assert shop.commit().startswith(DRAFT) and shop.newest.startswith(DRAFT)
    assert (shop.folder / ".git" / "COMMIT_EDITMSG").is_symlink() and there.stat().st_mode & 0o777 == 0o660


def test_a_url_that_is_none_is_said(shop: Repository, asked: Asked) -> None:
    shop.adds("auth.py", CHANGED)
    for url in ("http://[::1", "http://127.0.0.1:99999", "127.0.0.1:8080"):
        done = shop.tries("commit", FIRSTPASS_URL=url)
        assert "no draft of the message: the server's URL " in done.stderr and not asked


@pytest.mark.parametrize("sign", [";", "auto"])
def test_remarks_begin_with_the_sign_that_git_uses_for_comments(shop: Repository, asked: Asked, sign: str) -> None:
    shop.git("config", "core.commentChar", sign)
    shop.adds("auth.py", CHANGED)
    shown = shop.commit()
    assert f"{'#' if sign == 'auto' else sign} Firstpass wrote this draft" in shown
    assert shop.newest.startswith(DRAFT) and "Firstpass" not in shop.newest


def test_a_line_of_the_draft_that_looks_like_a_comment_stays_text(shop: Repository) -> None:
    shop.git("config", "core.commentChar", "-")
    shop.adds("auth.py", CHANGED)
    shop.commit()
    assert "\n - auth.py: calls createSession" in shop.newest


def unverified(shop: Repository, status: int = 200, **more: Any) -> FastAPI:
    """A stand-in for a server whose answer did not pass: what code mends, a real one does not leave so."""
    application = FastAPI()
    finding = {"check": "references", "severity": "fail", "message": "Subject names launchRocket, which is nowhere"}
    how = {"route": "unverified", "exchange": "ex_1", "contract": "commit-message@2", "receipts": []}
    answer = {"choices": [{"message": {"content": "Launch the rocket"}}], "firstpass": how | {"findings": [finding]}}

    @application.post("/v1/chat/completions")
    def chat() -> dict[str, Any]:
        return answer | more

    return application


def test_an_unverified_draft_is_a_comment_unless_the_user_wants_it_as_text(alone: Repository) -> None:
    with serving(unverified(alone)) as url:
        alone.adds("auth.py", CHANGED)
        alone.shown.unlink(missing_ok=True)
        done = alone.tries("commit", FIRSTPASS_URL=url)
        shown = alone.shown.read_text()
        assert done.returncode == 1 and "empty commit message" in done.stderr
        assert "# Firstpass has a draft, but it is UNVERIFIED" in shown and "#     Launch the rocket\n" in shown
        assert "# FAILED references: Subject names launchRocket" in shown
        alone.git("config", "firstpass.unverified", "true")
        assert alone.commit(FIRSTPASS_URL=url).startswith("Launch the rocket\n")
        assert alone.newest == "Launch the rocket" and "UNVERIFIED" in alone.shown.read_text()


def test_without_a_server_a_commit_is_as_ever_after_one_line(alone: Repository) -> None:
    alone.adds("auth.py", CHANGED)
    (alone.home / "editor").write_text('#!/bin/sh\ncp "$1" "$SHOWN"\necho Mine >"$1"\n')
    started = time.monotonic()
    said = alone.git("commit")
    assert said.count("firstpass: ") == 1 and "no draft of the message: no answer from 127.0.0.1" in said
    assert time.monotonic() - started < 5 and alone.newest == "Mine" and "Firstpass" not in alone.shown.read_text()


def silent() -> Iterator[tuple[str, Any]]:
    with closing(socket.create_server(("127.0.0.1", 0), backlog=8)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}", server


def test_a_server_that_never_answers_costs_no_more_than_its_seconds(alone: Repository) -> None:
    alone.adds("auth.py", CHANGED)
    alone.git("config", "firstpass.seconds", "1.5")
    for url, _ in silent():
        started = time.monotonic()
        done = alone.tries("commit", FIRSTPASS_URL=url)
        assert "no answer in time" in done.stderr and 1.4 < time.monotonic() - started < 4


def test_a_server_that_drips_costs_no_more_either(alone: Repository) -> None:
    import threading

    def drip(server: socket.socket) -> None:
        try:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n")
                while True:
                    connection.sendall(b"x")
                    time.sleep(0.1)
        except OSError:
            return

    alone.adds("auth.py", CHANGED)
    alone.git("config", "firstpass.seconds", "1.5")
    for url, server in silent():
        dripping = threading.Thread(target=drip, args=(server,))
        dripping.start()
        started = time.monotonic()
        done = alone.tries("commit", FIRSTPASS_URL=url)
        assert "no answer in time" in done.stderr and time.monotonic() - started < 4
    dripping.join()


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"<html>", 200, "does not answer as Firstpass does"),
        (b"[" * 200_000, 200, "does not answer as Firstpass does"),
        (b"{}", 302, "does not answer as Firstpass does"),
        (b'{"choices": [{"message": {"content": " "}}], "firstpass": {}}', 200, "the answer is empty"),
        (b"x" * (2**20 + 1), 200, "the answer is too long"),
        (
            b'{"error": {"message": "\\u001b[2Jbusy", "code": "server_overloaded"}}',
            503,
            "[2Jbusy (503 server_overloaded)",
        ),
    ],
    ids=["html", "deep", "redirect", "no answer", "long", "busy"],
)
def test_nonsense_is_a_line_and_no_draft(alone: Repository, body: bytes, status: int, said: str) -> None:
    application = FastAPI()

    @application.post("/v1/chat/completions")
    def chat() -> Response:
        return Response(body, status, {"location": "http://127.0.0.1:9/elsewhere"})

    alone.adds("auth.py", CHANGED)
    with serving(application) as url:
        done = alone.tries("commit", FIRSTPASS_URL=url)
    assert said in done.stderr and "\x1b" not in done.stderr and done.stderr.count("firstpass: ") == 1
    assert "Firstpass" not in alone.shown.read_text()


def test_another_machine_hears_nothing_unless_gits_settings_name_it(shop: Repository, asked: Asked) -> None:
    shop.adds("auth.py", CHANGED)
    done = shop.tries("commit", FIRSTPASS_URL="http://models.example:8080")
    assert "git config firstpass.url http://models.example:8080" in done.stderr and not asked
    shop.git("config", "firstpass.url", shop.variables["FIRSTPASS_URL"])
    assert shop.commit(FIRSTPASS_URL="http://models.example:8080").startswith(DRAFT)


@pytest.mark.parametrize("value", ["soon", "-1", "1e9", "nan"])
def test_a_setting_that_is_none_is_named(shop: Repository, asked: Asked, value: str) -> None:
    shop.git("config", "firstpass.seconds", value)
    shop.adds("auth.py", CHANGED)
    assert f"firstpass.seconds: '{value}'" in shop.tries("commit").stderr and not asked


def test_hooks_can_be_switched_off(shop: Repository, asked: Asked) -> None:
    shop.git("config", "firstpass.enabled", "false")
    shop.adds("auth.py", CHANGED)
    done = shop.tries("commit")
    assert done.returncode == 1 and "firstpass" not in done.stderr and not asked


def test_the_key_goes_to_the_server_alone(alone: Repository) -> None:
    seen = list[str | None]()
    application = FastAPI()

    @application.middleware("http")
    async def look(request: Any, _: Any) -> Response:
        seen.append(request.headers.get("authorization"))
        return Response(b"{}", 401)

    alone.adds("auth.py", CHANGED)
    with serving(application) as url:
        done = alone.tries("commit", FIRSTPASS_URL=url, FIRSTPASS_API_KEY=KEY)
        wrong = alone.tries("commit", FIRSTPASS_URL=url, FIRSTPASS_API_KEY=KEY + "\n")
    assert seen == [f"Bearer {KEY}"] and KEY not in done.stderr + wrong.stderr
    assert not [path for path in alone.folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_a_first_commit_has_a_draft_and_so_has_one_without_a_branch(shop: Repository, asked: Asked) -> None:
    shop.git("checkout", "-q", "--orphan", "fresh")
    shop.adds("auth.py", CHANGED)
    assert WROTE in shop.commit() and "new file" in asked[0]
    shop.git("checkout", "-q", "--detach")
    shop.adds("auth.py", CHANGED.replace("check(user)", "verify(user)"))
    assert WROTE in shop.commit()


def test_what_is_committed_is_asked_about_and_nothing_else(shop: Repository, asked: Asked) -> None:
    """`git commit FILE` and `-a` have an index of their own (GIT_INDEX_FILE)."""
    shop.adds("other.py", "def staged(): pass\n")
    shop.write("auth.py", CHANGED)
    shop.commit("auth.py")
    assert "createSession" in asked[0] and "staged" not in asked[0]
    shop.write("auth.py", CHANGED.replace("createSession", "openSession"))
    shop.commit("-a")
    assert "openSession" in asked[1] and "staged" in asked[1]


def test_worktrees_and_submodules_have_their_hooks(shop: Repository, asked: Asked, tmp_path: Path) -> None:
    shop.git("worktree", "add", "-q", "-b", "tree", str(tmp_path / "a worktree"))
    tree = Repository(tmp_path / "a worktree", shop.home, shop.variables)
    assert "installed" in tree.firstpass("hook", "status").stdout
    tree.adds("auth.py", CHANGED)
    assert WROTE in tree.commit()
    shop.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(shop.folder), "sub")
    sub = Repository(shop.folder / "sub", shop.home, shop.variables)
    assert sub.firstpass("hook", "install").returncode == 0
    sub.adds("auth.py", CHANGED)
    assert WROTE in sub.commit()
    shop.git("add", "sub", ".gitmodules")
    assert WROTE in shop.commit() and "Subproject commit" in asked[-1]


def test_paths_with_spaces_quotes_and_newlines_are_asked_about(shop: Repository, asked: Asked) -> None:
    shop.adds('a "b"\nc $(touch pwned).py', "def odd(): pass\n")
    shop.adds("-x.py", "def dash(): pass\n")
    shop.git("mv", "auth.py", "the auth.py")
    assert WROTE in shop.commit() and not (shop.folder / "pwned").exists()
    assert '"a \\"b\\"' in asked[0] or "odd" in asked[0]


def test_files_that_are_no_utf8_and_lines_that_end_with_crlf_are_asked_about(shop: Repository, asked: Asked) -> None:
    shop.adds("latin.py", "def grüße(): return 'ä'\n".encode("latin-1"))
    shop.adds("windows.py", "def w():\r\n    return 1\r\n")
    assert WROTE in shop.commit() and "windows.py" in asked[0]


def test_a_message_is_written_in_the_encoding_that_git_was_told(shop: Repository, asked: Asked) -> None:
    shop.adds("gruss.py", "def grüße(): return 'ä'\n")
    asked.says = "Add grüße to gruss.py"
    shop.git("config", "i18n.commitEncoding", "latin-1")
    shop.commit()
    assert "Add grüße".encode("latin-1") in shop.shown.read_bytes()
    assert shop.git("log", "-1", "--format=%s", "--encoding=utf-8").startswith("Add grüße")
    shop.git("config", "i18n.commitEncoding", "ascii")
    shop.adds("gruss.py", "def grüße(): return 'äü'\n")
    assert "i18n.commitEncoding (ascii)" in shop.tries("commit").stderr


def test_of_a_change_without_lines_nothing_is_asked(shop: Repository, asked: Asked) -> None:
    shop.adds("logo.png", b"\x89PNG\0\0\1")
    shop.git("update-index", "--chmod=+x", "auth.py")
    assert "firstpass" not in shop.tries("commit").stderr
    assert "firstpass" not in shop.tries("commit", "--allow-empty").stderr and not asked


def test_what_the_model_can_not_read_is_said_in_a_few_words(alone: Repository) -> None:
    application = FastAPI()
    long = {"error": {"message": "This model's maximum context length is " + "4096 " * 90}}

    @application.post("/v1/chat/completions")
    def chat() -> Response:
        return Response(json.dumps({"error": long["error"] | {"code": "context_length_exceeded"}}), 400)

    alone.adds("auth.py", CHANGED)
    with serving(application) as url:
        said = alone.tries("commit", FIRSTPASS_URL=url).stderr
    assert "the change is too large for the model (context_length_exceeded)" in said and "4096" not in said


def test_a_change_that_is_too_large_is_said_and_sent_nowhere(shop: Repository, asked: Asked) -> None:
    shop.adds("data.txt", "0123456789abcde\n" * 150_000)
    assert "what changed is too large: over 2097152 bytes" in shop.tries("commit").stderr and not asked


def test_programs_that_a_repository_names_are_not_run_for_its_diffs(shop: Repository, asked: Asked) -> None:
    shop.adds(".gitattributes", "*.py diff=evil\n")
    shop.git("config", "diff.evil.textconv", "touch pwned; cat")
    shop.git("config", "diff.external", "touch pwned")
    shop.git("config", "diff.noprefix", "true")
    shop.adds("auth.py", CHANGED)
    assert shop.commit().startswith(DRAFT) and not (shop.folder / "pwned").exists()
    assert "createSession" in asked[0] and "changes `login`" in asked[0]


def remote(shop: Repository, tmp_path: Path) -> Path:
    bare = tmp_path / "the remote"
    shop.git("init", "-q", "--bare", "-b", "main", str(bare))
    shop.git("remote", "add", "origin", str(bare))
    return bare


SUMMARY = "Summary: Create a session in login.\nChanges:\n- auth.py: createSession\nCalls:\n- createSession()\n"
SUMMARY += "TODOs:\n- none\nReview:\n- none"


def test_a_push_tells_what_it_pushes_and_pushes_it(shop: Repository, asked: Asked, tmp_path: Path) -> None:
    bare = remote(shop, tmp_path)
    asked.says = SUMMARY
    first = shop.git("push", "origin", "main")
    assert "firstpass: what is pushed to main (route " in first and "def login" in asked[0]
    shop.adds("auth.py", CHANGED)
    shop.git("commit", "-qm", "Sessions")
    second = shop.git("push", "origin", "main")
    assert "Create a session in login" in second and "createSession()" in second
    assert "+def login" not in asked[-1] and "+    s = createSession(user)" in asked[-1]
    shop.git("checkout", "-qb", "side")
    shop.adds("side.py", "def side(): return other()\n")
    shop.git("commit", "-qm", "Side")
    number = len(asked)
    shop.git("push", "origin", "side")
    assert "side.py" in asked[number] and "createSession" not in asked[number]
    shop.git("commit", "-q", "--amend", "-m", "Side, again")
    shop.adds("side.py", "def side(): return another()\n")
    shop.git("commit", "-q", "--amend", "-m", "Side, again")
    assert "another" in shop.git("push", "--force", "origin", "side") and "createSession" not in asked[-1]
    heads = subprocess.run(["git", "-C", str(bare), "branch"], capture_output=True, text=True, check=True).stdout
    assert "main" in heads and "side" in heads


def test_tags_deletions_and_empty_pushes_are_not_told_of(shop: Repository, asked: Asked, tmp_path: Path) -> None:
    remote(shop, tmp_path)
    shop.git("push", "origin", "main:gone", FIRSTPASS_URL="http://127.0.0.1:9")
    shop.git("tag", "v1")
    said = shop.git("push", "origin", "v1") + shop.git("push", "origin", ":gone")
    assert "firstpass" not in said and not asked


def test_a_push_without_a_server_is_a_push(alone: Repository, tmp_path: Path) -> None:
    remote(alone, tmp_path)
    said = alone.git("push", "origin", "main")
    assert "no summary of the push: no answer from" in said and said.count("firstpass: ") == 1


def test_a_bare_repository_pushes_too(shop: Repository, asked: Asked, tmp_path: Path) -> None:
    bare = remote(shop, tmp_path)
    shop.git("push", "origin", "main")
    there = Repository(bare, shop.home, shop.variables)
    assert there.firstpass("hook", "install").returncode == 0
    there.git("init", "-q", "--bare", str(tmp_path / "further"))
    asked.says = SUMMARY
    assert "what is pushed to main" in there.git("push", str(tmp_path / "further"), "main")


def test_a_hook_that_was_there_is_called_first_and_may_stop_a_commit(shop: Repository, asked: Asked) -> None:
    shop.firstpass("hook", "uninstall")
    shop.hook(
        "prepare-commit-msg", '#!/bin/sh\nprintf "%s|" "$@" >>called\necho "# theirs" >>"$1"\nexit ${STATUS:-0}\n'
    )
    shop.firstpass("hook", "install")
    shop.adds("auth.py", CHANGED)
    stopped = shop.tries("commit", STATUS="3")
    assert stopped.returncode != 0 and not asked and (shop.folder / "called").read_text() == ".git/COMMIT_EDITMSG|"
    shown = shop.commit()
    assert shown.startswith(DRAFT) and "# theirs" in shown


def test_a_pre_push_hook_that_was_there_hears_all_and_may_stop_a_push(
    shop: Repository, asked: Asked, tmp_path: Path
) -> None:
    remote(shop, tmp_path)
    shop.firstpass("hook", "uninstall")
    shop.hook("pre-push", '#!/bin/sh\necho "$1" >heard\ncat >>heard\nexit ${STATUS:-0}\n')
    shop.firstpass("hook", "install")
    asked.says = SUMMARY
    stopped = shop.tries("push", "origin", "main", STATUS="7")
    assert stopped.returncode != 0 and not asked
    assert "what is pushed to main" in shop.git("push", "origin", "main")
    oid = shop.git("rev-parse", "HEAD").strip()
    assert (shop.folder / "heard").read_text() == f"origin\nrefs/heads/main {oid} refs/heads/main {'0' * 40}\n"


def test_a_hook_that_reads_nothing_is_no_trouble(shop: Repository, tmp_path: Path) -> None:
    remote(shop, tmp_path)
    shop.firstpass("hook", "uninstall")
    shop.hook("pre-push", "#!/bin/sh\nexec <&-\nexit 0\n")
    shop.firstpass("hook", "install")
    for number in range(200):
        shop.git("update-ref", f"refs/heads/a-rather-long-name-of-a-branch-{number}", "HEAD")
    said = shop.git("push", "--all", "origin")
    assert "rror" not in said and "ipe" not in said and "branches more" in said


def test_uninstall_puts_back_what_was_there_and_install_is_idempotent(alone: Repository) -> None:
    alone.firstpass("hook", "uninstall")
    theirs = alone.hook("pre-push", "#!/bin/sh\nexit 0\n")
    before = theirs.read_bytes()
    for _ in range(2):
        done = alone.firstpass("hook", "install")
        assert done.returncode == 0 and "pre-push: installed, after the one that was there before" in done.stdout
    assert sorted(path.name for path in alone.hooks.iterdir() if not path.name.endswith(".sample")) == [
        "pre-push",
        "pre-push.before-firstpass",
        "prepare-commit-msg",
    ]
    done = alone.firstpass("hook", "uninstall")
    assert "pre-push: is gone; the one that was there before is back" in done.stdout and theirs.read_bytes() == before
    assert theirs.stat().st_mode & 0o111 and not (alone.hooks / "prepare-commit-msg").exists()
    assert alone.firstpass("hook", "uninstall").returncode == 0 and theirs.read_bytes() == before


def test_one_hook_can_be_had_without_the_other(alone: Repository) -> None:
    alone.firstpass("hook", "uninstall", "--only", "pre-push")
    said = alone.firstpass("hook", "status").stdout
    assert "pre-push: no hook" in said and "prepare-commit-msg: installed" in said
    wrong = alone.firstpass("hook", "install", "--only", "post-commit")
    assert wrong.returncode == 2 and "prepare-commit-msg and pre-push" in wrong.stderr


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('#!/bin/sh\nexec tool "$(basename "$0")" "$@"\n', "may go by its own name"),
        (written("pre-push", "/x/firstpass").replace("exit 0\n", "exit 1\n"), "changed by hand"),
    ],
    ids=["a name", "changed"],
)
def test_what_it_can_not_keep_is_refused_and_stays(alone: Repository, text: str, why: str) -> None:
    alone.firstpass("hook", "uninstall")
    path = alone.hook("pre-push", text)
    done = alone.firstpass("hook", "install")
    assert done.returncode == 1 and why in done.stderr and path.read_text() == text
    assert not (alone.hooks / "prepare-commit-msg").exists()


def test_a_hook_in_the_way_of_keeping_another_is_refused(alone: Repository) -> None:
    alone.firstpass("hook", "uninstall")
    alone.hook("pre-push", "#!/bin/sh\n")
    alone.hook("pre-push.before-firstpass", "#!/bin/sh\n")
    assert "in the way of keeping it" in alone.firstpass("hook", "install").stderr
    (alone.hooks / "pre-push").unlink()
    assert "but no pre-push" in alone.firstpass("hook", "install").stderr
    (alone.hooks / "pre-push").mkdir()
    assert "is no file" in alone.firstpass("hook", "install").stderr


def test_a_folder_that_others_may_use_is_asked_for(alone: Repository, tmp_path: Path) -> None:
    shared = tmp_path / "all hooks"
    alone.git("config", "core.hooksPath", str(shared))
    refused = alone.firstpass("hook", "install")
    assert refused.returncode == 1 and "--shared" in refused.stderr and not shared.exists()
    assert alone.firstpass("hook", "install", "--shared").returncode == 0 and (shared / "pre-push").exists()
    assert "core.hooksPath is set" in alone.firstpass("hook", "status").stdout


@pytest.mark.parametrize("path", ["", "/dev/null"], ids=["empty", "null"])
def test_hooks_that_are_switched_off_are_said_to_be(alone: Repository, path: str) -> None:
    """An empty core.hooksPath had the hooks written among the user's own files."""
    alone.git("config", "core.hooksPath", path)
    done = alone.firstpass("hook", "install", "--shared")
    assert done.returncode == 1 and f"core.hooksPath sends git to {path!r}" in done.stderr
    assert not (alone.folder / "pre-push").exists()


def test_husky_is_left_alone_and_its_user_told_what_to_add(shop: Repository) -> None:
    shop.write(".husky/_/h", '#!/bin/sh\nsh -e ".husky/$(basename "$0")" "$@"\n')
    script = '#!/usr/bin/env sh\n. "$(dirname "$0")/h"\n'
    shop.write(".husky/_/prepare-commit-msg", script).chmod(0o755)
    shop.git("config", "core.hooksPath", ".husky/_")
    refused = shop.firstpass("hook", "install", "--shared")
    line = 'firstpass hook run prepare-commit-msg "$@" || true'
    assert refused.returncode == 1 and f".husky/prepare-commit-msg: {line}" in refused.stderr
    shop.write(".husky/prepare-commit-msg", f"{line}\n")
    program = str(Path(sys.executable).parent)
    shop.adds("auth.py", CHANGED)
    assert shop.commit(PATH=f"{program}:/usr/bin:/bin").startswith(DRAFT)


def test_a_firstpass_that_is_gone_is_a_line(alone: Repository, tmp_path: Path) -> None:
    remote(alone, tmp_path)
    for name in NAMES:
        alone.hook(name, written(name, "/gone/it's/firstpass"))
    alone.adds("auth.py", CHANGED)
    done = alone.tries("commit", PATH="/usr/bin:/bin")
    assert done.stderr.startswith("firstpass: not here any more") and "empty commit message" in done.stderr
    pushed = alone.tries("push", "origin", "main", PATH="/usr/bin:/bin")
    assert pushed.returncode == 0 and "firstpass: not here any more" in pushed.stderr


def test_outside_of_a_repository_it_says_so(alone: Repository, tmp_path: Path) -> None:
    outside = Repository(tmp_path, alone.home)
    done = outside.firstpass("hook", "install")
    assert done.returncode == 1 and "not a git repository" in done.stderr and "Traceback" not in done.stderr
    ran = outside.firstpass("hook", "run", "prepare-commit-msg", "nowhere")
    assert ran.returncode == 0 and ran.stderr.count("\n") == 1


def test_a_hook_starts_without_what_it_does_not_need(alone: Repository) -> None:
    script = "import sys; from firstpass.cli.main import main\ntry:\n main()\nexcept SystemExit:\n print(*sys.modules)"
    message = alone.write("message", "\n# Please\n")
    alone.adds("auth.py", CHANGED)
    done = alone.run(sys.executable, "-c", script, "hook", "run", "prepare-commit-msg", str(message))
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    heavy = {"httpx", "aiohttp", "pydantic", "rich", "tree_sitter", "asyncio", "jsonschema", "yarl"}
    assert "no answer" in done.stderr and not loaded & heavy
