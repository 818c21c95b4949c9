"""`firstpass pull-request` before a whole front, and before a stand-in for the services' APIs that holds every body."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from fastapi import FastAPI
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from firstpass.answered import Answered, Found
from firstpass.egress.forge import Door, Lost, Refused, Token
from firstpass.errors import NotPosted
from firstpass.forge import Request, comment, event, posting
from firstpass.forge.comment import MARK, cut, units, written
from firstpass.forge.github import GitHub
from firstpass.forge.markdown import code, prose
from tests.conftest import fronted, serving
from tests.doubles import openai_app
from tests.forge.standing import NUMBER, OWN, PROJECT, TOKEN, Forge, Kind, Said, forge_app, shown
from tests.repository import Repository, copied, made

KINDS: tuple[Kind, ...] = ("GitHub", "GitLab")
SAID = "Summary: Create a session in login.\nChanges:\n- auth.py: createSession\nCalls:\n- createSession()\n"
SAID += "TODOs:\n- none\nReview:\n- none"
CHANGED = "def login(user):\n    check(user)\n    s = createSession(user)\n    return s\n"


class Model:
    says = SAID

    def __call__(self, _: dict[str, Any]) -> str:
        return self.says


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


@pytest.fixture(scope="module")
def server(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(openai_app(model)) as engine, fronted(engine, tmp_path_factory.mktemp("data")) as client:
        yield str(client.base_url)


@pytest.fixture(scope="module")
def branched(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    repository = made(tmp_path_factory.mktemp("branched"))
    repository.git("checkout", "-qb", "side")
    repository.adds("auth.py", CHANGED)
    repository.git("commit", "-qm", "Sessions")
    repository.git("checkout", "-q", "main")
    repository.adds("later.py", "def later(): pass\n")
    repository.git("commit", "-qm", "Later")
    repository.git("checkout", "-q", "side")
    return repository


@pytest.fixture
def shop(tmp_path: Path, server: str, model: Model, branched: Repository) -> Repository:
    """A repository with a branch that is one commit ahead of main, and main one ahead of where it left."""
    model.says = SAID
    return copied(branched, tmp_path, FIRSTPASS_URL=server, NO_PROXY="*")


def job(shop: Repository, kind: Kind, api: str, **more: str) -> dict[str, str]:
    """What a job's environment has, of a request of the same project. more: in the place of it, or beside it."""
    base, head = (shop.git("rev-parse", name).strip() for name in ("main", "side"))
    if kind == "GitLab":
        job = {"GITLAB_CI": "true", "CI_API_V4_URL": f"{api}/api", "CI_MERGE_REQUEST_IID": str(NUMBER)}
        job |= {"CI_MERGE_REQUEST_PROJECT_ID": "12", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "12"}
        job |= {"CI_MERGE_REQUEST_DIFF_BASE_SHA": base, "CI_COMMIT_SHA": head, "CI_JOB_TOKEN": "job"}
        return job | {"GITLAB_TOKEN": TOKEN} | more
    pull = {"number": NUMBER, "base": {"sha": base}, "head": {"sha": head, "repo": {"full_name": PROJECT}}}
    path = shop.home / "event.json"
    path.write_text(json.dumps({"pull_request": pull}))
    job = {"GITHUB_ACTIONS": "true", "GITHUB_API_URL": f"{api}/api", "GITHUB_REPOSITORY": PROJECT}
    return job | {"GITHUB_EVENT_PATH": str(path), "GITHUB_TOKEN": TOKEN} | more


def post(shop: Repository, job: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return shop.firstpass("pull-request", "--post", *arguments, **job)


@contextmanager
def standing(kind: Kind, **options: Any) -> Iterator[tuple[Forge, str]]:
    """A stand-in that in the end has seen no body out of form, and no token where none belongs."""
    forge = Forge(kind, **options)
    with serving(forge_app(forge)) as url:
        yield forge, url
    assert forge.wrong == [] and not any(TOKEN in text for text in shown(forge))


@pytest.mark.parametrize("kind", KINDS)
def test_a_comment_is_made_once_and_then_kept_up_to_date(shop: Repository, kind: Kind, model: Model) -> None:
    with standing(kind) as (forge, url):
        first = post(shop, job(shop, kind, url))
        assert first.returncode == 0 and "the comment is there now" in first.stderr, first.stderr
        [said] = forge.comments
        assert said.body.startswith(f"{MARK}\n") and "**Summary** Create a session in login" in said.body
        assert "- auth.py: " in said.body and "route `re" in said.body and "`ex_" in said.body
        assert "later" not in said.body
        model.says = SAID.replace("Create a session", "Make a session")
        second = post(shop, job(shop, kind, url))
        assert "is brought up to date" in second.stderr and len(forge.comments) == 1
        assert "Make a session in login" in forge.comments[0].body
        assert TOKEN not in first.stdout + first.stderr + second.stdout + second.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_comment_of_our_own_is_touched_and_the_oldest_of_several(shop: Repository, kind: Kind) -> None:
    with standing(kind) as (forge, url):
        for number in range(230):
            forge.says("somebody", f"{MARK}\nfake {number}")
        forge.says(OWN[kind], f"I quote {MARK}")
        forge.says(OWN[kind], f"{MARK}\nnote of the system", system=kind == "GitLab")
        oldest = forge.says(OWN[kind].upper(), f"{MARK}\nolder")
        newer = forge.says(OWN[kind], f"{MARK}\nnewer")
        if kind == "GitHub":
            oldest = forge.comments[231]
        before = [said.body for said in forge.comments]
        done = post(shop, job(shop, kind, url))
        assert done.returncode == 0 and "more of ours are there; the oldest is kept up to date" in done.stderr
        changed = [said for said, body in zip(forge.comments, before, strict=True) if said.body != body]
        assert changed == [oldest] and newer.body.endswith("newer")
        assert sum(path.endswith(("comments", "notes")) for _, path, _ in forge.asked) == 3


def test_a_token_that_may_ask_who_it_is_is_asked(shop: Repository) -> None:
    with standing("GitHub", names_itself=True) as (forge, url):
        forge.says("me", f"{MARK}\nmine")
        assert post(shop, job(shop, "GitHub", url)).returncode == 0 and len(forge.comments) == 2
        named = post(shop, job(shop, "GitHub", url), "--author", "Me")
        assert named.returncode == 0 and "session" in forge.comments[0].body and "--author" not in named.stderr
        other = post(shop, job(shop, "GitHub", url), "--author", "shop-app[bot]")
        assert f"without --author {OWN['GitHub']}" in other.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_without_post_nothing_is_asked_of_the_service(shop: Repository, kind: Kind) -> None:
    with standing(kind) as (forge, url):
        done = shop.firstpass("pull-request", **job(shop, kind, url))
        assert done.returncode == 0 and done.stdout.startswith(MARK) and not forge.asked
        assert "not posted: --post would put this on" in done.stderr


def test_two_commits_can_be_named_outside_of_any_job(shop: Repository) -> None:
    done = shop.firstpass("pull-request", "main..side")
    assert done.returncode == 0 and "Create a session" in done.stdout and "later" not in done.stdout
    assert "this is no CI job" in shop.firstpass("pull-request", "main..side", "--post").stderr
    assert "which commits?" in shop.firstpass("pull-request").stderr
    gone = shop.firstpass("pull-request", "nowhere..side")
    assert gone.returncode == 1 and "no commit 'nowhere' here" in gone.stderr and "fetch-depth: 0" in gone.stderr
    shop.git("checkout", "-q", "--orphan", "apart")
    shop.git("commit", "-qm", "Apart")
    assert "none in common here; a CI job needs" in shop.firstpass("pull-request", "main..apart").stderr
    option = shop.firstpass("pull-request", "--output=pwned..side")
    assert option.returncode != 0 and not (shop.folder / "pwned").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_from_another_project_ends_well_without_a_comment(shop: Repository, kind: Kind) -> None:
    with standing(kind) as (forge, url):
        summary = shop.home / "summary.md"
        work = job(shop, kind, url, CI_MERGE_REQUEST_SOURCE_PROJECT_ID="13", GITHUB_STEP_SUMMARY=str(summary))
        if kind == "GitHub":
            path = Path(work["GITHUB_EVENT_PATH"])
            path.write_text(path.read_text().replace(f'"{PROJECT}"', "null"))
        forge.faults = [("GET", 403, {})] * 3
        with_token = post(shop, work)
        assert with_token.returncode == 0 and "in the job's summary instead" in with_token.stderr
        without = post(shop, work | {"GITHUB_TOKEN": "", "GITLAB_TOKEN": "", "GITHUB_STEP_SUMMARY": ""})
        assert without.returncode == 0 and without.stdout.startswith(MARK) and "in the job's log" in without.stderr
        assert "Create a session" in summary.read_text() and forge.comments == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_wrong_with_a_token_is_said_without_it(shop: Repository, kind: Kind) -> None:
    with standing(kind, echoes=True) as (forge, url):
        wrong = post(shop, job(shop, kind, url, GITHUB_TOKEN="tok_wrong", GITLAB_TOKEN="tok_wrong"))
        assert wrong.returncode == 1 and "401" in wrong.stderr and "not one that it knows" in wrong.stderr
        missing = post(shop, job(shop, kind, url, GITHUB_TOKEN="", GITLAB_TOKEN=""))
        assert missing.returncode == 1 and "there is no token in" in missing.stderr
        forge.faults = [("POST", 403, {})]
        may_not = post(shop, job(shop, kind, url))
        assert may_not.returncode == 1 and "may not comment here" in may_not.stderr and "***" in may_not.stderr
        broken = post(shop, job(shop, kind, url, GITHUB_TOKEN=f"{TOKEN}\n x", GITLAB_TOKEN=f"{TOKEN}\n x"))
        assert broken.returncode == 1 and "holds what can not be a token" in broken.stderr
    for done in (wrong, missing, may_not, broken):
        assert not {TOKEN, "tok_wrong"} & set(re.findall(r"\w+", done.stderr + done.stdout))
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("api", ["http://api.example", "ftp://127.0.0.1", "https://u:p@api.example", "https://", "x"])
def test_a_token_goes_to_no_unsafe_place(shop: Repository, api: str) -> None:
    done = post(shop, job(shop, "GitHub", "", GITHUB_API_URL=api))
    assert done.returncode == 1 and "neither https://HOST nor on this machine" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_REPOSITORY", "shop/till/../../x"),
        ("GITHUB_REPOSITORY", "../till"),
        ("GITHUB_EVENT_PATH", "/nowhere"),
    ],
)
def test_an_environment_that_is_not_as_it_should_be_is_named(shop: Repository, name: str, value: str) -> None:
    done = post(shop, job(shop, "GitHub", "", **{name: value}))
    assert done.returncode == 1 and name in done.stderr and "Traceback" not in done.stderr


NOT_EVENTS = ["[]", "{", '{"pull_request": {"number": 0}}', '{"pull_request": 1}', "[" * 99999]


@pytest.mark.parametrize("event_text", NOT_EVENTS, ids=len)
def test_an_event_that_is_none_is_no_traceback(shop: Repository, event_text: str) -> None:
    work = job(shop, "GitHub", "")
    Path(work["GITHUB_EVENT_PATH"]).write_text(event_text)
    done = post(shop, work)
    assert done.returncode == 1 and "Traceback" not in done.stderr


def test_what_asks_for_no_summary_still_replaces_an_older_one(shop: Repository) -> None:
    with standing("GitHub") as (forge, url):
        assert post(shop, job(shop, "GitHub", url)).returncode == 0
        shop.git("checkout", "-q", "main")
        shop.git("checkout", "-qB", "side")
        shop.adds("logo.png", b"\0\1\2")
        shop.git("commit", "-qm", "Logo")
        assert post(shop, job(shop, "GitHub", url)).returncode == 0
        assert "no line of text changes" in forge.comments[0].body and "session" not in forge.comments[0].body
        shop.adds("data.txt", "0123456789abcde\n" * 150_000)
        shop.git("commit", "-qm", "Data")
        assert post(shop, job(shop, "GitHub", url)).returncode == 0
        assert "too large" in forge.comments[0].body and len(forge.comments) == 1


def test_without_a_server_nothing_is_posted(shop: Repository) -> None:
    with standing("GitHub") as (forge, url):
        done = post(shop, job(shop, "GitHub", url, FIRSTPASS_URL="http://127.0.0.1:9"))
        assert done.returncode == 1 and "firstpass serve" in done.stderr and not forge.asked


def request(url: str) -> Request:
    return Request("GitHub", f"{url}/api", PROJECT, NUMBER, "a" * 40, "b" * 40)


@contextmanager
def door(**options: Any) -> Iterator[tuple[Forge, GitHub, list[float]]]:
    waited = list[float]()
    with standing("GitHub", **options) as (forge, url):
        one = Door(f"{url}/api", Token("GITHUB_TOKEN", TOKEN, ("authorization", "Bearer {}")), {}, waited.append)
        yield forge, GitHub(one, request(url)), waited


def test_a_service_that_is_busy_is_asked_again_when_it_says() -> None:
    with door() as (forge, service, waited):
        forge.faults = [("GET", 429, {"retry-after": "7"}), ("GET", 502, {}), ("POST", 403, {"retry-after": "3"})]
        assert posting.put(service, f"{MARK}\nx").became == "made" and waited == [7.0, 4.0, 3.0]
        forge.faults = [("PATCH", 500, {})]
        assert posting.put(service, f"{MARK}\ny").became == "updated"
        assert posting.put(service, f"{MARK}\ny\n").became == "as it was"


def test_a_page_that_is_not_full_is_not_taken_for_the_last() -> None:
    """Both services hide comments after they counted them: behind such a page our own was not found, and made again."""
    with door(unseen=("somebody",)) as (forge, service, _):
        for _number in range(130):
            forge.says("somebody", "hidden")
        forge.says(OWN["GitHub"], f"{MARK}\nold")
        assert posting.put(service, f"{MARK}\nx").became == "updated" and forge.methods().count("POST") == 0


@pytest.mark.parametrize(
    "fault",
    [
        {"retry-after": "5"},
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) - 5)},
        {"x-says": "You have exceeded a secondary rate limit"},
    ],
    ids=lambda fault: next(iter(fault)),
)
def test_who_asked_too_often_is_not_taken_for_somebody_else(fault: dict[str, str]) -> None:
    """A 403 of a rate limit was read as a workflow's token, and a user's comment was made again beside the first."""
    with door(names_itself=True) as (forge, service, waited):
        forge.comments.append(Said(1, OWN["GitHub"], f"{MARK}\nold"))
        forge.faults = [("GET", 403, fault)] * 3
        assert posting.put(service, f"{MARK}\nx").became == "updated" and len(waited) == 3
        forge.faults = [("GET", 403, fault)] * 4
        with pytest.raises(Lost, match="403"):
            service.own()
        forge.faults = [("GET", 403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) + 900)})]
        with pytest.raises(Lost, match=r"come back in \d+ s"):
            service.own()


def test_a_comment_that_was_deleted_meanwhile_is_made_again() -> None:
    with door() as (forge, service, _):
        forge.says(OWN["GitHub"], f"{MARK}\nold")
        forge.faults = [("PATCH", 404, {})]
        assert posting.put(service, f"{MARK}\nx").became == "updated"
        forge.faults = [("PATCH", 410, {}), ("PATCH", 410, {})]
        with pytest.raises(Refused, match="410"):
            posting.put(service, f"{MARK}\ny")


def test_a_service_that_stays_broken_or_wants_hours_is_given_up() -> None:
    with door() as (forge, service, waited):
        forge.faults = [("GET", 500, {})] * 4
        with pytest.raises(Lost, match="500"):
            service.own()
        forge.faults = [("GET", 429, {"retry-after": "3600"})]
        with pytest.raises(Lost, match="3600 s"):
            service.own()
        forge.faults = [("GET", 429, {"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"})]
        assert service.own() == OWN["GitHub"] and max(waited) <= 6


def test_a_comment_whose_answer_was_lost_is_not_made_twice() -> None:
    with door(done_first=True) as (forge, service, _):
        forge.faults = [("POST", 502, {})]
        assert posting.put(service, f"{MARK}\nx").became == "as it was" and len(forge.comments) == 1
        assert forge.methods().count("POST") == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_the_token_follows_no_redirect(status: int) -> None:
    with standing("GitHub") as (other, elsewhere), door() as (forge, service, _):
        forge.faults = [("GET", status, {"location": f"{elsewhere}/api/user"})]
        with pytest.raises(Refused, match="where the token does not go"):
            service.own()
        assert not other.asked


def test_a_token_is_in_no_text_about_it() -> None:
    token = Token("GITHUB_TOKEN", TOKEN, ("authorization", "Bearer {}"))
    assert TOKEN not in f"{token} {token!r}"
    with pytest.raises(Lost) as lost:
        Door("http://127.0.0.1:9", token, {}, lambda _: None).ask("GET", "/user")
    assert TOKEN not in repr(lost.value) and lost.value.__cause__ is None


HOSTILE = [
    'TILL-12 fixes (0123456789abcdef) %"v 1" ~"to do" [issue:7] [vulnerability:shop/till/8] ui...0123456 *i:"x"',
    "@``a`<img src=x>`` b@`x`@`y` ``@`` @```z",
    "@shop/owners and @everyone, please merge",
    "<!-- firstpass:pull-request --> <img src=https://evil.example/x.png>",
    "![x](https://evil.example/x.png) [click](javascript:alert(1))",
    "```\n# heading\n/approve\n/merge",
    "closes #12, GH-12, shop/till#3, !4, ~label, %milestone, $5, &6",
    "https://evil.example www.evil.example a@evil.example 0123456789abcdef0123456789abcdef01234567",
    "`` ` `code @team` ``` @team ` @team",
    "1. one\n2) two\n- - three\n> four\n    five\n| six | seven |\n* * *\n===",
    "\u202egnihton\u2066 \u200b@team \x1b[2J <script>alert(1)</script> &lt;b&gt; \\@team \\\\`@team`",
    "$`math`$ [ref]: https://evil.example\n[^1] :tada: <details> ~~x~~ **b** _i_ $`math`$",
]


def outside_of_code(markdown: str) -> str:
    """What a renderer would read as more than code, as CommonMark 0.31 says in 6.1 of code spans."""
    plain, at = "", 0
    while at < len(markdown):
        if markdown[at] == "\\" and at + 1 < len(markdown):
            plain, at = plain + markdown[at : at + 2], at + 2
            continue
        if markdown[at] == "`":
            fence = re.match("`+", markdown[at:])
            assert fence is not None
            end = re.compile(f"(?<!`){fence[0]}(?!`)").search(markdown, at + len(fence[0]))
            assert end is not None, f"an open fence in {markdown!r}"
            at = end.end()
            continue
        plain, at = plain + markdown[at], at + 1
    return plain


@pytest.mark.parametrize("text", HOSTILE)
def test_nobodys_text_makes_more_than_text_of_a_comment(text: str) -> None:
    shown = outside_of_code(prose(text))
    assert "\n" not in prose(text) and "\n" not in code(text)
    assert not re.search(r"(?<!\\)[`*_\[\]#!|~$<>@^]", shown), shown
    assert "@" not in shown and "://" not in shown and "www." not in shown and not re.search(r"#\d|!\d|GH-", shown)
    assert not re.search(r"[A-Z]-\d|[0-9a-f]{7}|[%~]\"|\[\w+:", shown)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\x1b]", prose(text))
    assert outside_of_code(code(text)) == ""


def hostile(text: str) -> Answered:
    findings = (Found("refer`ences", True, f"names {text}"),)
    return Answered(f"Summary: {text}\nChanges:\n- {text}\n{text}", "unverified", "ex_1", "pr-summary@4", findings, 0)


ALLOWED = {"h3", "p", "strong", "ul", "li", "code", "sub"}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_renderer_makes_of_a_hostile_comment_what_we_meant(text: str) -> None:
    """markdown-it with HTML let through, as the services do: no tag that is not ours, no sign outside of code."""
    renderer = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    html = renderer.render(written(hostile(text), "b" * 40))
    assert html.startswith(f"{MARK}\n") and html.count("<!--") == 1
    html = html.removeprefix(MARK)
    assert set(re.findall(r"</?([a-zA-Z0-9]+)", html)) <= ALLOWED and html.count("<h3>") == 1
    assert "$<code>" not in html and "</code>$" not in html
    assert not re.search(r"@|://|www\.|#\d|!\d|GH-\d", re.sub(r"<code>.*?</code>", " ", html, flags=re.DOTALL))


SIGNS = [*"`@$\\<>[]()!*_#-/:. ax\n~1&|", "``", "<img>", "www.", "://", "](x)"]


@hypothesis.settings(max_examples=600)
@hypothesis.given(
    st.lists(st.sampled_from([*"`@$\\<>[]()!*_#-/:. ax\n~1&|", "``", "<img>", "www.", "://", "](x)"]), max_size=24)
)
def test_no_text_of_any_signs_makes_more_than_text(signs: list[str]) -> None:
    renderer = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    html = renderer.render(
        f"**Summary** {prose(''.join(signs))}\n\n- {prose(''.join(signs))}\n- {code(''.join(signs))} end"
    )
    assert set(re.findall(r"</?([a-zA-Z0-9]+)", html)) <= ALLOWED, html
    assert not re.search(r"@|://|www\.|#\d|!\d", re.sub(r"<code>.*?</code>", " ", html, flags=re.DOTALL)), html


@pytest.mark.parametrize("text", HOSTILE)
def test_every_line_of_a_comment_begins_with_a_sign_of_ours(text: str) -> None:
    lines = written(hostile(text), "b" * 40).split("\n")
    assert lines[0] == MARK and all(re.match(r"### |\*\*|- |<sub>|$", line) for line in lines[1:])
    assert "<!--" not in outside_of_code("\n".join(lines[1:]))
    assert "**Unverified**" in "\n".join(lines)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_with_a_hostile_name_is_shown_and_does_nothing(shop: Repository, kind: Kind, model: Model) -> None:
    model.says = SAID.replace("auth.py", "@team <!-- x -->.py").replace("in login", "for @everyone in login")
    shop.adds("@team <!-- x -->\n/merge.py", CHANGED)
    shop.git("commit", "-qm", "Hostile")
    with standing(kind) as (forge, url):
        assert post(shop, job(shop, kind, url)).returncode == 0
        body = forge.comments[0].body
        assert "@" not in outside_of_code(body[len(MARK) :]) and "<!--" not in outside_of_code(body[len(MARK) :])
        assert not [line for line in body.split("\n") if line.startswith("/")]
        assert post(shop, job(shop, kind, url)).returncode == 0 and len(forge.comments) == 1


def test_nothing_in_a_jobs_log_is_a_command_to_its_runner(shop: Repository) -> None:
    """`##[add-mask]e` in an answer hid each `e` of the log, and `##[error]` marked the job."""
    application = FastAPI()
    how = {"route": "draft", "exchange": "ex_1", "contract": "pr-summary@4", "receipts": [], "findings": []}
    text = "Summary: Add `##[add-mask]e` here.\nChanges:\n::error::gone\n- `##[error]x`"

    @application.post("/v1/chat/completions")
    def chat() -> dict[str, Any]:
        return {"choices": [{"message": {"content": text}}], "firstpass": how}

    with serving(application) as url:
        done = shop.firstpass("pull-request", **job(shop, "GitHub", "http://127.0.0.1:9", FIRSTPASS_URL=url))
    assert done.returncode == 0 and "`## [error]x`" in done.stdout and "##[" not in done.stdout + done.stderr
    assert not [line for line in done.stdout.split("\n") if line.strip().startswith("::")]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_too_long_for_a_comment_is_cut_at_a_line_and_says_so(kind: Kind) -> None:
    body = "\n".join([MARK, *(f"- \U0001f600 {number} {'x' * 90}" for number in range(20_000))])
    limit = 65_536 if kind == "GitHub" else 1_000_000
    short = cut(body, limit)
    assert limit - 500 < units(short) <= limit and short.startswith(MARK)
    assert re.search(r"\n\n\*\*Cut here\*\*: \d+ lines more do not fit into a comment\.$", short)
    lines = short.split("\n")
    assert lines[:-2] == body.split("\n")[: len(lines) - 2] and cut(short, limit) == short
    assert int(re.findall(r"\d+", lines[-1])[0]) == 20_001 - (len(lines) - 2)
    with standing(kind) as (forge, url):
        one = Request(kind, f"{url}/api", PROJECT if kind == "GitHub" else "12", NUMBER, "a" * 40, "b" * 40)
        token = event.token(one, {"GITHUB_TOKEN": TOKEN, "GITLAB_TOKEN": TOKEN})
        assert token is not None
        assert posting.put(posting.service(one, token, None), body).became == "made" and len(forge.comments) == 1


def test_a_job_of_no_request_is_none(shop: Repository) -> None:
    assert event.here({}) is None and event.here({"GITLAB_CI": "true"}) is None
    with pytest.raises(NotPosted, match="CI_MERGE_REQUEST_PROJECT_ID"):
        event.here({"GITLAB_CI": "true", "CI_MERGE_REQUEST_IID": "1"})
    assert "`@team`" in comment.without_summary("because of @team", "b" * 40)
