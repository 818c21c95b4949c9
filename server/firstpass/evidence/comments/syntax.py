"""How comments and strings are written, by the suffix or name of a file. Knows no diff and no grammar.

The one table for all languages, those too that no grammar here reads. A row is a family: what makes the rest of a line
a comment, what opens and closes one of several lines, and what opens a string, in which no sign of a comment counts.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple


class Block(NamedTuple):
    """Regular expressions of a comment's begin and end. nests: another begin inside needs an end of its own."""

    opens: str
    closes: str
    nests: bool = False


class Quote(NamedTuple):
    """A kind of string.

    ends: what follows the opener up to the end of the closer; "" where the closer depends on the opener's group `tag`.
    runs_on: where no closer follows, the string goes on past the text; else the opener is an ordinary character.
    alike: opener and closer look the same, so that the first of a hunk may be either.
    """

    opens: str
    ends: str = ""
    runs_on: bool = False
    alike: bool = False


class Syntax(NamedTuple):
    """line: of signs that make the rest of a line a comment. starred: so does a line's first `* `.

    prose: a text for people, in which a line may be a TODO by itself.
    """

    line: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()
    quotes: tuple[Quote, ...] = ()
    starred: bool = False
    prose: bool = False


_NO_APOSTROPHE = r"(?:(?<!\w)|(?<=(?<!\w)[bBfFrRuUL])|(?<=(?<!\w)[bBfFrRuU][bBfFrR8]))"
"""Before a quote: a word's last letter makes it an apostrophe, or a number's separator; a string's prefix does not."""

DOUBLE = Quote('"', r'(?:[^"\\\n]|\\.)*+"')
SINGLE = Quote(f"{_NO_APOSTROPHE}'", r"(?:[^'\\\n]|\\.)*+'")
DOUBLE_LINES = Quote('"', r'(?:[^"\\]|\\[\s\S])*+"')
SINGLE_LINES = Quote(f"{_NO_APOSTROPHE}'", r"(?:[^'\\]|\\[\s\S])*+'")
SQL_QUOTE = Quote("(?<!\\w)'", "[^']*+'")
CHARACTER = Quote(f"{_NO_APOSTROPHE}'", r"(?:\\[^\n]{1,10}?|[^'\\\n])'")
TRIPLE = Quote('"""', r'(?:[^"\\]|\\[\s\S]|"(?!""))*+"{3,5}', runs_on=True, alike=True)
TRIPLE_SINGLE = Quote("'''", r"(?:[^'\\]|\\[\s\S]|'(?!''))*+'{3,5}", runs_on=True, alike=True)
BACKTICK = Quote("`", r"(?:[^`\\]|\\[\s\S])*+`", runs_on=True, alike=True)
RAW_BACKTICK = Quote("`", "[^`]*+`", runs_on=True, alike=True)
CODE_SPAN = Quote(r"(?<!`)`{1,2}(?!`)", r"[^`\n]*+`{1,2}")
FENCE = Quote(r"^[ \t>]{0,8}(?:`{3}|~{3})", r"[^\n]*+(?:\n(?![ \t>]{0,8}(?:`{3}|~{3}))[^\n]*+)*+\n[ \t>]{0,8}[`~]{3,}",
              runs_on=True, alike=True)  # fmt: skip
VERBATIM = Quote(r'\$?@\$?"', r'(?:[^"]|"")*+"', runs_on=True)
RAW_RUST = Quote(r'(?<!\w)b?r(?P<tag>#{1,8})"|(?<![\w#])b?r"', runs_on=True)
RAW_SWIFT = Quote(r'(?P<tag>#{1,8})"', runs_on=True)
RAW_CPP = Quote(r'(?<!\w)(?:u8|[uUL])?R"(?P<tag>[^\s()\\"]{0,16})\(', runs_on=True)
DOLLAR = Quote(r"(?<![\w$])(?P<tag>\$\w{0,20}\$)", runs_on=True)
LONG_BRACKET = Quote(r"(?<!-)\[\[", r"[^\]]*+(?:\](?!\])[^\]]*+)*+\]\]", runs_on=True)
NIX_STRING = Quote("''", r"(?:[^']|'(?!'))*+''", runs_on=True, alike=True)
REGEX = Quote(r"(?<=[(,=:\[!&|?{;+])[ \t]{0,8}/(?![/*>])", r"(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*+\])++/(?![/*])")
HEREDOC = Quote(
    r"<<<?(?:[-~]?(?P<quote>['\"])(?P<tag>\w{1,40})(?P=quote)|[-~](?P<named>[A-Za-z_]\w{0,40})|(?P<plain>[A-Z_][A-Z\d_]{1,40})\b)",
    runs_on=True,
)

_SLASHES = r"(?<!\w:)//"
"""A web address has a colon before it."""

_APART = r"(?<!\S)"
_HASH, _APART_HASH = "#", rf"(?:(?<=[;&|()])|{_APART})#"
_STARS = Block(r"(?<!\\)/\*", r"\*/")
_STARS_NESTED = _STARS._replace(nests=True)
_MARKUP = Block("<!-{2,}", "(?<!-)-{2,}>")
_BRACES = Block(r"\{#", r"-?#\}")
_PARENTHESES = Block(r"\(\*(?!\))", r"\*\)", nests=True)
_TEMPLATES = (
    _MARKUP, Block(r"\{\{!--", r"--~?\}\}"), Block(r"\{\{--", r"--\}\}"), Block("<%--", "--%>"), Block("<%#", "%>"),
    Block(r"@\*", r"\*@"), _BRACES, _STARS,
)  # fmt: skip

_C = Syntax((_SLASHES,), (_STARS,), (RAW_CPP, DOUBLE, CHARACTER), starred=True)
_JAVA = Syntax((_SLASHES,), (_STARS,), (TRIPLE, DOUBLE, CHARACTER), starred=True)
_NESTED = _JAVA._replace(blocks=(_STARS_NESTED,), quotes=(TRIPLE, RAW_SWIFT, DOUBLE, CHARACTER))
_SCRIPT = Syntax((_SLASHES,), (_STARS,), (BACKTICK, DOUBLE, SINGLE, REGEX), starred=True)
_RUBY = Syntax((_HASH,), (Block("^=begin\\b", "^=end\\b"),), (HEREDOC, DOUBLE_LINES, SINGLE_LINES, RAW_BACKTICK))
_SHELL = Syntax((_APART_HASH,), (), (HEREDOC, DOUBLE_LINES, Quote("(?<![\\w\\\\])'", "[^']*+'")))
_HASHES = Syntax((_APART_HASH,), (), (DOUBLE, SINGLE))
_TRIPLED = Syntax((_HASH,), (), (TRIPLE, TRIPLE_SINGLE, DOUBLE, SINGLE))
_DASHES = Syntax(("--",), (_STARS,), (DOLLAR, SQL_QUOTE, DOUBLE))
_WEB = Syntax((rf"{_APART}//",), _TEMPLATES, (DOUBLE, SINGLE), starred=True)
_DOCUMENT = Syntax((r"^\[//\]: #",), (_MARKUP, Block(r"\{/\*", r"\*/\}")), (FENCE, CODE_SPAN), prose=True)
_JSON = Syntax((_SLASHES,), (_STARS,), (DOUBLE, SINGLE))
_UNKNOWN = Syntax(
    (rf"{_APART}(?:#|//|--|;|%)",), (_STARS, _MARKUP, _BRACES),
    (TRIPLE, DOUBLE, SINGLE, CODE_SPAN), starred=True,
)  # fmt: skip

_FAMILIES: tuple[tuple[str, Syntax], ...] = (
    ("c h cc cpp cxx c++ hh hpp hxx ipp inl cu cuh ino glsl hlsl frag vert comp metal proto thrift y cl sv svh"
     " idl", _C),
    ("d di", _C._replace(blocks=(_STARS, Block(r"/\+", r"\+/", nests=True)), quotes=(RAW_BACKTICK, DOUBLE, CHARACTER))),
    ("m mm", _C._replace(line=(_SLASHES, rf"{_APART}%"))),
    ("cs csx", _C._replace(quotes=(TRIPLE, VERBATIM, DOUBLE, CHARACTER))),
    ("java", _JAVA),
    ("kt kts scala sc swift", _NESTED),
    ("groovy gradle jenkinsfile dart", _JAVA._replace(quotes=(TRIPLE, TRIPLE_SINGLE, DOUBLE, SINGLE))),
    ("js jsx mjs cjs ts tsx mts cts es6 gs", _SCRIPT),
    ("vue svelte astro", _SCRIPT._replace(blocks=_TEMPLATES[:1] + _TEMPLATES[-1:], quotes=(BACKTICK, DOUBLE, SINGLE))),
    ("go mod", _C._replace(quotes=(RAW_BACKTICK, DOUBLE, CHARACTER))),
    ("rs", _C._replace(blocks=(_STARS_NESTED,), quotes=(RAW_RUST, DOUBLE_LINES, CHARACTER))),
    ("zig sol prisma cypher bicep wgsl typ pkl cue jsonnet libsonnet", _C._replace(quotes=(TRIPLE, DOUBLE, SINGLE))),
    ("php phtml php5 php7",
     Syntax((_SLASHES, r"#(?!\[)"), (_STARS, _MARKUP), (HEREDOC, DOUBLE_LINES, SINGLE_LINES), True)),
    ("css", Syntax((), (_STARS,), (DOUBLE, SINGLE), starred=True)),
    ("scss less sass styl pcss", Syntax((_SLASHES,), (_STARS,), (DOUBLE, SINGLE), starred=True)),
    ("py pyi ipynb pyx pxd pyw bzl bazel star gd build sconstruct sconscript wscript", _TRIPLED),
    ("rb rake gemspec podspec cr ru gemfile rakefile vagrantfile podfile fastfile brewfile", _RUBY),
    ("pl pm t raku", Syntax((r"(?<![$\w])#",), (Block(r"^=(?!cut\b)[a-z]\w*", r"^=cut\b"),), _RUBY.quotes[:-1])),
    ("sh bash zsh ksh fish bats envrc bashrc zshrc profile", _SHELL),
    ("dockerfile containerfile makefile gnumakefile mk justfile procfile",
     _HASHES._replace(quotes=(HEREDOC, DOUBLE, SINGLE))),
    ("yml yaml cfg conf properties cmake r rmd tcl awk sed gitignore gitattributes dockerignore editorconfig env pot po"
     " lock robots desktop service nginx htaccess codeowners npmrc", _HASHES),
    ("toml ex exs graphql gql feature ps1xml", _TRIPLED),
    ("jl", _TRIPLED._replace(blocks=(Block("#=", "=#", nests=True),), quotes=(TRIPLE, DOUBLE, CHARACTER))),
    ("nim nims", _TRIPLED._replace(blocks=(Block(r"#\[", r"\]#", nests=True),))),
    ("coffee litcoffee", _TRIPLED),
    ("ps1 psm1 psd1", Syntax((_APART_HASH,), (Block("<#", "#>"),), (DOUBLE_LINES, SINGLE_LINES))),
    ("tf tfvars hcl nomad", Syntax((_HASH, _SLASHES), (_STARS,), (HEREDOC, DOUBLE), starred=True)),
    ("nix", Syntax((_HASH,), (_STARS,), (NIX_STRING, DOUBLE_LINES))),
    ("lua luau", Syntax(("--",), (Block(r"--\[\[", r"\]\]"),), (LONG_BRACKET, DOUBLE, SINGLE))),
    ("hs lhs elm purs agda idr dhall",
     Syntax(("--",), (Block(r"\{-", r"-\}", nests=True),), (TRIPLE, DOUBLE, CHARACTER))),
    ("sql psql pgsql ddl dml mysql plsql pks pkb", _DASHES),
    ("adb ads vhd vhdl", Syntax(("--",), (), (DOUBLE,))),
    ("applescript scpt", Syntax(("--", _APART_HASH), (_PARENTHESES,), (DOUBLE,))),
    ("ml mli sml mll mly", Syntax((), (_PARENTHESES,), (DOUBLE_LINES, CHARACTER))),
    ("fs fsi fsx", Syntax((_SLASHES,), (_PARENTHESES,), (TRIPLE, VERBATIM, DOUBLE, CHARACTER))),
    ("pas pp dpr", Syntax((_SLASHES,), (Block(r"\{", r"\}"), _PARENTHESES), (SINGLE,))),
    ("el lisp lsp scm ss rkt clj cljs cljc edn fnl hy",
     Syntax((";",), (Block(r"#\|", r"\|#", nests=True),), (DOUBLE_LINES,))),
    ("s asm nasm", Syntax((";", _APART_HASH, _SLASHES), (_STARS,), (DOUBLE,))),
    ("ini inf reg", Syntax((r"^[ \t]*[;#]", r"(?<=[ \t])[;#]"), (), (DOUBLE,))),
    ("erl hrl pro prolog", Syntax((r"(?<!\$)%",), (_STARS,), (DOUBLE_LINES, SINGLE))),
    ("tex sty cls bib ltx", Syntax((r"(?<!\\)%",))),
    ("vb vbs bas frm vba", Syntax(("'", r"(?i:(?<![^\s:])rem\b)"), (), (Quote('"', r'[^"\n]*+"'),))),
    ("bat cmd", Syntax((r"(?i:^[ \t]*@?rem\b)", "^[ \\t]*::"))),
    ("vim vimrc nvimrc", Syntax((r'^[ \t]*"', r'(?<=[ \t])"(?=[^"\n]*$)'), (), (SINGLE,))),
    ("f f90 f95 f03 f08 for", Syntax(("!", "^[cC*](?=[ \\t])"), (), (DOUBLE, SINGLE))),
    ("html htm xhtml jsp erb ejs hbs handlebars mustache twig jinja jinja2 j2 njk tmpl tpl liquid cshtml razor"
     " gohtml haml pug", _WEB),
    ("xml xsl xslt svg xaml csproj fsproj vbproj props targets plist rss wsdl xsd resx storyboard xib iml pom",
     Syntax((), (_MARKUP,), (DOUBLE,))),
    ("md markdown mdx txt text textile wiki readme changelog contributing notes todo authors", _DOCUMENT),
    ("rst rest", _DOCUMENT._replace(line=(r"^[ \t]*\.\.(?= )",))),
    ("adoc asciidoc asc", _DOCUMENT._replace(line=("^//",))),
    ("org", _DOCUMENT._replace(line=(r"^\*+(?= )", r"^[ \t]*#(?= )"))),
    ("json jsonc json5 webmanifest geojson avsc code-workspace", _JSON),
    ("csv tsv snap diff patch log pem crt key ics eml map", Syntax()),
)  # fmt: skip
_BY_NAME = {name: syntax for names, syntax in _FAMILIES for name in names.split()}
_WHOLE_NAMES = {
    "cmakelists.txt": _BY_NAME["cmake"], "requirements.txt": _HASHES, "constraints.txt": _HASHES,
    "robots.txt": _HASHES, "go.sum": Syntax(), "build.bazel": _TRIPLED, ".blade.php": _WEB,
}  # fmt: skip
_SHORTEST_NAME = 6
"""Of a file's first part that tells what it holds, whatever follows: `Dockerfile`, `README`."""


def syntax_of(path: str | None) -> Syntax:
    """By the file's name or suffix; one with the commonest signs, each apart from the text before it, for others."""
    for name in _names(path):
        if (found := _WHOLE_NAMES.get(name) or _BY_NAME.get(name)) is not None:
            return found
    return _UNKNOWN


def _names(path: str | None) -> Iterator[str]:
    """The whole name, its last two suffixes, the last; a name such as `Dockerfile.gpu` also by what stands first."""
    file = PurePosixPath(path or "").name.lower()
    parts = file.split(".")
    yield file
    if file.startswith("requirements") and file.endswith(".txt"):
        yield "requirements.txt"
    yield "." + ".".join(parts[-2:])
    yield parts[-1]
    if len(parts[0]) >= _SHORTEST_NAME:
        yield parts[0]
