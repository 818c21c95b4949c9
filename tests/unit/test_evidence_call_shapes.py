"""Evidence: every way to write a call in the first seven languages, and what only looks like one. Real grammars."""

import pytest

from firstpass.evidence import gather

CALLS: dict[str, dict[str, tuple[str, ...]]] = {
    "a.py": {
        "@route(1)": ("route",),
        "@app.route(1)": ("route",),
        "if (y := fetch(1)): pass": ("fetch",),
        "a.b(1)[0].c(2)": ("b", "c"),
        "await load(x)": ("load",),
        "x = f'{load(1)!r:>{width(3)}}'": ("load", "width"),
        "Box[int](x)": ("Box",),
        "a.Box[K, V](x)": ("Box",),
        "class A(B, metaclass=Meta(1)): pass": ("Meta",),
        "x = [y for y in load(z) if keep(y)]": ("load", "keep"),
    },
    "a.ts": {
        "foo<T>()": ("foo",),
        "a.b<T>()": ("b",),
        "new X<T>()": ("X",),
        "new a.X<A, B>()": ("X",),
        "onDone!()": ("onDone",),
        "a!.b!()": ("b",),
        "this.#p!()": ("p",),
        "a?.()": ("a",),
        "a?.b()": ("b",),
        "a?.b<T>(1)": ("b",),
        "(a as any).b()": ("b",),
        "super.x()": ("x",),
        "tag`x ${f()}`": ("tag", "f"),
        "styled.div<Props>`x`": ("div",),
        "await x()": ("x",),
        "await x<T>()": ("x",),
        "await a.x!<T>()": ("x",),
        "for await (const x of read<T>()) {}": ("read",),
        "new this.X()": ("X",),
    },
    "a.js": {"a?.()": ("a",), "a?.b()": ("b",), "new this.#X()": ("X",), "`${f()} g()`": ("f",), "tag`x`": ("tag",)},
    "a.tsx": {
        "const a = <B c={d<T>(1)}>{e!()} f()</B>": ("d", "e"),
        "const B = styled(C)<P>`x`": ("styled",),
    },
    "a.go": {
        "NewMap[string, int](4)": ("NewMap",),
        "NewMap[string, int]()": ("NewMap",),
        "NewSet[string]()": ("NewSet",),
        "NewSet[*pkg.T](a, b)": ("NewSet",),
        "pkg.Do[int](v)": ("Do",),
        "pkg.Do[T]()": ("Do",),
        "filter[User](v)": ("filter",),
        "filter[[]byte](v, w)": ("filter",),
        "filter[map[string]int](v)": ("filter",),
        "x := List[int]{}.Add(1)": ("Add",),
        "defer a.b()": ("b",),
        "go func() { run() }()": ("run",),
        "(*T).Method(x)": ("Method",),
        "(*T)(x)": (),
        "f(1)(2)": ("f",),
    },
    "a.rs": {
        "Vec::<T>::of();": ("of",),
        "a.b::<T>(1);": ("b",),
        "foo::<T>();": ("foo",),
        "<T as Foo>::bar(1);": ("bar",),
        "<T>::bar::<U>(1);": ("bar",),
        "self.f()?;": ("f",),
        "f(x)?.g().await;": ("f", "g"),
        "a.map(|x| run(x));": ("map", "run"),
        "custom![1];": ("custom",),
        "custom! { a }": ("custom",),
        "a.r#match(1);": ("match",),
        "if let Wrapped(x) = load(1) {}": ("load",),
    },
    "A.java": {
        "this.<T>foo();": ("foo",),
        "new Map.Entry<K, V>(1);": ("Entry",),
        "new a.b.Builder<>();": ("Builder",),
        "new A<T>.B<U>(1);": ("B",),
        "new Foo<T>() { void g() { h(); } };": ("Foo", "h"),
        "super.x();": ("x",),
        "outer.new Inner<T>(1);": ("Inner",),
        "Foo.super.z();": ("z",),
        "A.<T>b().c();": ("b", "c"),
        "f(Foo::bar, Foo::new);": ("f",),
    },
    "a.kt": {
        'listOf<String>("x")': ("listOf",),
        "listOf<a.B>(x)": ("listOf",),
        "this.foo<Int>(1)": ("foo",),
        "a?.foo<Int>(1)": ("foo",),
        "a?.b()": ("b",),
        "a!!.b()": ("b",),
        "a!!(1)": ("a",),
        "run { f() }": ("run", "f"),
        "a.b<T> { it }": ("b",),
        "a.b<T>(x).c<U>(y).d { }": ("b", "c", "d"),
        "!ready(x)": ("ready",),
        "!a.ready(x)": ("ready",),
        "!a.ready<T>(x)": ("ready",),
        "!ready { x }": ("ready",),
        "-sum(x)": ("sum",),
        "a ?: b.load<T>(x)": ("load",),
        "a ?: load<T>()": ("load",),
        "a to load<T>()": ("load",),
        "x !in load<T>(y)": ("load",),
        "a + b * load<T> { x }": ("load",),
        "a[load<T>(x)]": ("load",),
        '"${load<T>(x)} g()"': ("load",),
        "load<A>(save<B>(x))": ("load", "save"),
        "val a by lazily { 1 }": ("lazily",),
        "`when`(x)": ("when",),
        "object : A<T>(1), B by c(2) {}": ("A", "c"),
        "if (a < b) c(d)": ("c",),
        "val x = a < b && c > (d)": (),
        "a to b": (),
        "f(a::b)": ("f",),
    },
}
NO_CALLS = {
    "a.py": ("a[0](x)", "HANDLERS[name](x)", "handlers[name](x)", "x = 'f()'", "x = f'{{f()}} f()'", "# f()", "(f)(x)"),
    "a.ts": ("super(1)", "import('x')", "a[0](x)", "const a = 'f()'", "type A = B<C>", "/* f() */", "`f()`"),
    "a.go": ("[]byte(x)", "handlers[i](x)", "handlers[i]()", "c.handlers[c.index](c)", "Handlers[0](x)", "x := `f()`"),
    "a.rs": ('let x = "f()";', "// f()", "#[cfg(test)]", "let Some(x) = y else { return };"),
    "A.java": ("this(1);", "super(1);", 'var x = "f()";', "x = Foo::bar;", "new int[3];"),
    "a.kt": ("@Named(1) val x = 1", 'val x = "f()"', "x = ::f", "(f)(x)", "a[0](x)"),
}
AROUND = {
    "go": ("func main() {", "}"),
    "rs": ("fn main() {", "}"),
    "java": ("class Main { Main(int a) {", "}}"),
    "kt": ("fun main() {", "}"),
}


def added(path: str, line: str) -> tuple[str, ...]:
    """The calls of one line in the body of a function."""
    before, after = AROUND.get(path.rsplit(".")[-1], ("", ""))
    return gather(f"--- a/{path}\n+++ b/{path}\n@@ -1,2 +1,3 @@\n {before}\n+{line}\n {after}\n").calls


@pytest.mark.parametrize(("path", "line"), [(path, line) for path in CALLS for line in CALLS[path]])
def test_a_call_is_found_in_every_shape(path: str, line: str) -> None:
    assert added(path, line) == CALLS[path][line]


@pytest.mark.parametrize(("path", "line"), [(path, line) for path in NO_CALLS for line in NO_CALLS[path]])
def test_a_shape_that_is_no_call_by_name_is_none(path: str, line: str) -> None:
    assert added(path, line) == ()


@pytest.mark.parametrize(
    ("heading", "line"),
    [
        ("check_all!(adds, |dir: Dir| {", "    dir.make(1);"),
        ("macro_rules! define {", "            fn get(&self) { self.0.load(1) }"),
        ("fn main() {", "        $body.load(1)"),
        ("fn main() {", "        $crate::load(1)"),
    ],
)
def test_what_stands_in_a_rust_macro_is_no_call_wherever_the_hunk_begins(heading: str, line: str) -> None:
    hunk = f"--- a/a.rs\n+++ b/a.rs\n@@ -9,2 +9,3 @@ {heading}\n     // one\n+{line}\n     // two\n"
    plain = hunk.replace("$body", "body").replace("$crate", "crate").replace(heading, "fn main() {")
    assert gather(hunk).calls == ()
    assert gather(plain).calls == (("make",) if "make" in line else ("load",))


def test_what_follows_a_rust_macro_in_the_hunk_is_read() -> None:
    lines = (
        " ",
        "         macro_rules! call {",
        "             ($svc:expr) => { $svc.run(1) };",
        "         }",
        "+        let x = load(1);",
    )
    assert gather("\n".join(("--- a/a.rs", "+++ b/a.rs", "@@ -9,4 +9,5 @@ where", *lines, ""))).calls == ("load",)


@pytest.mark.parametrize(
    ("path", "line", "rest", "calls"),
    [
        ("a.ts", "server.post<{", ("  Query: Ping;", "  Headers: Head;"), ("post",)),
        ("a.ts", "create<List<{", ("  Query: Ping;",), ("create",)),
        ("a.ts", "const x = make<", ("  A,", "  B"), ("make",)),
        ("a.ts", "const x = new Box<", ("  A,",), ("Box",)),
        ("a.tsx", "const [x] = useState<[", ("  A,", "  B,"), ("useState",)),
        ("a.rs", "let x = y.collect_all::<", ("  A,", "  B,"), ("collect_all",)),
        ("a.kt", "val x = make<", ("  A,", "  B"), ("make",)),
        ("A.java", "var x = new Box<", ("  A,",), ("Box",)),
        ("a.ts", "class A extends B<{", ("  Query: Ping;",), ()),
        ("a.ts", "const x: B<", ("  A,",), ()),
        ("a.ts", "export type A = B<{", ("  Query: Ping;",), ()),
        ("a.ts", "export function make<", ("  A,",), ()),
        ("a.ts", "const x = y as B<{", ("  Query: Ping;",), ()),
        ("a.rs", "fn f() -> std::B<", ("  A,",), ()),
        ("a.kt", "class A : B<", ("  A,",), ()),
    ],
)
def test_type_arguments_that_go_on_below_the_hunk_belong_to_a_call_or_a_type(
    path: str, line: str, rest: tuple[str, ...], calls: tuple[str, ...]
) -> None:
    context = "\n".join(f" {one}" for one in rest)
    size = len(rest) + 1
    assert gather(f"--- a/{path}\n+++ b/{path}\n@@ -9,{size} +9,{size + 1} @@\n \n+{line}\n{context}\n").calls == calls
