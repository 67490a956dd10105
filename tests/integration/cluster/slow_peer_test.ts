import { assert, assertEquals } from "@std/assert";
import { PeerLink } from "../../../node/peers/peer_link.ts";
import { PEER_FRAME_BYTES } from "../../../shared/limits/replication.ts";
import { SystemClock } from "../../../shared/platform/clock.ts";
import { DenoTransport } from "../../../shared/platform/deno/deno_transport.ts";
import { NO_LOG } from "../../support/doubles/no_log.ts";
import { SeededRandom } from "../../../shared/platform/random.ts";

const BYTES_MAX = 8 * PEER_FRAME_BYTES;
/** Far more than the bound and what the system keeps for a socket. */
const FRAMES_MAX = 256;

Deno.test("a link to a peer whose socket is not read queues so much and no more, and begins anew", async () => {
  // A peer that answers `hello` and then reads nothing.
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const taken: Deno.TcpConn[] = [];
  const accepting = (async () => {
    for await (const connection of listener) {
      taken.push(connection);
      await connection.read(new Uint8Array(4_096));
      await connection.write(new TextEncoder().encode('{"req_type":"ack","id":0}\n'));
    }
  })();
  let wake = () => {};
  const events: string[] = [];
  const note = (event: string) => {
    events.push(event);
    wake();
  };
  const until = async (count: number) => {
    while (events.length < count) await new Promise<void>((resolve) => wake = resolve);
  };
  const { hostname: host, port } = listener.addr;
  const link = new PeerLink(
    {
      clock: new SystemClock(),
      random: new SeededRandom(1),
      transport: new DenoTransport(),
      log: NO_LOG,
      self: "node-a",
      clusterId: () => "cluster",
      queueBytesMax: BYTES_MAX,
    },
    "node-b",
    { host, port },
    { onUp: () => note("up"), onDown: () => note("down"), onMessage: () => {}, onFrame: () => {} },
  );
  try {
    await until(1);
    const entry = JSON.stringify(["k", 1, 1, 0, 0, 0, "v".repeat(PEER_FRAME_BYTES)]);
    let most = 0;
    let frames = 0;
    // Each in a turn of its own, so that the system takes what it will.
    for (; link.overflows === 0 && frames < FRAMES_MAX; frames++) {
      link.append(1, 1, 1, 0, { rows: [], json: entry });
      most = Math.max(most, link.queuedBytes);
      await new Promise((resolve) => setTimeout(resolve));
    }
    assertEquals(link.overflows, 1, `after ${frames} frames`);
    assert(most <= BYTES_MAX + 2 * PEER_FRAME_BYTES, `${most} bytes were queued`);
    assertEquals(link.queuedBytes, 0);
    await until(3);
    assertEquals(events, ["up", "down", "up"]);
    assertEquals(taken.length, 2);
  } finally {
    link.close();
    if (link.isUp) await until(events.length + 1);
    listener.close();
    await accepting;
    for (const connection of taken) connection.close();
  }
});
