// What the page asks of weir, and the shapes of the answers: docs/reference/page-api.md. The answers are trusted to have them.

export interface StreamStatus {
  name: string;
  accepted: number;
  duplicates: number;
  rejected: number;
  late: number;
  backlog: number;
}

export interface TableStatus {
  name: string;
  rows: number;
  files: number;
  bytes: number;
  snapshots: number;
}

export interface PurposeRows {
  name: string;
  rows: number;
}

export interface ConsentStatus {
  subject_column: string;
  purposes: string[];
  lsn: number;
  fence: number;
  tasks_open: number;
  backlog_rows: number;
}

export interface Status {
  name: string;
  version: string;
  now_us: number;
  uptime_s: number;
  events: { total: number; per_second: number };
  streams: StreamStatus[];
  tables: TableStatus[];
  purposes: PurposeRows[];
  consent: ConsentStatus | null;
  subjects: string[];
}

export interface Condition {
  operator: string;
  value?: unknown;
  values?: { value: unknown; type?: string }[];
}

export interface Rule {
  ruleId: string;
  effect?: "permit" | "deny";
  dimensions: Record<string, Condition | Record<string, Condition>>;
  version: number;
  lsn: number;
}

// A rule as the page posts it.
export type NewRule = Omit<Rule, "version" | "lsn"> & { userId: string };

export interface Rules {
  userId: string;
  lsn: number;
  rules: Rule[];
  withdrawn: { purpose: string; lsn: number }[];
}

export interface SubjectRows {
  subject: string;
  rows: Record<string, number>;
}

export interface Change {
  lsn: number;
  state: "fenced" | "removing" | "backfilling" | "done";
  rows_done: number;
  rows_todo: number;
}

// An answer that is no success: its status, and the problem's own words where it has some. Status 0: there was no answer.
export class ApiError extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

export const wordsOf = (problem: unknown) => (problem instanceof Error ? problem.message : String(problem));

const TOKEN_KEY = "weir-token";
const TIMEOUT_MS = 10_000;

export const hasToken = () => sessionStorage.getItem(TOKEN_KEY) !== null;

export function setToken(token: string): void {
  if (token === "") sessionStorage.removeItem(TOKEN_KEY);
  else sessionStorage.setItem(TOKEN_KEY, token);
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  const token = sessionStorage.getItem(TOKEN_KEY);
  if (token !== null) headers["Authorization"] = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
  let status: number, text: string;
  try {
    const sent = body === undefined ? null : JSON.stringify(body);
    const response = await fetch(path, { method, headers, body: sent, signal: abort.signal });
    status = response.status;
    text = await response.text();
  } catch {
    throw new ApiError(0, "the server does not answer");
  } finally {
    clearTimeout(timer);
  }
  if (status >= 400) throw new ApiError(status, problemText(status, text));
  return JSON.parse(text) as T;
}

// The sentence of an application/problem+json answer.
export function problemText(status: number, body: string): string {
  try {
    const problem = JSON.parse(body) as { title?: string; detail?: string; errors?: { problem?: string }[] };
    const text = problem.errors?.[0]?.problem ?? problem.detail ?? problem.title;
    if (text !== undefined) return text;
  } catch {
    // No JSON: the status says enough.
  }
  return `the server answered ${status}`;
}

const part = encodeURIComponent;

export const getStatus = () => call<Status>("GET", "/api/status");
export const getRules = (subject: string) => call<Rules>("GET", `/api/consent/rules/${part(subject)}`);
export const getRows = (subject: string) => call<SubjectRows>("GET", `/api/subjects/${part(subject)}/rows`);
export const getChange = (lsn: number) => call<Change>("GET", `/api/consent/changes/${lsn}`);

// Both answer the numbers of the changes that they made.
export const withdraw = async (subject: string, purpose: string) =>
  [(await call<{ lsn: number }>("DELETE", `/api/consent/rules/${part(subject)}/${part(purpose)}`)).lsn];
export const post = async (rules: NewRule[]) =>
  (await call<{ lsn: number }[]>("POST", "/api/consent/rules", rules)).map((one) => one.lsn);
