"""What a diff did to dependencies and settings, by manifest. Every diff is git's own of two texts."""

import pytest

from firstpass.evidence import facts_of
from tests.unit.test_facts import file_of, git_diff

FILLER = "".join(f"# {number}\n" for number in range(20))


def asked(old: str, new: str, path: str, context: int = 3) -> set[tuple[str, str | None, str | None]]:
    facts = facts_of(git_diff({path: old}, {path: new}, context))
    return {(change.name, change.old, change.new) for change in facts.dependencies}


MANIFESTS = [
    ("pyproject.toml", '[project]\ndependencies = [\n    "httpx>=0.27",\n    "rich",\n]\n', "httpx", ">=0.27"),
    ("pyproject.toml", '[tool.poetry.dependencies]\npython = "^3.11"\nhttpx = "^0.27"\n', "httpx", "^0.27"),
    (
        "pyproject.toml",
        '[tool.poetry.dependencies]\nhttpx = {version = "^0.27", extras = ["http2"]}\n',
        "httpx",
        "^0.27",
    ),
    ("pyproject.toml", '[dependency-groups]\ndev = [\n    "httpx~=0.27",\n]\n', "httpx", "~=0.27"),
    ("requirements/dev.txt", "rich\nhttpx[http2]==0.27  # for tests\n", "httpx[http2]", "==0.27"),
    (
        "setup.py",
        "setup(\n    install_requires=[\n        'rich',\n        'httpx>=0.27',\n    ],\n)\n",
        "httpx",
        ">=0.27",
    ),
    ("setup.cfg", "[options]\ninstall_requires =\n    rich\n    httpx >=0.27\n", "httpx", ">=0.27"),
    (
        "package.json",
        '{\n  "version": "1.0.0",\n  "devDependencies": {\n    "vite": "^0.27"\n  }\n}\n',
        "vite",
        "^0.27",
    ),
    ("package.json", '{\n  "engines": {\n    "node": ">=0.27"\n  }\n}\n', "node", ">=0.27"),
    (
        "go.mod",
        "module a.b/c\n\nrequire (\n\tgithub.com/a/b v0.27.0\n\tgolang.org/x/net v1.0.0 // indirect\n)\n",
        "github.com/a/b",
        "v0.27.0",
    ),
    ("Cargo.toml", '[dependencies]\ntokio = { version = "0.27", features = ["full"] }\n', "tokio", "0.27"),
    ("Cargo.toml", '[package]\nversion = "1.0.0"\n\n[dev-dependencies]\nserde = "0.27"\n', "serde", "0.27"),
    ("app/build.gradle", "dependencies {\n    implementation 'com.a:b:0.27'\n}\n", "com.a:b", "0.27"),
    ("build.gradle.kts", 'dependencies {\n    testImplementation("com.a:b:0.27")\n}\n', "com.a:b", "0.27"),
    ("gradle/libs.versions.toml", '[versions]\nokio = "0.27"\n', "okio", "0.27"),
    (
        "gradle/libs.versions.toml",
        '[libraries]\nokio = { module = "com.a:okio", version = "0.27" }\n',
        "com.a:okio",
        "0.27",
    ),
    (
        "pom.xml",
        "<dependency>\n  <groupId>com.a</groupId>\n  <artifactId>b</artifactId>\n"
        "  <version>0.27</version>\n</dependency>\n",
        "b",
        "0.27",
    ),
    ("pom.xml", "<properties>\n  <okio.version>0.27</okio.version>\n</properties>\n", "okio", "0.27"),
    ("Gemfile", 'source "x"\n\ngem "rails", "~> 0.27"\n', "rails", "~> 0.27"),
    ("composer.json", '{\n  "require": {\n    "a/b": "^0.27"\n  }\n}\n', "a/b", "^0.27"),
    (
        ".github/workflows/ci.yml",
        "jobs:\n  a:\n    steps:\n      - uses: actions/checkout@v0.27\n",
        "actions/checkout",
        "v0.27",
    ),
    ("Dockerfile", "FROM python:0.27-slim AS base\nRUN make\n", "python", "0.27-slim"),
    ("a.csproj", '<PackageReference Include="A.B" Version="0.27" />\n', "A.B", "0.27"),
    (".pre-commit-config.yaml", "repos:\n- repo: https://x.test/a/b\n  rev: v0.27\n", "https://x.test/a/b", "v0.27"),
]


@pytest.mark.parametrize(("path", "text", "name", "version"), MANIFESTS)
def test_a_dependency_in_another_version_is_told(path: str, text: str, name: str, version: str) -> None:
    after = text.replace("0.27", "0.28")
    assert asked(text, after, path) == {(name, version, version.replace("0.27", "0.28"))}
    assert asked("\n", text, path) >= {(name, None, version)}
    assert asked(text, "\n", path) >= {(name, version, None)}


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("package.json", '    "vite": "^0.27",\n', "vite"),
        ("pyproject.toml", '    "httpx>=0.27",\n', "httpx"),
        ("Cargo.toml", 'tokio = "0.27"\n', "tokio"),
        ("go.mod", "\tgithub.com/a/b v0.27\n", "github.com/a/b"),
        ("setup.py", "        'httpx>=0.27',\n", "httpx"),
    ],
)
def test_a_dependency_is_told_with_its_section_out_of_sight(path: str, text: str, name: str) -> None:
    old = FILLER + text + FILLER
    assert {change[0] for change in asked(old, old.replace("0.27", "0.28"), path)} == {name}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("package.json", '{\n  "name": "a",\n  "version": "0.27"\n}\n'),
        ("pyproject.toml", '[project]\nname = "a"\nversion = "0.27"\n'),
        ("Cargo.toml", '[package]\nname = "a"\nversion = "0.27"\n'),
        ("pyproject.toml", '[tool.ruff]\ntarget-version = "py0.27"\n'),
    ],
)
def test_a_project_s_own_version_is_a_setting_and_no_dependency(path: str, text: str) -> None:
    after = text.replace("0.27", "0.28")
    assert asked(text, after, path) == set()
    (setting,) = file_of(text, after, path).settings
    assert setting.verb == "changed" and setting.key.endswith("version") and "0.28" in (setting.new or "")


def test_what_only_developers_need_is_told_apart() -> None:
    text = '{\n  "dependencies": {\n    "a": "1"\n  },\n  "devDependencies": {\n    "b": "1"\n  }\n}\n'
    facts = facts_of(git_diff({"package.json": text}, {"package.json": text.replace('"1"', '"2"')}))
    assert {change.name: change.dev for change in facts.dependencies} == {"a": False, "b": True}


SETTINGS = [
    ("a.toml", "[server]\nport = 1\n", "server.port", "1", "2"),
    ("a.ini", "[server]\nport: 1\n", "server.port", "1", "2"),
    ("conf/a.yaml", "server:\n  http:\n    port: 1\n", "server.http.port", "1", "2"),
    (
        "tsconfig.json",
        '{\n  "compilerOptions": {\n    "target": "ES1"\n  }\n}\n',
        "compilerOptions.target",
        "ES1",
        "ES2",
    ),
    (".env.example", "PORT=1\n", "PORT", "1", "2"),
    ("Dockerfile", "ENV PORT=1\n", "ENV PORT", "1", "2"),
    (".github/workflows/a.yml", "jobs:\n  a:\n    timeout-minutes: 1\n", "jobs.a.timeout-minutes", "1", "2"),
    ("a.properties", "server.port=1\n", "server.port", "1", "2"),
]


@pytest.mark.parametrize(("path", "text", "key", "old", "new"), SETTINGS)
def test_a_setting_is_told_with_its_sections(path: str, text: str, key: str, old: str, new: str) -> None:
    (change,) = file_of(text, text.replace("1", "2"), path).settings
    assert (change.verb, change.key, change.old, change.new) == ("changed", key, old, new)


def test_an_entry_of_a_list_is_told_under_its_key() -> None:
    old = "on:\n  push:\n    branches:\n      - main\n"
    (change,) = file_of(old, f"{old}      - next\n", ".github/workflows/a.yml").settings
    assert (change.verb, change.key, change.new) == ("added", "on.push.branches", "next")


def test_a_credential_is_not_repeated() -> None:
    (change,) = file_of("\n", 'password = "hunter2hunter2"\n', "a.toml").settings
    assert change.new == "(hidden)"


def test_a_lock_file_is_counted_and_not_read() -> None:
    facts = facts_of(git_diff({"go.sum": "a.b/c v1 h1:x\n"}, {"go.sum": "a.b/c v2 h1:y\n"}))
    assert (facts.dependencies, facts.files[0].kind, facts.files[0].added_lines) == ((), "lock", 1)
    assert facts.notes == ("go.sum is a lock file. Its lines were not read.",)
