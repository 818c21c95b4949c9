"""Compiles what an engine would compile, in a process that may be killed for it. Knows no request.

    python -m firstpass.engine.grammars.child '{"model": DIRECTORY, "vocabulary": TOKENS, "any_whitespace": false}'

It imports xgrammar once (seconds, 200 MB) and forks for each job, which takes milliseconds: a job over its processor
time or its memory is killed, and costs nobody a new import. A line of JSON each way: a job is {"id", "parts"}, a part
[kind, text]; its answer {"id", "part", "fault"}. `fault` is null where all can be compiled, "" for a part that is too
expensive, and else says what is wrong with it; `part` is null where the job did not begin. The first line says
{"ready", "why"}: why it can do nothing, or why it does not know the model's tokens, if so.

Sources: vLLM 0.32, v1/structured_output/backend_xgrammar.py (validate_xgrammar_grammar and compile_grammar).
"""

import contextlib
import gc
import json
import os
import re
import resource
import selectors
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from firstpass.engine.grammars.walk import Walker, patterns, repetitions
from firstpass.engine.guard import ON_LINUX, PR_SET_PDEATHSIG, prctl

CHECK_SECONDS = 0.5
"""Of processor time, for each part: vLLM turns it into a grammar on the event loop of its API server."""

JOB_SECONDS = 2.0
"""Likewise, for all of a job: vLLM compiles grammars on threads of the process that decodes."""

MEMORY_BYTES = 128 << 20
"""Beside what the process had when it was forked. A usual schema takes under 10 MB, the masks of a grammar 1 MB."""

LEAST_SECONDS = 0.001
"""A timer of 0 s is none."""

JSON_OBJECT = '{"type": "object"}'
PLACE = re.compile(r"^\[[0-9:]+\] \S+:[0-9]+: ")
"""The time and the line of xgrammar's source, before its words."""

REASON_CHARACTERS = 500


class Vocabulary:
    """A model's tokens, as xgrammar knows them. any_whitespace: whether a grammar allows some between tokens.

    Bytes take the place of tokens that can not be read, for the reason `why_not`: they show most of what is too much.
    """

    def __init__(self, model: Path, size: int | None, *, any_whitespace: bool) -> None:
        import xgrammar

        self._xgrammar = xgrammar
        self._any_whitespace = any_whitespace
        self._walker = Walker(xgrammar)
        self._info, self.why_not = self._walker.info, ""
        try:
            read = xgrammar.TokenizerInfo.from_huggingface
            self._info = read(_tokenizer(model), vocab_size=size, stop_token_ids=[0])
        except Exception as error:  # noqa: BLE001  (whatever transformers or xgrammar has against a tokenizer)
            self.why_not = f"{type(error).__name__}: {error}"[:REASON_CHARACTERS]

    def check(self, kind: str, text: str) -> None:
        """As vLLM's API server does before it takes a request. Raises: whatever xgrammar does."""
        if kind == "json":
            self._xgrammar.Grammar.from_json_schema(text)
        elif kind == "regex":
            self._xgrammar.Grammar.from_regex(text)
        elif kind == "tag":
            self._xgrammar.Grammar.from_structural_tag(*self._tags(text))

    def compile(self, kind: str, text: str) -> None:
        """As vLLM's engine does. Raises: whatever xgrammar does."""
        compiler = self._xgrammar.GrammarCompiler(self._info, max_threads=1, cache_enabled=False)
        if kind == "regex":
            compiler.compile_regex(text)
        elif kind == "tag":
            compiler.compile_structural_tag(*self._tags(text))
        else:
            separators = None if self._any_whitespace else (",", ":")
            schema = text if kind == "json" else JSON_OBJECT
            compiler.compile_json_schema(schema, any_whitespace=self._any_whitespace, separators=separators)

    def is_slow(self, kind: str, text: str) -> bool:
        """Whether a reply that is held to it would take too long, see walk.py."""
        for repeated in {one for pattern in patterns(kind, text) for one in repetitions(pattern)}:
            with contextlib.suppress(RuntimeError):
                if self._walker.is_slow(repeated):
                    return True
        return False

    def _tags(self, text: str) -> tuple[Any, ...]:
        """The older form has `structures` and `triggers`."""
        tag = json.loads(text)
        if "structures" not in tag:
            return (text,)
        item = self._xgrammar.StructuralTagItem
        items = [
            item(begin=one["begin"], schema=json.dumps(one["schema"]), end=one["end"]) for one in tag["structures"]
        ]
        return items, tag["triggers"]


def _tokenizer(model: Path) -> Any:
    """By tokenizer.json alone where there is one: transformers takes seconds to find out what else a model has."""
    if (file := model / "tokenizer.json").is_file():
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast(tokenizer_file=str(file))  # type: ignore[no-untyped-call]
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model, local_files_only=True, trust_remote_code=False)


@dataclass
class Job:
    """pid: of its process. pipe: where its answer comes from."""

    number: int
    pid: int
    pipe: int
    said: bytes = b""


@dataclass
class Jobs:
    vocabulary: Vocabulary
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    waiting: bytes = b""

    def serve(self) -> None:
        """Until the front closes its end of the pipe. What one job has said is in no variable here."""
        self.selector.register(sys.stdin.fileno(), selectors.EVENT_READ, None)
        while all(self._hear(key) for key, _ in self.selector.select()):
            pass

    def _hear(self, key: selectors.SelectorKey) -> bool:
        """False at the end."""
        job: Job | None = key.data
        more = os.read(key.fd, 1 << 16)
        if job is not None:
            job.said += more
            if not more:
                self._end(job)
            return True
        *lines, self.waiting = (self.waiting + more).split(b"\n")
        for line in lines:
            self._begin(json.loads(line))
        return bool(more)

    def close(self) -> None:
        for key in self.selector.get_map().values():
            if key.data is not None:
                os.kill(key.data.pid, signal.SIGKILL)

    def _begin(self, asked: dict[str, Any]) -> None:
        ours, theirs = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(ours)
            work(self.vocabulary, asked["parts"], theirs)
        os.close(theirs)
        self.selector.register(ours, selectors.EVENT_READ, Job(asked["id"], pid, ours))

    def _end(self, job: Job) -> None:
        """A process that was killed has said only which part it was at."""
        self.selector.unregister(job.pipe)
        os.close(job.pipe)
        _, status = os.waitpid(job.pid, 0)
        if not job.said:
            say({"id": job.number, "part": None, "fault": None})
            return
        part, fault = json.loads(job.said.splitlines()[-1])
        say({"id": job.number, "part": part, "fault": "" if status else fault})


def work(vocabulary: Vocabulary, parts: list[tuple[str, str]], pipe: int) -> NoReturn:
    """In a forked process. Says [part, fault] at each step; the last stands."""
    try:
        _limit()
        for part, (kind, text) in enumerate(parts):
            os.write(pipe, _line([part, ""]))
            fault = _fault(vocabulary, kind, text)
            if fault is not None:
                os.write(pipe, _line([part, fault]))
                os._exit(0)
        os.write(pipe, _line([0, None]))
        os._exit(0)
    finally:
        os._exit(1)


def _fault(vocabulary: Vocabulary, kind: str, text: str) -> str | None:
    """What is wrong with one part; None where nothing is."""
    try:
        _clock(CHECK_SECONDS)
        vocabulary.check(kind, text)
        _clock(JOB_SECONDS)
        vocabulary.compile(kind, text)
        if vocabulary.is_slow(kind, text):
            return ""
    except MemoryError:
        return ""
    except Exception as error:  # noqa: BLE001  (xgrammar has many kinds, and each means that the engine refuses it)
        if "bad_alloc" in str(error):
            return ""
        return PLACE.sub("", str(error)).strip()[:REASON_CHARACTERS] or type(error).__name__
    return None


def _limit() -> None:
    _die_with_parent()
    os.nice(10)
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text().splitlines()
        held_kib = next(int(line.split()[1]) for line in lines if line.startswith("VmData"))
        resource.setrlimit(resource.RLIMIT_DATA, ((held_kib << 10) + MEMORY_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _clock(seconds: float) -> None:
    """Kills this process when it has used that much processor time more, or JOB_SECONDS in all, on all its threads."""
    left = JOB_SECONDS - time.process_time()
    signal.setitimer(signal.ITIMER_PROF, max(LEAST_SECONDS, min(seconds, left)))


def _die_with_parent() -> None:
    """On Linux; elsewhere a process ends when the pipe from the front does."""
    if ON_LINUX:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _line(said: Any) -> bytes:
    return json.dumps(said).encode() + b"\n"


def say(said: dict[str, Any]) -> None:
    os.write(sys.stdout.fileno(), _line(said))


def main() -> None:
    wanted = json.loads(sys.argv[1])
    _die_with_parent()
    try:
        vocabulary = Vocabulary(Path(wanted["model"]), wanted["vocabulary"], any_whitespace=wanted["any_whitespace"])
    except ImportError as error:
        say({"ready": False, "why": str(error)[:REASON_CHARACTERS]})
        return
    gc.freeze()
    say({"ready": True, "why": vocabulary.why_not})
    jobs = Jobs(vocabulary)
    try:
        jobs.serve()
    finally:
        jobs.close()


if __name__ == "__main__":
    main()
