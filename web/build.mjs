// Builds the page: src/ becomes one HTML file, dist/index.html, with script and style inside it.
// With --tests: the tests become plain modules in build/tests/ for node's test runner.
import { build } from "esbuild";
import { mkdir, readFile, writeFile } from "node:fs/promises";

const SIZE_LIMIT_BYTES = 150_000;

async function bundle(entry) {
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    target: "es2020",
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
  });
  return result.outputFiles[0].text;
}

async function buildPage() {
  const [template, script, style] = await Promise.all([
    readFile("src/index.html", "utf8"),
    bundle("src/main.tsx"),
    bundle("src/style.css"),
  ]);
  // Functions as replacements: "$&" within a script is then only text. A "</script" within it would end it too soon.
  const page = template
    .replace("/*STYLE*/", () => style.trim())
    .replace("/*SCRIPT*/", () => script.trim().replaceAll("</script", "<\\/script"));
  const size = Buffer.byteLength(page);
  if (size > SIZE_LIMIT_BYTES) throw new Error(`the page has ${size} bytes, more than ${SIZE_LIMIT_BYTES}`);
  await mkdir("dist", { recursive: true });
  await writeFile("dist/index.html", page);
  console.log(`dist/index.html: ${size} bytes`);
}

async function buildTests() {
  await build({
    entryPoints: ["test/model.test.ts", "test/page.test.ts"],
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node18",
    outdir: "build/tests",
    outExtension: { ".js": ".mjs" },
  });
}

await (process.argv.includes("--tests") ? buildTests() : buildPage());
