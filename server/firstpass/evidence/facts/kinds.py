"""What kind of file a file of a diff is, by its path and its lines. Knows no grammar and no repository."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import PurePosixPath
from typing import Literal

from pathspec import GitIgnoreSpec

from firstpass.evidence.diffs.diff import DiffLine, FileDiff
from firstpass.evidence.memory import noted
from firstpass.evidence.trees.languages import language_of

FileKind = Literal[
    "code", "test", "documentation", "changelog", "manifest", "lock", "configuration", "ci", "migration", "generated",
    "vendored", "minified", "binary", "data", "other",
]  # fmt: skip

UNREAD_KINDS: frozenset[FileKind] = frozenset(("lock", "generated", "vendored", "minified", "binary"))
"""Counted and named, never read."""

GENERATED_MARK = re.compile(
    r"^\W*(?:@generated\b|Code generated .{0,80} DO NOT EDIT|.{0,40}generated.{0,80}do not (?:edit|modify))",
    re.I | re.M,
)
"""What generators write at the top of a file."""

_LINES_OF_MARK = 20
_MOST_PATH_CHARACTERS = 1_000
_MINIFIED_LINE = 500
"""Characters of a line above which people did not write it."""


def _patterns(suffixes: str) -> tuple[str, ...]:
    return tuple(f"*.{suffix}" for suffix in suffixes.split())


_VENDORED = (
    "node_modules/", "bower_components/", "jspm_packages/", "vendor/", "vendored/", "_vendor/",
    "third_party/", "third-party/", "3rdparty/", "thirdparty/", "Godeps/", "Pods/", "Carthage/", ".yarn/",
    "site-packages/", ".venv/", "venv/", "gradlew", "gradlew.bat", "mvnw", "mvnw.cmd",
    "jquery-*.js", "bootstrap*.css", "*.bundle.js",
)  # fmt: skip
_BUILT = ("dist/", "build/", "target/", "__pycache__/", ".next/", ".nuxt/", "*.egg-info/")
"""Directories of what a build makes. In a repository's diff they mostly hold what people wrote (`build/` of a tool's
own scripts), so only the index leaves all of them out."""

_GENERATED = (
    "*_pb2.py", "*_pb2_grpc.py", "*_pb2.pyi", "*.pb.go", "*.pb.gw.go", "*.pb.cc", "*.pb.h", "*_pb.js", "*_pb.d.ts",
    "*.generated.*", "*_generated.*", "*.gen.go", "*.gen.ts", "*_gen.go", "zz_generated*", "*.g.dart", "*.freezed.dart",
    "*.designer.cs", "*.g.cs", "*.js.map", "*.css.map", "*.snap", "*.tsbuildinfo", "__snapshots__/", "__generated__/",
    "_generated/",
)  # fmt: skip
_MINIFIED = ("*.min.js", "*.min.mjs", "*.min.css", "*-min.js", "*-min.css")
NOT_OURS = GitIgnoreSpec.from_lines((*_VENDORED, *_BUILT, *_GENERATED, *_MINIFIED))
"""What the index of a repository leaves out although no .gitignore says so."""

_LOCKS = (
    "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb", "Cargo.lock",
    "poetry.lock", "uv.lock", "pdm.lock", "pylock.toml", "pylock.*.toml", "Pipfile.lock", "Gemfile.lock", "go.sum",
    "go.work.sum", "composer.lock", "mix.lock", "flake.lock", "Podfile.lock", "Package.resolved", "gradle.lockfile",
    "packages.lock.json", "paket.lock", "pubspec.lock", "deno.lock", ".terraform.lock.hcl", "Chart.lock",
    "MODULE.bazel.lock", "conda-lock.yml",
)  # fmt: skip
_BINARY = _patterns(
    "png jpg jpeg gif ico webp bmp tiff pdf zip gz bz2 xz zst tar tgz jar war class exe dll so dylib a o bin dat "
    "woff woff2 ttf otf eot mp3 mp4 ogg wav mov avi webm pyc wasm sqlite db parquet npy npz pt safetensors onnx "
    "keystore p12 der"
)
_CI = (
    "/.github/workflows/", "/.github/actions/", "action.yml", "action.yaml", "/.gitlab-ci.yml", ".gitlab/ci/",
    "/.circleci/", "/.travis.yml", "/appveyor.yml", "/.appveyor.yml", "/azure-pipelines*.yml", "/.azure-pipelines/",
    "Jenkinsfile*", "/.drone.yml", "/.cirrus.yml", "/.buildkite/", "/bitbucket-pipelines.yml", "/cloudbuild.yaml",
    "/.semaphore/", "/.woodpecker/", "/.woodpecker.yml", "/.github/dependabot.yml", "/.github/codecov.yml",
    "codecov.yml", ".codecov.yml", ".pre-commit-config.yaml", "/renovate.json", "/.github/renovate.json",
)  # fmt: skip
_MANIFESTS = (
    "pyproject.toml", "setup.py", "setup.cfg", "requirements*.txt", "requirements*.in", "requirements/*.txt",
    "requirements/*.in", "*-requirements.txt", "*_requirements.txt", "constraints*.txt", "Pipfile", "environment.yml",
    "package.json", "go.mod", "go.work", "Cargo.toml", "build.gradle", "build.gradle.kts", "*.gradle", "*.gradle.kts",
    "*.versions.toml", "pom.xml", "Gemfile", "*.gemspec", "composer.json", "*.csproj", "*.fsproj", "*.vbproj",
    "packages.config", "Directory.Packages.props", "Package.swift", "Podfile", "mix.exs", "pubspec.yaml", "build.sbt",
    "deno.json", "Chart.yaml",
)  # fmt: skip
_MIGRATIONS = (
    "migrations/**", "migration/**", "migrate/**", "alembic/versions/*", "db/changelog/**", "flyway/**",
    "[VUR][0-9]*__*.sql", "*.up.sql", "*.down.sql",
)  # fmt: skip
_CHANGELOGS = (
    "CHANGELOG*", "CHANGES", "CHANGES.*", "Changelog*", "ChangeLog*", "changelog*.md", "changelog*.rst",
    "changelog*.txt", "HISTORY", "HISTORY.*", "History.*", "NEWS", "NEWS.*", "RELEASES.*", "RELEASE_NOTES*",
    "RELEASE-NOTES*", "release-notes/", "release_notes/", "releasenotes/", "changelog.d/", "changelogs/", ".changeset/",
    "newsfragments/", "changes/*.md", "changes/*.rst", "changes/*.txt",
    "changes/*.bugfix", "changes/*.feature", "changes/*.misc", "changes/*.doc", "changes/*.removal",
    "changes/*.breaking", "changes.md", "changes.rst", "changes.txt", "UPGRADING*", "whatsnew/", "debian/changelog",
)  # fmt: skip
_DOCUMENTATION = (
    "*.md", "*.mdx", "*.markdown", "*.rst", "*.adoc", "*.asciidoc", "*.tex", "*.org", "*.textile", "*.pod", "*.rdoc",
    "README*", "CONTRIBUT*", "AUTHORS*", "THANKS*", "LICENSE*", "LICENCE*", "COPYING*", "NOTICE*", "SECURITY*",
    "CODE_OF_CONDUCT*", "MAINTAINERS*", "GUIDE*", "FAQ*", "doc/**/*.txt", "docs/**/*.txt", "man/**", "*.[1-8]",
)  # fmt: skip
_TEST_PLACES = (
    "test/", "tests/", "__tests__/", "spec/", "specs/", "testing/", "e2e/", "testdata/", "test-*/", "*-tests/",
    "fixtures/", "integration-test/", "androidTest/", "commonTest/", "jvmTest/", "jsTest/", "nativeTest/",
    "test_*.*", "*_test.*", "*_tests.*", "tests.py", "conftest.py", "*.test.*", "*.spec.*", "*_spec.*", "*.cy.*",
    "*Test.java", "*Tests.java", "*IT.java", "*Test.kt", "*Tests.kt", "*Test.cs", "*Tests.cs", "*Test.php",
    "*Spec.scala", "*Test.scala", "*Tests.swift", "*.tst", "benches/", "tests.rs", "test.js", "test.ts", "tests.ts",
)  # fmt: skip
_CONFIGURATION = (
    "*.toml", "*.yaml", "*.yml", "*.ini", "*.cfg", "*.conf", "*.config", "*.properties", "*.env", ".env*", "*.json5",
    "*.jsonc", "Dockerfile*", "*.dockerfile", "Containerfile*", "docker-compose*", "compose*.yml", "Makefile*",
    "GNUmakefile", "*.mk", "CMakeLists.txt", "*.cmake", ".editorconfig", ".gitignore", ".gitattributes", ".npmrc",
    ".dockerignore", ".npmignore", ".prettierignore", ".eslintignore", ".mailmap", ".python-version", ".nvmrc",
    ".node-version", ".tool-versions", "rust-toolchain", ".*rc", ".*rc.json", ".*rc.js", ".*rc.cjs", "*.config.js",
    "*.config.ts", "*.config.mjs", "*.config.cjs", "tsconfig*.json", "jsconfig.json", "MANIFEST.in", "Procfile",
    "CODEOWNERS", "nginx*", "*.service", "*.nix", "BUILD", "BUILD.bazel", "WORKSPACE", "*.bzl", "meson.build",
    "settings.json", "config.json", "*.config.json", "*settings*.json", ".vscode/", ".flake8", ".pylintrc",
    ".coveragerc", "*.plist", "*.tfvars", "tox.ini", ".htaccess", "turbo.json", "nx.json", "lerna.json", "angular.json",
    "vercel.json", "netlify.toml", "proguard*.pro", "checkstyle*.xml", "logback*.xml", "log4j*.xml",
    "application*.xml", "web.xml", "AndroidManifest.xml", ".clang-format", ".clang-tidy", ".browserslistrc",
)  # fmt: skip
_DATA = _patterns(
    "json jsonl ndjson csv tsv xml svg txt po pot mo geojson golden out log diff patch html5 xlsx xls docx pem crt "
    "key cert pub b64 hex fasta ics srt vtt strings resx xliff xlf arb har"
)
_CODE = _patterns(
    "c h cc cpp cxx hpp hh hxx m mm cs fs vb rb php swift scala sc sh bash zsh fish ps1 "
    "psm1 bat sql tf hcl vue svelte astro ipynb zig nim d dart lua pl pm r jl ex exs erl hrl "
    "hs lhs ml mli clj cljs cljc edn el lisp scm rkt groovy gradle f f90 f95 pas asm s v sv "
    "vhd vhdl cu cuh cl glsl hlsl wgsl metal proto thrift graphql gql css scss sass less styl "
    "html htm xhtml erb ejs hbs j2 jinja jinja2 tmpl tpl twig mustache pug haml slim liquid awk "
    "pyx pxd coffee elm purs sol move vy cr v tcl bzl cmake mjml y l "
    "inc in ac am m4"
)
_PATTERNS: tuple[tuple[FileKind, tuple[str, ...]], ...] = (
    ("lock", _LOCKS),
    ("minified", _MINIFIED),
    ("generated", _GENERATED),
    ("vendored", _VENDORED),
    ("binary", _BINARY),
    ("ci", _CI),
    ("migration", _MIGRATIONS),
    ("changelog", _CHANGELOGS),
    ("manifest", _MANIFESTS),
    ("documentation", _DOCUMENTATION),
    ("test", _TEST_PLACES),
    ("configuration", _CONFIGURATION),
    ("data", _DATA),
)
"""The first that matches decides: a test's lock is a lock, a page about tests is a page. Source of what is vendored
and generated: github-linguist's vendor.yml and generated.rb, the commonest, in our own words."""


def _combined(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for all: a file's patterns are many, and gitignore's are matched one by one.

    Where a name begins is looked for once, not once for each pattern: behind a slash, which the path has to begin with.
    """
    at_root = [_expression(pattern) for pattern in patterns if pattern.startswith("/")]
    anywhere = [_expression(pattern) for pattern in patterns if not pattern.startswith("/")]
    found = [f"{begin}(?:{'|'.join(some)})" for begin, some in (("^/", at_root), ("/", anywhere)) if some]
    return re.compile("|".join(found))


def _expression(pattern: str) -> str:
    """As .gitignore means it, but one with a slash in its middle may be below any directory."""
    end = "/" if pattern.endswith("/") else "(?:/|$)"
    return "".join(_WILD.get(part, part) for part in _PARTS.split(pattern.strip("/"))) + end


_PARTS = re.compile(r"(\*\*|\*|[.+])")
_WILD = {"**": ".*", "*": "[^/]*", ".": r"\.", "+": r"\+"}
_RULES = tuple((kind, _combined(patterns)) for kind, patterns in _PATTERNS)

_MINIFIABLE = frozenset((".js", ".mjs", ".cjs", ".css"))
_REASONS: dict[FileKind, str] = {
    "lock": "{} is a lock file.",
    "generated": "{} is generated.",
    "vendored": "{} is a copy of another project's.",
    "minified": "{} is minified.",
    "binary": "{} is binary.",
}
_MARKUP_KINDS = frozenset(("documentation", "changelog", "data", "other"))


def kind_of(file: FileDiff) -> FileKind:
    """By the path, then by what the shown lines say of themselves."""
    if file.binary:
        return "binary"
    kind = _by_path(file.path[-_MOST_PATH_CHARACTERS:]) if file.path else "code"
    if kind in UNREAD_KINDS or kind in _MARKUP_KINDS:
        return kind
    head = [line.text[:_MINIFIED_LINE] for line in _head(file)]
    if "generated" in "\n".join(head).lower() and any(map(GENERATED_MARK.search, head)):
        return "generated"
    return "minified" if _is_minified(file) else kind


@noted(4096)
def _by_path(path: str) -> FileKind:
    suffix = PurePosixPath(path).suffix.lower()
    readable = language_of(path) is not None or f"*{suffix}" in _CODE
    for kind, spec in _RULES:
        if spec.search(f"/{path}") and not (readable and kind in ("changelog", "documentation", "data")):
            return kind
    return "code" if readable else "other"


def why_unread(file: FileDiff, kind: FileKind) -> str | None:
    """A sentence about a file that is not read; None for one that is. kind: the file's."""
    return f"{_REASONS[kind].format(file.path or 'A file')} Its lines were not read." if kind in _REASONS else None


def _head(file: FileDiff) -> Iterator[DiffLine]:
    """The shown lines that are near the top of the file."""
    lines = (line for hunk in file.hunks[:1] for line in hunk.lines)
    return (line for line in islice(lines, 2 * _LINES_OF_MARK) if (line.new or line.old or 0) <= _LINES_OF_MARK)


def _is_minified(file: FileDiff) -> bool:
    """Whether most of the shown lines are as long as nobody writes them: one long text among others is none."""
    if PurePosixPath(file.path or "").suffix.lower() not in _MINIFIABLE:
        return False
    lines = [line.text for hunk in file.hunks for line in hunk.lines if line.text.strip()]
    return bool(lines) and 2 * sum(len(line) > _MINIFIED_LINE for line in lines) > len(lines)
