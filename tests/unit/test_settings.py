"""Settings: from a real file and an environment; unknown keys are errors; every setting is described."""

import os
from pathlib import Path

import pytest
from pydantic import BaseModel

from firstpass.errors import BadSettings
from firstpass.settings import (
    EngineSettings,
    PolicySettings,
    Server,
    Settings,
    TelemetrySettings,
    VerifierSettings,
    load,
)


def test_the_defaults_stay_on_this_machine() -> None:
    settings = load(environment={})
    assert settings.server.host == "127.0.0.1" and settings.verifier is None
    assert settings.policy.egress == "local-only"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text('[server]\nport = 1\nhost = "127.0.0.2"\n')
    settings = load(tmp_path / "f.toml", {"FIRSTPASS_SERVER__PORT": "2"})
    assert (settings.server.port, settings.server.host) == (2, "127.0.0.2")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server]\nprot = 1\n", "server.prot"),
        ("[serve]\nport = 1\n", "serve"),
        ("[server]\nport = 70000\n", "server.port"),
        ('[engine]\ncpus = "0-"\n', "engine.cpus"),
        ('[engine]\ncpus = "0,9999"\n', "no CPU 9999"),
        ('[engine]\npreload = ["libx.so"]\n', "preload: libx.so"),
        ('[engine]\npreload = ["/no/libx.so"]\n', "preload: /no/libx.so"),
        ('[engine]\nkind = "external"\nurl = "http://127.0.0.1:1/v1"\ncpus = "0"\n', "do not reach"),
        ('[engine]\nkind = "external"\n', "engine.url"),
        ('[engine]\nkind = "external"\nurl = "http://10.0.0.1/v1"\n', "loopback"),
        ('[engine]\nkind = "external"\nurl = "http://127.0.0.1:1/modèle"\n', "no URL has"),
        ('[engine]\nkind = "external"\nurl = "http://[::1%é]:1/v1"\n', "no URL has"),
        ('[engine]\nkind = "external"\nurl = "http://127.0.0.1:1/a b"\n', "no URL has"),
        ("[server]\nbodies_bytes = 8000000\n", r"twice body_limit_bytes \(4194304\)"),
        ('[verifier]\nurl = "http://models.example/v1"\nmodel = "m"\n', "https"),
        ('[verifier]\nurl = "https://models.example/v1"\nmodel = "m"\nhosted = false\n', "loopback"),
        ('[verifier]\nurl = "https://a.example"\nmodel = "m"\ndialect = "anthropic"\nmode = "score"\n', "vLLM"),
        ('[policy]\negress = "masked"\n', "policy.egress"),
        ('[redaction]\nwords = [" "]\n', "redaction.words"),
        ('[redaction]\npatterns = {TICKET = "("}\n', "TICKET is no regular"),
        ('[redaction]\npatterns = {TICKET = "a*"}\n', "TICKET fits an empty"),
        ('[redaction]\npatterns = {ticket = "a"}\n', "no kind"),
        ("not toml", "f.toml"),
        ('[engine]\nkind = "external"\nurl = "http://127.0.0.1:1/v1"\nthreads = 2\n', "external"),
        (
            '[engine]\nkind = "external"\nurl = "http://127.0.0.1:1/v1"\ncanary_idle_seconds = 2\n',
            "canary_idle_seconds",
        ),
        ('[engine]\nkind = "external"\nurl = "http://127.0.0.1:1/v1"\nsleeps = true\n', "sleeps belongs to kind vllm"),
        ('[engines.a]\nkind = "llama.cpp"\nsleeps = true\n', "sleeps belongs to kind vllm"),
        ("[engine]\npinned = true\nsleeps = true\n", "sleeps: a pinned engine never leaves"),
        ("[engine]\ncanary_seconds = 0\n", "engine.canary_seconds"),
        ("[engine]\ncanary_idle_seconds = 0\n", "engine.canary_idle_seconds"),
        ("[engine]\ncanary_seconds = 60\ncanary_busy_seconds = 30\n", "canary_busy_seconds must not be less"),
        ('[verifier]\nurl = "https://models.example/v1"\nmodel = "m"\napi_key = "é"\n', "api_key"),
        ('[verifier]\nurl = "https://models.example/v1"\nmodel = "m"\ndialect = "cohere"\n', "verifier.dialect"),
        ('[verifier]\nurl = "https://models.example/v1"\nmodel = "m"\nsystem_turns = false\n', "system_turns"),
        ('[server]\ntls_key = "key.pem"\n', "tls_certificate"),
        ('[server]\ntrusted_proxies = ["proxy.example"]\n', "server.trusted_proxies"),
        ('[telemetry]\ntraces_url = "http://traces.example:4318/v1/traces"\n', "nothing may leave"),
        ('[telemetry]\ntraces_url = "http://127.0.0.1:4318/v1/traces"\ntraces_file = "a"\n', "exclude each other"),
        ("[policy]\nkeyless_usd_a_day = 5\n", "policy.keyless_usd_a_day needs the prices"),
        (
            '[verifier]\nurl = "https://models.example/v1"\nmodel = "m"\nusd_per_million_input_tokens = 3\n',
            "usd_per_million_output_tokens",
        ),
        (
            '[verifier]\nurl = "https://models.example/v1"\nmodel = "m"\ndialect = "anthropic"\n'
            'max_tokens_name = "max_tokens"\n',
            "max_tokens_name",
        ),
    ],
)
def test_a_bad_setting_is_an_error_that_names_it(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "f.toml").write_text(text)
    with pytest.raises(BadSettings, match=named):
        load(tmp_path / "f.toml", {})


@pytest.mark.parametrize("name", ["FIRSTPASS_PORT", "FIRSTPASS_SERVER__PROT", "FIRSTPASS_SERVE__PORT"])
def test_an_unknown_variable_is_an_error(name: str) -> None:
    with pytest.raises(BadSettings):
        load(environment={name: "1"})


def test_a_key_does_not_show_when_settings_are_printed() -> None:
    environment = {
        "FIRSTPASS_VERIFIER__URL": "https://models.example/v1",
        "FIRSTPASS_VERIFIER__MODEL": "m",
        "FIRSTPASS_VERIFIER__API_KEY": "hush",
    }
    assert "hush" not in repr(load(environment=environment))


def test_one_of_several_verifiers_has_its_key_from_the_environment(tmp_path: Path) -> None:
    """The variable was refused, so that each key had to stand in the file."""
    tables = "".join(
        f'[verifiers.{name}]\nurl = "https://{name}.example/v1"\nmodel = "m"\n' for name in ("near", "Far-1")
    )
    (tmp_path / "f.toml").write_text(tables)
    settings = load(tmp_path / "f.toml", {"FIRSTPASS_VERIFIERS__FAR_1__API_KEY": "hush"})
    assert list(settings.verifiers) == ["near", "Far-1"] and "hush" not in repr(settings)
    key = settings.verifiers["Far-1"].api_key
    assert key is not None and key.get_secret_value() == "hush" and settings.verifiers["near"].api_key is None
    with pytest.raises(BadSettings, match="FIRSTPASS_VERIFIERS__<NAME>__<KEY>"):
        load(tmp_path / "f.toml", {"FIRSTPASS_VERIFIERS__API_KEY": "hush"})


def test_lists_in_the_environment_are_read_as_people_write_them() -> None:
    environment = {
        "FIRSTPASS_SERVER__ALLOWED_HOSTS": "a.example, b.example,",
        "FIRSTPASS_SERVER__TRUSTED_PROXIES": "10.0.0.1, 10.1.0.0/16",
        "FIRSTPASS_ENGINE__EXTRA_ARGS": """--x '{"a": 1, "b": 2}'""",
        "FIRSTPASS_CONFIG": "",
    }
    settings = load(environment=environment)
    assert settings.server.allowed_hosts == ("a.example", "b.example")
    assert settings.server.trusted_proxies == ("10.0.0.1", "10.1.0.0/16")
    assert settings.engine.extra_args == ("--x", '{"a": 1, "b": 2}')


@pytest.mark.parametrize("section", [Server, EngineSettings, VerifierSettings, PolicySettings, TelemetrySettings])
def test_every_setting_is_described(section: type[BaseModel]) -> None:
    assert not [name for name, field in section.model_fields.items() if not field.description]


def test_settings_can_not_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().server = Server()  # type: ignore[misc]


def test_the_environment_reaches_engines_and_verifiers_by_their_names() -> None:
    environment = {
        "FIRSTPASS_ENGINES__SMALL__MODEL": "firstpass-draft-10m",
        "FIRSTPASS_ENGINES__LARGE__EXTRA_ARGS": "--a b",
        "FIRSTPASS_VERIFIERS__FAR__URL": "https://example.com/v1",
        "FIRSTPASS_VERIFIERS__FAR__MODEL": "m",
    }
    settings = load(environment=environment)
    assert list(settings.engines) == ["small", "large"] and settings.engines["large"].extra_args == ("--a", "b")
    assert settings.ordered_verifiers["far"].model == "m"
    with pytest.raises(BadSettings, match="FIRSTPASS_ENGINES__<NAME>__<KEY>"):
        load(environment={"FIRSTPASS_ENGINES__MODEL": "x"})


def test_cpus_are_those_of_this_process_and_none_is_passed_over() -> None:
    """Of 0,7-0 the second part was dropped without a word."""
    first = min(os.sched_getaffinity(0))
    assert load(environment={"FIRSTPASS_ENGINE__CPUS": f"{first},{first}-{first}"}).engine.cpu_numbers == (first,)
    for wrong, why in {"0,7-0": "7-0 ends before", "9999": "no CPU 9999", "0-": "pattern"}.items():
        with pytest.raises(BadSettings, match=why):
            load(environment={"FIRSTPASS_ENGINE__CPUS": wrong})


@pytest.mark.parametrize("name", ["a b.so", "a:b.so"])
def test_a_library_whose_path_the_loader_would_part_is_refused(tmp_path: Path, name: str) -> None:
    """It was passed over with a line in the engine's log."""
    (tmp_path / name).touch()
    config = tmp_path / "firstpass.toml"
    config.write_text(f'[engine]\npreload = ["{tmp_path / name}"]\n')
    with pytest.raises(BadSettings, match="which part libraries"):
        load(config)
