"""What a diff did, a line a file, from its facts. Knows no model and judges no answer."""

from collections.abc import Iterable, Iterator, Sequence

from firstpass.contract.wording import listed, quoted, shortened, signatures, symbol_worth
from firstpass.evidence.account import Account
from firstpass.evidence.facts.changes import DependencyChange, MessageChange, SettingChange, SymbolChange
from firstpass.evidence.facts.files import FileFacts
from firstpass.evidence.facts.kinds import UNREAD_KINDS
from firstpass.evidence.salience.vocabulary import words_of

MOST_LINES = 12
MOST_NAMES = 4
MOST_PHRASES = 5
MOST_TERMS = 4
MOST_TEXT_WORDS = 14

_SYMBOL_VERBS = (
    ("added", "adds"), ("removed", "removes"), ("renamed", "renames"), ("moved", "moves"), ("changed", "changes"),
)  # fmt: skip


def change_lines(account: Account) -> tuple[str, ...]:
    """`path: what happened there`, the most telling file first, MOST_LINES at most and what is left in one more."""
    files = sorted(account.facts.files, key=lambda file: -_worth(file, account))
    lines = [f"{_place(file)}: {_happened(file, account)}" for file in files if file.path]
    if len(lines) > MOST_LINES:
        rest = files[MOST_LINES - 1 :]
        more = f"{len(rest)} more files: {listed([file.path for file in rest], MOST_NAMES)}"
        return (*lines[: MOST_LINES - 1], more)
    return tuple(lines)


def _worth(file: FileFacts, account: Account) -> float:
    """How telling a file's change is: by its terms, then by its size; what is not read comes last."""
    told = sum(term.weight for term in account.terms if file.path in term.paths)
    told += 0.01 * min(file.added_lines + file.removed_lines, 50)
    return told * (0.6 if file.kind == "test" else 1.0) - 100 * (file.kind in UNREAD_KINDS)


def _place(file: FileFacts) -> str:
    if file.old_path and file.verb in ("renamed", "moved", "copied"):
        return f"{file.old_path} => {file.path}"
    return file.path


def _happened(file: FileFacts, account: Account) -> str:
    """Phrases with semicolons between, each once; at least how many lines changed."""
    phrases = list(dict.fromkeys([*_as_a_whole(file), *_inside(file, account)]))[:MOST_PHRASES]
    said = {word for phrase in phrases for token in phrase.replace("`", " ").split() for word in words_of(token)}
    more = [f"`{term.text}`" if term.code else term.text for term in account.terms if _is_news(term.words, said)
            and file.path in term.paths][:MOST_TERMS]  # fmt: skip
    if more:
        phrases.append(f"touches {listed(more, MOST_TERMS)}")
    return "; ".join(phrases or [_size(file)])


def _is_news(words: Sequence[str], said: set[str]) -> bool:
    return not said.issuperset(words)


def _as_a_whole(file: FileFacts) -> Iterator[str]:
    match file.verb:
        case "added":
            yield f"new {_noun(file)}"
        case "removed":
            yield f"{_noun(file)} is gone"
        case "renamed" | "moved" | "copied":
            yield file.verb
        case "changed" if file.kind in UNREAD_KINDS:
            yield f"{_noun(file)}, not read ({_size(file)})"


def _noun(file: FileFacts) -> str:
    return {"code": "file", "other": "file", "ci": "CI file", "test": "test file"}.get(file.kind, f"{file.kind} file")


def _size(file: FileFacts) -> str:
    return f"{file.added_lines} lines added, {file.removed_lines} removed"


def _inside(file: FileFacts, account: Account) -> Iterator[str]:
    yield from _symbols([symbol for symbol in file.symbols if not symbol.test], account)
    yield from _tests(file)
    yield from (
        phrase for change in account.facts.dependencies if change.path == file.path for phrase in _moved(change)
    )
    yield from map(_setting, file.settings[:MOST_NAMES])
    yield from file.operations[:MOST_NAMES]
    yield from filter(None, map(_message, file.messages[:MOST_NAMES]))
    texts = {text for change in file.messages for text in (change.old, change.new) if text}
    own = (phrase for phrase in account.phrases if phrase.path == file.path and phrase.text not in texts)
    if (phrase := next(own, None)) is not None:
        yield f"says {_quoted(phrase.text)}"
    elif file.headings:
        yield f"under {_quoted(file.headings[0])}"


def _symbols(symbols: Sequence[SymbolChange], account: Account) -> Iterator[str]:
    ranked = sorted(symbols, key=lambda symbol: -symbol_worth(symbol, account.terms))
    for symbol in [symbol for symbol in ranked if symbol.verb == "signature"][:2]:
        both = signatures(symbol)
        yield "`{}` is now `{}`".format(*both) if both else f"changes the signature of `{symbol.name}`"
    for verb, word in _SYMBOL_VERBS:
        names = [_named(symbol) for symbol in ranked if symbol.verb == verb]
        if names:
            yield f"{word} {listed(names, MOST_NAMES)}"


def _named(symbol: SymbolChange) -> str:
    if symbol.verb == "renamed" and symbol.old_name:
        return f"`{symbol.old_name}` to `{symbol.name}`"
    if symbol.verb == "moved" and symbol.old_path:
        return f"`{symbol.name}` from {symbol.old_path}"
    return f"`{symbol.name}`"


def _tests(file: FileFacts) -> Iterator[str]:
    pairs = (
        ("adds", file.tests_added),
        ("removes", file.tests_removed),
        ("changes", file.tests_changed),
    )
    for verb, names in pairs:
        if names:
            noun = "the test" if len(names) == 1 else "tests"
            yield f"{verb} {noun} {listed([f'`{_cut(name)}`' for name in names], 3)}"


def _moved(change: DependencyChange) -> Iterator[str]:
    match change.verb:
        case "added":
            yield f"adds the dependency {change.name} {change.new or ''}".strip()
        case "removed":
            yield f"removes the dependency {change.name}"
        case "changed":
            yield f"moves {change.name} from {change.old or 'any version'} to {change.new or 'any version'}"


def _setting(change: SettingChange) -> str:
    match change.verb:
        case "added":
            return f"sets `{change.key}`" + (f" to {_cut(change.new)}" if change.new else "")
        case "removed":
            return f"drops `{change.key}`"
        case "changed":
            return f"changes `{change.key}` from {_cut(change.old or 'nothing')} to {_cut(change.new or 'nothing')}"


def _message(change: MessageChange) -> str:
    noun = {"error": "error", "log": "log line", "text": "text"}[change.kind]
    if change.verb == "changed" and change.old and change.new:
        return f"the {noun} {_quoted(change.old)} is now {_quoted(change.new)}"
    text = change.new if change.verb == "added" else change.old
    return f"{'new' if change.verb == 'added' else 'gone:'} {noun} {_quoted(text)}" if text else ""


def _quoted(text: str) -> str:
    return quoted(text, MOST_TEXT_WORDS)


def _cut(text: str) -> str:
    return shortened(text, MOST_TEXT_WORDS)


def paths_named(lines: Iterable[str], account: Account) -> set[str]:
    """The changed files that the lines name, by path or by file name."""
    text = "\n".join(lines)
    return {file.path for file in account.facts.files if file.path in text or file.path.rpartition("/")[2] in text}
