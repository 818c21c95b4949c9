"""HTTPS with real certificates over real connections, and what is said where a server does without."""

import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from firstpass.errors import BadSettings
from firstpass.front import front
from firstpass.settings import Settings
from tests.certificates import Authority
from tests.listening import listening


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def https(authority: Authority) -> dict[str, Any]:
    certificate, key = authority.issue("server")
    return {"tls_certificate": certificate, "tls_key": key}


def trusting(ca: Path, pair: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    if pair:
        context.load_cert_chain(*pair)
    return context


def test_a_client_that_trusts_the_ca_is_answered_and_no_other(
    authority: Authority, https: dict[str, Any], tmp_path: Path
) -> None:
    with listening(tmp_path, **https) as url:
        assert url.startswith("https://")
        assert httpx.get(f"{url}/healthz", verify=trusting(authority.file)).json() == {"status": "ok"}
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{url}/healthz")


def test_tls_before_1_2_is_refused(authority: Authority, https: dict[str, Any], tmp_path: Path) -> None:
    old = trusting(authority.file)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with listening(tmp_path, **https) as url:
        with pytest.raises(httpx.ConnectError, match="SSL"):
            httpx.get(f"{url}/healthz", verify=old)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert httpx.get(f"{url}/healthz", verify=old).status_code == 200


def test_where_clients_need_a_certificate_one_of_another_ca_is_none(
    authority: Authority, https: dict[str, Any], tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger")
    with listening(tmp_path, **https, tls_client_ca=authority.file) as url:
        ours = trusting(authority.file, authority.issue("client"))
        assert httpx.get(f"{url}/healthz", verify=ours).status_code == 200
        for pair in (None, stranger.issue("client")):
            with pytest.raises(httpx.HTTPError):
                httpx.get(f"{url}/healthz", verify=trusting(authority.file, pair))


def told(*arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "firstpass", *arguments]
    return subprocess.run(command, capture_output=True, env=os.environ | variables, timeout=600, check=False)


def test_the_command_line_trusts_a_ca_that_it_is_told_of(
    authority: Authority, https: dict[str, Any], tmp_path: Path
) -> None:
    with listening(tmp_path, **https) as url:
        unsure = told("ask", "--url", url, "hi")
        sure = told("explain", "--url", url, "--ca", str(authority.file), "hi")
        wrong = told("ask", "--url", url, "hi", FIRSTPASS_CA=__file__)
    assert unsure.returncode == 1 and b"CERTIFICATE_VERIFY_FAILED" in unsure.stderr
    assert sure.returncode == 0 and b"firstpass means cascade" in sure.stdout
    assert wrong.returncode == 1 and b"no PEM file" in wrong.stderr


def settings(tmp_path: Path, **server: Any) -> Settings:
    engine = {"kind": "external", "url": "http://127.0.0.1:9/v1"}
    return Settings.model_validate({"engine": engine, "server": {"data_dir": tmp_path, "port": 0} | server})


@pytest.mark.parametrize("which", ["tls_certificate", "tls_key", "tls_client_ca"])
@pytest.mark.parametrize(
    "text", [None, "no PEM", "\u00e9", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_that_can_not_be_used_is_a_bad_setting_that_names_it(
    https: dict[str, Any], tmp_path: Path, which: str, text: str | None
) -> None:
    path = tmp_path / "file.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadSettings, match=rf"server\.{which}: .*file\.pem"):
        front(settings(tmp_path, **https | {which: path}))


def test_a_key_of_another_certificate_or_under_a_passphrase_is_a_bad_setting(
    authority: Authority, https: dict[str, Any], tmp_path: Path
) -> None:
    _, other = authority.issue("other")
    with pytest.raises(BadSettings, match=r"server\.tls_key: .* does not belong to"):
        front(settings(tmp_path, **https | {"tls_key": other}))
    certificate, locked = authority.issue("locked", b"sesame")
    with pytest.raises(BadSettings, match=r"server\.tls_key: .* passphrase"):
        front(settings(tmp_path, tls_certificate=certificate, tls_key=locked))


@pytest.mark.parametrize(
    ("given", "named"),
    [(("tls_certificate",), "tls_key"), (("tls_key",), "tls_certificate"), (("tls_client_ca",), "needs")],
)
def test_half_of_what_https_needs_is_a_bad_setting(tmp_path: Path, given: tuple[str, ...], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        settings(tmp_path, **dict.fromkeys(given, tmp_path / "x.pem"))


def test_a_key_that_others_can_read_is_warned_of(
    https: dict[str, Any], authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, key = authority.issue("open")
    key.chmod(0o640)
    front(settings(tmp_path / "one", tls_certificate=certificate, tls_key=key))
    assert "others on this machine can read" in caplog.text
    caplog.clear()
    front(settings(tmp_path / "two", **https))
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("host", "warned"), [("127.0.0.1", False), ("::1", False), ("0.0.0.0", True), ("10.0.0.1", True)]
)
def test_plain_http_beyond_loopback_is_warned_of(
    https: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture, host: str, warned: bool
) -> None:
    front(settings(tmp_path / "one", host=host))
    assert ("in the clear" in caplog.text) is warned
    caplog.clear()
    front(settings(tmp_path / "two", host=host, **https))
    assert "in the clear" not in caplog.text
