"""The dependencies that a diff adds, removes or asks for in another version, by manifest. Knows lines, no resolution.

A dependency's line may be changed with its section out of sight; then the form of the line decides.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from firstpass.evidence.diffs.diff import FileDiff, LineKind
from firstpass.evidence.facts.changes import MOST_CHARACTERS, DependencyChange
from firstpass.evidence.facts.sections import Placed, placed_lines
from firstpass.evidence.memory import noted

MOST_DEPENDENCIES = 100
"""A file."""


class Dependency(NamedTuple):
    name: str
    version: str
    dev: bool = False


_Read = Callable[[Placed, str], Iterator[Dependency]]

_DEV = re.compile(r"dev|test|lint|doc|typing|ci\b|check|bench|build|example|optional-dev", re.I)
_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]{0,80})(?P<extras>\s*\[[\w, -]{0,80}\])?\s*(?P<version>\(?(?:===?|~=|!="
    r"|<=|>=|<|>|@)\s*[^;#\"']{1,120})?\s*(?:;.*|#.*|\\)?$"
)
_QUOTE = re.compile(r"[\"']")
_QUOTED = re.compile(r"[\"']([^\"']{2,160})[\"']")
_KEY_TEXT = re.compile(r"\s*[\"']?(?P<name>[@\w][\w@./-]{0,100})[\"']?\s*[=:]\s*(?P<value>.*?)\s*,?\s*(?:#.*)?$")
_VERSION_IN_TABLE = re.compile(r"\b(?:version|tag|rev|branch|git|path|ref)\s*[=:]\s*[\"']([^\"']{1,80})[\"']")
_WORKSPACE = re.compile(r"workspace\s*=\s*true")
_VERSION = re.compile(
    r"[\^~<>=*v]{0,2}\s*\d[\w.*+^~<>=| ,-]*$|\*$|latest$|next$|(?:workspace|npm|file|link|catalog|git"
    r"|github|https?|patch|portal)[:+].*$"
)
_OPERATED = re.compile(r"[\^~<>=]")
_NODE_TABLES = frozenset(
    (
        "dependencies",
        "devDependencies",
        "peerDependencies",
        "optionalDependencies",
        "engines",
        "resolutions",
        "overrides",
        "require",
        "require-dev",
        "bundledDependencies",
        "catalog",
    )
)
_NO_PACKAGES = frozenset(
    (
        "version",
        "name",
        "edition",
        "rust-version",
        "description",
        "license",
        "type",
        "main",
        "python-version",
        "target-version",
        "line-length",
        "requires-python",
        "readme",
        "resolver",
    )
)
_GO = re.compile(r"\s*(?:require\s+|exclude\s+)?(?P<name>(?=[\w-]*\.)[\w.-]++/[\w./~-]++)\s+(?P<version>v\d\S*)")
_GO_OWN = re.compile(r"\s*(?P<name>go|toolchain)\s+(?P<version>[\w.]+)\s*$")
_GO_REPLACE = re.compile(r"\s*(?:replace\s+)?(?P<name>[\w./~-]+)(?:\s+v\S+)?\s+=>\s+(?P<version>\S+(?:\s+v\S+)?)")
_GRADLE = re.compile(
    r"(?<!\w)(?P<how>\w{0,60})\s{0,4}\(?\s{0,4}(?:platform\(\s{0,4}|kotlin\(\s{0,4})?[\"'](?P<name>[\w.-]+:[\w.-]+)(?::"
    r"(?P<version>[\w.$\{\}+\[\](),-]+))?(?:@\w+)?[\"']"
)
_GRADLE_PLUGIN = re.compile(
    r"\bid\s*\(?\s*[\"'](?P<name>[\w.-]+)[\"']\s*\)?\s*version\s*\(?\s*[\"'](?P<version>[\w.+-]+)"
)
_GRADLE_VERSION = re.compile(
    r"\s*(?:ext\.|val\s+|def\s+)?[\"']?(?P<name>\w{1,60}[vV]ersions?|(?:versions?)\.\w{1,60})[\"']?\s*"
    r"[=:]\s*[\"'](?P<version>\d[\w.+-]*)"
)
_ARTIFACT = re.compile(r"<(?:artifactId)>\s*(?P<name>[^<\s]+)\s*</")
_POM_VERSION = re.compile(r"<(?P<tag>[\w.-]{0,80}version)>\s*(?P<version>[^<]+?)\s*</", re.I)
_POM_SCOPE = re.compile(r"<scope>\s*test\s*</")
_GEM = re.compile(
    r"\s*(?:gem|pod|\w+\.add_(?:runtime_|development_)?dependency)\s*\(?\s*[\"'](?P<name>[\w./-]+)[\"']"
    r"(?:\s*,\s*(?P<version>[\"'][^#]*?[\"']))?"
)
_NUGET = re.compile(
    r"<(?:PackageReference|PackageVersion|package)\s+(?:Include|Update|id)=\"(?P<name>[^\"]+)\"(?:"
    r"[^>]*?\b[vV]ersion=\"(?P<version>[^\"]+)\")?"
)
_USES = re.compile(
    r"\s*(?:-\s+)?uses:\s*[\"']?(?P<name>[\w.-]+/[\w./-]+|docker://[\w./-]+)@?:?(?P<version>[\w./-]*)"
    r"[\"']?\s*(?:#\s*(?P<tag>v?\d[\w.]*))?"
)
_FROM = re.compile(
    r"^\s*FROM\s+(?:--\S+\s+)*(?P<name>[\w./-]+(?::\d+/[\w./-]+)?)(?:[:@](?P<version>[\w.:$\{\}-]+))?", re.I
)
_IMAGE = re.compile(r"\s*(?:-\s+)?image:\s*[\"']?(?P<name>[\w./-]+)(?::(?P<version>[\w.-]+))?[\"']?\s*$")
_HOOK = re.compile(r"\s*(?:-\s+)?(?P<key>repo|rev):\s*[\"']?(?P<value>[^\s\"']+)")
_CONDA = re.compile(r"^\s*-\s+(?P<name>[\w.-]+)\s*(?P<version>[=<>!~]{1,2}\s*[\w.*,<>= -]+)?\s*$")
_MIX = re.compile(r"\{\s*:(?P<name>\w+)\s*,\s*[\"'](?P<version>[^\"']+)[\"']")
_SBT = re.compile(r"\"(?P<group>[\w.-]+)\"\s*%%?%?\s*\"(?P<name>[\w.-]+)\"\s*%\s*\"?(?P<version>[\w.+-]+)\"?")
_SWIFT = re.compile(r"\.package\(.{0,40}?url:\s*\"[^\"]*?(?P<name>[\w.-]+?)(?:\.git)?\"\s*,\s*(?P<version>[^)]{1,80})")


def dependencies(file: FileDiff) -> tuple[DependencyChange, ...]:
    """In order of the new side, then what went. A version that is the same on both sides is none."""
    read, tables = _reader(file.path or "")
    if read is None:
        return ()
    old = dict(_of_side(file, "removed", read, tables))
    new = dict(_of_side(file, "added", read, tables))
    return tuple(_changes(file.path or "", old, new))[:MOST_DEPENDENCIES]


def _changes(
    path: str, old: dict[tuple[str, bool], str], new: dict[tuple[str, bool], str]
) -> Iterator[DependencyChange]:
    for (name, dev), version in new.items():
        before = old.get((name, dev))
        if before != version:
            yield DependencyChange("added" if before is None else "changed", name, before, version, path, dev)
    for (name, dev), version in old.items():
        if (name, dev) not in new:
            yield DependencyChange("removed", name, version, None, path, dev)


def _of_side(file: FileDiff, side: LineKind, read: _Read, tables: bool) -> Iterator[tuple[tuple[str, bool], str]]:
    path = file.path or ""
    for hunk in file.hunks:
        for placed in _with_names(path, placed_lines(hunk, side, tables)):
            if placed.changed:
                for name, version, dev in read(placed, path):
                    yield (name[:MOST_CHARACTERS], dev), " ".join(version.split())[:MOST_CHARACTERS]


def _with_names(path: str, lines: Iterator[Placed]) -> Iterator[Placed]:
    """Where a version stands below its package's name: that name is the last section."""
    pattern = _ARTIFACT if path.endswith("pom.xml") else _HOOK if "pre-commit" in path else None
    if pattern is None:
        yield from lines
        return
    name, wanted = "", False
    for line in lines:
        if match := pattern.search(line.text):
            if pattern is _ARTIFACT:
                name = match["name"]
            elif match["key"] == "repo":
                name = match["value"]
        wanted = line.changed
        yield line._replace(sections=(*line.sections, name), changed=wanted)


@noted(4096)
def _reader(path: str) -> tuple[_Read | None, bool]:
    """(what reads its lines, whether it has tables)"""
    name = PurePosixPath(path).name
    if re.match(r"(?:.*requirements.*|constraints.*)\.(?:txt|in)$", name) or re.search(
        r"requirements/[\w-]+\.(?:txt|in)$", path
    ):
        return _requirement_line, False
    for pattern, read, tables in _READERS:
        if pattern.search(path):
            return read, tables
    return None, False


def _requirement(text: str, dev: bool, bare: bool) -> Iterator[Dependency]:
    """bare: whether a name without a version counts."""
    match = _REQUIREMENT.match(text.strip())
    if match and (match["version"] or bare):
        yield Dependency(
            match["name"] + (match["extras"] or "").replace(" ", ""), (match["version"] or "").strip(), dev
        )


def _requirement_line(line: Placed, path: str) -> Iterator[Dependency]:
    if not line.text.strip().startswith(("#", "-", "\\")):
        yield from _requirement(line.text, bool(_DEV.search(PurePosixPath(path).stem)), bare=True)


def _python_project(line: Placed, _path: str) -> Iterator[Dependency]:
    sections = ".".join(line.sections)
    dev = bool(
        re.search(r"dependency-groups|dev|test|lint|docs?\b|group\.|build-system|optional-dependencies", sections)
    )
    text = line.text.strip()
    in_table = re.search(r"poetry\S*dependencies$|pipfile|packages$", sections)
    match = _KEY_TEXT.match(text)
    if match and not text.startswith(('"', "'")):
        version = match["value"].strip("\"'")
        known = bool(in_table) or (not line.sections and bool(_OPERATED.match(version)))
        if known and match["name"] not in _NO_PACKAGES:
            yield Dependency(match["name"], _table_version(match["value"]), dev)
            return
    listed = re.search(r"dependenc|requires|dependency-groups", sections + text)
    if match and match["value"].startswith("[") and not listed:
        return
    for quoted in _QUOTED.findall(text):
        yield from _requirement(quoted, dev, bare=bool(line.sections and listed))


def _setup(line: Placed, _path: str) -> Iterator[Dependency]:
    sections = " ".join(line.sections)
    dev = bool(re.search(r"tests?_require|dev|test|docs", sections))
    wanted = bool(re.search(r"require", sections))
    text = line.text.split("#", 1)[0]
    quoted = _QUOTED.findall(text)
    for one in quoted:
        yield from _requirement(one, dev, bare=wanted and not text.strip().startswith("'Programming"))
    if not quoted and text[:1] in (" ", "\t") and "=" not in text.split("=")[0]:
        yield from _requirement(text, dev, bare=wanted and "(" not in text)


def _node(line: Placed, _path: str) -> Iterator[Dependency]:
    match = _KEY_TEXT.match(line.text)
    if match is None or not match["value"].startswith('"'):
        return
    table = next((name for name in line.sections if name in _NODE_TABLES), None)
    version = match["value"].strip('"')
    if match["name"] == "packageManager":
        name, _, version = version.partition("@")
        yield Dependency(name, version, True)
    elif table or (not line.sections and match["name"] not in _NO_PACKAGES and _VERSION.match(version)):
        yield Dependency(match["name"], version, table in ("devDependencies", "require-dev"))


def _go(line: Placed, _path: str) -> Iterator[Dependency]:
    match = _GO_REPLACE.match(line.text) or _GO.match(line.text) or _GO_OWN.match(line.text)
    if match:
        yield Dependency(match["name"], match["version"])


def _cargo(line: Placed, _path: str) -> Iterator[Dependency]:
    sections = ".".join(line.sections)
    dev = "dev-dependencies" in sections or "build-dependencies" in sections
    match = _KEY_TEXT.match(line.text)
    if match is None:
        return
    single = re.search(r"dependencies\.([\w-]+)$", sections)
    version = match["value"].strip("\"'")
    if single:
        if match["name"] in ("version", "git", "path"):
            yield Dependency(single[1], version, dev)
    elif "dependencies" in sections or (
        not line.sections and match["name"] not in _NO_PACKAGES and (_VERSION.match(version) or "version" in version)
    ):
        yield Dependency(match["name"], _table_version(match["value"]), dev)


def _table_version(value: str) -> str:
    """Of `"1.2"` and of `{ version = "1.2", features = [...] }`."""
    if match := _VERSION_IN_TABLE.search(value):
        return match[1]
    if _WORKSPACE.search(value):
        return "workspace"
    return value.strip("\"'") if value[:1] in "\"'" else ""


def _gradle(line: Placed, _path: str) -> Iterator[Dependency]:
    if not _QUOTE.search(line.text):
        return
    for match in _GRADLE.finditer(line.text):
        yield Dependency(match["name"], match["version"] or "", "test" in match["how"].lower())
    for match in _GRADLE_PLUGIN.finditer(line.text):
        yield Dependency(match["name"], match["version"], True)
    if not _GRADLE.search(line.text) and (named := _GRADLE_VERSION.match(line.text)):
        yield Dependency(named["name"], named["version"])


def _catalogue(line: Placed, _path: str) -> Iterator[Dependency]:
    match = _KEY_TEXT.match(line.text)
    if match is None:
        return
    inside = re.search(r"(?:module|id)\s*=\s*\"([^\"]+)\"", match["value"])
    whole = re.fullmatch(r"\"([\w.-]+:[\w.-]+):([^\"]+)\"", match["value"])
    if whole:
        yield Dependency(whole[1], whole[2])
    elif inside:
        found = re.search(r"version(?:\.ref)?\s*=\s*\"([^\"]+)\"", match["value"])
        yield Dependency(inside[1], found[1] if found else "")
    elif _VERSION.match(match["value"].strip("\"'")):
        yield Dependency(match["name"], match["value"].strip("\"'"))


def _maven(line: Placed, _path: str) -> Iterator[Dependency]:
    name = line.sections[-1] if line.sections else ""
    version = _POM_VERSION.search(line.text)
    if version and version["tag"].lower() != "version":
        yield Dependency(re.sub(r"[.-]?version$", "", version["tag"], flags=re.I) or "version", version["version"])
    elif version and name:
        yield Dependency(name, version["version"])
    elif artifact := _ARTIFACT.search(line.text):
        yield Dependency(artifact["name"], "")


def _gem(line: Placed, _path: str) -> Iterator[Dependency]:
    if match := _GEM.match(line.text):
        dev = "development" in line.text or bool(_DEV.search(" ".join(line.sections)))
        yield Dependency(match["name"], (match["version"] or "").replace('"', "").replace("'", ""), dev)


def _named(pattern: re.Pattern[str], dev: bool = False) -> _Read:
    def read(line: Placed, _path: str) -> Iterator[Dependency]:
        for match in pattern.finditer(line.text):
            yield Dependency(match["name"], match["version"] or "", dev)

    return read


def _hook(line: Placed, _path: str) -> Iterator[Dependency]:
    match = _HOOK.match(line.text)
    name = line.sections[-1] if line.sections else ""
    if match and name:
        yield Dependency(name.rstrip("/").removesuffix(".git"), match["value"] if match["key"] == "rev" else "", True)


def _action(line: Placed, _path: str) -> Iterator[Dependency]:
    if match := _USES.match(line.text):
        yield Dependency(match["name"], match["tag"] or match["version"], True)
    elif match := _IMAGE.match(line.text):
        yield Dependency(match["name"], match["version"] or "", True)


_READERS: tuple[tuple[re.Pattern[str], _Read, bool], ...] = (
    (re.compile(r"(?:^|/)pyproject\.toml$|(?:^|/)Pipfile$"), _python_project, True),
    (re.compile(r"(?:^|/)setup\.(?:py|cfg)$"), _setup, False),
    (re.compile(r"(?:^|/)(?:package|composer)\.json$|pnpm-workspace\.yaml$"), _node, False),
    (re.compile(r"(?:^|/)go\.(?:mod|work)$"), _go, False),
    (re.compile(r"(?:^|/)Cargo\.toml$"), _cargo, True),
    (re.compile(r"\.versions\.toml$"), _catalogue, True),
    (re.compile(r"\.gradle(?:\.kts)?$"), _gradle, False),
    (re.compile(r"(?:^|/)pom\.xml$"), _maven, False),
    (re.compile(r"(?:^|/)Gemfile$|\.gemspec$|(?:^|/)Podfile$"), _gem, False),
    (re.compile(r"\.(?:cs|fs|vb)proj$|packages\.config$|Directory\.Packages\.props$"), _named(_NUGET), False),
    (re.compile(r"\.pre-commit-config\.yaml$"), _hook, False),
    (re.compile(r"(?:^|/)environment\.ya?ml$"), _named(_CONDA), False),
    (re.compile(r"(?:^|/)mix\.exs$"), _named(_MIX), False),
    (re.compile(r"(?:^|/)build\.sbt$"), _named(_SBT), False),
    (re.compile(r"(?:^|/)Package\.swift$"), _named(_SWIFT), False),
    (re.compile(r"(?:^|/)(?:[\w.-]*Dockerfile[\w.-]*|Containerfile)$|\.dockerfile$"), _named(_FROM), False),
    (
        re.compile(
            r"(?:^|/)\.github/.*\.ya?ml$|(?:^|/)action\.ya?ml$|(?:docker-)?compose[\w.-]*\.ya?ml$"
            r"|\.gitlab-ci\.yml$|\.circleci/"
        ),
        _action,
        False,
    ),
)
"""Which files, how their lines are read, and whether `[name]` opens a section there."""
