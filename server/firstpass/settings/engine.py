"""The section `engine`: the draft model, and how it is run."""

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from firstpass.engine.address import local_address
from firstpass.settings.section import Section

CPUS = r"^\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*$"


def _range(said: str) -> range:
    """Of 3 or 0-7."""
    first, _, last = said.partition("-")
    return range(int(first), int(last or first) + 1)


class EngineSettings(Section):
    kind: Literal["auto", "vllm", "transformers", "llama.cpp", "external"] = Field(
        "auto", description="auto: llama.cpp for a GGUF file; else vLLM where it is installed, else transformers."
    )
    model: str = Field(
        "firstpass-draft-10m",
        description="A catalogue name, a model directory or a GGUF file; the name there for kind external.",
    )
    binary: Path | None = Field(
        None, description="For kind llama.cpp: its server; by default `llama-server` as PATH finds it."
    )
    models_dir: Path | None = Field(
        None, description="Where `firstpass models pull` puts models; by default `models` in server.data_dir."
    )
    url: str | None = Field(
        None, description="For kind external: a server on this machine, as http://127.0.0.1:PORT/v1 or unix:/path."
    )
    context_tokens: int | None = Field(
        None,
        gt=0,
        description="Longest prompt and answer together. By default the model's own; on a CPU as much of it as a cache"
        " of 4 GiB holds.",
    )
    threads: int | None = Field(
        None, gt=0, description="CPU threads; by default one for a small model, else one a core."
    )
    cpus: str | None = Field(
        None,
        pattern=CPUS,
        description="Those that it runs on, as 0-7 or 0,2,4-7: by default all. Two engines that work at once must not"
        " share one, and one whose cores lie on two sockets waits for its own memory.",
    )
    preload: tuple[Path, ...] = Field(
        (), description="Libraries that are loaded before the engine's own, as libtcmalloc_minimal.so.4 or libiomp5.so."
    )
    start_deadline_seconds: float = Field(300.0, gt=0, description="A start that takes longer has failed.")
    reply_seconds: float = Field(300.0, gt=0, description="How long a reply may stay silent.")
    whole_seconds: float = Field(3600.0, gt=0, description="How long a reply may take in all, streamed or not.")
    reply_limit_bytes: int = Field(
        64 * 2**20, gt=0, description="Of a reply; a streamed one may have 16 times as many. More is an error."
    )
    canary_seconds: float = Field(
        9.0,
        gt=0,
        description="An engine that was asked, by a canary of one token too, and says nothing to anybody for so long is"
        " taken to hang: it is ended and started again. An external one is sent nothing until it answers again.",
    )
    canary_busy_seconds: float | None = Field(
        None,
        gt=0,
        description="The same where its processes work meanwhile, as they do over long prompts and replies that do not"
        " stream, and where nobody but a canary waits; by default reply_seconds and canary_seconds together. Less may"
        " end an engine that works. An external one is taken to work while it names its models.",
    )
    canary_idle_seconds: float = Field(
        30.0, gt=0, description="Between two canaries while nobody asks. An external engine is sent none then."
    )
    structured_outputs: bool | None = Field(
        None, description="Whether it takes vLLM's structured_outputs; by default only kind vllm is taken to."
    )
    holds_form: bool = Field(
        False,
        description="Whether drafts of contracts that the model was not trained on are held to the contract's form by a"
        " pattern, which the engine must be able to take (structured_outputs).",
    )
    images: bool | None = Field(
        None,
        description="Whether the model takes images; by default as its config.json says, and no for kind external.",
    )
    isolate: Literal["auto", "on", "off"] = Field(
        "auto",
        description="A network of its own for the engine, with nothing in it but a loopback: no other user reaches it,"
        " and it reaches nobody. auto: where Linux allows it to this user and no argument needs another machine, else"
        " with a warning; on: or the engine does not start. An external engine has the network that it was started in.",
    )
    extra_args: tuple[str, ...] = Field((), description="Further command-line flags for the engine.")
    pinned: bool | None = Field(
        None,
        description="Whether it is loaded from the beginning to the end, and never leaves for another; by default the"
        " only one is, unless it leaves by itself or sleeps, and an external one, which others run.",
    )
    idle_seconds: float | None = Field(
        None, gt=0, description="It leaves the memory when nobody has used it for so long; by default it stays."
    )
    sleeps: bool = Field(
        False,
        description="For kind vllm on a GPU, not tried on one yet: where it would be ended to make room it is put to"
        " sleep instead. Its weights wait in the main memory, or are read again where that has no room for them.",
    )
    priority: int = Field(
        0, description="Where another needs the room, the lowest leaves first; of several, the least recently used."
    )
    memory_bytes: int | None = Field(
        None,
        gt=0,
        description="What it takes, until that has been seen; by default reckoned from its weights and its context.",
    )

    @property
    def cpu_numbers(self) -> tuple[int, ...]:
        """In order, each once; none: all."""
        return tuple(sorted({number for part in (self.cpus or "").split(",") if part for number in _range(part)}))

    @model_validator(mode="after")
    def _runs_somewhere(self) -> Self:
        if self.cpus is not None:
            self._has_cpus(self.cpus)
        for library in self.preload:
            if not library.is_absolute() or not library.is_file():
                raise ValueError(f"preload: {library} is no file by an absolute path")
            if set(str(library)) & set(": ,"):  # ld.so(8), LD_PRELOAD: separated by spaces or colons; ours by commas.
                raise ValueError(
                    f"preload: {library} has a colon, a space or a comma in its path, which part libraries"
                )
        return self

    def _has_cpus(self, said: str) -> None:
        """Raises: ValueError."""
        if backwards := next((part for part in said.split(",") if not _range(part)), None):
            raise ValueError(f"cpus: {backwards} ends before it begins")
        if not hasattr(os, "sched_getaffinity"):
            raise ValueError("cpus: this system binds no process to some of them")
        if missing := set(self.cpu_numbers) - os.sched_getaffinity(0):
            raise ValueError(f"cpus: {said}: there is no CPU {min(missing)} for this process")

    @model_validator(mode="after")
    def _external_is_local(self) -> Self:
        if (self.kind == "external") != (self.url is not None):
            raise ValueError("engine.url and engine.kind = 'external' belong together")
        if self.pinned and self.idle_seconds is not None:
            raise ValueError("idle_seconds: a pinned engine never leaves")
        if self.pinned and self.sleeps:
            raise ValueError("sleeps: a pinned engine never leaves")
        if self.sleeps and self.kind not in ("auto", "vllm"):
            raise ValueError("sleeps belongs to kind vllm")
        if self.canary_busy_seconds is not None and self.canary_busy_seconds < self.canary_seconds:
            raise ValueError("canary_busy_seconds must not be less than canary_seconds")
        if self.binary is not None and self.kind not in ("auto", "llama.cpp"):
            raise ValueError("binary belongs to kind llama.cpp")
        if self.url is not None:
            local_address(self.url)
            if self.context_tokens or self.threads or self.extra_args or self.cpus or self.preload:
                what = "context_tokens, threads, cpus, preload and extra_args"
                raise ValueError(f"{what} do not reach an external engine")
            if "canary_idle_seconds" in self.model_fields_set:
                raise ValueError("canary_idle_seconds does not reach an external engine")
            if self.idle_seconds is not None or self.memory_bytes is not None or self.pinned is False:
                raise ValueError("pinned, idle_seconds and memory_bytes do not reach an external engine")
            if self.isolate == "on":
                raise ValueError("isolate = 'on' does not reach an external engine")
        return self
