// Builds the page into server/firstpass/web/page, or into the folder that is given. The names of the files have the
// digest of what is in them. Knows nothing of the page's contents.
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "../firstpass/web/page");

async function bundled(entry) {
  const made = await build({
    absWorkingDir: here,
    bundle: true,
    charset: "utf8",
    entryPoints: [entry],
    format: "esm",
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    minify: true,
    target: "es2022",
    write: false,
  });
  return made.outputFiles[0].contents;
}

function named(stem, ending, contents) {
  return `${stem}-${createHash("sha256").update(contents).digest("hex").slice(0, 12)}.${ending}`;
}

const script = await bundled("src/main.tsx");
const style = await bundled("src/style.css");
const icon = await readFile(join(here, "src/icon.svg"));
const names = { SCRIPT: named("app", "js", script), STYLE: named("style", "css", style), ICON: named("icon", "svg", icon) };
const html = (await readFile(join(here, "src/index.html"), "utf8")).replace(/SCRIPT|STYLE|ICON/g, (name) => names[name]);

await mkdir(out, { recursive: true });
for (const old of await readdir(out)) await rm(join(out, old));
await writeFile(join(out, names.SCRIPT), script);
await writeFile(join(out, names.STYLE), style);
await writeFile(join(out, names.ICON), icon);
await writeFile(join(out, "index.html"), html);
