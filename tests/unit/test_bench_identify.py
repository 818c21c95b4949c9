"""Whether an answer is about its own change: its author's subject among those of other changes."""

import pytest

from firstpass.bench.cases import case_of, with_rivals
from firstpass.bench.identify import RIVALS, identified
from firstpass.bench.score import score_of
from firstpass.contract import shipped

NUMBERS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
OTHERS = [f"Fix the number {word} of the things" for word in (*NUMBERS.split(), "eighteen", "nineteen")]
FORM = shipped("pr-summary@4").files.form


def test_an_answer_that_says_what_its_subject_says_is_identified() -> None:
    assert identified("Add `parseMimeType` for empty keys", "Fix parse_mime_type for an empty key", OTHERS) == 1


def test_an_answer_that_fits_another_change_better_is_not() -> None:
    assert identified("Change the number seven", "Refuse cookies over plain HTTP", OTHERS) == 0


def test_what_fits_several_subjects_alike_counts_a_share() -> None:
    assert identified("cookies", "Send cookies", ["Store cookies", *OTHERS[1:]]) == 0.5


@pytest.mark.parametrize("answer", ["", "Add tests", "Change it", "Fix the call", "new new new", "()"])
def test_what_could_stand_under_any_change_identifies_none(answer: str) -> None:
    assert identified(answer, "Add a test for the new call", OTHERS) == 0


def test_rivals_are_of_the_same_repository_and_never_the_subject_itself() -> None:
    cases = [case_of("a", str(number), "", (), (), subject) for number, subject in enumerate(OTHERS)]
    cases += [case_of("a", "x", "", (), (), OTHERS[0]), case_of("a", "y", "", (), (), "Refuse cookies")]
    found = with_rivals([*cases, case_of("b", "1", "", (), (), "Of another repository")], seed=1)
    assert all(len(case.rivals) == RIVALS and case.subject not in case.rivals for case in found[:-1])
    assert found[-1].rivals == () and "Of another repository" not in found[0].rivals


def test_a_case_without_rivals_is_not_ranked() -> None:
    score = score_of(case_of("a", "1", "", (), (), "Refuse cookies"), "Summary: Refuse cookies.", FORM)
    assert (score.ranked, score.identified, score.words) == (0, 0.0, 2)


def test_the_sentence_alone_and_the_whole_answer_are_judged_apart() -> None:
    (case,) = [one for one in with_rivals(
        [case_of("a", str(n), "", (), (), text) for n, text in enumerate([*OTHERS, "Refuse insecure cookies"])], 1
    ) if "cookies" in one.subject]  # fmt: skip
    rest = "Calls:\n- none\nTODOs:\n- none\nReview:\n- none"
    text = f"Summary: Change the code.\nChanges:\n- a.py: refuses insecure cookies\n{rest}"
    score = score_of(case, text, FORM)
    assert (score.identified, score.identified_whole) == (0, 1)
