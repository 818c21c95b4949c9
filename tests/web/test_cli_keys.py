"""`firstpass keys` on a real store. The commands run in this process: the interpreter's start is not what is tested."""

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from firstpass.allowance.keyring import Keyring
from firstpass.assembly import purse
from firstpass.cli.keys import keys, require_a_key
from firstpass.settings import Settings
from firstpass.store import whole_keys
from firstpass.store.keys import load_pepper, matches
from firstpass.store.scopes import Scopes, Spend
from firstpass.store.sqlite import SqliteStore

DAY = 86_400.0
VERIFIER = {
    "FIRSTPASS_VERIFIER__URL": "https://models.example/v1",
    "FIRSTPASS_VERIFIER__MODEL": "m",
    "FIRSTPASS_VERIFIER__USD_PER_MILLION_INPUT_TOKENS": "3",
    "FIRSTPASS_VERIFIER__USD_PER_MILLION_OUTPUT_TOKENS": "15",
}

Say = Callable[..., Any]


@pytest.fixture
def say(tmp_path: Path) -> Say:
    def run(*arguments: str, **variables: str) -> Any:
        home = {"FIRSTPASS_SERVER__DATA_DIR": str(tmp_path), "COLUMNS": "200"}
        return CliRunner().invoke(keys, arguments, env=home | variables)

    return run


def made(say: Say, *arguments: str, **variables: str) -> dict[str, Any]:
    result = say("create", "ci", "--json", *arguments, **variables)
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_keys_are_made_listed_and_revoked(say: Say) -> None:
    key = made(say)
    listed = say("list", "--json").stdout
    assert key["key"] not in listed and json.loads(listed)[0]["id"] == key["id"] and "digest" not in listed
    assert say("revoke", key["id"]).exit_code == 0
    again = say("revoke", key["id"])
    assert again.exit_code == 1 and "no live key" in again.stderr
    assert "revoked" in say("list").stdout


def test_a_key_has_the_limits_that_the_options_say(say: Say, tmp_path: Path) -> None:
    limits = ("--routes", "chat, models", "--model", "local", "--model", "claude-*", "--ceiling", "redacted")
    rates = ("--rate", "60", "--token-rate", "9000", "--spend", "100.50/month", "--expires", "90d")
    before = time.time()
    key = made(say, *limits, *rates, "--not-before", "1d", **VERIFIER)
    with closing(SqliteStore(tmp_path / "firstpass.sqlite")) as store:
        [record] = whole_keys(store.list_keys())
    scopes = Scopes(("chat", "models"), ("local", "claude-*"), "redacted", 60, 9000, Spend(100.5, "month"))
    assert record.scopes == scopes and record.expires_unix is not None and record.not_before_unix is not None
    assert record.expires_unix - before == pytest.approx(90 * DAY, abs=60)
    assert record.not_before_unix - before == pytest.approx(DAY, abs=60)
    listed = say("list").stdout
    assert "chat,models; local,claude-*; redacted; 60 requests/min; 9000 tokens/min; $100.5/month" in listed
    assert key["owner"] == record.id and "from " in listed


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--routes", "chat,audio"), "no 'audio'"),
        (("--ceiling", "none"), "--ceiling"),
        (("--rate", "0"), "--rate"),
        (("--spend", "lots"), "US dollars"),
        (("--spend", "0/day"), "US dollars"),
        (("--spend", "5/week"), "US dollars"),
        (("--expires", "soon"), "'soon' is no time"),
        (("--expires", "2001-01-31"), "before it begins"),
        (("--expires", "1d", "--not-before", "2d"), "before it begins"),
    ],
)
def test_a_limit_that_can_not_be_meant_makes_no_key(say: Say, arguments: tuple[str, ...], named: str) -> None:
    result = say("create", "ci", *arguments, **VERIFIER)
    assert result.exit_code != 0 and named in result.output and result.stdout == ""
    assert json.loads(say("list", "--json").stdout) == []


def test_a_cap_without_prices_makes_no_key(say: Say) -> None:
    result = say("create", "ci", "--spend", "5/day")
    assert result.exit_code == 1 and "verifier.usd_per_million_input_tokens" in result.stderr


def test_a_date_is_the_beginning_of_that_day(say: Say) -> None:
    assert made(say, "--expires", "2100-01-31")["expires_unix"] == 4_105_036_800


def test_a_rotated_key_lives_on_for_the_grace_beside_its_successor(say: Say, tmp_path: Path) -> None:
    old = made(say, "--rate", "60", "--expires", "90d")
    result = say("rotate", old["id"], "--grace", "7d", "--json")
    new, now = json.loads(result.stdout), time.time()
    assert new["owner"] == old["id"] and new["scopes"] == old["scopes"] and f"key {old['id']} ends" in result.stderr
    with closing(SqliteStore(tmp_path / "firstpass.sqlite")) as store:
        first, second = whole_keys(store.list_keys())
    pepper = load_pepper(tmp_path / "pepper")
    for days, lives in ((6, [True, True]), (8, [False, True]), (91, [False, False])):
        at = now + days * DAY
        both = [matches(key["key"], record, pepper, at) for key, record in ((old, first), (new, second))]
        assert both == lives


def test_a_key_is_rotated_once_and_then_its_successor(say: Say) -> None:
    """A second successor would have had the old one's shortened life."""
    old = made(say)
    new = json.loads(say("rotate", old["id"], "--json").stdout)
    again = say("rotate", old["id"])
    assert again.exit_code == 1 and f"rotate {new['id']}" in again.stderr
    assert json.loads(say("rotate", new["id"], "--json").stdout)["expires_unix"] is None


def test_without_a_grace_the_old_key_ends_at_once(say: Say) -> None:
    old = made(say)
    assert say("rotate", old["id"], "--grace", "0m").exit_code == 0
    again = say("rotate", old["id"])
    assert again.exit_code == 1 and "no live key" in again.stderr


def test_a_server_that_needs_keys_does_not_start_with_ended_ones(say: Say, tmp_path: Path) -> None:
    settings = Settings.model_validate({"server": {"data_dir": tmp_path}})
    key = made(say)
    require_a_key(settings)
    say("revoke", key["id"])
    made(say, "--not-before", "1d")
    with pytest.raises(SystemExit):
        require_a_key(settings)


def test_a_damaged_key_is_named_and_hides_no_other(say: Say, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings.model_validate({"server": {"data_dir": tmp_path}})
    bad, good = made(say), made(say)
    with closing(SqliteStore(tmp_path / "firstpass.sqlite")) as store:
        store._connection.execute("UPDATE keys SET owner = 'other' WHERE id = ?", (bad["id"],))
        purse(settings, store, Keyring(store, b"pepper"))
    assert f"key {bad['id']} is damaged" in caplog.text
    require_a_key(settings)
    listed = {key["id"]: key for key in json.loads(say("list", "--json").stdout)}
    assert "damaged" in listed[bad["id"]] and listed[good["id"]]["name"] == "ci"
    assert "damaged" in say("list").stdout and good["id"] in say("list").stdout
    assert say("revoke", bad["id"]).exit_code == 0 and say("rotate", good["id"]).exit_code == 0
