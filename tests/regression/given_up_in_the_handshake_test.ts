/**
 * A client that gave up a connection over TLS in the moment in which the handshake ended closed it twice, which Deno
 * answers with an error that nobody took: it ended the client's process.
 */
import { assertEquals } from "@std/assert";
import { DenoTransport } from "../../shared/platform/deno/deno_transport.ts";

/** What becomes of a connection whose caller gives up when `moment` comes; how often it is closed. */
async function closedAfter(moment: "before the handshake" | "as it ends"): Promise<number> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { hostname: host, port } = listener.addr;
  const { startTls } = Deno;
  let closed = 0;
  const done = Promise.withResolvers<void>();
  let giveUp = () => {};
  Deno.startTls = (plain) => {
    if (moment === "before the handshake") giveUp();
    // Only what the transport uses of it.
    return Promise.resolve({
      close: () => {
        if (++closed > 1) throw new Deno.errors.BadResource("closed twice");
        plain.close();
        done.resolve();
      },
      handshake: () => {
        if (moment === "as it ends") giveUp();
        return Promise.resolve({});
      },
    } as unknown as Deno.TlsConn);
  };
  try {
    const transport = new DenoTransport(undefined, { authority: "PEM" });
    giveUp = transport.connect(
      { host, port },
      60_000,
      () => done.reject(new Error("it was given up, and opened")),
      () => done.reject(new Error("it was given up, and failed")),
    );
    (await listener.accept()).close();
    await done.promise;
    // An error that nobody takes comes behind all that is due, and fails the test.
    await new Promise((resolve) => setTimeout(resolve));
    return closed;
  } finally {
    Deno.startTls = startTls;
  }
}

Deno.test("a connection that is given up in the moment in which its handshake ends is closed once", async () => {
  assertEquals(await closedAfter("as it ends"), 1);
});

Deno.test("a connection that is given up before its handshake is closed once, and is not shaken hands over", async () => {
  assertEquals(await closedAfter("before the handshake"), 1);
});
