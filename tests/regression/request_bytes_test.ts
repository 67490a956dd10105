/**
 * Requests were bounded in number, not in bytes. With the coordinator away and a replica stopped, a few
 * clients that wrote large values took a node's memory at 200 MB a second, without end. And fields
 * that nobody knows were kept with the request, and passed on from node to node.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ByteBudget } from "../../shared/base/byte_budget.ts";
import { decodeMessage } from "../../shared/wire/codec.ts";
import { InvariantError, KvError } from "../../shared/base/errors.ts";
import { REQUEST_OVERHEAD_BYTES } from "../../shared/limits/admission.ts";
import { IN_FLIGHT_BYTES_MAX } from "../../shared/limits/replication.ts";
import { ID_CHARACTERS_MAX } from "../../shared/limits/wire.ts";
import type {} from "../../shared/platform/logger.ts";
import { NO_LOG } from "../support/doubles/no_log.ts";
import type { Message, Reply } from "../../shared/wire/messages.ts";
import { checkKeyBounds } from "../../shared/validation/request_checks.ts";
import { RequestServer } from "../../shared/server/request_server.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../support/doubles/memory_transport.ts";
import { NodeCluster } from "../support/worlds/node_cluster.ts";
import { RawPeer } from "../support/clients/raw_peer.ts";

Deno.test("ByteBudget gives no more than it has, but one large piece", () => {
  const budget = new ByteBudget(10);
  assert(budget.take(6));
  assert(!budget.take(5));
  assert(budget.take(4));
  budget.give(10);
  assert(budget.take(11), "or it could never be carried out");
  assert(!budget.take(1));
  assertThrows(() => budget.give(12), InvariantError);
});

Deno.test("decodeMessage drops what nobody knows of a long message", () => {
  const extra = "x".repeat(2_000);
  const decode = (message: object) => {
    let text = "";
    const decoded = decodeMessage(JSON.stringify(message), (error) => text = error.message);
    return decoded ?? text;
  };
  const get = { id: 7, req_type: "get", key: "k" };
  assertEquals(decode({ ...get, extra }), { ...get } as Message);
  const scan = { req_type: "scan", prefix: "p", after: null, values: true };
  assertEquals(
    decode({ ...scan, extra }),
    { req_type: "scan", prefix: "p", values: true } as Message,
  );
  assertEquals(
    decode({ ...get, id: "i".repeat(ID_CHARACTERS_MAX + 1) }),
    `"id" may have 1024 characters, and this one has 1025`,
  );
});

Deno.test("RequestServer bounds the bytes of a connection's requests, and of all", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock);
  const replies: ((reply: Reply) => void)[] = [];
  const budget = new ByteBudget(61_000);
  const listener = await network.transport("server").listen(
    { host: "server", port: 1 },
    (stream) =>
      void new RequestServer(stream, { clock, log: NO_LOG }, {
        onRequest: (_, reply) => void replies.push(reply),
      }, { requestBytesMax: 20_000, budget }),
  );
  const connect = async () => {
    let peer: RawPeer | undefined;
    network.transport("client").connect(
      listener.address,
      1_000,
      (stream) => peer = new RawPeer(stream),
      () => {},
    );
    await clock.run();
    assert(peer !== undefined);
    return peer;
  };
  const put = (id: number) => ({ id, req_type: "put", key: "k", value: "v".repeat(9_500) });
  const first = await connect();
  first.send(...Array.from({ length: 10 }, (_, id) => put(id)));
  await clock.run();
  assertEquals(replies.length, 2, "read no further");
  for (const peer of [await connect(), await connect()]) peer.send(put(1), put(2));
  await clock.run();
  assertEquals([replies.length, budget.taken], [6, 60_078]);
  const late = await connect();
  late.send(put(1));
  await clock.run();
  assertEquals(late.take().map(({ code }) => code), ["overloaded"]);
  while (replies.length > 0) {
    replies.shift()?.({ req_type: "ack" });
    await clock.run();
  }
  assertEquals(first.take().length, 10, "all of them in the end");
  assertEquals(budget.taken, 0);
});

Deno.test("Primary refuses writes beyond the bytes that may be under way, until they are committed", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  const size = 8 * 1024 * 1024;
  const fit = Math.floor(IN_FLIGHT_BYTES_MAX / (size + REQUEST_OVERHEAD_BYTES + 1));
  cluster.coordinatorUp = false;
  cluster.crash("n2");
  const codes: string[] = [];
  const node = cluster.host("n1").node;
  const value = "v".repeat(size);
  const write = () =>
    node?.execute({ req_type: "put", key: "k", value }, (reply) => {
      codes.push(reply.req_type === "error" ? reply.code : reply.req_type);
    });
  for (let i = 0; i < fit + 2; i++) write();
  assertEquals(codes, ["overloaded", "overloaded"]);
  await cluster.start("n2");
  cluster.coordinatorUp = true;
  await cluster.run(5_000);
  assertEquals(codes.slice(2), Array.from({ length: fit }, () => "ack"));
  write();
  await cluster.run(1_000);
  assertEquals(codes.at(-1), "ack");
});

Deno.test("checkKeyBounds refuses deadlines and pages that cannot be", () => {
  const scan: Message<"scan"> = { req_type: "scan" };
  checkKeyBounds({ ...scan, timeout_ms: 1, limit: 1, after: "k" });
  for (
    const bad of [{ timeout_ms: 0 }, { timeout_ms: 2 ** 40 }, { limit: 0 }, { after: "\ud800" }]
  ) {
    assertThrows(() => checkKeyBounds({ ...scan, ...bad }), KvError);
  }
});
