"""The bundled model's recipe: real rows, a real tokenizer and a real, tiny training run."""

import dataclasses
import json
import math
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "recipes"))

torch = pytest.importorskip("torch", reason="the recipe needs torch")
pytest.importorskip("transformers", reason="the recipe needs transformers")
pytest.importorskip("zstandard", reason="the recipe reads .zst")

from diff_reader import (  # noqa: E402
    asking,
    batches,
    card,
    commits,
    corrections,
    data,
    encode,
    evaluate,
    grow,
    judging,
    measures,
    rows,
    synthetic,
    tokenizer,
    train,
    variants,
)

from firstpass.chat import Message  # noqa: E402
from firstpass.contract.sections import parse_answer  # noqa: E402
from firstpass.contract.verdict import edited, read_verdict  # noqa: E402
from firstpass.evidence import gather  # noqa: E402
from firstpass.exchange import Ask, Reply  # noqa: E402

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


def tiny_trainer(trained_tokenizer, tokens: int = 6000, place: train.Place = train.ALONE) -> train.Trainer:
    shape = train.Shape(
        vocabulary=512, hidden=32, layers=1, heads=2, kv_heads=1, head_dim=16, experts=2, expert_width=16
    )
    plan = train.Plan(minutes=None, tokens=tokens, tokens_per_step=2048, longest_row=1500, warmup_steps=1)
    encoded = encode.encode(trained_tokenizer, made_rows(40), plan.longest_row)
    return train.Trainer(shape, plan, trained_tokenizer, {"synthetic": encoded[:20], "commits": encoded[20:]}, place)


def test_a_commit_becomes_a_row_whose_answer_the_contract_reads_back():
    row = rows.row_of_commit(commit("acme/shop"))
    answer = parse_answer(row.answer(authors_words=False))
    assert answer.summary == "Call createSession, no longer dropCart."
    assert parse_answer(row.answer(authors_words=True)).summary == "Keep the session."
    assert answer.calls == ("createSession",)
    assert answer.todos == ("expire it",)
    assert answer.actions == (
        "Resolve the TODO: expire it",
        "Add tests for src/cart.js",
        "Check what relied on dropCart()",
    )
    assert answer.missing == ()


@pytest.mark.parametrize(("subject", "tells"), [("Drop the cart at login", True), ("Say more of it", False)])
def test_the_author_s_sentence_is_asked_for_where_it_tells_enough_and_else_code_s(subject: str, tells: bool):
    found = asking.asked_rows([rows.row_of_commit(commit("acme/shop", subject))] * 200, seed=1)
    assert {row.contract for row in found} == set(rows.TAUGHT) - ({rows.REVIEW} if tells else set())
    for row in found:
        if row.contract in (rows.NEW_SUMMARY, rows.MESSAGE):
            assert bool(row.subject) == tells and "createSession" in row.summary


def test_what_a_row_answers_passes_its_contract_when_code_has_filled_it_in():
    for row in asking.asked_rows([rows.row_of_commit(commit("acme/shop"))] * 60, seed=3):
        contract, exchange = rows.CONTRACTS[row.contract], row.exchange()
        for authors_words in (False, True):
            reply = Reply(row.answer(authors_words), "", "stop", None, 0.0)
            found = contract.check(exchange.ask, contract.mend(exchange, reply) or reply)
            assert [finding for finding in found if finding.severity == "fail"] == [], row.contract


def test_a_short_answer_s_parts_are_the_tokens_of_the_whole(trained_tokenizer):
    for row in asking.asked_rows([rows.row_of_commit(commit("acme/shop", "Drop the cart at login"))] * 20, seed=2):
        question, rule, author, rest = tokenizer.chat(row)
        (encoded,) = encode.encode(trained_tokenizer, [row], 1500)
        assert [*encoded.prompt, *encoded.sentences[True], *encoded.rest] == trained_tokenizer.encode(
            question + author + rest
        ).ids
        assert f"{rule}{rest}".startswith(row.answer(authors_words=False))
        assert bool(encoded.turns) == (row.contract in rows.HEADS)


def test_the_sentence_names_nothing_that_the_diff_lacks():
    for row in made_rows(300):
        for name in re.findall(r"(?:Call|no longer|Remove|in|from) ([\w./-]+\w)", row.summary):
            assert name in row.diff, row.summary


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


def test_a_made_diff_shows_each_labelled_call_on_an_added_line():
    for row in made_rows(300):
        added = "\n".join(line[1:] for line in row.diff.splitlines() if re.match(r"\+(?!\+\+ )", line))
        for name in row.calls:
            assert re.search(rf"(?<!\w){name}\(", added), row.diff
        for todo in row.todos:
            assert todo in added


@pytest.mark.parametrize("make", ["template", "python", "variant"])
def test_a_made_diff_counts_its_hunks_right(make: str, tmp_path: Path):
    for row in made_by(make, tmp_path):
        for part in re.split(r"^diff --git ", row.diff, flags=re.M)[1:]:
            hunks = re.findall(r"^@@ -\d+,(\d+) \+\d+,(\d+) @@.*\n((?:[ +\\-].*\n?)*)", part, re.M)
            for old, new, body in hunks:
                lines = body.splitlines()
                assert int(old) == sum(line[:1] != "+" for line in lines), part
                assert int(new) == sum(line[:1] != "-" for line in lines), part


SHOP = """def pay(cart):
    total = price_of(cart)
    charge(total)
    print(total)
    return total


def refund(order):
    check(order)
    for line in order.lines:
        give_back(line)
    return order
"""


def made_by(make: str, tmp_path: Path) -> list[rows.Row]:
    rng = random.Random(5)
    if make == "template":
        return [synthetic.template_row(rng) for _ in range(60)]
    if make == "python":
        (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
        functions = synthetic.functions_of(tmp_path / "shop.py")
        return [synthetic.python_row(functions, rng) for _ in range(60)]
    return variants.variants(material(), range(120), seed=3)


def material() -> variants.Material:
    two_hunks = DIFF + "@@ -20,2 +21,3 @@ function pay(cart) {\n   check(cart);\n+  chargeCard(cart);\n }\n"
    other = {**commit("acme/shop"), "diff": two_hunks, "required": ["createSession", "chargeCard"]}
    return variants.material_of([commit("acme/shop"), other])


def test_only_commits_whose_labels_the_product_reads_too_are_varied():
    wrong = {**commit("acme/shop"), "required": ["somethingElse"]}
    assert len(variants.material_of([commit("acme/shop"), wrong]).sources) == 1


def test_a_variant_is_labelled_by_what_it_says_itself():
    found = variants.variants(material(), range(200), seed=4)
    assert {row.origin for row in found} == {
        f"acme/shop {kind}" for kind in ("whole", "turned", "cut", "joined", "prose")
    }
    for row in found:
        of_diff = rows.row_of_diff(row.origin, row.diff, row.subject.rstrip("."))
        assert row == (dataclasses.replace(of_diff, summary=row.summary) if row.origin.endswith("prose") else of_diff)
    assert any("createSession" not in row.diff for row in found), "names are changed"
    assert any(len(row.todos) > 1 for row in found), "TODOs are put in"
    texts = [row for row in found if row.origin.endswith("prose")]
    assert {row.summary for row in texts} == {"The text is not a diff."} and not any(row.calls for row in texts)


def test_a_turned_diff_takes_back_what_the_diff_did():
    (piece,) = variants.pieces_of(DIFF)
    turned = variants.turned(piece)
    assert "\n".join(turned.lines()).endswith(
        " const user = load();\n-const s = createSession(user);\n-// TODO: expire it\n+dropCart(user);"
        "\n export default user;"
    )
    assert variants.turned(turned).hunks == piece.hunks


@pytest.mark.parametrize(
    ("subject", "sentence"),
    [
        ("fix(cart): keep the session (#12)", "Keep the session."),
        ("[PR #8681/30a3d0ef backport][3.10] Improve the start", "Improve the start."),
        ("caddyhttp: ensure that it ends.", "Ensure that it ends."),
        ("wip", ""),
        ("Zażółć gęślą jaźń", ""),
    ],
)
def test_a_subject_becomes_a_sentence(subject: str, sentence: str):
    assert rows.subject_of(subject) == sentence


@pytest.mark.parametrize("path", ["shop.py", "shop.go"])
def test_a_made_todo_is_one_however_it_is_written(path: str):
    rng = random.Random(2)
    names, sign = synthetic.Names(rng, camel=False), "# " if path.endswith(".py") else "// "
    for _ in range(200):
        line = synthetic.todo_comment(rng, (sign, ""), names, text="keep (or drop) the cart's last item...")
        (todo,) = gather(synthetic.file_diff(rng, path, [("", [f"+{line}"])])).todos
        assert todo.endswith("keep (or drop) the cart's last item...")


def test_what_is_no_change_of_code_has_an_answer_too():
    rng = random.Random(1)
    made = [synthetic.edge_row(rng) for _ in range(200)]
    assert {row.summary for row in made} >= {"No change.", "The text is not a diff."}
    assert all(not row.calls and row.summary for row in made)
    assert any("GIT binary patch" in row.diff for row in made)
    assert any("deleted file mode" in row.diff for row in made)


def test_a_made_python_row_is_labelled_by_what_it_adds(tmp_path: Path):
    names = {name for row in made_by("python", tmp_path) for name in row.calls}
    assert names == {"price_of", "charge", "check", "give_back"}


def test_a_name_is_the_same_tokens_wherever_it_stands(trained_tokenizer):
    name = trained_tokenizer.encode("createSession_v2").ids
    for before in (" ", ".", "(", "\n+", "- ", "self."):
        ids = trained_tokenizer.encode(f"{before}createSession_v2(").ids
        assert any(ids[start : start + len(name)] == name for start in range(len(ids))), before


def test_the_tokenizer_gives_back_what_it_took(trained_tokenizer):
    for row in [*made_rows(30), rows.Row("x", "+ü = 'naïve → 数'\r\n+\tok", "Zażółć.", "", (), (), ())]:
        question, rule, _, rest = tokenizer.chat(row)
        text = question + rule + rest
        assert trained_tokenizer.decode(trained_tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_the_chat_template_writes_what_the_model_was_trained_on(trained_tokenizer, tmp_path: Path):
    from transformers import AutoTokenizer

    trained_tokenizer.save(str(tmp_path / "tokenizer.json"))
    tokenizer.write_config(tmp_path, 4096)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    row = made_rows(1)[0]
    question, rule, _, rest = tokenizer.chat(row)
    (asked,) = row.messages
    messages = [{"role": "user", "content": asked.content}]
    assert loaded.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == question

    parts = [{"role": "user", "content": [{"type": "text", "text": asked.content}]}]
    assert loaded.apply_chat_template(parts, tokenize=False, add_generation_prompt=True) == question
    messages.append({"role": "assistant", "content": row.answer(authors_words=False)})
    assert loaded.apply_chat_template(messages, tokenize=False) == question + rule + rest


def test_a_mark_is_the_bracket_of_an_opening_with_its_name_s_first_token_and_the_new_call_listed_before(
    trained_tokenizer,
):
    both = "+const s = createSession(user);\n+function openCart(x) {\n+if (s) {\n+s.openCart(load(s));"
    diff = DIFF.replace("-dropCart(user);\n+const s = createSession(user);", both).replace("+1,4", "+1,7")
    row = dataclasses.replace(rows.row_of_diff("acme/shop", diff), calls=("createSession", "openCart"))
    (encoded,) = encode.encode(trained_tokenizer, [row], 1500)
    pieces = [trained_tokenizer.decode([token], skip_special_tokens=False) for token in encoded.prompt]
    texts = ["".join(pieces[: mark.bracket]).rpartition("\n")[2] for mark in encoded.marks]
    assert texts == [
        "s.openCart(load", "if", "function openCart( ... s.openCart", "const s = createSession"
    ]  # fmt: skip
    assert all("(" in pieces[mark.bracket] for mark in encoded.marks)
    load, condition, cart, session = (trained_tokenizer.encode(name).ids[0] for name in NAMES_OF_MARKS)
    assert [mark[1:] for mark in encoded.marks] == [
        (load, load, False),
        (condition, condition, False),
        (cart, cart, True),
        (session, cart, True),
    ]
    answer = [trained_tokenizer.decode([token]) for token in encoded.rest]
    assert ["".join(answer[: turn.end]).rpartition("- ")[2] for turn in encoded.turns] == ["createSession", "openCart"]
    assert [turn.following for turn in encoded.turns] == [cart, cart]


NAMES_OF_MARKS = ("load", "if", "openCart", "createSession")


def test_the_guide_s_loss_falls_when_what_it_asks_for_is_there():
    torch.manual_seed(1)
    guide, head = train.Guide(hidden=16, layers=3), torch.nn.Linear(16, 8, bias=False)
    states = [torch.randn(2, 5, 16) for _ in range(4)]
    marks, turns = torch.tensor([[0, 1, 4, 2, 1], [1, 3, 5, 5, 0]]), torch.tensor([[0, 4, 6]])
    optimizer = torch.optim.Adam([*guide.parameters(), *head.parameters()], lr=0.05)
    losses = []
    for _ in range(60):
        loss = guide(states, marks, turns, head)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.2 * losses[0]
    assert guide(states, marks[:0], turns[:0], head).item() == 0.0


def test_a_correction_is_asked_as_the_cascade_asks_its_verifier(trained_tokenizer, tmp_path: Path):
    from transformers import AutoTokenizer

    made = list(corrections.corrections([rows.row_of_commit(commit("acme/shop"))] * 40, seed=1))
    assert len(made) == 40 and all(json.loads(row.verdict())["ok"] == ("- none" in faults_of(row)) for row in made)
    faults = [faults_of(row) for row in made]
    assert any("omitted required API call: createSession()" in text for text in faults)
    assert any("does not occur in the diff" in text for text in faults)
    assert any("- none" in text for text in faults), "some drafts are right"
    trained_tokenizer.save(str(tmp_path / "tokenizer.json"))
    tokenizer.write_config(tmp_path, 4096)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    messages = [{"role": message.role, "content": message.content} for message in made[0].messages]
    assert [message["role"] for message in messages] == ["system", "user"]
    question = tokenizer.chat(made[0])[0]
    assert loaded.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == question


def faults_of(row: rows.Row) -> str:
    return row.messages[1].content.partition("<faults")[2]


def test_a_verdict_s_edits_make_a_draft_pass():
    for row in corrections.corrections([rows.row_of_commit(commit("acme/shop"))] * 40, seed=2):
        nonce = json.loads(row.verdict())["nonce"]
        text = edited(row.draft, read_verdict(row.verdict(), nonce))
        asked = Ask("row", 0.0, "chat", "", "cascade", (Message("user", row.diff),))
        found = rows.CONTRACT.check(asked, Reply(text, "", "stop", None, 0.0))
        assert [finding for finding in found if finding.severity == "fail"] == []


def test_a_row_s_parts_are_the_tokens_of_the_whole(trained_tokenizer):
    row = rows.row_of_commit(commit("acme/shop"))
    question, _, author, rest = tokenizer.chat(row)
    (encoded,) = encode.encode(trained_tokenizer, [row], 1500)
    parts = [*encoded.prompt, *encoded.sentences[True], *encoded.rest]
    assert parts == trained_tokenizer.encode(question + author + rest).ids


def test_a_batch_weighs_the_answer_fully_an_author_s_sentence_less_and_the_padding_not_at_all():
    both = [encode.Encoded((5, 6), ((7,), (8,)), (9, 1)), encode.Encoded((5,), ((7,), (7,)), (9,))]
    batch = batches.batch_of(both, pad=0, prompt_weight=0.1, authors_words=True)
    assert batch.ids.tolist() == [[5, 6, 8, 9], [5, 7, 0, 0]]
    assert batch.targets.tolist() == [[6, 8, 9, 1], [7, 9, *[batches.IGNORED] * 2]]
    sentence = batches.SENTENCE_WEIGHT
    assert torch.allclose(batch.weights, torch.tensor([[0.1, sentence, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0]]))
    assert batch.answer.tolist() == [[False, False, True, True], [False, True, False, False]]


def test_a_resumed_run_goes_on_with_the_same_losses(trained_tokenizer, tmp_path: Path):
    first = tiny_trainer(trained_tokenizer)
    first.step()
    first.step()
    train.save(first, tmp_path / "checkpoint.pt")
    whole = [first.step()["loss"] for _ in range(2)]
    second = tiny_trainer(trained_tokenizer)
    second.restore(torch.load(tmp_path / "checkpoint.pt", weights_only=False))
    assert [second.step()["loss"] for _ in range(2)] == pytest.approx(whole, rel=1e-5)


def test_a_run_starts_from_an_exported_folder_with_a_guide_of_its_own(trained_tokenizer, tmp_path: Path):
    first, second = tiny_trainer(trained_tokenizer), tiny_trainer(trained_tokenizer)
    first.step()
    first.model.save_pretrained(tmp_path)
    weights = train.read_weights(tmp_path)
    guide = second.weights["guide.found.weight"].clone()
    second.start_from(weights)
    assert all(torch.equal(part, weights[name]) for name, part in second.model.named_parameters())
    assert torch.equal(second.weights["guide.found.weight"], guide)
    with pytest.raises(KeyError):
        second.start_from({"guide.found.weight": guide})


def test_the_learning_rate_is_constant_then_falls_to_zero(trained_tokenizer):
    trainer = tiny_trainer(trained_tokenizer)
    rates = []
    while trainer.progress.share(trainer.plan) < 1.0:
        rates.append(trainer.rate())
        trainer.step()
    assert rates[0] == 1.0
    assert rates == sorted(rates, reverse=True)
    assert trainer.rate() == pytest.approx(0.0)


def test_simple_rows_come_first_and_all_kinds_later():
    first, last = train.source_shares(0, 100), train.source_shares(200, 100)
    assert first["synthetic"] > 4 * (first["variants"] + first["commits"])
    assert last["variants"] > last["commits"] > last["synthetic"]
    assert first.keys() == last.keys() == set(encode.SOURCES)


def test_a_held_out_row_counts_only_when_every_token_is_right(trained_tokenizer):
    trainer = tiny_trainer(trained_tokenizer)
    held_out = encode.encode(trained_tokenizer, made_rows(6), 1500)
    found = trainer.measure(held_out)
    assert found["held_out_exact"] == 0.0
    assert found["held_out_loss"] > 3.0


def one_of_two(rank: int, folder: Path) -> None:
    """A process of a run of two; the first writes its weights."""
    torch.distributed.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    vocabulary = tokenizer.Tokenizer.from_file(str(folder / "tokenizer.json"))
    trainer = tiny_trainer(vocabulary, place=train.Place(rank, 2))
    losses = [trainer.step()["loss"] for _ in range(2)]
    torch.save((losses, trainer.weights), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_make_the_steps_that_one_makes(trained_tokenizer, tmp_path: Path):
    trained_tokenizer.save(str(tmp_path / "tokenizer.json"))
    torch.multiprocessing.spawn(one_of_two, (tmp_path,), 2)
    (losses, weights), (_, others) = (torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in (0, 1))
    alone = tiny_trainer(trained_tokenizer)
    assert losses == pytest.approx([alone.step()["loss"] for _ in range(2)], rel=0.02)
    for name, weight in weights.items():
        assert torch.equal(weight, others[name]), name
        assert torch.allclose(weight, alone.weights[name], atol=0.02), name


def test_marks_tell_a_wrong_name_from_one_that_the_diff_does_not_have():
    said = "Summary: Keeps it.\nCalls:\n- createSession()\n- load()\n- launchRocket()\n"
    said += "TODOs:\n- expire it\nActions:\n- none"
    found = measures.marks_of_answer(commit("acme/shop"), said, ended=True)
    assert (found.named, found.right, found.required, found.unknown) == (3, 1, 1, 1)
    assert (found.todos_found, found.todos, found.valid, found.exact) == (1, 1, True, False)
    assert found.language == "JavaScript"


def test_a_sentence_is_grounded_when_the_names_it_writes_as_code_are_in_the_diff():
    answer = "Summary: {}\nCalls:\n- none\nTODOs:\n- none\nActions:\n- none"
    one = commit("acme/shop", "Keep the session")
    assert measures.marks_of_answer(one, answer.format("Call `createSession()`."), ended=True).grounded
    assert not measures.marks_of_answer(one, answer.format("Call `launchRocket()`."), ended=True).grounded
    assert measures.marks_of_answer(one, answer.format("Keep the session."), ended=True).overlap == 1.0
    assert measures.marks_of_answer(one, answer.format("Lose it."), ended=True).overlap == 0.0


def test_separation_is_the_share_of_pairs_in_which_the_right_call_scores_higher():
    base = measures.marks_of_expression(commit("acme/shop"))
    scored = [
        dataclasses.replace(base, scores=((-0.1, True), (-2.0, False))),
        dataclasses.replace(base, scores=((-3.0, True), (-2.0, False), (-2.0, True))),
    ]
    assert measures.separation(scored) == pytest.approx((2 + 0 + 2 * 0.5) / 6)
    assert math.isnan(measures.separation([base]))


def test_a_call_s_score_is_the_lowest_of_its_name_s_tokens():
    pieces = [
        "Summary",
        ":",
        " load",
        "\n",
        "Calls",
        ":",
        "\n",
        "- ",
        "create",
        "Session",
        "()",
        "\n",
        "- ",
        "x",
        "()",
        "\n",
    ]
    pieces += ["TODOs", ":", "\n", "- ", "y", "()", "\n"]
    scores = [-9.0] * 7 + [-8.0, -0.25, -0.5, -7.0, -9.0, -9.0, -0.125, -9.0, -9.0] + [-9.0] * 7
    assert evaluate.call_scores(pieces, scores) == {"createSession": -0.5, "x": -0.125}


def test_an_answer_that_was_cut_or_lacks_a_section_is_not_valid():
    said = "Summary: Keeps it.\nCalls:\n- none\nTODOs:\n- none\nActions:\n- none"
    assert measures.marks_of_answer(commit("acme/shop"), said, ended=True).valid
    assert not measures.marks_of_answer(commit("acme/shop"), said, ended=False).valid
    assert not measures.marks_of_answer(commit("acme/shop"), said.replace("TODOs:\n- none\n", ""), ended=True).valid


def test_an_answer_to_the_newer_summary_has_no_actions():
    said = "Summary: Keeps it.\nCalls:\n- none\nTODOs:\n- none"
    one = commit("acme/shop")
    assert measures.marks_of_answer(one, said, ended=True, contract=rows.NEW_SUMMARY).valid
    assert not measures.marks_of_answer(one, said, ended=True).valid
    assert not measures.marks_of_answer(one, f"{said}\nActions:\n- x", ended=True, contract=rows.NEW_SUMMARY).valid


def test_code_alone_is_measured_as_the_model_is():
    others = [commit("acme/shop", f"Paint the {number}th wall blue") for number in range(20)]
    (first, *_) = measures.with_rivals([commit("acme/shop", "Create a session"), *others], seed=1)
    found = measures.marks_of_code(first)
    assert found.exact and found.todos_found == 1 and found.told > 0.5 and found.identified == 1.0
    assert measures.marks_of_code(commit("acme/shop")).identified is None


def test_the_regular_expression_finds_the_added_call_and_the_todo():
    found = measures.marks_of_expression(commit("acme/shop"))
    assert (found.named, found.right, found.todos_found) == (1, 1, 1)


def test_a_grown_model_computes_what_the_small_one_does(trained_tokenizer):
    from dataclasses import replace

    small = tiny_trainer(trained_tokenizer).shape
    large = replace(small, layers=2, experts=2 * small.experts, experts_per_token=2 * small.experts_per_token)
    first = tiny_trainer(trained_tokenizer)
    weights = {name: weight.detach() for name, weight in first.weights.items()}
    before, after = (train.build_model(shape, trained_tokenizer).eval() for shape in (small, large))
    train.copy_weights(weights, before.named_parameters())
    train.copy_weights(grow.grown(weights, small, large, seed=1), after.named_parameters())
    ids = torch.arange(40)[None] % 500
    with torch.no_grad():
        assert torch.allclose(before(ids).logits, after(ids).logits, atol=0.01)
    with pytest.raises(ValueError, match="hidden"):
        grow.grown(weights, small, replace(large, hidden=64), seed=1)
    with pytest.raises(ValueError, match="experts"):
        grow.grown(weights, small, replace(large, experts_per_token=small.experts_per_token), seed=1)


def test_a_repository_s_history_becomes_labelled_commits(tmp_path: Path):
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=A", "-c", "user.email=a@b.invalid", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True)

    git("init", "--quiet")
    for subject, text in (("Begin", "x = 1\n"), ("Keep the session", "x = 1\nstart(x)\n# TODO: expire it\n")):
        (tmp_path / "shop.py").write_text(text, encoding="utf-8")
        git("add", ".")
        git("commit", "--quiet", "--message", subject)
    (found,) = commits.labelled(tmp_path, "acme/shop")
    assert (found["subject"], found["required"], found["todos"]) == ("Keep the session", ["start"], ["expire it"])
    assert len(found["sha"]) == 40
    row = rows.row_of_commit(found)
    assert (row.origin, row.calls, row.subject) == ("acme/shop", ("start",), "Keep the session.")


def test_a_learning_curve_is_thinned_out_and_ends_where_the_run_ended(tmp_path: Path):
    lines = [{"at": at, "held_out_loss": 1.0, "held_out_exact": 0.0} if at % 2 else {"at": at} for at in range(101)]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    points = card.curve(tmp_path / "log.jsonl")
    assert len(points) == card.CURVE_ROWS
    assert points[-1]["at"] == 99
    assert [point["at"] for point in points] == sorted({point["at"] for point in points})


def test_a_verdict_counts_as_what_it_does_to_the_draft():
    made = list(corrections.corrections([rows.row_of_commit(commit("acme/shop"))] * 12, seed=1))
    every = [judging.judged(row, row.verdict()) for row in made]
    assert all(one.passes for one in every) and {one.faulty for one in every} == {True, False}
    faulty = next(row for row in made if "- none" not in faults_of(row))
    figures = judging.verdict_figures([*every, judging.judged(faulty, "{}")])
    assert figures["drafts"] == 13 and figures["valid"][0] == pytest.approx(12 / 13, abs=1e-4)
    assert figures["mended"][0] == pytest.approx(1 - 1 / figures["faulty"], abs=1e-4) and figures["kept"][0] == 1.0
