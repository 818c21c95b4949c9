"""Where a text says password, secret, token or key, in the languages people write. Knows no value."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from firstpass.redaction.views import in_ascii

_WORD, _END = r"(?<![a-z])", r"(?![a-z])"
_PASSWORDS = {
    "pass": r"pass(?:w(?:or)?[dt]|wd|[-_ ]?phrase|[-_ ]?code|wort|ord(?![a-z])|e\b)|(?<![a-z])pass(?![a-z])"
    r"|(?<=[a-z_])pass(?=[\"'\]\s]{0,3}[:=])",
    "pwd": r"pwd(?![a-z])",
    "kennwort": "kennwort",
    "pw": rf"{_WORD}pw{_END}",
    "wifi": "wifi",
    "creds": rf"{_WORD}creds{_END}",
    "credential": "credentials?",
    "bcrypt": "bcrypt",
    "argon": r"argon2\w{0,2}",
    "scrypt": rf"{_WORD}scrypt{_END}",
    "mdp": rf"{_WORD}mdp{_END}",
    "contrase": "contrase",
    "clave": rf"{_WORD}clave{_END}",
    "senha": rf"{_WORD}senha{_END}",
    "wachtwoord": "wachtwoord",
    "haslo": rf"{_WORD}haslo{_END}",
    "losenord": "losenord",
    "sifre": rf"{_WORD}sifre",
    "parola": rf"{_WORD}parola{_END}",
    "salasana": "salasana",
    "heslo": rf"{_WORD}heslo{_END}",
    "jelszo": "jelszo",
    "adgangskode": "adgangskode",
    "kata sandi": "kata sandi",
    "mat khau": "mat khau",
    "identified by": "identified by",
    "requirepass": "requirepass",
    "masterauth": "masterauth",
}
_BEYOND_ASCII = {
    "hasło": f"hasło{_END}",
    "şifre": "şifre",
    "lösenord": "lösenord",
    "jelszó": "jelszó",
    **{
        word: word
        for word in (
            "парол",
            "密码",
            "密碼",
            "口令",
            "パスワード",
            "비밀번호",
            "암호",
            "κωδικ",
            "סיסמה",
            "كلمة المرور",
            "पासवर्ड",
            "mật khẩu",
        )
    },
}
_KEY_BEFORE = re.compile(
    r"(?:api|app|access|private|secret|auth|encrypt|encryption|decryption|crypt|signing|sign|master|service|account|storage"
    r"|client|hmac|aes|licen[cs]e|deploy|shared|session|webhook|admin|server|root|user|bot|ssh|recovery|backup"
    r"|activation|consumer|management|write|read|project|team|sas|integration|publish|cipher|jwt|base|hash|security"
    r"|signature|verification|token|rsa|pem|vault|db|database|instrumentation|subscription|function|host|product|serial"
    r"|install|network|preshared|pre-shared|my|your|our|new|old|following)[_ .-]?\Z"
)
_CODE_BEFORE = re.compile(
    r"(?:recovery|backup|activation|auth|authentication|verification|one-time|security|pass)[_ -]?\Z"
)
_KEYS = {
    "secret": r"secret",
    "token": r"token",
    "bearer": r"bearer",
    "mnemonic": r"mnemonic",
    "seed": rf"{_WORD}seed{_END}",
    "salt": rf"{_WORD}salt{_END}",
    "sess": rf"sess(?:ion)?[_-]?id{_END}",
    "sid": rf"{_WORD}sid(?=[\"']?\s?[=:])",
    "code": rf"codes?{_END}",
    "pin": rf"{_WORD}pin{_END}",
    "psk": rf"{_WORD}psk{_END}",
    "sig": rf"{_WORD}sig(?:nature)?(?==)",
    "_auth": rf"_auth{_END}",
    "key": rf"keys?{_END}",
}
_OTHER_KEYS = {word: word for word in ("schlüssel", "clé", "ключ", "密钥", "密鑰", "鍵", "키")} | {
    "chave": rf"{_WORD}chave{_END}",
    "llave": rf"{_WORD}llave{_END}",
    "chiave": rf"{_WORD}chiave{_END}",
}
_ASSIGNED = re.compile(r"[\"'\]]{0,2}\s{0,2}(?::?=|:|=>)|\s(?:is|was)\s")


class Name(NamedTuple):
    """A name that says secret. start, end: of the word that says so. strong: it says password."""

    start: int
    end: int
    strong: bool


def _stems(words: dict[str, str], strong: bool) -> list[tuple[str, re.Pattern[str], bool]]:
    return [(stem, re.compile(pattern), strong) for stem, pattern in words.items()]


_ASCII = _stems(_PASSWORDS, True) + _stems(_KEYS, False)
_OTHERS = _stems(_BEYOND_ASCII, True) + _stems(_OTHER_KEYS, False)
STEMS = tuple(stem for stem, _, _ in _ASCII)


def secret_names(lower: str) -> list[Name]:
    """In the order of the text. lower: the text in small letters."""
    plain = in_ascii(lower)
    names = [name for stem in _ASCII for name in _of_stem(plain, *stem)]
    if plain is not lower:
        names += [name for stem in _OTHERS for name in _of_stem(lower, *stem)]
    return sorted(names)


def _of_stem(lower: str, stem: str, pattern: re.Pattern[str], strong: bool) -> Iterator[Name]:
    at = lower.find(stem)
    while at >= 0:
        match = pattern.match(lower, at)
        if match and _opens(stem, lower, at, match.end()):
            yield Name(at, match.end(), strong)
        at = lower.find(stem, at + len(stem))


def _opens(stem: str, lower: str, start: int, end: int) -> bool:
    """Whether a word that means many things means a secret here."""
    if stem == "code":
        return _CODE_BEFORE.search(lower, max(0, start - 16), start) is not None
    return stem != "key" or _is_secret_key(lower, start, end)


def _is_secret_key(lower: str, start: int, end: int) -> bool:
    """Whether a key opens something, and is none of a mapping: it says of what, or it is all there is to a name."""
    if _KEY_BEFORE.search(lower, max(0, start - 20), start):
        return True
    alone = start == 0 or not (lower[start - 1].isalnum() or lower[start - 1] in "_.-")
    return alone and _ASSIGNED.match(lower, end) is not None
