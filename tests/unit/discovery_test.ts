import { assertEquals } from "@std/assert";
import { answerDiscovery, discover } from "../../shared/discovery.ts";
import { NO_LOG } from "../../shared/logger.ts";
import type { Address } from "../../shared/transport.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { MemoryNetwork } from "../support/memory_transport.ts";

const PORT = 7946;

/** A network on which "broadcast" reaches the hosts given by name. */
function setUp() {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock, { delayMs: 1 });
  const answer = (host: string, cluster: string, address: Address) =>
    answerDiscovery({ transport: network.transport(host), log: NO_LOG }, {
      cluster,
      address,
      port: PORT,
    });
  const ask = async (from: string, hosts: string[], cluster?: string) => {
    const deps = { clock, transport: network.transport(from) };
    const asking = discover(deps, { port: PORT, hosts, cluster });
    await clock.run(1_000);
    const found = await asking;
    assertEquals(clock.timers, 0);
    return found;
  };
  return { clock, network, answer, ask };
}

const AT_A = { host: "10.0.0.1", port: 8080 };
const AT_B = { host: "10.0.0.2", port: 8080 };

Deno.test("discover finds a coordinator that answers", async () => {
  const { answer, ask } = setUp();
  await answer("a", "c1", AT_A);
  assertEquals(await ask("node", ["nobody", "a"]), AT_A);
});

Deno.test("discover ends without an answer", async () => {
  const { ask } = setUp();
  assertEquals(await ask("node", ["a", "b"]), undefined);
});

Deno.test("discover asks again, since datagrams get lost", async () => {
  const { answer, ask, network, clock } = setUp();
  await answer("a", "c1", AT_A);
  network.cut("node", "a");
  clock.setTimer(150, () => network.heal("node", "a"));
  assertEquals(await ask("node", ["a"]), AT_A);
});

Deno.test("discover finds only the cluster that was asked for", async () => {
  const { answer, ask } = setUp();
  await answer("a", "c1", AT_A);
  await answer("b", "c2", AT_B);
  assertEquals(await ask("node", ["a", "b"], "c2"), AT_B);
  assertEquals(await ask("node", ["a", "b"], "c3"), undefined);
});

Deno.test("answerDiscovery tells nobody else of an address that only its machine can use", async () => {
  const { answer, ask } = setUp();
  const local = { host: "127.0.0.1", port: 8080 };
  await answer("127.0.0.1", "c1", local);
  assertEquals(await ask("10.0.0.9", ["127.0.0.1"]), undefined);
  assertEquals(await ask("127.0.0.1", ["127.0.0.1"]), local);
});

Deno.test("answerDiscovery does without where its port is taken", async () => {
  const { answer } = setUp();
  await answer("a", "c1", AT_A);
  assertEquals(await answer("a", "c2", AT_B), undefined);
});

Deno.test("discover and answerDiscovery ignore what is not theirs", async () => {
  const { answer, ask, network } = setUp();
  await answer("a", "c1", AT_A);
  // Something else that answers on the port, with all kinds of nonsense.
  const noise = [
    "",
    "{",
    "7",
    "null",
    "[]",
    '{"req_type":"discovered","cluster":"c1"}',
    "x".repeat(2000),
  ];
  const socket = await network.transport("noisy").bindDatagram(
    { host: "noisy", port: PORT },
    (_, from) => {
      for (const text of noise) socket.send(new TextEncoder().encode(text), from);
    },
  );
  for (const text of noise) {
    socket.send(new TextEncoder().encode(text), { host: "a", port: PORT });
  }
  assertEquals(await ask("node", ["noisy"]), undefined);
  assertEquals(await ask("node", ["noisy", "a"]), AT_A);
});
