"""Whether a definition is for others to use, and whether it is a test, by its language's conventions. Knows no diff."""

import re

from firstpass.evidence.facts.scopes import Scope
from firstpass.evidence.trees.languages import LanguageName

_HIDDEN = re.compile(r"\b(?:private|fileprivate|internal)\b")
_SHOWN = re.compile(r"\b(?:public|protected|open)\b")
_PUB = re.compile(r"\bpub\b")
_STATIC = re.compile(r"\bstatic\b")
_EXPORTED = re.compile(r"\bexport\b")
_SAID = frozenset(("java", "csharp", "swift"))
"""Where what says nothing is not for all."""

_TEST_NAMES: dict[str, re.Pattern[str]] = {
    "python": re.compile(r"test_|test[A-Z]|test$"),
    "go": re.compile(r"(?:Test|Benchmark|Fuzz|Example)(?:[A-Z_0-9]|$)"),
    "php": re.compile(r"test[A-Z_]"),
    "swift": re.compile(r"test[A-Z_]"),
    "ruby": re.compile(r"test_"),
}
_TEST_MARKS = re.compile(
    r"#?[@\[]\W*(?:[\w.:]+(?:\.|::))?(?:test|rstest|ParameterizedTest|Fact|Theory|TestMethod|bench)\b", re.I
)


def is_public(language: LanguageName | str | None, scope: Scope, exports: bool) -> bool:
    """exports: whether the file says by a word what others may use."""
    name, signature = scope.name, scope.signature
    if name.startswith("_") and not name.endswith("__"):
        return False
    if language == "go":
        return name[:1].isupper() and (scope.holder or "A")[:1].isupper()
    if language == "rust":
        return bool(_PUB.search(signature))
    if language in ("c", "cpp"):
        return not _STATIC.search(signature)
    if language in _SAID:
        return bool(_SHOWN.search(signature))
    if language in ("javascript", "typescript", "tsx") and scope.holder is None and exports and scope.indent == 0:
        return bool(_EXPORTED.search(signature))
    return not _HIDDEN.search(signature) and not (scope.holder or "").startswith("_")


def is_test(language: LanguageName | str | None, scope: Scope) -> bool:
    if scope.kind not in ("function", "method"):
        return False
    names = _TEST_NAMES.get(language or "")
    return bool(names and names.match(scope.name)) or any(_TEST_MARKS.match(text) for _, text in scope.decorators)
