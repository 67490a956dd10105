/**
 * What every Transport must do, real or in memory. A harness says how to reach it and how to let
 * events happen.
 *
 * @module
 */
import { assertEquals, assertExists, assertInstanceOf, assertRejects } from "@std/assert";
import { KvError } from "../../shared/base/errors.ts";
import {
  STREAM_HIGH_WATER_BYTES,
  STREAM_LOW_WATER_BYTES,
} from "../../shared/limits/connections.ts";
import type { Address, Listener, Stream, Transport } from "../../shared/platform/transport.ts";

/** One kind of transport. */
export interface TransportHarness {
  /** Two hosts of one network; may be the same. */
  readonly a: Transport;
  readonly b: Transport;
  /** Where `b` listens, port 0. */
  readonly addressOfB: Address;
  readonly addressOfA: Address;
  /** Lets events happen until the condition holds; throws if that takes unreasonably long. */
  until(what: string, condition: () => boolean): Promise<void>;
  /** Lets everything happen that is due. */
  settle(): Promise<void>;
}

/** One end of a stream, and all that came of it. */
class End {
  text = "";
  ends = 0;
  closes = 0;
  drains = 0;
  reason: Error | undefined;
  /** `onData` was called in the wrong place. */
  wrong = false;
  keepsHalfOpen = false;
  #inside = false;
  readonly stream: Stream;

  constructor(stream: Stream, halfClose = false) {
    this.stream = stream;
    this.#guard(() =>
      stream.start({
        onData: (bytes) => {
          if (this.#inside || this.closes > 0) this.wrong = true;
          this.text += new TextDecoder("latin1").decode(bytes);
          bytes.fill(0x3f);
        },
        onClose: (reason) => {
          if (this.#inside) this.wrong = true;
          this.closes++;
          this.reason = reason;
        },
        onDrain: () => {
          if (this.#inside) this.wrong = true;
          this.drains++;
        },
        ...(halfClose ? { onEnd: () => this.ends++ } : {}),
      })
    );
  }

  write(text: string): void {
    this.#guard(() => this.stream.write(new TextEncoder().encode(text)));
  }

  close(flush?: boolean): void {
    this.#guard(() => this.stream.close(flush));
  }

  /** Nothing may be called from inside a call. */
  #guard(action: () => void): void {
    this.#inside = true;
    action();
    this.#inside = false;
  }
}

interface Connected {
  listener: Listener;
  near: End;
  far: End;
}

async function connected(harness: TransportHarness, halfClose = false): Promise<Connected> {
  const { a, b } = harness;
  let far: End | undefined;
  let near: End | undefined;
  const listener = await b.listen(harness.addressOfB, (stream) => far = new End(stream, halfClose));
  a.connect(listener.address, 5_000, (stream) => near = new End(stream, halfClose), (error) => {
    throw error;
  });
  await harness.until("both ends are open", () => near !== undefined && far !== undefined);
  assertExists(near);
  assertExists(far);
  return { listener, near, far };
}

async function closeBoth(harness: TransportHarness, { listener, near, far }: Connected) {
  near.close();
  far.close();
  listener.close();
  await harness.until("both ends are closed", () => near.closes > 0 && far.closes > 0);
  await harness.settle();
  for (const end of [near, far]) {
    assertEquals(end.closes, 1, "onClose is called once");
    assertEquals(end.wrong, false, "nothing is called from inside a call or after the end");
  }
}

/** Registers the tests. */
export function transportContract(name: string, make: () => TransportHarness): void {
  const test = (what: string, body: (harness: TransportHarness) => Promise<void>) =>
    Deno.test(`${name}: ${what}`, () => body(make()));

  test("a listener says which port it was given", async (harness) => {
    const listener = await harness.b.listen(harness.addressOfB, () => {});
    assertEquals(listener.address.port > 0, true);
    listener.close();
    listener.close();
  });

  test("listening on a port in use is address_in_use", async (harness) => {
    const listener = await harness.b.listen(harness.addressOfB, () => {});
    const error = await assertRejects(
      () => harness.b.listen(listener.address, () => {}),
      KvError,
    );
    assertEquals(error.code, "address_in_use");
    assertEquals(error.message.includes("\n"), false);
    listener.close();
    await harness.settle();
    const again = await harness.b.listen(listener.address, () => {});
    again.close();
  });

  test("bytes go both ways, in order", async (harness) => {
    const both = await connected(harness);
    const { near, far } = both;
    let wanted = "";
    for (let i = 0; i < 1_000; i++) {
      near.write(`${i},`);
      wanted += `${i},`;
    }
    far.write("back");
    await harness.until("all has come", () => far.text === wanted && near.text === "back");
    await harness.until("all is sent", () => near.stream.queuedBytes === 0);
    await closeBoth(harness, both);
  });

  test("a large write arrives whole, and is counted until the system takes it", async (harness) => {
    const both = await connected(harness);
    const { near, far } = both;
    const text = "0123456789abcdef".repeat(300_000);
    near.write(text);
    assertEquals(near.stream.queuedBytes, text.length);
    await harness.until("all has come", () => far.text.length === text.length);
    assertEquals(far.text === text, true);
    await harness.until("all is sent", () => near.stream.queuedBytes === 0);
    await closeBoth(harness, both);
  });

  test("data that comes before start is kept", async (harness) => {
    const { a, b } = harness;
    const streams: Stream[] = [];
    const listener = await b.listen(harness.addressOfB, (stream) => streams.push(stream));
    let near: End | undefined;
    a.connect(listener.address, 5_000, (stream) => near = new End(stream), () => {});
    await harness.until("both ends are open", () => near !== undefined && streams.length > 0);
    near?.write("early");
    await harness.settle();
    const [stream] = streams;
    assertExists(stream);
    assertExists(near);
    const far = new End(stream);
    await harness.until("it has come", () => far.text === "early");
    await closeBoth(harness, { listener, near, far });
  });

  test("close without flush ends both sides", async (harness) => {
    const both = await connected(harness);
    both.near.close();
    both.near.write("never");
    await harness.until("both know", () => both.near.closes === 1 && both.far.closes === 1);
    assertEquals(both.near.reason, undefined);
    assertEquals(both.far.text, "");
    await closeBoth(harness, both);
  });

  test("close with flush sends what was queued first", async (harness) => {
    const both = await connected(harness);
    const text = "x".repeat(2_000_000);
    both.near.write(text);
    both.near.close(true);
    both.near.write("never");
    await harness.until("the other side has closed", () => both.far.closes === 1);
    assertEquals(both.far.text.length, text.length);
    assertEquals(both.far.reason, undefined);
    await closeBoth(harness, both);
  });

  test("close with flush lets a last message out though the other side still sends", async (harness) => {
    const both = await connected(harness);
    for (let i = 0; i < 20; i++) both.far.write("y".repeat(100_000));
    both.near.write("go away");
    both.near.close(true);
    await harness.until("it has come", () => both.far.text === "go away");
    await harness.until("both are closed", () => both.near.closes + both.far.closes === 2);
    assertEquals(both.near.text, "");
    await closeBoth(harness, both);
  });

  test("with onEnd the stream stays open for what is to be sent", async (harness) => {
    const { a, b } = harness;
    let far: End | undefined;
    let near: End | undefined;
    const listener = await b.listen(harness.addressOfB, (stream) => far = new End(stream, true));
    a.connect(listener.address, 5_000, (stream) => near = new End(stream), () => {});
    await harness.until("both ends are open", () => near !== undefined && far !== undefined);
    assertExists(near);
    assertExists(far);
    near.write("question");
    near.close(true);
    await harness.until("the end has come", () => far?.ends === 1);
    assertEquals(far.text, "question");
    assertEquals(far.closes, 0);
    far.write("answer");
    far.close(true);
    await closeBoth(harness, { listener, near, far });
  });

  test("pause holds data back until resume", async (harness) => {
    const both = await connected(harness);
    both.near.write("one");
    await harness.until("it has come", () => both.far.text === "one");
    both.far.stream.pause();
    await harness.settle();
    both.near.write("two");
    await harness.settle();
    assertEquals(both.far.text, "one");
    both.far.stream.resume();
    await harness.until("the rest has come", () => both.far.text === "onetwo");
    await closeBoth(harness, both);
  });

  test("a reader that is paused makes the writer's queue grow; onDrain follows", async (harness) => {
    const both = await connected(harness);
    both.far.stream.pause();
    // More than any socket buffer takes.
    const piece = "z".repeat(STREAM_HIGH_WATER_BYTES);
    const pieces = 24;
    for (let i = 0; i < pieces; i++) both.near.write(piece);
    await harness.settle();
    assertEquals(both.near.stream.queuedBytes > STREAM_HIGH_WATER_BYTES, true);
    assertEquals(both.near.drains, 0);
    both.far.stream.resume();
    await harness.until("it has drained", () => both.near.drains > 0);
    assertEquals(both.near.stream.queuedBytes < STREAM_LOW_WATER_BYTES, true);
    await harness.until("all has come", () => both.far.text.length === pieces * piece.length);
    assertEquals(both.near.drains, 1);
    await closeBoth(harness, both);
  });

  test("a stream that is paused can be closed", async (harness) => {
    for (const flush of [false, true]) {
      const both = await connected(harness);
      both.near.stream.pause();
      both.far.write("unread");
      await harness.settle();
      both.near.close(flush);
      await harness.until("both know", () => both.near.closes + both.far.closes === 2);
      assertEquals(both.near.text, "");
      await closeBoth(harness, both);
    }
  });

  test("connecting where nobody listens fails once, with unavailable", async (harness) => {
    const listener = await harness.b.listen(harness.addressOfB, () => {});
    listener.close();
    const errors: Error[] = [];
    let inside = true;
    harness.a.connect(
      listener.address,
      5_000,
      () => errors.push(new Error("connected")),
      (error) => errors.push(inside ? new Error("called too early") : error),
    );
    inside = false;
    await harness.until("it has failed", () => errors.length > 0);
    await harness.settle();
    assertEquals(errors.length, 1);
    const [error] = errors;
    assertInstanceOf(error, KvError);
    assertEquals(error.code, "unavailable");
    assertEquals(error.message.includes("\n"), false);
    assertEquals(error.message.includes(String(listener.address.port)), true);
  });

  test("an attempt that was abandoned calls nobody", async (harness) => {
    const streams: Stream[] = [];
    const listener = await harness.b.listen(harness.addressOfB, (stream) => {
      stream.start({ onData() {}, onClose() {} });
    });
    let calls = 0;
    const abandon = harness.a.connect(listener.address, 5_000, (stream) => {
      streams.push(stream);
      calls++;
    }, () => calls++);
    abandon();
    abandon();
    await harness.settle();
    assertEquals(calls, 0);
    listener.close();
    await harness.settle();
  });

  test("datagrams arrive with the sender's address", async (harness) => {
    const got: string[] = [];
    const b = await harness.b.bindDatagram(harness.addressOfB, (bytes, from) => {
      got.push(`${new TextDecoder().decode(bytes)} ${from.port}`);
      b.send(new TextEncoder().encode("pong"), from);
    });
    const back: string[] = [];
    const a = await harness.a.bindDatagram(harness.addressOfA, (bytes, from) => {
      back.push(`${new TextDecoder().decode(bytes)} ${from.port}`);
    });
    a.send(new TextEncoder().encode("ping"), b.address);
    await harness.until("both have come", () => got.length === 1 && back.length === 1);
    assertEquals(got, [`ping ${a.address.port}`]);
    assertEquals(back, [`pong ${b.address.port}`]);
    a.close();
    b.close();
    b.close();
    a.send(new Uint8Array(1), b.address);
    await harness.settle();
  });

  test("sending a datagram where nobody receives is no error", async (harness) => {
    const b = await harness.b.bindDatagram(harness.addressOfB, () => {});
    b.close();
    const a = await harness.a.bindDatagram(harness.addressOfA, () => {});
    for (let i = 0; i < 3; i++) {
      a.send(new Uint8Array(10), b.address);
      await harness.settle();
    }
    a.close();
    await harness.settle();
  });

  test("binding a datagram port in use is address_in_use", async (harness) => {
    const socket = await harness.b.bindDatagram(harness.addressOfB, () => {});
    const error = await assertRejects(
      () => harness.b.bindDatagram(socket.address, () => {}),
      KvError,
    );
    assertEquals(error.code, "address_in_use");
    socket.close();
    await harness.settle();
  });

  test("datagram sockets share a port where all of them say so", async (harness) => {
    const shared = { shared: true };
    const socket = await harness.b.bindDatagram(harness.addressOfB, () => {}, shared);
    const second = await harness.b.bindDatagram(socket.address, () => {}, shared);
    assertEquals(second.address, socket.address);
    const error = await assertRejects(
      () => harness.b.bindDatagram(socket.address, () => {}),
      KvError,
    );
    assertEquals(error.code, "address_in_use");
    socket.close();
    const third = await harness.b.bindDatagram(socket.address, () => {}, shared);
    second.close();
    third.close();
    await harness.settle();
  });
}
