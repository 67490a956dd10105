import { assertEquals } from "@std/assert";
import { HeartbeatChannels } from "../../../../coordinator/membership/heartbeat_channels.ts";
import { HeartbeatListener } from "../../../../coordinator/membership/heartbeat_listener.ts";
import { Secret } from "../../../../shared/base/secret.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import type { Address } from "../../../../shared/platform/transport.ts";
import { DatagramChannel } from "../../../../shared/security/datagram_channel.ts";
import type { Message } from "../../../../shared/wire/messages.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../../../support/doubles/memory_transport.ts";

const PORT: Address = { host: "coordinator", port: 3769 };

function heartbeat(node: string): Uint8Array {
  const message: Message<"heartbeat"> = {
    req_type: "heartbeat",
    node,
    incarnation: 1,
    instance: "i",
    sent: 5,
    epoch: 1,
    map: 1,
    unserved: 0,
  };
  return new TextEncoder().encode(JSON.stringify(message));
}

/** A coordinator that notes whose heartbeats it believes, and somebody who sends it datagrams. */
async function setUp(secured: boolean) {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock, { delayMs: 1 });
  const channels = new HeartbeatChannels(new SeededRandom(3));
  const heard: string[] = [];
  const answers: Uint8Array[] = [];
  const opening = HeartbeatListener.open(network.transport(PORT.host), PORT, () => ({
    onHeartbeat: ({ node }) => {
      heard.push(node);
      return { req_type: "heartbeat_ack" };
    },
    channels: secured ? channels : undefined,
  }));
  await clock.run(10);
  const listener = await opening;
  const from: Address = { host: "somebody", port: 0 };
  const binding = network.transport("somebody").bindDatagram(
    from,
    (bytes) => void answers.push(bytes.slice()),
  );
  await clock.run(10);
  const socket = await binding;
  const send = async (bytes: Uint8Array) => {
    socket.send(bytes, PORT);
    await clock.run(10);
    return heard.splice(0);
  };
  const endOf = (session: number) =>
    new DatagramChannel(new Secret(channels.keyOf(session) ?? ""), "node");
  return { channels, listener, answers, send, endOf };
}

Deno.test("HeartbeatListener: without security whatever is a heartbeat is heard, and answered as it came", async () => {
  const { send, answers, listener } = await setUp(false);
  assertEquals(await send(heartbeat("a")), ["a"]);
  assertEquals(new TextDecoder().decode(answers[0]), '{"req_type":"heartbeat_ack"}');
  assertEquals(await send(new TextEncoder().encode("nonsense")), []);
  assertEquals(listener.refused, 0);
});

Deno.test("HeartbeatListener: of a secured cluster, a node speaks for itself alone, once, by its newest session", async () => {
  const { channels, send, answers, listener, endOf } = await setUp(true);
  channels.add(1, "a");
  channels.add(2, "b");
  const [a, b] = [endOf(1), endOf(2)];
  const sealed = a.seal(heartbeat("a"));
  assertEquals(await send(sealed), ["a"]);
  const [answer] = answers;
  assertEquals(new TextDecoder().decode(a.open(answer ?? sealed)), '{"req_type":"heartbeat_ack"}');
  const stranger = new DatagramChannel(new Secret("0".repeat(64)), "node");
  const refused = [
    sealed,
    heartbeat("a"),
    stranger.seal(heartbeat("a")),
    b.seal(heartbeat("a")),
    new DatagramChannel(new Secret(channels.keyOf(1) ?? ""), "coordinator").seal(heartbeat("a")),
    a.seal(new TextEncoder().encode("nonsense")),
  ];
  for (const datagram of refused) assertEquals(await send(datagram), []);
  assertEquals([answers.length, listener.refused], [1, refused.length]);

  // A new session of the node, and the old one's datagrams open nothing, ended or not.
  channels.add(3, "a");
  assertEquals(await send(a.seal(heartbeat("a"))), []);
  channels.remove(1);
  assertEquals(await send(endOf(3).seal(heartbeat("a"))), ["a"]);
  channels.remove(2);
  assertEquals(await send(b.seal(heartbeat("b"))), []);
});
