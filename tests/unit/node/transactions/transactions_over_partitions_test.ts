/** Transactions over several partitions, on real node cores. The rules are in docs/transactions.md. */
import { assert, assertEquals } from "@std/assert";
import type { Entry } from "../../../../shared/base/entry.ts";
import {
  FINISH_MS,
  INTENT_QUIET_MS,
  STATUS_QUESTIONS_MAX,
  STATUS_REPEAT_MS,
  TRANSACTION_REPLY_BYTES_MAX,
} from "../../../../shared/limits/requests.ts";
import { PartitionSet } from "../../../../shared/cluster/partition_set.ts";
import { fromWireEntry, toWireEntry } from "../../../../shared/schema/value_codec.ts";
import { MetricSet } from "../../../../shared/metrics/metric_set.ts";
import { partitionOf } from "../../../../shared/cluster/position.ts";
import type { Message, PlainRequest, Reply } from "../../../../shared/wire/messages.ts";
import { wireForm } from "../../../../shared/wire/wire_form.ts";
import { get, NodeCluster, put } from "../../../support/worlds/node_cluster.ts";

const PARTITIONS = 4;

async function startCluster(nodes: number, options = {}): Promise<NodeCluster> {
  const cluster = new NodeCluster({ nodes, partitions: PARTITIONS, ...options });
  await cluster.startAll();
  return cluster;
}

/** A key of a partition. */
function keyIn(partition: number, name = "k"): string {
  for (let i = 0;; i++) {
    const key = `${name}${i}`;
    if (partitionOf(key, PARTITIONS) === partition) return key;
  }
}

const [A, B, C] = [keyIn(0, "a"), keyIn(1, "b"), keyIn(2, "c")];

function transaction(
  requests: PlainRequest[],
  more: Partial<Message<"transaction">> = {},
): Message<"transaction"> {
  return { req_type: "transaction", key: requests[0]?.key ?? A, requests, ...more };
}

function code(reply: Reply | undefined): string | undefined {
  return reply?.req_type === "error" ? reply.code : undefined;
}

function answers(reply: Reply): unknown[] {
  assert(reply.req_type === "result", JSON.stringify(reply));
  return (reply.result as Reply[]).map(wireForm).map((one) => {
    if (one.req_type === "data") return one.message;
    if (one.req_type === "error") return one.code;
    if (one.req_type === "result") return one.result;
    return one.req_type === "ack" ? one.version : one.req_type;
  });
}

function primaryOf(cluster: NodeCluster, key: string): string {
  return cluster.config(partitionOf(key, PARTITIONS)).primary ?? "";
}

function ask(cluster: NodeCluster, request: Parameters<NodeCluster["ask"]>[1]): Promise<Reply> {
  return cluster.ask(primaryOf(cluster, request.key), request);
}

async function read(cluster: NodeCluster, key: string): Promise<string | undefined> {
  const reply = await ask(cluster, get(key));
  return reply.req_type === "data" ? reply.message : code(reply);
}

Deno.test("transaction over partitions: all of it happens, each request on what those before it left (rule X4)", async () => {
  const cluster = await startCluster(3);
  const reply = await ask(
    cluster,
    transaction([
      put(A, "1"),
      { req_type: "increment", key: B, by: "5" },
      { req_type: "increment", key: B, by: "2" },
      get(B),
      { req_type: "create", key: A, value: "no" },
      { req_type: "delete", key: C },
    ]),
  );
  const [, , , ...rest] = answers(reply);
  assertEquals(rest, ["7", "exists", "not_found"]);
  assertEquals([await read(cluster, A), await read(cluster, B), await read(cluster, C)], [
    "1",
    "7",
    "not_found",
  ]);
  await cluster.run(500);
  for (const id of cluster.hosts.keys()) {
    for (let p = 0; p < PARTITIONS; p++) {
      const keys = Object.keys(await cluster.contents(id, p));
      assertEquals(keys.filter((key) => key.startsWith("\u0000")), [], "nothing is left of it");
    }
  }
});

Deno.test("transaction over partitions: what is told as a version is the key's version (rule X8)", async () => {
  const cluster = await startCluster(3);
  const reply = await ask(cluster, transaction([put(A, "1"), put(B, "2")]));
  const versions = answers(reply);
  for (const [i, key] of [A, B].entries()) {
    const found = await ask(cluster, get(key));
    assert(found.req_type === "data");
    assertEquals(found.version, versions[i]);
    const checked = await ask(
      cluster,
      { req_type: "put", key, value: "3", if_version: versions[i] as number },
    );
    assertEquals(checked.req_type, "ack");
  }
  const stale = await ask(
    cluster,
    transaction([put(A, "4")], { checks: [[B, versions[1] as number]] }),
  );
  assert(stale.req_type === "error");
  assertEquals([stale.code, (stale.detail as { key: string }).key], ["version_mismatch", B]);
  assertEquals(await read(cluster, A), "3");
});

Deno.test("transaction over partitions: one that reads finds one moment (rule X10)", async () => {
  const cluster = await startCluster(3);
  await ask(cluster, transaction([put(A, "0"), put(B, "0")]));
  const seen: unknown[][] = [];
  let written = 0;
  for (let i = 1; i <= 40; i++) {
    cluster.node(primaryOf(cluster, A)).execute(
      transaction([put(A, `${i}`), put(B, `${i}`)]),
      (reply) => {
        assertEquals(reply.req_type, "result", JSON.stringify(reply));
        written++;
      },
    );
    cluster.node(primaryOf(cluster, B)).execute(
      transaction([get(B), get(A), get(C)]),
      (reply) => seen.push(answers(reply)),
    );
    await cluster.run(7);
  }
  await cluster.run(5_000);
  assertEquals([written, seen.length], [40, 40]);
  for (const [b, a] of seen) assertEquals(a, b);
});

Deno.test("transaction over partitions: in a client session it is done once, and a refusal is remembered (rule X5)", async () => {
  const cluster = await startCluster(3);
  const pay = (op: number, more = {}) =>
    transaction([
      { req_type: "increment", key: A, by: "-5" },
      { req_type: "increment", key: B, by: "5" },
    ], { session: "l", request_number: op, ...more });
  const first = await ask(cluster, pay(1));
  assertEquals(answers(first), ["-5", "5"]);
  assertEquals(answers(await ask(cluster, pay(1, { again: true }))), ["-5", "5"]);
  // Two attempts at once.
  const told: unknown[] = [];
  const leader = cluster.node(primaryOf(cluster, A));
  leader.execute(pay(2), (reply) => told.push(answers(reply)));
  leader.execute(pay(2, { again: true }), (reply) => told.push(answers(reply)));
  await cluster.run(2_000);
  assertEquals(told, [["-10", "10"], ["-10", "10"]]);
  const refused = await ask(cluster, pay(3, { again: true, checks: [[C, 1]] }));
  assertEquals([code(refused), (refused as Message<"error">).settled], ["version_mismatch", true]);
  assertEquals(code(await ask(cluster, pay(3))), "version_mismatch");
  assertEquals([await read(cluster, A), await read(cluster, B)], ["-10", "10"]);
});

/** Lets `act` see each step of a transaction from A over B and C, and calls it at the n-th message between the nodes. */
async function atStep(
  cluster: NodeCluster,
  step: number,
  act: (leader: string) => void,
): Promise<{ reply: Reply | undefined; reached: boolean }> {
  const leader = primaryOf(cluster, A);
  let messages = 0;
  for (const { node } of cluster.hosts.values()) {
    if (node === undefined) continue;
    const { route } = node;
    node.route = (request, timeoutMs, done) => {
      if (++messages === step) act(leader);
      route(request, timeoutMs, (reply) => {
        if (++messages === step) act(leader);
        done(reply);
      });
    };
  }
  let reply: Reply | undefined;
  const request = transaction([
    { req_type: "append_value", key: A, value: "x" },
    { req_type: "append_value", key: B, value: "x" },
    { req_type: "append_value", key: C, value: "x" },
  ], { session: "s", request_number: 1, timeout_ms: 5_000 });
  cluster.node(leader).execute(request, (is) => reply = is);
  await cluster.run(300);
  return { reply, reached: messages >= step };
}

for (const who of ["leader", "participant"] as const) {
  Deno.test(`transaction over partitions: the ${who} dies at each step, and all is done or nothing (rule X11)`, async () => {
    for (let step = 1;; step++) {
      const cluster = await startCluster(3, { seed: step });
      const { reply, reached } = await atStep(cluster, step, (leader) => {
        const victim = who === "leader" ? leader : primaryOf(cluster, B);
        cluster.crash(victim);
        cluster.clock.setTimer(50, () => cluster.fail(victim));
      });
      if (!reached) {
        assert(step > 8, `only ${step} steps were seen`);
        break;
      }
      await cluster.run(6_000);
      const found = [await read(cluster, A), await read(cluster, B), await read(cluster, C)];
      assertEquals(new Set(found).size, 1, `step ${step}: ${found}`);
      if (reply?.req_type === "result") assertEquals(found[0], "x", `step ${step}`);
      // A repetition is told what is true.
      const again = await ask(
        cluster,
        transaction([
          { req_type: "append_value", key: A, value: "x" },
          { req_type: "append_value", key: B, value: "x" },
          { req_type: "append_value", key: C, value: "x" },
        ], { session: "s", request_number: 1, again: true }),
      );
      assertEquals(answers(again), [1, 1, 1], `step ${step}`);
      assertEquals([await read(cluster, A), await read(cluster, B)], ["x", "x"], `step ${step}`);
      await cluster.run(3_000);
      for (const { node } of cluster.hosts.values()) {
        for (let p = 0; p < PARTITIONS; p++) {
          const primary = node?.partition(p)?.primary;
          if (primary !== undefined) assertEquals(primary.transactions.rows, 0, `step ${step}`);
        }
      }
    }
  });
}

Deno.test("transaction over partitions: who is told that it has happened may lose a node at once, whenever the link broke (rule X5)", async () => {
  let told = 0;
  for (let steps = 1; steps < 24; steps++) {
    const cluster = await startCluster(2);
    assertEquals(primaryOf(cluster, A), primaryOf(cluster, C));
    const leader = primaryOf(cluster, A);
    const other = leader === "n1" ? "n2" : "n1";
    let reply: Reply | undefined;
    cluster.node(leader).execute(
      transaction([put(A, "1"), put(C, "2")]),
      (answer) => reply = answer,
    );
    await cluster.run(steps);
    cluster.network.cut(leader, other);
    // Not for so long that the other one is given up.
    await cluster.run(200);
    if (reply?.req_type !== "result") continue;
    told++;
    assertEquals((await cluster.contents(other, 0))[A], "1", `after ${steps} ms`);
  }
  assert(told > 0 && told < 23, `${told}`);
});

Deno.test("transaction over partitions: who holds keys and hears nothing asks (rule X7)", async () => {
  const cluster = await startCluster(3);
  await ask(cluster, put(B, "before"));
  const prepared = await ask(cluster, {
    req_type: "prepare_part",
    key: B,
    attempt: "of nobody",
    leader: A,
    requests: [put(B, "never")],
  } as never);
  assertEquals((prepared as Message<"result">).result, [
    { state: "prepared", seq: 2, writes: true },
    { req_type: "ack", message: "success", version: 2 },
  ]);
  let found: Reply | undefined;
  cluster.node(primaryOf(cluster, B)).execute(get(B), (reply) => found = wireForm(reply));
  await cluster.run(100);
  assertEquals(found, undefined, "a read waits");
  await cluster.run(1_000);
  assertEquals(found?.req_type === "data" && found.message, "before");
});

Deno.test("transaction over partitions: reads, writes, scans, counts and expiry meet a held key rightly (rule X3)", async () => {
  const cluster = await startCluster(3);
  await ask(cluster, { ...put(B, "old"), ttl_ms: 300 });
  const node = cluster.node(primaryOf(cluster, B));
  const partition = partitionOf(B, PARTITIONS);
  // The leader says nothing until it is told to.
  const hold = { req_type: "prepare_part", key: B, attempt: "a", leader: A } as const;
  const requests: PlainRequest[] = [{ req_type: "append_value", key: B, value: "+new" }];
  await ask(cluster, { ...hold, requests } as never);
  const told: string[] = [];
  const say = (name: string) => (reply: Reply) => {
    const form = wireForm(reply);
    told.push(`${name} ${form.req_type === "data" ? form.message : form.req_type}`);
  };
  node.execute(get(B), say("get"));
  node.execute({ req_type: "append_value", key: B, value: "!" }, say("append"));
  node.execute(put(keyIn(partition, "free"), "1"), say("free"));
  const primary = node.partition(partition)?.primary;
  primary?.whenStable({ timeout_ms: 5_000 }, say("scan"), () => told.push("scan"));
  // Of another transaction.
  node.execute({ ...hold, attempt: "b", requests } as never, (reply) => {
    told.push(JSON.stringify((reply as Message<"result">).result));
  });
  const weak: Reply[] = [];
  for (const { id, node: other } of cluster.hosts.values()) {
    if (id === node.nodeId) continue;
    other?.execute({ ...get(B), consistency: "replica" }, (reply) => weak.push(reply));
  }
  await cluster.run(150);
  assertEquals(told, ['[{"state":"conflict"}]', "free ack"]);
  assertEquals(weak.map(code), ["not_primary", "not_primary"]);
  // It has expired meanwhile, and is not deleted before the end.
  await cluster.run(400);
  primary?.deleteExpired([B], cluster.clock.wallMs());
  assertEquals(node.partition(partition)?.store.get(B)?.flags, 0);
  const seq = primary?.store.state.lastSeq ?? 0;
  assert(seq > 0);
  await ask(cluster, { req_type: "finish_part", key: B, attempt: "a", commit: 2 } as never);
  await cluster.run(200);
  // Its changes are made, and then it has expired.
  assertEquals(told.slice(2).sort(), ["append result", "get error", "scan"]);
});

Deno.test("transaction over partitions: if the leader's partition gets another primary, nothing has happened (rule X1)", async () => {
  const cluster = await startCluster(3);
  await ask(cluster, put(C, "before"));
  // Of another transaction, whose leader is silent: the first one waits.
  const leader = primaryOf(cluster, A);
  const hold = {
    req_type: "prepare_part",
    key: C,
    attempt: "a",
    leader: C,
    requests: [put(C, "x")],
  };
  await ask(cluster, hold as never);
  let told: Reply | undefined;
  cluster.node(leader).execute(transaction([put(A, "1"), put(C, "1")]), (reply) => told = reply);
  await cluster.run(30);
  assertEquals(told, undefined);
  const config = cluster.config(0);
  const primary = config.inSync.find((id) => id !== leader);
  cluster.configure(0, { term: config.term + 1, primary });
  await cluster.run(10);
  assertEquals(code(told), "not_primary");
  await cluster.run(3_000);
  assertEquals([await read(cluster, A), await read(cluster, C)], ["not_found", "before"]);
});

Deno.test("transaction over partitions: a participant is prepared when its intent is committed, and not before (rule X2)", async () => {
  const cluster = await startCluster(3);
  const participant = primaryOf(cluster, B);
  cluster.coordinatorUp = false;
  const others = [...cluster.hosts.keys()].filter((id) => id !== participant);
  for (const id of others) cluster.network.cut(participant, id);
  let reply: Reply | undefined;
  cluster.node(participant).execute({
    ...{ req_type: "prepare_part", key: B, attempt: "one", leader: A, timeout_ms: 5_000 },
    requests: [put(B, "x")],
  } as never, (is) => reply = is);
  await cluster.run(500);
  const { intents } = cluster.node(participant).partition(1)?.intents ?? {};
  assertEquals([intents?.has("one"), reply], [true, undefined]);
  for (const id of others) cluster.network.heal(participant, id);
  await cluster.run(2_000);
  assertEquals(reply?.req_type, "result");
});

Deno.test("transaction over partitions: a part that is refused holds nothing (rule X2)", async () => {
  const cluster = await startCluster(3);
  const refused = await ask(
    cluster,
    transaction([put(A, "1"), put(B, "1")], { checks: [[C, 7]] }),
  );
  assert(refused.req_type === "error");
  assertEquals([refused.code, refused.detail], ["version_mismatch", { key: C, version: 0 }]);
  // Too few replicas, at a participant alone.
  cluster.map = { ...cluster.map, settings: { ...cluster.map.settings, minInSync: 3 } };
  const [first = ""] = cluster.config(1).inSync;
  cluster.configure(1, { term: 2, inSync: [first] });
  await cluster.run(50);
  const few = transaction([put(A, "1"), put(B, "1")], { timeout_ms: 800 });
  const reply = await ask(cluster, few);
  assert(reply.req_type === "error");
  assertEquals(reply.code, "timeout");
  assert(reply.message.includes("too few replicas"), reply.message);
  assertEquals([await read(cluster, A), await read(cluster, B)], ["not_found", "not_found"]);
});

Deno.test("transaction over partitions: the end of an attempt counts once, and for one intent (rule X6)", async () => {
  const cluster = await startCluster(3);
  const hold = { req_type: "prepare_part", key: B, attempt: "a", leader: A } as const;
  const requests: PlainRequest[] = [{ req_type: "append_value", key: B, value: "x" }];
  const finish = { req_type: "finish_part", key: B, attempt: "a" } as const;
  const end = (more = {}) => ask(cluster, { ...finish, ...more } as never);
  await ask(cluster, { ...hold, requests } as never);
  // The decision is about an intent that is gone.
  await end({ commit: 77 });
  assertEquals(await read(cluster, B), "not_found");
  const again = await ask(cluster, { ...hold, requests } as never) as Message<"result">;
  const [{ seq }] = again.result as [{ seq: number }];
  // Asked twice, it is prepared once.
  assertEquals(wireForm(await ask(cluster, { ...hold, requests } as never)), wireForm(again));
  await end({ commit: seq });
  await end({ commit: seq });
  assertEquals(await read(cluster, B), "x");
  // It comes late: nobody leads it any more.
  await ask(cluster, { ...hold, requests } as never);
  await cluster.run(3_000);
  assertEquals(await read(cluster, B), "x");
});

Deno.test("transaction over partitions: those that want the same keys happen one after the other (rule X9)", async () => {
  const cluster = await startCluster(3);
  const told: (string | undefined)[] = [];
  const keys = [A, B, C];
  for (let i = 0; i < 30; i++) {
    const [from = A, to = B] = [keys[i % 3], keys[(i + 1 + i % 2) % 3]];
    const request = transaction([
      { req_type: "increment", key: from, by: "-1" },
      { req_type: "increment", key: to, by: "1" },
      { req_type: "append_value", key: keyIn(3, "log"), value: "." },
    ]);
    cluster.node(primaryOf(cluster, from)).execute(request, (reply) => told.push(code(reply)));
  }
  await cluster.run(9_000);
  assertEquals(told, Array(30).fill(undefined));
  const sum = await ask(cluster, transaction([get(A), get(B), get(C), get(keyIn(3, "log"))]));
  const [a, b, c, log] = answers(sum);
  assertEquals(Number(a) + Number(b) + Number(c), 0);
  assertEquals(log, ".".repeat(30));
});

Deno.test("transaction over partitions: what is too large is refused before anything happens", async () => {
  const cluster = await startCluster(3);
  const many = Array.from({ length: 900 }, (_, i) => put(`k${i}`, "1"));
  const checks = Array.from({ length: 101 }, (_, i): [string, number] => [`c${i}`, 0]);
  assertEquals(code(await ask(cluster, transaction(many, { checks }))), "transaction_too_large");
  const long = "x".repeat(3 << 20);
  const large = transaction([put(A, long), put(B, long)]);
  assertEquals(code(await ask(cluster, large)), "transaction_too_large");
  assertEquals([await read(cluster, A), await read(cluster, "k1")], ["not_found", "not_found"]);
  assertEquals(answers(await ask(cluster, transaction(many))).length, 900);
  // In JSON each character takes six: what is prepared must be possible to make.
  const control = "\u0001".repeat(60_000);
  const parts = Array.from({ length: 50 }, (_, i) => put(`{${B}}${i}`, control));
  const wide = transaction([put(A, "1"), ...parts]);
  assertEquals(code(await ask(cluster, wide)), "transaction_too_large");
  assertEquals(await read(cluster, A), "not_found");
  assertEquals(
    answers(await ask(cluster, transaction([put(A, "1"), ...parts.slice(0, 30)]))).length,
    31,
  );
});

Deno.test("transaction over partitions: a scan, a count and a backup show its values with their versions, and nothing else of it", async () => {
  const cluster = await startCluster(3);
  const reply = await ask(cluster, transaction([put(A, "1"), put(B, "2"), put(C, "3")]));
  const versions = answers(reply);
  // Nobody ends this one for a while.
  const open = { req_type: "prepare_part", key: B, attempt: "open", leader: A };
  await cluster.run(1_000);
  await ask(cluster, { ...open, requests: [put(keyIn(1, "other"), "x")] } as never);
  const partition = partitionOf(B, PARTITIONS);
  const node = cluster.node(primaryOf(cluster, B));
  let backup: Message<"entries"> | undefined;
  node.backupPartition({ req_type: "backup_partition", partition }, (is) => {
    backup = wireForm(is) as Message<"entries">;
  });
  const partitions = PartitionSet.all(PARTITIONS);
  const pages: [string, number][] = [];
  let count = 0;
  for (const { node } of cluster.hosts.values()) {
    node?.scans.scan({ partitions, limit: 100, values: true }, 5_000, (page) => {
      if ("entries" in page) {
        for (const entry of page.entries) {
          const { key, version } = fromWireEntry(toWireEntry(entry as Entry)) as Entry;
          pages.push([key, version ?? (entry as Entry).seq]);
        }
      }
    });
    node?.scans.count({ partitions }, 5_000, (is) => count += "count" in is ? is.count : 0);
  }
  await cluster.run(200);
  assertEquals(backup, undefined, "it waits for what was there when it was asked");
  await cluster.run(4_000);
  assertEquals(pages.sort(), [[A, versions[0]], [B, versions[1]], [C, versions[2]]]);
  assertEquals(count, 3);
  assertEquals(backup?.entries.map(([key]) => key), [B]);
});

Deno.test("transaction over partitions: an attempt that ends while its prepares are sent, or wait, leaves no intent", async () => {
  const cluster = await startCluster(1);
  const node = cluster.node("n1");
  // Leader and participants are on one node: answers come at once.
  const asked: string[] = [];
  node.route = (request, _timeoutMs, done) => {
    if (request.req_type === "transaction_status") asked.push(request.attempt);
    node.execute(request, done);
  };
  const intents = () =>
    [0, 1, 2, 3].flatMap((p) => [...node.partition(p)?.intents.intents.keys() ?? []]);
  const hold = { req_type: "prepare_part", key: C, attempt: "other", leader: A } as const;
  await cluster.ask("n1", { ...hold, requests: [put(C, "x")] } as never);
  let told: Reply | undefined;
  const request = transaction([put(A, "1"), put(B, "1"), put(C, "1")], { timeout_ms: 200 });
  node.execute(request, (reply) => told = reply);
  assertEquals(intents(), ["other"], "the conflict came before the other part was asked");
  await cluster.run(400);
  assertEquals(code(told), "timeout");
  await cluster.ask("n1", { req_type: "finish_part", key: C, attempt: "other" } as never);
  await cluster.run(50);
  assertEquals(asked.filter((attempt) => attempt !== "other"), []);
  assertEquals(intents(), [], "a prepare that waited is dropped with its attempt");
});

Deno.test("transaction over partitions: a partner that does not answer is in stats and health until it does", async () => {
  const cluster = await startCluster(1);
  const node = cluster.node("n1");
  let silenced: string | undefined;
  node.route = (request, _timeoutMs, done) => {
    if (request.req_type === silenced) {
      done({ req_type: "error", code: "unavailable", message: "nobody is there" });
    } else node.execute(request, done);
  };
  const failing = () => (node.stats().retries as { what: string; error: string }[]);

  // As the leader: those that took part are told, again and again.
  silenced = "finish_part";
  const reply = await ask(cluster, transaction([put(A, "1"), put(B, "1")]));
  assertEquals(reply.req_type, "result");
  await cluster.run(4 * STATUS_REPEAT_MS);
  const told = failing();
  assert(told.some(({ what }) => what === "tell partition 1 that a transaction has happened"));
  assertEquals(told[0]?.error, "nobody is there");

  // As a participant: the leader is asked, again and again.
  silenced = "transaction_status";
  await cluster.run(2 * STATUS_REPEAT_MS);
  assertEquals(failing(), [], "those that have been told are done");
  const hold = { req_type: "prepare_part", key: C, attempt: "other", leader: A } as const;
  await cluster.ask("n1", { ...hold, requests: [put(C, "x")] } as never);
  await cluster.run(INTENT_QUIET_MS + 4 * STATUS_REPEAT_MS);
  assertEquals(failing().map(({ what }) => what), [
    "ask partition 0 what has become of a transaction",
  ]);
  silenced = undefined;
  await cluster.run(2 * STATUS_REPEAT_MS);
  assertEquals([failing(), await read(cluster, C)], [[], "not_found"]);
});

Deno.test("transaction over partitions: the node that leads counts how each ended, and what was in its way", async () => {
  const cluster = await startCluster(3);
  const leader = primaryOf(cluster, A);
  const said = () => {
    const set = new MetricSet();
    cluster.node(leader).collect(set);
    const value = (name: "kv_transactions_under_way" | "kv_transaction_rows") =>
      set.samples(name)[0]?.value;
    return {
      ends: Object.fromEntries(
        set.samples("kv_transactions_total").map(({ labels, value }) => [labels[0], value]),
      ),
      underWay: value("kv_transactions_under_way"),
      rows: value("kv_transaction_rows"),
      conflicts: set.samples("kv_transaction_conflicts_total")[0]?.value,
    };
  };
  assertEquals(said(), { ends: { ok: 0 }, underWay: 0, rows: 0, conflicts: 0 });
  const both = transaction([put(A, "1"), put(B, "1")]);
  const first = ask(cluster, both);
  assertEquals(said().underWay, 1);
  await first;
  await ask(cluster, { ...both, checks: [[A, 999]] });
  await cluster.run(500);
  assertEquals(said(), {
    ends: { ok: 1, version_mismatch: 1 },
    underWay: 0,
    rows: 0,
    conflicts: 0,
  });
  // Another one holds a key of it.
  const holder = {
    req_type: "prepare_part",
    key: B,
    attempt: "other.1",
    leader: C,
    requests: [put(B, "2")],
  } as const;
  await ask(cluster, holder as never);
  assert((await ask(cluster, both)).req_type === "result");
  assert(Number(said().conflicts) > 0);
  assertEquals(said().ends.ok, 2);
});

Deno.test("transaction over partitions: a leader that does not answer keeps nobody from asking another one (rule X7)", async () => {
  const cluster = await startCluster(1);
  const node = cluster.node("n1");
  const dead = keyIn(3, "dead");
  node.route = (request, _timeoutMs, done) => {
    const isSilent = request.key === dead;
    if (!isSilent) return node.execute(request, done);
    const message = "nobody is there";
    cluster.clock.setTimer(FINISH_MS, () => done({ req_type: "error", code: "timeout", message }));
  };
  const hold = (attempt: string, key: string, leader: string) =>
    cluster.ask("n1", {
      ...{ req_type: "prepare_part", key, attempt, leader },
      requests: [put(key, "x")],
    } as never);
  for (let i = 0; i < STATUS_QUESTIONS_MAX; i++) await hold(`dead${i}`, keyIn(2, `d${i}-`), dead);
  await cluster.run(INTENT_QUIET_MS + 5_000);
  await hold("other", C, A);
  await cluster.run(INTENT_QUIET_MS + FINISH_MS + STATUS_REPEAT_MS);
  const { intents } = node.partition(2)?.intents ?? {};
  assertEquals([intents?.size, intents?.has("other")], [STATUS_QUESTIONS_MAX, false]);
});

Deno.test("transaction over partitions: answers that are too long together are refused, of one that only reads as well", async () => {
  const cluster = await startCluster(1);
  const bytes = new Uint8Array(TRANSACTION_REPLY_BYTES_MAX / 4).fill(97);
  for (const key of [A, B, C]) await ask(cluster, { req_type: "put", key, bytes });
  const two = await ask(cluster, transaction([get(A), get(B)]));
  assertEquals(two.req_type, "result");
  const all = [get(A), get(B), get(C), get(keyIn(3)), get(A), get(B)];
  for (const requests of [all, [...all, put(keyIn(3), "x")]]) {
    const reply = await ask(cluster, transaction(requests));
    assertEquals(code(reply), "transaction_too_large");
  }
  assertEquals(await read(cluster, keyIn(3)), "not_found");
});

Deno.test("transaction over partitions: who reads other keys of a partition does not wait for one that holds some (rules X3, R5, W10)", async () => {
  const cluster = await startCluster(1);
  const node = cluster.node("n1");
  node.route = () => {};
  const [near, far] = [keyIn(1, "near"), keyIn(1, "far")];
  for (const key of [near, far]) await cluster.ask("n1", put(key, "v"));
  const hold = { req_type: "prepare_part", key: far, attempt: "other", leader: A } as const;
  await cluster.ask("n1", { ...hold, requests: [put(far, "x")] } as never);
  const end = (key: string) => `${key}~`;
  const ranges = (key: string) => [{ start: key, end: end(key), limit: 9 }];
  const told: string[] = [];
  const note = (what: string) => (reply: Reply | object) =>
    told.push(`${what}: ${"req_type" in reply && code(reply as Reply) || "ok"}`);
  const partitions = new PartitionSet(PARTITIONS);
  partitions.add(1);
  for (const [what, key] of [["near", near], ["far", far]] as const) {
    node.execute(
      { req_type: "read_ranges", key, ranges: ranges(key), timeout_ms: 500 },
      note(`${what}, ranges`),
    );
    const request = { partitions, limit: 9, start: key, end: end(key) };
    node.scans.scan(request, 5_000, note(`${what}, scan`));
    node.scans.count(request, 5_000, note(`${what}, count`));
    node.execute(
      transaction([{ ...put(key, "x"), stamped: true }], { key, as_one: true, timeout_ms: 500 }),
      note(`${what}, stamped`),
    );
  }
  await cluster.run(200);
  const wanted = ["count", "ranges", "scan", "stamped"];
  assertEquals(told.toSorted(), wanted.map((what) => `near, ${what}: ok`));
  await cluster.run(1_000);
  assert(told.includes("far, ranges: timeout") && told.includes("far, stamped: timeout"));
});
