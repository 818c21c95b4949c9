"""The section `verifier`: the stronger model, and what is borne of it."""

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from firstpass.loopback import is_loopback
from firstpass.settings.section import Section


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
    ceiling: Literal["redacted", "any"] = Field(
        "any", description="The most that may go there: redacted, or all that a request's own ceiling allows."
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
        description="How often a request is sent again where the endpoint was busy, failed, or could not be reached,"
        " or broke off before its caller saw any of the reply. Each time is in the record, and counts for a spend cap.",
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
        if not self.hosted and "ceiling" in self.model_fields_set:
            raise ValueError("ceiling does not hold for a verifier on this machine (hosted = false)")
        if self.mode == "score" and self.dialect == "anthropic":
            raise ValueError("mode = 'score' needs a vLLM, and dialect = 'openai' with it")
        return self
