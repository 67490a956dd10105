import { assert, assertEquals } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import { compareBytes } from "../../../../shared/base/key_order.ts";
import { CLIENT_SESSION_KEY_PREFIX } from "../../../../shared/cluster/system_keys.ts";
import { recordKey } from "../../../../node/storage/record.ts";
import type { KeyRequest, Reply } from "../../../../shared/wire/messages.ts";
import { get, NodeCluster, put } from "../../../support/worlds/node_cluster.ts";

const MAX = 3;

interface Options {
  readonly again?: boolean;
  readonly since?: number;
  readonly number?: number;
}

function increment(session: string, { number = 1, ...rest }: Options = {}): KeyRequest {
  return { req_type: "increment", key: "n", session, request_number: number, ...rest };
}

async function startCluster(nodes = 2): Promise<NodeCluster> {
  const cluster = new NodeCluster({ nodes, clientSessionsMax: MAX });
  await cluster.startAll();
  return cluster;
}

/** Uses this many sessions, each knowing what the one before was told. @returns the last version */
async function fill(cluster: NodeCluster, id: string, from: number, count: number) {
  let since = 0;
  for (let i = from; i < from + count; i++) {
    const reply = await cluster.ask(id, increment(`s${i}`, { since }));
    assert(reply.req_type === "result" && reply.version !== undefined, JSON.stringify(reply));
    since = reply.version;
  }
  return since;
}

function told(reply: Reply): unknown {
  if (reply.req_type !== "error") return "result" in reply ? reply.result : reply.req_type;
  const since = (reply.detail as { since?: number } | undefined)?.since;
  return [reply.code, reply.settled ?? false, ...(since === undefined ? [] : [since])];
}

Deno.test("a partition remembers a bounded number of client sessions, and of the others how far back they reach", async () => {
  const cluster = await startCluster();
  await fill(cluster, "n1", 0, 20);
  for (const id of ["n1", "n2"]) {
    assertEquals(cluster.node(id).partition(0)?.store.state.count, 1 + MAX, id);
  }
  assertEquals(cluster.node("n1").stats()["client_sessions"], MAX);
  assertEquals(cluster.node("n1").stats()["client_sessions_evicted"], 20 - MAX);
  // Those that are remembered are answered as they were.
  assertEquals(told(await cluster.ask("n1", increment("s19", { again: true }))), "20");
  // One that was forgotten: nobody can tell.
  const unknown = ["outcome_unknown", true];
  assertEquals(told(await cluster.ask("n1", increment("s0", { again: true }))), unknown);
  // A first attempt by somebody who knows nothing has not happened, and is sent again.
  const refused = told(await cluster.ask("n1", increment("new"))) as unknown[];
  const since = cluster.node("n1").partition(0)?.store.state.commitSeq ?? 0;
  assertEquals(refused, ["session_evicted", false, since]);
  assertEquals(told(await cluster.ask("n1", increment("new", { since }))), "21");
  assertEquals(told(await cluster.ask("n1", get("n"))), "data");
});

Deno.test("what a partition has forgotten is known to the next primary, and after a restart", async () => {
  const cluster = await startCluster();
  const last = await fill(cluster, "n1", 0, 10);
  for (const [i, id] of ["n2", "n1"].entries()) {
    if (id === "n2") {
      cluster.crash("n1");
      cluster.fail("n1");
      await cluster.run(500);
    } else {
      cluster.crash("n2");
      await cluster.start("n2");
      await cluster.run(500);
    }
    assertEquals(cluster.node("n2").stats()["client_sessions"], MAX, `${i}`);
    const unknown = ["outcome_unknown", true];
    assertEquals(told(await cluster.ask("n2", increment("s0", { again: true }))), unknown);
    assertEquals(told(await cluster.ask("n2", increment("s9", { again: true }))), "10");
  }
  // One of which no attempt has come is carried out, as its sender knew enough.
  assertEquals(told(await cluster.ask("n2", increment("s10", { again: true, since: last }))), "11");
});

Deno.test("a late first attempt of a request that was repeated, done and forgotten is not done again", async () => {
  const cluster = await startCluster();
  const since = await fill(cluster, "n1", 0, 5);
  const request = { since, number: 7 };
  assertEquals(told(await cluster.ask("n1", increment("x", { ...request, again: true }))), "6");
  await cluster.ask("n1", increment("y", { since: since + 2 }));
  await fillFrom(cluster, 5);
  const late = told(await cluster.ask("n1", increment("x", request))) as unknown[];
  assertEquals(late[0], "session_evicted");
});

async function fillFrom(cluster: NodeCluster, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const since = cluster.node("n1").partition(0)?.store.state.commitSeq ?? 0;
    await cluster.ask("n1", increment(`z${i}`, { since }));
  }
}

Deno.test("a client session is not evicted before its write is committed: the others wait", async () => {
  const cluster = await startCluster();
  cluster.network.cut("n1", "n2");
  const replies: unknown[] = [];
  for (let i = 0; i <= MAX; i++) {
    cluster.node("n1").execute(increment(`s${i}`), (reply) => replies.push(told(reply)));
  }
  assertEquals(replies, [["overloaded", false]]);
  // A refusal that is to be remembered needs room as well.
  const create = { ...put("n", "x"), req_type: "create", session: "r", request_number: 1 };
  const repeated = { ...create, again: true } as KeyRequest;
  cluster.node("n1").execute(repeated, (reply) => replies.push(told(reply)));
  assertEquals(replies.length, 2);
  cluster.fail("n2");
  await cluster.run(500);
  assertEquals(replies.slice(2), ["1", "2", "3"]);
  const since = cluster.node("n1").partition(0)?.store.state.commitSeq ?? 0;
  assertEquals(told(await cluster.ask("n1", increment("s3", { since }))), "4");
});

Deno.test("a transaction's client session takes another's place in the same group", async () => {
  const cluster = await startCluster();
  const since = await fill(cluster, "n1", 0, MAX);
  const transaction = (options: object) =>
    cluster.ask("n1", {
      req_type: "transaction",
      key: "n",
      requests: [put("a", "1"), { req_type: "increment", key: "n" }],
      session: "t",
      request_number: 1,
      ...options,
    } as KeyRequest);
  const reply = await transaction({ since });
  assert(reply.req_type === "result");
  // Two writes, the session's entry, and another's deletion.
  assertEquals(cluster.node("n2").partition(0)?.store.state.lastSeq, since + 5);
  assertEquals(await transaction({ since, again: true }), reply);
  assertEquals(told(await cluster.ask("n1", increment("s0", { again: true }))), [
    "outcome_unknown",
    true,
  ]);
});

Deno.test("sessions that cannot be read at first are waited for, and count as evicted if they never can", async () => {
  for (const code of ["storage_failed", "corrupt"] as const) {
    const cluster = await startCluster(1);
    const since = await fill(cluster, "n1", 0, MAX);
    cluster.crash("n1");
    const { storage } = cluster.host("n1");
    const range = storage.range.bind(storage);
    const sessions = recordKey(0, CLIENT_SESSION_KEY_PREFIX);
    let failures = code === "corrupt" ? Infinity : 1;
    storage.range = (wanted) => {
      const isSessions = wanted.from[0] === 0 && compareBytes(wanted.from, sessions) >= 0;
      if (!isSessions || failures-- <= 0) return range(wanted);
      return Promise.reject(new KvError(code, "as the test says"));
    };
    await cluster.start("n1");
    await cluster.run(5_000);
    const repeated = told(await cluster.ask("n1", increment("s0", { again: true })));
    const unseen = told(await cluster.ask("n1", increment("x", { again: true, since: since - 1 })));
    // Its own entry is found all the same; of one that is not there nobody can tell.
    assertEquals(repeated, "1", code);
    assertEquals(unseen, code === "corrupt" ? ["outcome_unknown", true] : String(MAX + 1), code);
    const first = told(await cluster.ask("n1", increment("y", { since: since + 9 })));
    assertEquals(first, String(code === "corrupt" ? MAX + 1 : MAX + 2), code);
  }
});
