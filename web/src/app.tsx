// The page: header, numbers, charts, the data subject's panel, tables. Everything is asked again each second.
import { useEffect, useState } from "preact/hooks";
import { ApiError, getStatus, setToken } from "./api.js";
import type { Status, StreamStatus, TableStatus } from "./api.js";
import { Chart, colourOf, Legend } from "./chart.js";
import { backlogOf, bytes, compact, count, duration, emptyHistory, extend, filesOf, stack, stateOf } from "./model.js";
import type { History } from "./model.js";
import { Subjects } from "./subject.js";

const POLL_MS = 1000;
const HIDDEN_POLL_MS = 5000;
const HISTORY = 180;

interface Live {
  status: Status | null;
  error: string | null;
  needsToken: boolean;
  rate: History;
  purposes: History;
}

function useStatus(): Live {
  const [live, setLive] = useState<Live>({
    status: null, error: null, needsToken: false, rate: emptyHistory(HISTORY), purposes: emptyHistory(HISTORY),
  });
  useEffect(() => {
    let timer = 0;
    const poll = async () => {
      try {
        const status = await getStatus();
        const time = Date.now() / 1000;
        const rows = Object.fromEntries(status.purposes.map((purpose) => [purpose.name, purpose.rows]));
        setLive((before) => ({
          status,
          error: null,
          needsToken: false,
          rate: extend(before.rate, time, { "events per second": status.events.per_second }),
          purposes: extend(before.purposes, time, rows),
        }));
      } catch (problem) {
        const needsToken = problem instanceof ApiError && (problem.status === 401 || problem.status === 403);
        const error = needsToken ? "needs a token" : problem instanceof ApiError ? problem.message : "not reachable";
        setLive((before) => ({ ...before, error, needsToken }));
      }
      timer = window.setTimeout(poll, document.hidden ? HIDDEN_POLL_MS : POLL_MS);
    };
    void poll();
    return () => clearTimeout(timer);
  }, []);
  return live;
}

const Figure = ({ label, value, title }: { label: string; value: number; title: string }) => (
  <div class="number" title={title}>
    <dt>{label}</dt>
    <dd>{compact(value)}</dd>
  </div>
);

const Numbers = ({ status }: { status: Status }) => (
  <dl class="numbers" aria-label="Numbers">
    <Figure label="events" value={status.events.total} title="acknowledged since the lake began" />
    <Figure label="per second" value={status.events.per_second} title="acknowledged within the last second" />
    <Figure label="backlog" value={backlogOf(status)} title="events in the log that no table has yet" />
    <Figure label="files" value={filesOf(status)} title="data files of all tables" />
    {status.consent !== null && (
      <>
        <Figure label="consent lsn" value={status.consent.lsn} title="the consent log's newest number" />
        <Figure label="fence entries" value={status.consent.fence} title="pairs of subject and purpose that reads leave out" />
        <Figure label="open tasks" value={status.consent.tasks_open} title="re-indexing that is not done" />
        <Figure label="to re-index" value={status.consent.backlog_rows} title="rows that open tasks have still to do" />
      </>
    )}
  </dl>
);

const Streams = ({ streams }: { streams: StreamStatus[] }) => (
  <div class="scroll">
    <table>
      <thead>
        <tr>
          <th scope="col">Stream</th>
          <th scope="col">accepted</th>
          <th scope="col">repeats</th>
          <th scope="col">late</th>
          <th scope="col">rejected</th>
          <th scope="col">backlog</th>
        </tr>
      </thead>
      <tbody>
        {streams.map((stream) => (
          <tr key={stream.name}>
            <th scope="row">{stream.name}</th>
            <td>{count(stream.accepted)}</td>
            <td>{count(stream.duplicates)}</td>
            <td>{count(stream.late)}</td>
            <td>{count(stream.rejected)}</td>
            <td>{count(stream.backlog)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  </div>
);

const Tables = ({ tables }: { tables: TableStatus[] }) => (
  <div class="scroll">
    <table>
      <thead>
        <tr>
          <th scope="col">Table</th>
          <th scope="col">rows</th>
          <th scope="col">files</th>
          <th scope="col">size</th>
          <th scope="col">snapshots</th>
        </tr>
      </thead>
      <tbody>
        {tables.map((table) => (
          <tr key={table.name}>
            <th scope="row">{table.name}</th>
            <td>{count(table.rows)}</td>
            <td>{count(table.files)}</td>
            <td>{bytes(table.bytes)}</td>
            <td>{count(table.snapshots)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  </div>
);

function TokenForm() {
  const [token, change] = useState("");
  const submit = (event: Event) => {
    event.preventDefault();
    setToken(token.trim());
  };
  return (
    <section class="card">
      <h2>A token is needed</h2>
      <p class="muted">This address is not the machine's own. Give an operator's token; it is kept until this tab is closed.</p>
      <form class="search" onSubmit={submit}>
        <label for="token">token</label>
        <input id="token" type="password" autocomplete="off" value={token} onInput={(event) => change(event.currentTarget.value)} />
        <button type="submit">Use it</button>
      </form>
    </section>
  );
}

function Charts({ status, rate, purposes }: { status: Status; rate: History; purposes: History }) {
  const names = status.purposes.map((purpose) => purpose.name);
  const perSecond = status.events.per_second;
  return (
    <div class="charts">
      <section class="card" aria-labelledby="rate">
        <h2 id="rate">Events per second</h2>
        <Chart label={`Events per second, now ${count(perSecond)}`} times={rate.times} names={["events per second"]}
          columns={[rate.series["events per second"] ?? []]} colours={["--accent"]} />
        <Legend items={[{ name: "acknowledged", value: compact(perSecond), colour: "--accent" }]} />
      </section>
      {names.length > 0 && (
        <section class="card" aria-labelledby="rows">
          <h2 id="rows">Rows served, by purpose</h2>
          <Chart label={`Rows by purpose: ${status.purposes.map((one) => `${one.name} ${one.rows}`).join(", ")}`} stacked
            times={purposes.times} names={names} columns={stack(purposes, names)} colours={names.map((name) => colourOf(names, name))} />
          <Legend items={status.purposes.map((one) => ({ name: one.name, value: compact(one.rows), colour: colourOf(names, one.name) }))} />
        </section>
      )}
    </div>
  );
}

export function App() {
  const { status, error, needsToken, rate, purposes } = useStatus();
  const state = stateOf(status, error);
  useEffect(() => {
    if (status !== null) document.title = `${status.name} · weir`;
  }, [status?.name]);
  return (
    <>
      <a class="skip" href="#main">Skip to the content</a>
      <header>
        <h1>
          <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
            <rect width="32" height="32" rx="7" fill="var(--accent)" />
            <path d="M5 12q5.500-5 11 0t11 0M5 21q5.500-5 11 0t11 0" fill="none" stroke="var(--card)" stroke-width="3" stroke-linecap="round" />
          </svg>
          {status?.name ?? "weir"}
        </h1>
        <p class={`state ${state.tone}`} role="status">
          <span class="dot" aria-hidden="true" />
          {state.word}
        </p>
        {status !== null && (
          <p class="muted about">
            weir {status.version} · up {duration(status.uptime_s * 1000)}
          </p>
        )}
      </header>
      <main id="main" tabIndex={-1}>
        {needsToken && <TokenForm />}
        {status !== null && (
          <>
            <Numbers status={status} />
            <Charts status={status} rate={rate} purposes={purposes} />
            {status.consent !== null && <Subjects consent={status.consent} samples={status.subjects} />}
            <section class="card" aria-labelledby="tables">
              <h2 id="tables">Tables and streams</h2>
              <Tables tables={status.tables} />
              <Streams streams={status.streams} />
            </section>
          </>
        )}
      </main>
    </>
  );
}
