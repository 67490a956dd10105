/**
 * Replies that waited for their turn behind a slow one had no bound. A request without an id was counted
 * out as soon as it was answered, and not when its reply was sent: ten thousand replies of 10 kB were
 * kept for one connection, which went on being read. At the Redis front end only the length of replies that
 * had been written narrowed what was begun. Found by a review.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  REQUEST_BYTES_PER_CONNECTION_MAX,
  REQUESTS_PER_CONNECTION_MAX,
} from "../../shared/limits/admission.ts";
import { RESP_PENDING_REPLY_BYTES } from "../../shared/limits/resp.ts";
import type {} from "../../shared/platform/logger.ts";
import { NO_LOG } from "../support/doubles/no_log.ts";
import type { Reply } from "../../shared/wire/messages.ts";
import { RequestServer } from "../../shared/server/request_server.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../support/doubles/memory_transport.ts";
import { RawPeer } from "../support/clients/raw_peer.ts";
import { RespBench } from "../support/clients/resp_bench.ts";

const MIB = 1 << 20;

/** A client without ids: its first request takes long, `count` others are answered at once. */
async function behindSlowOne(count: number, valueBytes: number) {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock);
  const message = "x".repeat(valueBytes);
  let answered = 0;
  const held: ((reply: Reply) => void)[] = [];
  const servers: RequestServer[] = [];
  const listener = await network.transport("server").listen(
    { host: "server", port: 1 },
    (stream) => {
      servers.push(
        new RequestServer(stream, { clock, log: NO_LOG }, {
          onRequest(request, reply) {
            if (request.req_type === "put") {
              held.push(reply);
              return;
            }
            answered++;
            reply({ req_type: "data", message, version: 1 });
          },
        }),
      );
    },
  );
  const peers: RawPeer[] = [];
  network.transport("client").connect(
    listener.address,
    1_000,
    (stream) => peers.push(new RawPeer(stream)),
    () => {},
  );
  await clock.run(10);
  const [peer] = peers;
  assert(peer !== undefined);
  peer.send({ req_type: "put", key: "slow", value: "v" });
  peer.sendText('{"req_type":"get","key":"k"}\n'.repeat(count));
  await clock.run(10);
  const waiting = answered;
  held[0]?.({ req_type: "ack", version: 1 });
  await clock.run(10);
  return { waiting, answered, lines: peer.text.split("\n").length - 1, server: servers[0] };
}

Deno.test("RequestServer: replies that wait for their turn count as requests that are not answered", async () => {
  const { waiting, answered, lines, server } = await behindSlowOne(10_000, 10);
  assertEquals(waiting, REQUESTS_PER_CONNECTION_MAX - 1);
  assertEquals([answered, lines, server?.outstanding], [10_000, 10_001, 0]);
});

Deno.test("RequestServer: replies that wait for their turn are bounded in bytes", async () => {
  const { waiting, answered, lines, server } = await behindSlowOne(300, MIB);
  const most = REQUEST_BYTES_PER_CONNECTION_MAX / MIB;
  assert(waiting <= most, `${waiting} replies of 1 MiB wait behind one request`);
  assertEquals([answered, lines, server?.outstanding], [300, 301, 0]);
});

for (
  const [name, command, replyBytes] of [
    ["GET", "GET {k}\r\n", MIB],
    ["MGET", "MGET {k} {k}\r\n", 2 * MIB],
    ["EXEC", "MULTI\r\nGET {k}\r\nGET {k}\r\nEXEC\r\n", 2 * MIB],
  ] as const
) {
  Deno.test(`RespSession: replies to ${name} that wait for their turn narrow what is begun`, async () => {
    const bench = new RespBench();
    const { database } = bench;
    const peer = bench.connect();
    await peer.ask(["SET", "{k}", "x".repeat(MIB)]);
    let slow = true;
    database.before = () => {
      database.later = slow;
      slow = false;
    };
    database.requests.length = 0;
    peer.feed("GET slow\r\n");
    peer.feed(command.repeat(100));
    await bench.clock.run();
    const begun = database.requests.map((request) => "requests" in request ? 2 : 1);
    const waiting = begun.reduce<number>((sum, one) => sum + one, -1) * MIB;
    assert(
      waiting <= RESP_PENDING_REPLY_BYTES + replyBytes,
      `${waiting} bytes wait behind one command`,
    );
    assertEquals(peer.paused, true);
    database.release();
    for (let i = 0; i < 100; i++) await bench.clock.run();
    assertEquals([peer.paused, bench.server.outstanding, bench.budget.taken], [false, 0, 0]);
  });
}
