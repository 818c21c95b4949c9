"""A contract as its files say: what a tier is asked, and what its reply is held to. Knows no tier and no policy."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256

from jsonschema import Draft202012Validator

from firstpass.chat import Message, Sampling
from firstpass.contract.checks import CHECKS, NO_ACCOUNT, Case, endless, scored_name, stands
from firstpass.contract.compact import compact, numbered
from firstpass.contract.draft import draft_of, named
from firstpass.contract.echo import UNTOLD, Instructions
from firstpass.contract.files import Files, asked_fields, filled
from firstpass.contract.form import Answer, Slot, prose_of
from firstpass.contract.logprobs import sureness
from firstpass.contract.mend import Author, lacking, mended, unread_files
from firstpass.contract.quoted import quoted, unbroken
from firstpass.contract.redraft import REDRAFT_TOKENS, sentence_pattern
from firstpass.contract.references import names_in, unknown
from firstpass.contract.reviewlines import changed_names
from firstpass.contract.verdict import RESPONSE_FORMAT, Edit, edited, read_verdict
from firstpass.contract.written import LEAST_TOLD, by_code
from firstpass.errors import BadAsk, BadVerdict, FirstpassError, NotFound
from firstpass.evidence import Diff, Evidence, gather, read_diff
from firstpass.evidence.account import Account, account_of
from firstpass.evidence.calls.candidates import definitions, openings, todo_lines
from firstpass.evidence.repository import RepositoryIndex
from firstpass.exchange import Ask, Consult, Exchange, Finding, Reply, Step, Watch
from firstpass.gate.signals import signals

VERDICT_TOKENS = 512
VERDICT_WISHES = ("max_tokens", "temperature", "seed")
ALTERNATIVES = 20
"""Tokens at each place of a draft whose signals are wanted: the most that vLLM gives without being told otherwise."""

MOST_DEFINITIONS = 8
MOST_CHANGED_LINES, MOST_LINE_CHARACTERS = 12, 120
"""Of the diff, in a verifier's evidence."""

MOST_FILES = 10_000
"""Of a diff: a line about each is longer than what any model here takes."""

TOLD_TERMS = 16
NO_FAULTS = "- none"

_NOTHING = Evidence()


def no_repository(name: str) -> RepositoryIndex:
    """Of a contract that no server holds. Raises: NotFound."""
    raise NotFound(f"there is no index of a repository {name!r}", part="contract", param="firstpass.repository")


@dataclass(frozen=True, slots=True)
class Drafter:
    """How a draft model is asked and held. words: the template, which may be another than `prompt.txt`. least_told: the
    share of the telling terms that a sentence of it must say, from 0 to 1. pattern: what its drafts have to match.
    """

    words: str
    least_told: float = LEAST_TOLD
    pattern: str | None = None


class PromptedContract:
    """What `contract/<name>/<version>/` says, carried out.

    A contract that reads a diff takes one user message, the diff, which may be empty: other messages would instruct
    past what the checks know.
    """

    def __init__(
        self,
        files: Files,
        repository: Callable[[str], RepositoryIndex] = no_repository,
        drafters: Mapping[str | None, Drafter] | None = None,
    ) -> None:
        """repository: the index of that name. Raises: NotFound.

        drafters: by the engine that an ask names; what it names none of is drafted by that of None.
        """
        self.files = files
        self._drafters = drafters or {None: Drafter(files.prompt or "")}
        templates = (files.prompt, files.draft, *(drafter.words for drafter in self._drafters.values()))
        # Where code writes nothing in its place, a text of the instructions may be the answer that they wish for.
        self._instructions = Instructions.of(filter(None, templates)) if files.spec.code else UNTOLD
        self._repository = repository
        self._schema = None if files.schema is None else Draft202012Validator(files.schema)

    @property
    def pinned(self) -> str:
        return self.files.pinned

    def prepare(self, exchange: Exchange, move: Consult) -> Ask:
        """Raises: BadAsk with param "messages" where the contract reads a diff, and the ask is not one user message or
        the diff has more than MOST_FILES.
        """
        ask = exchange.ask
        if move.purpose == "score":
            return self._scoring(exchange)
        if self.files.prompt is None:
            return replace(ask, sampling=self._sampling(ask.sampling), wishes=_wishes(ask.sampling))
        diff = self._diff(ask)
        if (many := len(read_diff(diff).files)) > MOST_FILES:
            message = f"the diff is of {many:,} files, and {MOST_FILES:,} are the most; send a part of it"
            raise BadAsk(message, part="contract", param="messages")
        if (slot := self._slot(exchange, move)) is not None:
            return self._rewriting(ask, slot)
        if (question := self._question(exchange, move)) is not None:
            evidence = self._evidence(ask)
            told = "\n".join([_evidence_text(evidence, read_diff(diff)), *self._definitions(ask, evidence)])
            messages = Message("system", self.files.verify), Message("user", question.text(told))
            return replace(ask, messages=messages, sampling=_verdict_sampling(ask.sampling), wishes=VERDICT_WISHES)
        sampling = self._sampling(ask.sampling)
        if move.measured:
            sampling = replace(sampling, top_logprobs=ALTERNATIVES)
        asked = replace(ask, sampling=sampling, wishes=_wishes(ask.sampling))
        if move.tier != "draft":
            return replace(asked, messages=(self._prompt(ask, self.files.prompt),))
        drafter = self._drafter(ask)
        # What is measured is decoded freely: a pattern would hide what the model is unsure of.
        pattern = None if move.measured or _shaped(sampling) else drafter.pattern
        return replace(asked, messages=(self._prompt(ask, drafter.words),), pattern=pattern)

    def _drafter(self, ask: Ask) -> Drafter:
        return self._drafters[ask.engine]

    def read(self, exchange: Exchange, move: Consult, reply: Reply) -> str:
        """Raises: BadVerdict."""
        if (slot := self._slot(exchange, move)) is not None:
            return slot.filled(reply.text.rstrip())
        question = self._question(exchange, move)
        return reply.text if question is None else self._after(question, read_verdict(reply.text, question.nonce))

    def mend(self, exchange: Exchange, reply: Reply) -> Reply | None:
        if not self.files.spec.mend:
            return None
        form, cut = self.files.form, reply.finish_reason == "length"
        answer = form.read(reply.text)
        evidence = self._evidence_for(exchange.ask, answer)
        parts = self._mended(exchange.ask, answer, evidence, cut=cut)
        lacks = cut and lacking(form, answer, self.files.spec.code)
        return replace(
            reply,
            text=form.render(parts, unread_files(evidence)),
            finish_reason=reply.finish_reason if lacks else "stop",
        )

    def doomed(self, ask: Ask, text: str, watch: Watch) -> Finding | None:
        form, spec = self.files.form, self.files.spec
        so_far = Reply(text, model="", finish_reason=None, usage=None, seconds=0.0)
        answer, last = form.read(text), form.last(text)
        evidence = self._evidence_for(ask, answer)
        if spec.mend:
            parts = self._mended(ask, answer, evidence)
            so_far = replace(so_far, text=form.render(parts, unread_files(evidence)))
        faults = [finding for finding in self.check(ask, so_far) if finding.severity == "fail"]
        if spec.mend and watch == "rewritten":  # A sentence that names what is not there is written again.
            faults = [fault for fault in faults if fault.check != "hallucinated"]
        needed = "format" in spec.checks and (not spec.mend or lacking(form, answer, spec.code))
        loop = endless(form, text, evidence) if needed else None
        return next((fault for fault in faults if stands(fault, form, answer, last)), loop)

    def foresee(self, ask: Ask) -> None:
        with suppress(FirstpassError):
            self._evidence(ask)
            account = self._account(ask)
            for writer in self.files.spec.code.values():
                by_code(writer, account)

    def signals(self, ask: Ask, reply: Reply) -> dict[str, float]:
        if self.files.prompt is None:
            return {}
        parsed, asked = read_diff(self._diff(ask)), asked_fields(self._drafter(ask).words)
        shown = frozenset(name for field, names in _CANDIDATES.items() if field in asked for name in names(parsed))
        return signals(draft_of(self.files.form, reply, self._evidence(ask), parsed, shown))

    def doubts(self, reply: Reply, floor: float) -> tuple[Finding, ...]:
        form, least = self.files.form, dict[str, float]()
        for name, nats in sureness(reply.logprobs, named(form, form.read(reply.text))):
            least[name] = min(nats, least.get(name, 0.0))
        if not least:
            return (Finding("doubted", "fail", "The draft names nothing, so there was nothing to score"),)
        return tuple(scored_name(name, nats, floor) for name, nats in sorted(least.items(), key=lambda pair: -pair[1]))

    def check(self, ask: Ask, reply: Reply) -> tuple[Finding, ...]:
        """Raises: BadAsk with param "messages" where the contract reads a diff, and the ask is not one user message.
        NotFound where there is no index of its repository.
        """
        form = self.files.form
        answer = form.read(reply.text)
        evidence = self._evidence_for(ask, answer)
        spec, account, told = self.files.spec, self._account(ask), self._drafter(ask).least_told
        floor, said = spec.logprob_floor, self._instructions
        case = Case(form, answer, reply, evidence, self._schema, floor, account, spec.code, told, said)
        found = (finding for name in spec.checks for finding in CHECKS[name](case))
        return (*found, *(Finding("evidence", "note", note) for note in evidence.notes))

    def _prompt(self, ask: Ask, template: str) -> Message:
        diff, asked = self._diff(ask), asked_fields(template)
        parsed = read_diff(diff)
        fields = {name: _FIELDS[name](diff, parsed) for name in asked if name in _FIELDS}
        if told := [name for name in asked if name in _TOLD]:
            account = self._account(ask)
            fields |= {name: "\n".join(map(unbroken, _TOLD[name](account))) or "none" for name in told}
        return Message("user", filled(template, {name: quoted(text) for name, text in fields.items()}))

    def _account(self, ask: Ask) -> Account:
        """Of nothing where the contract needs none. An index adds how common words are, and where names are used."""
        spec, prompt = self.files.spec, self.files.prompt
        told = {*_TOLD} & {*asked_fields(prompt or ""), *asked_fields(self._drafter(ask).words)}
        if prompt is None or not (spec.code or told):
            return NO_ACCOUNT
        diff = self._diff(ask)
        if ask.repository is None:
            return account_of(diff)
        index = self._repository(ask.repository)
        account = account_of(diff, index.frequencies())
        paths = [file.path for file in account.facts.files]
        return replace(account, users=index.users(changed_names(account), but=paths))

    def _mended(self, ask: Ask, answer: Answer, evidence: Evidence, *, cut: bool = False) -> dict[str, tuple[str, ...]]:
        form, code = self.files.form, self._author(ask)
        return mended(form, answer, evidence, cut=cut, code=code, instructions=self._instructions)

    def _author(self, ask: Ask) -> Author | None:
        spec = self.files.spec
        return Author(spec.code, self._account(ask), self._drafter(ask).least_told) if spec.code else None

    def _scoring(self, exchange: Exchange) -> Ask:
        """The question that the draft answers, with the draft as its answer: how likely is it, token by token?"""
        ask, drafted = exchange.ask, _newest(exchange)
        if drafted is None:
            raise BadAsk("there is no draft to score", part="contract")
        question = ask.messages if self.files.prompt is None else (self._prompt(ask, self._drafter(ask).words),)
        messages = (*question, Message("assistant", quoted((drafted.text or "").strip())))
        sampling = Sampling(max_tokens=1, temperature=0.0)
        return replace(ask, messages=messages, sampling=sampling, continues=True, scored=True)

    def _rewriting(self, ask: Ask, slot: Slot) -> Ask:
        """The same question again, with the answer begun, and only names that there are to go on with."""
        evidence = self._evidence(ask)
        names = [*evidence.calls, *sorted(evidence.identifiers)]
        # A lead has a section's name, a colon and white space alone, so it matches itself.
        pattern = slot.lead + sentence_pattern(names, title=slot.titled)
        begun = (Message("assistant", quoted(slot.before)),) if slot.before else ()
        sampling = replace(self._sampling(ask.sampling), max_tokens=REDRAFT_TOKENS, stop=None)
        return replace(
            ask,
            messages=(self._prompt(ask, self._drafter(ask).words), *begun),
            sampling=sampling,
            continues=bool(begun),
            pattern=pattern,
        )

    def _slot(self, exchange: Exchange, move: Consult) -> Slot | None:
        """The first sentence or text of the newest draft that names what is not there.

        Raises: BadAsk where what is wrong is none.
        """
        drafted = _newest(exchange)
        if move.purpose != "redraft" or drafted is None:
            return None
        form = self.files.form
        free = [section.name for section in form.sections if section.holds in ("sentence", "text")]
        section = next((finding.section for finding in drafted.failed if finding.section in free), None)
        if section is None:
            raise BadAsk("there is no sentence to write again", part="contract")
        answer = form.read(drafted.text or "")
        return form.around(answer.parts, section, answer.unread)

    def _sampling(self, asked: Sampling) -> Sampling:
        """What the caller set, else the contract's own; logprobs always, for the record."""
        wanted = self.files.spec.decoding
        return replace(
            asked,
            max_tokens=asked.max_tokens or wanted.max_tokens,
            temperature=wanted.temperature if asked.temperature is None else asked.temperature,
            logprobs=True,
        )

    def _evidence(self, ask: Ask) -> Evidence:
        if self.files.prompt is None:
            return _NOTHING
        diff = self._diff(ask)
        if ask.repository is None:
            return gather(diff)
        texts = self._repository(ask.repository).texts(file.path for file in read_diff(diff).files if file.path)
        return gather(diff, tuple(sorted(texts.items())))

    def _evidence_for(self, ask: Ask, answer: Answer) -> Evidence:
        """The diff's, and which of the answer's other names the repository has."""
        evidence = self._evidence(ask)
        if ask.repository is None:
            return evidence
        strange = unknown(prose_of(self.files.form, answer), evidence.identifiers)
        names = {name for reference in strange for name in names_in(reference)} - evidence.identifiers
        return replace(evidence, elsewhere=self._repository(ask.repository).known(names)) if names else evidence

    def _definitions(self, ask: Ask, evidence: Evidence) -> list[str]:
        """What a verifier may have to know of the names that the diff newly calls."""
        if ask.repository is None:
            return []
        places = self._repository(ask.repository).defined(evidence.calls, MOST_DEFINITIONS)
        return ["Definitions in the repository:", *(str(place) for place in places or ("none",))]

    def _diff(self, ask: Ask) -> str:
        if [message.role for message in ask.messages] != ["user"]:
            roles = ", ".join(message.role for message in ask.messages) or "none"
            text = f"The contract {self.files.name} takes exactly one user message, the diff; the request has: {roles}."
            raise BadAsk(text, part="contract", param="messages")
        return ask.messages[0].content

    def _after(self, question: "_Question", edits: tuple[Edit, ...]) -> str:
        """Raises: BadVerdict also where no check finds fault, and the edits do not change what is read either."""
        text, form = edited(question.draft, edits), self.files.form
        if edits and question.faults == NO_FAULTS and form.read(text) == form.read(question.draft):
            raise BadVerdict("the verdict has edits that change nothing that is read", part="verifier")
        return text

    def _question(self, exchange: Exchange, move: Consult) -> "_Question | None":
        """About the newest draft; None where the move does not verify, or nothing was drafted."""
        drafted = _newest(exchange)
        if move.purpose != "verify" or drafted is None or self.files.prompt is None:
            return None
        diff = self._diff(exchange.ask)
        draft = (drafted.text or "").strip()
        faults = "\n".join(f"- {finding.message}" for finding in drafted.failed) or NO_FAULTS
        nonce = sha256("\0".join((exchange.ask.id, diff, draft, faults)).encode("utf-8", "replace")).hexdigest()[:12]
        return _Question(nonce, draft, faults)


def _newest(exchange: Exchange) -> Step | None:
    """The last step that proposes an answer."""
    return next((step for step in reversed(exchange.steps) if step.text is not None), None)


@dataclass(frozen=True, slots=True)
class _Question:
    """What a verifier is asked. The nonce is a digest over the request's random id: no text inside can hold it."""

    nonce: str
    draft: str
    faults: str

    def text(self, evidence: str) -> str:
        parts = {"evidence": evidence, "draft": self.draft, "faults": self.faults}
        data = "\n".join(
            f"<{name} {self.nonce}>\n{quoted(text)}\n</{name} {self.nonce}>" for name, text in parts.items()
        )
        return f"nonce: {self.nonce}\n{data}"


_FIELDS: Mapping[str, Callable[[str, Diff], str]] = {
    "diff": lambda diff, parsed: compact(diff, parsed).rstrip("\n"),
    "numbered": lambda diff, parsed: numbered(diff, parsed).rstrip("\n"),
    "openings": lambda _, parsed: "\n".join(openings(parsed).values()) or "none",
    "definitions": lambda _, parsed: "\n".join(definitions(parsed).values()) or "none",
    "todo_lines": lambda _, parsed: "\n".join(todo_lines(parsed)) or "none",
}
"""What a prompt may ask for of the diff alone, by `files.FIELDS`."""

_TOLD: Mapping[str, Callable[[Account], Iterable[str]]] = {
    "changes": partial(by_code, "changes"),
    "review": partial(by_code, "review"),
    "faults": partial(by_code, "faults"),
    "terms": lambda account: (", ".join(term.text for term in account.terms[:TOLD_TERMS]),),
}
"""What it may ask for of what code found."""

_CANDIDATES: Mapping[str, Callable[[Diff], Mapping[str, str]]] = {"openings": openings, "definitions": definitions}
"""The fields that list places for a name."""


def _evidence_text(evidence: Evidence, parsed: Diff) -> str:
    """What a verifier needs of the diff, and no more: the facts, and the changed lines that show them."""
    lines = [f"Files: {', '.join(map(unbroken, evidence.paths)) or 'none'}"]
    lines += [f"New calls: {', '.join(f'{name}()' for name in evidence.calls) or 'none'}"]
    lines += [f"Calls on removed lines: {', '.join(f'{name}()' for name in evidence.removed_calls) or 'none'}"]
    lines += ["New TODOs:", *(f"- {text}" for text in evidence.todos or ("none",))]
    return "\n".join([*lines, "Changed lines:", *(_changed_lines(evidence, parsed) or ["none"])])


def _changed_lines(evidence: Evidence, parsed: Diff) -> list[str]:
    """Those that hold a new call before all others, in the diff's order."""
    hunks = (hunk for file in parsed.files for hunk in file.hunks)
    lines = [line for hunk in hunks for line in hunk.lines if line.kind != "context" and line.text.strip()]
    wanted = set(evidence.calls)
    telling = [place for place, line in enumerate(lines) if not wanted.isdisjoint(names_in(line.text))]
    others = [place for place in range(len(lines)) if place not in set(telling)]
    shown = [lines[place] for place in sorted([*telling, *others][:MOST_CHANGED_LINES])]
    return [f"{'+' if line.kind == 'added' else '-'}{line.text[:MOST_LINE_CHARACTERS]}" for line in shown]


def _wishes(asked: Sampling) -> tuple[str, ...]:
    """Of the fields that `_sampling` fills, those that the caller left open."""
    left_open = {
        "max_tokens": asked.max_tokens is None,
        "temperature": asked.temperature is None,
        "logprobs": not asked.logprobs,
    }
    return tuple(name for name, is_open in left_open.items() if is_open)


def _shaped(asked: Sampling) -> bool:
    """Whether the caller has said itself what the reply has to look like."""
    return asked.response_format is not None or asked.tools is not None


def _verdict_sampling(asked: Sampling) -> Sampling:
    """What the caller wants of its answer (its end, its length, its style) has no say in a verdict."""
    return Sampling(max_tokens=VERDICT_TOKENS, temperature=0.0, seed=asked.seed, response_format=RESPONSE_FORMAT)
