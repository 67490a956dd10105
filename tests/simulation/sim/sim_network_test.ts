/** The simulated network is held to the same contract as the real one, and to a few more promises. */
import { assertEquals } from "@std/assert";
import type { Stream } from "../../../shared/platform/transport.ts";
import { randomFraction, SeededRandom } from "../../../shared/platform/random.ts";
import { transportContract } from "../../contract/transport_contract.ts";
import { Coverage } from "../coverage.ts";
import { EXACT_CLOCK, Scheduler } from "./scheduler.ts";
import { QUIET_NETWORK, SimNetwork } from "./sim_network.ts";

function twoHosts(seed: number) {
  const scheduler = new Scheduler(seed);
  const network = new SimNetwork(scheduler, new Coverage(), {
    ...QUIET_NETWORK,
    splits: 0.1,
    bufferBytes: 0,
  });
  const a = scheduler.spawn("a", "a", EXACT_CLOCK);
  const b = scheduler.spawn("b", "b", EXACT_CLOCK);
  return { scheduler, network, a, b };
}

for (const seed of [1, 2]) {
  transportContract(`SimNetwork, seed ${seed}`, () => {
    const { scheduler, network, a, b } = twoHosts(seed);
    return {
      a: network.transport(a),
      b: network.transport(b),
      addressOfA: { host: "a", port: 0 },
      addressOfB: { host: "b", port: 0 },
      async until(what, condition) {
        for (let i = 0; i < 10_000 && !condition(); i++) await scheduler.run(1);
        if (!condition()) throw new Error(`waited in vain: ${what}`);
      },
      settle: () => scheduler.run(50),
    };
  });
}

/** A stream from a to b, and what each end saw. */
async function connected(seed: number) {
  const hosts = twoHosts(seed);
  const { scheduler, network, a, b } = hosts;
  const seen = { text: "", closes: 0, reasons: [] as string[] };
  let near: Stream | undefined;
  await network.transport(b).listen({ host: "b", port: 1 }, (stream) =>
    stream.start({
      onData: (bytes) => {
        seen.text += new TextDecoder().decode(bytes);
      },
      onClose: () => {},
    }));
  network.transport(a).connect({ host: "b", port: 1 }, 1_000, (stream) => {
    near = stream;
    stream.start({
      onData: () => {},
      onClose: (reason) => {
        seen.closes++;
        seen.reasons.push(reason?.message ?? "");
      },
    });
  }, (error) => {
    throw error;
  });
  await scheduler.run(20);
  const write = (text: string) => near?.write(new TextEncoder().encode(text));
  return { ...hosts, seen, write };
}

Deno.test("SimNetwork: a cut holds a stream, and its end delivers all in order", async () => {
  const { scheduler, network, seen, write } = await connected(3);
  network.cut("a", "b", "hold");
  for (let i = 0; i < 5; i++) write(`${i}`);
  await scheduler.run(5_000);
  assertEquals(seen.text, "");
  network.heal("a", "b");
  write("5");
  await scheduler.run(1_000);
  assertEquals(seen.text, "012345");
  assertEquals(seen.closes, 0);
});

Deno.test("SimNetwork: a stream that was forgotten is dead without a word", async () => {
  const { scheduler, network, seen, write } = await connected(4);
  network.cut("a", "b", "forget");
  network.heal("a", "b");
  write("x");
  await scheduler.run(60_000);
  assertEquals([seen.text, seen.closes], ["", 0]);
});

Deno.test("SimNetwork: a dead process's system closes; one without power says nothing", async () => {
  for (const power of [true, false]) {
    const { scheduler, network, b, seen, write } = await connected(5);
    b.kill();
    network.processDied(b, power);
    write("x");
    await scheduler.run(10_000);
    assertEquals(seen.closes, power ? 1 : 0);
    network.powerOn("b");
    await scheduler.run(10_000);
    assertEquals(seen.closes, 1);
  }
});

Deno.test("SimNetwork: a paused process reads nothing until it goes on", async () => {
  const { scheduler, b, seen, write } = await connected(6);
  b.pause();
  write("late");
  await scheduler.run(5_000);
  assertEquals(seen.text, "");
  b.resume("timers first");
  await scheduler.run(1);
  assertEquals(seen.text, "late");
});

Deno.test("SimNetwork: a stream keeps its order, whatever takes longer in between", async () => {
  for (let seed = 10; seed < 60; seed++) {
    const { scheduler, network, seen, write } = await connected(seed);
    network.options = { ...network.options, splits: 0, spikeRate: 0.2, spikeMs: 900 };
    const random = new SeededRandom(seed);
    let wanted = "";
    for (let i = 0; i < 60; i++) {
      if (i % 20 === 5) network.slow("a", "b", 0.05);
      if (i % 20 === 15) network.slow("a", "b", 0);
      const text = `${i} `;
      wanted += text;
      write(text);
      await scheduler.run(50 * randomFraction(random));
    }
    await scheduler.run(5_000);
    assertEquals(seen.text, wanted, `seed ${seed}`);
  }
});

Deno.test("SimNetwork.cut: datagrams or streams alone, in one direction", async () => {
  const { scheduler, network, a, b, seen, write } = await connected(7);
  const datagrams: string[] = [];
  const decoder = new TextDecoder();
  await network.transport(b).bindDatagram(
    { host: "b", port: 2 },
    (bytes) => void datagrams.push(decoder.decode(bytes)),
  );
  const socket = await network.transport(a).bindDatagram({ host: "a", port: 0 }, () => {});
  const send = async (text: string) => {
    socket.send(new TextEncoder().encode(text), { host: "b", port: 2 });
    write(text);
    await scheduler.run(1_000);
  };
  network.cut("a", "b", "hold", ["udp"]);
  await send("1");
  assertEquals([seen.text, datagrams.join("")], ["1", ""]);
  network.heal("a", "b", ["udp"]);
  network.cut("a", "b", "hold", ["tcp"]);
  await send("2");
  assertEquals([seen.text, datagrams.join("")], ["1", "2"]);
  // The other end of one kind's cut leaves the other alone.
  network.heal("a", "b", ["udp"]);
  await send("3");
  assertEquals([seen.text, datagrams.join("")], ["1", "23"]);
  network.heal("a", "b");
  await scheduler.run(1_000);
  assertEquals([seen.text, datagrams.join("")], ["123", "23"]);
});

Deno.test("SimNetwork.forgetStreams: those that are open are dead, and new ones can be opened", async () => {
  const { scheduler, network, a, seen, write } = await connected(8);
  assertEquals(network.forgetStreams("b", "a"), 2);
  write("x");
  let opened = false;
  network.transport(a).connect({ host: "b", port: 1 }, 1_000, () => opened = true, () => {});
  await scheduler.run(2_000);
  assertEquals([seen.text, seen.closes, opened], ["", 0, true]);
});
