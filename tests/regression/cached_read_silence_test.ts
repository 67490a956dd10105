/**
 * A cached read gave its whole time to whoever it asked first. A coordinator, or a primary that was to
 * watch the key, that said nothing made it end as `outcome_unknown`, which is no end of a read, although
 * another could have answered all the while. Found by a review.
 */
import { assertEquals } from "@std/assert";
import { KvClient } from "../../client/library/kv_client.ts";
import { Gateway } from "../../coordinator/gateway/gateway.ts";
import { KvError } from "../../shared/base/errors.ts";
import { READ_ATTEMPT_TIMEOUT_MS } from "../../shared/limits/requests.ts";
import type { Reply } from "../../shared/wire/messages.ts";
import { SeededRandom } from "../../shared/platform/random.ts";
import { RpcClient } from "../../shared/wire/rpc_client.ts";
import { FakeCluster, fakeMap } from "../support/worlds/fake_cluster.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../support/doubles/memory_transport.ts";
import { type Script, ScriptedNode } from "../support/doubles/scripted_node.ts";

/** A value, or the code of the error, that a client's cached read ends with. */
async function readThroughSilence(timeoutMs: number): Promise<unknown> {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock, { delayMs: 1 });
  const mute = await new ScriptedNode(network, "c", () => "hold").start();
  const coordinator = new RpcClient(
    { clock, random: new SeededRandom(1), transport: network.transport("client") },
    mute.address,
    { req_type: "hello", protocol: 1, role: "client" },
  );
  const router = new FakeCluster();
  const client = new KvClient({ clock, router, coordinator }, { timeoutMs });
  await client.put("k", "v");
  let end: unknown;
  client.getText("k", { consistency: "cached" }).then(
    (text) => end = text,
    (error) => end = error instanceof KvError ? error.code : error,
  );
  await clock.run(READ_ATTEMPT_TIMEOUT_MS + 100);
  return end;
}

Deno.test("KvClient: a cached read goes to the primary if the coordinator says nothing", async () => {
  assertEquals(await readThroughSilence(10_000), "v");
});

Deno.test("KvClient: a cached read with less time than that ends as timeout", async () => {
  assertEquals(await readThroughSilence(READ_ATTEMPT_TIMEOUT_MS / 2), "timeout");
});

/** What the gateway answers to a cached read. */
async function readAtGateway(script: Script, timeoutMs: number): Promise<string[]> {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock, { delayMs: 1 });
  const map = fakeMap();
  const nodes = map.nodes.map((node, i) => ({ ...node, host: `h${i}`, port: 1 }));
  for (const { host } of nodes) await new ScriptedNode(network, host, script).start();
  const deps = { clock, random: new SeededRandom(1), transport: network.transport("gateway") };
  const gateway = new Gateway(deps, { clusterId: "c", cacheEntries: 10 });
  gateway.adopt({ ...map, nodes });
  const ends: string[] = [];
  gateway.execute(
    { req_type: "get", key: "k", consistency: "cached", timeout_ms: timeoutMs },
    (reply: Reply) => ends.push(reply.req_type === "error" ? reply.code : reply.req_type),
  );
  await clock.run(5_000);
  gateway.close();
  return ends;
}

Deno.test("Gateway: a cached read never ends as outcome_unknown", async () => {
  for (const timeoutMs of [3_000, READ_ATTEMPT_TIMEOUT_MS / 2]) {
    assertEquals(await readAtGateway(() => "hold", timeoutMs), ["timeout"]);
  }
});
