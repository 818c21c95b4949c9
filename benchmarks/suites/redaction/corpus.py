"""A corpus of planted secrets: texts that each hold one, and where. Seeded; knows no detector.

python corpus.py [--seed 1] [--per-type 24] > corpus.jsonl
"""

import argparse
import base64
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parent))

import carriers
import makers

START, END = "\ue000", "\ue001"
"""Stand around a planted secret until its text is whole."""
PROSE = (
    "I have looked at the failing job again and the second step is the one that breaks.",
    "We moved the service to the new cluster on Monday, and since then it answers slowly.",
    "Could you explain what this function does and how to test it?",
    "The build is green on my machine; in CI it stops after four minutes.",
)
LOG = (
    "2024-05-01 12:00:01 INFO  worker started pid=4711",
    "2024-05-01 12:00:02 DEBUG cache miss key=user:42 took 13ms",
    "2024-05-01 12:00:02 WARN  slow query 812ms select * from orders where id = 17",
)
CODE = (
    "def total(items: list[int]) -> int:",
    "    return sum(item for item in items if item > 0)",
    "for (const entry of entries) { counts.set(entry.id, (counts.get(entry.id) ?? 0) + 1); }",
    "version: 2",
    "timeout_seconds: 30",
)


@dataclass(frozen=True, slots=True)
class Planted:
    """A text with a secret at `start` to `end`. known: the secret is one that this machine knows."""

    type: str
    is_format: bool
    held: bool
    text: str
    start: int
    end: int


def known_secrets(seed: int) -> list[str]:
    """What a machine of this corpus knows of its own."""
    draw = Random(seed * 7 + 1)
    return [makers.password(draw) + "/" + makers.some(draw, 10) for _ in range(8)]


def _called(line: str, name: str) -> str:
    camel = "".join(part.capitalize() for part in name.split("_"))
    return line.replace("NAME", name.upper()).replace("Name", camel).replace("name", name)


def _in_token(draw: Random, kind: str) -> tuple[str, str]:
    named = kind in makers.NAMED
    lines = [line for line in carriers.TOKEN if not named or "NAME" in line or "name" in line]
    line = draw.choice(lines)
    words = kind.removesuffix(" token").removesuffix(" key").replace(" ", "_").replace("-", "_")
    name = f"{words}_{'token' if 'token' in kind else 'key'}" if named else draw.choice(carriers.NAMES)
    return line, _called(line, name)


def _formats(draw: Random, per_type: int) -> Iterator[tuple[str, bool, str, str, str]]:
    for kind, make in makers.FORMATS.items():
        for _ in range(per_type):
            if kind in makers.BLOCKS:
                key = context = draw.choice(carriers.BLOCK)
            elif kind == "google service account":
                key, context = '"private_key": ', '"private_key": "@",'
            else:
                key, context = _in_token(draw, kind)
            yield kind, True, key, context, make(draw)


def _basic(draw: Random) -> str:
    return base64.b64encode(f"bob:{makers.password(draw)}".encode()).decode()


GENERIC: dict[str, tuple[Sequence[str], makers.Maker, int]] = {
    "password in prose": (carriers.PASSWORD_PROSE, makers.password, 9),
    "password in code": (carriers.PASSWORD_CODE, makers.password, 9),
    "random key with a name": (carriers.RANDOM_NAMED, makers.random_key, 7),
    "random key alone": (carriers.RANDOM_ALONE, makers.mixed_key, 4),
    "basic header": (
        ("Authorization: Basic @", "curl -H 'Authorization: Basic @' https://x.example.com", '{"auth": "@"}',
         'headers["Authorization"] = "Basic @"'),
        _basic,
        2,
    ),
    "secret of a cluster": (
        ("kind: Secret\ndata:\n  password: @", "kind: Secret\ndata:\n  db-password: @\n"),
        lambda draw: base64.b64encode(makers.password(draw).encode()).decode(),
        2,
    ),
    "one-time seed": (
        ("otpauth://totp/Shop:bob?secret=@&issuer=Shop", "totp_secret = '@'", "2FA secret: @", "MFA_SEED=@"),
        lambda draw: makers.some(draw, 32, makers.BASE32),
        2,
    ),
    "private key in a literal": (
        ('"key": "@"', "KEY='@'", 'const pem = "@";', "PRIVATE_KEY=\"@\""),
        lambda draw: makers.service_account(draw),
        2,
    ),
}  # fmt: skip


def _addresses(draw: Random, count: int) -> Iterator[tuple[str, bool, str, str, str]]:
    for _ in range(count):
        line, around = draw.choice(carriers.ADDRESS), draw.choice(carriers.AROUND_ADDRESS)
        secret = makers.blob(draw, 32) if "Key=" in line else makers.password(draw)
        secret = quote(secret, safe="") if "://" in line or "jdbc" in line else secret
        kind = "address with a password" if "://" in line and "=@at" not in line else "connection string"
        yield kind, False, line, around.replace("@", line).replace("@at", "@", 1), secret


def _split(draw: Random, count: int) -> Iterator[tuple[str, bool, str, str, str]]:
    """The text between the marks is the literal's source; all of the secret's characters are in it."""
    makes = [makers.FORMATS[kind] for kind in ("aws access key", "github token", "npm token", "stripe live key")]
    for _ in range(count):
        line, whole = draw.choice(carriers.SPLIT), draw.choice(makes)(draw)
        cut = draw.randint(3, len(whole) - 4)
        last = draw.randint(cut, len(whole) - 3) if "|" in line else cut
        first, _, rest = line.partition("<")
        source, _, after = rest.rpartition(">")
        yield "split literal", False, line, f"{first}@{after}", _filled(source, whole, cut, last)


def _filled(source: str, whole: str, cut: int, last: int) -> str:
    return whole[:cut] + source.replace("|", whole[cut:last], 1) + whole[last:]


def _known(draw: Random, count: int, seed: int) -> Iterator[tuple[str, bool, str, str, str]]:
    ways: dict[str, Callable[[str], str]] = {
        "as it is": str,
        "in base64": lambda secret: base64.b64encode(secret.encode()).decode(),
        "inside base64": lambda secret: base64.b64encode(f"user-{draw.randint(1, 99)}:{secret}!".encode()).decode(),
        "in a URL": lambda secret: quote(secret, safe=""),
        "in hexadecimal": lambda secret: secret.encode().hex(),
    }
    for name, way in ways.items():
        for _ in range(count):
            line = draw.choice(carriers.RANDOM_ALONE)
            yield f"known secret {name}", False, line, line, way(draw.choice(known_secrets(seed)))


def _snippets(draw: Random, per_type: int, seed: int) -> Iterator[tuple[str, bool, str, str, str]]:
    yield from _formats(draw, per_type)
    for kind, (lines, make, times) in GENERIC.items():
        for _ in range(per_type * times):
            line = draw.choice(lines)
            yield kind, False, line, _called(line, draw.choice(carriers.NAMES)), make(draw)
    yield from _addresses(draw, per_type * 7)
    yield from _split(draw, per_type * 4)
    yield from _known(draw, per_type, seed)


def _around(draw: Random, snippet: str, diffs: Sequence[str]) -> str:
    """A snippet in a prompt, a log, code or a diff."""
    way = draw.choice(("alone", "prose", "log", "code", "diff", "diff"))
    if way == "diff" and diffs:
        lines = draw.choice(diffs).splitlines()
        places = [at for at, line in enumerate(lines) if line[:1] in ("+", "-") and line[:3] not in ("+++", "---")]
        at = draw.choice(places) if places else len(lines)
        sign = draw.choice("+-")
        return "\n".join((*lines[:at], *(sign + line for line in snippet.split("\n")), *lines[at:]))
    lines = {"prose": PROSE, "log": LOG, "code": CODE, "alone": (), "diff": CODE}[way]
    before, after = draw.sample(lines, min(2, len(lines))), draw.sample(lines, min(2, len(lines)))
    return "\n".join((*before, snippet, *after))


def planted(seed: int = 1, per_type: int = 24, diffs: Sequence[str] = ()) -> Iterator[Planted]:
    """The corpus: `per_type` of each known format, and some times as many of each of the wider types."""
    draw = Random(seed)
    for kind, is_format, context, line, secret in _snippets(draw, per_type, seed):
        before = line[: line.index("@")]
        indent = " " * (len(before) - len(before.rstrip(" "))) if before.endswith("\n  ") else ""
        marked = line.replace("@", START + secret.replace("\n", "\n" + indent) + END, 1)
        text = _around(draw, marked, diffs)
        start = text.index(START)
        end = text.index(END) - 1
        yield Planted(kind, is_format, carriers.held(context), text.replace(START, "").replace(END, ""), start, end)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--per-type", type=int, default=24)
    chosen = parser.parse_args()
    for one in planted(chosen.seed, chosen.per_type):
        sys.stdout.write(json.dumps(asdict(one)) + "\n")


if __name__ == "__main__":
    main()
