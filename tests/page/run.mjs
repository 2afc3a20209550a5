#!/usr/bin/env node
// The page of a running weir in a real browser, used as a person would, most of it by keyboard: tests/page/run.mjs WEIR
// An "ok" line for each thing that held; exit 1 where one did not, 2 where there is no Chromium. With SHOTS=DIR it leaves pictures.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Chromium, findChromium } from "./chromium.mjs";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const LAKE = join(ROOT, "lakes/athlete");
const [weir = join(ROOT, "build/weir")] = process.argv.slice(2);
const program = findChromium();
if (program === null) {
  console.error("There is no Chromium here (Debian's package chromium; CHROMIUM=/path names another): the page was not driven.");
  process.exit(2);
}

// ---- the lake and its server ----

mkdirSync(join(ROOT, "build"), { recursive: true });
const folder = mkdtempSync(join(ROOT, "build/page-"));
const data = join(folder, "data");
const command = (...words) => promisify(execFile)(weir, words);
let server, url;

async function startServer(listen) {
  const out = join(folder, "serve.out");
  server = spawn(weir, ["serve", LAKE, "--data", data, "--listen", listen], {
    stdio: ["ignore", openSync(out, "w"), openSync(join(folder, "serve.err"), "a")],
  });
  for (const end = Date.now() + 30_000; ; ) {
    url = /is served at (http\S+)/.exec(readFileSync(out, "utf8"))?.[1];
    if (url !== undefined) return;
    if (server.exitCode !== null || Date.now() > end)
      throw new Error(`weir did not start: ${readFileSync(join(folder, "serve.err"))}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

async function stopServer() {
  const ended = new Promise((done) => server.on("exit", done));
  server.kill("SIGTERM");
  assert.equal(await ended, 0);
}

async function ask(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(url + path, body === undefined ? { method } : { method, headers, body: JSON.stringify(body) });
  assert.equal(answer.status, 200, `${method} ${path}`);
  return answer.json();
}

const rowsOf = async (subject, purpose) => (await ask("GET", `/api/subjects/${subject}/rows`)).rows[purpose] ?? 0;
const permit = (subject, ruleId, dimensions, effect = "permit") =>
  ask("POST", "/api/consent/rules", { userId: subject, ruleId, effect, dimensions });
const purposes = (...names) => ({ operator: "IN", values: names.map((value) => ({ value })) });

// ---- what is looked for in the page ----

const switchOf = (purpose) => `[role=switch][aria-label="Consent to ${purpose}"]`;
const shown = (selector) => browser.until((selector) => document.querySelector(selector), selector).then(() => selector);
const stateIs = (purpose, on, rows) =>
  browser.until((selector, on, rows) => {
    const one = document.querySelector(selector);
    const number = Number(one?.closest("li").querySelector(".purpose-rows strong").textContent.replaceAll(",", ""));
    return one?.getAttribute("aria-checked") === String(on) && number === rows;
  }, switchOf(purpose), on, rows);

// Presses Tab until the element has the focus, and says how often that took.
async function tabTo(selector) {
  for (let presses = 1; presses < 60; presses++) {
    await browser.press("Tab");
    if (await browser.run((selector) => document.activeElement?.matches(selector), selector)) return presses;
  }
  throw new Error(`${selector} is not reached by Tab`);
}

// Runs in the page: texts whose contrast with what is behind them is below WCAG's AA (4.5, large ones 3).
function paleTexts() {
  const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (node) => {
    const colour = channels(getComputedStyle(node).backgroundColor);
    return colour[3] === 0 ? (node.parentElement ? behind(node.parentElement) : [255, 255, 255]) : colour;
  };
  const pale = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (walk.currentNode.textContent.trim() === "" || node.closest("script, style, datalist, noscript, .unseen, .skip")) continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(channels(style.color)), light(behind(node))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 600);
    if (contrast < (large ? 3 : 4.5)) pale.push(`"${walk.currentNode.textContent}" ${contrast.toFixed(2)}`);
  }
  return pale;
}

// Runs in the page: which of the page and its tables has to be scrolled sideways. At 320 px a table may (WCAG 1.4.10).
const tooWide = () =>
  [document.documentElement, ...(innerWidth < 400 ? [] : document.querySelectorAll(".scroll"))]
    .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.outerHTML.slice(0, 80));

// ---- the steps ----

let browser, held = 0, broken = 0;

async function step(name, work) {
  try {
    await work();
    held++;
    console.log(`ok ${name}`);
  } catch (error) {
    broken++;
    console.log(`FAILED ${name}\n${error.stack}`);
  }
}

async function picture(name) {
  if (process.env.SHOTS === undefined) return;
  mkdirSync(process.env.SHOTS, { recursive: true });
  await browser.screenshot(join(process.env.SHOTS, `${name}.png`));
}

// Steps that make the browser complain, as it does when a server is away, take their complaints out.
async function expectComplaints(pattern) {
  const found = browser.complaints.splice(0);
  assert.deepEqual(found.filter((text) => !pattern.test(text)), []);
  assert.ok(found.length > 0, "no complaint at all");
}

async function steps(subject, limited) {
  let all; // rows of the subject in each of its purposes
  await step("the page comes up, in one request, with nobody chosen", async () => {
    await browser.resize(1280, 900);
    await browser.open(url);
    await browser.until(() => document.title === "athlete · weir" && document.querySelector("header .state").textContent === "ready");
    assert.equal(await browser.run(() => document.querySelectorAll("[role=switch]").length), 0);
    assert.deepEqual([...new Set(browser.requests.filter((address) => !/^(about|data):/.test(address)))].sort(), [`${url}/`, `${url}/api/status`]);
    await picture("empty-1280");
  });

  await step("numbers, files and snapshots are those of /api/status", async () => {
    const { tables } = await ask("GET", "/api/status");
    const gold = tables.find((table) => table.name === "gold.athlete_data");
    const cells = await browser.run(() =>
      [...document.querySelectorAll("tbody tr")].find((row) => row.cells[0].textContent === "gold.athlete_data")
        .innerText.split("\t").slice(1).map((text) => text.replaceAll(",", "")));
    assert.deepEqual([cells[0], cells[1], cells[3]], [gold.rows, gold.files, gold.snapshots].map(String));
  });

  await step("the charts move while events come in", async () => {
    const sending = command("gen", LAKE, "--seed", "7", "--athletes", "20", "--events", "3000", "--rate", "1000", "--to", url);
    await browser.until(() => Number(/now ([\d,]+)/.exec(document.querySelector("[aria-label^='Events per second']").ariaLabel)[1].replaceAll(",", "")) > 100);
    await browser.until(() => document.querySelector("header .state").textContent === "receiving");
    await sending;
    // Heights of each chart's uppermost line, 0 at the top: both have risen since the page was opened.
    for (const at of [0, 1])
      await browser.until((at) => {
        const line = document.querySelectorAll(".charts section")[at].querySelector(".edge").getAttribute("d");
        const heights = line.match(/[\d.]+ [\d.]+/g).map((point) => Number(point.split(" ")[1]));
        return Math.min(...heights) < Math.min(heights[0], 60) - 1;
      }, at);
    await picture("receiving-1280");
  });

  await step("by keyboard: a subject is found, and each switch is named and reached in order", async () => {
    await ask("POST", "/api/admin/settle");
    all = await rowsOf(subject, "research");
    assert.ok(all > 10 && (await rowsOf(subject, "coaching")) === all);
    await tabTo("#subject");
    await browser.type(subject);
    await browser.press("Enter");
    for (const purpose of ["research", "education", "marketing", "coaching"]) await shown(switchOf(purpose));
    await stateIs("research", true, all);
    assert.equal(await browser.run(() => location.hash), `#subject=${subject}`);
    await tabTo(switchOf("research"));
    assert.equal(await tabTo(switchOf("education")), 1);
    const { nodes } = await browser.send("Accessibility.getFullAXTree");
    const used = nodes.filter((node) => !node.ignored && ["switch", "button", "link", "textbox", "combobox", "region", "image"].includes(node.role?.value));
    assert.deepEqual(used.filter((node) => !node.name?.value).map((node) => node.role.value), []);
    assert.equal(used.filter((node) => node.role.value === "switch").length, 4);
  });

  const withdraw = async (key) => {
    await browser.open(`${url}/#subject=${subject}`);
    await stateIs("research", true, all);
    await tabTo(switchOf("research"));
    await browser.press(key);
    await stateIs("research", false, 0);
  };

  await step("Space withdraws: the rows go, other purposes keep theirs, and the place is kept", async () => {
    await withdraw(" ");
    assert.equal(await rowsOf(subject, "research"), 0);
    await stateIs("coaching", true, all);
    await browser.until(() => document.querySelectorAll(".changes .past").length === 3);
    await browser.until(() => document.querySelector(".unseen[role=status]").textContent === "research withdrawn: done, 0 rows");
    assert.ok(await browser.run((selector) => document.activeElement.matches(`${selector}:focus-visible`), switchOf("research")));
    assert.ok((await browser.run(() => parseFloat(getComputedStyle(document.activeElement).outlineWidth))) >= 2);
    await picture("withdrawn-1280");
  });

  await step("Space again: every row is back, and its band in the chart", async () => {
    await browser.press(" ");
    await stateIs("research", true, all);
    await browser.until(() => document.querySelector(".unseen[role=status]").textContent.startsWith("research permitted: done"));
    await browser.until(() => document.querySelectorAll(".changes li.past, .changes .past").length === 5);
    await picture("back-1280");
  });

  await step("Enter does as Space does", async () => {
    await withdraw("Enter");
    await browser.press("Enter");
    await stateIs("research", true, all);
  });

  await step("a click does as a key does", async () => {
    await browser.run((selector) => document.querySelector(selector).click(), switchOf("coaching"));
    await stateIs("coaching", false, 0);
    await browser.run((selector) => document.querySelector(selector).click(), switchOf("coaching"));
    await stateIs("coaching", true, all);
  });

  await step("a limited consent comes back with its limits", async () => {
    const before = await rowsOf(limited, "education");
    assert.ok(before > 0 && before < (await rowsOf(limited, "research")));
    await browser.open(`${url}/#subject=${limited}`);
    await stateIs("education", true, before);
    for (let round = 0; round < 2; round++) {
      await browser.run((selector) => document.querySelector(selector).click(), switchOf("education"));
      await stateIs("education", false, 0);
      await browser.run((selector) => document.querySelector(selector).click(), switchOf("education"));
      await stateIs("education", true, before);
    }
    const { rules } = await ask("GET", `/api/consent/rules/${limited}`);
    assert.deepEqual(rules.map((rule) => rule.ruleId).sort(), ["all", "some", "some-education"]);
  });

  await step("what others change shows without a reload; a deny cannot be switched away", async () => {
    await browser.until(() => document.querySelector(".changes .open") === null); // nothing that this page still follows
    await permit(limited, "never", { purpose: purposes("research") }, "deny");
    await browser.until((selector) => document.querySelector(selector).ariaDisabled === "true", switchOf("research"));
    await stateIs("research", false, 0);
    await tabTo(switchOf("research"));
    const { lsn } = await ask("GET", `/api/consent/rules/${limited}`);
    await browser.press(" ");
    assert.equal((await ask("GET", `/api/consent/rules/${limited}`)).lsn, lsn);
    await picture("denied-1280");
  });

  for (const width of [400, 320])
    await step(`${width} px: nothing is wider than the page, and the switches work`, async () => {
      await browser.resize(width, 800);
      await browser.open(`${url}/#subject=${subject}`);
      await stateIs("research", true, all);
      assert.deepEqual(await browser.run(tooWide), []);
      await tabTo(switchOf("research"));
      await browser.press(" ");
      await stateIs("research", false, 0);
      await browser.press(" ");
      await stateIs("research", true, all);
      await picture(`switched-${width}`);
      // A lake as large as the demo's.
      const status = await ask("GET", "/api/status");
      for (const table of status.tables) table.rows += 1_234_567;
      await browser.intercept(({ url }) => (url.endsWith("/api/status") ? { responseCode: 200, body: btoa(JSON.stringify(status)) } : null));
      await browser.until(() => document.querySelector("tbody td").textContent.length >= 9);
      assert.deepEqual(await browser.run(tooWide), []);
      await browser.intercept(null);
      await browser.open(`${url}/#subject=${"a-very-long-name".repeat(8)}`);
      await shown(switchOf("research"));
      await browser.until(() => document.body.textContent.includes("No rules, so nothing is permitted"));
      assert.deepEqual(await browser.run(tooWide), []);
      await picture(`long-${width}`);
    });

  for (const dark of [false, true])
    await step(`texts can be read in ${dark ? "dark" : "light"} colours (WCAG AA)`, async () => {
      await browser.resize(1280, 900, dark);
      await browser.open(`${url}/#subject=${limited}`);
      await browser.until(() => document.querySelectorAll(".rules > li").length >= 4);
      await browser.run((selector) => document.querySelector(selector).click(), switchOf("coaching"));
      await browser.until(() => document.querySelectorAll(".changes > li").length === 1);
      assert.deepEqual(await browser.run(paleTexts), []);
      await picture(dark ? "dark-1280" : "light-1280");
    });

  await step("no error was logged until here", () => assert.deepEqual(browser.complaints, []));

  await step("a stopped server is told, and the page goes on when it is back", async () => {
    await browser.resize(1280, 900);
    await browser.open(`${url}/#subject=${subject}`);
    await stateIs("research", true, all);
    const { port } = new URL(url);
    await stopServer();
    await browser.until(() => document.querySelector("main [role=alert]")?.textContent.includes("the server does not answer"));
    await picture("away-1280");
    await startServer(`127.0.0.1:${port}`);
    await browser.until(() => document.querySelector("[role=alert]") === null && document.querySelector("header .state").textContent === "ready");
    await stateIs("research", true, all);
    await expectComplaints(/ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_SOCKET_NOT_CONNECTED|503/);
  });

  await step("503 is told in the server's words, and the change can be made again", async () => {
    const problem = { title: "Service Unavailable", status: 503, detail: "the log is full", errors: [] };
    await browser.intercept(({ method }) => (method === "DELETE" ? { responseCode: 503, body: btoa(JSON.stringify(problem)) } : null));
    await browser.run((selector) => document.querySelector(selector).click(), switchOf("research"));
    await browser.until(() => document.querySelector(".changes .problem")?.textContent === "the log is full");
    await stateIs("research", true, all);
    await browser.intercept(null);
    await expectComplaints(/503/);
  });

  await step("401 asks for a token, says when it is wrong, and goes on with the right one", async () => {
    const right = (await ask("POST", "/api/admin/tokens", { role: "operator" })).token;
    await browser.intercept(({ headers }) => (headers.Authorization === undefined ? { responseCode: 401 } : null)); // as on no loopback
    await shown("#token");
    const give = async (token) => {
      await browser.run(() => document.querySelector("#token").select());
      await browser.type(token);
      await browser.press("Enter");
    };
    await give("wrong");
    await browser.until(() => document.querySelector("main .problem")?.textContent.includes("not known"));
    await picture("token-1280");
    await give(right);
    await browser.until(() => document.querySelector("#token") === null);
    await browser.intercept(null);
    await expectComplaints(/401/);
  });

  await step("code that gets into the page does not run, nor reach another server", async () => {
    const reached = await browser.run(async () => {
      document.body.insertAdjacentHTML("beforeend", '<img src="x" onerror="window.ran = true">');
      const script = document.body.appendChild(document.createElement("script"));
      script.textContent = "window.ran = true";
      await new Promise((done) => setTimeout(done, 200));
      return [window.ran === true, await fetch("http://127.0.0.2:9/").then(() => true, (error) => String(error))];
    });
    assert.deepEqual(reached, [false, "TypeError: Failed to fetch"]);
    await expectComplaints(/Content Security Policy|404|ERR_BLOCKED_BY_CSP/);
  });
}

async function main() {
  const subject = "athlete-000002", limited = "athlete-000003";
  const events = join(folder, "events.ndjson");
  await command("gen", LAKE, "--athletes", "20", "--events", "20000", "--out", events);
  await startServer("127.0.0.1:0");
  await permit(subject, "default", { purpose: purposes("research", "coaching") });
  await permit(limited, "all", { purpose: purposes("research") });
  await permit(limited, "some", { purpose: purposes("education", "marketing"), metric_conditions: { heart_rate: { operator: "LT", value: 110 } } });
  await command("ingest", LAKE, events, "--data", data).catch((error) => assert.equal(error.code, 1, error.stderr)); // 1: with dead letters
  browser = await Chromium.start(program);
  console.log(`peer ${(await browser.send("Browser.getVersion")).product}`);
  await steps(subject, limited);
  await browser.close();
  await stopServer();
}

// Nothing outlives this process, however it ends.
process.on("exit", () => server?.kill("SIGKILL"));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));
try {
  await main();
} catch (error) {
  broken++;
  console.log(`FAILED ${error.stack}`);
} finally {
  if (broken === 0) rmSync(folder, { recursive: true, force: true });
  else console.log(`the server's log is in ${folder}`);
}
console.log(`${held} passed, ${broken} failed`);
process.exit(broken === 0 && held > 0 ? 0 : 1);
