"""Where a draft and remarks go in git's message file. Bytes in, bytes out; tests/web/test_hooks.py has git itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstpass.hooks.message import SCISSORS, comment_sign, has_text, with_draft, with_remarks, wrapped
from firstpass.hooks.script import NAMES, Name, is_as_written, is_ours, written

STATUS = b"\n# Please enter the commit message.\n#\n# On branch main\n"
CUT = b"#" + SCISSORS + b"\n# Do not modify or remove the line above.\ndiff --git a/x b/x\n+text\n"


@pytest.mark.parametrize(
    ("message", "has"),
    [
        (STATUS, False),
        (STATUS + CUT, False),
        (b"\n\nSigned-off-by: A <a@b>\n" + STATUS, False),
        (b"Mine\n" + STATUS, True),
        (b"Mine: it is\n\nand more\n" + STATUS, True),
        (b"", False),
        (b"\r\n# a comment\r\n", False),
    ],
)
def test_comments_trailers_and_what_is_below_the_scissors_are_no_message(message: bytes, has: bool) -> None:
    assert has_text(message, b"#") is has


def test_remarks_stand_before_the_comments_or_below_scissors_that_are_the_first() -> None:
    assert with_remarks(STATUS, [b"one", b""], b"#").startswith(b"\n# one\n#\n# Please")
    assert with_remarks(b"\n" + CUT, [b"one"], b"#").startswith(b"\n#" + SCISSORS + b"\n# one\n# Do not")
    assert with_remarks(b"text", [b"one"], b"#") == b"text\n# one\n"
    assert with_remarks(b"\n// Please\n", [b"one"], b"//") == b"\n// one\n// Please\n"


def test_a_draft_stands_first_and_apart() -> None:
    assert with_draft(STATUS, b"Do it", b"#") == b"Do it\n" + STATUS
    assert with_draft(b"# only", b"Do it\n# not this", b"#") == b"Do it\n # not this\n\n# only"


@pytest.mark.parametrize(
    ("said", "message", "sign"),
    [
        (b"", STATUS, b"#"),
        (b";", STATUS, b";"),
        (b"//", STATUS, b"//"),
        (b"auto", STATUS.replace(b"#", b"%"), b"%"),
        (b"auto", b"", b"#"),
        (b"auto", STATUS.replace(b"#", b"@") + b"@" + SCISSORS + b"\n+text\n", b"@"),
    ],
)
def test_the_sign_of_comments_is_the_one_that_git_writes(said: bytes, message: bytes, sign: bytes) -> None:
    assert comment_sign(message, said) == sign


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=60), st.sampled_from([b"#", b";", b"//"]))
def test_all_that_was_there_stays_whatever_it_is(message: bytes, draft: bytes, sign: bytes) -> None:
    after = with_draft(message, draft, sign)
    assert after.endswith(message)
    remarked = with_remarks(after, [b"a remark"], sign)
    assert remarked.replace(sign + b" a remark\n", b"", 1).replace(b"\n", b"") == after.replace(b"\n", b"")


@given(st.text(min_size=1, max_size=400))
def test_wrapping_loses_no_word(text: str) -> None:
    if text.splitlines():
        assert wrapped(text).split() == text.split()


def test_long_lines_are_wrapped_below_the_subject_and_items_hang() -> None:
    subject, item, *rest = wrapped(f"{'S' * 90}\n- auth.py: {'calls createSession ' * 9}\n{'x' * 100}").splitlines()
    assert len(subject) == 90 and item.startswith("- auth.py: calls") and len(item) <= 72
    assert rest[-1] == "x" * 100 and all(line.startswith(("  calls", "  create")) for line in rest[:-1])


@pytest.mark.parametrize("name", NAMES)
def test_a_hook_file_knows_itself_and_what_was_changed_in_it(name: Name) -> None:
    text = written(name, "/a path/that's odd/firstpass")
    assert is_ours(text) and is_as_written(text)
    assert is_ours(text + "#\n") and not is_as_written(text + "#\n")
    assert not is_ours("#!/bin/sh\nexit 0\n") and not is_as_written("")
