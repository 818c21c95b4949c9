"""What a migration does, by the words of SQL and of the usual tools. Knows no dialect."""

import re
from collections.abc import Iterator

from firstpass.evidence.diffs.diff import FileDiff
from firstpass.evidence.facts.changes import MOST_CHARACTERS

MOST_OPERATIONS = 40
_QUOTE = r"[\"'`\[:]?"
_SQL = re.compile(
    r"\b(?P<verb>CREATE|ALTER|DROP|TRUNCATE|RENAME)\s+(?:OR\s+REPLACE\s+)?(?:UNIQUE\s+|MATERIALIZED\s+|TEMPORARY\s+)?"
    r"(?P<what>TABLE|INDEX|VIEW|COLUMN|TYPE|FUNCTION|TRIGGER|SEQUENCE|SCHEMA|CONSTRAINT|DATABASE"
    r"|EXTENSION|POLICY|ROLE)\s+"
    rf"(?:CONCURRENTLY\s+)?(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(?:ONLY\s+)?{_QUOTE}(?P<name>[\w.\"`]+)",
    re.I,
)
_COLUMN = re.compile(
    rf"\b(?P<verb>ADD|DROP|ALTER|RENAME|MODIFY)\s+(?P<what>COLUMN|CONSTRAINT)\s+(?:IF\s+"
    rf"(?:NOT\s+)?EXISTS\s+)?{_QUOTE}(?P<name>\w+)",
    re.I,
)
_ROWS = re.compile(
    rf"\b(?P<verb>INSERT\s+INTO|DELETE\s+FROM|UPDATE)\s+{_QUOTE}(?P<name>\w+)[\"`\]]?\s*(?:\(|SET\b"
    rf"|WHERE\b|;|$|VALUES\b|SELECT\b)",
    re.I,
)
_CALL = re.compile(
    r"\b(?P<verb>add_column|remove_column|drop_column|alter_column|change_column|change_column_null"
    r"|change_column_default"
    r"|rename_column|create_table|drop_table|rename_table|add_index|remove_index|create_index|drop_index"
    r"|add_foreign_key"
    r"|remove_foreign_key|create_foreign_key|drop_constraint|create_unique_constraint|create_check_constraint"
    r"|create_primary_key|add_reference|remove_reference|add_timestamps|addColumn|removeColumn"
    r"|changeColumn|renameColumn"
    r"|createTable|dropTable|dropColumn|addIndex|removeIndex|renameTable|alterTable|dropTableIfExists"
    r"|bulk_insert|execute"
    rf"|batch_alter_table)\b!?\s*\(?\s*{_QUOTE}(?P<name>\w*)[\"'`]?(?:\s*,\s*{_QUOTE}(?P<second>\w+))?"
)
_DJANGO = re.compile(
    r"\bmigrations\.(?P<verb>(?:Add|Remove|Alter|Rename|Create|Delete|Run|Separate)\w+)\b|\b"
    r"(?P<key>model_name|name)\s*=\s*[\"'](?P<value>\w+)[\"']"
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def operations(file: FileDiff) -> tuple[str, ...]:
    """Of the added lines, as short phrases such as "add column users.age", each once."""
    added = [line.text[:1_000] for hunk in file.hunks for line in hunk.lines if line.kind == "added"]
    return tuple(dict.fromkeys(text[:MOST_CHARACTERS] for text in _operations(added)))[:MOST_OPERATIONS]


def _operations(lines: list[str]) -> Iterator[str]:
    table = ""
    django: list[str] = []
    for line in lines:
        if match := _SQL.search(line):
            name = match["name"].replace('"', "").replace("`", "")
            table = name if match["what"].upper() == "TABLE" else table
            yield f"{match['verb'].lower()} {match['what'].lower()} {name}"
        for found in _COLUMN.finditer(line):
            yield f"{found['verb'].lower()} {found['what'].lower()} {f'{table}.' if table else ''}{found['name']}"
        if match := _ROWS.search(line):
            yield f"{' '.join(match['verb'].lower().split())} {match['name']}"
        if match := _CALL.search(line):
            yield _called(match)
        for found in _DJANGO.finditer(line):
            if found["verb"]:
                yield from _django(django)
                django = [" ".join(word.lower() for word in _WORD.findall(found["verb"]))]
            elif django:
                django.append(found["value"])
    yield from _django(django)


def _called(match: re.Match[str]) -> str:
    verb = " ".join(word.lower() for word in _WORD.findall(match["verb"]))
    names = ".".join(name for name in (match["name"], match["second"]) if name)
    return f"{verb} {names}".strip()


def _django(parts: list[str]) -> Iterator[str]:
    if parts:
        yield f"{parts[0]} {'.'.join(parts[1:3])}".strip()
