import { assertEquals } from "@std/assert";
import { DatabaseQuotas } from "../../../../node/server/database_quotas.ts";
import { QuotaGate } from "../../../../node/server/quota_gate.ts";
import type { DatabaseList } from "../../../../shared/cluster/databases.ts";
import { partitionOf } from "../../../../shared/cluster/position.ts";
import { errorReply, resultReply } from "../../../../shared/operations/operation.ts";
import type { KeyRequest, PartRequest, Reply } from "../../../../shared/wire/messages.ts";
import { entry, RecordingNode } from "../../../support/doubles/recording_ports.ts";

const PARTITIONS = 4;
const LIST: DatabaseList = { next: 3, list: [{ name: "small", number: 2, maxKeys: 6 }] };
const keyAt = (partition: number, not: readonly string[] = []) => {
  for (let i = 0;; i++) {
    const key = `\0db/000002/k${i}`;
    if (partitionOf(key, PARTITIONS) === partition && !not.includes(key)) return key;
  }
};
const OWN = keyAt(0);
const [NEAR, NEAR_TOO, FAR] = [keyAt(1), keyAt(1, [keyAt(1)]), keyAt(2)];

/** This node has partition 0. Of the database's 6 keys `OWN`, `NEAR` and `FAR` are three. */
function setUp({ silent = -1 } = {}) {
  const node = new RecordingNode();
  node.store.apply(entry(OWN, 1));
  const asked: string[] = [];
  const there = new Set([NEAR, FAR]);
  const route = (request: PartRequest, _timeoutMs: number, done: (reply: Reply) => void) => {
    if (request.req_type !== "read_part") throw new Error(`${request.req_type} is not asked`);
    const partition = partitionOf(request.key, PARTITIONS);
    asked.push(`${partition}: ${request.requests.length}`);
    if (partition === silent) return done(errorReply("timeout", "nobody there"));
    const replies = request.requests.map(({ key = "" }) =>
      there.has(key) ? resultReply({ length: 1 }) : errorReply("not_found", "none")
    );
    done(resultReply([{ state: "read", stamps: [] }, ...replies]));
  };
  const quotas = new DatabaseQuotas({
    nowMs: () => 0,
    own: () => ({ keys: 2, bytes: 0 }),
    nodes: () => 3,
    askOthers: (done) => done([{ known: true, databases: [[2, 4, 0, 0]] }]),
  });
  const gate = new QuotaGate({
    nowMs: () => 0,
    wallMs: () => 0,
    partitionCount: () => PARTITIONS,
    databases: () => LIST,
    store: (partition) => partition === 0 ? node.store : undefined,
    route,
  }, quotas);
  /** `done`, or the code of the refusal. */
  const pass = (...keys: string[]) => {
    asked.length = 0;
    const requests = keys.map((key) => ({ req_type: "put", key, value: "v" }));
    const request = { req_type: "transaction", key: keys[0], requests } as unknown as KeyRequest;
    let outcome = "";
    gate.pass(request, (reply) => {
      outcome += reply.req_type === "error" ? reply.code : reply.req_type;
    }, () => outcome += "done");
    return outcome;
  };
  return { pass, asked };
}

Deno.test("QuotaGate: a transaction that overwrites keys of other nodes passes when the quota is reached; one new key does not", () => {
  const { pass, asked } = setUp();
  assertEquals([pass(OWN), asked], ["done", []], "nobody is asked about a key of this node");
  assertEquals(pass(OWN, NEAR, FAR, NEAR), "done");
  assertEquals(asked.sort(), ["1: 1", "2: 1"], "each node once, each key once");
  assertEquals(pass(OWN, NEAR, NEAR_TOO), "quota_exceeded");
});

Deno.test("QuotaGate: keys of a node that does not answer count as new ones", () => {
  const { pass } = setUp({ silent: 2 });
  assertEquals([pass(NEAR), pass(NEAR, FAR)], ["done", "quota_exceeded"]);
});
