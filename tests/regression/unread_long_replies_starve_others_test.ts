/**
 * 20 connections asked 4,000 times each for a value of 8 MiB and never read. Each answer takes some 100 ms
 * to be read, checked and encoded; a node gave them one after the other in one turn of the event loop, a
 * ping waited for 88 s, and requests were carried out for connections that had been closed.
 */
import { assert, assertEquals } from "@std/assert";
import type {} from "../../shared/platform/logger.ts";
import { NO_LOG } from "../support/doubles/no_log.ts";
import { WorkScheduler } from "../../shared/scheduling/work_scheduler.ts";
import { RequestServer } from "../../shared/server/request_server.ts";
import type { Message, Reply } from "../../shared/wire/messages.ts";
import { RawPeer } from "../support/clients/raw_peer.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../support/doubles/memory_transport.ts";

const CONNECTIONS = 20;
const REQUESTS = 4;
const STEP_MS = 100;
const LONG = new Uint8Array(100_000).fill(97);

/** Work takes time on it. */
class WorkingClock extends ManualClock {
  workedMs = 0;

  override monotonicMs(): number {
    return super.monotonicMs() + this.workedMs;
  }
}

async function world() {
  const clock = new WorkingClock();
  const network = new MemoryNetwork(clock);
  const work = new WorkScheduler(clock);
  const servers: RequestServer[] = [];
  const made = { onLong: () => {} };
  const counts = { long: 0, sinceTurn: 0, mostInTurn: 0 };
  const listener = await network.transport("server").listen(
    { host: "server", port: 1 },
    (stream) => {
      servers.push(
        new RequestServer(stream, { clock, log: NO_LOG, work }, {
          onRequest(request, reply) {
            if (request.req_type === "ping") {
              reply({ req_type: "ack", message: "pong" });
              return;
            }
            counts.long++;
            counts.mostInTurn = Math.max(counts.mostInTurn, ++counts.sinceTurn);
            clock.workedMs += STEP_MS;
            made.onLong();
            reply({ req_type: "data", message: "", bytes: LONG } as Reply);
          },
        }),
      );
    },
  );
  const connect = (host: string): RawPeer => {
    const peers: RawPeer[] = [];
    network.transport(host).connect(
      listener.address,
      1_000,
      (stream) => peers.push(new RawPeer(stream)),
      () => {},
    );
    clock.advance();
    const [peer] = peers;
    assert(peer !== undefined);
    return peer;
  };
  return Object.assign(made, { clock, servers, counts, connect });
}

const get = (id: number): Message<"get"> => ({ req_type: "get", key: "long", id });

Deno.test("long replies are given one after the other, with the event loop's turn between them", async () => {
  const { clock, counts, connect } = await world();
  const light = connect("light");
  light.send({ req_type: "ping" });
  clock.advance();
  assertEquals(light.take().length, 1);
  const heavy = Array.from({ length: CONNECTIONS }, (_, i) => connect(`heavy${i}`));
  for (const peer of heavy) {
    for (let i = 0; i < REQUESTS; i++) peer.send(get(i));
  }
  light.send({ req_type: "ping" });
  // A timer that is set again and again fires once in each turn of the event loop.
  const turn = () => {
    counts.sinceTurn = 0;
    if (counts.long < CONNECTIONS * REQUESTS) clock.setTimer(0, turn);
  };
  clock.setTimer(0, turn);
  clock.advance();
  assertEquals(light.take().length, 1);
  assertEquals(counts.long, CONNECTIONS * REQUESTS);
  assertEquals(counts.mostInTurn, 1);
});

Deno.test("requests of a connection that has been closed are not carried out", async () => {
  const setting = await world();
  const { clock, counts, servers, connect } = setting;
  const heavy = Array.from({ length: CONNECTIONS }, (_, i) => connect(`heavy${i}`));
  for (const peer of heavy) {
    for (let i = 0; i < REQUESTS; i++) peer.send(get(i));
  }
  // All are closed in the turn in which the first request is carried out.
  setting.onLong = () => {
    setting.onLong = () => {};
    for (const { connection } of servers) connection.close();
  };
  clock.advance(60_000);
  // Of each connection at most the request that had its turn already.
  assert(counts.long <= 2, `${counts.long}`);
  assertEquals(servers.map(({ outstanding }) => outstanding), servers.map(() => 0));
});
