/**
 * A read that finds data waiting comes back without the event loop looking at any other socket. A
 * client that sent without a pause therefore held every other connection up, by 0.1 s or more for
 * each message, as long as it went on.
 *
 * @module
 */
import { assert } from "@std/assert";
import { SystemClock } from "../../shared/platform/clock.ts";
import { DenoTransport } from "../../shared/platform/deno/deno_transport.ts";
import type {} from "../../shared/platform/logger.ts";
import { NO_LOG } from "../support/doubles/no_log.ts";
import { RequestServer } from "../../shared/server/request_server.ts";

const PING = '{"id":1,"req_type":"ping"}\n';
const PINGS = 400;
/**
 * So many pings of the other client, at most, are served for each of these, on average: a few reads of 64 KiB
 * have 10,000. Before, it was all that came in 0.1 s, some 50,000.
 */
const SERVED_BETWEEN_MAX = 20_000;

/** Sends pings without a pause until it is killed, reading all the replies, and says so at the beginning. */
const FLOOD = `
const conn = await Deno.connect({ hostname: "127.0.0.1", port: Number(Deno.args[0]) });
const bytes = new TextEncoder().encode(${JSON.stringify(PING)}.repeat(5_000));
const buffer = new Uint8Array(65_536);
await conn.write(bytes);
await conn.read(buffer);
console.log("flooding");
setTimeout(() => Deno.exit(0), 300_000);
(async () => {
  for (;;) for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
})();
for (;;) await conn.read(buffer);
`;

Deno.test("DenoTransport serves others while one client sends without a pause", async () => {
  const clock = new SystemClock();
  const deps = { clock, log: NO_LOG };
  let served = 0;
  const listener = await new DenoTransport().listen({ host: "127.0.0.1", port: 0 }, (stream) => {
    new RequestServer(stream, deps, {
      onRequest: (_, reply) => {
        served++;
        reply({ req_type: "ack", message: "pong" });
      },
    });
  });
  const { port } = listener.address;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", FLOOD, String(port)],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const output = child.stdout.getReader();
  await output.read();

  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const buffer = new Uint8Array(1_000);
  const servedBefore = served;
  for (let i = 0; i < PINGS; i++) {
    await conn.write(new TextEncoder().encode(PING));
    await conn.read(buffer);
  }
  const others = served - servedBefore - PINGS;
  assert(others > PINGS, "the other client went on meanwhile");
  assert(others < PINGS * SERVED_BETWEEN_MAX, `${others} others were served beside ${PINGS}`);

  child.kill("SIGKILL");
  await child.status;
  await output.cancel();
  listener.close();
  // The server's end of it follows, and its scheduler's last look; then nothing of the test is left open.
  await conn.closeWrite();
  await conn.read(buffer);
  conn.close();
  await new Promise<void>((resolve) => clock.afterSockets(resolve));
});
