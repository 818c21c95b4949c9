"""What models write around an answer, and answers that only look as if something were around them."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from firstpass.chat import Message as ChatMessage
from firstpass.contract import shipped
from firstpass.contract.form import Message
from firstpass.contract.sections import parse_answer, render_answer
from firstpass.contract.wrapping import unwrapped
from firstpass.exchange import Ask, Exchange, Finding, Reply
from tests.machine import LINEAR, growth

CASES = Path(__file__).parents[1] / "cases"
FORM = Message()
COMMIT = shipped("commit-message@1")
DIFF = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1,1 +1,2 @@\n def f():\n+    send_report(a)\n"

SUBJECT = [
    "```\n{}\n```",
    "```text\n{}\n```",
    "```git-commit\n{}\n```\n",
    "~~~\n{}\n~~~",
    "````\n{}\n````",
    "```\n{}",
    "{}\n```",
    "```\n\n{}\n\n```\n\nThis uses the imperative mood, and names the call.",
    "Here is a commit message:\n\n{}",
    "Here is a commit message:\n```\n{}\n```",
    "Here's the commit message for your diff:\n\n```\n{}\n```\n\nLet me know if you'd like changes!",
    "Sure! Here\u2019s a concise commit message:\n\n{}",
    "Sure!\n\n{}",
    "Certainly! Below is the commit message.\n\n{}",
    "Based on the diff, here is the commit message:\n\n{}",
    "Based on your changes, I suggest this commit message:\n\n{}",
    "I've written a commit message:\n\n{}",
    "Here is the commit message: {}",
    "**Here is the commit message:**\n\n{}",
    "Commit message:\n{}",
    "Commit message: {}",
    "**Commit message:** {}",
    "**Commit message:**\n\n{}",
    "**Commit Message**\n\n{}",
    "## Commit message\n\n{}",
    "### Suggested commit message:\n```\n{}\n```",
    "Subject: {}",
    "**Subject:** {}",
    "**Subject**: {}",
    "Subject line: {}",
    "# {}",
    '"{}"',
    "\u201c{}\u201d",
    "'{}'",
    "`{}`",
    "**{}**",
    "```{}```",
    'Here is the message:\n\n"{}"',
    "Commit message: **{}**",
    "<think>\nIt calls send_report.\n\nSo: Call it.\n</think>\n\n{}",
    "<think></think>{}",
    "<thinking>It calls</thinking>\n<think>more</think>\n{}",
    "It adds a call of send_report.\n</think>\n\n{}",
    "<think>a</think>\n\nSure! Here it is:\n\n```\n{}\n```",
    "{}\n\nLet me know if you would like it shorter.",
    "{}\n\n---\n\nI hope this helps!",
    "{}\n\nThis commit message follows the imperative form.",
    "{}\n\n**Explanation:**\n\n- It is short.\n- It is right.",
    "{}\n\nIf you'd like, I can add a body.\n\nLet me know!",
]


@pytest.mark.parametrize("around", SUBJECT)
def test_what_is_around_a_subject_is_not_its(around: str) -> None:
    text = around.format("Send a report")
    assert unwrapped(text) == "Send a report"
    assert FORM.read(text).parts == {"Subject": ("Send a report",), "Body": ()}
    assert FORM.render(FORM.read(text).parts) == "Send a report"


@pytest.mark.parametrize(
    "around",
    [
        "{}", "```\n{}\n```", "~~~text\n{}\n~~~", "```\n{}", "Sure! Here you go:\n\n{}", "## Commit message\n\n{}",
        "Here's one:\n\n```\n{}\n```\nIt is short.", "<think>x</think>{}", '"{}"', "{}\n\nFeel free to change it.",
    ],
)  # fmt: skip
def test_what_is_around_a_message_with_a_body_is_not_its(around: str) -> None:
    text = "Send a report\n\nNobody saw the failures.\n\n- one\n- two"
    assert unwrapped(around.format(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "Subject: Send a report\n\nBody:\nNobody saw it.",
        "Subject: Send a report\nBody: Nobody saw it.",
        "**Subject:** Send a report\n\n**Body:** Nobody saw it.",
        "**Subject:** Send a report\n**Body:**\nNobody saw it.",
        "Subject: Send a report\n\nNobody saw it.",
        "**Send a report**\n\nNobody saw it.",
    ],
)
def test_labels_of_subject_and_body_go(text: str) -> None:
    assert unwrapped(text) == "Send a report\n\nNobody saw it."


@pytest.mark.parametrize(
    "text",
    [
        "Send a report",
        "Send a report\n\nNobody saw the failures.",
        "feat(api): send a report",
        "fix: do not let me know",
        "subject: send a report",
        "message: send a report",
        "commit: send a report",
        "Title: align it",
        "Fix the parser:\n\n```\na = 1\n```",
        "Show usage\n\nRun it:\n\n```sh\nfirstpass serve\n```\n\nThen stop it.",
        "Show usage\n\n```\na\n```\n```\nb\n```",
        "`a` is now `b`",
        '"a" means "b c" now',
        "**a** and **b**",
        "`send_report`",
        "Here documents are read",
        "Based on what the parser knows, stop early",
        "Okay status is sent",
        "Strip </think> from answers",
        "Strip <think> from answers\n\nIt was shown.",
        "Read it\n\nIf you have your own settings, move them.",
        "Read it\n\nThis message queue was slow.",
        "Read it\n\nThe message is shown once.",
        "Read it\n\nExplanations are short now.",
        "Read it\n\nI used a table.",
        "Let me know when it fails",
        "#12: send a report",
        "Send a report\n\nSigned-off-by: Ana <ana@example.com>",
        "Send a report\n\n---\n\nNotes stay.",
        "Send a report\n\nBody: stays.",
    ],
)
def test_a_message_with_nothing_around_it_stays_as_it_is(text: str) -> None:
    assert unwrapped(text) == text
    assert FORM.render(FORM.read(text).parts) == text


@pytest.mark.parametrize("text", ["", "\n", "```", "```\n", "<think>", "<think>It calls", "Sure!\n",
                                  "Here is a commit message:\n\n```", "Subject:", "Sure!\n```\n```"])  # fmt: skip
def test_where_the_message_has_not_begun_there_is_no_subject(text: str) -> None:
    assert FORM.read(text).missing == ("Subject",)
    assert FORM.last(text) == "Subject"


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("Send", "Subject"),
        ("Send\n", "Body"),
        ("```\nSend", "Subject"),
        ("Here is a commit message:\n\nSend a", "Subject"),
        ("```\nSend a report\n\nNobody", "Body"),
        ("<think>a\nb\nc", "Subject"),
    ],
)
def test_a_message_that_is_still_being_written_ends_in_what_it_is_at(text: str, last: str) -> None:
    assert FORM.last(text) == last


def ask(diff: str) -> Ask:
    messages = (ChatMessage("user", diff),)
    return Ask(id="a", received_unix=0.0, kind="chat", model="firstpass", target="cascade", messages=messages)


def faults(text: str, diff: str = DIFF) -> list[Finding]:
    reply = Reply(text, "m", "stop", None, 0.1)
    return [finding for finding in COMMIT.check(ask(diff), reply) if finding.severity == "fail"]


def test_a_wrapped_message_fails_and_is_mended_to_the_message_alone() -> None:
    case = json.loads((CASES / "commit-fenced.json").read_text(encoding="utf-8"))
    assert [fault.check for fault in faults(case["answer"], case["diff"])] == ["subject"]
    for around in SUBJECT:
        reply = Reply(around.format("Send a report"), "m", "stop", None, 0.1)
        mended = COMMIT.mend(Exchange(ask(case["diff"])), reply)
        assert mended and mended.text == "Send a report" and faults(mended.text, case["diff"]) == []


ANSWER = render_answer("It works.", ["createSession"], ["expire it"], ["Run it"])


@pytest.mark.parametrize(
    "around",
    [
        "{}", "```\n{}\n```", "```markdown\n{}\n```\n\nLet me know if it helps.", "~~~\n{}", "{}\n```",
        "Sure! Here's the summary:\n\n{}", "Here is the PR summary:\n\n```md\n{}\n```",
        "<think>\nSummary: no.\n</think>\n{}",
        "Summary: no.\n</think>\n{}", "{}\n\nLet me know if you need more.", "{}\n\n---\nI hope this helps!",
        "---\n{}\n---",
        "{}\n\nExplanation:\nIt is short.",
    ],
)  # fmt: skip
def test_what_is_around_a_headed_answer_is_not_its(around: str) -> None:
    assert parse_answer(around.format(ANSWER)) == parse_answer(ANSWER)


@pytest.mark.parametrize(
    "text",
    [
        "## 1. Summary\nIt works.\n## 2. Calls\n- createSession()\n## 3. TODOs\n- expire it\n## 4. Actions\n- Run it",
        "1. **Summary**: It works.\n2. **Calls**:\n- createSession()\n3. **TODOs**: expire it\n4. **Actions**: Run it",
        "Summary\n-------\nIt works.\n\nCalls\n-----\n- createSession()\nTODOs\n=====\n- expire it\nActions\n- Run it",
        "Summary: It works.\n```\nCalls:\n- createSession()\nTODOs:\n- expire it\n```\nActions:\n- Run it",
        "## \U0001f4dd Summary\nIt works.\n## Calls\n- createSession()\n## TODOs\n- expire it\n## Actions\n- Run it",
    ],
)
def test_markdown_around_the_sections_is_read_alike(text: str) -> None:
    assert parse_answer(text) == parse_answer(ANSWER)


PIECES = some.sampled_from(
    ["```", "~~~", "\n", "\n\n", "Sure!", "Here is the message:", "Subject:", "Body:", "**", '"', "`",
     "<think>", "</think>", "x", " ",
     "Let me know", "---", "# ", "Commit message:", "Explanation:", "\u201c", "text"]
)  # fmt: skip


@settings(max_examples=400, deadline=None, derandomize=True)
@given(some.lists(PIECES, max_size=14))
def test_no_text_makes_it_raise(pieces: list[str]) -> None:
    once = unwrapped("".join(pieces))
    assert once == once.strip() and len(once) <= len("".join(pieces)) + 1
    FORM.read("".join(pieces))


@pytest.mark.parametrize("piece", ["```\n", "~~~\n", "<think>", "</think>\n", "Sure!\n", "Here is the message:\n",
                                   "Here is ", "Subject: ",
                                   "\n\nLet me know", '"', "**", "`", "#", " ", "\n", "---\n\n",
                                   "\n\nExplanation", "I have "])  # fmt: skip
def test_hostile_text_is_read_in_linear_time(piece: str) -> None:
    def read(length: int) -> None:
        text = piece * (length // len(piece))
        unwrapped(text)
        parse_answer(text)

    assert growth(read, 25_000) < LINEAR
