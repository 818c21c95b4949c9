"""What the redactor finds, what it leaves alone, and what it costs. Each secret is made up, and put together here."""

import base64
import json
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from firstpass.errors import BadSettings
from firstpass.redaction import Found, Placeholders, Redactor, addresses, words
from firstpass.redaction.addresses import addressed
from firstpass.redaction.library import known_formats
from firstpass.redaction.names import named_values
from firstpass.redaction.redactor import WINDOW
from tests.machine import LINEAR, cpu_seconds, growth, stretched

SUITE = Path(__file__).parents[2] / "benchmarks/suites/redaction"
KNOWN = "Tiger.2004/p2mhcSnt8T"
AWS = "AKIA" + "Q3EGRTDX7TZ2WPLM"
TOKEN = "gh" + "p_" + "q7Rk2mXw9LdZ4vTn8BcY3sHj6PfG1aEuKo5D"
HEX = "8c294ff69b1f790adf34399234af2fd3"
BEGIN, END = "-----BEGIN RSA PRIVATE" + " KEY-----", "-----END RSA PRIVATE" + " KEY-----"
LINES = [base64.b64encode(Random(line).randbytes(48)).decode() for line in range(6)]
QUOTED = 'Vale"9\\river'


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    made = Redactor(known=(KNOWN, QUOTED), patterns=(("HOME_PATH", r"/home/\w+"),))
    made.load()
    return made


def hidden(redactor: Redactor, text: str) -> str:
    return redactor.hide(text, Placeholders())


TOLD = {
    "a key of a known format": ("x = @", AWS),
    "a key in a query": ("https://a.example.com/?k=@&page=2", TOKEN),
    "a setting of a file": ("DB_PASSWORD=@", "swordfish"),
    "a setting in YAML": ("  password: @\n", "River_1979"),
    "JSON": ('{"client_secret": "@"}', "S3Cr3Tt0k3n"),
    "JSON in a string": (r'"{\"password\": \"@\"}"', "hunter2!x"),
    "a call": ('user.setPassword("@");', "hunter2!x"),
    "a default": ('os.getenv("API_KEY", "@")', HEX),
    "an element": ("<password>@</password>", "hunter2!x"),
    "an attribute": ('<add key="ApiSecret" value="@"/>', HEX),
    "a type between": ('const apiKey: string = "@";', HEX),
    "a line of a diff": ('-    "token": "@",', HEX),
    "a statement of SQL": ("ALTER USER root IDENTIFIED BY '@';", "hunter2!x"),
    "a flag": ("tool --password @ --force", "hunter2!x"),
    "a command": ("mysql -u root -p@ shop", "hunter2!x"),
    "a pair": ("auth=('bob', '@')", "hunter2!x"),
    "an address": ("postgres://app:@@db.example.com/shop", "hunter2!x"),
    "a connection string": ("Server=db;User Id=app;Password=@;Encrypt=true", "hunter2!x"),
    "a bearer token": ("Authorization: Bearer @", HEX),
    "a basic header": ("Authorization: Basic @", base64.b64encode(b"bob:hunter2!x").decode()),
    "a cookie": ("Set-Cookie: session=@; HttpOnly", HEX),
    "a web token": (
        "see @ please",
        "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "q7Rk2mXw9LdZ4vTn8BcY3sHj6PfG1aEuKo5D0Wx_Zq4",
    ),
    "a password in prose": ("The password for the staging box is @ by the way.", "hunter2"),
    "a password before its name": ("use '@' as the password", "hunter2!x"),
    "a login in prose": ("log in with admin / @", "Summer53tiger"),
    "German": ("Das Kennwort lautet @", "hunter2!x"),
    "French": ("le mot de passe est @", "hunter2!x"),
    "Spanish": ("la contraseña es @", "hunter2!x"),
    "Russian": ("пароль от сервера @", "hunter2!x"),
    "Chinese": ("密码是 @", "hunter2!x"),
    "Japanese": ("パスワード\uff1a@", "hunter2!x"),
    "a random string in code": ('x = "@"', "q7Rk2mXw9LdZ4vTn8BcY3sHj6PfG1aEuKo5D"),
    "a pattern of the settings": ("open @/notes.txt", "/home/bob"),
    "a secret of this machine": ("got @ back", KNOWN),
    "one as JSON writes it": ("got @ back", json.dumps(KNOWN)[1:-1]),
    "one as a URL writes it": ("got @ back", quote(KNOWN, safe="")),
    "one in hexadecimal": ("got @ back", KNOWN.encode().hex()),
    "one in hexadecimal of capitals": ("got @ back", KNOWN.encode().hex().upper()),
    "one in a URL of escapes only": ("got @ back", "".join(f"%{byte:02x}" for byte in KNOWN.encode())),
    "one in a URL with small escapes": ("got @ back", KNOWN.replace("/", "%2f")),
    "one in escapes of JSON": ("got @ back", "".join(f"\\u{ord(letter):04X}" for letter in KNOWN)),
    "one with escaped slashes": ("got @ back", KNOWN.replace("/", r"\/")),
    "one twice in JSON": ("got @ back", json.dumps(json.dumps(QUOTED)[1:-1])[1:-1]),
    "a private key as base64": ("tls.key: @", base64.b64encode("\n".join((BEGIN, *LINES, END)).encode()).decode()),
    "a private key as base64 on lines": (
        "it is @",
        base64.encodebytes("\n".join((BEGIN, *LINES, END)).encode()).decode().strip(),
    ),
    "one inside base64": ("got @ back", base64.b64encode(f"u:{KNOWN}!".encode()).decode()),
}


@pytest.mark.parametrize("told", TOLD.values(), ids=TOLD.keys())
def test_a_secret_is_hidden_and_what_stands_around_it_is_not(redactor: Redactor, told: tuple[str, str]) -> None:
    around, secret = told
    before, _, after = around.partition("@")
    text, places = f"one line\n{before}{secret}{after}\nanother", Placeholders()
    shown = redactor.hide(text, places)
    assert secret not in shown
    assert shown.startswith(f"one line\n{before}"[:-1])
    assert shown.endswith("\nanother")
    assert places.restore(shown) == text


INNOCENT = (
    "index 9afe421..59d96f3 100644",
    "commit 8c294ff69b1f790adf34399234af2fd3748d7422",
    "id = '510bd80f-f44f-8e92-62c0-3ec627ced74a'",
    '"integrity": "sha512-q7Rk2mXw9LdZ4vTn8BcY3sHj6PfG1aEuKo5Dq7Rk2mXw9LdZ4vTn8BcY3sHj6PfG1aEuKo5Dxx=="',
    "github.com/x/y v1.2.3 h1:q7Rk2mXw9LdZ4vTn8BcY3sHj6PfG1aEuKo5D=",
    'checksum = "8c294ff69b1f790adf34399234af2fd3748d742236bdadb432c47e08af473ac4"',
    '<img src="data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4">',
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJq7Rk2mXw9LdZ4vTn8BcY3sHj6PfG1aEuKo5Dx bob@example.com",
    "password = get_password(user)",
    "self.token = token",
    "password: string;",
    "token: Token | None = None",
    "if not password or password_length < 12:",
    'raise ValueError("the password is not valid")',
    "The password is required and must have 8 characters.",
    "max_tokens = 4096",
    'password = "${DB_PASSWORD}"',
    "API_KEY=<your key here>",
    'api_key = os.environ["API_KEY"]',
    'type="password" name="password"',
    "for key, value in items.items():",
    "const sendHttp2SettingsAndCheckForAck = (connection) => connection.peerHttp2ClientDisablesPush();",
    "the token bucket of the limiter, see RFC 2697",
    "http://localhost:8080/a@b",
    f"ca: {base64.b64encode(b'-----BEGIN CERTIFICATE-----' + 60 * b'A').decode()}",
)


@pytest.mark.parametrize("line", INNOCENT)
def test_what_is_no_secret_stays(redactor: Redactor, line: str) -> None:
    assert redactor.find(f"{line}\n") == []


KEYS = {
    "as it is": "\n".join((BEGIN, *LINES, END)),
    "on lines of a diff": "\n".join(("", *(f"+{line}" for line in (BEGIN, *LINES, END)))),
    "in one literal": r"\n".join((BEGIN, *LINES, END)),
    "cut off at its end": "\n".join((BEGIN, *LINES)),
    "cut off at its beginning": "\n".join(("", *LINES, END)),
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
def test_a_private_key_is_hidden_whole(redactor: Redactor, key: str) -> None:
    shown = hidden(redactor, f"look:\n{key}\nthanks")
    assert not any(line in shown for line in LINES)
    assert shown.startswith("look:")
    assert shown.endswith("thanks")


def test_a_marker_of_a_key_alone_is_no_key(redactor: Redactor) -> None:
    assert redactor.find(f'if "{BEGIN}" in text: return True') == []


SPLIT = ('"@" + "#"', "'@' . '#'", '("@"\n     "#")', '"@"\n+    + "#"', '"".join(["@", "#"])', 'a = "@"; a += "#"')


@pytest.mark.parametrize("around", SPLIT)
@pytest.mark.parametrize("secret", [AWS, TOKEN, KNOWN])
def test_a_literal_in_pieces_is_hidden_whole(redactor: Redactor, around: str, secret: str) -> None:
    text, places = around.replace("@", secret[:4]).replace("#", secret[4:]), Placeholders()
    shown = redactor.hide(text, places)
    assert secret[4:] not in shown
    assert places.restore(shown) == text


def test_the_same_secret_is_hidden_in_every_text_of_a_request(redactor: Redactor) -> None:
    places = Placeholders()
    redactor.hide("password = 'hunter2!x'", places)
    shown = redactor.hide("It sets hunter2!x, and later hunter2!x again.", places)
    assert "hunter2!x" not in shown
    assert places.kinds == {"PASSWORD": 1}


def test_a_hidden_text_stays_as_it_is(redactor: Redactor) -> None:
    places = Placeholders()
    once = redactor.hide(f"password = 'hunter2!x' and {TOKEN}", places)
    assert redactor.hide(once, places) == once


def test_what_is_found_around_a_placeholder_is_hidden_beside_it(redactor: Redactor) -> None:
    places = Placeholders()
    name = redactor.hide(TOKEN, places)
    text = f"password = 'hunter2!{name}x9-z'"
    shown = redactor.hide(text, places)
    assert name in shown
    assert "hunter2!" not in shown
    assert places.restore(shown) == f"password = 'hunter2!{TOKEN}x9-z'"


def test_places_count_characters_whatever_stands_before(redactor: Redactor) -> None:
    text = f"é 漢字 \ud800 \0 🔑 {TOKEN} é"
    (found,) = redactor.find(text)
    assert text[found.start : found.end] == TOKEN
    assert isinstance(found, Found)


@settings(max_examples=30, deadline=None)
@given(
    some.lists(some.one_of(some.text(max_size=20), some.sampled_from((AWS, "password: hunter2!x\n", '" + "', KNOWN))))
)
def test_any_text_comes_back_and_findings_are_in_order(redactor: Redactor, parts: list[str]) -> None:
    text, places = "".join(parts), Placeholders()
    found = redactor.find(text)
    assert all(one.start < one.end <= other.start for one, other in pairwise(found))
    assert places.restore(redactor.hide(text, places)) == text


def test_neither_an_error_nor_a_repr_shows_a_secret() -> None:
    with pytest.raises(BadSettings, match="fewer than 6") as raised:
        Redactor(known=("abc12",))
    assert "abc12" not in str(raised.value)
    assert KNOWN not in repr(Redactor(known=(KNOWN,)))


@pytest.mark.parametrize("pattern", [("path", "x"), ("PATH_12345678", "x"), ("PATH", "(")])
def test_a_pattern_that_can_not_be_used_is_refused(pattern: tuple[str, str]) -> None:
    with pytest.raises(BadSettings, match=r"path|PATH"):
        Redactor(patterns=(pattern,))


HOSTILE = (
    "a",
    "-----BEGIN ",
    f"{BEGIN}\n",
    "\"'`",
    "=",
    "password=",
    "key='token=\"",
    "api-key ",
    '" + "',
    "Cookie: a=b; ",
    "zip-",
    "7z-",
    "insert into pwd ",
    "bcrypt'",
)


@pytest.mark.parametrize("part", HOSTILE)
def test_a_hostile_text_takes_time_in_proportion(redactor: Redactor, part: str) -> None:
    assert growth(lambda size: redactor.find((part * (size // len(part) + 1))[:size]), 1_500) < LINEAR


NEEDLES = {needle for rule in addresses.RULES for needle in rule.needles} | {"cookie", "insert into pwd"}
Rules = Callable[[str, str], Iterator[Found]]


def seconds(rules: Rules, part: str, size: int) -> float:
    """Of this thread, for a text that is nothing but one part over and over."""
    text = (part * (size // len(part) + 1))[:size]
    return cpu_seconds(lambda: list(rules(text, text)))


@pytest.mark.parametrize("between", "-='\" :/\n")
def test_a_text_of_nothing_but_one_needle_is_read_soon(between: str) -> None:
    most, few = stretched(0.25), stretched(0.08)
    slow = {needle for needle in NEEDLES if seconds(addressed, needle + between, 8_000) > most}
    slow |= {stem for stem in words.STEMS if seconds(named_values, stem + between, 1_000) > few}
    assert not slow


@pytest.mark.parametrize(("rules", "part"), [(addressed, "insert into pwd "), (named_values, "bcrypt'")])
def test_a_statement_or_a_sentence_without_an_end_is_not_read_for_each_of_its_words(rules: Rules, part: str) -> None:
    assert seconds(rules, part, 32_000) < stretched(0.25)


def test_a_long_text_is_read_in_parts_without_losing_a_key_at_their_edges(redactor: Redactor) -> None:
    text = "".join(f"{'x ' * (pad % 50)}{TOKEN}\n" for pad in range(3_000))
    assert len(text) > 200_000
    assert TOKEN not in hidden(redactor, text)
    unbroken = f"{'x ' * 32_760}{TOKEN} " * 3
    assert TOKEN not in hidden(redactor, unbroken)


@pytest.mark.usefixtures("redactor")
def test_a_library_that_is_slow_on_hostile_texts_sees_parts_of_a_long_one() -> None:
    assert growth(lambda size: list(known_formats((f"{BEGIN} " * (size // 32 + 1))[:size])), 66_000) < LINEAR


def test_random_base64_takes_time_in_proportion(redactor: Redactor) -> None:
    text = base64.b64encode(Random(1).randbytes(30_000)).decode()
    assert growth(lambda size: redactor.find(text[:size]), 8_000) < LINEAR


def test_planted_secrets_are_found(redactor: Redactor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice of the corpus that the suite measures whole."""
    monkeypatch.syspath_prepend(str(SUITE))
    for name in ("corpus", "carriers", "makers", "measure"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import corpus
    import measure

    of_machine = Redactor(known=corpus.known_secrets(1))
    results = [(one, measure.is_found(one, of_machine.find(one.text))) for one in corpus.planted(seed=1, per_type=1)]
    formats = [found for one, found in results if one.is_format]
    assert len({one.type for one, _ in results}) >= 70
    assert sum(formats) >= 0.98 * len(formats)
    assert sum(found for _, found in results) >= 0.95 * len(results)


@pytest.mark.parametrize("at", [WINDOW - 40, WINDOW - 10, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW - 15])
def test_a_secret_at_the_border_of_two_windows_is_found_whole_and_once(redactor: Redactor, at: int) -> None:
    line = "x = f(y)  # ordinary\n"
    before = (line * (at // len(line) + 1))[: at - 1] + "\n"
    secret = "password = " + '"kestrel-41-Vine"'
    text = before + secret + "\n" + line * 9000
    (found,) = redactor.find(text)
    assert text[found.start : found.end].strip('"') == "kestrel-41-Vine"


def test_a_search_is_ended_between_windows(redactor: Redactor) -> None:
    ticks = []

    def tick() -> None:
        ticks.append(0)
        if len(ticks) == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        redactor.find("a b\n" * WINDOW, tick)
    assert len(ticks) == 3


def test_a_secret_is_found_again_however_many_were_found_before_it(redactor: Redactor) -> None:
    places = Placeholders()
    for number in range(300):
        redactor.hide(f"password = 'Vx9!k{number:06}Tr'", places)
    shown = redactor.hide("the password is hunter2xyz and I typed hunter2xyz", places)
    assert "hunter2xyz" not in shown
    assert places.kinds == {"PASSWORD": 301}


def test_a_secret_that_was_told_later_is_hidden_in_a_second_pass(redactor: Redactor) -> None:
    places, text = Placeholders(), "I typed hunter2xyz, and Hunter2xyz."
    assert redactor.again(text, places) == redactor.hide(text, places) == text
    redactor.hide("the password is hunter2xyz", places)
    shown = redactor.again(text, places)
    assert "typed hunter2xyz" not in shown
    assert shown.endswith(", and Hunter2xyz.")
    assert redactor.again(shown, places) == shown
    assert places.restore(shown) == text


def test_the_longest_of_secrets_with_one_beginning_is_hidden(redactor: Redactor) -> None:
    places = Placeholders()
    short, long = (places.stand_in(secret, "KEY", ()) for secret in ("hunter2x", "hunter2xyz9"))
    assert redactor.again("hunter2xyz9 hunter2xyz", places) == f"{long} {short}yz"


def test_many_texts_with_a_secret_each_take_time_in_proportion(redactor: Redactor) -> None:
    def work(count: int) -> None:
        places = Placeholders()
        for number in range(count):
            redactor.again(f"Vx9!k{places.stand_in(f'Vx9!k{number:06}Tr', 'KEY', ())} {number:06}", places)

    assert growth(work, 1_000) < LINEAR
