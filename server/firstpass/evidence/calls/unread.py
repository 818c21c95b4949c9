"""Files of a diff whose calls can't be read, and why. Knows paths and their suffixes, no language and no tree.

A file that can hold no calls is none of them: text, data, pictures, locks, styles. What is neither known to be read
nor to hold none is said to be unread, so that silence about a file means that it has no calls.
"""

from pathlib import PurePosixPath
from typing import NamedTuple

from firstpass.evidence.diffs.diff import FileDiff

_TEXT = "md markdown mdown rst txt adoc asciidoc org tex bib log text license patch diff po pot srt man"
_DATA = (
    "json jsonc json5 jsonl ndjson yaml yml toml ini cfg conf config properties env csv tsv xml xsd dtd plist lock sum"
    " mod work avsc parquet sqlite db editorconfig gitignore gitattributes gitmodules dockerignore npmignore"
    " prettierrc eslintrc babelrc npmrc nvmrc snap map resx strings xcconfig pbxproj storyboard xib iml tfstate"
    " webmanifest desktop service pem crt key pub asc sig example sample mailmap browserslistrc stylelintrc flake8"
    " pylintrc"
)
_STYLE = "css scss sass less styl svg"
_MEDIA = (
    "png jpg jpeg gif ico webp bmp tif tiff psd pdf woff woff2 ttf otf eot mp3 mp4 mov wav ogg zip gz bz2 xz tar tgz"
    " zst 7z rar jar war whl exe dll so dylib a o class pyc bin dat doc docx xls xlsx ppt pptx"
)
_WITHOUT_CALLS = frozenset(f".{suffix}" for suffix in f"{_TEXT} {_DATA} {_STYLE} {_MEDIA}".split())
_NAMES = (
    "license licence copying notice authors contributors maintainers readme changelog changes history news todo install"
    " codeowners version dockerfile containerfile procfile pipfile manifest owners thanks credits security"
)
_NAMES_WITHOUT_CALLS = frozenset(_NAMES.split())
_STARTS_WITHOUT_CALLS = ("dockerfile.", "license-", "license.", "readme.", "requirements", ".env")

UNCLEAR = "a hunk of it does not show which part of the file it is in"


class Unread(NamedTuple):
    """A path, and why its calls were not read, as a clause."""

    path: str
    why: str

    def __str__(self) -> str:
        return f"Calls not read in {self.path}: {self.why}"


def may_have_calls(path: str) -> bool:
    """Whether a file that no grammar reads may be code."""
    name = PurePosixPath(path).name.lower()
    suffix = PurePosixPath(name).suffix
    if suffix in _WITHOUT_CALLS or f".{name.lstrip('.')}" in _WITHOUT_CALLS or name in _NAMES_WITHOUT_CALLS:
        return False
    return not name.startswith(_STARTS_WITHOUT_CALLS)


def without_grammar(file: FileDiff) -> Unread | None:
    """For a file in no language that is read; None where it has no changed lines, or none that could call."""
    changed = any(line.kind != "context" and line.text.strip() for hunk in file.hunks for line in hunk.lines)
    if file.path is None or file.binary or not changed or not may_have_calls(file.path):
        return None
    suffix = PurePosixPath(file.path).suffix
    return Unread(
        file.path, f"no grammar for {suffix} files" if suffix else "its name does not say what it is written in"
    )
