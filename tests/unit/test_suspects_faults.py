"""Faults that a diff adds and checks other than guards that it takes away: what must be told, and what stay silent."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from firstpass.evidence import parse_diff
from firstpass.evidence.suspects.suspect import MOST, suspects
from firstpass.evidence.suspects.suspicion import quoted
from tests.machine import LINEAR, growth
from tests.suspects import Case, cases, diff, found

CASES = cases("faults.txt")

PRIVATE = "-----BEGIN RSA " + "PRIVATE KEY-----"
AMAZON = "AKIA" + "QZ7WJ2M4K8P3R6T9"
GITHUB = "ghp_" + "a8Bq2Zr7Tt5Wn1Yc9Xe4Vd6Uf3Gh0Jk2Lm8P"
PASSWORD = "Xk29!mQz7" + "#pL"

SECRETS = (
    ("a.py", f"+KEY = '{AMAZON}'\n x = 1"),
    ("config.yml", f"+token: {GITHUB}\n x: 1"),
    ("a.ts", f"+const key = `{PRIVATE}\n x()"),
    ("a.py", f"+DB_PASSWORD = '{PASSWORD}'\n x = 1"),
    ("settings.json", f'+  "password": "{PASSWORD}",\n   "x": 1'),
    ("a.go", '+\tdsn := "postgres://app:Xk29mQz' + '7pL@db.internal/app"\n \topen(dsn)'),
    (".env", "+API_KEY=9f8e7d6c5b4a" + "39281706f5e4\n X=1"),
)
NO_SECRETS = (
    ("tests/test_a.py", f"+password = '{PASSWORD}'\n x = 1"),
    ("docs/a.md", f"+    DB_PASSWORD = '{PASSWORD}'\n x = 1"),
    ("a.py", "+KEY = 'AKIA" + "IOSFODNN7EXAMPLE'\n x = 1"),
    ("a.py", f"-DB_PASSWORD = '{PASSWORD}'\n+DB_PASSWORD = '{PASSWORD}'  # old\n x = 1"),
    ("a.py", f"-PASSWORD = '{PASSWORD}'\n+DB_PASSWORD = '{PASSWORD}'\n x = 1"),
)


@pytest.mark.parametrize("case", [case for case in CASES if case.kind != "silent"], ids=str)
def test_a_fault_is_told(case: Case) -> None:
    told = found(diff(case.path, case.lines))
    assert case.kind in [one.kind for one in told], told


@pytest.mark.parametrize("case", [case for case in CASES if case.kind == "silent"], ids=str)
def test_a_near_miss_stays_silent(case: Case) -> None:
    assert found(diff(case.path, case.lines)) == []


@pytest.mark.parametrize(("path", "lines"), SECRETS)
def test_a_secret_in_the_clear_is_told_and_not_repeated(path: str, lines: str) -> None:
    (told,) = found(diff(path, lines))
    assert told.kind == "secret" and told.line == 10 and PASSWORD not in told.text


@pytest.mark.parametrize(("path", "lines"), NO_SECRETS)
def test_what_is_no_secret_or_no_new_one_is_silent(path: str, lines: str) -> None:
    assert found(diff(path, lines)) == []


def test_the_gravest_come_first_and_their_number_is_bounded() -> None:
    text = "".join(diff(f"src/f{number}.py", " def f(x):\n+    print(x)\n     return x") for number in range(80))
    told = suspects(parse_diff(text + diff("b.py", "-@login_required\n def f(r):\n     pass")))
    assert len(told) == MOST and told[0].kind == "authorization"
    assert [one.weight for one in told] == sorted((one.weight for one in told), reverse=True)


def test_what_comments_a_guard_out_is_told_once() -> None:
    told = found(diff("a.py", " x = 1\n-check_permission(user)\n+# check_permission(user)\n drop()"))
    assert [one.kind for one in told] == ["authorization"]


def test_code_that_is_too_long_is_quoted_without_half_a_name() -> None:
    code = "connection = pools.connection_from_url(url, timeout=self.timeout)"
    assert quoted(code, 60) == "`connection = pools.connection_from_url(url, timeout=self...`"
    assert quoted(code, 57) == "`connection = pools.connection_from_url(url, timeout=...`"
    assert quoted(code, len(code)) == f"`{code}`"
    assert quoted("a" * 90, 40) == f"`{'a' * 37}...`"


SIGNS = (
    "(", "a", '"', "'", "`", "/*", "*/", "#", "@login_required(", "if not user.is_admin and ",
    "except Exception:", '"""', "catch (",
    " ", "= ", "\\", "passw", "..", "SELECT ",
)  # fmt: skip


@pytest.mark.parametrize("path", ("a.py", "a.ts", "a.go", ".env"))
@pytest.mark.parametrize("sign", SIGNS)
def test_a_long_text_of_one_sign_takes_no_long_time(path: str, sign: str) -> None:
    def read(size: int) -> None:
        long = sign * (size // len(sign))
        suspects(parse_diff(diff(path, f"-{long}\n+{long}\n x")))

    def read_lines(number: int) -> None:
        lines = (f"{'-+'[place % 2]}{sign * 20}" for place in range(number))
        suspects(parse_diff(diff(path, "\n".join(lines))))

    assert growth(read, 500) < LINEAR and growth(read, 25_000) < LINEAR
    assert growth(read_lines, 75) < LINEAR


@settings(max_examples=60, deadline=None)
@given(some.text(alphabet="+- @\n#'\"`/*(){}:=ifrasexcpttnodmuk.", max_size=600), some.sampled_from(["a.py", "a.ts"]))
def test_no_text_raises(text: str, path: str) -> None:
    assert all(one.path in (path, text) or one.line is None for one in found(diff(path, f" x\n{text}\n")))
