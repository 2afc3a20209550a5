import assert from "node:assert/strict";
import { test } from "node:test";
import { problemText } from "../src/api.js";
import type { Rule, Rules, Status } from "../src/api.js";
import { bytes, compact, consentOf, duration, emptyHistory, extend, ruleText, stack, stateOf } from "../src/model.js";

test("numbers as text", () => {
  assert.equal(compact(99_999), "99,999");
  assert.equal(compact(1_234_567), "1.2M");
  assert.equal(bytes(0), "0 B");
  assert.equal(bytes(1536), "1.5 KiB");
  assert.equal(bytes(5 * 1024 ** 3), "5.0 GiB");
  for (const [ms, text] of [[0.4, "0 ms"], [999, "999 ms"], [1500, "1.50 s"], [61_000, "1 min 1 s"], [7_260_000, "2 h 1 min"]] as const)
    assert.equal(duration(ms), text);
});

test("a history keeps its last times, and gives a new name its nulls", () => {
  let history = emptyHistory(3);
  for (let at = 0; at < 5; at++) history = extend(history, at, at < 4 ? { a: at } : { a: at, b: 7 });
  assert.deepEqual(history.times, [2, 3, 4]);
  assert.deepEqual(history.series, { a: [2, 3, 4], b: [null, null, 7] });
  const without = extend(history, 5, { b: 8 });
  assert.deepEqual(without.series["a"], [3, 4, null]);
});

test("a stack's lines are sums from below", () => {
  let history = emptyHistory(9);
  history = extend(history, 1, { a: 1, b: 10 });
  history = extend(history, 2, { a: 2, c: 5 });
  assert.deepEqual(stack(history, ["a", "b", "c"]), [[1, 2], [11, 2], [11, 7]]);
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
