"""The bundled model's recipe: real rows, a real tokenizer and a real, tiny training run."""

import ast
import json
import random
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "recipes"))

torch = pytest.importorskip("torch", reason="the recipe needs torch")
pytest.importorskip("transformers", reason="the recipe needs transformers")
pytest.importorskip("zstandard", reason="the recipe reads .zst")

from diff_reader import batches, data, measures, rows, synthetic, tokenizer, train  # noqa: E402

from firstpass.contract.sections import parse_answer  # noqa: E402

DIFF = """diff --git a/src/cart.js b/src/cart.js
--- a/src/cart.js
+++ b/src/cart.js
@@ -1,3 +1,4 @@
 const user = load();
-dropCart(user);
+const s = createSession(user);
+// TODO: expire it
 export default user;
"""


def commit(repo: str, subject: str = "fix(cart): keep the session (#12)") -> dict[str, object]:
    return {
        "repo": repo,
        "sha": "0" * 40,
        "subject": subject,
        "diff": DIFF,
        "required": ["createSession"],
        "removed": ["dropCart"],
        "todos": ["expire it"],
        "touched": [],
        "identifiers": ["createSession", "user", "s", "dropCart", "load"],
    }


def made_rows(number: int) -> list[rows.Row]:
    rng = random.Random(3)
    return [synthetic.template_row(rng) for _ in range(number)]


@pytest.fixture(scope="module")
def trained_tokenizer():
    return tokenizer.train_tokenizer(tokenizer.texts_of(made_rows(60)), 512)


def tiny_trainer(trained_tokenizer, steps: int = 4) -> train.Trainer:
    shape = train.Shape(
        vocabulary=512, hidden=32, layers=1, heads=2, kv_heads=1, head_dim=16, experts=2, expert_width=16
    )
    plan = train.Plan(minutes=None, steps=steps, tokens_per_step=2048, longest_row=1500, warmup_steps=1)
    encoded = train.encode(trained_tokenizer, made_rows(40), plan.longest_row)
    return train.Trainer(shape, plan, trained_tokenizer, encoded[:20], encoded[20:])


def test_a_commit_becomes_a_row_whose_answer_the_contract_reads_back():
    row = rows.row_of_commit(commit("acme/shop"))
    answer = parse_answer(row.answer)
    assert answer.summary == "Call createSession, no longer dropCart."
    assert answer.calls == ("createSession",)
    assert answer.todos == ("expire it",)
    assert answer.actions == (
        "Resolve the TODO: expire it",
        "Add tests for src/cart.js",
        "Check what relied on dropCart()",
    )
    assert answer.missing == ()


def test_the_sentence_names_nothing_that_the_diff_lacks():
    for row in made_rows(300):
        for name in re.findall(r"(?:Call|no longer|Remove|in|from) ([\w./-]+\w)", row.summary):
            assert name in row.diff or name == "is", row.summary


def test_no_held_out_repository_is_trained_on(tmp_path: Path):
    lines = [json.dumps(commit(repo)) for repo in ("acme/shop", *sorted(rows.HELD_OUT))]
    path = tmp_path / "commits.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    learned, tested = data.split(rows.row_of_commit(one) for one in rows.read_commits(path))
    assert {row.origin for row in learned} == {"acme/shop"}
    assert {row.origin for row in tested} == rows.HELD_OUT


def test_no_made_diff_comes_from_a_held_out_package():
    paths = synthetic.python_files(limit=100_000, rng=random.Random(1))
    assert paths
    assert not [path for path in paths if "requests" in path.parts]


def test_rows_survive_the_file(tmp_path: Path):
    made = made_rows(20)
    data.write_rows(tmp_path / "rows.jsonl", made)
    assert data.read_rows(tmp_path / "rows.jsonl") == made


def test_a_made_diff_shows_each_labelled_call_on_an_added_line_and_counts_its_hunks_right():
    for row in made_rows(300):
        added = "\n".join(
            line[1:] for line in row.diff.splitlines() if line.startswith("+") and not line.startswith("+++")
        )
        for name in row.calls:
            assert re.search(rf"(?<!\w){name}\(", added), row.diff
        for todo in row.todos:
            assert todo in added
        for part in row.diff.split("diff --git ")[1:]:
            found = re.search(r"^@@ -\d+,(\d+) \+\d+,(\d+) @@.*\n((?:.*\n?)*)", part, re.M)
            assert found is not None
            body = found[3].splitlines()
            assert (int(found[1]), int(found[2])) == (
                sum(line[:1] != "+" for line in body),
                sum(line[:1] != "-" for line in body),
            )


def test_a_made_python_row_is_labelled_by_the_syntax_tree(tmp_path: Path):
    path = tmp_path / "shop.py"
    path.write_text(
        "def pay(cart):\n    total = price_of(cart)\n    charge(total)\n    print(total)\n    return total\n",
        encoding="utf-8",
    )
    for seed in range(20):
        (row,) = synthetic.python_rows(path, random.Random(seed))
        added = "\n".join(
            line[1:].strip() for line in row.diff.splitlines() if line.startswith("+") and not line.startswith("+++")
        )
        tree = ast.parse(added.replace("return ", "kept = "))
        called = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert set(row.calls) == called - {"print"}


def test_a_name_is_the_same_tokens_wherever_it_stands(trained_tokenizer):
    name = trained_tokenizer.encode("createSession_v2").ids
    for before in (" ", ".", "(", "\n+", "- ", "self."):
        ids = trained_tokenizer.encode(f"{before}createSession_v2(").ids
        assert any(ids[start : start + len(name)] == name for start in range(len(ids))), before


def test_the_tokenizer_gives_back_what_it_took(trained_tokenizer):
    for row in [*made_rows(30), rows.Row("x", "+ü = 'naïve → 数'\r\n+\tok", "Zażółć.", (), (), ())]:
        text = "".join(tokenizer.chat(row))
        assert trained_tokenizer.decode(trained_tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_the_chat_template_writes_what_the_model_was_trained_on(trained_tokenizer, tmp_path: Path):
    from transformers import AutoTokenizer

    trained_tokenizer.save(str(tmp_path / "tokenizer.json"))
    tokenizer.write_config(tmp_path, 4096)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    row = made_rows(1)[0]
    question, answer = tokenizer.chat(row)
    messages = [{"role": "user", "content": row.prompt}]
    assert loaded.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == question
    parts = [{"role": "user", "content": [{"type": "text", "text": row.prompt}]}]
    assert loaded.apply_chat_template(parts, tokenize=False, add_generation_prompt=True) == question
    messages.append({"role": "assistant", "content": row.answer})
    assert loaded.apply_chat_template(messages, tokenize=False) == question + answer


def test_a_batch_weighs_the_answer_fully_and_the_padding_not_at_all():
    batch = batches.batch_of(
        [batches.Encoded((5, 6, 7, 8), 2), batches.Encoded((5, 6, 7), 1)], pad=0, prompt_weight=0.1
    )
    assert batch.ids.tolist() == [[5, 6, 7], [5, 6, 0]]
    assert batch.targets.tolist() == [[6, 7, 8], [6, 7, batches.IGNORED]]
    assert torch.allclose(batch.weights, torch.tensor([[0.1, 1.0, 1.0], [1.0, 1.0, 0.0]]))


def test_a_resumed_run_goes_on_with_the_same_losses(trained_tokenizer, tmp_path: Path):
    first = tiny_trainer(trained_tokenizer)
    first.step()
    first.step()
    train.save(first, tmp_path / "checkpoint.pt")
    whole = [first.step()["loss"] for _ in range(2)]
    second = tiny_trainer(trained_tokenizer)
    second.restore(torch.load(tmp_path / "checkpoint.pt", weights_only=False))
    assert [second.step()["loss"] for _ in range(2)] == pytest.approx(whole, rel=1e-5)


def test_the_learning_rate_ends_at_zero(trained_tokenizer):
    trainer = tiny_trainer(trained_tokenizer)
    for _ in range(4):
        trainer.step()
    assert trainer.rate() == pytest.approx(0.0)


def test_one_thread_is_kept_while_two_are_slower_and_two_when_they_are_faster_again():
    before = torch.get_num_threads()
    try:
        threads = train.Threads(most=2)
        for _ in range(40):
            threads.after({1: 3000.0, 2: 1300.0}[threads.now])
        assert threads.now == 1
        for _ in range(80):
            threads.after({1: 3000.0, 2: 5000.0}[threads.now])
        assert threads.now == 2
    finally:
        torch.set_num_threads(before)


def test_marks_tell_a_wrong_name_from_one_that_the_diff_does_not_have():
    said = "Summary: Keeps it.\nCalls:\n- createSession()\n- load()\n- launchRocket()\n"
    said += "TODOs:\n- expire it\nActions:\n- none"
    found = measures.marks_of_answer(commit("acme/shop"), said, ended=True)
    assert (found.named, found.right, found.required, found.unknown) == (3, 1, 1, 1)
    assert (found.todos_found, found.todos, found.valid, found.exact) == (1, 1, True, False)
    assert found.language == "JavaScript"


@pytest.mark.parametrize(
    ("sentence", "holds"),
    [
        ("Call createSession, no longer dropCart.", True),
        ("Call createSession in src/cart.js.", True),
        ("Call dropCart in src/cart.js.", False),
        ("Call createSession, no longer load.", False),
        ("Call createSession in src/user.js.", False),
        ("Improve things.", False),
    ],
)
def test_a_sentence_holds_when_the_labels_bear_out_each_name(sentence: str, holds: bool):
    assert measures.sentence_holds(commit("acme/shop"), sentence) is holds


def test_an_answer_that_was_cut_or_lacks_a_section_is_not_valid():
    said = "Summary: Keeps it.\nCalls:\n- none\nTODOs:\n- none\nActions:\n- none"
    assert measures.marks_of_answer(commit("acme/shop"), said, ended=True).valid
    assert not measures.marks_of_answer(commit("acme/shop"), said, ended=False).valid
    assert not measures.marks_of_answer(commit("acme/shop"), said.replace("TODOs:\n- none\n", ""), ended=True).valid


def test_the_regular_expression_finds_the_added_call_and_the_todo():
    found = measures.marks_of_expression(commit("acme/shop"))
    assert (found.named, found.right, found.todos_found) == (1, 1, 1)
