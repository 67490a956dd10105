/**
 * Every front end against every bound of what comes from outside (`shared/limits/`), over real sockets:
 * JSON wire, Redis protocol and HTTP of a node, JSON wire and HTTP of a coordinator. After each attack
 * another client is served at every front end.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Coordinator } from "../../../coordinator/coordinator.ts";
import { NodeRuntime } from "../../../node/node_runtime.ts";
import { MemoryFolder } from "../../../node/storage/memory/memory_folder.ts";
import type { Admission, AdmissionOptions } from "../../../shared/admission/admission.ts";
import {
  FIRST_BYTE_TIMEOUT_MS,
  FIRST_MESSAGE_TIMEOUT_MS,
} from "../../../shared/limits/admission.ts";
import { WEIGHT_DEFAULT } from "../../../shared/limits/cluster.ts";
import { listenHttp } from "../../../shared/http/deno_http_server.ts";
import { SystemClock } from "../../../shared/platform/clock.ts";
import { DenoTransport } from "../../../shared/platform/deno/deno_transport.ts";
import { NO_LOG } from "../../support/doubles/no_log.ts";
import { SystemRandom } from "../../../shared/platform/random.ts";
import { PROTOCOL_VERSION } from "../../../shared/wire/messages.ts";
import { MemoryDocumentStore } from "../../support/doubles/memory_document_store.ts";

const KIB = 1024;
const LOOPBACK = { host: "127.0.0.1", port: 0 };
/** Bound of each wait; no test waits for it to pass. */
const WAIT_BOUND_MS = 30_000;
const encoder = new TextEncoder();

/** A clock that a test can put forward; its timers are the real ones. */
class LeapingClock extends SystemClock {
  aheadMs = 0;
  readonly #looks = new Set<ReturnType<typeof setTimeout>>();
  readonly #waiting = new Map<() => void, { dueMs: number; cancel: () => void }>();

  override monotonicMs(): number {
    return super.monotonicMs() + this.aheadMs;
  }

  override setTimer(delayMs: number, callback: () => void) {
    const fire = () => {
      this.#waiting.delete(fire);
      callback();
    };
    const timer = super.setTimer(delayMs, fire);
    const cancel = () => {
      this.#waiting.delete(fire);
      timer.cancel();
    };
    this.#waiting.set(fire, { dueMs: this.monotonicMs() + delayMs, cancel });
    return { cancel };
  }

  /** What is brought about at the very end is not waited for by anybody: see {@linkcode close}. */
  override afterSockets(callback: () => void): void {
    const look = setTimeout(() => {
      this.#looks.delete(look);
      callback();
    }, 0);
    this.#looks.add(look);
  }

  /** After the server: a scheduler's look at the sockets may still be due. */
  close(): void {
    for (const look of this.#looks) clearTimeout(look);
  }

  /** Fires what is due then. */
  leap(ms: number): void {
    this.aheadMs += ms;
    for (const [fire, { dueMs, cancel }] of [...this.#waiting]) {
      if (dueMs > this.monotonicMs()) continue;
      cancel();
      fire();
    }
  }
}

/** How a protocol says things. */
interface Protocol {
  readonly name: string;
  readonly ping: string;
  readonly pong: string;
  /** A read of `large`, if there is one. */
  readonly read: string;
  /** The beginning of a message, with this many bytes. */
  begun(bytes: number): string;
  /** Something that nests so deep, if it can nest. */
  deep?(levels: number): string;
}

const deepBatch = (levels: number) =>
  '{"req_type":"batch","requests":['.repeat(levels) + "{}" + "]}".repeat(levels);
const post = (path: string, body: string) =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n` +
  `Content-Length: ${body.length}\r\n\r\n${body}`;

const WIRE: Protocol = {
  name: "JSON wire",
  ping: '{"id":1,"req_type":"ping"}\n',
  pong: "pong",
  read: '{"id":2,"req_type":"get","key":"large"}\n',
  begun: (bytes) => '{"req_type":"put","key":"k","value":"'.padEnd(bytes, "x"),
  deep: (levels) => deepBatch(levels) + "\n",
};
const RESP: Protocol = {
  name: "Redis protocol",
  ping: "*1\r\n$4\r\nPING\r\n",
  pong: "+PONG",
  read: "GET large\r\n",
  begun: (bytes) => "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8000000\r\n".padEnd(bytes, "x"),
};
const HTTP: Protocol = {
  name: "HTTP",
  ping: "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n",
  pong: "HTTP/1.1 200",
  read: "GET /kv/large HTTP/1.1\r\nHost: localhost\r\n\r\n",
  begun: (bytes) =>
    "POST /set HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n".padEnd(bytes, "x"),
  deep: (levels) => post("/batch", deepBatch(levels)),
};

/** One connection, over which everything is text. */
class Caller implements Disposable {
  text = "";
  closed = false;
  readonly #connection: Deno.TcpConn;
  #open = true;

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  static async to(port: number): Promise<Caller> {
    return new Caller(await Deno.connect({ hostname: LOOPBACK.host, port }));
  }

  /** What the other side does not take any more is no matter. */
  async send(text: string): Promise<void> {
    const bytes = encoder.encode(text);
    try {
      for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
    } catch {
      this.closed = true;
    }
  }

  /** Reads until a text has come; undefined: until the end. */
  async until(part: string | undefined): Promise<string> {
    const buffer = new Uint8Array(64 * KIB);
    const timer = setTimeout(() => this[Symbol.dispose](), WAIT_BOUND_MS);
    try {
      while (part === undefined || !this.text.includes(part)) {
        const count = await this.#connection.read(buffer).catch(() => null);
        if (count === null) {
          this.closed = true;
          break;
        }
        this.text += new TextDecoder("latin1").decode(buffer.subarray(0, count));
      }
    } finally {
      clearTimeout(timer);
    }
    if (!this.#open) throw new Error(`waited for ${part}, got ${this.text.slice(0, 1_000)}`);
    return this.text;
  }

  [Symbol.dispose](): void {
    if (this.#open) this.#connection.close();
    this.#open = false;
  }
}

/** A front end of a running server. */
interface FrontEnd extends Protocol {
  readonly port: number;
}

/** A server with its front ends. */
interface Site extends AsyncDisposable {
  readonly frontEnds: readonly FrontEnd[];
  readonly admission: Admission;
  readonly clock: LeapingClock;
  readonly peerHello: string;
}

const deps = (clock: LeapingClock) => ({
  clock,
  random: new SystemRandom(),
  transport: new DenoTransport(),
  logger: () => NO_LOG,
});

async function startNode(admission: AdmissionOptions): Promise<Site> {
  const clock = new LeapingClock();
  const folder = new MemoryFolder(clock, new SystemRandom());
  const runtime = await NodeRuntime.start(deps(clock), {
    listen: [LOOPBACK],
    openFolder: () => Promise.resolve(folder),
    memory: true,
    fsync: "always",
    cacheBytes: 0,
    weight: WEIGHT_DEFAULT,
    openHttp: (_port, handle, control) => listenHttp([LOOPBACK], handle, control),
    admission,
    cluster: { standalone: true, partitionCount: 1 },
  });
  const { port } = runtime.address;
  return {
    frontEnds: [{ ...WIRE, port }, { ...RESP, port }, { ...HTTP, port: runtime.httpPort }],
    admission: runtime.admission,
    clock,
    peerHello: hello(folder.nodeId, folder.clusterId ?? ""),
    async [Symbol.asyncDispose]() {
      await runtime.close();
      clock.close();
    },
  };
}

async function startCoordinator(admission: AdmissionOptions): Promise<Site> {
  const clock = new LeapingClock();
  const coordinator = await Coordinator.start(
    { ...deps(clock), store: new MemoryDocumentStore() },
    {
      listen: LOOPBACK,
      heartbeats: LOOPBACK,
      settings: {},
      repairDelayMs: 1_000,
      expectNodes: 1,
      cacheEntries: 0,
      openHttp: (_port, handle, control) => listenHttp([LOOPBACK], handle, control),
      admission,
    },
  );
  return {
    frontEnds: [{ ...WIRE, port: coordinator.address.port }, {
      ...HTTP,
      port: coordinator.httpPort,
    }],
    admission: coordinator.admission,
    clock,
    peerHello: hello("n1", coordinator.map?.settings.clusterId ?? ""),
    async [Symbol.asyncDispose]() {
      await coordinator.close();
      clock.close();
    },
  };
}

function hello(node: string, cluster: string): string {
  const message = { req_type: "hello", protocol: PROTOCOL_VERSION, role: "node", node };
  return JSON.stringify({ id: 7, ...message, cluster_id: cluster }) + "\n";
}

/** Somebody else is served at every front end. */
async function othersAreServed(site: Site): Promise<void> {
  for (const { name, port, ping, pong } of site.frontEnds) {
    using caller = await Caller.to(port);
    await caller.send(ping);
    assertStringIncludes(await caller.until(pong), pong, name);
  }
}

/** Opens connections, and ends them whatever happens. */
class Crowd implements Disposable {
  readonly callers: Caller[] = [];

  async add(count: number, port: number, text = ""): Promise<Caller[]> {
    const added: Caller[] = [];
    for (let i = 0; i < count; i++) {
      const caller = await Caller.to(port);
      added.push(caller);
      this.callers.push(caller);
      if (text !== "") await caller.send(text);
    }
    return added;
  }

  [Symbol.dispose](): void {
    for (const caller of this.callers) caller[Symbol.dispose]();
  }
}

const SERVERS = { node: startNode, coordinator: startCoordinator };

for (const [role, start] of Object.entries(SERVERS)) {
  Deno.test(`${role}, every front end: what nests too deep is refused, and the process lives`, async () => {
    await using site = await start({});
    for (const { name, port, deep, ping, pong } of site.frontEnds) {
      if (deep === undefined) continue;
      for (const levels of [40, 11_000]) {
        using caller = await Caller.to(port);
        await caller.send(deep(levels));
        assertStringIncludes(await caller.until("nest deeper"), "bad_request", name);
        await caller.send(ping);
        await caller.until(pong);
      }
    }
    await othersAreServed(site);
  });

  Deno.test(`${role}, every front end: silent connections hold nobody out`, async () => {
    await using site = await start({ connectionsMax: 6, peerConnectionsMax: 2 });
    for (const { port } of site.frontEnds) {
      using crowd = new Crowd();
      await crowd.add(20, port);
      await othersAreServed(site);
    }
  });

  Deno.test(`${role}, every front end: clients beyond the bound are told so, and peers come in`, async () => {
    await using site = await start({ connectionsMax: 5, peerConnectionsMax: 2 });
    const [wire] = site.frontEnds;
    assert(wire !== undefined);
    using crowd = new Crowd();
    for (const caller of await crowd.add(5, wire.port, wire.ping)) await caller.until(wire.pong);
    for (const { name, port, ping } of site.frontEnds) {
      using caller = await Caller.to(port);
      await caller.send(ping);
      assertStringIncludes(await caller.until(undefined), "overloaded", name);
    }
    using peer = await Caller.to(wire.port);
    await peer.send(site.peerHello);
    assertStringIncludes(await peer.until('"id":7'), '"ack"');
    crowd[Symbol.dispose]();
    // Their ends come in some order of the system's.
    for (let text = ""; !text.includes(wire.pong);) {
      using next = await Caller.to(wire.port);
      await next.send(wire.ping);
      text = await next.until("\n");
    }
  });

  Deno.test(`${role}, every front end: messages that are not complete are bounded together`, async () => {
    const bounds = { newcomer: 1_000 * KIB, client: 1_000 * KIB, peer: 1_000 * KIB };
    await using site = await start({ unfinishedBytesMax: bounds });
    for (const { name, port, begun, ping, pong } of site.frontEnds) {
      for (const greeting of ["", ping]) {
        using crowd = new Crowd();
        const small = await crowd.add(1, port, greeting);
        if (greeting !== "") await small[0]?.until(pong);
        await small[0]?.send(begun(10 * KIB));
        const large = await crowd.add(8, port, greeting);
        for (const caller of large) {
          if (greeting !== "") await caller.until(pong);
          await caller.send(begun(300 * KIB));
        }
        const [refused] = await Promise.all([
          Promise.any(large.map(async (caller) => {
            const text = await caller.until("overloaded");
            if (!text.includes("overloaded")) throw new Error("ended");
            return text;
          })),
          othersAreServed(site),
        ]);
        assertStringIncludes(refused, "not complete", name);
        assertEquals(small[0]?.closed, false, name);
        assert(Number(site.admission.stats().unfinished_bytes) <= 2 * bounds.client);
      }
    }
  });

  Deno.test(`${role}, every front end: requests are refused if too much is under way`, async () => {
    await using site = await start({ requestBytesMax: 10_000 });
    assert(site.admission.requests.take(9_999));
    for (const { name, port } of site.frontEnds) {
      const request = name === WIRE.name
        ? '{"id":3,"req_type":"list_nodes"}\n'
        : name === RESP.name
        ? "GET k\r\n"
        : "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
      using caller = await Caller.to(port);
      await caller.send(request);
      assertStringIncludes(await caller.until("overloaded"), "overloaded", name);
    }
    site.admission.requests.give(9_999);
    await othersAreServed(site);
  });

  Deno.test(`${role}, every front end: the first byte and the first message have a deadline`, async () => {
    await using site = await start({});
    for (const { name, port, begun, ping, pong } of site.frontEnds) {
      using crowd = new Crowd();
      const [silent, slow, client] = [
        await Caller.to(port),
        await Caller.to(port),
        await Caller.to(port),
      ];
      crowd.callers.push(silent, slow, client);
      await client.send(ping);
      await client.until(pong);
      // HTTP's first message is its head, which is all that counts there.
      await slow.send(name === HTTP.name ? "GET / HTTP/1.1\r\n" : begun(20));
      await othersAreServed(site);
      site.clock.leap(FIRST_BYTE_TIMEOUT_MS + 1);
      await silent.until(undefined);
      site.clock.leap(FIRST_MESSAGE_TIMEOUT_MS);
      await slow.until(undefined);
      client.text = "";
      await client.send(ping);
      assertStringIncludes(await client.until(pong), pong, name);
    }
  });
}

Deno.test("node, every front end: replies that nobody takes are bounded together", async () => {
  const bounds = { newcomer: 16 * KIB, client: 24_000 * KIB, peer: 24_000 * KIB };
  await using site = await startNode({ queuedBytesMax: bounds });
  const [wire] = site.frontEnds;
  assert(wire !== undefined);
  using writer = await Caller.to(wire.port);
  const value = "v".repeat(6_000 * KIB);
  await writer.send(JSON.stringify({ id: 1, req_type: "put", key: "large", value }) + "\n");
  await writer.until("success");
  for (const { name, port, read } of site.frontEnds) {
    using crowd = new Crowd();
    for (let i = 0; i < 4; i++) {
      for (const caller of await crowd.add(3, port)) await caller.send(read.repeat(3));
      await othersAreServed(site);
      const { queued_bytes: queued = 0 } = site.admission.stats();
      assert(queued <= bounds.client, `${name}: ${queued} bytes are queued`);
    }
  }
  await othersAreServed(site);
});
