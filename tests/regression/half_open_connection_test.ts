/**
 * A connection that the network had forgotten was never given up by a client whose requests each ran
 * out of their time before the silence was long enough: each began the count anew. Found by the
 * simulation (seed 73: "in the calm, read of cold4 ended as fail").
 */
import { assertEquals } from "@std/assert";
import { Connection } from "../../shared/wire/connection.ts";
import { RPC_SILENCE_MS_MAX } from "../../shared/limits/connections.ts";
import { PROTOCOL_VERSION } from "../../shared/wire/messages.ts";
import { SeededRandom } from "../../shared/platform/random.ts";
import { RpcClient } from "../../shared/wire/rpc_client.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../support/doubles/memory_transport.ts";

const HELLO = { req_type: "hello", protocol: PROTOCOL_VERSION, role: "client" } as const;

/** A server that answers everything, and what a client of it needs. */
async function startServer() {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock, { delayMs: 1 });
  const address = { host: "server", port: 1 };
  await network.transport("server").listen(address, (stream) => {
    new Connection(stream, clock, {
      onMessage: (message, connection) => connection.send({ req_type: "ack", id: message.id }),
      onInvalid: (error) => {
        throw error;
      },
      onClose: () => {},
    });
  });
  const deps = { clock, random: new SeededRandom(1), transport: network.transport("client") };
  return { clock, network, address, deps };
}

Deno.test("RpcClient gives up a silent connection over which short requests time out one by one", async () => {
  const { clock, network, address, deps } = await startServer();
  let downs = 0;
  const client = new RpcClient(deps, address, HELLO, { onDown: () => downs++ });
  const ask = async () => {
    let code = "";
    const ping: object = { req_type: "ping" };
    client.request(ping, 300, (reply) => {
      code = reply.req_type === "error" ? reply.code : "ok";
    });
    await clock.run(400);
    return code;
  };
  assertEquals(await ask(), "ok");
  network.cut("client", "server");
  for (let ms = 0; ms < RPC_SILENCE_MS_MAX + 2_000; ms += 400) await ask();
  assertEquals(downs, 1);
  network.heal("client", "server");
  await clock.run(3_000);
  assertEquals(await ask(), "ok");
  client.close();
});
