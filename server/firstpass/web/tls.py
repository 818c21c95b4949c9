"""HTTPS: a context from PEM files, or an error that says which of them is at fault. It knows no setting's place."""

import logging
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from firstpass.errors import BadSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pair:
    """client_ca: CAs of which a client has to have a certificate; None where it needs none."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Raises: BadSettings that names the setting."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _trust(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "tls_certificate", self.certificate)
        _read("tls_key", self.key)
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_passphrase)
        except (ssl.SSLError, ValueError) as error:
            why = "does not belong to" if "MISMATCH" in str(error) else "can not be used with"
            raise BadSettings(f"server.tls_key: {self.key} {why} {self.certificate} ({error})") from error
        if self.client_ca is not None:
            _trust(context, "tls_client_ca", self.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        if stat.S_IMODE(self.key.stat().st_mode) & (stat.S_IRGRP | stat.S_IROTH):
            log.warning("server.tls_key: others on this machine can read %s; chmod it to 600", self.key)
        return context


def _trust(context: ssl.SSLContext, setting: str, path: Path) -> None:
    try:
        context.load_verify_locations(cadata=_read(setting, path))
    except (ssl.SSLError, ValueError) as error:
        raise BadSettings(f"server.{setting}: {path} has no certificate in PEM ({error})") from error


def _read(setting: str, path: Path) -> str:
    try:
        return path.read_bytes().decode("ascii", "ignore")
    except OSError as error:
        raise BadSettings(f"server.{setting}: {path} can not be read ({error})") from error


def _no_passphrase() -> NoReturn:
    raise ValueError("it has a passphrase, which nobody can be asked for")
