import assert from "node:assert/strict";
import { test } from "node:test";
import { problemText } from "../src/api.js";
import type { Rule, Rules, Status } from "../src/api.js";
import {
  age, areas, axisText, axisTop, bytes, compact, consentOf, extend, measured, rulesToPermit, ruleText, stateOf, windowOf,
} from "../src/model.js";
import type { History } from "../src/model.js";

test("numbers as text", () => {
  assert.equal(compact(999_999), "999,999");
  assert.equal(compact(1_234_567), "1.2M");
  assert.equal(bytes(0), "0 B");
  assert.equal(bytes(1536), "1.5 KiB");
  assert.equal(bytes(5 * 1024 ** 3), "5.0 GiB");
  for (const [ms, text] of [[0.4, "0 ms"], [999, "999 ms"], [1500, "1.50 s"], [61_000, "61.0 s"]] as const) assert.equal(measured(ms), text);
  for (const [s, text] of [[0.9, "0 s"], [59, "59 s"], [61, "1 min 1 s"], [7260, "2 h 1 min"], [180_000, "2 d 2 h"]] as const)
    assert.equal(age(s), text);
});

const seenFor = (seconds: number, values: Record<string, number>): History => {
  let history: History = [];
  for (let at = 0; at <= seconds; at++) history = extend(history, at, values);
  return history;
};

test("a history keeps two minutes, and its chart widens up to them", () => {
  assert.equal(windowOf([]), 15);
  assert.equal(windowOf(seenFor(15, {})), 15);
  assert.equal(windowOf(seenFor(16, {})), 30);
  const long = seenFor(500, {});
  assert.equal(windowOf(long), 120);
  assert.ok(long.length > 120 && long.length < 140);
});

test("an axis has few round steps, and room for the highest stack", () => {
  const cases = [[0, 4, 1], [4, 4, 1], [5, 6, 2], [129_555, 150_000, 50_000], [9_800, 10_000, 5_000]] as const;
  for (const [highest, top, step] of cases)
    assert.deepEqual(axisTop([{ time: 0, values: { a: highest / 2, b: highest / 2, other: 1e9 } }], ["a", "b"]), { top, step });
  assert.deepEqual([0, 5000, 10_000].map((tick) => axisText(tick, 10_000)), ["0", "5K", "10K"]);
  assert.equal(axisText(5000, 5000), "5,000");
});

test("bands lie on each other, and a gap in time is a gap in the drawing", () => {
  const history = [{ time: 0, values: { a: 1, b: 1 } }, { time: 5, values: { a: 2 } }, { time: 60, values: { a: 2, b: 2 } }];
  const [a, b] = areas(history, ["a", "b"], 60, 4);
  assert.deepEqual(a, {
    band: "M0.00 75.00L8.33 50.00L8.33 100.00L0.00 100.00ZM100.00 50.00L100.00 100.00Z",
    edge: "M0.00 75.00L8.33 50.00M100.00 50.00",
  });
  assert.deepEqual(b, {
    band: "M0.00 50.00L8.33 50.00L8.33 50.00L0.00 75.00ZM100.00 0.00L100.00 50.00Z",
    edge: "M0.00 50.00L8.33 50.00M100.00 0.00",
  });
});

const purpose = (...values: string[]) => ({ operator: "IN", values: values.map((value) => ({ value })) });
const rule = (lsn: number, dimensions: Rule["dimensions"], effect: "permit" | "deny" = "permit"): Rule => ({
  ruleId: `r${lsn}`, version: 1, lsn, effect, dimensions,
});
const rules = (list: Rule[], withdrawn: Rules["withdrawn"] = []): Rules => ({ userId: "s", lsn: 9, rules: list, withdrawn });

test("the state of a consent", () => {
  const all = rule(3, { purpose: purpose("research", "education") });
  const limited = rule(4, { purpose: { operator: "EQUALS", value: "research" }, activity: { operator: "EQUALS", value: "running" } });
  const cases: [string, Rules, string][] = [
    ["no rules", rules([]), "off"],
    ["a permit", rules([all]), "on"],
    ["a permit of another purpose", rules([rule(3, { purpose: purpose("marketing") })]), "off"],
    ["a permit with limits", rules([limited]), "limited"],
    ["both", rules([limited, all]), "on"],
    ["withdrawn later", rules([all], [{ purpose: "research", lsn: 5 }]), "off"],
    ["withdrawn for another purpose", rules([all], [{ purpose: "education", lsn: 5 }]), "on"],
    ["permitted again", rules([all, rule(6, { purpose: purpose("research") })], [{ purpose: "research", lsn: 5 }]), "on"],
    ["denied", rules([all, rule(4, { purpose: purpose("research") }, "deny")]), "denied"],
    ["denied for all", rules([all, rule(4, {}, "deny")]), "denied"],
    ["denied in part", rules([all, rule(4, { activity: { operator: "EQUALS", value: "running" } }, "deny")]), "limited"],
  ];
  for (const [what, given, expected] of cases) assert.equal(consentOf(given, "research"), expected, what);
});

test("a switch permits what was permitted before, and no more", () => {
  const running = { operator: "EQUALS", value: "running" };
  const only = { operator: "EQUALS", value: "research" };
  const many = { ...rule(3, { purpose: purpose("research", "education"), activity: running }), ruleId: "default" };
  const posted = (given: Rules) => rulesToPermit(given, "research").map(({ ruleId, effect, dimensions }) => ({ ruleId, effect, dimensions }));
  const withdrawn = [{ purpose: "research", lsn: 5 }];
  const narrowed = { ruleId: "default-research", effect: "permit" as const, dimensions: { purpose: only, activity: running } };
  assert.deepEqual(posted(rules([many], withdrawn)), [narrowed]);
  const again = { ...narrowed, version: 1, lsn: 4 };
  assert.deepEqual(posted(rules([many, again], withdrawn)), [narrowed], "the second time, its own rule again");
  const deny = rule(2, { purpose: purpose("research"), activity: running }, "deny");
  const never = { ruleId: "page-research", effect: "permit", dimensions: { purpose: only } };
  assert.deepEqual(posted(rules([deny, rule(1, { purpose: purpose("education") })])), [never]);
});

test("rules in words", () => {
  const texts = ruleText(rule(1, {
    event_context: { operator: "NOT_IN", values: [{ value: "a" }, { value: "b" }] },
    time: { operator: "BETWEEN", values: [{ value: "2025-02-01", type: "date" }, { value: "2025-12-31", type: "date" }] },
    metric_conditions: { heart_rate: { operator: "LT", value: 95 }, gps_lat: { operator: "EXISTS", value: false } },
    purpose: purpose("research"),
  }));
  assert.deepEqual(texts, [
    "purpose is research", "event context none of a, b", "time from 2025-02-01 to 2025-12-31", "heart rate below 95", "gps lat absent",
  ]);
});

test("the lake's state and a problem's words", () => {
  const status = { events: { total: 1, per_second: 0 }, consent: { tasks_open: 0 } } as unknown as Status;
  assert.equal(stateOf(null, null).word, "connecting");
  assert.equal(stateOf(status, "not reachable").tone, "bad");
  assert.equal(stateOf(status, null).word, "ready");
  assert.equal(stateOf({ ...status, consent: { tasks_open: 2 } } as unknown as Status, null).tone, "busy");
  assert.equal(problemText(422, '{"title":"t","errors":[{"problem":"unknown purpose"}]}'), "unknown purpose");
  assert.equal(problemText(500, "<html>"), "the server answered 500");
});
