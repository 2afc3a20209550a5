// The page: header, numbers, charts, a data subject's consent, tables and streams. Everything is asked again each second.
import { useEffect, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { ApiError, getStatus, hasToken, setToken, wordsOf } from "./api.js";
import type { Status } from "./api.js";
import { Chart, colourOf, Legend } from "./chart.js";
import { age, bytes, compact, count, extend, stateOf, sum } from "./model.js";
import type { History } from "./model.js";
import { Subjects } from "./subject.js";

const POLL_MS = 1000;
const HIDDEN_POLL_MS = 5000;
const RATE = "events per second";

interface Live {
  status: Status | null;
  seen: Date | null; // when that status came
  problem: string | null;
  refused: number | null; // 401 or 403: a token is needed, or another one
  rate: History;
  purposes: History;
}

function useLive(): Live {
  const [live, setLive] = useState<Live>({ status: null, seen: null, problem: null, refused: null, rate: [], purposes: [] });
  useEffect(() => {
    let timer = 0;
    const poll = async () => {
      try {
        const status = await getStatus();
        const seen = new Date();
        const time = seen.getTime() / 1000;
        const rows = Object.fromEntries(status.purposes.map((purpose) => [purpose.name, purpose.rows]));
        setLive((before) => ({
          status,
          seen,
          problem: null,
          refused: null,
          rate: extend(before.rate, time, { [RATE]: status.events.per_second }),
          purposes: extend(before.purposes, time, rows),
        }));
      } catch (problem) {
        const refused = problem instanceof ApiError && (problem.status === 401 || problem.status === 403) ? problem.status : null;
        setLive((before) => ({ ...before, problem: wordsOf(problem), refused }));
      }
      timer = window.setTimeout(poll, document.hidden ? HIDDEN_POLL_MS : POLL_MS);
    };
    void poll();
    return () => clearTimeout(timer);
  }, []);
  return live;
}

const Figure = ({ label, value }: { label: string; value: number }) => (
  <div class="number">
    <dt>{label}</dt>
    <dd>{compact(value)}</dd>
  </div>
);

const Numbers = ({ status }: { status: Status }) => (
  <dl class="numbers">
    <Figure label="events accepted" value={sum(status.streams, (stream) => stream.accepted)} />
    <Figure label="dead letters" value={sum(status.streams, (stream) => stream.rejected)} />
    <Figure label="rows served" value={sum(status.purposes, (purpose) => purpose.rows)} />
    <Figure label="data files" value={sum(status.tables, (table) => table.files)} />
    <Figure label="snapshots" value={sum(status.tables, (table) => table.snapshots)} />
    {status.consent !== null && <Figure label="consent changes" value={status.consent.lsn} />}
  </dl>
);

function Charts({ status, rate, purposes }: { status: Status; rate: History; purposes: History }) {
  const names = status.purposes.map((purpose) => purpose.name);
  const colours = names.map((name) => colourOf(names, name));
  const perSecond = status.events.per_second;
  const backlog = sum(status.streams, (stream) => stream.backlog);
  return (
    <div class="charts">
      <section class="card" aria-labelledby="rate">
        <h2 id="rate">
          Events per second <strong>{count(perSecond)}</strong>
        </h2>
        <Chart label={`Events per second, now ${count(perSecond)}`} history={rate} names={[RATE]} colours={["var(--accent)"]} />
        <p class="hint">
          {status.events.total > 0 ? `${count(status.events.total)} acknowledged` : "Nothing has come in"} since this server began
          {backlog > 0 && ` · ${count(backlog)} on their way into tables`}
        </p>
      </section>
      {names.length > 0 && (
        <section class="card" aria-labelledby="rows">
          <h2 id="rows">
            Rows served, by purpose <strong>{compact(sum(status.purposes, (purpose) => purpose.rows))}</strong>
          </h2>
          <Chart label={`Rows by purpose: ${status.purposes.map((one) => `${one.name} ${count(one.rows)}`).join(", ")}`}
            history={purposes} names={names} colours={colours} />
          <Legend items={status.purposes.map((one) => ({ name: one.name, value: one.rows, colour: colourOf(names, one.name) }))} />
        </section>
      )}
    </div>
  );
}

// Lines may end behind a dot, where a narrow screen needs it.
const breakable = (name: string) => name.split(/(?<=\.)/).flatMap((piece, at) => (at === 0 ? [piece] : [<wbr />, piece]));

interface GridProps {
  caption: string;
  columns: string[];
  rows: { name: string; cells: ComponentChildren[] }[];
}

// A table of numbers. Where it is wider than the page it scrolls on its own, by keyboard too.
const Grid = ({ caption, columns, rows }: GridProps) => (
  <div class="scroll" tabIndex={0} role="region" aria-label={caption}>
    <table>
      <thead>
        <tr>
          <th scope="col">{caption}</th>
          {columns.map((column) => <th key={column} scope="col">{column}</th>)}
        </tr>
      </thead>
      <tbody>
        {rows.map(({ name, cells }) => (
          <tr key={name}>
            <th scope="row">{breakable(name)}</th>
            {cells.map((cell, at) => <td key={columns[at]}>{cell}</td>)}
          </tr>
        ))}
      </tbody>
    </table>
  </div>
);

const Tables = ({ status }: { status: Status }) => (
  <section class="card" aria-labelledby="tables">
    <h2 id="tables">Tables and streams</h2>
    <Grid caption="Table" columns={["rows", "files", "size", "snapshots"]}
      rows={status.tables.map(({ name, rows, files, bytes: size, snapshots }) => ({
        name, cells: [count(rows), count(files), bytes(size), count(snapshots)],
      }))} />
    <Grid caption="Stream" columns={["accepted", "repeats", "late", "rejected"]}
      rows={status.streams.map(({ name, accepted, duplicates, late, rejected }) => ({
        name, cells: [count(accepted), count(duplicates), count(late), count(rejected)],
      }))} />
  </section>
);

function TokenForm({ refused }: { refused: number }) {
  const [token, change] = useState("");
  const [given, give] = useState(hasToken);
  const submit = (event: Event) => {
    event.preventDefault();
    setToken(token.trim());
    give(token.trim() !== "");
  };
  return (
    <section class="card" aria-labelledby="needed">
      <h2 id="needed">A token is needed</h2>
      <p class="muted">This address is not the machine's own. Give an operator's token; it is kept until this tab is closed.</p>
      {given && (
        <p class="problem">
          {refused === 401 ? "This token is not known, or it was revoked." : "This token's role may not see this: it must be operator."}
        </p>
      )}
      <form class="search" onSubmit={submit}>
        <label for="token">token</label>
        <input id="token" type="password" required autocomplete="off" value={token}
          onInput={(event) => change(event.currentTarget.value)} />
        <button type="submit">Use it</button>
      </form>
    </section>
  );
}

// The address is the chosen subject's, so a link to the content moves the focus alone.
function skip(event: Event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

export function App() {
  const { status, seen, problem, refused, rate, purposes } = useLive();
  const state = stateOf(status, problem);
  useEffect(() => {
    if (status !== null) document.title = `${status.name} · weir`;
  }, [status?.name]);
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <header>
        <h1>
          <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
            <rect width="32" height="32" rx="7" fill="var(--accent)" />
            <path d="M5 12q5.500-5 11 0t11 0M5 21q5.500-5 11 0t11 0" fill="none" stroke="var(--card)" stroke-width="3" stroke-linecap="round" />
          </svg>
          {status?.name ?? "weir"}
        </h1>
        <p class={`state ${state.tone}`}>
          <span class="dot" aria-hidden="true" />
          {state.word}
        </p>
        {status !== null && (
          <p class="muted about">
            weir {status.version} · up {age(status.uptime_s)}
          </p>
        )}
      </header>
      <main id="main" tabIndex={-1}>
        {refused !== null ? <TokenForm refused={refused} /> : problem !== null && (
          <p class="card problem" role="alert">
            Nothing new: {problem}. This page asks again each second.
            {seen !== null && ` What it shows is of ${seen.toLocaleTimeString("en-GB")}.`}
          </p>
        )}
        {status !== null && (
          <>
            <Numbers status={status} />
            <Charts status={status} rate={rate} purposes={purposes} />
            {status.consent !== null && <Subjects status={status} consent={status.consent} />}
            <Tables status={status} />
          </>
        )}
      </main>
    </>
  );
}
