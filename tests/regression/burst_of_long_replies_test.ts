/**
 * A burst of long replies ended a connection that was being read. Whoever had more than 64 MiB of replies
 * queued was cut off, whatever it read; a hundred reads of 1 MiB that became ready in one turn came to
 * more before the first byte could leave. `getMany` asks for 256 keys at once, and nodes share one
 * connection for all that they pass on. Found by a review.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { Reply } from "../../shared/wire/messages.ts";
import { SeededRandom } from "../../shared/platform/random.ts";
import { Router } from "../../shared/routing/router.ts";
import { fakeMap } from "../support/worlds/fake_cluster.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../support/doubles/memory_transport.ts";
import { RespBench } from "../support/clients/resp_bench.ts";
import { ScriptedNode } from "../support/doubles/scripted_node.ts";

const MIB = 1 << 20;
const COUNT = 100;

Deno.test("RequestServer: a burst of long replies does not end a connection that is being read", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock, { delayMs: 1 });
  const map = fakeMap();
  const nodes = map.nodes.map((node, i) => ({ ...node, host: `h${i}`, port: 1 }));
  const scripted: ScriptedNode[] = [];
  for (const { host } of nodes) {
    scripted.push(await new ScriptedNode(network, host, () => "hold").start());
  }
  const router = new Router(
    { clock, random: new SeededRandom(1), transport: network.transport("client") },
    { role: "node" },
  );
  router.adopt({ ...map, nodes });
  const ends: Record<string, number> = {};
  const count = (reply: Reply) => {
    const end = reply.req_type === "error" ? reply.code : reply.req_type;
    ends[end] = (ends[end] ?? 0) + 1;
  };
  for (let i = 0; i < COUNT; i++) {
    router.execute({ req_type: "get", key: `{k}${i}` }, 60_000, count);
  }
  router.execute({ req_type: "put", key: "{k}p", value: "v" }, 60_000, count);
  await clock.run(100);
  const message = "x".repeat(MIB);
  for (const { held } of scripted) {
    for (const { request, reply } of held.splice(0)) {
      reply(request.req_type === "get" ? { req_type: "data", message } : { req_type: "ack" });
    }
  }
  await clock.run(200);
  assertEquals(ends, { data: COUNT, ack: 1 });
});

Deno.test("RespSession: a burst of long replies does not end a connection that is being read", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  await peer.ask(["SET", "k", "x".repeat(MIB)]);
  const write = peer.write.bind(peer);
  // As a real stream: it has written nothing before the turn is over.
  peer.write = (bytes) => {
    write(bytes);
    peer.queuedBytes += bytes.length;
  };
  bench.database.later = true;
  peer.feed("GET k\r\n".repeat(COUNT));
  for (let i = 0; i < COUNT && peer.closed === "open"; i++) {
    bench.database.release();
    peer.drain();
    await bench.clock.run();
  }
  assertEquals(peer.closed, "open");
  assertEquals(Math.floor(peer.received.length / MIB), COUNT);
});
