"""Contracts as folders of files: what is shipped, what a user adds, and what is wrong with one."""

import json
from pathlib import Path

import pytest

from firstpass.contract import Shelf, shipped
from firstpass.contract.files import SHIPPED, filled, load, load_folder
from firstpass.errors import BadSettings, NotFound

DIGESTS = {
    "code-review@2": "345b119960093091125e1e4fc2f496fdc3f3eca1c47cd483337c13a5c76a930e",
    "code-review@1": "324a9994c78a954f3e7431e7e25acb59d8a51931fa175a44173f34cbaf5e14bb",
    "commit-message@2": "97adeecc862bef9c322ff41e6830b96dc51d5b8d68cdfcf099ab29c74082feb5",
    "commit-message@1": "c1510593f83127934004e61d41b222021df3fc15fba1a8a9715360261ba4982c",
    "free@1": "6cfe300f682b2a136ac182e8538a187863cbbf0dd64637abe819e13783e0dd70",
    "pr-summary@4": "4d08b45c39ac7e6764f0d14645712dc7653371cce0f6627335231020f59b7f42",
    "pr-summary@3": "fef7ffd5ed7c30b00559013527a900f31d0cd4739a6735293114ba1b121b278f",
    "touched-functions@1": "ed6c1b76cdc30ec30fe3692ef6fefe272c54e54f9bb60f55e8b7318a80a8cbdc",
}
SPEC = """summary = "Notes."
reads = "diff"
form = "headed"
checks = ["format", "references"]
[[sections]]
name = "Notes"
holds = "items"
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with a contract of the user's."""
    folder = tmp_path / "contracts" / "release-note" / "2"
    folder.mkdir(parents=True)
    (folder / "contract.toml").write_text(SPEC)
    (folder / "prompt.txt").write_text("Notes: what changed?\n{diff}\n")
    return tmp_path / "contracts"


def test_a_shipped_version_never_changes() -> None:
    """A change of one of these is a new version: the record says `name@version`, and so do users."""
    assert {files.pinned: files.sha256 for files in load_folder(SHIPPED)} == DIGESTS


def test_a_bare_name_means_the_newest_version(own: Path) -> None:
    (own / "release-note" / "10").mkdir()
    for file in ("contract.toml", "prompt.txt"):
        (own / "release-note" / "10" / file).write_bytes((own / "release-note" / "2" / file).read_bytes())
    shelf = Shelf.of(own)
    assert shelf.pins["release-note"] == "release-note@10" and shelf.pins["release-note@2"] == "release-note@2"
    assert shelf.find("pr-summary@3").version == 3 and shelf.find("release-note@2").version == 2


def test_an_unknown_contract_is_not_found_and_the_known_ones_are_listed() -> None:
    with pytest.raises(NotFound, match="pr-summary@3"):
        Shelf.of(None).find("pr-sumary")


def test_one_name_and_version_stands_once(own: Path) -> None:
    with pytest.raises(BadSettings, match="release-note@2 is there twice"):
        Shelf([*load_folder(own), *load_folder(own)])


def test_the_digest_covers_every_file(own: Path) -> None:
    folder = own / "release-note" / "2"
    seen = {load(folder).sha256}
    (folder / "prompt.txt").write_text("Notes: what has changed?\n{diff}\n")
    seen.add(load(folder).sha256)
    (folder / "verify.txt").write_text("Judge it.")
    seen.add(load(folder).sha256)
    (folder / "answer.schema.json").write_text('{"type": "object"}')
    seen.add(load(folder).sha256)
    (folder / "draft.txt").write_text("{diff}")
    seen.add(load(folder).sha256)
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("contract.toml", SPEC.replace("reads", "reeds"), r"contract\.toml: reads: Field required"),
        ("contract.toml", SPEC + "colour = 1\n", r"contract\.toml: sections\.0\.colour: Extra inputs"),
        ("contract.toml", SPEC.replace('"references"', '"vibes"'), r"contract\.toml: checks\.1: Input should be"),
        ("contract.toml", SPEC.replace('"headed"', '"free"'), "sections belong to the form `headed`"),
        ("contract.toml", SPEC.replace('"diff"', '"anything"'), "only a contract that reads a diff"),
        ("contract.toml", SPEC + SPEC[SPEC.index("[[") :], "two sections have the same name"),
        ("contract.toml", "summary = ", r"contract\.toml: "),
        ("prompt.txt", "Say something.", r"prompt\.txt: shows the model no diff"),
        ("prompt.txt", "{diff} {moon}", r"prompt\.txt: unknown field \{moon\}"),
        ("draft.txt", "Say something.", r"draft\.txt: shows the model no diff"),
        ("draft.txt", "{diff} {moon}", r"draft\.txt: unknown field \{moon\}"),
        ("answer.schema.json", "{", r"answer\.schema\.json: "),
        ("answer.schema.json", '{"type": "moon"}', r"answer\.schema\.json: "),
        ("notes.md", "hello", r"unknown file notes\.md"),
    ],
)
def test_what_is_wrong_is_said_with_its_file_and_key(own: Path, file: str, text: str, fault: str) -> None:
    (own / "release-note" / "2" / file).write_text(text)
    with pytest.raises(BadSettings, match=fault):
        Shelf.of(own)


@pytest.mark.parametrize("name", ["Release/1", "release-note/0", "release-note/two", "release_note/1"])
def test_a_folder_is_named_for_its_contract_and_version(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir(parents=True)
    with pytest.raises(BadSettings, match="must be NAME/VERSION"):
        Shelf.of(tmp_path)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="is no directory"):
        Shelf.of(tmp_path / "nowhere")


def test_a_prompt_s_fields_are_text_braces_and_all() -> None:
    assert filled("{diff}|{openings}", {"diff": "{openings} {0}", "openings": "{diff}"}) == "{openings} {0}|{diff}"


def test_the_shipped_schema_is_of_the_shipped_sections() -> None:
    files = shipped("pr-summary@3").files
    assert files.schema is not None
    assert [*files.schema["properties"]] == [section.name for section in files.form.sections]
    assert json.loads((SHIPPED / "pr-summary/3/answer.schema.json").read_text()) == files.schema
