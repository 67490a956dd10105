/** @jsxImportSource preact */
/// <reference lib="dom" />
/** The cluster at a glance: what is wrong, how much it does, and who holds what. @module */
import type { ProcessFigures } from "../shared/metrics/figures.ts";
import type { ConsoleSnapshot, NodeView } from "../shared/console/snapshot.ts";
import { Chart, type Line, Swatch } from "./chart.tsx";
import { colorOf } from "./colors.ts";
import { bytes, count, date, milliseconds, percent } from "./format.ts";
import type { History } from "./history.ts";
import { Partitions } from "./partitions.tsx";

const CHARTS: readonly {
  title: string;
  format: (value: number | undefined) => string;
  value: (figures: ProcessFigures) => number | undefined;
}[] = [
  { title: "Requests per second", format: count, value: (of) => of.requestsPerSecond },
  { title: "Latency, 99 of 100", format: milliseconds, value: (of) => of.p99Ms },
  { title: "Processor", format: percent, value: (of) => of.processor },
  { title: "Memory", format: bytes, value: (of) => of.memoryBytes },
  { title: "Disk: a batch, 99 of 100", format: milliseconds, value: (of) => of.commitP99Ms },
  { title: "Disk: free", format: bytes, value: (of) => of.diskFreeBytes },
];

export function Overview({ snapshot, history, theme }: {
  snapshot: ConsoleSnapshot;
  history: History;
  theme: string;
}) {
  const { nodes, facts } = snapshot;
  const lines = (value: (node: NodeView) => number | undefined): Line[] =>
    nodes.map(({ id, address }, i) => ({
      label: address,
      color: colorOf(i),
      values: history.of(id, value),
    }));
  const times = history.times();
  const disks = nodes.flatMap(({ figures }) =>
    figures?.diskFreeBytes === undefined || figures.diskSizeBytes === undefined
      ? []
      : [figures.diskFreeBytes / figures.diskSizeBytes]
  );
  const last = <T,>(values: T[]) => values.at(-1);
  const known = (value: number | null | undefined) => value ?? undefined;
  return (
    <>
      <Alerts snapshot={snapshot} />
      <section class="tiles" aria-label="Totals">
        <Tile
          name="requests/s"
          value={count(known(last(history.sum((f) => f.requestsPerSecond))))}
        />
        <Tile
          name="failing/s"
          value={count(known(last(history.sum((f) => f.failuresPerSecond))))}
        />
        <Tile
          name="entries in all replicas"
          value={count(sumOf(nodes, (node) => node.figures?.keys))}
        />
        <Tile name="connections" value={count(sumOf(nodes, (node) => node.figures?.connections))} />
        <Tile
          name="client sessions"
          value={count(sumOf(nodes, (node) => node.figures?.clientSessions))}
        />
        <Tile name="memory" value={bytes(sumOf(nodes, (node) => node.figures?.memoryBytes))} />
        <Tile
          name="least disk free"
          value={percent(disks.length === 0 ? undefined : Math.min(...disks))}
        />
        <Tile name="being moved" value={count(facts.moves + facts.handovers)} />
      </section>
      <section class="charts" aria-label="Charts">
        {CHARTS.map(({ title, format, value }) => (
          <Chart
            key={title}
            title={title}
            times={times}
            format={format}
            lines={lines(({ figures }) => figures && value(figures))}
            theme={theme}
          />
        ))}
      </section>
      <Nodes snapshot={snapshot} />
      <Coordinators snapshot={snapshot} />
      <Partitions snapshot={snapshot} />
      <Databases snapshot={snapshot} />
      <Operations snapshot={snapshot} />
    </>
  );
}

function sumOf(
  nodes: readonly NodeView[],
  value: (node: NodeView) => number | undefined,
): number | undefined {
  let sum: number | undefined;
  for (const node of nodes) {
    const one = value(node);
    if (one !== undefined) sum = (sum ?? 0) + one;
  }
  return sum;
}

function Tile({ name, value }: { name: string; value: string }) {
  return (
    <div class="tile">
      <b>{value}</b>
      <span>{name}</span>
    </div>
  );
}

function Alerts({ snapshot }: { snapshot: ConsoleSnapshot }) {
  const { alerts, health } = snapshot;
  // Health has reasons that no alert has, such as a cluster that is not laid out yet.
  const reasons = alerts.length === 0 ? health.reasons : [];
  return (
    <section aria-label="Alerts" aria-live="polite" class="alerts">
      {alerts.map(({ name, severity, text, todo }) => (
        <article class={`alert ${severity}`} key={`${name}${text}`}>
          <span class="mark" aria-hidden="true">{severity === "critical" ? "✕" : "!"}</span>
          <div>
            <b>{text}</b>
            <p>{todo}</p>
          </div>
          <code>{name}</code>
        </article>
      ))}
      {reasons.map((reason) => (
        <article class="alert warning" key={reason}>
          <span class="mark" aria-hidden="true">!</span>
          <div>
            <b>{reason}</b>
          </div>
        </article>
      ))}
      {alerts.length === 0 && reasons.length === 0 && (
        <article class="alert good">
          <span class="mark" aria-hidden="true">✓</span>
          <div>
            <b>All is well: every partition is served, and has all of its replicas.</b>
          </div>
        </article>
      )}
    </section>
  );
}

function Nodes({ snapshot }: { snapshot: ConsoleSnapshot }) {
  const { nodes, coordinators } = snapshot;
  const list = coordinators?.list ?? [];
  return (
    <section aria-label="Processes">
      <h2>Processes</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Processes, a wide table">
        <table>
          <thead>
            <tr>
              <th>process</th>
              <th>state</th>
              <th class="n">primary of</th>
              <th class="n">follows</th>
              <th class="n">filling</th>
              <th class="n">req/s</th>
              <th class="n">p50</th>
              <th class="n">p99</th>
              <th class="n">not on followers' disks</th>
              <th class="n">disk batch p99</th>
              <th class="n">loop late p99</th>
              <th class="n">processor</th>
              <th class="n">memory</th>
              <th class="n">database</th>
              <th class="n">disk free</th>
              <th class="n">connections</th>
            </tr>
          </thead>
          <tbody>
            {nodes.map((node, i) => <NodeRow key={node.id} node={node} color={colorOf(i)} />)}
            {list.map(({ id, address, figures }) => (
              <tr key={`coordinator ${id}`}>
                <th scope="row">
                  {list.length > 1
                    ? (
                      <>
                        coordinator {id} <small>{address}</small>
                      </>
                    )
                    : "coordinator"}
                </th>
                <td>
                  <State state="up" figures={figures} />
                </td>
                <td class="n" colSpan={3} />
                <td class="n">{count(figures?.requestsPerSecond)}</td>
                <td class="n">{milliseconds(figures?.p50Ms)}</td>
                <td class="n">{milliseconds(figures?.p99Ms)}</td>
                <td colSpan={2} />
                <td class="n">{milliseconds(figures?.loopDelayP99Ms)}</td>
                <td class="n">{percent(figures?.processor)}</td>
                <td class="n">{bytes(figures?.memoryBytes)}</td>
                <td colSpan={2} />
                <td class="n">{count(figures?.connections)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Coordinators({ snapshot: { coordinators } }: { snapshot: ConsoleSnapshot }) {
  if (coordinators === undefined || coordinators.list.length < 2) return null;
  const { list, needed } = coordinators;
  return (
    <section aria-label="Coordinators">
      <h2>Coordinators</h2>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>coordinator</th>
              <th>role</th>
              <th class="n">changes behind</th>
              <th class="n">heard of by the active one</th>
              <th>active since</th>
            </tr>
          </thead>
          <tbody>
            {list.map(({ id, address, role, behind, silentMs, activeSinceMs }) => (
              <tr key={id}>
                <th scope="row">
                  {id} <small>{address}</small>
                </th>
                <td>{role ?? "not known"}</td>
                <td class="n">{count(behind)}</td>
                <td class="n">
                  {role === "active" || silentMs === undefined
                    ? ""
                    : `${milliseconds(silentMs)} ago`}
                </td>
                <td>{activeSinceMs === undefined ? "" : date(activeSinceMs)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {needed !== undefined && (
        <p>
          {needed}{" "}
          of them have to be there so that one can act. Without one, data is served and nothing
          takes over from nodes that die.
        </p>
      )}
    </section>
  );
}

function NodeRow({ node, color }: { node: NodeView; color: string }) {
  const { id, address, state, zone, figures, primaries, followers, learners } = node;
  const started = figures?.startedMs;
  return (
    <tr>
      <th
        scope="row"
        title={`zone ${zone}${started === undefined ? "" : `, since ${date(started)}`}`}
      >
        <Swatch color={color} /> {address} <small>{id}</small>
      </th>
      <td>
        <State state={state} figures={figures} />
      </td>
      <td class="n">{primaries}</td>
      <td class="n">{followers}</td>
      <td class="n">{learners}</td>
      <td class="n">{count(figures?.requestsPerSecond)}</td>
      <td class="n">{milliseconds(figures?.p50Ms)}</td>
      <td class="n">{milliseconds(figures?.p99Ms)}</td>
      <td class="n">{count(figures?.lagWrites)}</td>
      <td class="n">{milliseconds(figures?.commitP99Ms)}</td>
      <td class="n">{milliseconds(figures?.loopDelayP99Ms)}</td>
      <td class="n">{percent(figures?.processor)}</td>
      <td class="n">{bytes(figures?.memoryBytes)}</td>
      <td class="n">{bytes(figures?.databaseBytes)}</td>
      <td class="n">{bytes(figures?.diskFreeBytes)}</td>
      <td class="n">{count(figures?.connections)}</td>
    </tr>
  );
}

function State({ state, figures }: { state: string; figures: NodeView["figures"] }) {
  const isSilent = state !== "down" && figures === undefined;
  const health = isSilent ? "no answer" : state === "up" ? figures?.health ?? state : state;
  const kind = health === "ok"
    ? "good"
    : health === "degraded" || health === "leaving"
    ? "warning"
    : "critical";
  return <span class={`state ${kind}`}>{health}</span>;
}

function Databases({ snapshot: { databases } }: { snapshot: ConsoleSnapshot }) {
  if (databases.length === 0) return null;
  const beside = (text: string, max: string) => max === "" ? text : `${text} of ${max}`;
  return (
    <section aria-label="Databases">
      <h2>Databases</h2>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">database</th>
              <th scope="col">placement</th>
              <th scope="col" class="n">keys</th>
              <th scope="col" class="n">of these expire</th>
              <th scope="col" class="n">bytes</th>
            </tr>
          </thead>
          <tbody>
            {databases.map((
              { name, placement, keys, expiring, bytes: size, maxKeys, maxBytes },
            ) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td>{placement ?? ""}</td>
                <td class="n">
                  {beside(count(keys), maxKeys === undefined ? "" : count(maxKeys))}
                </td>
                <td class="n">{count(expiring)}</td>
                <td class="n">
                  {beside(bytes(size), maxBytes === undefined ? "" : bytes(maxBytes))}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p>The keys of the database default are not counted here.</p>
    </section>
  );
}

function Operations({ snapshot: { operations } }: { snapshot: ConsoleSnapshot }) {
  if (operations.length === 0) return null;
  const most = Math.max(...operations.map(({ perSecond }) => perSecond));
  return (
    <section aria-label="Operations">
      <h2>What is asked</h2>
      <div class="scroll">
        <table class="operations">
          <thead>
            <tr>
              <th>operation</th>
              <th>front end</th>
              <th class="n">per second</th>
              <th />
              <th class="n">p50</th>
              <th class="n">p99</th>
            </tr>
          </thead>
          <tbody>
            {operations.map(({ frontEnd, operation, perSecond, p50Ms, p99Ms }) => (
              <tr key={`${frontEnd} ${operation}`}>
                <th scope="row">
                  <code>{operation}</code>
                </th>
                <td>{frontEnd}</td>
                <td class="n">{count(perSecond)}</td>
                <td class="bar">
                  <meter min={0} max={most} value={perSecond} aria-label={`${operation}: share`} />
                </td>
                <td class="n">{milliseconds(p50Ms)}</td>
                <td class="n">{milliseconds(p99Ms)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
