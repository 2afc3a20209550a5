// What the page computes, apart from how it looks: words and numbers, histories and their charts, the state of a consent.
import type { Condition, NewRule, Rule, Rules, Status } from "./api.js";

// ---- numbers as text ----

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (value: number) => whole.format(value);
// Whole numbers up to 999,999, then 1.2M.
export const compact = (value: number) => (Math.abs(value) < 1_000_000 ? whole.format(value) : short.format(value));

export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at++;
  }
  return `${at === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}

// A time that was measured: 12 ms, 1.23 s.
export const measured = (ms: number) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`);

// A time that goes on, in its two largest units: 35 s, 2 h 1 min.
export function age(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

// ---- histories ----

// What was seen over time: at each time (in seconds) a number for each name.
export type History = readonly { readonly time: number; readonly values: Readonly<Record<string, number>> }[];

const KEPT_SECONDS = 120;
const GAP_SECONDS = 10; // longer than any wait between two questions: nothing is known of the time between

export const extend = (history: History, time: number, values: Readonly<Record<string, number>>): History =>
  [...history.filter((point) => point.time >= time - KEPT_SECONDS - GAP_SECONDS), { time, values }];

// How much of the past a chart shows: it widens with what there is to show.
export function windowOf(history: History): number {
  const seen = (history.at(-1)?.time ?? 0) - (history[0]?.time ?? 0);
  return [15, 30, 60].find((seconds) => seen <= seconds) ?? KEPT_SECONDS;
}

const valueOf = (values: Readonly<Record<string, number>>, names: readonly string[]) =>
  names.reduce((sum, name) => sum + (values[name] ?? 0), 0);

// The axis from 0 in up to five steps of 1, 2 or 5 times a power of ten, the highest stack below its top.
export function axisTop(history: History, names: readonly string[]): { top: number; step: number } {
  const highest = Math.max(4, ...history.map((point) => valueOf(point.values, names)));
  const power = 10 ** Math.floor(Math.log10(highest / 4));
  const step = power * ([1, 2, 5].find((times) => times * power * 4 >= highest) ?? 10);
  return { top: step * Math.ceil(highest / step), step };
}

export const axisText = (value: number, top: number) => (top >= 10_000 && value > 0 ? short.format(value) : count(value));

export interface Area {
  band: string;
  edge: string;
}

// For each name, from below, SVG paths in a drawing of 100 by 100: its band of the stack, and the band's upper edge.
export function areas(history: History, names: readonly string[], seconds: number, top: number): Area[] {
  const now = history.at(-1)?.time ?? 0;
  const seen = history.filter((point) => point.time >= now - seconds);
  const runs: (typeof seen)[] = [];
  seen.forEach((point, at) => {
    const before = seen[at - 1];
    if (before === undefined || point.time - before.time > GAP_SECONDS) runs.push([]);
    runs.at(-1)?.push(point);
  });
  const place = (time: number, value: number) =>
    `${(100 - (100 * (now - time)) / seconds).toFixed(2)} ${(100 - (100 * value) / top).toFixed(2)}`;
  return names.map((_, at) => {
    const line = (run: typeof seen, bands: number) =>
      run.map(({ time, values }) => place(time, valueOf(values, names.slice(0, bands))));
    return {
      band: runs.map((run) => `M${[...line(run, at + 1), ...line(run, at).reverse()].join("L")}Z`).join(""),
      edge: runs.map((run) => `M${line(run, at + 1).join("L")}`).join(""),
    };
  });
}

// ---- what the lake does ----

export interface State {
  word: string;
  tone: "good" | "busy" | "bad";
}

export function stateOf(status: Status | null, problem: string | null): State {
  if (problem !== null) return { word: problem, tone: "bad" };
  if (status === null) return { word: "connecting", tone: "busy" };
  const rows = status.consent?.backlog_rows ?? 0;
  if ((status.consent?.tasks_open ?? 0) > 0) return { word: rows > 0 ? `re-indexing ${count(rows)} rows` : "re-indexing", tone: "busy" };
  if (status.events.per_second > 0) return { word: "receiving", tone: "good" };
  return { word: "ready", tone: "good" };
}

export const sum = <T>(list: readonly T[], value: (one: T) => number) => list.reduce((total, one) => total + value(one), 0);

// ---- consent ----

const isCondition = (value: Condition | Record<string, Condition> | undefined): value is Condition =>
  value !== undefined && typeof (value as Condition).operator === "string";

const literals = (condition: Condition): string[] =>
  (condition.values ?? ("value" in condition ? [{ value: condition.value }] : [])).map(({ value }) => String(value));

// Does the rule speak of the purpose? Without a purpose, only a deny exists, and it speaks of all.
export function names(rule: Rule, purpose: string): boolean {
  const condition = rule.dimensions["purpose"];
  if (!isCondition(condition)) return rule.effect === "deny";
  const listed = literals(condition).includes(purpose);
  return condition.operator.startsWith("NOT_") ? !listed : listed;
}

const withdrawnAt = (rules: Rules, purpose: string) =>
  Math.max(-1, ...rules.withdrawn.filter((one) => one.purpose === purpose).map((one) => one.lsn));

export type ConsentState = "on" | "limited" | "off" | "denied";

// Whether some permit of the purpose holds that is younger than its withdrawal; limited where each of them has conditions,
// denied where a deny without any other condition rules it out whatever is permitted.
export function consentOf(rules: Rules, purpose: string): ConsentState {
  const plain = (rule: Rule) => Object.keys(rule.dimensions).every((name) => name === "purpose");
  const about = rules.rules.filter((rule) => names(rule, purpose));
  if (about.some((rule) => rule.effect === "deny" && plain(rule))) return "denied";
  const permits = about.filter((rule) => rule.effect !== "deny" && rule.lsn > withdrawnAt(rules, purpose));
  if (permits.length === 0) return "off";
  return permits.some(plain) && !about.some((rule) => rule.effect === "deny") ? "on" : "limited";
}

// What a switch posts to permit a purpose: the permits that its withdrawal ended, each with its own conditions and for this
// purpose alone, so that no more is permitted than before. Where there never was one, a permit without conditions.
export function rulesToPermit(rules: Rules, purpose: string): NewRule[] {
  const only = { operator: "EQUALS", value: purpose };
  const permitOf = (ruleId: string, dimensions: Rule["dimensions"]): NewRule => ({
    userId: rules.userId, ruleId, effect: "permit", dimensions: { ...dimensions, purpose: only },
  });
  const permits = rules.rules.filter((rule) => rule.effect !== "deny" && names(rule, purpose));
  const found = new Map<string, NewRule>();
  for (const { ruleId, dimensions } of permits.filter((rule) => rule.lsn <= withdrawnAt(rules, purpose))) {
    const condition = dimensions["purpose"];
    const alone = isCondition(condition) && !condition.operator.startsWith("NOT_") && literals(condition).length === 1;
    const id = alone ? ruleId : `${ruleId}-${purpose}`;
    found.set(id, permitOf(id, dimensions));
  }
  return found.size > 0 ? [...found.values()] : [permitOf(`page-${purpose}`, {})];
}

const OPERATORS: Record<string, string> = {
  IN: "one of",
  NOT_IN: "none of",
  EQUALS: "is",
  NOT_EQUALS: "is not",
  BETWEEN: "from",
  LT: "below",
  LE: "at most",
  GT: "above",
  GE: "at least",
  EXISTS: "present",
};

export function conditionText(name: string, condition: Condition): string {
  const values = literals(condition);
  const single = values.length === 1 && (condition.operator === "IN" || condition.operator === "NOT_IN");
  const operator = single ? (condition.operator === "IN" ? "is" : "is not") : OPERATORS[condition.operator] ?? condition.operator;
  const label = name.replaceAll("_", " ");
  if (condition.operator === "EXISTS") return `${label} ${values[0] === "false" ? "absent" : "present"}`;
  return `${label} ${operator} ${values.join(condition.operator === "BETWEEN" ? " to " : ", ")}`;
}

// A rule's conditions in words, the purpose first.
export function ruleText(rule: Rule): string[] {
  const texts: string[] = [];
  for (const [name, condition] of Object.entries(rule.dimensions)) {
    if (isCondition(condition)) texts.push(conditionText(name, condition));
    else for (const [metric, inner] of Object.entries(condition)) texts.push(conditionText(metric, inner));
  }
  return texts.sort((a, b) => Number(b.startsWith("purpose")) - Number(a.startsWith("purpose")));
}
