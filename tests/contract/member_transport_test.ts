/**
 * Connections between members over the real network: they are streams as any other, and only those get through who
 * should. An upgrade of Deno must pass this (docs/decisions/0015-tls-servers.md).
 */
import { connect as connectTcp } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { KvError } from "../../shared/base/errors.ts";
import { checkCertificatesCount } from "../../shared/platform/deno/deno_tls_check.ts";
import { TlsConnection } from "../../shared/platform/deno/deno_tls_connection.ts";
import { DenoTransport } from "../../shared/platform/deno/deno_transport.ts";
import {
  MemberTransport,
  type MemberTransportOptions,
} from "../../shared/platform/deno/deno_member_transport.ts";
import {
  type MemberCredentials,
  memberServerName,
  type WantedMember,
} from "../../shared/platform/member_identity.ts";
import type { Listener, Stream, Transport } from "../../shared/platform/transport.ts";
import { readMemberCertificate } from "../../shared/security/certificate_authority.ts";
import { HeldMemberIdentity } from "../../shared/security/member_identity.ts";
import { MemberMaker, serialOf } from "../support/data/members.ts";
import { transportContract } from "./transport_contract.ts";

/** Real time that no event of a healthy machine takes. */
const GIVE_UP_MS = 20_000;
const DAY_MS = 86_400_000;
const LOOPBACK = { host: "127.0.0.1", port: 0 };

const ours = await MemberMaker.create();
const foreign = await MemberMaker.create();
const SERVER = { role: "node", id: "aaaa" } as const;

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

function transportOf(
  credentials: MemberCredentials | HeldMemberIdentity,
  options: Partial<MemberTransportOptions> = {},
): MemberTransport {
  const identity = credentials instanceof HeldMemberIdentity
    ? credentials
    : new HeldMemberIdentity(credentials);
  return new MemberTransport(identity, { datagrams: new DenoTransport(), ...options });
}

/** Whoever connects looks for one member. */
function looksFor(transport: Transport, wanted: WantedMember): Transport {
  return {
    listen: (...given) => transport.listen(...given),
    connect: (address, timeoutMs, onOpen, onFail) =>
      transport.connect(address, timeoutMs, onOpen, onFail, wanted),
    bindDatagram: (...given) => transport.bindDatagram(...given),
  };
}

const [a, b] = [await ours.identity("bbbb"), await ours.identity(SERVER.id)];
for (const clients of [false, true]) {
  transportContract(`MemberTransport${clients ? " for clients too" : ""}`, () => {
    return {
      a: looksFor(transportOf(a), SERVER),
      b: transportOf(b, { clients }),
      addressOfA: LOOPBACK,
      addressOfB: LOOPBACK,
      until,
      settle,
    };
  });
}

/** A member's port that answers each piece with who sent it. */
class Port implements AsyncDisposable {
  readonly identity: HeldMemberIdentity;
  /** Who was answered. */
  readonly served: string[] = [];
  readonly #open = new Set<Stream>();
  #listener: Listener | undefined;
  accepted = 0;

  constructor(identity: HeldMemberIdentity) {
    this.identity = identity;
  }

  static async open(
    identity: HeldMemberIdentity,
    options: Partial<MemberTransportOptions> = {},
  ): Promise<Port> {
    const port = new Port(identity);
    port.#listener = await transportOf(identity, options).listen(LOOPBACK, (stream) => {
      port.accepted++;
      port.#open.add(stream);
      stream.start({
        onData: () => {
          const { role, id } = stream.member ?? { role: "client", id: "" };
          const who = `${role} ${id}`.trim();
          port.served.push(who);
          stream.write(new TextEncoder().encode(who));
        },
        onClose: () => port.#open.delete(stream),
      });
    });
    return port;
  }

  get port(): number {
    return this.#listener?.address.port ?? 0;
  }

  get open(): number {
    return this.#open.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener?.close();
    for (const stream of this.#open) stream.close();
    await until("all are closed", () => this.open === 0);
    await settle();
  }
}

/** What somebody who shows this gets for a byte; the runtime's own client, which checks only what it is told. */
async function ask(port: number, options: ConnectionOptions): Promise<string> {
  const socket = connectTls({
    host: LOOPBACK.host,
    port,
    servername: memberServerName(SERVER),
    ca: [ours.authority.certificate],
    minVersion: "TLSv1.3",
    ...options,
  });
  let error = "";
  const answer = await new Promise<string>((resolve) => {
    socket.on("data", (bytes) => resolve(String(bytes)));
    socket.on("error", ({ message }) => {
      error = message;
      socket.destroy();
    });
    socket.on("end", () => socket.destroy());
    socket.on("close", () => resolve(`refused: ${error}`));
    socket.write("x");
  });
  const closed = new Promise<void>((resolve) =>
    socket.closed ? resolve() : socket.on("close", () => resolve())
  );
  socket.destroy();
  await closed;
  return answer;
}

function shown({ certificate, key }: MemberCredentials): { cert: string; key: string } {
  return { cert: certificate, key: key.reveal() };
}

for (const clients of [false, true]) {
  const which = clients ? "a port for clients too" : "a port for members";
  Deno.test(`MemberTransport: ${which} refuses each certificate that is not right`, async () => {
    const revoked = await ours.credentials("bbbb");
    await using port = await Port.open(
      new HeldMemberIdentity(await ours.credentials(SERVER.id), [serialOf(revoked)]),
      { clients },
    );
    const own = await ours.credentials("bbbb");
    const refused: Record<string, ConnectionOptions> = {
      foreign: shown(await foreign.credentials("bbbb")),
      expired: shown(await ours.credentials("bbbb", { signedMs: Date.now() - 91 * DAY_MS })),
      "not valid yet": shown(await ours.credentials("bbbb", { signedMs: Date.now() + DAY_MS })),
      revoked: shown(revoked),
      "of another cluster": shown(await ours.credentials("bbbb", { cluster: "c2" })),
      "TLS 1.2": { ...shown(own), minVersion: "TLSv1.2", maxVersion: "TLSv1.2" },
    };
    if (!clients) refused.none = {};
    for (const [what, options] of Object.entries(refused)) {
      assertStringIncludes(await ask(port.port, options), "refused", what);
    }
    assertEquals(port.served, []);
    assertEquals(await ask(port.port, shown(own)), "node bbbb");
    if (clients) assertEquals(await ask(port.port, {}), "client");
    await until("what was refused is closed", () => port.open === 0);
  });
}

/** @returns whether the connection was open long enough before the certificate ended */
async function outlives(short: "caller" | "server", lifetimeMs: number): Promise<boolean> {
  const server = await ours.credentials(SERVER.id, short === "server" ? { lifetimeMs } : {});
  const caller = await ours.credentials("bbbb", short === "caller" ? { lifetimeMs } : {});
  await using port = await Port.open(new HeldMemberIdentity(server));
  let isClosed = false;
  const { certificate } = short === "server" ? server : caller;
  const { untilMs } = readMemberCertificate(certificate);
  let answers = 0;
  let toldMs: number | undefined;
  transportOf(caller).connect(
    { ...LOOPBACK, port: port.port },
    GIVE_UP_MS,
    (stream) => {
      stream.start({
        onData: () => answers++,
        onExpiring: () => {
          toldMs ??= Date.now();
          // It still serves.
          stream.write(new TextEncoder().encode("y"));
        },
        onClose: () => void (isClosed = true),
      });
      stream.write(new TextEncoder().encode("x"));
    },
    () => void (isClosed = true),
    SERVER,
  );
  await until("the connection is closed", () => isClosed);
  if (answers < 2 || toldMs === undefined) return false;
  assert(toldMs < untilMs, "told before its end");
  assert(Date.now() >= untilMs, "closed not before its end");
  await until("the port has closed it", () => port.open === 0);
  return true;
}

for (const short of ["caller", "server"] as const) {
  Deno.test(`MemberTransport: who has opened a connection hears that the ${short}'s certificate ends, and then it is closed`, async () => {
    // On a slow machine the first ones may end before a connection is there.
    for (let lifetimeMs = 2_000; !await outlives(short, lifetimeMs); lifetimeMs *= 2) {
      assert(lifetimeMs < GIVE_UP_MS, "nobody has told of its end");
    }
  });
}

/** Connects as a member, and is served or told why not. */
async function dial(
  transport: Transport,
  port: number,
  wanted: WantedMember,
): Promise<Stream | string> {
  return await new Promise((resolve) =>
    transport.connect(
      { ...LOOPBACK, port },
      5_000,
      resolve,
      ({ message }) => resolve(message),
      wanted,
    )
  );
}

/** Asks over a stream that `dial` has opened. */
class Dialled {
  readonly stream: Stream;
  text = "";
  closes = 0;

  constructor(stream: Stream | string) {
    assert(typeof stream === "object", String(stream));
    this.stream = stream;
    stream.start({
      onData: (bytes) => this.text += new TextDecoder().decode(bytes),
      onClose: () => this.closes++,
    });
  }

  async ask(): Promise<string> {
    this.text = "";
    this.stream.write(new TextEncoder().encode("x"));
    await until("an answer or the end", () => this.text !== "" || this.closes > 0);
    return this.text;
  }
}

Deno.test("MemberTransport: who connects reaches the member that it looks for, or nobody", async () => {
  const identity = await ours.identity("bbbb");
  const transport = transportOf(identity);
  await using port = await Port.open(await ours.identity(SERVER.id));
  await using coordinator = await Port.open(await ours.identity("dddd", "coordinator"));
  await using stranger = await Port.open(await foreign.identity(SERVER.id));
  const old = { signedMs: Date.now() - 91 * DAY_MS };
  await using expired = await Port.open(
    new HeldMemberIdentity(await ours.credentials(SERVER.id, old)),
  );
  const wrong: [string, number, WantedMember][] = [
    ["another id", port.port, { role: "node", id: "cccc" }],
    ["another role", port.port, { role: "coordinator" }],
    ["a node for a coordinator", port.port, { role: "coordinator", id: SERVER.id }],
    ["another authority", stranger.port, SERVER],
    ["an expired one", expired.port, SERVER],
  ];
  for (const [what, at, wanted] of wrong) {
    const reached = await dial(transport, at, wanted);
    assert(typeof reached === "string", what);
    assertStringIncludes(reached, `connect to 127.0.0.1:${at}: `, what);
  }
  assertEquals([...port.served, ...stranger.served], []);
  identity.setRevoked([serialOf(port.identity.current())]);
  assertStringIncludes(String(await dial(transport, port.port, SERVER)), "revoked");
  identity.setRevoked([]);
  const node = new Dialled(await dial(transport, port.port, SERVER));
  assertEquals(node.stream.member?.id, SERVER.id);
  const other = new Dialled(await dial(transport, coordinator.port, { role: "coordinator" }));
  assertEquals(other.stream.member?.role, "coordinator");
  assertEquals([await node.ask(), await other.ask()], ["node bbbb", "node bbbb"]);
  for (const { stream } of [node, other]) stream.close();
  await until("both are closed", () => node.closes + other.closes === 2);
});

Deno.test("MemberTransport: a renewed certificate counts for new connections, and none is lost", async () => {
  const client = await ours.identity("bbbb");
  const transport = transportOf(client);
  await using port = await Port.open(await ours.identity(SERVER.id));
  const before = new Dialled(await dial(transport, port.port, SERVER));
  assertEquals(await before.ask(), "node bbbb");
  const renewed = await ours.credentials(SERVER.id);
  port.identity.renew(renewed);
  client.renew(await ours.credentials("bbbb"));
  const after = new Dialled(await dial(transport, port.port, SERVER));
  assertEquals(after.stream.member?.serial, serialOf(renewed));
  assertEquals([await before.ask(), await after.ask()], ["node bbbb", "node bbbb"]);
  assertStringIncludes(await ask(port.port, {}), "refused", "certificates are still asked for");
  for (const { stream } of [before, after]) stream.close();
  await until("both are closed", () => before.closes + after.closes === 2);
});

Deno.test("MemberTransport: while the authority is rotated both count, then only the new one", async () => {
  const next = await MemberMaker.create();
  const client = await ours.identity("bbbb");
  await using port = await Port.open(await ours.identity(SERVER.id));
  const both = { trusts: [ours, next] };
  const ask = async (): Promise<string> => {
    const reached = await dial(transportOf(client), port.port, SERVER);
    if (typeof reached === "string") return "refused";
    const dialled = new Dialled(reached);
    const answer = await dialled.ask();
    dialled.stream.close();
    await until("it is closed", () => dialled.closes === 1);
    return answer === "" ? "refused" : answer;
  };
  port.identity.renew(await ours.credentials(SERVER.id, both));
  client.renew(await ours.credentials("bbbb", both));
  assertEquals(await ask(), "node bbbb");
  client.renew(await next.credentials("bbbb", both));
  assertEquals(await ask(), "node bbbb");
  port.identity.renew(await next.credentials(SERVER.id, both));
  assertEquals(await ask(), "node bbbb");
  port.identity.renew(await next.credentials(SERVER.id));
  assertEquals(await ask(), "node bbbb");
  client.renew(await ours.credentials("bbbb", both));
  assertEquals(await ask(), "refused");
});

Deno.test("MemberTransport: a certificate that is revoked ends its connections, at both ends, and no others", async () => {
  const bad = await ours.credentials("bbbb");
  await using port = await Port.open(await ours.identity(SERVER.id));
  const revoked = new Dialled(await dial(transportOf(bad), port.port, SERVER));
  const good = new Dialled(
    await dial(transportOf(await ours.identity("cccc")), port.port, SERVER),
  );
  assertEquals([await revoked.ask(), await good.ask()], ["node bbbb", "node cccc"]);
  port.identity.setRevoked([serialOf(bad)]);
  await until("it is closed", () => revoked.closes === 1);
  const again = await dial(transportOf(bad), port.port, SERVER);
  if (typeof again === "object") assertEquals(await new Dialled(again).ask(), "");
  assertEquals(await good.ask(), "node cccc");

  const client = await ours.identity("dddd");
  const dialled = new Dialled(await dial(transportOf(client), port.port, SERVER));
  client.setRevoked([serialOf(port.identity.current())]);
  await until("who connected closes it", () => dialled.closes === 1);
  good.stream.close();
  await until("all are closed", () => good.closes === 1);
});

Deno.test("MemberTransport: who is silent before the handshake has a place, and can be closed", async () => {
  const streams: Stream[] = [];
  const listener = await transportOf(await ours.identity(SERVER.id)).listen(
    LOOPBACK,
    (stream) => streams.push(stream),
  );
  const silent = connectTcp(listener.address.port, LOOPBACK.host);
  let ended = 0;
  silent.on("error", () => {});
  silent.on("close", () => ended++);
  silent.resume();
  await until("it is counted", () => streams.length === 1);
  let closes = 0;
  const [stream] = streams;
  stream?.start({ onData() {}, onClose: () => closes++ });
  stream?.write(new Uint8Array(8));
  assertEquals(stream?.member, undefined);
  stream?.close();
  await until("it is closed", () => closes === 1 && ended === 1);
  const nonsense = connectTcp(listener.address.port, LOOPBACK.host);
  nonsense.on("error", () => {});
  nonsense.on("close", () => ended++);
  nonsense.resume();
  nonsense.write('{"req_type":"ping"}\n');
  await until("it is counted", () => streams.length === 2);
  streams[1]?.start({ onData() {}, onClose: () => closes++ });
  await until("it is refused", () => closes === 2);
  nonsense.destroy();
  listener.close();
  await settle();
});

Deno.test("MemberTransport: who does not get through the handshake in time is closed", async () => {
  let closes = 0;
  const transport = transportOf(await ours.identity(SERVER.id), { handshakeMs: 20 });
  const listener = await transport.listen(LOOPBACK, (stream) => {
    stream.start({ onData() {}, onClose: () => closes++ });
  });
  using silent = await Deno.connect({
    hostname: LOOPBACK.host,
    port: listener.address.port,
  });
  assertEquals(await silent.read(new Uint8Array(1)).catch(() => null), null);
  await until("it is told", () => closes === 1);
  listener.close();
  await settle();
});

Deno.test("checkCertificatesCount: a runtime that asks for no certificate, or looks at none, is not secured", async () => {
  const { cert, key } = shown(await ours.credentials(SERVER.id));
  const own = { cert, key, ca: [ours.authority.certificate] };
  await checkCertificatesCount(own);
  const careless: Record<string, typeof TlsConnection.accept> = {
    "asks for none": (tcp, options, judge) =>
      TlsConnection.accept(tcp, { ...options, requestCert: false }, judge),
    "looks at none": (tcp, options, judge) =>
      TlsConnection.accept(tcp, { ...options, rejectUnauthorized: false }, judge),
    "takes each for verified": (tcp, options, judge) =>
      TlsConnection.accept(tcp, options, (socket) => {
        socket.authorized = true;
        return judge(socket);
      }),
  };
  for (const [what, accept] of Object.entries(careless)) {
    const error = await assertRejects(() => checkCertificatesCount(own, accept), KvError, "", what);
    assertEquals(error.code, "bad_config");
    assertStringIncludes(error.message, "needs Deno 2.9");
  }
  await settle();
});
