"""What code can find by itself in a diff that a reviewer should look at, gravest first. Knows no model and no tree."""

import re
from dataclasses import replace
from itertools import chain, islice

from firstpass.evidence.diffs.diff import Diff, FileDiff
from firstpass.evidence.suspects.anywhere import in_any_text
from firstpass.evidence.suspects.commented import commented_out
from firstpass.evidence.suspects.exposures import exposures
from firstpass.evidence.suspects.guards import lost_guards
from firstpass.evidence.suspects.kept import Kept, Reading
from firstpass.evidence.suspects.leftovers import faults
from firstpass.evidence.suspects.losses import losses
from firstpass.evidence.suspects.suspicion import Suspect, SuspectKind
from firstpass.evidence.trees.masking import Masked, dialect_of

__all__ = ["MOST", "Suspect", "SuspectKind", "suspects"]

MOST = 50
"""Suspects that are told."""

_MOST_FOUND = 2_000

_UNREAD = re.compile(
    r"(?:^|/)(?:node_modules|bower_components|vendor|third_party|dist|__snapshots__)/|\.min\.(?:js|mjs|css)$|\.(?:map|snap|lock|svg)$"
    r"|_pb2(?:_grpc)?\.pyi?$|\.pb\.go$|[._]generated\.|(?:^|/)(?:package-lock\.json|npm-shrinkwrap\.json|pnpm-lock\.yaml|go\.sum)$"
)
_TEST = re.compile(
    r"(?:^|/)(?:(?:\w+[-_])?tests?(?:[-_][\w-]*)?|funtests?|testsuite|[\w-]+-testing[\w-]*|__tests__|specs?|testing|e2e|testdata|fixtures|\w+Test|t|integration)/|(?:^|/)(?:test_[^/]*|conftest\.py|tests?\.\w+)$"
    r"|(?:_test|_tests|\.test|\.spec|_spec|\.cy|-test|Tests?|IT|Spec)\.\w+$"
)


def suspects(parsed: Diff) -> tuple[Suspect, ...]:
    """At most MOST, each once; never raises."""
    written = [file for file in parsed.files if not file.binary and not _UNREAD.search(file.path or "")]
    kept = Kept(
        [reading for file in written if not _is_gone(file) and (reading := _reading(file))],
        [reading for file in written if _is_gone(file) and (reading := _reading(file))],
    )
    parts = (
        lost_guards(kept),
        losses(kept),
        exposures(kept),
        faults(kept),
        commented_out(kept),
        in_any_text(written, _is_test),
    )
    told = sorted(dict.fromkeys(islice(chain(*parts), _MOST_FOUND)), key=lambda one: -one.weight)
    told = [one if one.path else replace(one, line=None) for one in told]
    graver = {(one.path, one.line) for one in told if one.kind != "commented-out"}
    return tuple(one for one in told if one.kind != "commented-out" or (one.path, one.line) not in graver)[:MOST]


def _is_gone(file: FileDiff) -> bool:
    return file.new_path is None and file.old_path is not None


def _is_test(path: str) -> bool:
    return _TEST.search(path) is not None


def _reading(file: FileDiff) -> Reading | None:
    """None for what is no code."""
    dialect = dialect_of(file)
    if dialect is None or dialect == "settings":
        return None
    path = file.path or ""
    return Reading(path, dialect, [Masked(hunk, dialect) for hunk in file.hunks], _is_test(path))
