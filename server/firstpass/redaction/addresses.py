"""Credentials where a protocol or a command has its place for them: addresses, headers, cookies, commands.

Each rule has a needle that is looked for first, so that a text without it costs next to nothing.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from firstpass.redaction.found import Found, places
from firstpass.redaction.values import is_blank, is_code, is_hash, is_mixed, is_random, is_word, stands_out

_SIGNED = re.compile(r"[A-Za-z0-9][!@#$%^&*?][A-Za-z0-9]|[A-Za-z]\d+[!$^*?]$")
_NO_SECRET = re.compile(r"[\w.-]*password|pass(?:wd)?|pw|secret|token|port|\d{1,5}(?:/.*)?", re.I)


def _is_password(value: str) -> bool:
    return not is_blank(value) and _NO_SECRET.fullmatch(value) is None


def _is_new(value: str) -> bool:
    return _is_password(value) and (is_mixed(value) or not is_word(value))


def _is_chosen(value: str) -> bool:
    return is_mixed(value) and _is_password(value)


def _is_signed(value: str) -> bool:
    """Whether letters, digits and signs stand together as only in what one chooses for a password."""
    return stands_out(value) and _SIGNED.search(value) is not None


def _is_token(value: str) -> bool:
    digits = any(map(str.isdigit, value))
    return is_random(value, 16) or (digits and not is_blank(value) and (is_hash(value) or not is_code(value)))


def _is_pair(encoded: str) -> bool:
    """Whether base64 holds `user:password`."""
    try:
        plain = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return False
    return ":" in plain and plain.isprintable()


class _Rule(NamedTuple):
    """needles: where to look, in small letters; `pattern` is matched from there, its group `value` is the secret."""

    needles: tuple[str, ...]
    pattern: re.Pattern[str]
    kind: str = "PASSWORD"
    holds: Callable[[str], bool] = _is_password


def _rule(needles: str, pattern: str, kind: str = "PASSWORD", holds: Callable[[str], bool] = _is_password) -> _Rule:
    return _Rule(tuple(needles.split("|")), re.compile(pattern, re.I), kind, holds)


RULES = (
    _rule("://", r"://[^\s/:@'\"<>]{0,100}:(?P<value>[^\s/'\"<>]{2,200}(?:/[^\s@'\"<>]{0,100})?)@(?=[\w.\[-]|$)"),
    _rule("thin:", r"thin:[\w.]{1,60}/(?P<value>[^\s@'\"]{3,100})@"),
    _rule("bearer|token", r"(?:bearer|(?<!\w)token)[ \t]{1,4}(?P<value>[\w+/=.~-]{16,4096})", "TOKEN", _is_token),
    _rule("basic", r"basic:?[ \t]{1,4}(?P<value>[A-Za-z0-9+/]{8,400}={0,2})", "CREDENTIALS", _is_pair),
    _rule('"auth"', r"\"auth\"\s{0,3}:\s{0,3}\"(?P<value>[A-Za-z0-9+/]{8,400}={0,2})\"", "CREDENTIALS", _is_pair),
    _rule("mysql|mariadb", r"(?:mysql|mariadb)[\w-]{0,12}\b[^\n]{0,80}? -p(?P<value>[^\s'\"]{4,100})"),
    _rule("sshpass", r"sshpass -p ?['\"]?(?P<value>[^\s'\"]{3,100})"),
    _rule("login", r"login\b[^\n|]{0,80}? (?:-p|--password|-w) ?['\"]?(?P<value>[^\s'\"-][^\s'\"]{3,200})"),
    _rule("redis-cli", r"redis-cli\b[^\n]{0,80}? -a ?['\"]?(?P<value>[^\s'\"]{4,200})"),
    _rule(
        "curl|wget|http ",
        r"(?:curl|wget|http)\b[^\n]{0,200}? (?:-u|--user|-a) ?['\"]?[\w.@+-]{1,80}:(?P<value>[^\s'\"]{3,200})",
    ),
    _rule(" pass:", r" pass:(?P<value>[^\s'\"]{3,200})"),
    _rule("net use", r"net use\b[^\n]{0,120}? (?P<value>[^\s\\/:]{5,100}) /user:"),
    _rule(
        "echo|printf",
        r"(?:echo|printf)(?: -n)? ['\"]?(?P<value>[^\s'\"]{4,400})['\"]? ?\| ?"
        r"(?:sudo -S|[^\n|]{0,80}(?:-stdin|passwd|login))",
    ),
    _rule("<<<", r"<<< ?['\"]?(?P<value>[^\s'\"]{8,400})", "TOKEN", _is_token),
    _rule("://", r"://(?P<value>[^\s/:@'\"<>]{16,400})@(?=[\w.-])", "TOKEN", _is_token),
    _rule(
        "smbclient|xfreerdp|ldap|sqlcmd|mongo|zip|7z|openssl enc|plink|cqlsh|ftp|keytool|-storepass|net user|bcp",
        r"[\w-]{1,40}+(?: enc)?\b[^\n]{0,120}? (?:-[pPwk]|-pw|-\w{0,5}pass\w{0,9}|/p:|-U [\w.\\-]{1,60}%) ?['\"]?"
        r"(?P<value>[^\s'\"]{4,200})",
        holds=_is_chosen,
    ),
    _rule("net user", r"net user [\w.-]{1,40} (?P<value>[^\s/'\"]{4,100})", holds=is_mixed),
    _rule("-storepass|-keypass", r"-\w{3,5}pass (?P<value>[^\s'\"]{4,100})"),
    _rule(
        "root|admin|administrator|postgres|deploy|ubuntu",
        r"(?:root|admin|administrator|postgres|deploy|ubuntu) ?[:/|] ?(?P<value>[^\s\"'<>()\[\]{},;/]{5,60})(?!/)",
        holds=stands_out,
    ),
    _rule(
        "('|(\"",
        r"\([\"'][\w.@+-]{2,60}[\"'],\s{0,9}[\"'](?P<value>[^\"'\s]{6,100})[\"']\)",
        holds=lambda value: (
            any(map(str.isdigit, value)) and is_mixed(value) and not is_code(value) and bool(_SIGNED.search(value))
        ),
    ),
    _rule("convertto-securestring", r"\w{1,12}-SecureString(?: -String)? ['\"](?P<value>[^\s'\"]{4,100})['\"]"),
    _rule(
        "auth|cred|login|account|user(",
        r"(?:basic)?(?:auth|cred(?:ential)?s?|login|account|user)\w{0,20}\s{0,2}[=:(]\s{0,2}[(\[]?\s{0,2}"
        r"[\"'][\w.@+-]{1,60}[\"']\s{0,2},\s{0,2}[\"'](?P<value>[^\"'\s]{4,100})[\"']",
        holds=_is_new,
    ),
    _rule(
        "connect(|mysqli(|pdo(|dial(",
        r"\w{1,20}\(\s{0,9}[\"'][^\"'\n]{1,100}[\"']\s{0,2},\s{0,9}[\"'][\w.@+-]{1,60}[\"']\s{0,2},\s{0,9}"
        r"[\"'](?P<value>[^\"'\s]{4,100})[\"']",
    ),
    _rule(
        "login|log in|sign in|creds|credentials|account|access",
        r"(?:login|log in|sign in|creds|credentials|account|access)\b[^\n:/]{0,40}[: ]\s?[\w.@+-]{2,40} ?[/:] ?"
        r"(?P<value>[^\s\"'<>()\[\]{}]{5,60})",
        holds=stands_out,
    ),
)
_INSERT = re.compile(
    r"(?>insert into[^\n;]{0,300}?(?:passw|pwd|secret|token|api_?key))[^\n;]{0,300}?values\s{0,9}"
    r"\((?P<line>[^;]{0,2000})",
    re.I,
)
_COLUMN = re.compile(r"'(?P<value>[^'\s]{6,400})'")
_PGPASS = re.compile(r":(?:\d{2,5}|\*):[\w.*-]{1,60}:[\w.*-]{1,60}:(?P<value>[^\s:]{4,100})(?=\s|\Z)")
_COOKIE = re.compile(r"cookie\b[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?P<line>[^\n]{0,4096})", re.I)
_CRUMB = re.compile(r"(?<![\w.-])[\w.-]{1,60}=(?P<value>[^\s;,\"']{8,4096})")


def addressed(text: str, lower: str) -> Iterator[Found]:
    """lower: the text in small letters."""
    for rule in RULES:
        for needle in rule.needles:
            for at in places(lower, needle):
                one = rule.pattern.match(text, at)
                if one and rule.holds(one["value"]):
                    yield Found(*one.span("value"), rule.kind)
    yield from (Found(*one.span("value"), "PASSWORD") for one in _PGPASS.finditer(text) if _is_password(one["value"]))
    yield from _in_cookies(text, lower)
    yield from _in_rows(text, lower)


def _in_rows(text: str, lower: str) -> Iterator[Found]:
    """Values of a row whose columns are named by a statement of SQL."""
    done = 0
    for at in places(lower, "insert into"):
        row = _INSERT.match(text, at) if at >= done else None
        if row is None:
            continue
        done = row.end()
        for column in _COLUMN.finditer(text, *row.span("line")):
            if stands_out(column["value"]) or is_hash(column["value"]) or is_random(column["value"], 16):
                yield Found(*column.span("value"), "PASSWORD")


def _in_cookies(text: str, lower: str) -> Iterator[Found]:
    done = 0
    for at in places(lower, "cookie"):
        header = _COOKIE.match(text, at) if at >= done else None
        if header is None:
            continue
        done = header.end()
        for crumb in _CRUMB.finditer(text, *header.span("line")):
            value = crumb["value"]
            if is_random(value, 16) or is_hash(value) or (len(value) >= 16 and is_mixed(value) and not is_blank(value)):
                yield Found(*crumb.span("value"), "COOKIE")
