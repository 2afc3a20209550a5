// The data subject's panel: a switch for each purpose, the subject's rows, so that one sees them go and come back, and the rules.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { getChange, getRows, getRules, post, withdraw, wordsOf } from "./api.js";
import type { ConsentStatus, Rule, Rules, Status } from "./api.js";
import { Chart, colourOf, Swatch } from "./chart.js";
import { consentOf, count, extend, measured, names, rulesToPermit, ruleText, sum } from "./model.js";
import type { ConsentState, History } from "./model.js";

const FOLLOW_MS = 100; // between two looks at a change that is under way
const CHANGES_SHOWN = 3;

interface Seen {
  rules: Rules | null;
  rows: Record<string, number>;
  history: History;
  problem: string | null;
}

// What is known of the subject. Each look is audited by weir, so it looks again only where consent or the purposes' rows moved.
function useSubject(subject: string, status: Status) {
  const [seen, setSeen] = useState<Seen>({ rules: null, rows: {}, history: [], problem: null });
  const asked = useRef(0);
  const answered = useRef(0);

  const look = useCallback(async () => {
    const turn = ++asked.current;
    try {
      const [rules, { rows }] = await Promise.all([getRules(subject), getRows(subject)]);
      if (turn < answered.current) return null; // overtaken by a newer answer
      answered.current = turn;
      setSeen((before) => ({ rules, rows, history: extend(before.history, Date.now() / 1000, rows), problem: null }));
      return rows;
    } catch (problem) {
      setSeen((before) => ({ ...before, problem: wordsOf(problem) }));
      return null;
    }
  }, [subject]);

  useEffect(() => void look(), [look, JSON.stringify([status.purposes, status.consent])]);
  useEffect(() => {
    if (seen.problem !== null) void look();
    else if (seen.rules !== null)
      setSeen((before) => ({ ...before, history: extend(before.history, Date.now() / 1000, before.rows) }));
  }, [status]);
  return { ...seen, look };
}

// ---- changes made here ----

// What the page saw of a change, in milliseconds since the click; null: not yet.
interface Change {
  clicked: number;
  purpose: string;
  on: boolean;
  acknowledged: number | null;
  invisible: number | null;
  done: number | null;
  progress: string;
  problem: string | null;
}

function useChanges(subject: string, look: () => Promise<Record<string, number> | null>) {
  const [changes, setChanges] = useState<Change[]>([]);

  const toggle = async (purpose: string, on: boolean) => {
    const clicked = performance.now();
    const since = () => performance.now() - clicked;
    const update = (news: Partial<Change>) =>
      setChanges((list) => list.map((one) => (one.clicked === clicked ? { ...one, ...news } : one)));
    const change = { clicked, purpose, on, acknowledged: null, invisible: null, done: null, progress: "", problem: null };
    setChanges((list) => [change, ...list].slice(0, CHANGES_SHOWN));
    try {
      const lsns = await (on ? post(rulesToPermit(await getRules(subject), purpose)) : withdraw(subject, purpose));
      update({ acknowledged: since() });
      let invisible = on;
      for (;;) {
        const rows = await look();
        if (!invisible && rows !== null && (rows[purpose] ?? 0) === 0) {
          invisible = true;
          update({ invisible: since() });
        }
        const states = await Promise.all(lsns.map(getChange));
        if (states.every(({ state }) => state === "done")) break;
        const done = sum(states, (one) => one.rows_done);
        const total = done + sum(states, (one) => one.rows_todo);
        if (total > 0) update({ progress: `${count(done)} of ${count(total)} rows` });
        await new Promise((resolve) => setTimeout(resolve, FOLLOW_MS));
      }
      update({ done: since(), progress: "" });
      await look();
    } catch (problem) {
      update({ problem: wordsOf(problem) });
    }
  };
  return { changes, toggle };
}

const Step = ({ label, ms }: { label: string; ms: number | null }) => (
  <li class={ms === null ? "open" : "past"}>
    <span class="mark" aria-hidden="true" />
    {label} <strong>{ms === null ? "…" : measured(ms)}</strong>
  </li>
);

const nameOf = (change: Change) =>
  `${change.acknowledged === null && change.problem !== null ? "not " : ""}${change.on ? "permitted" : "withdrawn"}`;

const ChangeItem = ({ change }: { change: Change }) => (
  <li>
    <p>
      <strong>{change.purpose}</strong> {nameOf(change)}
      {change.progress !== "" && <span class="muted"> · {change.progress}</span>}
    </p>
    {change.problem !== null ? (
      <p class="problem">{change.problem}</p>
    ) : (
      <ol class="steps">
        <Step label="acknowledged" ms={change.acknowledged} />
        {!change.on && <Step label="invisible" ms={change.invisible} />}
        <Step label={change.on ? "rows back" : "bytes gone"} ms={change.done} />
      </ol>
    )}
  </li>
);

// The newest change for those who listen: one sentence when it is acknowledged and one when it is done.
function spoken(change: Change | undefined, rows: Record<string, number>): string {
  if (change === undefined || (change.acknowledged === null && change.problem === null)) return "";
  const what = `${change.purpose} ${nameOf(change)}`;
  if (change.problem !== null) return `${what}: ${change.problem}`;
  return change.done === null ? `${what}: acknowledged` : `${what}: done, ${count(rows[change.purpose] ?? 0)} rows`;
}

// ---- the panel ----

const STATES: Record<ConsentState, string> = {
  on: "permitted",
  limited: "permitted within limits",
  off: "not permitted",
  denied: "denied by a rule, whatever else permits it",
};

interface SwitchRowProps {
  purpose: string;
  colour: string;
  state: ConsentState | null;
  rows: number;
  busy: boolean;
  onToggle: (on: boolean) => void;
}

// A switch that cannot be used now stays in the order of the keyboard, so that nobody's place is lost while a change is sent.
function SwitchRow({ purpose, colour, state, rows, busy, onToggle }: SwitchRowProps) {
  const on = state === "on" || state === "limited";
  const fixed = busy || state === null || state === "denied";
  return (
    <li class="purpose">
      <Swatch colour={colour} />
      <span class="purpose-name">
        {purpose}
        <small class="muted" id={`state-${purpose}`}>
          {state === null ? "…" : STATES[state]}
        </small>
      </span>
      <span class="purpose-rows" id={`rows-${purpose}`}>
        <strong>{count(rows)}</strong> <small class="muted">rows</small>
      </span>
      <button type="button" role="switch" class="switch" aria-checked={on} aria-disabled={fixed} aria-label={`Consent to ${purpose}`}
        aria-describedby={`state-${purpose} rows-${purpose}`} onClick={() => !fixed && onToggle(!on)}>
        <span class="knob" />
      </button>
    </li>
  );
}

const RuleItem = ({ rule, ended }: { rule: Rule; ended: string[] }) => (
  <li>
    <span class={rule.effect === "deny" ? "tag deny" : "tag"}>{rule.effect ?? "permit"}</span> <strong>{rule.ruleId}</strong>{" "}
    <span class="muted">
      version {rule.version}, change {count(rule.lsn)}
    </span>
    <ul class="conditions">
      {ruleText(rule).map((text) => (
        <li key={text}>{text}</li>
      ))}
    </ul>
    {ended.length > 0 && <p class="hint">withdrawn since: {ended.join(", ")}</p>}
  </li>
);

// The purposes for which a permit has ended.
const endedFor = (rule: Rule, { withdrawn }: Rules) =>
  rule.effect === "deny" ? [] : withdrawn.filter((one) => one.lsn > rule.lsn && names(rule, one.purpose)).map((one) => one.purpose);

const RuleList = ({ rules }: { rules: Rules }) => (
  <ul class="rules">
    {rules.rules.map((rule) => (
      <RuleItem key={rule.ruleId} rule={rule} ended={endedFor(rule, rules)} />
    ))}
  </ul>
);

function SubjectDetail({ subject, status, consent }: { subject: string; status: Status; consent: ConsentStatus }) {
  const { rules, rows, history, problem, look } = useSubject(subject, status);
  const { changes, toggle } = useChanges(subject, look);
  const purposes = consent.purposes;
  const sending = (purpose: string) =>
    changes.some((one) => one.purpose === purpose && one.acknowledged === null && one.problem === null);
  return (
    <>
      {problem !== null && <p class="problem" role="alert">{problem}</p>}
      <p class="unseen" role="status">{spoken(changes[0], rows)}</p>
      <div class="subject-grid">
        <div>
          <h3>Consent by purpose</h3>
          <ul class="purposes">
            {purposes.map((purpose) => (
              <SwitchRow key={purpose} purpose={purpose} colour={colourOf(purposes, purpose)} busy={sending(purpose)}
                state={rules === null ? null : consentOf(rules, purpose)} rows={rows[purpose] ?? 0}
                onToggle={(on) => void toggle(purpose, on)} />
            ))}
          </ul>
          <p class="hint">
            Off withdraws the purpose. On permits again what was permitted before, within the same limits; where nothing was, everything.
          </p>
        </div>
        <div>
          <h3>
            Rows of <span class="id">{subject}</span> that readers get
          </h3>
          <Chart label={`Rows by purpose: ${purposes.map((name) => `${name} ${count(rows[name] ?? 0)}`).join(", ")}`}
            history={history} names={purposes} colours={purposes.map((name) => colourOf(purposes, name))} />
          {changes.length > 0 && (
            <ul class="changes" aria-label="Changes made here">
              {changes.map((change) => (
                <ChangeItem key={change.clicked} change={change} />
              ))}
            </ul>
          )}
        </div>
      </div>
      <h3>Rules</h3>
      {rules === null ? <p class="muted">…</p>
        : rules.rules.length === 0 ? <p class="muted">No rules, so nothing is permitted: no reader gets a row.</p>
        : <RuleList rules={rules} />}
    </>
  );
}

// The chosen subject stands in the address, so that it can be linked and survives a reload.
const fromAddress = () => {
  try {
    return decodeURIComponent(location.hash.replace(/^#subject=/, "")).trim();
  } catch {
    return "";
  }
};

export function Subjects({ status, consent }: { status: Status; consent: ConsentStatus }) {
  const [subject, setSubject] = useState(fromAddress);
  const [typed, setTyped] = useState(subject);
  useEffect(() => {
    const follow = () => {
      setSubject(fromAddress());
      setTyped(fromAddress());
    };
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  const submit = (event: Event) => {
    event.preventDefault();
    location.hash = `subject=${encodeURIComponent(typed.trim())}`;
  };
  return (
    <section class="card" aria-labelledby="subjects">
      <h2 id="subjects">Consent of one {consent.subject_column.replace(/_id$/, "").replaceAll("_", " ")}</h2>
      <form class="search" role="search" onSubmit={submit}>
        <label for="subject">{consent.subject_column}</label>
        <input id="subject" required list="samples" autocomplete="off" autocapitalize="off" spellcheck={false} value={typed}
          onInput={(event) => setTyped(event.currentTarget.value)} />
        <datalist id="samples">
          {status.subjects.map((id) => (
            <option key={id} value={id} />
          ))}
        </datalist>
        <button type="submit">Show</button>
      </form>
      {status.subjects.length > 0 && (
        <p class="samples">
          <span class="muted">for example</span>
          {status.subjects.slice(0, 4).map((id) => (
            <a key={id} href={`#subject=${encodeURIComponent(id)}`} aria-current={id === subject}>
              {id}
            </a>
          ))}
        </p>
      )}
      {subject === "" ? (
        <p class="muted empty">
          {status.subjects.length > 0
            ? "Choose one: each purpose becomes a switch, beside the rows that readers get. Flip it and watch them go and come back."
            : "Nobody has given consent yet. Once rules are in, some of those who have are named here."}
        </p>
      ) : (
        <SubjectDetail key={subject} subject={subject} status={status} consent={consent} />
      )}
    </section>
  );
}
