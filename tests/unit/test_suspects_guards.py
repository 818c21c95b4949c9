"""Guards of authorization that go away or change, by language: what must be told, and what must stay silent."""

import pytest

from firstpass.evidence import parse_diff
from firstpass.evidence.suspects.suspect import suspects
from tests.suspects import Case, cases, diff, found

CASES = cases("guards.txt")


@pytest.mark.parametrize("case", [case for case in CASES if case.kind != "silent"], ids=str)
def test_a_guard_that_went_away_or_changed_is_told_first(case: Case) -> None:
    told = found(diff(case.path, case.lines))
    assert [one.kind for one in told][:1] == [case.kind], told


@pytest.mark.parametrize("case", [case for case in CASES if case.kind == "silent"], ids=str)
def test_no_loss_of_a_guard_is_told_where_there_is_none(case: Case) -> None:
    assert [one for one in found(diff(case.path, case.lines)) if one.kind == "authorization"] == []


def test_a_guard_that_moved_to_another_file_is_silent() -> None:
    gone = " function drop(req) {\n-  if (!req.user.isAdmin) throw new Forbidden()\n   remove()\n }"
    come = "+export function onlyAdmin(req) {\n+  if (!req.user.isAdmin) throw new Forbidden()\n+}\n x()"
    assert found(diff("a.js", gone) + diff("b.js", come)) == []
    assert [one.path for one in found(diff("a.js", gone))] == ["a.js"]


def test_a_removed_file_takes_its_guards_along() -> None:
    head = "diff --git a/a.py b/a.py\ndeleted file mode 100644\n--- a/a.py\n+++ /dev/null\n@@ -1,3 +0,0 @@\n"
    assert suspects(parse_diff(head + "-@login_required\n-def f(r):\n-    pass\n")) == ()


def test_the_sentence_names_the_code_and_what_it_guarded() -> None:
    (told,) = found(diff("a.py", "-@login_required\n def delete_user(request, pk):\n     drop(pk)"))
    assert told.text == "The check `@login_required` on `delete_user` was removed."
    assert (told.path, told.line, told.old_line) == ("a.py", 10, 10)


def test_a_changed_condition_shows_both() -> None:
    lines = " def f(user):\n-    if not user.is_admin:\n+    if not user.is_staff:\n         raise Denied\n"
    (told,) = found(diff("a.py", lines))
    assert told.text == "The permission check changed: `if not user.is_admin:` -> `if not user.is_staff:`."
    assert (told.line, told.old_line) == (11, 11)


def test_what_went_away_weighs_more_than_what_changed() -> None:
    gone = diff("a.py", "-@login_required\n def a(r):\n     pass")
    changed = diff("b.py", "-@login_required\n+@permission_required('x')\n def b(r):\n     pass")
    assert [(one.path, one.weight) for one in found(changed + gone)] == [("a.py", 100), ("b.py", 95)]


def test_a_hunk_without_a_path_has_no_line() -> None:
    hunk = "@@ -1,3 +1,2 @@\n-@login_required\n def delete_user(request):\n     return drop(request)\n"
    assert [(one.path, one.line, one.kind) for one in suspects(parse_diff(hunk))] == [("", None, "authorization")]
