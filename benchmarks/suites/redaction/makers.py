"""Secrets that no one ever had: random ones in the formats of their issuers. Knows no text around them.

Each maker takes the random numbers and gives a secret; a name in `FORMATS` is a type of the corpus. What an issuer's
format begins with is put together here, so that this file holds no secret in any format.
"""

import base64
import json
import string
from collections.abc import Callable
from random import Random

LETTERS, DIGITS, LOWER, UPPER = string.ascii_letters, string.digits, string.ascii_lowercase, string.ascii_uppercase
WORD, HEX = LETTERS + DIGITS, "0123456789abcdef"
URL_SAFE, BASE64, BASE32 = WORD + "-_", WORD + "+/", UPPER + "234567"
Maker = Callable[[Random], str]


def some(draw: Random, count: int, letters: str = WORD) -> str:
    """Random characters of an alphabet, with a letter and a digit where it has both."""
    text = "".join(draw.choices(letters, k=count))
    kinds = {letter.isdigit() for letter in letters}
    return (
        text
        if count < 8 or {letter.isdigit() for letter in text} == kinds or "-" in text
        else some(draw, count, letters)
    )


def begins(start: str, count: int, letters: str = WORD, end: str = "") -> Maker:
    return lambda draw: start + some(draw, count, letters) + end


def blob(draw: Random, size: int) -> str:
    """Base64 of random bytes."""
    return base64.b64encode(draw.randbytes(size)).decode()


def unpadded(draw: Random, body: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(body, separators=(",", ":")).encode()).decode().rstrip("=")


def web_token(draw: Random) -> str:
    """A JWT."""
    claims = {"sub": some(draw, 10, DIGITS), "iat": draw.randrange(10**9, 2 * 10**9), "role": "admin"}
    head = unpadded(draw, {"alg": draw.choice(("HS256", "RS256")), "typ": "JWT"})
    return f"{head}.{unpadded(draw, claims)}.{some(draw, 43, URL_SAFE)}"


def armoured(label: str, size: int, before: str = "") -> Maker:
    """A key in lines of 64 characters between a header and a footer."""

    def make(draw: Random) -> str:
        body = blob(draw, size)
        lines = [body[at : at + 64] for at in range(0, len(body), 64)]
        return "\n".join((f"-----BEGIN {label}-----", *before.splitlines(), *lines, f"-----END {label}-----"))

    return make


def service_account(draw: Random) -> str:
    """The private key of a Google service account, as its JSON file writes it."""
    return json.dumps(armoured("PRIVATE KEY", 900)(draw) + "\n")[1:-1]


FORMATS: dict[str, Maker] = {
    "aws access key": begins("AKIA", 16, BASE32),
    "aws temporary key": begins("ASIA", 16, BASE32),
    "github token": begins("ghp" + "_", 36),
    "github oauth token": begins("gho" + "_", 36),
    "github app token": begins("ghs" + "_", 36),
    "github fine-grained token": lambda draw: "github" + f"_pat_{some(draw, 22)}_{some(draw, 59)}",
    "gitlab token": begins("glpat" + "-", 20, URL_SAFE),
    "gitlab runner token": begins("glrt" + "-", 20, URL_SAFE),
    "slack bot token": lambda draw: "xox" + f"b-{some(draw, 12, DIGITS)}-{some(draw, 12, DIGITS)}-{some(draw, 24)}",
    "slack user token": lambda draw: (
        "xox" + "p-" + "-".join(some(draw, 12, DIGITS) for _ in range(3)) + "-" + some(draw, 32, HEX)
    ),
    "slack webhook": lambda draw: (
        "https://hooks." + f"slack.com/services/T{some(draw, 8, UPPER + DIGITS)}"
        f"/B{some(draw, 10, UPPER + DIGITS)}/{some(draw, 24)}"
    ),
    "stripe live key": begins("sk" + "_live_", 24),
    "stripe restricted key": begins("rk" + "_live_", 99),
    "stripe webhook secret": begins("wh" + "sec_", 32),
    "google api key": begins("AI" + "za", 35, URL_SAFE),
    "google client secret": begins("GOC" + "SPX-", 28, URL_SAFE),
    "google access token": begins("ya" + "29.", 160, URL_SAFE),
    "google service account": service_account,
    "azure storage key": lambda draw: blob(draw, 64),
    "azure client secret": lambda draw: some(draw, 3) + some(draw, 1, DIGITS) + "Q~" + some(draw, 34, URL_SAFE),
    "openai key": lambda draw: "sk" + f"-{some(draw, 20)}T3Blbk" + "FJ" + some(draw, 20),
    "openai project key": lambda draw: (
        "sk" + f"-proj-{some(draw, 74, URL_SAFE)}T3Blbk" + "FJ" + some(draw, 74, URL_SAFE)
    ),
    "anthropic key": lambda draw: "sk" + f"-ant-api03-{some(draw, 93, URL_SAFE)}AA",
    "hugging face token": begins("hf" + "_", 34, LETTERS),
    "npm token": begins("npm" + "_", 36),
    "pypi token": begins("pypi" + "-AgEIcHlwaS5vcmc", 150, URL_SAFE),
    "sendgrid key": lambda draw: "SG" + f".{some(draw, 22, URL_SAFE)}.{some(draw, 43, URL_SAFE)}",
    "mailgun key": begins("key" + "-", 32, HEX),
    "mailchimp key": lambda draw: some(draw, 32, HEX) + "-us" + str(draw.randint(1, 20)),
    "telegram bot token": lambda draw: some(draw, 10, DIGITS[1:]) + ":AA" + some(draw, 33, URL_SAFE),
    "discord webhook": lambda draw: (
        "https://" + f"discord.com/api/webhooks/{some(draw, 18, DIGITS[1:])}/{some(draw, 68, URL_SAFE)}"
    ),
    "shopify token": begins("shp" + "at_", 32, HEX),
    "digitalocean token": begins("dop" + "_v1_", 64, HEX),
    "vault token": begins("hv" + "s.", 92, URL_SAFE),
    "terraform token": lambda draw: some(draw, 14) + ".atlas" + "v1." + some(draw, 64, URL_SAFE),
    "grafana token": lambda draw: "gl" + f"sa_{some(draw, 32)}_{some(draw, 8, HEX)}",
    "linear key": begins("lin" + "_api_", 40),
    "figma token": begins("fig" + "d_", 40, URL_SAFE),
    "postman key": lambda draw: "PM" + f"AK-{some(draw, 24, HEX)}-{some(draw, 34, HEX)}",
    "databricks token": begins("da" + "pi", 32, HEX),
    "new relic key": begins("NR" + "AK-", 27, UPPER + DIGITS),
    "atlassian token": lambda draw: (
        "ATA" + "TT3xFfGF0" + some(draw, 171, URL_SAFE) + "=" + some(draw, 8, "ABCDEF" + DIGITS)
    ),
    "docker hub token": begins("dckr" + "_pat_", 27, URL_SAFE),
    "rubygems key": begins("ruby" + "gems_", 48, HEX),
    "doppler token": begins("dp" + ".pt.", 43),
    "pulumi token": begins("pul" + "-", 40, HEX),
    "groq key": begins("gs" + "k_", 52),
    "xai key": begins("xa" + "i-", 80),
    "perplexity key": begins("pp" + "lx-", 48),
    "replicate token": begins("r8" + "_", 37),
    "openrouter key": begins("sk" + "-or-v1-", 64, HEX),
    "tailscale key": lambda draw: "ts" + f"key-auth-{some(draw, 12)}CNTRL-{some(draw, 32)}",
    "age key": begins("AGE-SECRET" + "-KEY-1", 58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"),
    "web token": web_token,
    "rsa private key": armoured("RSA PRIVATE" + " KEY", 1190),
    "ec private key": armoured("EC PRIVATE" + " KEY", 121),
    "openssh private key": armoured("OPENSSH PRIVATE" + " KEY", 400),
    "encrypted private key": armoured(
        "RSA PRIVATE" + " KEY",
        600,
        "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A1B2C3D4E5F60718293A4B5C6D7E8F9\n\n",
    ),
    "pgp private key": armoured("PGP PRIVATE" + " KEY BLOCK", 700, "Version: GnuPG v2\n\n"),
}
"""Each with what its issuer documents, or its keys show: the beginning, the length and the alphabet."""

NAMED = frozenset(("azure storage key", "mailchimp key", "telegram bot token"))
"""Formats that only a name beside them tells from other random text."""
BLOCKS = frozenset(name for name in FORMATS if name.endswith("private key"))

_FIRST = (
    "dragon",
    "winter",
    "Summer",
    "coffee",
    "Falcon",
    "tiger",
    "Monkey",
    "river",
    "Purple",
    "rocket",
    "Berlin",
    "kitten",
)
_SIGNS = "!@#$%^&*?-_+."


def password(draw: Random) -> str:
    """What people and generators choose: words with digits and signs, or random signs."""
    word, other = draw.choice(_FIRST), draw.choice(_FIRST)
    return draw.choice(
        (
            f"{word}{draw.randint(10, 9999)}{draw.choice(_SIGNS)}",
            f"{word.capitalize()}{draw.choice(_SIGNS)}{draw.randint(1950, 2030)}",
            f"{word}{draw.randint(2, 99)}{other}",
            f"{word[:2]}{draw.choice('@$3!')}{word[2:]}{draw.randint(1, 99)}",
            some(draw, draw.randint(10, 20), WORD),
            some(draw, draw.randint(10, 18), WORD + "!#%^*?_+."),
            f"{word.capitalize()}-{other.capitalize()}-{draw.randint(10, 99)}",
        )
    )


def random_key(draw: Random) -> str:
    """A key of no known issuer: hexadecimal, base64, base62 or a UUID."""
    group = [some(draw, size, HEX) for size in (8, 4, 4, 4, 12)]
    return draw.choice((some(draw, 32, HEX), some(draw, 64, HEX), blob(draw, 32), some(draw, 32), "-".join(group)))


def mixed_key(draw: Random) -> str:
    """A key that shows by itself that it is random: capitals, small letters and digits."""
    return draw.choice((some(draw, draw.randint(28, 48)), some(draw, 40, URL_SAFE[:-2] + "-_"), blob(draw, 33)))
