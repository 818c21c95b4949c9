"""How sure the model was of its names, and what is read of a diff before the answer is there."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

from firstpass.chat import Message, TokenLogprob
from firstpass.contract import PromptedContract, shipped
from firstpass.contract.files import SHIPPED, load
from firstpass.contract.logprobs import least_sure
from firstpass.evidence import gather
from firstpass.exchange import Ask, Reply
from tests.doubles import DIFF, NAMES


def ask(diff: str) -> Ask:
    return Ask("a", 0.0, "chat", "firstpass", "cascade", (Message("user", diff),))


def tokens(*pairs: tuple[str, float]) -> tuple[TokenLogprob, ...]:
    return tuple(TokenLogprob(text, nats) for text, nats in pairs)


CREATE = tokens(("create", -0.1), ("Session", -2.5))


def test_a_name_is_as_sure_as_the_least_sure_of_its_tokens() -> None:
    around = (*tokens(("Calls:\n", -9.0), ("- ", -8.0)), *CREATE, *tokens(("()", -7.0)))
    assert least_sure(around, {"createSession"}) == ("createSession", -2.5)
    assert least_sure((*CREATE, *tokens(("(user)", -3.0))), {"createSession", "user"}) == ("user", -3.0)
    assert least_sure((*tokens((" create", -4.0)), CREATE[1]), {"createSession"}) == ("createSession", -4.0)
    assert least_sure((*CREATE, *tokens(("s", -7.0))), {"createSession"}) is None, "createSessions is another name"
    assert least_sure((), {"createSession"}) is None


def test_a_collapse_is_a_note_and_under_a_contract_s_floor_a_failure(tmp_path: Path) -> None:
    parts = re.split(r"(?<=[\n ])", NAMES)
    sure = tokens(*((part, -4.0 if "createSession" in part else -0.01) for part in parts))
    reply = Reply(NAMES, "m", "stop", None, 0.1, logprobs=sure)
    (note,) = shipped("pr-summary@3").check(ask(DIFF), reply)
    assert (note.check, note.severity, note.subject, note.value) == ("logprobs", "note", "createSession", -4.0)
    folder = tmp_path / "sure" / "1"
    shutil.copytree(SHIPPED / "pr-summary" / "3", folder)
    settings = folder / "contract.toml"
    settings.write_text(f"logprob_floor = -3.5\n{settings.read_text()}")
    (finding,) = PromptedContract(load(folder)).check(ask(DIFF), reply)
    assert finding.severity == "fail" and "createSession: -4.00 nats" in finding.message


def test_what_was_foreseen_is_not_read_again() -> None:
    contract, asked = shipped("pr-summary@3"), ask(DIFF.replace("user", "a_user_like_no_other"))
    contract.foresee(asked)
    before = gather.cache_info().misses
    contract.check(asked, Reply(NAMES, "m", "stop", None, 0.1))
    assert gather.cache_info().misses == before
    contract.foresee(replace(asked, messages=()))


def test_a_verifier_s_score_doubts_each_name_once_by_its_least_likely_place() -> None:
    contract = shipped("pr-summary@3")
    text = "Summary: Call open() and open().\nCalls:\n- close()\nTODOs:\n- none\nActions:\n- none"
    words = re.findall(r"\w+|\W+", text)
    places = [at for at, word in enumerate(words) if word == "open"]
    nats = [-5.0 if at == places[1] else -0.1 if word == "close" else -9.0 for at, word in enumerate(words)]
    nats[places[0]] = -0.2
    tokens = tuple(TokenLogprob(word, value) for word, value in zip(words, nats, strict=True))
    scored = Reply(text, "m", "length", None, 0.1, logprobs=tokens)
    found = {
        finding.subject: (finding.check, finding.severity, finding.value) for finding in contract.doubts(scored, -4)
    }
    assert found == {"close": ("scored", "note", -0.1), "open": ("doubted", "fail", -5.0)}
    assert all(finding.severity == "note" for finding in contract.doubts(scored, -5.0)), "the floor itself is enough"


def test_a_draft_without_a_name_is_not_verified_by_a_score() -> None:
    said = Reply("Summary: Tidy up.", "m", "length", None, 0.1, logprobs=(TokenLogprob("Summary: Tidy up.", -0.1),))
    (finding,) = shipped("pr-summary@3").doubts(said, -4.0)
    assert (finding.check, finding.severity) == ("doubted", "fail")
