"""The section `server`: where it listens, who may ask how much at once, and what is kept."""

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from firstpass.settings.section import Section

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9_.\[\]:-]+")


def default_data_dir() -> Path:
    """XDG Base Directory Specification: $XDG_DATA_HOME, else ~/.local/share."""
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "firstpass"


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
        2**27,
        gt=0,
        description="Of all bodies at once, and half of it of one key's; what is over it is answered 503, or 429 where"
        " it is its own key that has so much, but for bodies up to 64 KiB. At least twice body_limit_bytes.",
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
        256,
        ge=0,
        description="So many more wait for each model, who has the fewest there first; of one key as many as leave room"
        " for as many others, so half at most. What does not fit is answered 429 where it is its own key that has so"
        " many, 503 where it is all.",
    )
    waiting_seconds: float = Field(
        5.0,
        gt=0,
        description="How long one waits at most, or as long as its caller says where that is shorter"
        " (x-stainless-timeout, x-envoy-expected-rq-timeout-ms). Who is expected to wait in vain is refused at once.",
    )
    header_seconds: float = Field(
        10.0, gt=0, description="A connection whose request's headers have not arrived whole in this time is closed."
    )
    send_seconds: float = Field(
        7.0,
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
    results_dir: Path | None = Field(
        None,
        description="A folder whose folders are runs of `firstpass eval` and `firstpass bench`; the page shows them."
        " By default `results` in data_dir.",
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
        if self.bodies_bytes < 2 * self.body_limit_bytes:
            raise ValueError(
                f"bodies_bytes ({self.bodies_bytes}) must be twice body_limit_bytes ({self.body_limit_bytes}) or more:"
                " half of it is all that one key has, whose largest bodies would never be read"
            )
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
    def results_path(self) -> Path:
        return self.results_dir or self.data_dir / "results"

    @property
    def pepper_path(self) -> Path:
        return self.data_dir / "pepper"

    @property
    def log_key_path(self) -> Path:
        """Of the key that signs checkpoints of the log."""
        return self.data_dir / "log-key"
