"""SQL and Terraform's language.

SQL: functions and procedures, `SELECT f(x)`, `CALL p()` and `EXEC p`; what its standard and the common databases
provide is left out. HCL: functions by name; conversions are left out, as elsewhere. A `module` block has no call:
what it takes over is a folder, not a name.
"""

import re
from collections.abc import Sequence

from firstpass.evidence.trees.grammars.language import Language

_SQL_TEXT = """
abs add and any array array_agg array_length as avg bigint binary bit_and bit_or bool_and bool_or by cast ceil
ceiling char char_length character_length check coalesce concat concat_ws constraint convert count cume_dist
current_date current_time current_timestamp current_user date date_add date_format date_part date_sub date_trunc
datediff datetime day decimal dense_rank double else enum every exists exp extract first_value float floor foreign
from from_unixtime generate_series getdate greatest group_concat grouping hour if ifnull iif in index int integer
interval isnull json_agg json_array json_build_object json_extract json_object jsonb_agg jsonb_build_object key lag
last_value lead least left len length ln log lower lpad ltrim max min minute mod month nextval not now ntile nullif
numeric nvarchar nvl on or over overlay partition percent_rank position power primary rank references regexp_replace
repeat replace right round row row_number rpad rtrim second select set sign smallint some split_part sqrt stddev
string_agg strpos substr substring sum sysdate table text then time timestamp timestamptz to_char to_date to_number
to_timestamp translate trim trunc unique unnest upper using uuid values varchar variance when where with year
"""
_SQL_NAMES = tuple(_SQL_TEXT.split())

_SQL_CALLS = """
(invocation (object_reference name: (identifier) @call))
"""
_CALL = re.compile(r"^(\s*)(?:CALL|PERFORM)\b(?=\s+[\w.\"]+\s*\()", re.I)
_EXEC = re.compile(
    r"^(\s*)EXEC(?:UTE)?\s+(?:@\w+\s*=\s*)?((?:[\w\[\]]+\.)*\[?[A-Za-z_]\w*\]?)(?=\s*(?:;|$|@|\d|'|N'))", re.I
)


_NAMING = "into|table|references|on|function|procedure|index|key|unique|using|with|as"
_CLAUSES = (
    "and|or|not|select|call|join|where|when|then|else|return|set|default|values|having|by|from|if|check|case|perform"
)


def sql_code(lines: Sequence[str]) -> list[str]:
    """The grammar has no procedures; as a query, what is called and its arguments stay."""
    return [_EXEC.sub(_selected, _CALL.sub(r"\1SELECT", line)) if _may_execute(line) else line for line in lines]


def _may_execute(line: str) -> bool:
    return line.lstrip()[:4].lower() in ("call", "exec", "perf")


def _selected(found: re.Match[str]) -> str:
    name = found[2].replace("[", "").replace("]", "")
    return f"{found[1]}SELECT {name}(); --"


SQL = Language(
    suffixes=(".sql", ".ddl", ".dml", ".psql", ".pgsql", ".plsql", ".tsql", ".prc"),
    module="tree_sitter_sql",
    calls=_SQL_CALLS,
    definitions="""
[(create_function (object_reference name: (identifier) @name))
 (create_table (object_reference name: (identifier) @name))
 (create_view (object_reference name: (identifier) @name))]
""",
    provided=frozenset(_SQL_NAMES) | {name.upper() for name in _SQL_NAMES} | {name.capitalize() for name in _SQL_NAMES},
    doubtful=(
        (None, re.compile(r"^\s*(?:CREATE|ALTER|DROP|INSERT\s+INTO|REFERENCES|GRANT|REVOKE|COMMENT)\b[^()]*\(", re.I)),
        (
            None,
            re.compile(
                r"\b(?:INTO|TABLE|REFERENCES|ON|FUNCTION|PROCEDURE|INDEX|KEY|UNIQUE|USING|WITH|AS)\s+[\w.\"]+\s*\(",
                re.I,
            ),
        ),
        (re.compile(r"\bCREATE\b", re.I), re.compile(rf"^\s*(?!(?:{_CLAUSES})\b)[\w\"]+\s+\w+\s*\(", re.I)),
        (None, re.compile(r"^\s*,?\s*[\w\"]+\s*\([^()]*\)\s*(?:AS\s*\(|NOT\s+NULL|DEFAULT\b|VALUES\b|,?\s*$)", re.I)),
    ),
    before=(
        "SELECT",
        "SELECT x,",
        "SELECT x",
        "SELECT x FROM t",
        "SELECT x FROM t WHERE",
        "SELECT x FROM",
        "UPDATE t SET",
        "SELECT (",
        "SELECT f(",
    ),
    comments="any",
    code=sql_code,
)

HCL = Language(
    suffixes=(".tf", ".hcl", ".tfvars", ".tofu", ".nomad"),
    module="tree_sitter_hcl",
    calls="(function_call . (identifier) @call)",
    definitions="""
(block . (identifier) . [(string_lit) (identifier)]* . (string_lit (template_literal) @name) . (block_start))
""",
    provided=frozenset(("tobool", "tolist", "tomap", "tonumber", "toset", "tostring", "length")),
    reserved=frozenset(("for", "if", "in")),
    blocks=(("x y {", "z {"), ("x y {", "z = {", "z = {"), ("x = {", "y = {")),
    parameters=("x = f(", "x = ["),
    before=("x = f(", "x = [", "x = {"),
    comments="any",
)
