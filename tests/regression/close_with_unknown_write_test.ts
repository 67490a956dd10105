/**
 * A router that was closed said `unavailable`, which promises that nothing happened, of writes of which
 * an attempt may have happened: those that waited to be sent again. Of those that this node itself was at
 * it said nothing at all, ever. Found by a review.
 */
import { assertEquals } from "@std/assert";
import type { KeyRequest, Reply } from "../../shared/wire/messages.ts";
import { SeededRandom } from "../../shared/platform/random.ts";
import { Router, type RouterOptions } from "../../shared/routing/router.ts";
import { fakeMap } from "../support/worlds/fake_cluster.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../support/doubles/memory_transport.ts";
import { ScriptedNode } from "../support/doubles/scripted_node.ts";

const WRITE: KeyRequest = {
  req_type: "increment",
  key: "k",
  by: "1",
  session: "l",
  request_number: 1,
};

/** What becomes of a request that is under way when its router is closed. */
async function closed(
  request: KeyRequest,
  answer: Reply | "hold",
  options: Partial<RouterOptions> = {},
): Promise<unknown[]> {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock, { delayMs: 1 });
  const map = fakeMap();
  const nodes = map.nodes.map((node, i) => ({ ...node, host: `h${i}`, port: 1 }));
  for (const { host } of nodes) {
    await new ScriptedNode(
      network,
      host,
      ({ req_type }) => req_type === "get_map" ? { req_type: "ack", message: "" } : answer,
    ).start();
  }
  const deps = { clock, random: new SeededRandom(1), transport: network.transport("client") };
  const router = new Router(deps, { role: "node", ...options });
  router.adopt({ ...map, nodes });
  const ends: unknown[] = [];
  router.execute(request, 10_000, (reply) => {
    ends.push(reply.req_type === "error" ? reply.code : reply.req_type);
  });
  await clock.run(20);
  assertEquals(ends, []);
  router.close();
  await clock.run(60_000);
  return ends;
}

Deno.test("Router.close: a write of which an attempt may have happened ends as outcome_unknown", async () => {
  // The primary was replaced while the write was under way.
  const steppedDown: Reply = { req_type: "error", code: "outcome_unknown", message: "" };
  assertEquals(await closed(WRITE, steppedDown), ["outcome_unknown"]);
  const refused: Reply = { req_type: "error", code: "unavailable", message: "" };
  assertEquals(await closed(WRITE, refused), ["unavailable"]);
});

Deno.test("Router.close: what was sent and not answered is unknown of a write, and no read", async () => {
  assertEquals(await closed(WRITE, "hold"), ["outcome_unknown"]);
  assertEquals(await closed({ req_type: "get", key: "k" }, "hold"), ["unavailable"]);
});

Deno.test("Router.close ends what this node itself has not answered", async () => {
  const primaries = new Set(fakeMap().partitions.map(({ primary }) => primary));
  for (const nodeId of primaries) {
    if (nodeId === undefined) continue;
    const options = { local: { nodeId, execute: () => {} } };
    assertEquals(await closed(WRITE, "hold", options), ["outcome_unknown"]);
    assertEquals(await closed({ req_type: "get", key: "k" }, "hold", options), ["unavailable"]);
  }
});
