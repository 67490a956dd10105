/**
 * All reads that waited for a confirmation ran in the turn in which it came, and likewise all requests when
 * a partition was served again, or a write of their key committed. Of long values each read takes some
 * 100 ms, so that a stall made a longer one; and reads ran for connections that had been closed.
 */
import { assert, assertEquals } from "@std/assert";
import { WORK_SLICE_STEPS } from "../../shared/limits/requests.ts";
import { type Called, CALLER } from "../../shared/wire/caller.ts";
import type { KeyRequest, Reply } from "../../shared/wire/messages.ts";
import { errorReply } from "../../shared/operations/operation.ts";
import { get, NodeCluster, put } from "../support/worlds/node_cluster.ts";

const MANY = 4 * WORK_SLICE_STEPS;
const TIMEOUT = { timeout_ms: 60_000 };

/** Two nodes, of which the first has no lease, and the second confirms nothing until the cut is healed. */
async function startUnconfirmed(): Promise<NodeCluster> {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  await cluster.ask("n1", put("k", "0"));
  cluster.coordinatorUp = false;
  cluster.network.cut("n1", "n2");
  await cluster.run(3_000);
  return cluster;
}

/** Counts replies by their codes, and the most in one turn of the event loop. */
function counter(cluster: NodeCluster) {
  const counts = { inTurn: 0, mostInTurn: 0 };
  const codes: Record<string, number> = {};
  const reply = (reply: Reply) => {
    const code = reply.req_type === "error" ? reply.code : reply.req_type;
    codes[code] = (codes[code] ?? 0) + 1;
    // A timer fires in the next turn.
    if (counts.inTurn++ === 0) cluster.clock.setTimer(0, () => counts.inTurn = 0);
    counts.mostInTurn = Math.max(counts.mostInTurn, counts.inTurn);
  };
  return { counts, codes, reply };
}

function ask(cluster: NodeCluster, request: KeyRequest & Called, reply: (reply: Reply) => void) {
  cluster.node("n1").execute({ ...request, ...TIMEOUT } as KeyRequest, reply);
}

Deno.test("reads that are confirmed together run in several turns", async () => {
  const cluster = await startUnconfirmed();
  const { counts, codes, reply } = counter(cluster);
  for (let i = 0; i < MANY; i++) ask(cluster, get("k"), reply);
  cluster.network.heal("n1", "n2");
  await cluster.run(3_000);
  assertEquals(codes, { data: MANY });
  assert(counts.mostInTurn <= WORK_SLICE_STEPS, `${counts.mostInTurn}`);
});

Deno.test("reads that are confirmed and have not run are refused when the node stops being primary", async () => {
  const cluster = await startUnconfirmed();
  const { codes, reply } = counter(cluster);
  const primary = cluster.node("n1").partition(0)?.primary;
  let first = true;
  for (let i = 0; i < MANY; i++) {
    ask(cluster, get("k"), (answer) => {
      reply(answer);
      if (!first) return;
      first = false;
      primary?.stepDown(errorReply("not_primary", "another one is"));
    });
  }
  cluster.network.heal("n1", "n2");
  await cluster.run(3_000);
  assertEquals(codes, { data: 1, not_primary: MANY - 1 });
  assertEquals(primary?.waitingCount, 0);
});

Deno.test("a closed connection's reads are not carried out, and who asks little does not wait for who asks much", async () => {
  const cluster = await startUnconfirmed();
  const { codes, reply } = counter(cluster);
  const [gone, many, few] = [{ closed: false, heavy: false }, { closed: false, heavy: false }, {
    closed: false,
    heavy: false,
  }];
  for (let i = 0; i < MANY; i++) ask(cluster, { ...get("k"), [CALLER]: gone }, reply);
  for (let i = 0; i < MANY; i++) ask(cluster, { ...get("k"), [CALLER]: many }, reply);
  const before: number[] = [];
  ask(cluster, { ...get("k"), [CALLER]: few }, () => before.push(codes["data"] ?? 0));
  gone.closed = true;
  cluster.network.heal("n1", "n2");
  await cluster.run(3_000);
  // The deadline is a minute away: they were dropped for their caller's sake.
  assertEquals(codes, { timeout: MANY, data: MANY });
  assert((before[0] ?? MANY) <= 2, `${before}`);
});

Deno.test("requests that waited for a partition go on in several turns, each caller's in order", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  await cluster.ask("n1", put("k", "0"));
  const primary = cluster.node("n1").partition(0)?.primary;
  cluster.coordinatorUp = false;
  primary?.drain(1, "n2");
  assertEquals(primary?.phase, "drained");
  const caller = { closed: false, heavy: false };
  const { counts, codes, reply } = counter(cluster);
  for (let i = 0; i < MANY; i++) ask(cluster, { ...get("none"), [CALLER]: caller }, reply);
  const values: unknown[] = [];
  ask(cluster, { ...put("k", "1"), [CALLER]: caller }, (answer) => {
    values.push(answer.req_type);
  });
  let asked = false;
  const late = () => {
    if (primary?.phase !== "serving") return cluster.clock.setTimer(1, late);
    // It is served, and its caller's earlier requests have not all run.
    asked = (primary?.waitingCount ?? 0) > 0;
    ask(cluster, { ...get("k"), [CALLER]: caller }, (answer) => {
      values.push(answer.req_type === "data" ? answer.version : answer.req_type);
    });
  };
  late();
  await cluster.run(3_000);
  assertEquals(codes, { not_found: MANY });
  assert(counts.mostInTurn <= WORK_SLICE_STEPS, `${counts.mostInTurn}`);
  assertEquals(values, ["ack", 2]);
  assert(asked);
});
