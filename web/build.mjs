// Builds the page: src/ becomes one HTML file, dist/index.html, with script and style inside it.
// With --tests: the tests become plain modules in build/tests/ for node's test runner.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";

const SIZE_LIMIT_BYTES = 64_000;

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

const hashOf = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

async function buildPage() {
  const [template, bundled, style] = await Promise.all([
    readFile("src/index.html", "utf8"),
    bundle("src/main.tsx"),
    bundle("src/style.css"),
  ]);
  // A "</script" within the script would end it too soon.
  const script = bundled.replaceAll("</script", "<\\/script");
  // The browser runs this script and this style and no other, and asks no other server: what a page shows cannot become code.
  const policy = `default-src 'none'; script-src ${hashOf(script)}; style-src ${hashOf(style)}; connect-src 'self'; img-src data:`;
  const parts = { POLICY: policy, STYLE: style, SCRIPT: script };
  const page = template.replace(/\/\*(POLICY|STYLE|SCRIPT)\*\//g, (_, part) => parts[part]);
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
