"""Real certificates for tests, made by a CA of their own. Knows no server."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class Authority:
    """A CA. `issue` gives the files of a certificate of 127.0.0.1 and localhost, and of its key."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._bits = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        made = (
            self._blank(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(self._bits, critical=False)
        )
        self.file = self._written(f"{name}.pem", self._signed(made))

    def issue(self, name: str, passphrase: bytes | None = None) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._bits)
        blank = self._blank(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)
        made = blank.add_extension(names, critical=False).add_extension(issuer, critical=False)
        form, encoding = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
        locked = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        secret = self._written(f"{name}.key", key.private_bytes(encoding, form, locked))
        secret.chmod(0o600)
        return self._written(f"{name}.pem", self._signed(made)), secret

    def _blank(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        blank = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        numbered = blank.serial_number(x509.random_serial_number())
        return numbered.not_valid_before(now - DAY).not_valid_after(now + DAY)

    def _signed(self, made: x509.CertificateBuilder) -> bytes:
        return made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _written(self, name: str, data: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(data)
        return path
