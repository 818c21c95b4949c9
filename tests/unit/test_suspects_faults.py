"""Faults that a diff adds and checks other than guards that it takes away: what must be told, and what stay silent."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from firstpass.evidence import parse_diff
from firstpass.evidence.suspects import MOST, suspects
from tests.unit.test_suspects_guards import diff, found

PRIVATE = "-----BEGIN RSA " + "PRIVATE KEY-----"
AMAZON = "AKIA" + "QZ7WJ2M4K8P3R6T9"
GITHUB = "ghp_" + "a8Bq2Zr7Tt5Wn1Yc9Xe4Vd6Uf3Gh0Jk2Lm8P"

TOLD: dict[str, tuple[str, str, str]] = {
    # what went away
    "a condition that raises": ("validation", "a.py", " def f(size):\n-    if size > MAX:\n-        raise ValueError(size)\n     use(size)\n     return 1"),
    "a type check": ("validation", "a.py", " def f(x):\n-    if not isinstance(x, str):\n-        raise TypeError('x is no text')\n     use(x)\n     return 1"),
    "a js type check": ("validation", "a.js", " function f(x) {\n-  if (typeof x !== 'string') throw new TypeError('x is no text')\n   use(x)\n }"),
    "a go range check": ("validation", "a.go", " func f(n int) error {\n-\tif n < 0 {\n-\t\treturn errors.New(\"negative\")\n-\t}\n \tuse(n)\n \treturn nil\n }"),
    "a rust check": ("validation", "a.rs", " fn f(n: i64) -> Result<(), Error> {\n-    if n < 0 {\n-        return Err(Error::Negative);\n-    }\n     work(n)\n }"),
    "a java null check": ("validation", "A.java", "   void f(String s) {\n-    if (s == null) throw new IllegalArgumentException(\"s\");\n     use(s);\n   }"),
    "a kotlin check": ("validation", "A.kt", "   fun f(s: String?) {\n-    if (s == null) throw IllegalArgumentException(\"s\")\n     work(s)\n   }"),
    "a schema": ("validation", "a.ts", " app.post('/x', (req, res) => {\n-  const body = bodySchema.parse(req.body)\n+  const body = req.body\n   save(body)\n })"),
    "a constraint": ("validation", "A.java", "   class Form {\n-    @NotNull\n     String name;\n   }"),
    "a bean's validation": ("validation", "A.cs", "   class Form {\n-    [Required]\n     public string Name { get; set; }\n   }"),
    "a django form": ("validation", "a.py", " def save(self):\n-    self.full_clean()\n     super().save()\n "),
    "a rails rule": ("validation", "a.rb", " class User < Base\n-  validates :email, presence: true\n   has_many :posts\n end"),
    "a python assertion": ("assertion", "a.py", " def f(x):\n-    assert x > 0\n     use(x)\n     return 1"),
    "a rust assertion": ("assertion", "a.rs", " fn f(x: u8) {\n-    assert!(x > 0);\n     work(x);\n }"),
    "a java precondition": ("assertion", "A.java", "   void f(String s) {\n-    Objects.requireNonNull(s);\n     use(s);\n   }"),
    "a kotlin require": ("assertion", "A.kt", "   fun f(n: Int) {\n-    require(n > 0)\n     work(n)\n   }"),
    "a c assertion": ("assertion", "a.c", " int f(int n) {\n-\tassert(n > 0);\n \treturn work(n);\n }"),
    "an except": ("error-handling", "a.py", " def f():\n-    try:\n-        send()\n-    except OSError:\n-        log.warning('failed')\n+    send()\n     return 1"),
    "a catch": ("error-handling", "a.js", " function f() {\n-  try {\n-    send(x)\n-  } catch (e) {\n-    report(e)\n-  }\n+  send(x)\n }"),
    "a java catch": ("error-handling", "A.java", "   void f() {\n-    try {\n-      send(x);\n-    } catch (IOException e) {\n-      log(e);\n-    }\n+    send(x);\n   }"),
    "a go error ignored": ("error-handling", "a.go", " func f() error {\n-\tx, err := load()\n-\tif err != nil {\n-\t\treturn err\n-\t}\n+\tx, _ := load()\n \tuse(x)\n \treturn nil\n }"),
    "a rust panic": ("error-handling", "a.rs", " fn f() -> Result<u8, E> {\n-    let x = load()?;\n+    let x = load().unwrap();\n     Ok(x)\n }"),
    "a lock": ("error-handling", "a.py", " def add(self, x):\n-    with self._lock:\n-        self.items.append(x)\n+    self.items.append(x)\n "),
    "a go mutex": ("error-handling", "a.go", " func (s *S) Add(x int) {\n-\ts.mu.Lock()\n-\tdefer s.mu.Unlock()\n \ts.items = append(s.items, x)\n }"),
    "a deferred close": ("error-handling", "a.go", " \tf, err := os.Open(p)\n \tif err != nil {\n \t\treturn err\n \t}\n-\tdefer f.Close()\n \treturn read(f)\n }"),
    "a timeout": ("error-handling", "a.py", "-r = get(url, timeout=10)\n+r = get(url)\n use(r)"),
    "an assertion of a test": ("deleted-assertion", "tests/test_a.py", " def test_a():\n     x = run()\n-    assert x == 1\n "),
    "an expectation of a test": ("deleted-assertion", "a.test.js", " it('runs', () => {\n   const x = run()\n-  expect(x).toBe(1)\n })"),
    "a go test's check": ("deleted-assertion", "a_test.go", " func TestA(t *testing.T) {\n \tx := run()\n-\tassert.Equal(t, 1, x)\n }"),
    "a java test's assertion": ("deleted-assertion", "src/test/java/ATest.java", "   @Test public void a() {\n     run();\n-    assertEquals(1, x);\n   }"),
    # what was added
    "bare except": ("swallowed", "a.py", " def f():\n+    try:\n+        send()\n+    except:\n+        pass\n     return 1"),
    "except Exception": ("swallowed", "a.py", "     try:\n         send()\n+    except Exception:\n+        pass\n     return 1"),
    "except on one line": ("swallowed", "a.py", "     try:\n         send()\n+    except Exception: pass\n     return 1"),
    "except and continue": ("swallowed", "a.py", "     try:\n         send()\n+    except BaseException as e:\n+        continue\n     return 1"),
    "suppress": ("swallowed", "a.py", "+    with suppress(Exception):\n+        send()\n     return 1"),
    "empty catch": ("swallowed", "a.js", "   try {\n     send()\n+  } catch (e) {}\n   return 1"),
    "empty catch on two lines": ("swallowed", "a.ts", "   try {\n     send()\n+  } catch {\n+  }\n   return 1"),
    "empty promise": ("swallowed", "a.js", "+send().catch(() => {})\n run()"),
    "java catch": ("swallowed", "A.java", "     try {\n       send();\n+    } catch (IOException e) {\n+    }\n     return 1;"),
    "kotlin catch": ("swallowed", "A.kt", "     try {\n       send()\n+    } catch (e: Exception) { }\n     return 1"),
    "go blank error": ("swallowed", "a.go", " \terr := send()\n+\t_ = err\n \treturn nil"),
    "go empty if": ("swallowed", "a.go", " \terr := send()\n+\tif err != nil {\n+\t}\n \treturn nil"),
    "ruby rescue nil": ("swallowed", "a.rb", "+    x = load rescue nil\n     use(x)"),
    "pdb": ("debugging", "a.py", " def f():\n+    import pdb; pdb.set_trace()\n     return 1"),
    "breakpoint": ("debugging", "tests/test_a.py", " def test_f():\n+    breakpoint()\n     assert 1"),
    "debugger": ("debugging", "a.ts", " function f() {\n+  debugger;\n   return 1\n }"),
    "pry": ("debugging", "a.rb", " def f\n+  binding.pry\n   1\n end"),
    "python print": ("debugging", "lib/a.py", " def f(x):\n+    print('HERE', x)\n     return x"),
    "console log": ("debugging", "src/a.ts", " function f(x) {\n+  console.log('x', x)\n   return x\n }"),
    "go print": ("debugging", "pkg/a.go", " func f(x int) int {\n+\tfmt.Println(\"here\", x)\n \treturn x\n }"),
    "rust dbg": ("debugging", "src/a.rs", " fn f(x: u8) -> u8 {\n+    dbg!(x);\n     x\n }"),
    "rust println": ("debugging", "src/a.rs", " fn f(x: u8) -> u8 {\n+    println!(\"{}\", x);\n     x\n }"),
    "java print": ("debugging", "A.java", "   int f(int x) {\n+    System.out.println(x);\n     return x;\n   }"),
    "java stack trace": ("debugging", "A.java", "   } catch (IOException e) {\n+    e.printStackTrace();\n   }"),
    "kotlin print": ("debugging", "A.kt", "   fun f(x: Int): Int {\n+    println(x)\n     return x\n   }"),
    "php dump": ("debugging", "a.php", " function f($x) {\n+    var_dump($x);\n     return $x;\n }"),
    "c sharp print": ("debugging", "A.cs", "   int F(int x) {\n+    Console.WriteLine(x);\n     return x;\n   }"),
    "a line commented out": ("commented-out", "a.py", " def f():\n-    send(x)\n+    # send(x)\n     return 1"),
    "js commented out": ("commented-out", "a.js", " function f() {\n-  send(x);\n+  // send(x);\n   return 1\n }"),
    "code as a comment": ("commented-out", "a.go", " func f() {\n+\t// x := load(y)\n+\t// use(x)\n \trun()\n }"),
    "pytest skip": ("skipped-test", "tests/test_a.py", "+@pytest.mark.skip(reason='slow')\n def test_a():\n     assert 1"),
    "unittest skip": ("skipped-test", "tests/test_a.py", "+    @unittest.skip('broken')\n     def test_a(self):\n         pass"),
    "it skip": ("skipped-test", "a.spec.ts", "-it('runs', () => {\n+it.skip('runs', () => {\n   run()\n })"),
    "xit": ("skipped-test", "a.spec.js", "-it('runs', () => {\n+xit('runs', () => {\n   run()\n })"),
    "only": ("skipped-test", "a.spec.js", "-describe('x', () => {\n+describe.only('x', () => {\n   run()\n })"),
    "go skip": ("skipped-test", "a_test.go", " func TestA(t *testing.T) {\n+\tt.Skip(\"flaky\")\n \trun()\n }"),
    "rust ignore": ("skipped-test", "src/a.rs", "     #[test]\n+    #[ignore]\n     fn runs() {\n     }"),
    "junit disabled": ("skipped-test", "src/test/java/ATest.java", "+  @Disabled\n   @Test void a() {\n   }"),
    "junit ignore": ("skipped-test", "src/test/kotlin/ATest.kt", "+  @Ignore(\"broken\")\n   @Test fun a() {\n   }"),
    "amazon key": ("secret", "a.py", f"+KEY = '{AMAZON}'\n x = 1"),
    "github token": ("secret", "config.yml", f"+token: {GITHUB}\n x: 1"),
    "private key": ("secret", "a.ts", f"+const key = `{PRIVATE}\n x()"),
    "password": ("secret", "a.py", "+DB_PASSWORD = 'Xk29!mQz7#pL'\n x = 1"),
    "password in json": ("secret", "settings.json", '+  "password": "Xk29!mQz7#pL",\n   "x": 1'),
    "password in an address": ("secret", "a.go", '+\tdsn := "postgres://app:Xk29mQz7pL@db.internal/app"\n \topen(dsn)'),
    "a key in the environment file": ("secret", ".env", "+API_KEY=9f8e7d6c5b4a39281706f5e4\n X=1"),
    "conflict": ("conflict-marker", "a.py", "+<<<<<<< HEAD\n x = 1\n+=======\n+x = 2\n+>>>>>>> topic"),
    "conflict in prose": ("conflict-marker", "README.md", "+<<<<<<< HEAD\n a\n+=======\n+b\n+>>>>>>> topic"),
    "do not merge": ("leftover", "a.py", "+# DO NOT MERGE: debugging only\n x = 1"),
    "no commit": ("leftover", "a.js", "+// NOCOMMIT\n x()"),
    "eval": ("injection", "a.py", " def f(x):\n+    return eval(x)\n "),
    "new function": ("injection", "a.js", "+const f = new Function(body)\n f()"),
    "shell": ("injection", "a.py", "+subprocess.run(command, shell=True)\n x = 1"),
    "pickle": ("injection", "a.py", "+    return pickle.loads(data)\n "),
    "yaml": ("injection", "a.py", "+    return yaml.load(text)\n "),
    "markup": ("injection", "a.js", "+node.innerHTML = comment.text\n x()"),
    "react markup": ("injection", "a.tsx", "+  <p dangerouslySetInnerHTML={{ __html: text }} />\n x"),
    "sql by format": ("injection", "a.py", "+    db.execute(f\"SELECT * FROM users WHERE name = '{name}'\")\n "),
    "sql by plus": ("injection", "A.java", '+    db.query("SELECT * FROM users WHERE name = \'" + name + "\'");\n   }'),
    "sql by template": ("injection", "a.ts", "+  await db.query(`DELETE FROM users WHERE id = ${id}`)\n }"),
    "sql by sprintf": ("injection", "a.go", '+\tq := fmt.Sprintf("SELECT * FROM users WHERE name = \'%s\'", name)\n \trun(q)'),
    "weak hash": ("injection", "a.py", "+    return hashlib.md5(password.encode()).hexdigest()\n "),
    "guessable token": ("injection", "a.js", "+const token = Math.random().toString(36)\n x()"),
    "always true": ("leftover", "a.js", " function f() {\n-  if (ready) {\n+  if (true || ready) {\n   run()\n   }\n }"),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_a_fault_is_told(name: str) -> None:
    kind, path, lines = TOLD[name]
    told = found(diff(path, lines))
    assert kind in [one.kind for one in told], told


SILENT: dict[str, tuple[str, str]] = {
    "a check with its function": ("a.py", "-def f(size):\n-    if size > MAX:\n-        raise ValueError(size)\n-    use(size)\n-\n x = 1"),
    "a check that changed": ("a.py", " def f(size):\n-    if size > MAX:\n-        raise ValueError(size)\n+    if size >= MAX:\n+        raise ValueError(size)\n     use(size)"),
    "a check in a function of its own": ("a.py", "+def check_size(size):\n+    if size > MAX:\n+        raise ValueError(size)\n+\n def f(size):\n-    if size > MAX:\n-        raise ValueError(size)\n+    check_size(size)\n     use(size)"),
    "a check and what it checked": ("a.py", " def f(a, size):\n-    if size > MAX:\n-        raise ValueError(size)\n-    use(size)\n \n x = 1"),
    "an assertion that became an error": ("a.py", " def f(x):\n-    assert x > 0\n+    if x <= 0:\n+        raise ValueError(x)\n     use(x)"),
    "a handler that became a context": ("a.py", " def f():\n-    try:\n-        send()\n-    except OSError:\n-        pass\n+    with suppress(OSError):\n+        send()\n     return 1"),
    "a handler with its code": ("a.py", " def f():\n-    try:\n-        send()\n-    except OSError:\n-        log()\n     return 1"),
    "an optional import": ("a.py", "-try:\n-    import json\n-except ImportError:\n-    json = None\n+import json\n "),
    "an error that is wrapped": ("a.go", " \tx, err := load()\n \tif err != nil {\n-\t\treturn err\n+\t\treturn fmt.Errorf(\"load: %w\", err)\n \t}"),
    "an unwrap that became a question": ("a.rs", "-    let x = load().unwrap();\n+    let x = load()?;\n     Ok(x)"),
    "a timeout that changed": ("a.py", "-r = get(url, timeout=10)\n+r = get(url, timeout=20)\n "),
    "an assertion that changed": ("tests/test_a.py", " def test_a():\n-    assert run() == 1\n+    assert run() == 2\n "),
    "a test that went": ("tests/test_a.py", "-def test_a():\n-    assert run() == 1\n-\n x = 1"),
    "an assertion that moved": ("tests/test_a.py", " def test_a():\n-    assert x == 1\n     run()\n+    assert x == 1\n "),
    "a narrow except": ("a.py", "     try:\n         x = d[k]\n+    except KeyError:\n+        pass\n     return 1"),
    "an except that tells": ("a.py", "     try:\n         send()\n+    except Exception:\n+        log.exception('no')\n     return 1"),
    "a catch with a reason": ("a.js", "   try {\n     send()\n+  } catch (e) {\n+    // the socket is closed already\n+  }\n   return 1"),
    "a catch that moved": ("a.js", "-  } catch (e) {}\n   x()\n+  } catch (e) {}\n   y()"),
    "a catch that handles": ("a.js", "   try {\n     send()\n+  } catch (e) { report(e) }\n   return 1"),
    "a command prints": ("app/cli.py", " def f(x):\n+    print(x)\n     return x"),
    "a script prints": ("scripts/run.js", "+console.log('done')\n x()"),
    "a test prints": ("tests/test_a.py", " def test_a():\n+    print(1)\n     assert 1"),
    "an example prints": ("examples/a.go", "+\tfmt.Println(\"hello\")\n x()"),
    "a file that prints already": ("src/a.py", "     print('start')\n+    print('end')\n "),
    "an error on the console": ("src/a.js", "+  console.error('failed', e)\n   x()"),
    "a print to a file": ("src/a.py", "+    print(x, file=out)\n     y()"),
    "a method named print": ("src/a.py", "+    printer.print(x)\n     y()"),
    "a print in a string": ("src/a.py", "+    x = 'print(y)'\n     z()"),
    "a build script prints": ("build.rs", '+    println!("cargo:rerun-if-changed=x");\n     x();'),
    "prose": ("a.py", "+# The size is read first, then the rest (see above).\n+# If it is zero, nothing follows.\n x = 1"),
    "an example in a comment": ("a.py", "+# For example:\n+#   x = load(y)\n+# gives the first.\n x = 1"),
    "a documentation comment": ("a.rs", "+/// let x = load(y);\n+/// use(x);\n fn f() {}"),
    "a docstring's example": ("a.py", ' def f():\n     """\n+    x = load(y)\n+    use(x)\n     """\n     return 1'),
    "a header": ("a.py", "+# Copyright (c) 2024 A. Person\n+# SPDX-License-Identifier: MIT\n x = 1"),
    "a directive": ("a.js", "+// eslint-disable-next-line no-console\n+// @ts-ignore\n x()"),
    "a test skipped on one system": ("tests/test_a.py", "+@pytest.mark.skipif(WINDOWS, reason='no sockets')\n def test_a():\n     assert 1"),
    "a go test skipped when short": ("a_test.go", " func TestA(t *testing.T) {\n+\tif testing.Short() {\n+\t\tt.Skip(\"slow\")\n+\t}\n \trun()\n }"),
    "a variable named skip": ("a.js", "+const skip = 3\n x()"),
    "an iterator's skip": ("src/a.rs", "+    let y = x.iter().skip(1);\n     z();"),
    "a placeholder": ("a.py", "+PASSWORD = 'changeme'\n x = 1"),
    "a placeholder in a template": ("config.yml", "+password: ${DB_PASSWORD}\n x: 1"),
    "a value from the environment": ("a.py", "+TOKEN = os.environ['API_TOKEN_1']\n x = 1"),
    "a name of a key": ("a.js", "+const TOKEN_KEY = 'auth.access_token.v2'\n x()"),
    "a password of a test": ("tests/test_a.py", "+password = 'Xk29!mQz7#pL'\n x = 1"),
    "an example key": ("a.py", "+KEY = 'AKIAIOSFODNN7EXAMPLE'\n x = 1"),
    "a secret that stays": ("a.py", "-DB_PASSWORD = 'Xk29!mQz7#pL'\n+DB_PASSWORD = 'Xk29!mQz7#pL'  # old\n x = 1"),
    "a heading": ("a.rst", "+Title\n+=======\n x"),
    "a shift": ("a.c", "+  x = y <<<<<<< z;\n y"),
    "merging": ("a.py", "+# merge the two lists, then commit the transaction\n x = 1"),
    "literal eval": ("a.py", "+    return ast.literal_eval(x)\n "),
    "a method named eval": ("a.js", "+  const x = model.eval(y)\n   z()"),
    "a regex's exec": ("a.js", "+  const m = pattern.exec(text)\n   z()"),
    "safe yaml": ("a.py", "+    return yaml.load(text, Loader=yaml.SafeLoader)\n "),
    "sql with parameters": ("a.py", "+    db.execute('SELECT * FROM users WHERE name = ?', (name,))\n "),
    "markup emptied": ("a.js", "+node.innerHTML = ''\n x()"),
    "md5 of a file": ("a.py", "+    return hashlib.md5(data).hexdigest()\n "),
    "random for play": ("a.js", "+const x = Math.random() * 10\n y()"),
    "a minified file": ("a.min.js", "+console.log(1)\n x"),
    "a lock file": ("package-lock.json", '+  "token": "Xk29!mQz7#pLabc",\n x'),
}  # fmt: skip


@pytest.mark.parametrize("name", SILENT)
def test_a_near_miss_stays_silent(name: str) -> None:
    assert found(diff(*SILENT[name])) == []


def test_the_gravest_come_first_and_their_number_is_bounded() -> None:
    text = "".join(diff(f"src/f{number}.py", " def f(x):\n+    print(x)\n     return x") for number in range(80))
    told = suspects(parse_diff(text + diff("b.py", "-@login_required\n def f(r):\n     pass")))
    assert len(told) == MOST and told[0].kind == "authorization"
    assert [one.weight for one in told] == sorted((one.weight for one in told), reverse=True)


def test_a_secret_is_not_repeated_in_the_sentence() -> None:
    (told,) = found(diff("a.py", "+DB_PASSWORD = 'Xk29!mQz7#pL'\n x = 1"))
    assert told.text == "This line has a password or key in the clear." and told.line == 10


def test_what_comments_a_guard_out_is_told_once() -> None:
    told = found(diff("a.py", " x = 1\n-check_permission(user)\n+# check_permission(user)\n drop()"))
    assert [one.kind for one in told] == ["authorization"]


LONG = ("(", "a", '"', "'", "`", "/*", "#", "@login_required(", "if not user.is_admin and ", "except Exception:", '"""', "catch (", " ", "= ", "\\")  # fmt: skip


@pytest.mark.parametrize("path", ("a.py", "a.ts", "a.go", "a.rb", "A.java", "a.rs", ".env", "a.md"))
def test_a_long_text_of_one_sign_takes_no_long_time(path: str) -> None:
    began = time.process_time()
    for sign in LONG:
        for size in (1_900, 200_000):
            suspects(parse_diff(diff(path, f"-{sign * (size // len(sign))}\n+{sign * (size // len(sign))}\n x")))
        lines = "\n".join(f"{'-+'[number % 2]}{sign * 20}" for number in range(2_000))
        suspects(parse_diff(diff(path, lines)))
    assert time.process_time() - began < 15


@settings(max_examples=60, deadline=None)
@given(some.text(alphabet="+- @\n#'\"`/*(){}:=ifrasexcpttnodmuk.", max_size=600), some.sampled_from(["a.py", "a.ts", "a.go"]))
def test_no_text_raises(text: str, path: str) -> None:
    for one in found(diff(path, f" x\n{text}\n")):
        assert one.path == path
