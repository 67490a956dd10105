import { assertEquals } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import { NO_LOG } from "../../../support/doubles/no_log.ts";
import { PeerServer } from "../../../../shared/server/peer_server.ts";
import { Connection } from "../../../../shared/wire/connection.ts";
import { goes, type Message } from "../../../../shared/wire/messages.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../../../support/doubles/memory_transport.ts";
import { RawPeer } from "../../../support/clients/raw_peer.ts";

const CONFIRM = { id: 1, req_type: "confirm", round: 1, parts: [] };

/** A connection of a peer that may send what goes downstream. */
async function open(onMessage: (message: Message) => void = () => {}) {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock);
  const events: string[] = [];
  const servers: PeerServer<Message>[] = [];
  const listener = await network.transport("server").listen(
    { host: "server", port: 1 },
    (stream) => {
      const connection: Connection = new Connection(stream, clock, {
        onMessage: () => {},
        onInvalid: () => {},
        onClose: () => {},
      });
      const options = {
        name: "node n2",
        takes: (message: Message): message is Message => goes(message, "downstream"),
      };
      const server = new PeerServer<Message>(connection, NO_LOG, options, () => ({
        onMessage: (message) => {
          events.push(message.req_type);
          onMessage(message);
        },
        onClose: () => void events.push("closed"),
      }));
      connection.handTo(server);
      servers.push(server);
    },
  );
  const peers: RawPeer[] = [];
  network.transport("client").connect(
    listener.address,
    1_000,
    (stream) => peers.push(new RawPeer(stream)),
    () => {},
  );
  clock.advance();
  const [server] = servers;
  const [peer] = peers;
  if (server === undefined || peer === undefined) throw new Error("no connection");
  const ask = (...messages: object[]) => {
    peer.send(...messages);
    clock.advance();
    return peer.take();
  };
  return { clock, network, events, server, ask };
}

Deno.test("PeerServer: takes what its peer may send, answers pings, and refuses the rest", async () => {
  const { events, ask } = await open();
  assertEquals(ask(CONFIRM), []);
  assertEquals(ask({ id: 2, req_type: "ping" }), [{ id: 2, req_type: "ack", message: "pong" }]);
  const refused = ask({ id: 3, req_type: "get", key: "k" }, { id: 4, req_type: "leave" });
  assertEquals(refused.map(({ id, code }) => [id, code]), [[3, "bad_request"], [4, "bad_request"]]);
  assertEquals(ask({ id: 5, req_type: "confirm" }).map(({ code }) => code), ["bad_request"]);
  assertEquals(events, ["confirm"]);
});

Deno.test("PeerServer: tells what a message was refused for, and goes on", async () => {
  const { events, ask } = await open(() => {
    throw new KvError("unavailable", "not now");
  });
  const error = { id: 1, req_type: "error", code: "unavailable", message: "not now" };
  assertEquals([ask(CONFIRM), ask(CONFIRM)], [[error], [error]]);
  assertEquals(events, ["confirm", "confirm"]);
});

Deno.test("PeerServer: says when its connection has ended", async () => {
  const { clock, network, events, server } = await open();
  network.crash("client");
  clock.advance();
  assertEquals([events, server.closed], [["closed"], true]);
});
