"""What a reviewer should look at, from facts alone; nothing where there is nothing. Knows no model and no answer."""

import re
from collections.abc import Iterator

from firstpass.contract.wording import listed, signatures
from firstpass.evidence.account import Account
from firstpass.evidence.facts.changes import DependencyChange, SymbolChange

MOST_LINES = 10
MOST_NAMES = 3
GRAVE = frozenset(("authorization", "validation", "error-handling", "assertion", "secret"))
"""Kinds of suspects that a summary's reader must hear of; a review lists all kinds."""

_MAJOR = re.compile(r"\d+")


def review_lines(account: Account) -> tuple[str, ...]:
    """The gravest first, MOST_LINES at most: guards, signatures and their callers, migrations, dependencies, tests."""
    lines = [*_guards(account), *_signatures(account), *_gone(account), *_migrations(account), *_dependencies(account),
             *_untested(account)]  # fmt: skip
    return tuple(dict.fromkeys(lines))[:MOST_LINES]


def _guards(account: Account) -> Iterator[str]:
    for suspect in account.suspects:
        if suspect.kind in GRAVE:
            place = suspect.path if suspect.line is None else f"{suspect.path}:{suspect.line}"
            yield f"{place}: {suspect.text}"


def _signatures(account: Account) -> Iterator[str]:
    for symbol in _public(account):
        if symbol.verb == "signature" or symbol.verb == "renamed":
            yield f"{_what(symbol)}: {_callers(symbol, account)}"


def _what(symbol: SymbolChange) -> str:
    if symbol.verb == "renamed":
        return f"`{symbol.old_name}` is now called `{symbol.name}`"
    if both := signatures(symbol):
        return "The signature of `{}` changed from `{}` to `{}`".format(symbol.name, *both)
    return f"The signature of `{symbol.name}` changed"


def _gone(account: Account) -> Iterator[str]:
    for symbol in _public(account):
        if symbol.verb == "removed":
            yield f"`{symbol.name}` is gone from {symbol.path}: {_callers(symbol, account)}"


def _callers(symbol: SymbolChange, account: Account) -> str:
    """Who uses it, where the repository's index says so."""
    name = symbol.old_name or symbol.name
    users = account.users.get(name)
    if users is None:
        return "check its callers"
    return f"{listed(list(users), MOST_NAMES)} {'has' if len(users) == 1 else 'have'} that name" if users else (
        "no other file of the repository has that name"
    )  # fmt: skip


def changed_names(account: Account) -> tuple[str, ...]:
    """Of public symbols that are called or used in another way now."""
    changed = (symbol for symbol in _public(account) if symbol.verb in ("signature", "renamed", "removed"))
    return tuple(dict.fromkeys(symbol.old_name or symbol.name for symbol in changed))


def _public(account: Account) -> list[SymbolChange]:
    files = (file for file in account.facts.files if file.kind == "code")
    return [symbol for file in files for symbol in file.symbols if symbol.public and not symbol.test]


def _migrations(account: Account) -> Iterator[str]:
    for file in account.facts.files:
        if file.kind == "migration" and file.verb != "removed":
            yield f"{file.path}: a migration" + (f" that does this: {listed(list(file.operations), 4)}"
                                                 if file.operations else "")  # fmt: skip


def _dependencies(account: Account) -> Iterator[str]:
    changes = account.facts.dependencies
    for change in changes[:4]:
        yield _moved(change)
    if len(changes) > 4:
        yield f"{len(changes) - 4} more dependencies changed"


def _moved(change: DependencyChange) -> str:
    match change.verb:
        case "added":
            return f"{change.path}: a new dependency, {change.name} {change.new or ''}".rstrip()
        case "removed":
            return f"{change.path}: the dependency {change.name} is gone"
        case "changed":
            step = " (another major version)" if _major(change.old) != _major(change.new) else ""
            return f"{change.path}: {change.name} moves from {change.old or 'any'} to {change.new or 'any'}{step}"


def _major(version: str | None) -> str | None:
    found = _MAJOR.search(version or "")
    return found[0] if found else None


def _untested(account: Account) -> Iterator[str]:
    """Behaviour that changed while no test did."""
    files = account.facts.files
    if any(file.kind == "test" or any(symbol.test for symbol in file.symbols) for file in files):
        return
    names = [
        f"`{symbol.name}`"
        for file in files
        if file.kind == "code"
        for symbol in file.symbols
        if symbol.kind in ("function", "method") and symbol.verb in ("added", "changed", "signature")
    ]
    if names:
        yield f"No test changed with {listed(names, MOST_NAMES)}"
