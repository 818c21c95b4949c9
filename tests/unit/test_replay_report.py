"""What a replay tells people and machines, and which times and files it takes."""

import json
from pathlib import Path

import pytest

from firstpass.bench.figures import Price
from firstpass.cli import replay
from firstpass.cli.recorded import moment_of, of_file
from firstpass.errors import BadLabels
from firstpass.exchange import Finding
from firstpass.replay.answer import Answered
from firstpass.replay.chosen import Chosen
from firstpass.replay.compare import change
from firstpass.replay.report import Report, as_json, as_markdown, headline, left_out, lines, sentences, table
from firstpass.replay.totals import Arm, Outcome, Skipped
from firstpass.replay.wording import bracketed
from firstpass.store.codec import encode
from tests.unit.test_replay_compare import exchange

ODD = "a | b `c` **d** <e>\n# f"
ROCKET = Finding("prose", "fail", "names launchRocket", "Summary", "launchRocket")
DRAFT = Answered(text="a b", route="draft", model="small", finish_reason="stop", tokens=(10, 2), seconds=0.5)


def outcome(before: Answered, after: Answered, name: str = "ex_1", arm: str = "again") -> Outcome:
    changed = change(before, after, lambda pinned: None)
    return Outcome(name, arm, ODD, "local", before, after, changed, doubts=("it is drawn",))


def told(one: Outcome, price: Price | None = None) -> list[str]:
    return [f"{line.about}: {bracketed(line.pieces)}" for line in lines(one, price)]


def answered(text: str, **fields: object) -> Answered:
    known = {
        "text": text,
        "route": "draft",
        "model": "small",
        "finish_reason": "stop",
        "tokens": (10, 2),
        "seconds": 0.5,
    }
    return Answered(**known | fields)  # type: ignore[arg-type]


def test_each_change_is_a_line_and_the_weightiest_come_first() -> None:
    before, after = answered("a b", checked=True), answered(
        "a c", route="unverified", checked=True, findings=(ROCKET,), verifier_tokens=(1000, 10), finish_reason="length"
    )  # fmt: skip
    one = outcome(before, after)
    assert headline(one) == "worse"
    assert told(one, Price(1, 10)) == [
        "answer: [-draft-] {+unverified+}",
        "checks failed: [-0-] {+1+}",
        "finding: {+fail prose, Summary: names launchRocket+}",
        "text: a [-b-]{+c+}",
        "finish: [-stop-] {+length+}",
        "used: 10+2 -> 10+2 tokens (verifier 0+0 -> 1,000+10), 0.50 -> 0.50 s, $0.0000 -> $0.0011",
        "mind: it is drawn",
    ]


def test_an_error_is_told_in_its_own_words_and_the_same_answer_not_at_all() -> None:
    gone = outcome(DRAFT, Answered(error="403 egress_forbidden", said="the ceiling is local-only"))
    assert headline(gone) == "no answer"
    assert told(gone)[0] == "answer: [-draft-] {+403 egress_forbidden: the ceiling is local-only+}"
    same = outcome(DRAFT, DRAFT)
    assert headline(same) == "same" and told(same) == []


def test_the_table_has_a_column_an_arm_and_no_empty_rows() -> None:
    better = outcome(answered("a", checked=True, findings=(ROCKET,)), answered("b", checked=True), arm="new")
    report = Report([Arm("old", "http://a"), Arm("new", "http://a")], [outcome(DRAFT, DRAFT, arm="old"), better])
    head, *rows = table(report)
    assert head == ["", "old", "new"]
    by_label = {row[0]: row[1:] for row in rows}
    assert by_label["same"] == ["1 of 1", "0 of 1"] and by_label["better"] == ["", "1 of 1"]
    assert "the verifier's cost" not in by_label and "no answer now" not in by_label
    said = list(sentences(report))
    assert said[0].startswith("new: 1 better and 0 worse of 1 pairs") and "2 of 2: it is drawn" in said
    assert any("--repeat" in one for one in said)
    assert table(Report([Arm("old", "http://a")], [])) == [["", "nothing was asked again"]]


def test_what_a_model_wrote_does_not_become_markdown() -> None:
    page = as_markdown(Report([Arm("again", "http://a")], [outcome(DRAFT, answered(ODD))], [Skipped("ex_2", "a | b")]))
    said = page.splitlines()
    assert [line for line in said if line.startswith("# ")] == ["# Replay against the record"]
    assert all(line.startswith("- text: `` ") and line.endswith(" ``") for line in said if "<e>" in line)
    assert len([line for line in said if line.startswith("## ")]) == 1 and "a \\| b" in page


def test_the_json_says_all_that_came_of_it() -> None:
    skipped = [Skipped("ex_2", "damaged"), Skipped("ex_3", "damaged", "again")]
    report = Report(
        [Arm("again", "http://a")], [outcome(DRAFT, answered("b"))], skipped, Price(1, 2), facts={"made_unix": 1}
    )
    read = json.loads(as_json(report))
    assert read["totals"]["again"]["changed"] == 1 and read["outcomes"][0]["change"]["edits"][0]["after"] == "b"
    assert read["outcomes"][0]["usd_after"] == 0 and read["not_asked"][1]["arm"] == "again"
    assert left_out(skipped) == ["not asked again: 2, damaged (ex_2, ex_3 in again)"]


def test_times_are_ages_days_or_moments(capsys: pytest.CaptureFixture[str]) -> None:
    assert moment_of("2h", "--since", 10_000) == 2_800
    assert moment_of("1970-01-02", "--since", 0) == 86_400
    assert moment_of("1970-01-01T01:00+01:00", "--since", 0) == 0
    with pytest.raises(SystemExit):
        moment_of("soon", "--until", 0)
    assert "--until: 'soon' is no time" in capsys.readouterr().err


def test_a_file_has_exchanges_in_any_of_the_forms_that_they_are_written_in(tmp_path: Path) -> None:
    file, one = tmp_path / "some.json", exchange()
    damaged = '{"damaged": "its row was altered", "ask": {"id": "ex_9"}}'
    forms = [
        f"[{encode(one)},\n{damaged}]\n",
        f"{encode(one)}\n\n{damaged}\n",
        f'{{"object": "exchange", "exchange": {encode(one)}, "labels": []}}\n{damaged}',
    ]
    for form in forms:
        file.write_text(form)
        exchanges, left = of_file(file, [], Chosen(), 5)
        assert exchanges == [one] and [each.id for each in left] == ["ex_9"]
    assert of_file(file, ["ex_1"], Chosen(), 5) == ([one], [])
    assert of_file(file, [], Chosen(search="nobody"), 5)[0] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "array of exchanges"),
        ("[", "array of exchanges"),
        ("1\n", ":1 is no exchange"),
        ('{"ask": {}}', ":1 is no exchange"),
        ('{"object": "exchange", "exchange": null}', "is no exchange"),
        ("\xff", "is no exchange"),
        (encode(exchange()).replace('"step":1', '"step":9'), "of a step that it does not have"),
    ],
)
def test_a_file_that_has_something_else_is_an_error_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "some.jsonl"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadLabels, match=said):
        of_file(file, [], Chosen(), 5)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(BadLabels, match="can not be read"):
        of_file(file, [], Chosen(), 5)


def test_what_looks_like_markup_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Where a piece ends in the midst of brackets, or in backslashes, colours begin and end nevertheless."""
    for old, new in (("a [/b", "a"), ("see [b", "see"), ("a \\\\\\ x", "a \\\\\\ y"), ("a [red] b", "a [/] b")):
        one = outcome(answered(old), answered(new), name="[/ex\\\\\\")
        replay.print_report(Report([Arm("again", "here")], [one]))
        shown = capsys.readouterr().out
        assert told(one)[0] in shown and "[/ex\\\\\\" in shown


def test_half_of_a_pair_ends_no_report(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report([Arm("again", "here")], [outcome(answered("a b"), answered("a \ud83d"))])
    replay.print_report(report)
    assert "a [-b-]{++}" in capsys.readouterr().out
    assert json.loads(as_json(report).encode())["outcomes"][0]["after"]["text"] == "a \ud83d"
