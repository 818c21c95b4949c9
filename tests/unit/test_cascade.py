"""The loop with doubles for its tiers and the real contract; nothing here touches a network."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from firstpass import cascade
from firstpass.app import aside
from firstpass.cascade import SHORT_CHARACTERS, Parts
from firstpass.chat import Chunk, Message, Usage
from firstpass.contract import Drafter, PromptedContract, shipped
from firstpass.errors import STOPPED, BadAsk, TierFailed
from firstpass.exchange import ESCALATED, Answer, Ask, Consult, Exchange, Finding, Refuse, Reply, Step, TierName, Watch
from firstpass.listening import StepListener
from firstpass.policy.escalation import EscalationPolicy, Verifier
from firstpass.policy.rules import Rule
from firstpass.tier import Tier
from tests.doubles import DIFF, NAMES, OMITS, STRAYS, ScriptedTier, amends

CONTRACT = shipped("pr-summary@3")


def asked(contract: str | None = "pr-summary@3", **changes: object) -> Ask:
    text = DIFF if contract else "hello"
    fields = {"contract": contract, "messages": (Message("user", text),)} | changes
    return Ask("ex_1", 0.0, "chat", "firstpass", "cascade", **fields)  # type: ignore[arg-type]


def parts(where: Verifier, *, early: bool = False, **tiers: Tier) -> Parts:
    named: Mapping[TierName, Tier] = tiers  # type: ignore[assignment]
    clock = itertools.count().__next__
    return Parts(EscalationPolicy(where, escalates_early=early), named, {"pr-summary@3": CONTRACT}, clock, aside)


async def test_the_origin_s_failing_case_is_caught_and_mended_without_asking_anyone() -> None:
    kept: list[Exchange] = []
    exchange = await cascade.run(asked(), parts("none", draft=ScriptedTier([OMITS])), kept.append)
    assert kept == [exchange]
    failed = [finding.message for finding in exchange.steps[0].failed]
    assert failed == ["Summary omitted required API call: createSession()"]
    assert exchange.ending == Answer(1, "repaired") and exchange.answer is not None
    assert exchange.answer.text == OMITS.replace("Calls:\n- none", "Calls:\n- createSession()")


async def test_what_code_can_not_mend_the_verifier_does() -> None:
    draft, verifier = ScriptedTier([STRAYS]), ScriptedTier([amends(NAMES)])
    exchange = await cascade.run(asked(), parts("local", draft=draft, verifier=verifier), lambda _: None)
    assert exchange.ending == Answer(2, "verified")
    assert exchange.answer is not None and exchange.answer.text == NAMES
    assert exchange.answer.reply is not None and '"nonce"' in exchange.answer.reply.text
    told = verifier.asked[0].messages[-1].content
    assert "launchRocket, which does not occur" in told and "+    s = createSession(user)" in told


@pytest.mark.parametrize("said", [NAMES, "", '{"nonce": "0", "ok": true, "edits": []}', amends(STRAYS)])
async def test_a_verdict_that_is_none_or_mends_nothing_is_never_an_accept(said: str | Callable[[str], str]) -> None:
    tiers = {"draft": ScriptedTier([STRAYS]), "verifier": ScriptedTier([said])}
    exchange = await cascade.run(asked(), parts("local", **tiers), lambda _: None)
    assert isinstance(exchange.ending, Answer) and exchange.ending.route == "unverified"
    step = exchange.steps[2]
    assert step.reply is not None and step.reply.usage is not None, "its tokens were used"
    assert not step.passed and (step.failure is None or step.failure.kind == "BadVerdict")


async def test_the_loop_goes_on_while_a_diff_is_read() -> None:
    threads: list[int] = []

    class Watched(PromptedContract):
        def prepare(self, exchange: Exchange, move: Consult) -> Ask:
            threads.append(threading.get_ident())
            return super().prepare(exchange, move)

        def foresee(self, ask: Ask) -> None:
            threads.append(threading.get_ident())
            time.sleep(0.2)
            super().foresee(ask)
            threads.append(0)

        def check(self, ask: Ask, reply: Reply) -> tuple[Finding, ...]:
            threads.append(threading.get_ident())
            return super().check(ask, reply)

    made = replace(parts("none", draft=ScriptedTier([NAMES])), contracts={"pr-summary@3": Watched(CONTRACT.files)})
    await cascade.run(asked(), made, lambda _: None)
    *aside, read, checked = threads
    assert threading.get_ident() not in (*aside, checked)
    assert len(aside) == 2 and read == 0, "the checks come after all is read, and are not to read it again"


async def test_nobody_reads_a_diff_whose_caller_is_gone() -> None:
    """Its place on a thread is for others."""
    begun, gone = threading.Event(), threading.Event()
    busy = [aside(gone.wait, 5.0) for _ in range(2)]

    class Watched(PromptedContract):
        def foresee(self, ask: Ask) -> None:
            begun.set()

    contract, draft = Watched(CONTRACT.files), ScriptedTier([TierFailed("it broke", part="draft")])

    def work(call: Callable[..., Any], *given: object) -> Any:
        waits = call == contract.foresee
        return aside(call, *given) if waits else asyncio.ensure_future(asyncio.to_thread(call, *given))

    made = replace(parts("none", draft=draft), contracts={"pr-summary@3": contract}, aside=work)
    await cascade.run(asked(), made, lambda _: None)
    await asyncio.sleep(0)  # in which the loop carries the cancellation to the thread's queue
    gone.set()
    await asyncio.gather(*busy)
    await aside(lambda: None)
    assert not begun.is_set()


async def test_without_a_verifier_what_is_left_is_answered_and_marked() -> None:
    exchange = await cascade.run(asked(), parts("none", draft=ScriptedTier([STRAYS])), lambda _: None)
    assert exchange.ending == Answer(1, "unverified")


async def test_a_fault_of_ours_while_mending_is_recorded_too() -> None:
    class Broken(PromptedContract):
        def mend(self, exchange: Exchange, reply: Reply) -> Reply | None:
            raise ZeroDivisionError

    kept: list[Exchange] = []
    made = replace(parts("none", draft=ScriptedTier([OMITS])), contracts={"pr-summary@3": Broken(CONTRACT.files)})
    with pytest.raises(ZeroDivisionError):
        await cascade.run(asked(), made, kept.append)
    (exchange,) = kept
    assert isinstance(exchange.ending, Refuse) and exchange.ending.failure.part == "contract"
    assert exchange.steps[1].failure == exchange.ending.failure


async def test_a_failing_tier_is_a_recorded_step() -> None:
    draft = ScriptedTier([TierFailed("broke", part="draft")])
    exchange = await cascade.run(asked(contract=None), parts("none", draft=draft), lambda _: None)
    assert isinstance(exchange.ending, Refuse)
    assert exchange.steps[0].failure is not None and exchange.steps[0].failure.message == "broke"


async def test_a_contract_s_input_fault_is_a_refusal_that_names_the_field() -> None:
    two = replace(asked(), messages=(Message("user", "a"),) * 2)
    exchange = await cascade.run(two, parts("none", draft=ScriptedTier([])), lambda _: None)
    assert isinstance(exchange.ending, Refuse)
    assert (exchange.ending.failure.status, exchange.ending.failure.param) == (400, "messages")


async def test_only_a_binding_reply_streams() -> None:
    heard: list[tuple[Step, bytes]] = []

    async def sink(step: Step, chunk: Chunk) -> None:
        heard.append((step, chunk.raw))

    await cascade.run(asked(), parts("none", draft=ScriptedTier([OMITS])), lambda _: None, sink)
    assert heard == []
    await cascade.run(asked(contract=None), parts("none", draft=ScriptedTier(["hi"])), lambda _: None, sink)
    assert heard == [(Step(Consult("draft", "answer", binding=True), streamed=True), b"data: hi\n\n")]


async def test_an_unchecked_draft_streams_only_where_the_caller_wants_it_early() -> None:
    heard: list[Step] = []

    async def sink(step: Step, data: bytes) -> None:
        heard.append(step)

    early, draft = replace(asked(), stream=True, optimistic=True), ScriptedTier([OMITS])
    exchange = await cascade.run(early, parts("none", draft=draft), lambda _: None, sink)
    assert heard == [Step(Consult("draft", "draft", early=True), streamed=True)]
    assert [step.streamed for step in exchange.steps] == [True, False], "what code mends comes with the verdict"


async def test_a_draft_with_a_fault_that_ends_at_the_verifier_is_cut_off_and_answered_there() -> None:
    draft, verifier = ScriptedTier([STRAYS]), ScriptedTier([NAMES])
    exchange = await cascade.run(asked(), parts("local", early=True, draft=draft, verifier=verifier), lambda _: None)
    assert exchange.ending == Answer(1, "strong") and exchange.answer is not None and exchange.answer.text == NAMES
    (cut, _) = exchange.steps
    assert cut.cut and cut.text == "Summary: Launch the rocket with launchRocket().\nCalls:\n"
    assert [finding.subject for finding in cut.findings] == ["launchRocket"] and cut.reply is not None
    assert (cut.reply.finish_reason, cut.reply.usage) == (ESCALATED, Usage(7, 3))
    assert verifier.asked[0].messages == draft.asked[0].messages, "the verifier answers the same question"


@pytest.mark.parametrize("said", [OMITS, NAMES, NAMES.replace("- createSession()", "- launchRocket()")])
async def test_a_draft_that_passes_or_that_code_mends_is_never_cut_off(said: str) -> None:
    tiers = {"draft": ScriptedTier([said]), "verifier": ScriptedTier([])}
    exchange = await cascade.run(asked(), parts("local", early=True, **tiers), lambda _: None)
    assert exchange.answer is not None and exchange.answer.text == NAMES.replace(
        "Create a session at login.", "Log the user in." if said == OMITS else "Create a session at login."
    )
    assert not exchange.steps[0].cut and exchange.steps[0].text == said


async def test_a_verifier_that_fails_costs_the_cut_and_not_the_answer() -> None:
    heard: list[Step] = []

    async def sink(step: Step, data: bytes) -> None:
        heard.append(step)

    tiers = {"draft": ScriptedTier([STRAYS, STRAYS]), "verifier": ScriptedTier([TierFailed("down", part="verifier")])}
    early = replace(asked(), stream=True, optimistic=True)
    exchange = await cascade.run(early, parts("local", early=True, **tiers), lambda _: None, sink)
    assert [step.move.purpose for step in exchange.steps] == ["draft", "answer", "draft", "mend"]
    assert [step.cut for step in exchange.steps] == [True, False, False, False]
    assert exchange.ending == Answer(3, "unverified") and exchange.answer is not None
    assert exchange.answer.text is not None and exchange.answer.text.endswith("Actions:\n- none")
    assert len(heard) == 1, "the second draft comes with the verdict"


async def test_what_the_verifier_left_out_in_the_draft_s_place_is_mended() -> None:
    tiers = {"draft": ScriptedTier([STRAYS]), "verifier": ScriptedTier([OMITS])}
    exchange = await cascade.run(asked(), parts("local", early=True, **tiers), lambda _: None)
    assert exchange.ending == Answer(2, "repaired") and exchange.answer is not None
    assert exchange.answer.text == OMITS.replace("Calls:\n- none", "Calls:\n- createSession()")


async def test_half_a_draft_is_no_answer_even_beside_a_worse_one() -> None:
    worse = STRAYS.replace("- none", "- TODO write poems")
    tiers = {"draft": ScriptedTier([STRAYS]), "verifier": ScriptedTier([worse])}
    exchange = await cascade.run(asked(), parts("local", early=True, **tiers), lambda _: None)
    assert isinstance(exchange.ending, Answer) and exchange.ending.route == "unverified"
    assert exchange.ending.step > 0


async def test_a_caller_that_leaves_is_recorded() -> None:
    kept: list[Exchange] = []
    draft = ScriptedTier([asyncio.CancelledError()])
    with pytest.raises(asyncio.CancelledError):
        await cascade.run(asked(), parts("none", draft=draft), kept.append)
    assert isinstance(kept[0].ending, Refuse) and kept[0].ending.failure.code == "client_closed_request"
    assert kept[0].steps[0].failure is not None


@pytest.mark.parametrize(
    ("stop", "status", "code"),
    [
        (asyncio.CancelledError(), 499, "client_closed_request"),
        (asyncio.CancelledError(STOPPED), 503, "server_stopping"),
        (ZeroDivisionError(), 500, "internal_error"),
    ],
)
@pytest.mark.parametrize("after", [0, 1])
async def test_what_stops_the_choice_of_a_move_is_recorded_too(
    stop: BaseException, status: int, code: str, after: int
) -> None:
    """Before the first step, and after it."""
    kept: list[Exchange] = []
    made, choices = parts("none", draft=ScriptedTier([STRAYS])), itertools.count()

    def work(call: Callable[..., Any], *given: object) -> Any:
        if call != made.policy.next or next(choices) < after:
            return aside(call, *given)
        broken = asyncio.get_running_loop().create_future()
        broken.set_exception(stop) if isinstance(stop, Exception) else broken.cancel(*stop.args)
        return broken

    long = asked(messages=(Message("user", DIFF + "+\n" * SHORT_CHARACTERS),))
    with pytest.raises(type(stop)):
        await cascade.run(long, replace(made, aside=work), kept.append)
    (exchange,) = kept
    assert len(exchange.steps) == after and isinstance(exchange.ending, Refuse)
    failure = exchange.ending.failure
    assert (failure.status, failure.code, failure.part) == (status, code, "policy")


async def test_a_bug_is_recorded_as_one_and_not_hidden() -> None:
    kept: list[Exchange] = []
    with pytest.raises(ZeroDivisionError):
        await cascade.run(asked(), parts("none", draft=ScriptedTier([ZeroDivisionError()])), kept.append)
    assert isinstance(kept[0].ending, Refuse) and kept[0].ending.failure.status == 500


async def test_a_look_that_fails_cuts_nothing_off_and_is_the_last_one() -> None:
    """Why the text can't be read is said when the whole answer is checked."""
    looks = []

    async def late(text: str) -> Finding | None:
        looks.append(text)
        raise BadAsk("it takes too long", part="contract")

    listener = StepListener(Consult("draft", "draft"), None, late)
    assert await listener.goes_on("a\nb") and await listener.goes_on("a\nb\n")
    assert looks == ["a\n"] and listener.fault is None


async def test_who_drafts_by_a_rule_is_checked_prepared_and_watched_as_that_one() -> None:
    """A contract holds each model to what its card says."""
    engines: dict[str, set[str | None]] = {"prepare": set(), "doomed": set(), "check": set()}

    class Noted(PromptedContract):
        def prepare(self, exchange: Exchange, move: Consult) -> Ask:
            engines["prepare"].add(exchange.ask.engine)
            return super().prepare(exchange, move)

        def doomed(self, ask: Ask, text: str, watch: Watch) -> Finding | None:
            engines["doomed"].add(ask.engine)
            return super().doomed(ask, text, watch)

        def check(self, ask: Ask, reply: Reply) -> tuple[Finding, ...]:
            engines["check"].add(ask.engine)
            return super().check(ask, reply)

    rules = [Rule("every one", "cascade", over_bytes=0, engine="large")]
    drafter = Drafter(CONTRACT.files.prompt or "")
    contract = Noted(CONTRACT.files, drafters={None: drafter, "large": drafter})
    made = replace(
        parts("local", draft=ScriptedTier([NAMES]), verifier=ScriptedTier([])),
        policy=EscalationPolicy("local", rules, escalates_early=True),
        contracts={"pr-summary@3": contract},
    )
    exchange = await cascade.run(asked(), made, lambda _: None)
    assert exchange.ask.engine == "large" and all(seen == {"large"} for seen in engines.values())
