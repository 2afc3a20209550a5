// A small stand-in for weir's side of the page, for development and the page's test: it keeps rules, rows and changes in
// memory and answers as docs/reference/page-api.md says. test/serve.mjs serves it.
const PURPOSES = ["research", "education", "marketing", "coaching"];
const REMOVAL_MS = 1500;

export function createMock({ clock = Date.now } = {}) {
  const started = clock();
  const subjects = new Map();
  const changes = new Map();
  let lsn = 4180;

  function addSubject(id, index) {
    const permit = (ruleId, dimensions) => ({ ruleId, effect: "permit", dimensions, version: 1, lsn: ++lsn });
    const rules = [
      permit("default", {
        purpose: { operator: "IN", values: [{ value: "research" }, { value: "coaching" }] },
        activity: { operator: "IN", values: [{ value: "running" }, { value: "cycling" }] },
        time: { operator: "BETWEEN", values: [{ value: "2025-02-01", type: "date" }, { value: "2025-12-31", type: "date" }] },
        metric_conditions: { heart_rate: { operator: "LT", value: 165 } },
      }),
      permit("page-education", { purpose: { operator: "EQUALS", value: "education" } }),
    ];
    if (index % 2 === 1)
      rules.push({ ...permit("never", { purpose: { operator: "EQUALS", values: [{ value: "marketing" }] } }), effect: "deny" });
    subjects.set(id, { rules, withdrawn: [], base: { research: 1840 + 97 * index, education: 2600 + 31 * index, marketing: 2600, coaching: 1840 } });
  }
  for (let i = 0; i < 6; i++) addSubject(`athlete-00000${i + 1}`, i);

  const permitted = (subject, purpose) => {
    const gone = Math.max(-1, ...subject.withdrawn.filter((one) => one.purpose === purpose).map((one) => one.lsn));
    const about = subject.rules.filter((rule) => JSON.stringify(rule.dimensions.purpose).includes(`"${purpose}"`));
    return !about.some((rule) => rule.effect === "deny") && about.some((rule) => rule.lsn > gone);
  };

  function rowsOf(subject) {
    const growth = Math.floor((clock() - started) / 400);
    return Object.fromEntries(PURPOSES.map((purpose) => {
      let rows = permitted(subject, purpose) ? subject.base[purpose] + growth : 0;
      const change = subject.backfill?.[purpose];
      if (change !== undefined && rows > 0) rows = Math.floor(rows * Math.min(1, (clock() - change) / REMOVAL_MS));
      return [purpose, rows];
    }));
  }

  function addChange(purposeRows) {
    changes.set(++lsn, { at: clock(), rows: purposeRows });
    return lsn;
  }

  function changeOf(number) {
    const change = changes.get(number);
    if (change === undefined) return null;
    const age = clock() - change.at;
    const done = Math.min(change.rows, Math.floor((change.rows * age) / REMOVAL_MS));
    return {
      lsn: number,
      state: age >= REMOVAL_MS ? "done" : "removing",
      rows_done: done,
      rows_todo: change.rows - done,
    };
  }

  function status() {
    const seconds = (clock() - started) / 1000 + 3600;
    const rate = Math.round(9800 + 900 * Math.sin(seconds / 7) + 300 * Math.sin(seconds * 1.7));
    const total = Math.round(9800 * seconds);
    const open = [...changes.keys()].filter((number) => changeOf(number).state !== "done");
    const share = { research: 0.61, education: 0.34, marketing: 0.12, coaching: 0.45 };
    const table = (name, rows, files, snapshots) => ({ name, rows, files, bytes: rows * 38, snapshots });
    return {
      name: "athlete",
      version: "0.1.0",
      now_us: clock() * 1000,
      uptime_s: Math.floor(seconds),
      events: { total, per_second: rate },
      streams: [{ name: "telemetry", accepted: total, duplicates: Math.round(total * 0.01), rejected: Math.round(total * 0.002),
        late: Math.round(total * 0.02), backlog: Math.round(rate * 0.6) }],
      tables: [
        table("bronze.dead_letters", Math.round(total * 0.002), 41, 100),
        table("bronze.telemetry", total, 312, 100),
        table("silver.telemetry", total, 288, 100),
        table("gold.athlete_data", Math.round(total * 1.52), 733, 12),
        table("history.athlete_data", 48210, 9, 37),
      ],
      purposes: PURPOSES.map((name) => ({ name, rows: Math.round(total * share[name]) })),
      consent: { subject_column: "athlete_id", purposes: PURPOSES, lsn, fence: open.length, tasks_open: open.length,
        backlog_rows: open.reduce((sum, number) => sum + changeOf(number).rows_todo, 0) },
      subjects: [...subjects.keys()],
    };
  }

  function postRule(rule) {
    const subject = subjects.get(rule.userId);
    const purpose = rule.dimensions.purpose.value;
    const before = subject.rules.find((one) => one.ruleId === rule.ruleId);
    const { userId, ...body } = rule;
    const posted = { ...body, version: (before?.version ?? 0) + 1, lsn: addChange(subject.base[purpose]) };
    subject.rules = [...subject.rules.filter((one) => one !== before), posted];
    subject.backfill = { ...subject.backfill, [purpose]: clock() };
    return { subject: userId, ruleId: rule.ruleId, version: posted.version, lsn: posted.lsn };
  }

  // [status, answer] of a request, or null for what is not the API's.
  function answer(method, path, body) {
    const [, api, area, kind, id, purpose] = path.split("/").map(decodeURIComponent);
    if (api !== "api") return null;
    if (area === "status") return [200, status()];
    if (area === "consent" && kind === "changes") {
      const change = changeOf(Number(id));
      return change === null ? [404, { title: "no such change" }] : [200, change];
    }
    if (area === "consent" && kind === "rules" && method === "POST") {
      if (!body.every((rule) => subjects.has(rule.userId))) return [422, { title: "unknown subject" }];
      return [200, body.map(postRule)];
    }
    const subject = subjects.get(area === "subjects" ? kind : id);
    if (area === "subjects")
      return [200, { subject: kind, rows: subject === undefined ? {} : rowsOf(subject) }];
    if (subject === undefined) return [200, { userId: id, lsn, rules: [], withdrawn: [] }];
    if (method === "GET") return [200, { userId: id, lsn, rules: subject.rules, withdrawn: subject.withdrawn }];
    const number = addChange(rowsOf(subject)[purpose]);
    subject.withdrawn = [...subject.withdrawn.filter((one) => one.purpose !== purpose), { purpose, lsn: number }];
    return [200, { subject: id, purpose, lsn: number }];
  }

  return { answer };
}
