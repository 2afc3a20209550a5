// The data subject's panel: rules, a switch for each purpose, and the subject's rows, so that one sees them go and come back.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, getChange, getRows, getRules, permit, withdraw } from "./api.js";
import type { Change, ConsentStatus, Rule, Rules } from "./api.js";
import { Chart, colourOf } from "./chart.js";
import { consentOf, count, duration, emptyHistory, extend, ruleText } from "./model.js";
import type { ConsentState, History } from "./model.js";

const HISTORY = 240;
const QUIET_MS = 1000;
const BUSY_MS = 200; // while a change is under way
const BUSY_FOR_MS = 10_000;

// One change made here: what the page saw, in milliseconds since the click.
interface Made {
  purpose: string;
  on: boolean;
  clicked_ms: number;
  lsn: number | null;
  acknowledged: number | null;
  invisible: number | null;
  done: number | null;
  state: Change["state"] | null;
  progress: string;
  error: string | null;
}

const words = (error: unknown) =>
  error instanceof ApiError || error instanceof Error ? error.message : "the server does not answer";

const STATES: Record<ConsentState, string> = {
  on: "permitted",
  limited: "permitted within limits",
  off: "not permitted",
  denied: "denied by a rule",
};

function useSubject(subject: string) {
  const [rules, setRules] = useState<Rules | null>(null);
  const [rows, setRows] = useState<Record<string, number>>({});
  const [history, setHistory] = useState<History>(emptyHistory(HISTORY));
  const [error, setError] = useState<string | null>(null);
  const busyUntil = useRef(0);
  const onRows = useRef<(rows: Record<string, number>) => void>(() => undefined);

  const reload = useCallback(async () => {
    try {
      setRules(await getRules(subject));
      setError(null);
    } catch (problem) {
      if (problem instanceof ApiError && problem.status === 404) setRules({ userId: subject, lsn: 0, rules: [], withdrawn: [] });
      else setError(words(problem));
    }
  }, [subject]);

  useEffect(() => {
    let timer = 0;
    let stopped = false;
    setRules(null);
    setRows({});
    setHistory(emptyHistory(HISTORY));
    void reload();
    const poll = async () => {
      try {
        const answer = await getRows(subject);
        if (stopped) return;
        setRows(answer.rows);
        onRows.current(answer.rows);
        setHistory((before) => extend(before, Date.now() / 1000, answer.rows));
      } catch (problem) {
        if (!stopped) setError(words(problem));
      }
      if (!stopped) timer = window.setTimeout(poll, Date.now() < busyUntil.current ? BUSY_MS : QUIET_MS);
    };
    void poll();
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, [subject, reload]);

  const hurry = () => (busyUntil.current = Date.now() + BUSY_FOR_MS);
  return { rules, rows, history, error, reload, hurry, onRows };
}

async function follow(lsn: number, clicked_ms: number, update: (change: Partial<Made>) => void): Promise<void> {
  for (;;) {
    const change = await getChange(lsn);
    const total = change.rows_done + change.rows_todo;
    const progress = total > 0 ? `${count(change.rows_done)} of ${count(total)} rows` : "";
    if (change.state === "done") {
      update({ state: "done", progress, done: Date.now() - clicked_ms });
      return;
    }
    update({ state: change.state, progress });
    await new Promise((resolve) => setTimeout(resolve, BUSY_MS));
  }
}

const Step = ({ label, ms }: { label: string; ms: number | null }) => (
  <li class={ms === null ? "open" : "past"}>
    <span class="mark" aria-hidden="true" />
    <span>{label}</span>
    <strong>{ms === null ? "…" : duration(ms)}</strong>
  </li>
);

const MadeChange = ({ made }: { made: Made }) => (
  <div class="made" role="status">
    <p>
      <strong>{made.purpose}</strong> switched {made.on ? "on" : "off"}
      {made.lsn !== null && <span class="muted"> · change {count(made.lsn)}</span>}
      {made.progress !== "" && <span class="muted"> · {made.progress}</span>}
    </p>
    {made.error !== null ? (
      <p class="problem">{made.error}</p>
    ) : (
      <ol class="steps">
        <Step label="acknowledged" ms={made.acknowledged} />
        {!made.on && <Step label="invisible" ms={made.invisible} />}
        <Step label={made.on ? "rows back" : "bytes gone"} ms={made.done} />
      </ol>
    )}
  </div>
);

const RuleItem = ({ rule }: { rule: Rule }) => (
  <li>
    <span class={rule.effect === "deny" ? "tag deny" : "tag"}>{rule.effect ?? "permit"}</span>{" "}
    <strong>{rule.ruleId}</strong>{" "}
    <span class="muted">
      version {rule.version}, change {count(rule.lsn)}
    </span>
    <ul class="conditions">
      {ruleText(rule).map((text) => (
        <li key={text}>{text}</li>
      ))}
    </ul>
  </li>
);

interface SwitchRowProps {
  purpose: string;
  colour: string;
  state: ConsentState | null;
  rows: number;
  busy: boolean;
  onToggle: (on: boolean) => void;
}

function SwitchRow({ purpose, colour, state, rows, busy, onToggle }: SwitchRowProps) {
  const on = state === "on" || state === "limited";
  return (
    <li class="purpose">
      <span class="swatch" style={{ background: `var(${colour})` }} aria-hidden="true" />
      <span class="purpose-name">
        {purpose}
        <small class="muted">{state === null ? "…" : STATES[state]}</small>
      </span>
      <span class="purpose-rows">
        <strong>{count(rows)}</strong> <small class="muted">rows</small>
      </span>
      <button type="button" role="switch" class="switch" aria-checked={on} aria-label={`Consent to ${purpose}`}
        disabled={state === null || busy} onClick={() => onToggle(!on)}>
        <span class="knob" />
      </button>
    </li>
  );
}

function SubjectDetail({ subject, consent }: { subject: string; consent: ConsentStatus }) {
  const { rules, rows, history, error, reload, hurry, onRows } = useSubject(subject);
  const [made, setMade] = useState<Made | null>(null);
  const purposes = consent.purposes;
  const busy = made !== null && made.error === null && made.acknowledged === null;

  // Invisible: the first answer that has no row of the purpose, asked for after the click.
  onRows.current = (now) => {
    setMade((before) =>
      before !== null && !before.on && before.invisible === null && before.acknowledged !== null && (now[before.purpose] ?? 0) === 0
        ? { ...before, invisible: Date.now() - before.clicked_ms }
        : before,
    );
  };

  const toggle = async (purpose: string, on: boolean) => {
    const clicked_ms = Date.now();
    const update = (change: Partial<Made>) =>
      setMade((before) => (before !== null && before.clicked_ms === clicked_ms ? { ...before, ...change } : before));
    setMade({ purpose, on, clicked_ms, lsn: null, acknowledged: null, invisible: null, done: null, state: null, progress: "", error: null });
    hurry();
    try {
      const { lsn } = await (on ? permit(subject, purpose) : withdraw(subject, purpose));
      update({ lsn, acknowledged: Date.now() - clicked_ms });
      await reload();
      await follow(lsn, clicked_ms, update);
      hurry();
    } catch (problem) {
      update({ error: words(problem) });
    }
  };

  return (
    <>
      {error !== null && <p class="problem" role="alert">{error}</p>}
      <div class="subject-grid">
        <div>
          <h3>Consent by purpose</h3>
          <ul class="purposes">
            {purposes.map((purpose) => (
              <SwitchRow key={purpose} purpose={purpose} colour={colourOf(purposes, purpose)} busy={busy}
                state={rules === null ? null : consentOf(rules, purpose)} rows={rows[purpose] ?? 0}
                onToggle={(on) => void toggle(purpose, on)} />
            ))}
          </ul>
          <p class="hint">Off withdraws the purpose. On posts a rule that permits all of it; denies stay.</p>
          {made !== null && <MadeChange made={made} />}
        </div>
        <div>
          <h3>Rows of this subject, now</h3>
          <Chart label={`Rows by purpose: ${purposes.map((name) => `${name} ${rows[name] ?? 0}`).join(", ")}`} times={history.times}
            names={purposes} columns={purposes.map((name) => history.series[name] ?? history.times.map(() => null))}
            colours={purposes.map((name) => colourOf(purposes, name))} height={210} />
        </div>
      </div>
      <h3>Rules</h3>
      {rules === null ? (
        <p class="muted">…</p>
      ) : rules.rules.length === 0 ? (
        <p class="muted">This subject has no rules: nothing of it is served.</p>
      ) : (
        <ul class="rules">
          {rules.rules.map((rule) => (
            <RuleItem key={rule.ruleId} rule={rule} />
          ))}
        </ul>
      )}
      {rules !== null && rules.withdrawn.length > 0 && (
        <p class="hint">
          Withdrawn: {rules.withdrawn.map((one) => `${one.purpose} (change ${count(one.lsn)})`).join(", ")}
        </p>
      )}
    </>
  );
}

const fromHash = () => {
  try {
    return decodeURIComponent(location.hash.replace(/^#subject=/, ""));
  } catch {
    return "";
  }
};

export function Subjects({ consent, samples }: { consent: ConsentStatus; samples: string[] }) {
  const [subject, setSubject] = useState(fromHash);
  const [typed, setTyped] = useState(subject);
  const choose = (id: string) => {
    setTyped(id);
    setSubject(id.trim());
    history.replaceState(null, "", id.trim() === "" ? location.pathname : `#subject=${encodeURIComponent(id.trim())}`);
  };
  const submit = (event: Event) => {
    event.preventDefault();
    choose(typed);
  };
  return (
    <section class="card" aria-labelledby="subjects">
      <h2 id="subjects">Data subject</h2>
      <form class="search" role="search" onSubmit={submit}>
        <label for="subject">{consent.subject_column}</label>
        <input id="subject" list="samples" autocomplete="off" spellcheck={false} value={typed}
          onInput={(event) => setTyped(event.currentTarget.value)} placeholder={samples[0] ?? ""} />
        <datalist id="samples">
          {samples.map((id) => (
            <option key={id} value={id} />
          ))}
        </datalist>
        <button type="submit">Show</button>
      </form>
      {samples.length > 0 && (
        <p class="samples">
          <span class="muted">for example</span>{" "}
          {samples.slice(0, 4).map((id) => (
            <button type="button" key={id} class={id === subject ? "link chosen" : "link"} aria-pressed={id === subject} onClick={() => choose(id)}>
              {id}
            </button>
          ))}
        </p>
      )}
      {subject !== "" && <SubjectDetail key={subject} subject={subject} consent={consent} />}
    </section>
  );
}
