// The built page as a file, and the stand-in server against the shapes that the page reads.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import type { Change, Rules, Status, SubjectRows } from "../src/api.js";
import { consentOf, rulesToPermit } from "../src/model.js";
import { createMock } from "./mock.mjs";

test("the page is one file that asks nobody else", async () => {
  const page = await readFile("dist/index.html", "utf8");
  assert.doesNotMatch(page, /<script[^>]+src=|<link[^>]+stylesheet|@import|url\(["']?http/);
  assert.doesNotMatch(page, /\/\*(POLICY|STYLE|SCRIPT)\*\//);
  assert.equal(page.split("</script>").length, 2);
});

test("its policy permits its own script and style by their hashes, and nothing else", async () => {
  const page = await readFile("dist/index.html", "utf8");
  const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1] ?? "";
  assert.ok(policy.startsWith("default-src 'none';") && !policy.includes("unsafe"));
  for (const tag of ["script", "style"]) {
    const text = new RegExp(`<${tag}>([^]*)</${tag}>`).exec(page)?.[1] ?? "";
    assert.ok(policy.includes(`${tag}-src 'sha256-${createHash("sha256").update(text).digest("base64")}'`), tag);
  }
});

test("a withdrawal takes the rows away, a permit brings them back", () => {
  let now = 1_000_000;
  const mock = createMock({ clock: () => now });
  const get = <T>(path: string) => mock.answer("GET", path)?.[1] as T;
  const subject = get<Status>("/api/status").subjects[0] ?? "";
  const rows = () => get<SubjectRows>(`/api/subjects/${subject}/rows`).rows["education"] ?? 0;
  const state = () => consentOf(get<Rules>(`/api/consent/rules/${subject}`), "education");
  now += 10_000;
  assert.ok(rows() > 0 && state() === "on");
  const gone = mock.answer("DELETE", `/api/consent/rules/${subject}/education`)?.[1] as { lsn: number };
  assert.ok(rows() === 0 && state() === "off");
  assert.equal(get<Change>(`/api/consent/changes/${gone.lsn}`).state, "removing");
  now += 2000;
  assert.equal(get<Change>(`/api/consent/changes/${gone.lsn}`).state, "done");
  mock.answer("POST", "/api/consent/rules", rulesToPermit(get<Rules>(`/api/consent/rules/${subject}`), "education"));
  now += 2000;
  assert.ok(rows() > 0 && state() === "on");
});
