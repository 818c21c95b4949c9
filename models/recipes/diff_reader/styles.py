"""Words, names' parts and how seven languages look: what made diffs are made of. Data only."""

from dataclasses import dataclass


def _words(text: str) -> list[str]:
    return text.split()


def _phrases(text: str) -> list[str]:
    return [" ".join(phrase.split()) for phrase in text.split("|")]


WORDS = _words(
    """
    user session token cache order cart page view query index node edge parse build render load save fetch send read
    write open close start stop reset clear check verify validate update create delete remove insert append merge
    split join find list map filter sort group count total price rate limit retry timeout error warning event
    message queue worker task job batch chunk stream buffer file path name key value item entry record row column
    table schema model config option setting flag state status mode kind type client server request response header
    body cookie route handler hook plugin module package version release branch commit diff patch hash digest sign
    encrypt decode encode format convert resize scale rotate draw paint color image frame video audio track channel
    device sensor metric report score rank weight bias layer graph tree leaf root parent child owner member role
    policy rule scope lock mutex thread process signal pipe socket port host address mail phone invoice payment
    refund ledger account balance currency date time zone clock timer delay window cursor offset length width height
    depth bound range step slot ring stack heap pool shard replica leader quorum vote term log trace span probe
    alert metric quota budget plan seed shuffle sample draft review summary
    """
)
SYLLABLES = _words(
    """
    ba ke mo tri zu lan dex por vi qua syn tel gra fli nox yar wen jol hep cri ost uma ix ody plu sar
    """
)
MARKERS = ("TODO", "TODO", "TODO", "FIXME", "XXX", "HACK")
TODO_STARTS = _words(
    """
    handle remove support rename replace document test cache move check drop add refactor log validate make use
    avoid simplify revisit
    """
)
TODO_ENDS = _phrases(
    """
    once the migration is done | when it fails | before the release | for large inputs | in the next version |
    instead of a copy | properly | on Windows | after the upgrade | if the list is empty | with a timeout | without
    a lock | for old clients | | | |
    """
)


@dataclass(frozen=True, slots=True)
class Style:
    """How a language looks. `calls` have the call's name as {f}; `quiet` lines call nothing."""

    suffix: str
    camel: bool
    comment: tuple[str, str]
    calls: tuple[str, ...]
    quiet: tuple[str, ...]
    opening: str
    closing: str


# fmt: off
_JS = Style(
        "js", True, ("// ", ""),
        ("const {v} = {f}({a});", "const {v} = await {o}.{f}({a});", "{o}.{f}({a});", "return {f}({a});",
         "if ({f}({a})) {{", "let {v} = {o}.{f}({a}) || {b};", "{v}.{b} = {f}({a});", "await {f}({a});",
         "return {o}.{v}.{f}({a}, {b});", "const {v} = new {T}({a});"),
        ("const {v} = {a};", "{v}.{b} = {a};", "return {v};", "if ({a}) {{", "}}", "let {v} = '{b}';",
         "{v} += 1;", "throw {v};", "'{b}': {a},", "const {v} = require('{b}');",
         "import {{ {v} }} from '{b}';", "// {v}({a}) is not needed here", "function {v}({a}) {{",
         "switch ({a}) {{"),
        "function {n}({a}, {b}) {{", "}}",
    )
STYLES = (
    Style(
        "py", False, ("# ", ""),
        ("{v} = {f}({a})", "{v} = {o}.{f}({a})", "{o}.{f}({a}, {b})", "return {f}({a})", "if {f}({a}):",
         "self.{v} = {f}({a})", "self.{f}({a})", "await {o}.{f}({a})", "with {f}({a}) as {v}:",
         "{v} = [{f}(x) for x in {a}]", "assert {f}({a}) == {b}", "raise {T}({a})",
         "{v} = {o}.{b}.{f}({a}, key={b})"),
        ("{v} = {a}", "{v}.{b} = {a}", "return {v}", "if {a}:", '{v} = "{b}"', "{v} += 1",
         "self.{v} = {b}", "else:", "pass", "for {v} in {a}:", "{v} = len({a})",
         "if isinstance({a}, {T}):", "# {v}({a}) is not needed here", "from {a} import {v}",
         "def {v}({a}):"),
        "def {n}({a}, {b}):", "",
    ),
    _JS,
    _JS,
    Style(
        "ts", True, ("// ", ""),
        (*_JS.calls, "const {v}: {T} = {f}({a});", "{o}?.{f}({a});"),
        (*_JS.quiet, "{v}: {T};"),
        "export function {n}({a}: {T}): {T} {{", "}}",
    ),
    Style(
        "go", True, ("// ", ""),
        ("{v} := {f}({a})", "{v}, err := {o}.{f}({a})", "if err := {f}({a}); err != nil {{",
         "{o}.{f}({a}, {b})", "return {f}({a})", "defer {o}.{f}()", "go {f}({a})",
         "if {v}, ok := {o}.{f}({a}); ok {{"),
        ("{v} := {a}", "return {v}, nil", "if err != nil {{", "}}", "return err", "{v}.{b} = {a}",
         '{v} = "{b}"', "for _, {v} := range {a} {{", "{v} := len({a})", "// {v}({a}) is not needed here",
         "{v} := make([]{T}, 0)", "func {v}({a} {T}) error {{"),
        "func {n}({a} {T}) error {{", "}}",
    ),
    Style(
        "rs", False, ("// ", ""),
        ("let {v} = {f}({a});", "let {v} = {o}.{f}(&{a})?;", "{o}.{f}({a});", "{T}::{f}({a})",
         "if {o}.{f}({a}) {{", "self.{v}.{f}({a})", "let mut {v} = {T}::{f}();"),
        ("let {v} = {a};", "{v}.{b} = {a};", "if {a} {{", "}}", "return {v};", "{v}: {T},",
         'let {v} = "{b}";', "Ok({a})", "Some({v})", "// {v}({a}) is not needed here",
         "fn {v}({a}: {T}) {{"),
        "fn {n}({a}: &{T}) -> {T} {{", "}}",
    ),
    Style(
        "java", True, ("// ", ""),
        ("{T} {v} = {f}({a});", "{o}.{f}({a});", "return {o}.{f}({a});", "if ({o}.{f}({a})) {{",
         "{T} {v} = new {T2}({a});", "this.{v} = {f}({a});"),
        ("{T} {v} = {a};", "this.{v} = {a};", "return {v};", "if ({a}) {{", "}}", '{v} = "{b}";',
         "}} catch ({T} {v}) {{", "// {v}({a}) is not needed here", "private void {v}({T} {a}) {{"),
        "public {T} {n}({T} {a}) {{", "}}",
    ),
    Style(
        "kt", True, ("// ", ""),
        ("val {v} = {f}({a})", "{o}.{f}({a})", "return {o}.{f}({a})", "if ({o}.{f}({a})) {{",
         "{o}?.{f}({a}, {b})"),
        ("val {v} = {a}", "this.{v} = {a}", "return {v}", "if ({a}) {{", "}}", 'var {v} = "{b}"',
         "// {v}({a}) is not needed here", "fun {v}({a}: {T}) {{"),
        "fun {n}({a}: {T}): {T} {{", "}}",
    ),
)
# fmt: on

RESERVED = frozenset(
    _words(
        """
        and as assert async await break case class continue def default defer del do elif else enum except export
        extends extern false finally fn for from func function global go goto if impl implements import in interface
        internal is lambda let loop map match mod move mut new nil none nonlocal not null object open operator or
        override package pass private protected pub public raise range ref return self select static struct super
        switch then this throw throws trait true try type typealias typeof undefined union unsafe use using val var
        void when where while with yield abstract final const chan fallthrough companion data sealed suspend inline
        crossinline reified vararg boolean byte char double float int long short string number any unknown never bool
        uint usize isize str bytes list dict set tuple frozenset len print isinstance hasattr getattr setattr callable
        iter next zip enumerate sorted reversed sum min max abs all repr hash super vars dir eval exec format input
        property staticmethod classmethod error make append cap copy delete panic recover complex real imag close
        clear require module exports constructor prototype arguments instanceof Some None Ok Err Self String Vec Box
        Option Result Object Array Promise True False Exception ValueError TypeError KeyError Integer Boolean Long
        Double List Map Set Unit Any Int Float TODO FIXME XXX HACK todo diff git index mode
        """
    )
)
"""Words that no variant renames: the languages' own."""
