"""How seven languages look: the shapes of files, functions and statements, and words for names. Data only.

In a template stand $f for the name of a function that is called, $F for one that begins with a capital, $v for a
variable that it sets, $o for an object, $a and $b for what is at hand, $n for a number, $s for a word, $m for a module
and $T for a type. One that calls has one call and no other; one that is quiet has none.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """head: of a file. unit: what its functions stand in, if they do. gap: empty lines between two functions.

    last: the last line of a function, which gives $v back.
    """

    name: str
    suffix: str
    comment: str
    indent: str
    snake: bool
    gap: int
    head: str
    unit: tuple[str, str] | None
    opening: str
    closing: str
    last: str
    calls: tuple[str, ...]
    quiet: tuple[str, ...]


PYTHON = Language(
    "python",
    "py",
    "# ",
    "    ",
    True,
    2,
    'LIMIT = $n\nNAME = "$s"',
    None,
    "def $f($a, $b):",
    "",
    "return $v",
    (
        "$v = $f($a)",
        "$v = $o.$f($a, $b)",
        "$v = $f($a, limit=$n)",
        "$o.$f($a)",
        "if not $o.$f($a):\n    return None",
        "with $f($a) as $v:\n    $o.last = $v",
        "for $v in $f($a):\n    $o.$s = $v",
        "$v = $F($a, $b)",
        'assert $f($a) == $n, "$s"',
    ),
    (
        "$v = $n",
        '$v = "$s"',
        "$o.$s = $a",
        "if $a is None:\n    return $b",
        "$v = [$a, $b]",
        "$v = $a if $b else $n",
    ),
)

JAVASCRIPT = Language(
    "javascript",
    "js",
    "// ",
    "  ",
    False,
    1,
    "'use strict'\n\nconst $s = $n",
    None,
    "function $f($a, $b) {",
    "}",
    "return $v",
    (
        "const $v = $f($a)",
        "const $v = $o.$f($a, $b)",
        "const $v = new $F($a)",
        "$o.$f({ $s: $a })",
        "if (!$f($a)) {\n  return null\n}",
        "for (const $v of $o.$f($a)) {\n  $o.$s = $v\n}",
        "$o.$s = $f($a) || $n",
    ),
    (
        "const $v = $n",
        "const $v = '$s'",
        "$o.$s = $a",
        "if ($a === undefined) {\n  return $b\n}",
        "const $v = { $s: $a }",
        "const $v = $a ? $b : $n",
    ),
)

TYPESCRIPT = Language(
    "typescript",
    "ts",
    "// ",
    "  ",
    False,
    1,
    "export interface $T {\n  $s: string;\n  limit: number;\n}",
    None,
    "export async function $f($a: string, $b: $T): Promise<number> {",
    "}",
    "return $v;",
    (
        "const $v = await $f($a);",
        "const $v = $o.$f($a, $b);",
        "const $v: $T = $f($a);",
        "const $v = new $F($a);",
        "$o?.$f($a);",
        "if (!(await $o.$f($a))) {\n  return $n;\n}",
        "for (const $v of $f($a)) {\n  $o.$s = $v;\n}",
    ),
    (
        "const $v = $n;",
        "const $v = '$s';",
        "$o.$s = $a;",
        "if ($a === undefined) {\n  return $n;\n}",
        "const $v: $T = { $s: $a, limit: $n };",
        "const $v = $a ?? $b;",
    ),
)

GO = Language(
    "go",
    "go",
    "// ",
    "\t",
    False,
    1,
    "package $m\n\ntype $T struct {\n\t$s string\n\tlimit int\n}",
    None,
    "func $f($a string, $b *$T) (int, error) {",
    "}",
    "return $v, nil",
    (
        "$v := $f($a)",
        "$v, err := $o.$F($a, $b)\nif err != nil {\n\treturn 0, err\n}",
        "if err := $o.$F($a); err != nil {\n\treturn $n, err\n}",
        "defer $o.$F($a)",
        "go $f($a, $b)",
        "for _, $v := range $f($a) {\n\t$o.$s = $v\n}",
        "$o.$s = $f($a, $n)",
    ),
    (
        "$v := $n",
        '$v := "$s"',
        "$o.$s = $a",
        "if $a == nil {\n\treturn $n, nil\n}",
        "$v := $a + $n",
        "$v := &$T{$s: $a, limit: $n}",
    ),
)

RUST = Language(
    "rust",
    "rs",
    "// ",
    "    ",
    True,
    1,
    "const LIMIT: usize = $n;\n\npub struct $T {\n    pub $s: usize,\n}",
    None,
    "pub fn $f($a: &str, $b: &mut $T) -> Option<usize> {",
    "}",
    "return $v;",
    (
        "let $v = $f($a);",
        "let $v = $o.$f($a, &$b)?;",
        "let mut $v = $T::$f($a);",
        "$o.$f($a);",
        "if !$o.$f($a) {\n    return None;\n}",
        "for $v in $f($a) {\n    $o.$s = $v;\n}",
        "$o.$s = $f(&$a, $n);",
    ),
    (
        "let $v = $n;",
        'let $v = "$s";',
        "$o.$s = $a;",
        "if $a == $n {\n    return None;\n}",
        "let $v = [$a, $b];",
        "let $v = $T { $s: $n };",
    ),
)

JAVA = Language(
    "java",
    "java",
    "// ",
    "    ",
    False,
    1,
    "package com.example.$m;",
    ("public final class $T {", "}"),
    "public long $f(String $a, $T $b) {",
    "}",
    "return $v;",
    (
        "long $v = $f($a);",
        "var $v = $o.$f($a, $b);",
        "$F $v = new $F($a);",
        "$o.$f($a);",
        "if (!$o.$f($a)) {\n    return $n;\n}",
        "for (var $v : $f($a)) {\n    this.$s = $v;\n}",
        "this.$s = $f($a, $n);",
    ),
    (
        "long $v = $n;",
        'String $v = "$s";',
        "this.$s = $a;",
        "if ($a == null) {\n    return $n;\n}",
        "var $v = $a + $n;",
    ),
)

KOTLIN = Language(
    "kotlin",
    "kt",
    "// ",
    "    ",
    False,
    1,
    "package com.example.$m\n\nconst val LIMIT = $n",
    ("class $T(private val $s: String) {", "}"),
    "fun $f($a: String, $b: Long): Long? {",
    "}",
    "return $v",
    (
        "val $v = $f($a)",
        "val $v = $o.$f($a, $b)",
        "val $v = $F($a)",
        "$o?.$f($a)",
        "if (!$o.$f($a)) {\n    return null\n}",
        "for ($v in $f($a)) {\n    $o.$s = $v\n}",
        "$o.$s = $f($a) ?: $n",
    ),
    (
        "val $v = $n",
        'val $v = "$s"',
        "$o.$s = $a",
        "if ($a == null) {\n    return null\n}",
        "val $v = $a + $b",
    ),
)

LANGUAGES = (PYTHON, JAVASCRIPT, TYPESCRIPT, GO, RUST, JAVA, KOTLIN)


def _words(text: str) -> list[str]:
    return text.split()


VERBS = _words(
    "absorb admit align archive assign attach audit borrow bundle charge claim collect compare compose confirm deliver "
    "derive detach dispatch drain enrol estimate expire expose flush freeze gather grant import inspect issue label "
    "launch link locate measure migrate mirror notify observe pair pause prefetch prepare prune publish purge quote "
    "rank rebuild record refund register release renew repair replay report reserve resolve restore resume retire "
    "revoke route sample schedule seal settle share shift sign stage submit suspend trace transfer verify withdraw"
)
NOUNS = _words(
    "account address advert agenda alert archive asset badge basket bearing booking branch budget bundle cabin cargo "
    "carrier catalogue channel charter claim clinic coupon courier customer deadline deposit device digest "
    "district donor envelope estimate exhibit factor ferry freight garden harbour holiday hostel invoice journal "
    "journey kiosk ledger lender letter license locker machine manifest margin market member menu meter mission "
    "notice orchard outlet parcel patient permit pledge policy portal profile quarter quota receipt recipe refund "
    "region remark rental reserve route salary sample season sensor shelf shipment signal station studio survey "
    "tenant ticket tracker trailer tutor venue vessel voucher voyage wallet warehouse widget"
)
QUALIFIERS = _words(
    "active cold daily early final idle late local minor nearby open partial remote shared stale urgent"
)
TODO_TASKS = (
    "ask for the {noun} only once",
    "drop this when every {noun} has been moved",
    "handle the {noun} that has no owner",
    "say which {noun} was refused",
    "take the {noun} from the settings",
    "measure how long the {noun} takes",
    "write a test with two {noun} records",
    "retry when the {noun} is locked",
)
