// A Chromium without a window, driven over its DevTools protocol: messages of JSON that end in a zero byte, on the pipes 3 and 4
// of the process (https://chromedevtools.github.io/devtools-protocol/). No package, no port.
import { spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const KEYS = { Tab: 9, Enter: 13, " ": 32 };
const CHECK_MS = 50;

// The browser's program: CHROMIUM names it, else what Debian and others call it; null where there is none.
export function findChromium() {
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const paths = (process.env.PATH ?? "").split(":").flatMap((folder) => names.map((name) => join(folder, name)));
  for (const path of process.env.CHROMIUM ? [process.env.CHROMIUM] : paths) {
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not there.
    }
  }
  return null;
}

export class Chromium {
  #process;
  #session;
  #profile = mkdtempSync(join(tmpdir(), "weir-chromium-"));
  #last = 0;
  #waiting = new Map();
  #stop = () => this.#process.kill("SIGKILL");
  #answerOf = null;
  complaints = []; // uncaught exceptions, console errors, refused by policy
  requests = []; // addresses that the page asked for

  static async start(program) {
    const browser = new Chromium(program);
    const { targetId } = await browser.send("Target.createTarget", { url: "about:blank" });
    browser.#session = (await browser.send("Target.attachToTarget", { targetId, flatten: true })).sessionId;
    for (const domain of ["Page", "Runtime", "Log", "Network", "Accessibility"]) await browser.send(`${domain}.enable`);
    return browser;
  }

  constructor(program) {
    // Without a sandbox, because the sandbox needs rights that containers lack; the only page is weir's own.
    const flags = ["--headless", "--hide-scrollbars", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
      "--remote-debugging-pipe", `--user-data-dir=${this.#profile}`];
    this.#process = spawn(program, flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    process.on("exit", this.#stop);
    this.#process.on("exit", (code) => {
      for (const { fail } of this.#waiting.values()) fail(new Error(`${program} ended with code ${code}`));
    });
    let rest = Buffer.alloc(0);
    this.#process.stdio[4].on("data", (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      for (let end; (end = rest.indexOf(0)) >= 0; rest = rest.subarray(end + 1)) this.#receive(JSON.parse(rest.subarray(0, end).toString()));
    });
  }

  send(method, params = {}) {
    const id = ++this.#last;
    this.#process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId: this.#session })}\0`);
    return new Promise((done, fail) => this.#waiting.set(id, { done, fail: (error) => fail(new Error(`${method}: ${error.message}`)) }));
  }

  #receive({ id, result, error, method, params }) {
    if (id !== undefined) {
      const { done, fail } = this.#waiting.get(id);
      this.#waiting.delete(id);
      error === undefined ? done(result) : fail(error);
    } else if (method === "Runtime.exceptionThrown") {
      this.complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    } else if (method === "Runtime.consoleAPICalled" && params.type === "error") {
      this.complaints.push(params.args.map((one) => one.value ?? one.description).join(" "));
    } else if (method === "Log.entryAdded" && params.entry.level === "error") {
      this.complaints.push(`${params.entry.text} ${params.entry.url ?? ""}`);
    } else if (method === "Network.requestWillBeSent") {
      this.requests.push(params.request.url);
    } else if (method === "Fetch.requestPaused") {
      const answer = this.#answerOf?.(params.request);
      const continued = this.send(answer ? "Fetch.fulfillRequest" : "Fetch.continueRequest", { requestId: params.requestId, ...answer });
      continued.catch(() => undefined); // the page may be gone meanwhile
    }
  }

  // Answers requests in the server's place: answerOf(request) gives {responseCode, ...} or null to let it pass; null ends it.
  async intercept(answerOf) {
    this.#answerOf = answerOf;
    await this.send(answerOf === null ? "Fetch.disable" : "Fetch.enable");
  }

  // Opens a page afresh, also where only what stands behind # differs from the one that is open.
  async open(url) {
    await this.send("Page.navigate", { url: "about:blank" });
    await this.until(() => location.href === "about:blank");
    await this.send("Page.navigate", { url });
    await this.until(() => document.readyState === "complete" && location.href !== "about:blank");
  }

  // The value of a function that runs in the page; what it gets and gives is JSON.
  async run(code, ...given) {
    const expression = `(${code})(${given.map((one) => JSON.stringify(one)).join(",")})`;
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  // Waits until a function in the page gives something true, and gives that.
  async until(code, ...given) {
    for (const end = Date.now() + 20_000; ; ) {
      const value = await this.run(code, ...given).catch(() => null); // the page may be on its way to another
      if (value) return value;
      if (Date.now() > end) throw new Error(`not so after 20 s: ${code} of ${JSON.stringify(given)}`);
      await new Promise((done) => setTimeout(done, CHECK_MS));
    }
  }

  async press(key) {
    const code = { key, code: key === " " ? "Space" : key, windowsVirtualKeyCode: KEYS[key] };
    const text = { Enter: "\r", " ": " " }[key];
    await this.send("Input.dispatchKeyEvent", { type: "keyDown", ...code, ...(text && { text }) });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...code });
  }

  type(text) {
    return this.send("Input.insertText", { text });
  }

  async resize(width, height, dark = false) {
    await this.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
    await this.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
  }

  async screenshot(path) {
    const { data } = await this.send("Page.captureScreenshot", { captureBeyondViewport: true });
    writeFileSync(path, Buffer.from(data, "base64"));
  }

  async close() {
    const ended = new Promise((done) => this.#process.on("exit", done));
    this.#session = undefined;
    this.send("Browser.close").catch(() => undefined);
    setTimeout(this.#stop, 5000).unref();
    await ended;
    process.removeListener("exit", this.#stop);
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
