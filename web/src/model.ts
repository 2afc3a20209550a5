// What the page computes, apart from how it looks: histories, stacks, the state of a consent, words and numbers.
import type { Condition, Rule, Rules, Status } from "./api.js";

// ---- numbers as text ----

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (value: number) => whole.format(value);
// Whole numbers up to 99,999, then 123.5K.
export const compact = (value: number) => (Math.abs(value) < 100_000 ? whole.format(value) : short.format(value));

export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at++;
  }
  return `${at === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1000)} s`;
  if (ms < 86_400_000) return `${Math.floor(ms / 3_600_000)} h ${Math.floor((ms % 3_600_000) / 60_000)} min`;
  return `${Math.floor(ms / 86_400_000)} d ${Math.floor((ms % 86_400_000) / 3_600_000)} h`;
}

// ---- histories ----

// Columns of numbers over time (seconds), the last `limit` of them; a name that appears later begins with nulls.
export interface History {
  readonly limit: number;
  readonly times: readonly number[];
  readonly series: Readonly<Record<string, readonly (number | null)[]>>;
}

export const emptyHistory = (limit: number): History => ({ limit, times: [], series: {} });

export function extend(history: History, time: number, values: Readonly<Record<string, number>>): History {
  const cut = Math.max(0, history.times.length + 1 - history.limit);
  const names = new Set([...Object.keys(history.series), ...Object.keys(values)]);
  const series: Record<string, (number | null)[]> = {};
  for (const name of names) {
    const before = history.series[name] ?? history.times.map(() => null);
    series[name] = [...before.slice(cut), values[name] ?? null];
  }
  return { limit: history.limit, times: [...history.times.slice(cut), time], series };
}

// Sums from the first name up, so that each line is the top of its band.
export function stack(history: History, names: readonly string[]): (number | null)[][] {
  const tops: number[] = history.times.map(() => 0);
  return names.map((name) =>
    history.times.map((_, at) => {
      const value = history.series[name]?.[at] ?? 0;
      tops[at] = (tops[at] ?? 0) + value;
      return tops[at] ?? 0;
    }),
  );
}

// ---- what the lake does ----

export interface State {
  word: string;
  tone: "good" | "busy" | "bad";
}

export function stateOf(status: Status | null, error: string | null): State {
  if (error !== null) return { word: error, tone: "bad" };
  if (status === null) return { word: "connecting", tone: "busy" };
  const tasks = status.consent?.tasks_open ?? 0;
  if (tasks > 0) return { word: `re-indexing, ${count(tasks)} open`, tone: "busy" };
  if (status.events.per_second > 0) return { word: "receiving", tone: "good" };
  return { word: "ready", tone: "good" };
}

export const backlogOf = (status: Status) => status.streams.reduce((sum, stream) => sum + stream.backlog, 0);
export const filesOf = (status: Status) => status.tables.reduce((sum, table) => sum + table.files, 0);

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

export type ConsentState = "on" | "limited" | "off" | "denied";

// Whether some permit of the purpose holds that is younger than its withdrawal; limited where each of them has conditions,
// denied where a deny without any other condition rules it out whatever is permitted.
export function consentOf(rules: Rules, purpose: string): ConsentState {
  const withdrawn = rules.withdrawn.reduce((newest, one) => (one.purpose === purpose ? Math.max(newest, one.lsn) : newest), -1);
  const plain = (rule: Rule) => Object.keys(rule.dimensions).every((name) => name === "purpose");
  const about = rules.rules.filter((rule) => names(rule, purpose));
  if (about.some((rule) => rule.effect === "deny" && plain(rule))) return "denied";
  const permits = about.filter((rule) => rule.effect !== "deny" && rule.lsn > withdrawn);
  if (permits.length === 0) return "off";
  return permits.some(plain) && !about.some((rule) => rule.effect === "deny") ? "on" : "limited";
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
