"""Whether a value is a secret or a word of the program: pure functions of the value. They know no name beside it."""

import re
import string

_BLANK = re.compile(
    r"\$\{|\$\(|\{\{|<[a-z]|%\(|\*{3}|\.{3}|x{4,}|\bnone\b|\bnull\b|your[-_ ]|[-_ ]here\b|change[-_]?me"
    r"|placeholder|redacted|^hidden_[a-z_]{1,40}_[0-9a-f]{8}$"
    r"|process\.env|os\.environ|getenv|env\[|secrets\.|vault:|^\$\w+$|^%\w+%$|^@\w+@$|^\{\w*\}$|^%[sdvq]$|^:\w+$",
    re.I,
)
_LOOKED_UP = re.compile(r"[A-Za-z_$][\w$]*(?:(?:\.|::|->|\?\.)[A-Za-z_$][\w$]*)+[;,]?")
_CODE = re.compile(r"[(){}\[\]]|=>|::|->|&&|\|\||\+=|==(?!\Z)|!=")
_NAME = re.compile(r"[@&*!$]?[A-Za-z_]\w*[?!]?[;,]?", re.ASCII)
_TECHNICAL = re.compile(
    r"(?:sha|md|aes|rsa|utf|base|oauth|http|https|ipv|int|uint|float|tls|ssl|python|py|web|ed|es|rs|hs|ps|iso|rfc|ecdsa|x"
    r"|blake|argon|pkcs|crc|node|vue|es|arg|val|var|param|test|foo|bar|user|host|db|line|step|item|day|week|part|col|row"
    r"|level|version|v|option|case|example|number|no|nr|issue|pr|section|latin|value|key|id|name)[-_.]?v?\d[\w.-]{0,8}"
    r"|#\w{1,8}|(?:non|un)-\w+|[A-Za-z][\w.-]*:\d{2,5}"
    r"|[\^~>=<]{0,2}v?\d+(?:[.:/x-]\d+)*[a-z%]{0,5}|\d[\d,._]*(?:st|nd|rd|th|ms|kb|mb|gb|px|em|rem|min|bytes?|chars?|bits?)"
    r"|\d+-(?:bit|byte|char|digit|day|hour|minute|second|character)\w*",
    re.I,
)
_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]{16,}")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_SIGNS = frozenset("!@#$%^&*?+~=")
_SECRET_WORDS = re.compile(
    r"passw|pwd|passphrase|passwort|secret|token|credential|api[-_]?key|access[-_]?key|auth|bearer|session|user|login"
    r"|invalid|wrong|correct|expired|missing|required|unknown|example|dummy|sample|fixture|mock|fake|default",
    re.I,
)
_DULL = frozenset(
    """
    string str text bytes number integer int bool boolean true false object array list dict map any void undefined
    optional required value values field input hidden visible admin root guest test tests testing foo bar baz qux
    foobar abc abcd abcdef hello world name basic digest oauth plain none empty never always manual auto automatic
    json yaml xml html header headers cookie cookies query body path form multipart static dynamic public private
    internal external local remote global unset default enabled disabled identifier keyword operator punctuation
    comment variable function constant type types error errors warning message label title data content ascii utf8
    sha1 sha256 sha512 md5 hs256 rs256 base64 hex redis memory file files database server client provider service
    signed unsigned encrypted encoded decoded hashed secure insecure strong weak short long valid random unique
    shared reset forgot change update create delete remove verify validate check confirm generate store load read
    write send whatever something anything nothing wrong right correct same different following below above here
    there this that not the your their its set sent used only also now too again still already stored visible option
    options generic space newline whitespace eof end start begin line word char character symbol number literal
    expression statement abc123 123456 1234567 12345678 123456789 1234567890 abcdefg abcdefgh
    """.split()  # noqa: SIM905 - a list of one word a line would be longer than the module
)
_SHAPE = dict.fromkeys(range(128), "-") | {
    ord(letter): kind
    for kind, letters in (
        ("d", string.digits),
        ("u", string.ascii_uppercase),
        ("l", string.ascii_lowercase),
        ("s", "+/="),
    )
    for letter in letters
}
"""d: a digit, u: a capital, l: a small letter, s: a sign of base64, -: another."""
_CHANGES = ("ul", "lu", "ud", "du", "ld", "dl")
MOST = 16_384
"""Characters of a value; more than any key has."""


def is_blank(value: str) -> bool:
    """Whether a value stands for one that is elsewhere: a template, a variable, stars, a word to be replaced."""
    return _BLANK.search(value[:200]) is not None or len(set(value)) < 3


def is_code(value: str) -> bool:
    """Whether an unquoted value is an expression of a program: a call, a field of something, or a name."""
    return is_expression(value) or (_NAME.fullmatch(value) is not None and _is_name(value))


def is_expression(value: str) -> bool:
    """Whether it is one by its signs."""
    return len(value) <= 200 and (_LOOKED_UP.fullmatch(value) is not None or _CODE.search(value) is not None)


def _is_name(value: str) -> bool:
    """Whether a word is what a program calls something: no digits, or few of them after whole words."""
    parts = value.strip("@&*!$?;,_").split("_")
    if sum(map(str.isdigit, value)) < 2 and _SECRET_WORDS.search(value):
        return True
    plain = [part.isalpha() or len(part) < 3 or _TECHNICAL.fullmatch(part) is not None for part in parts]
    return all(plain) and (len(parts) > 1 or value.isalpha() or not any(map(str.isdigit, value)))


def stands_out(value: str) -> bool:
    """Whether a bare value is so mixed that neither a sentence nor an expression has it."""
    if not is_mixed(value) or not any(map(str.isdigit, value)) or is_code(value):
        return False
    return "://" not in value and value.count("/") < 2 and not value.startswith(("/", "./", "--", "@", "&", "*", "$"))


def is_mixed(value: str) -> bool:
    """Whether letters stand beside digits or signs, as in what one chooses for a password."""
    if len(value) < 6 or _TECHNICAL.fullmatch(value[:64]) or value.lower() in _DULL:
        return False
    inner = value[:200]
    if not any(map(str.isalpha, inner)):
        return False
    return any(map(str.isdigit, inner)) or not _SIGNS.isdisjoint(inner)


def is_number(value: str) -> bool:
    """Whether a value is a number that could be a password."""
    return value.isascii() and value.isdigit() and 6 <= len(value) <= 20 and value not in _DULL


def is_word(value: str) -> bool:
    """Whether a quoted value is only a word that programs and texts use, and no password."""
    return value.lower() in _DULL or len(value) < 4 or _SECRET_WORDS.search(value) is not None


def is_random(value: str, least: int = 20) -> bool:
    """Whether a value shows by itself that it was drawn at random: it changes between capitals, small letters and
    digits more often than names do, whose words begin with a capital. Hashes and UUIDs do not count: most are public.
    """
    if not least <= len(value) <= MOST or is_hash(value):
        return False
    shape = value[:80].translate(_SHAPE)
    known = shape.replace("s", "").replace("-", "")
    changes, begun = sum(map(known.count, _CHANGES)), known.count("ul")
    least_kinds = 2 if "s" in shape and "u" in known and "l" in known else 3
    if len(set(known)) < least_kinds or len(known) < least - 4:
        return False
    return changes >= 0.5 * len(known) or changes - begun >= 0.27 * len(known)


def is_hash(value: str) -> bool:
    return _HEX.fullmatch(value) is not None or _UUID.fullmatch(value) is not None
