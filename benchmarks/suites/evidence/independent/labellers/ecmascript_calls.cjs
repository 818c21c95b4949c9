// The calls of JavaScript and TypeScript files, by TypeScript's compiler. Input and output as in python_calls.py.
//
// node ecmascript_calls.cjs FOLDER-OF-THE-PACKAGE-typescript
//
// A name may be followed by what says nothing at run time or little: `open?.()`, `open!()`, `open<T>()`. A tagged
// template and `new X` are calls; `super()` and `import()` are words of the language.

const readline = require("node:readline");
const ts = require(require("node:path").resolve(process.argv[2]));

const KINDS = { ".tsx": ts.ScriptKind.TSX, ".ts": ts.ScriptKind.TS, ".mts": ts.ScriptKind.TS, ".cts": ts.ScriptKind.TS };

function nameOf(callee) {
  if (ts.isNonNullExpression(callee)) return nameOf(callee.expression);
  if (ts.isExpressionWithTypeArguments(callee)) return nameOf(callee.expression);
  if (ts.isIdentifier(callee)) return callee;
  return ts.isPropertyAccessExpression(callee) ? callee.name : undefined;
}

function calleeOf(node) {
  if (ts.isCallExpression(node) || ts.isNewExpression(node)) return node.expression;
  return ts.isTaggedTemplateExpression(node) ? node.tag : undefined;
}

/** The line that each offset of the text is on, as git counts lines: by line feeds alone. */
function lines(text) {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return (offset) => {
    let [low, high] = [0, starts.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (starts[middle] <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  };
}

function labelled({ path, text }) {
  const kind = KINDS[path.slice(path.lastIndexOf("."))] ?? ts.ScriptKind.JSX;
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true, kind);
  const line = lines(text);
  const calls = [];
  const pending = [file];
  while (pending.length) {
    const node = pending.pop();
    const callee = calleeOf(node);
    const name = callee && nameOf(callee);
    if (name) calls.push([name.text.replace(/^#/, ""), line(name.getStart(file)), name.getStart(file)]);
    ts.forEachChild(node, (child) => void pending.push(child));
  }
  calls.sort((one, other) => one[2] - other[2]);
  return { path, calls: calls.map(([name, at]) => [name, at]), errors: file.parseDiagnostics.length };
}

readline.createInterface({ input: process.stdin, crlfDelay: Infinity }).on("line", (asked) => {
  process.stdout.write(`${JSON.stringify(labelled(JSON.parse(asked)))}\n`);
});
