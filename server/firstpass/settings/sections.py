"""The sections of the settings, each value with what it means. They are read from nowhere here."""

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pathspec import GitIgnoreSpec
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from firstpass.engine.external import is_loopback, local_address
from firstpass.evidence import LanguageName
from firstpass.linear import Expression, NotLinear


def default_data_dir() -> Path:
    """XDG Base Directory Specification: $XDG_DATA_HOME, else ~/.local/share."""
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "firstpass"


_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9_.\[\]:-]+")


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(Section):
    host: str = Field("127.0.0.1", description="Address to listen on. Anything but loopback requires API keys.")
    port: int = Field(8080, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    keys: Literal["auto", "required"] = Field(
        "auto", description="auto: API keys are required unless the server listens on loopback only."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Host names, beside loopback and the listening address, that the Host header may carry. Where the"
        " server listens beyond loopback, any may as long as none is named here.",
    )
    allowed_origins: tuple[str, ...] = Field(
        (),
        description="Pages and applications in browsers that may ask, each exactly as its Origin header says it:"
        " https://chat.example, app://obsidian.md. None by default.",
    )
    body_limit_bytes: int = Field(4 * 2**20, gt=0, description="Larger request bodies are answered 413.")
    bodies_bytes: int = Field(
        2**27, gt=0, description="Of all bodies at once; what is over it is answered 503, but for those up to 64 KiB."
    )
    body_seconds: float = Field(
        10.0, gt=0, description="A body must have arrived whole in this time, and a second more for each 64 KiB of it."
    )
    in_flight_limit: int = Field(
        64,
        gt=0,
        description="So many requests at once are at the draft model; more than its engine works on at once (vLLM's"
        " --max-num-seqs) only wait there. Where keys are required, an eighth is kept for those that have none there."
        " As many token counts run beside them, and as many wait.",
    )
    waiting_limit: int = Field(
        128,
        ge=0,
        description="So many more wait for each model, who has the fewest there first. What does not fit is answered"
        " 429 where it is its own key that has so many, 503 where it is all.",
    )
    waiting_seconds: float = Field(
        5.0,
        gt=0,
        description="How long one waits at most, or as long as its caller says where that is shorter"
        " (x-stainless-timeout, x-envoy-expected-rq-timeout-ms). What can be expected to take half of it is refused at"
        " once.",
    )
    header_seconds: float = Field(
        10.0, gt=0, description="A connection whose request's headers have not arrived whole in this time is closed."
    )
    send_seconds: float = Field(
        10.0,
        gt=0,
        description="A caller that takes less than 4 KiB a second of what waits to be sent, for so long, is dropped.",
    )
    connections: int = Field(
        4096, gt=0, description="Where there are more, the one goes that has said nothing for longest."
    )
    connections_an_address: int = Field(
        512,
        gt=0,
        description="The same of one address (of IPv6, one /64); not of loopback and of trusted_proxies.",
    )
    wrong_keys_a_minute: int = Field(
        10,
        gt=0,
        description="Wrong API keys that one address (of IPv6, one /64) may try; more are answered 429, unlooked at."
        " A key that was right before is answered all the same.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        (),
        description="Addresses or networks of proxies in front, whose X-Forwarded-For is believed. Without it, all who"
        " come through a proxy have its address.",
    )
    tls_certificate: Path | None = Field(
        None, description="A PEM file, the certificate and what links it to its CA: HTTPS, of TLS 1.2 or later."
    )
    tls_key: Path | None = Field(None, description="Its private key, a PEM file without a passphrase.")
    tls_client_ca: Path | None = Field(
        None, description="A PEM file of CAs: then only clients with a certificate of one of them are answered."
    )
    unknown_models: Literal["auto", "cascade", "local", "refuse"] = Field(
        "auto",
        description="Who answers for a model whose name is none here. auto: the cascade where the server listens on"
        " loopback only, else nobody. The answer's header x-firstpass-model says who did.",
    )
    contracts_dir: Path | None = Field(
        None, description="A folder of contracts of your own, NAME/VERSION/contract.toml and so on."
    )
    allowed_startup_files: tuple[str, ...] = Field(
        (),
        description="Names of .pth files, sitecustomize.py or usercustomize.py that may run at every start of Python"
        " though no installed package lists them; with any other the server does not start.",
    )
    log_format: Literal["text", "json"] = Field(
        "text",
        description="Of the log on stderr. json: a line of JSON for each message, and for each exchange one with its"
        " id, route, status, tokens, seconds, key and findings, and no word of a caller or a model.",
    )
    data_dir: Path = Field(default_factory=default_data_dir, description="Where the record, keys and logs are kept.")
    keep_bytes: int = Field(
        4 * 2**30,
        ge=2**20,
        description="The oldest exchanges go, with their labels, when the record is larger. The log of what left and of"
        " what went stays, and does not count: the file may be larger by as much. The disk has the space back, but not"
        " of a file that an older version made: that one grows no further.",
    )
    keep_days: float | None = Field(
        None, gt=0, description="Exchanges go, with their labels, when they are older. By default none does."
    )
    checkpoints: Path | None = Field(
        None,
        description="A file, best on another disk or machine, to which signed checkpoints of the log are appended: at"
        " start, while it grows, and at the end. A log that is not the one of the last of them is refused at start.",
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            ip_network(proxy)
        return proxies

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca needs tls_certificate and tls_key")
        return self

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin: a scheme, :// and a host, such as https://chat.example")
        return origins

    @property
    def store_path(self) -> Path:
        return self.data_dir / "firstpass.sqlite"

    @property
    def pepper_path(self) -> Path:
        return self.data_dir / "pepper"

    @property
    def log_key_path(self) -> Path:
        """Of the key that signs checkpoints of the log."""
        return self.data_dir / "log-key"


class EngineSettings(Section):
    kind: Literal["auto", "vllm", "transformers", "external"] = Field(
        "auto", description="auto: vLLM where it is installed, else transformers."
    )
    model: str = Field(
        "firstpass-draft-10m",
        description="A catalogue name or a model directory; the name there for kind external.",
    )
    models_dir: Path | None = Field(
        None, description="Where `firstpass models pull` puts models; by default `models` in server.data_dir."
    )
    url: str | None = Field(
        None, description="For kind external: a server on this machine, as http://127.0.0.1:PORT/v1 or unix:/path."
    )
    context_tokens: int | None = Field(None, gt=0, description="Shorter context than the model's own.")
    threads: int | None = Field(
        None, gt=0, description="CPU threads; by default one for a small model, else one a core."
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
        " taken to hang: it is ended and started again.",
    )
    canary_busy_seconds: float | None = Field(
        None,
        gt=0,
        description="The same where its processes work meanwhile, as they do over long prompts and replies that do not"
        " stream, and where nobody but a canary waits; by default reply_seconds and canary_seconds together. Less may"
        " end an engine that works.",
    )
    canary_idle_seconds: float = Field(
        30.0, gt=0, description="Between two canaries while nobody asks. An external engine is sent none."
    )
    structured_outputs: bool | None = Field(
        None, description="Whether it takes vLLM's structured_outputs; by default only kind vllm is taken to."
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

    @model_validator(mode="after")
    def _external_is_local(self) -> Self:
        if (self.kind == "external") != (self.url is not None):
            raise ValueError("engine.url and engine.kind = 'external' belong together")
        if self.canary_busy_seconds is not None and self.canary_busy_seconds < self.canary_seconds:
            raise ValueError("canary_busy_seconds must not be less than canary_seconds")
        if self.url is not None:
            local_address(self.url)
            if self.context_tokens or self.threads or self.extra_args:
                raise ValueError("context_tokens, threads and extra_args do not reach an external engine")
            if named := [name for name in sorted(self.model_fields_set) if name.startswith("canary_")]:
                raise ValueError(f"{named[0]} does not reach an external engine")
            if self.isolate == "on":
                raise ValueError("isolate = 'on' does not reach an external engine")
        return self


class VerifierSettings(Section):
    url: str = Field(
        description="Base URL of an OpenAI- or Anthropic-compatible endpoint, with its path prefix (.../v1)."
    )
    model: str = Field(description="The model's name at that endpoint.")
    dialect: Literal["openai", "anthropic"] = Field("openai", description="Which of the two APIs the endpoint speaks.")
    api_key: SecretStr | None = Field(
        None, description="Sent as a Bearer token, or as x-api-key where the dialect is anthropic."
    )
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="Of dialect openai: what the endpoint calls the limit; newer models want the longer."
    )
    thinks: bool | None = Field(
        None,
        description="Whether the model thinks before it answers: a contract's limit then has room for thoughts, and its"
        " temperature is left out. By default so with the dialect anthropic and with max_completion_tokens.",
    )
    system_turns: bool = Field(
        True,
        description="Of dialect anthropic: whether the model takes system turns between others, as Claude does since"
        " Opus 4.8, but for Sonnet 5; where it does not, they are written into the user's turns.",
    )
    images: bool | None = Field(
        None, description="Whether the model takes images; by default so with the dialect anthropic, as Claude does."
    )
    hosted: bool = Field(True, description="false: a second engine on this machine's loopback, free of the ceiling.")
    reply_seconds: float = Field(120.0, gt=0, description="How long a reply may stay silent.")
    whole_seconds: float = Field(
        120.0,
        gt=0,
        description="How long a reply that does not stream, such as a verdict, may take; then it is a reject.",
    )
    stream_seconds: float = Field(900.0, gt=0, description="How long a reply that streams may take in all.")
    reply_limit_bytes: int = Field(
        8 * 2**20, gt=0, description="Of a reply; a streamed one may have 16 times as many. More is an error."
    )

    retries: int = Field(
        2,
        ge=0,
        description="How often a request is sent again where the endpoint was busy, failed, or could not be reached"
        " before its reply began. Each time is in the record.",
    )
    retry_share: float = Field(
        0.1, ge=0, le=1, description="How many retries there may be, of all requests; ten beyond it, at most."
    )
    retry_seconds: float = Field(
        5.0,
        ge=0,
        description="No retry begins later than this after its request did; a Retry-After is waited for within it.",
    )
    breaker_failures: int = Field(
        10, gt=0, description="After so many failures one after the other the endpoint is left alone."
    )
    breaker_seconds: float = Field(
        10.0, gt=0, description="How long it is left alone; then one request tries whether it works."
    )

    in_flight_limit: int = Field(64, gt=0, description="So many requests at once are at the verifier; others wait.")
    mode: Literal["verdict", "score"] = Field(
        "verdict",
        description="score: what passes the checks but not the gate is first scored in one prefill, by the"
        " prompt_logprobs that vLLM gives; only where a name is doubted a verdict is asked for.",
    )
    score_floor: float = Field(
        -4.0, le=0, description="In nats: a name with a token that the verifier finds less likely is doubted."
    )

    usd_per_million_input_tokens: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Its price, for spend caps; of cached tokens too."
    )
    usd_per_million_output_tokens: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Likewise, for what it writes, its thoughts among it."
    )

    @model_validator(mode="after")
    def _has_both_prices(self) -> Self:
        if (self.usd_per_million_input_tokens is None) != (self.usd_per_million_output_tokens is None):
            raise ValueError("usd_per_million_input_tokens and usd_per_million_output_tokens belong together")
        return self

    @field_validator("api_key")
    @classmethod
    def _fits_a_header(cls, key: SecretStr | None) -> SecretStr | None:
        if key and not (key.get_secret_value().isascii() and key.get_secret_value().isprintable()):
            raise ValueError("must be printable ASCII: it goes into a header")
        return key

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// URL")
        return url

    @model_validator(mode="after")
    def _safe(self) -> Self:
        parts = urlsplit(self.url)
        loopback = is_loopback(parts.hostname or "")
        if not self.hosted and not loopback:
            raise ValueError("hosted = false needs a loopback url")
        if parts.scheme == "http" and not loopback:
            raise ValueError("a url off this machine must be https")
        return self

    @model_validator(mode="after")
    def _fits_the_dialect(self) -> Self:
        other = "system_turns" if self.dialect == "openai" else "max_tokens_name"
        if other in self.model_fields_set:
            raise ValueError(f"{other} does not belong to the dialect {self.dialect}")
        if self.mode == "score" and self.dialect == "anthropic":
            raise ValueError("mode = 'score' needs a vLLM, and dialect = 'openai' with it")
        return self


class RuleSettings(Section):
    """Every condition that is named must hold."""

    name: str = Field(min_length=1, description="Said in the record, and in errors where the rule can not be met.")
    then: Literal["strong", "local", "cascade"] = Field(description="Where a request that fits goes.")
    paths: tuple[str, ...] = Field((), description="Patterns as in .gitignore, for a changed file's old or new path.")
    languages: tuple[LanguageName, ...] = Field((), description="Of a changed file.")
    contracts: tuple[str, ...] = Field((), description="Names without versions; `none` for a request without one.")
    keys: tuple[str, ...] = Field((), description="Owners of API keys, as `firstpass keys list` shows them.")
    over_bytes: int | None = Field(None, ge=0, description="Of all messages together, with their images in base64.")
    over_changed_lines: int | None = Field(None, ge=0, description="Added and removed lines of the diff.")
    over_openings: int | None = Field(
        None, ge=0, description="Names that the diff may newly call: a cheap estimate of how hard it is."
    )
    text: str | None = Field(None, description="A regular expression, in RE2's syntax, looked for in all messages.")

    @field_validator("text")
    @classmethod
    def _is_an_expression(cls, text: str | None) -> str | None:
        try:
            Expression(text or "")
        except NotLinear as error:
            raise ValueError(f"the expression {error}") from error
        return text

    @field_validator("paths")
    @classmethod
    def _are_patterns(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        GitIgnoreSpec.from_lines(paths)
        return paths


class PolicySettings(Section):
    egress: Literal["local-only", "redacted", "any"] = Field(
        "local-only", description="The ceiling for every request; a key or a request may only ask for a stricter one."
    )
    rules: tuple[RuleSettings, ...] = Field(
        (), description="Looked at in this order for each request to the cascade; the first that fits decides."
    )
    gates: tuple[Path, ...] = Field(
        (),
        description="Files that `firstpass calibrate` made, each for the engine's model. Of those that fit a request"
        " the narrowest counts: key before language before neither; two for the same requests are an error.",
    )
    keyless_usd_a_day: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="What all callers without an API key together may cost at the verifier in a day of UTC, by its"
        " prices. Keys have caps of their own.",
    )
    audit_share: float = Field(
        0.05, ge=0, le=1, description="Of the answers that a gate accepts, how many are marked to be labelled."
    )
    auditors: tuple[str, ...] = Field(
        (), description="Owners of the API keys whose labels of marked answers count; by default every caller's do."
    )
    early_escalation: bool = Field(
        False,
        description="Cut a draft off as soon as a line of it has a fault that would end at the verifier, which then"
        " answers in its place.",
    )
    signals: bool = Field(
        False, description="Record what a gate would look at for every checked draft, also where there is no gate."
    )


class RedactionSettings(Section):
    """What the ceiling `redacted` holds back, beside what the detectors find by themselves."""

    credentials: bool = Field(
        True,
        description="Recognise the secrets that this machine knows: in the server's environment, in the files where"
        " tools keep credentials in the home directory, and the keys in these settings.",
    )
    files: tuple[Path, ...] = Field(
        (), description="Further files of secrets: NAME=secret or a secret a line. Read once, at the start."
    )
    words: tuple[str, ...] = Field(
        (), description="Names that do not leave, such as customers, hosts and projects: whole words, in any case."
    )
    patterns: dict[str, str] = Field(
        {}, description="Further kinds, each with an expression of RE2. The kind, A-Z and _, stands in the placeholder."
    )

    @field_validator("words")
    @classmethod
    def _are_words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if any(not word.strip() for word in words):
            raise ValueError("an empty word would be everywhere")
        return words

    @field_validator("patterns")
    @classmethod
    def _are_expressions(cls, patterns: dict[str, str]) -> dict[str, str]:
        for kind, pattern in patterns.items():
            if not re.fullmatch(r"[A-Z][A-Z_]{0,31}", kind):
                raise ValueError(f"{kind!r} is no kind: it needs A-Z and _ alone")
            try:
                empty = Expression(pattern).fits("")
            except NotLinear as error:
                raise ValueError(f"{kind} {error}") from error
            if empty:
                raise ValueError(f"{kind} fits an empty text, which is everywhere")
        return patterns


class TelemetrySettings(Section):
    """Traces, which are off unless one of these is set. They need `pip install firstpass[telemetry]`, or vLLM's own."""

    traces_url: str | None = Field(
        None,
        description="A collector on this machine that takes OTLP over HTTP, as http://127.0.0.1:4318/v1/traces. No span"
        " has a word of a caller or a model.",
    )
    traces_file: Path | None = Field(
        None,
        description="A file that spans are appended to, a line of JSON each. Once it has 1 GiB, no more are written"
        " until it is moved away and the server starts again; one line of the log says so.",
    )

    @model_validator(mode="after")
    def _stays_here(self) -> Self:
        if self.traces_url is not None and self.traces_file is not None:
            raise ValueError("traces_url and traces_file exclude each other")
        parts = urlsplit(self.traces_url or "http://127.0.0.1")
        if parts.scheme not in ("http", "https") or not is_loopback(parts.hostname or ""):
            raise ValueError(
                f"traces_url: {self.traces_url!r} is not on this machine's loopback, and nothing may leave"
            )
        return self
