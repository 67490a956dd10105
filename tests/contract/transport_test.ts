import { assertEquals, assertRejects } from "@std/assert";
import { DenoTransport } from "../../shared/platform/deno/deno_transport.ts";
import { NodeTransport } from "../../shared/platform/node/node_transport.ts";
import { KvError } from "../../shared/base/errors.ts";
import type { Stream } from "../../shared/platform/transport.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../support/doubles/memory_transport.ts";
import { transportContract } from "./transport_contract.ts";

/** Real time that no event of a healthy machine takes. */
const GIVE_UP_MS = 20_000;

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const beganMs = performance.now();
  while (!condition()) {
    if (performance.now() - beganMs > GIVE_UP_MS) throw new Error(`waited in vain: ${what}`);
    await turn();
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await turn();
}

const LOOPBACK = {
  addressOfA: { host: "127.0.0.1", port: 0 },
  addressOfB: { host: "127.0.0.1", port: 0 },
};
const REAL = { ...LOOPBACK, until, settle };

transportContract("DenoTransport", () => {
  const transport = new DenoTransport();
  return { a: transport, b: transport, ...REAL };
});

// A client in Node, whose server is Deno's.
transportContract("NodeTransport with DenoTransport", () => {
  return { a: new NodeTransport(), b: new DenoTransport(), ...REAL };
});

transportContract("NodeTransport", () => {
  const transport = new NodeTransport();
  return { a: transport, b: transport, ...REAL };
});

for (const delayMs of [0, 3]) {
  transportContract(`MemoryNetwork, delay ${delayMs} ms`, () => {
    const clock = new ManualClock();
    const network = new MemoryNetwork(clock, { delayMs });
    return {
      a: network.transport("a"),
      b: network.transport("b"),
      addressOfA: { host: "a", port: 0 },
      addressOfB: { host: "b", port: 0 },
      async until(what, condition) {
        for (let i = 0; i < 10_000 && !condition(); i++) await clock.run(1);
        if (!condition()) throw new Error(`waited in vain: ${what}`);
      },
      settle: () => clock.run(50),
    };
  });
}

Deno.test("DenoTransport gives up connecting after the time given", async () => {
  // A listener that accepts nothing, and whose queue is full, lets a further attempt hang.
  const full = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const address = { host: "127.0.0.1", port: full.addr.port };
  const streams: Stream[] = [];
  const errors: Error[] = [];
  const attempts = 8;
  for (let i = 0; i < attempts; i++) {
    new DenoTransport().connect(
      address,
      100,
      (stream) => streams.push(stream),
      (error) => errors.push(error),
    );
  }
  await until("all are settled", () => streams.length + errors.length === attempts);
  await settle();
  assertEquals(streams.length + errors.length, attempts);
  const [error] = errors;
  assertEquals(error instanceof KvError && error.code, "unavailable");
  assertEquals(
    error?.message,
    `connect to 127.0.0.1:${address.port}: no answer within 100 ms`,
  );
  let closed = 0;
  for (const stream of streams) {
    stream.start({ onData() {}, onClose: () => closed++ });
    stream.close();
  }
  await until("all are closed", () => closed === streams.length);
  full.close();
  await settle();
});

Deno.test("DenoTransport says in one line why an address cannot be bound", async () => {
  const transport = new DenoTransport();
  for (const host of ["203.0.113.7", "no-such-host.invalid"]) {
    const error = await assertRejects(() => transport.listen({ host, port: 0 }, () => {}), KvError);
    assertEquals(error.code, "unavailable");
    assertEquals(error.message.includes("\n"), false);
    assertEquals(error.message.startsWith(`listen on ${host}:0: `), true, error.message);
  }
});

Deno.test("DenoTransport: a client that half-closes gets its answer", async () => {
  const transport = new DenoTransport();
  let text = "";
  const listener = await transport.listen({ host: "127.0.0.1", port: 0 }, (stream: Stream) => {
    stream.start({
      onData: (bytes) => text += new TextDecoder().decode(bytes),
      onEnd: () => {
        stream.write(new TextEncoder().encode(`got ${text}`));
        stream.close(true);
      },
      onClose: () => {},
    });
  });
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: listener.address.port });
  await conn.write(new TextEncoder().encode("hello"));
  await conn.closeWrite();
  const reply = await new Response(conn.readable).text();
  assertEquals(reply, "got hello");
  listener.close();
  await settle();
});

Deno.test("DenoTransport: a reset by the other side is one onClose with a reason", async () => {
  const transport = new DenoTransport();
  const reasons: (Error | undefined)[] = [];
  const streams: Stream[] = [];
  const listener = await transport.listen({ host: "127.0.0.1", port: 0 }, (stream) => {
    streams.push(stream);
    stream.start({ onData: () => {}, onClose: (reason) => reasons.push(reason), onEnd: () => {} });
  });
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: listener.address.port });
  await until("it is accepted", () => streams.length === 1);
  streams[0]?.write(new Uint8Array(100_000));
  await settle();
  // Closing with unread bytes resets the connection.
  conn.close();
  streams[0]?.write(new Uint8Array(100_000));
  await until("it is known", () => reasons.length > 0);
  await settle();
  assertEquals(reasons.length, 1);
  assertEquals(reasons[0] instanceof KvError && reasons[0].code, "unavailable");
  listener.close();
  await settle();
});
