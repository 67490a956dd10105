/**
 * Connections that asked for long values again and again and never read kept a node from answering anybody
 * else, over RESP and HTTP as over the JSON wire, and at a node that passes requests on: they were begun
 * together, and single keys waited behind long replies on the one connection to the right node.
 */
import { assert, assertEquals } from "@std/assert";
import { QUEUED_BYTES_MAX, REQUEST_OVERHEAD_BYTES } from "../../shared/limits/admission.ts";
import type { Address } from "../../shared/platform/transport.ts";
import { LineClient } from "../support/clients/line_client.ts";
import { TestCluster } from "../support/worlds/cluster.ts";

const CONNECTIONS = 8;
const REQUESTS = 400;
/** Of others, each after the one before is answered. */
const OTHERS = 20;
const VALUE = "x".repeat(8 << 20);

const FRONT_ENDS: Record<string, string> = {
  "the JSON wire": '{"req_type":"get","key":"long"}\n',
  RESP: "GET long\r\n",
  HTTP: "GET /kv/long HTTP/1.1\r\nHost: localhost\r\n\r\n",
};

async function attack(address: Address, request: string): Promise<Deno.TcpConn[]> {
  const bytes = new TextEncoder().encode(request.repeat(REQUESTS));
  const connections: Deno.TcpConn[] = [];
  for (let i = 0; i < CONNECTIONS; i++) {
    const connection = await Deno.connect({ hostname: address.host, port: address.port });
    connections.push(connection);
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
  }
  return connections;
}

async function statsOf(client: LineClient): Promise<Record<string, number>> {
  const { result } = await client.ask({ req_type: "stats" });
  return result as Record<string, number>;
}

Deno.test("others are answered beside connections that ask for long values and never read", async (t) => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  await cluster.ask(0, { req_type: "put", key: "long", value: VALUE, timeout_ms: 60_000 });
  await cluster.ask(0, { req_type: "put", key: "short", value: "v" });
  const primary = await cluster.primaryOf("long");
  const other = (primary + 1) % 3;
  for (const [place, node] of [["its primary", primary], ["another node", other]] as const) {
    for (const [frontEnd, request] of Object.entries(FRONT_ENDS)) {
      await t.step(`over ${frontEnd}, at ${place}`, async () => {
        const address = cluster.nodeAddress(node);
        using client = await LineClient.connect(address);
        await client.ask({ req_type: "ping" });
        const connections = await attack(
          frontEnd === "HTTP" ? cluster.nodeHttpAddress(node) : address,
          request,
        );
        try {
          let slowestMs = 0;
          for (let i = 0; i < OTHERS; i++) {
            const beganMs = performance.now();
            assertEquals((await client.ask({ req_type: "ping" })).message, "pong");
            slowestMs = Math.max(slowestMs, performance.now() - beganMs);
            const got = await client.ask({ req_type: "get", key: "short", timeout_ms: 60_000 });
            assertEquals(got.message, "v");
            slowestMs = Math.max(slowestMs, performance.now() - beganMs);
            const { queued_bytes } = await statsOf(client);
            assert((queued_bytes ?? Infinity) <= QUEUED_BYTES_MAX.client, `${queued_bytes}`);
          }
          if (Deno.env.get("SHOW") !== undefined) {
            console.log(frontEnd, place, Math.round(slowestMs));
          }
        } finally {
          for (const connection of connections) connection.close();
        }
        // What they had asked for is dropped; this request itself counts.
        let { request_bytes } = await statsOf(client);
        while ((request_bytes ?? 0) > REQUEST_OVERHEAD_BYTES) {
          ({ request_bytes } = await statsOf(client));
        }
      });
    }
  }
});
