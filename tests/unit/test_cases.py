"""Files of cases: what is read, what is refused and with which words, and that what is written comes back."""

import json
import subprocess
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstpass.cases import Case, Input, body_of
from firstpass.cases.inputs import MOST_BYTES
from firstpass.cases.mentions import mentions
from firstpass.cases.places import lines_of_cases
from firstpass.cases.reading import Entry, cases_of, found, read_cases
from firstpass.cases.recorded import case_of_exchange
from firstpass.cases.writing import append, fields_of, line_of, toml_of
from firstpass.chat import Image, Message, Sampling, Tool, ToolCall
from firstpass.errors import BadCases
from firstpass.exchange import Ask, Exchange
from tests.doubles import DIFF

TOML = Path("somewhere.toml")
JSONL = Path("somewhere.jsonl")


def written(tmp_path: Path, text: str, name: str = "firstpass.cases.toml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits, by git."""

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    git("init", "--quiet", "-b", "main")
    for number in (1, 2):
        (tmp_path / "a.py").write_text(f"value = {number}\n")
        git("add", "a.py")
        git("-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "--quiet", "-m", f"number {number}")
    return tmp_path


def test_a_case_says_what_is_asked_and_what_is_expected(tmp_path: Path) -> None:
    text = """
    [[case]]
    name = "says the call"
    diff = '''
    +createSession()
    '''
    contract = "pr-summary@4"
    model = "local"
    must_mention = ["createSession", "rate limit"]
    must_not_mention = "rollback"
    expect_route = ["draft", "repaired"]
    max_seconds = 5
    egress = "local-only"
    repository = "shop"
    """
    (case,) = read_cases(written(tmp_path, text))
    assert case.must_mention == ("createSession", "rate limit") and case.must_not_mention == ("rollback",)
    assert (case.expect_route, case.expect_checks, case.max_seconds) == (("draft", "repaired"), "passed", 5)
    assert case.place is not None and case.place.line == 2
    assert body_of(case) == {
        "model": "local",
        "messages": [{"role": "user", "content": "    +createSession()\n    "}],
        "temperature": 0.0,
        "seed": 1,
        "firstpass": {"contract": "pr-summary@4", "egress": "local-only", "repository": "shop"},
    }


def test_a_line_of_jsonl_is_a_case() -> None:
    line = json.dumps({"name": "a", "prompt": "Say hi.", "must_mention": ["hi"], "seed": 7, "temperature": False})
    other = line.replace('"a"', '"b"')
    first, second = cases_of(f"{line}\n\n{other}\n", JSONL)
    assert first.asked == Input("prompt", "Say hi.") and first.expect_checks == "any"
    assert body_of(first) == {"model": "firstpass", "messages": [{"role": "user", "content": "Say hi."}], "seed": 7}
    assert second.place is not None and str(second.place) == "somewhere.jsonl:3"


def test_messages_and_other_fields_of_a_request_go_on_as_they_are() -> None:
    text = """[[case]]
name = "a"
seed = false
messages = [{ role = "system", content = "Be brief." }, { role = "user", content = "Hi" }]
[case.body]
top_p = 0.5
stop = ["."]
"""
    (case,) = cases_of(text, TOML)
    assert body_of(case) == {
        "model": "firstpass",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "top_p": 0.5,
        "stop": ["."],
        "temperature": 0.0,
    }


HEAD = '[[case]]\nname = "a"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "somewhere.toml: there is no case in it"),
        ("case = 1\n", "cases are tables"),
        ('case = [{ name = "a", prompt = "b" }]\n', "each under a line [[case]] of its own"),
        ("[check]\n", "'check' is unknown; cases are tables [[case]]"),
        ("[[case]]\nname = \n", "somewhere.toml:2: Invalid value"),
        ('[[case]]\nname = "a"\nname = "b"\n', "somewhere.toml:3: Cannot overwrite a value"),
        ('[[case]]\nprompt = "b"\n', "somewhere.toml:1: name: is missing"),
        (HEAD, "somewhere.toml:1: case 'a': asks nothing; a case has one of diff, diff_file, commit, prompt"),
        (f'{HEAD}prompt = "b"\ndiff = "c"\n', "somewhere.toml:3: case 'a': prompt: has diff and prompt"),
        (f'{HEAD}prompt = "b"\n\n# route\nroute = "local"\n', "toml:6: case 'a': 'route': there is no such field"),
        (f'{HEAD}prompt = "b"\nmust_mentoin = []\n', "toml:4: case 'a': 'must_mentoin': there is no such field; is "),
        (f'{HEAD}prompt = "b"\nmust_mention = [1]\n', "toml:4: case 'a': must_mention: 0: Input should be a"),
        (f'{HEAD}prompt = "b"\nmust_mention = [" "]\n', "must_mention: ' ' is no word"),
        (f'{HEAD}prompt = "b"\nmust_mention = ["b"]\nmust_not_mention = ["b"]\n', "toml:5: case 'a': must_not_"),
        (f'{HEAD}prompt = "b"\nexpect_route = ["drafted"]\n', "expect_route: 0: Input should be 'draft'"),
        (f'{HEAD}prompt = "b"\nexpect_checks = "passed"\n', "expect_checks: without a contract nothing checks"),
        (f'{HEAD}prompt = "b"\nmax_seconds = 0\n', "max_seconds: Input should be greater than 0"),
        (f'{HEAD}prompt = "b"\nmax_seconds = nan\n', "max_seconds: Input should be a finite number"),
        (f'{HEAD}prompt = "b"\nmax_seconds = true\n', "max_seconds: Input should be a valid number"),
        (f'{HEAD}prompt = "b"\nseed = true\n', "seed: Input should be a valid integer"),
        (f'{HEAD}prompt = "b"\nseed = 0.5\n', "seed: Input should be a valid integer"),
        (f'{HEAD}prompt = "b"\negress = "all"\n', "egress: Input should be 'local-only'"),
        (f'{HEAD}prompt = " "\n', "prompt: is empty"),
        (f'{HEAD}diff = "b"\n', "diff: a diff needs a contract"),
        (f'{HEAD}prompt = "b"\n[case.body]\nstream = true\n', "toml:4: case 'a': body: stream does not belong there"),
        (f'{HEAD}prompt = "b"\n[case.body]\ntop_q = 1\n', "toml:4: case 'a': body: unknown parameter: top_q"),
        (f'{HEAD}prompt = "b"\n[case.body]\ntop_p = 2\n', "body: top_p: Input should be less than or equal to 1"),
        (f'{HEAD}prompt = "b"\n[case.body]\nuser = 2026-01-01\n', "date is not JSON serializable"),
        (f'{HEAD}prompt = "b"\nseed = {"1" * 5_000}\n', "somewhere.toml: Exceeds the limit"),
        (f'{HEAD}prompt = "b"\n[case.body{".a" * 20_000}]\n', "maximum recursion depth exceeded"),
        (f'{HEAD}prompt = "b"\n[case.body]\nn = 2\n', "body: n: a case is judged by one answer"),
        (f'{HEAD}messages = []\n', "toml:3: case 'a': messages: List should have at least 1 item"),
        (f'{HEAD}messages = [{{ role = "robot", content = "b" }}]\n', "toml:3: case 'a': messages: messages.0.role"),
        ('[[case]]\nname = " a"\nprompt = "b"\n', "name: must be printable, without space at its ends"),
        ('[[case]]\nname = "a\\nb"\nprompt = "b"\n', "name: must be printable"),
        (f'{HEAD}prompt = "b"\n{HEAD}prompt = "c"\n', "toml:4: case 'a': name: the case at somewhere.toml:1 has"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text: str, words: str) -> None:
    with pytest.raises(BadCases) as raised:
        cases_of(text, TOML)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n \n", "there is no case in it"),
        ('{"name": "a"\n', "somewhere.jsonl:1: no JSON"),
        ("\n[1]\n", "somewhere.jsonl:2: a case is an object"),
        ('{"name": "a", "name": "b"}\n', "'name' stands twice"),
        ('{"name": "a", "prompt": "b", "max_seconds": NaN}\n', "NaN is no number"),
        ('{"name": "a", "prompt": "b\\ud800"}\n', "lone surrogate"),
        ("[" * 100_000 + "\n", "no JSON"),
    ],
)
def test_a_wrong_line_is_said_with_its_number(text: str, words: str) -> None:
    with pytest.raises(BadCases) as raised:
        cases_of(text, JSONL)
    assert words in str(raised.value)


def test_headers_within_a_text_are_no_cases() -> None:
    text = """# [[case]]
[[case]]
name = "a"
prompt = '''
[[case]]
name = "not this"
'''
[[ case ]] # the second
"name" = "b"
prompt = \"\"\"\\
  [[case]]
  contract = "\\"\"\"\"
must_mention = [
  "x",
]
[[case]]
prompt = "[[case]]"
name = 'c'
contract = "nowhere@0"
[case.body]
user = "u"
"""
    assert [case.name for case in cases_of(text, TOML)] == ["a", "b", "c"]
    first, second, third = lines_of_cases(text)
    assert (first.header, first.fields) == (2, {"name": 3, "prompt": 4})
    assert (second.header, second.fields) == (8, {"name": 9, "prompt": 10, "must_mention": 13})
    assert (third.header, third.fields) == (16, {"prompt": 17, "name": 18, "contract": 19, "body": 20})


def test_a_text_of_megabytes_takes_a_moment_and_little_memory() -> None:
    """A lazy repetition kept a note of every character."""
    long = 'x \\\\ \\" ' * 500_000
    text = f'[[case]]\nname = "a"\nprompt = """\n{long}"""\nseed = 2\n'
    began = time.monotonic()
    tracemalloc.start()
    (lines,) = lines_of_cases(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lines.fields == {"name": 2, "prompt": 3, "seed": 5}
    assert time.monotonic() - began < 5 and peak < 20_000_000


def test_a_mark_before_the_text_and_windows_line_ends_are_no_fault() -> None:
    (case,) = cases_of('\ufeff[[case]]\r\nname = "a"\r\nprompt = """b\r\nc"""\r\n', TOML)
    assert case.asked.text == "b\nc"


def test_a_file_that_is_no_text_or_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cases.toml"
    path.write_bytes(b'[[case]]\nname = "\xe9"\n')
    with pytest.raises(BadCases, match=r"cases.toml is no UTF-8 text \(byte 17, in line 2\)"):
        read_cases(path)
    with path.open("wb") as file:
        file.truncate(33_000_000)
    with pytest.raises(BadCases, match="more than 32000000 bytes"):
        read_cases(path)
    with pytest.raises(BadCases, match="No such file"):
        read_cases(tmp_path / "none.toml")
    with pytest.raises(BadCases, match="Is a directory"):
        read_cases(tmp_path)


def test_a_diff_of_a_file_and_of_commits_is_read_from_the_repository(repository: Path) -> None:
    (repository / "tests").mkdir()
    (repository / "one.diff").write_text(DIFF)
    text = """
    [[case]]
    name = "file"
    diff_file = "../one.diff"
    contract = "pr-summary"
    [[case]]
    name = "commit"
    commit = "HEAD"
    contract = "pr-summary"
    [[case]]
    name = "range"
    commit = "HEAD~1..HEAD"
    contract = "pr-summary"
    [[case]]
    name = "root"
    commit = "HEAD~1"
    contract = "pr-summary"
    """
    file, commit, between, root = read_cases(written(repository / "tests", text))
    assert file.asked.text == DIFF and file.asked.named == "../one.diff"
    assert "--- a/a.py\n+++ b/a.py\n" in commit.asked.text and "-value = 1\n+value = 2\n" in commit.asked.text
    assert between.asked.text == commit.asked.text.lstrip("\n")
    assert "+value = 1" in root.asked.text and "new file mode" in root.asked.text


def test_a_path_that_leaves_the_repository_is_refused(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "a.diff"
    outside.write_text(DIFF)
    (repository / "link.diff").symlink_to(outside)
    (repository / "loop.diff").symlink_to("loop.diff")
    (repository / "latin.diff").write_bytes(b"+\xe9\n")
    (repository / "large.diff").write_text("+" * (MOST_BYTES + 1))
    refused = {
        str(outside): "leaves the repository",
        f"../{outside.parent.name}/a.diff": "leaves the repository|can not be read",
        "link.diff": "leaves the repository",
        "loop.diff": "can not be read",
        "none.diff": "No such file",
        ".": "is no file",
        "latin.diff": "no UTF-8 text",
        "large.diff": f"more than {MOST_BYTES} bytes",
        "a\0b": "can not be read",
        ".git/HEAD": "is git's own",
        "config.diff": "is git's own",
        "a\n::add-mask::b": "No such file",
    }
    (repository / "config.diff").symlink_to(".git/HEAD")
    for named, words in refused.items():
        line = json.dumps({"name": "a", "contract": "pr-summary", "diff_file": named})
        with pytest.raises(BadCases, match=words) as raised:
            cases_of(line, repository / "cases.jsonl")
        assert "case 'a': diff_file:" in str(raised.value) and "\n" not in str(raised.value)


def test_a_range_is_its_net_change_and_a_merge_what_it_brought_in(repository: Path) -> None:
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b.example"]
    for arguments in (
        ("checkout", "--quiet", "-b", "side", "HEAD~1"),
        ("commit", "--quiet", "--allow-empty", "-m", "nothing"),
        ("checkout", "--quiet", "main"),
    ):
        subprocess.run([*git, *arguments], check=True)
    (repository / "a.py").write_text("value = 3\n")
    subprocess.run([*git, "commit", "--quiet", "-am", "number 3"], check=True)
    subprocess.run([*git, "checkout", "--quiet", "side"], check=True)
    subprocess.run([*git, "merge", "--quiet", "--no-edit", "main"], check=True)
    for named in ("main~2..main", "HEAD"):
        line = json.dumps({"name": "a", "contract": "pr-summary", "commit": named})
        (case,) = cases_of(line, repository / "cases.jsonl")
        changed = [row for row in case.asked.text.split("\n") if row.startswith(("-v", "+v"))]
        assert changed == ["-value = 1", "+value = 3"], named


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("nowhere", "git does not show nowhere: .*shallow"),
        ("nowhere..HEAD", "git does not show nowhere..HEAD: .*shallow"),
        ("--output=/tmp/x", "is no name of a commit"),
        ("HEAD --stat", "is no name of a commit"),
        ("HEAD..HEAD", "changes nothing"),
    ],
)
def test_a_commit_that_git_does_not_show_is_an_error(repository: Path, named: str, words: str) -> None:
    line = json.dumps({"name": "a", "contract": "pr-summary", "commit": named})
    with pytest.raises(BadCases, match=words):
        cases_of(line, repository / "cases.jsonl")


def test_the_file_is_found_from_a_folder_below_it(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "firstpass.cases.jsonl").write_text("")
    assert found(below) == tmp_path / "firstpass.cases.jsonl"
    (tmp_path / "a" / "firstpass.cases.toml").write_text("")
    assert found(below) == tmp_path / "a" / "firstpass.cases.toml"


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1)
PIECES = (
    '"',
    '""',
    '"""',
    "'''",
    "\\",
    "\r",
    "\n",
    "\r\n",
    " ",
    "\t",
    "\x00",
    "\x7f",
    "\u2028",
    "\ufeff",
    "\xe9",
    "[[case]]",
)
NASTY = st.lists(st.sampled_from(PIECES), min_size=1).map("".join)
WORDS = st.lists(TEXTS | NASTY, max_size=3).map(tuple)
CASES = st.builds(
    Case,
    name=st.text(st.characters(categories=("L", "N")), min_size=1, max_size=20),
    asked=st.builds(Input, kind=st.just("prompt"), text=TEXTS | NASTY),
    model=st.sampled_from(["firstpass", "a/b"]),
    must_mention=WORDS,
    max_seconds=st.none() | st.floats(0.001, 1e9),
    temperature=st.none() | st.floats(0, 2),
    seed=st.none() | st.integers(-(2**62), 2**62),
    body=st.just({}) | st.fixed_dictionaries({"user": TEXTS | NASTY, "logit_bias": st.just({"1 2": 0.5})}),
)


@given(CASES)
def test_what_is_written_is_read_back_to_the_byte(case: Case) -> None:
    if not case.asked.text.strip() or any(not word.strip() for word in case.must_mention):
        return
    for text, path in ((toml_of(case), TOML), (line_of(case), JSONL)):
        (read,) = cases_of(text, path)
        assert read.asked == case.asked and fields_of(read) == fields_of(case)
        assert body_of(read) == body_of(case)


@given(TEXTS | NASTY)
def test_no_line_of_a_written_text_ends_in_a_blank_that_an_editor_would_take(text: str) -> None:
    lines = toml_of(Case("a", Input("prompt", text))).splitlines()
    assert all(line == line.rstrip() for line in lines)


def test_a_case_is_put_behind_the_others_and_nothing_else_changes(tmp_path: Path) -> None:
    path = tmp_path / "firstpass.cases.toml"
    append(Case("first", Input("diff", DIFF), contract="pr-summary@4", expect_checks="passed"), path)
    before = b"# by hand\r\n" + path.read_bytes().rstrip(b"\n")
    path.write_bytes(before)
    append(Case("second", Input("diff", "+a\r\n \n"), contract="pr-summary@4", expect_checks="passed"), path)
    assert path.read_bytes().startswith(before + b"\n\n[[case]]\n")
    assert [case.asked.text for case in read_cases(path)] == [DIFF, "+a\r\n \n"]


def test_a_case_that_the_file_can_not_have_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "firstpass.cases.toml"
    for text, case, words in (
        ("x = 1\n", Case("a", Input("prompt", "b")), "'x' is unknown"),
        (toml_of(Case("a", Input("prompt", "b"))), Case("a", Input("prompt", "c")), "has it already"),
        ("", Case("a", Input("prompt", "b\ud800")), "half of a UTF-16 pair"),
        ("", Case("a", Input("prompt", "b"), body={"response_format": {"a": [None]}}), "no way to write NoneType"),
        ("", Case("a", Input("prompt", "b"), must_mention=(" ",)), "is no word"),
    ):
        path.write_text(text)
        with pytest.raises(BadCases, match=words):
            append(case, path)
        assert path.read_text() == text


def asked(*messages: Message, **fields: Any) -> Exchange:
    return Exchange(Ask("ex_1", 0.0, "chat", "local", "local", messages, **fields))


def test_an_exchange_becomes_a_case_that_asks_the_same() -> None:
    exchange = asked(Message("user", DIFF), contract="pr-summary@4", sampling=Sampling(temperature=0.5, max_tokens=9))
    case = case_of_exchange(exchange, "mine")
    assert case.asked == Input("diff", DIFF) and case.name == "mine" and case.expect_checks == "passed"
    assert body_of(case) == {
        "model": "local",
        "messages": [{"role": "user", "content": DIFF}],
        "max_tokens": 9,
        "temperature": 0.5,
        "seed": 1,
        "firstpass": {"contract": "pr-summary@4", "egress": "local-only"},
    }


def test_a_conversation_with_tools_and_images_becomes_a_case_and_comes_back(tmp_path: Path) -> None:
    exchange = asked(
        Message(
            "user",
            "Look: ",
            images=(
                Image(
                    "image/png",
                    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==",
                ),
            ),
        ),
        Message("assistant", "", tool_calls=(ToolCall("c1", "look", '{"a": "b\\n"}'),)),
        Message("tool", "nothing\r\n", tool_call_id="c1"),
        sampling=Sampling(tools=(Tool("look", "looks", {"properties": {"a b": {"type": "string"}}}),)),
        ceiling="any",
    )
    case = case_of_exchange(exchange)
    assert case.egress is None and case.name == "ex_1"
    for path in (tmp_path / "a.toml", tmp_path / "a.jsonl"):
        append(case, path)
        (read,) = read_cases(path)
        assert body_of(read) == body_of(case)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"store": False}, "its words are not in the record"),
        ({"kind": "embedding"}, "this is an embedding"),
        ({"continues": True}, "goes on where its last message ends"),
    ],
)
def test_an_exchange_that_can_not_be_asked_again_is_an_error(change: dict[str, Any], words: str) -> None:
    fields: dict[str, Any] = {"kind": "chat"} | change
    exchange = Exchange(Ask("ex_1", 0.0, model="local", target="local", messages=(Message("user", "a"),), **fields))
    with pytest.raises(BadCases, match=words):
        case_of_exchange(exchange)


OWN = Path(__file__).parents[1] / "firstpass.cases.toml"


def test_the_cases_of_this_repository_forbid_what_their_diffs_would_lead_to() -> None:
    """A name that a diff does not have would be forbidden in vain: a model has no reason to list it."""
    cases = read_cases(OWN)
    assert len(cases) >= 8 and all(case.must_mention and case.must_not_mention for case in cases)
    for case in cases:
        for word in case.must_not_mention:
            assert not word.startswith("- ") or mentions(case.asked.text, word.removeprefix("- ")), (case.name, word)


def test_every_field_of_a_case_is_described() -> None:
    text = (Path(__file__).parents[2] / "docs" / "checking.md").read_text()
    assert [name for name in Entry.model_fields if f"`{name}`" not in text and f"[case.{name}]" not in text] == []
