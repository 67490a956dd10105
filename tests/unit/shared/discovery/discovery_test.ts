import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  DiscoveryResponder,
  type DiscoveryResponderOptions,
} from "../../../../coordinator/discovery/discovery_responder.ts";
import { discover, type DiscoverOptions } from "../../../../shared/discovery/discovery.ts";
import {
  decodePacket,
  encodePacket,
  encodeQuestion,
} from "../../../../shared/discovery/discovery_packet.ts";
import { trustOf } from "../../../../shared/discovery/answer_signature.ts";
import { HeldMemberIdentity } from "../../../../shared/security/member_identity.ts";
import { MemberMaker, serialOf } from "../../../support/data/members.ts";
import { DISCOVERY_GROUP } from "../../../../shared/discovery/discovery_settings.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { DISCOVERY_HOST_RATE } from "../../../../shared/limits/membership.ts";
import { DATAGRAM_BYTES_MAX } from "../../../../shared/limits/wire.ts";
import { NO_LOG } from "../../../support/doubles/no_log.ts";
import type { Message } from "../../../../shared/wire/messages.ts";
import type { NetworkInterface } from "../../../../shared/platform/network_interface.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import type { Address } from "../../../../shared/platform/transport.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../../../support/doubles/memory_transport.ts";

const PORT = 7946;
const SECRET = "a long and dull secret";
const WITH_SECRET = { secret: SECRET, nowMs: 0 };
const AT_A = { host: "10.0.0.1", port: 8080 };
const AT_B = { host: "10.0.0.2", port: 8080 };

/** A network of hosts by name, on which coordinators answer and others ask. */
function setUp() {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock, { delayMs: 1 });
  const random = new SeededRandom(7);
  const responders: { responder: DiscoveryResponder; timers: number }[] = [];
  const answer = async (
    host: string,
    name: string,
    address: Address,
    options: Partial<DiscoveryResponderOptions> = {},
  ) => {
    const responder = await DiscoveryResponder.open({
      clock,
      transport: network.transport(host),
      log: NO_LOG,
    }, {
      mode: "on",
      port: PORT,
      cluster: `id of ${name}`,
      name,
      instance: `instance ${responders.length}`,
      address,
      interfaces: () => [],
      ...options,
    });
    // One that is in a multicast group looks for further networks from time to time.
    responders.push({ responder, timers: options.mode === "broadcast" ? 0 : 1 });
    return responder;
  };
  const ask = async (
    from: string,
    options: DiscoverOptions = {},
    interfaces: NetworkInterface[] = [],
  ) => {
    const deps = {
      clock,
      random,
      transport: network.transport(from),
      interfaces: () => interfaces,
    };
    const asking = discover(deps, { port: PORT, ...options });
    // Looked at below, at the latest.
    asking.catch(() => {});
    await clock.run(1_000);
    const open = responders.filter(({ responder }) => responder.port !== undefined);
    const wanted = open.reduce((sum, { timers }) => sum + timers, 0);
    assertEquals(clock.timers, wanted, "no timer is left");
    return await asking;
  };
  /** Everything that is sent to a host's port, as it was sent. */
  const listen = async (host: string, port: number) => {
    const heard: { bytes: Uint8Array; from: Address }[] = [];
    const socket = await network.transport(host).bindDatagram(
      { host, port },
      (bytes, from) => heard.push({ bytes: bytes.slice(), from }),
      { shared: true },
    );
    return { heard, socket };
  };
  return { clock, network, answer, ask, listen };
}

const question = (fields: Partial<Message<"discover">> = {}): Message<"discover"> => ({
  req_type: "discover",
  nonce: "n",
  ...fields,
});

Deno.test("discover finds a coordinator by broadcast, and by multicast", async () => {
  for (const mode of ["on", "broadcast", "multicast"] as const) {
    const { answer, ask } = setUp();
    const responder = await answer("a", "c1", AT_A);
    assertEquals((await ask("node", { mode })).address, AT_A, mode);
    responder.close();
    assertEquals((await ask("node", { mode })).address, undefined, mode);
  }
});

Deno.test("discover does not hear by multicast who is not in the group, nor asks when off", async () => {
  const { answer, ask, listen } = setUp();
  await answer("a", "c1", AT_A, { mode: "broadcast" });
  assertEquals((await ask("node", { mode: "multicast" })).address, undefined);
  const { heard } = await listen("b", PORT);
  assertEquals(await ask("node", { mode: "off" }), {
    address: undefined,
    said: "discovery is off",
  });
  assertEquals(heard, []);
});

Deno.test("discover ends without an answer, and says what it asked", async () => {
  const { ask } = setUp();
  const { address, said } = await ask("node", { name: "shop" }, [
    { address: "127.0.0.1", netmask: "255.0.0.0" },
    { address: "10.7.3.4", netmask: "255.255.240.0" },
    { address: "10.8.0.1", netmask: "255.255.255.255" },
  ]);
  assertEquals(address, undefined);
  assertEquals(
    said,
    "asked 127.255.255.255, 239.255.79.46, 10.7.15.255, 255.255.255.255, port 7946 for a cluster " +
      'named "shop"',
  );
});

Deno.test("discover asks again, since datagrams get lost", async () => {
  const { answer, ask, network, clock } = setUp();
  await answer("a", "c1", AT_A);
  network.cut("node", "a");
  clock.setTimer(150, () => network.heal("node", "a"));
  assertEquals((await ask("node")).address, AT_A);
});

Deno.test("discover finds only the cluster that was asked for, by name or by id", async () => {
  const { answer, ask } = setUp();
  await answer("a", "c1", AT_A);
  await answer("b", "c2", AT_B);
  assertEquals((await ask("node", { name: "c2" })).address, AT_B);
  assertEquals((await ask("node", { cluster: "id of c1" })).address, AT_A);
  assertEquals((await ask("node", { name: "c3" })).address, undefined);
  assertEquals((await ask("node", { name: "c2", cluster: "id of c1" })).address, undefined);
});

Deno.test("discover refuses to choose between coordinators, and lists them", async () => {
  const { answer, ask } = setUp();
  await answer("a", "c1", AT_A);
  await answer("b", "c2", AT_B);
  const error = await assertRejects(() => ask("node"), KvError);
  assertEquals(error.code, "bad_config");
  assertEquals(
    error.message,
    'discovery: 2 coordinators answered: "c1" (id id of c1) at 10.0.0.1:8080; "c2" (id id of c2) ' +
      "at 10.0.0.2:8080; say which with --coordinator HOST:PORT or --cluster-name NAME",
  );
  // Two of one name: the name does not help.
  await answer("c", "c1", { host: "10.0.0.3", port: 8080 });
  const same = await assertRejects(() => ask("node", { name: "c1" }), KvError);
  assertStringIncludes(same.message, "10.0.0.1:8080");
  assertStringIncludes(same.message, "10.0.0.3:8080");
  assert(!same.message.includes("--cluster-name"));
});

Deno.test("discover takes one coordinator that answers by several addresses for one", async () => {
  const { answer, ask } = setUp();
  const same = { instance: "i" };
  await answer("a", "c1", { host: "10.0.0.9", port: 8080 }, same);
  await answer("b", "c1", { host: "10.0.0.1", port: 8080 }, same);
  assertEquals((await ask("node")).address, { host: "10.0.0.1", port: 8080 });
});

Deno.test("a coordinator that listens everywhere names its address on the asker's network", async () => {
  const everywhere = { host: "0.0.0.0", port: 8080 };
  const interfaces = () => [
    { address: "10.1.0.1", netmask: "255.255.255.0" },
    { address: "10.2.0.1", netmask: "255.255.255.0" },
  ];
  const { answer, ask } = setUp();
  await answer("10.2.0.1", "c1", everywhere, { interfaces });
  assertEquals((await ask("10.2.0.7")).address, { host: "10.2.0.1", port: 8080 });
  // If none of its networks is the asker's, or none is known: the address that the answer comes from.
  assertEquals((await ask("10.3.0.7")).address, { host: "10.2.0.1", port: 8080 });

  const told = setUp();
  await told.answer("a", "c1", everywhere, { interfaces, advertiseHost: "kv.example" });
  assertEquals((await told.ask("10.2.0.7")).address, { host: "kv.example", port: 8080 });
});

Deno.test("a coordinator tells nobody else of an address that only its machine can use", async () => {
  const { answer, ask } = setUp();
  const local = { host: "127.0.0.1", port: 8080 };
  await answer("127.0.0.1", "c1", local);
  assertEquals((await ask("10.0.0.9")).address, undefined);
  assertEquals((await ask("127.0.0.1")).address, local);
});

Deno.test("a coordinator does without discovery if its port is taken", async () => {
  const { answer, network } = setUp();
  await network.transport("a").bindDatagram({ host: "a", port: PORT }, () => {});
  assertEquals((await answer("a", "c2", AT_B)).port, undefined);
  assertEquals((await answer("b", "c2", AT_B)).port, PORT);
});

Deno.test("two coordinators of one machine both hear a question", async () => {
  const { answer, ask } = setUp();
  await answer("a", "c1", AT_A);
  await answer("a", "c2", AT_B);
  assertEquals((await ask("node", { name: "c1" })).address, AT_A);
  assertEquals((await ask("node", { name: "c2" })).address, AT_B);
});

Deno.test("with a secret, only those who have it find each other", async () => {
  const { answer, ask } = setUp();
  await answer("a", "c1", AT_A, { secret: SECRET });
  assertEquals((await ask("node", { secret: SECRET })).address, AT_A);
  assertEquals((await ask("node", { secret: `${SECRET}!` })).address, undefined);
  assertEquals((await ask("node")).address, undefined);
});

Deno.test("with a secret, an unsigned answer is ignored, and that is said", async () => {
  const { answer, ask } = setUp();
  await answer("a", "c1", AT_A);
  const { address, said } = await ask("node", { secret: SECRET });
  assertEquals(address, undefined);
  assertStringIncludes(said, "were not signed with our secret");
  assert(!said.includes(SECRET));
});

Deno.test("with a secret, an answer that is repeated, changed or from elsewhere is ignored", async () => {
  const { answer, ask, listen, network, clock } = setUp();
  const responder = await answer("a", "c1", AT_A, { secret: SECRET });
  // A listener that has taken down an answer to somebody else's question.
  const { heard, socket } = await listen("spy", 5_000);
  socket.send(encodeQuestion(question(), SECRET), { host: "a", port: PORT });
  await clock.run(10);
  const [recorded] = heard;
  assert(recorded !== undefined);
  assertEquals(decodePacket(recorded.bytes, WITH_SECRET)?.signature, "good");
  responder.close();

  const reply = (change: (bytes: Uint8Array, asked: Uint8Array) => Uint8Array) =>
    network.transport("evil").bindDatagram(
      { host: "evil", port: PORT },
      (bytes, from) => liar.send(change(recorded.bytes.slice(), bytes), from),
    );
  let liar = await reply((bytes) => bytes);
  const hosts = ["evil"];
  assertEquals((await ask("node", { secret: SECRET, hosts })).address, undefined, "repeated");
  liar.close();
  // The right nonce, but a signature over another one.
  liar = await reply((bytes, asked) => {
    const nonce = decodePacket(asked, WITH_SECRET)?.message.nonce ?? "";
    const text = new TextDecoder().decode(bytes);
    return new TextEncoder().encode(text.replace('"nonce":"n"', `"nonce":"${nonce}"`));
  });
  assertEquals((await ask("node", { secret: SECRET, hosts })).address, undefined, "changed");
  liar.close();
  // The question itself, sent back.
  liar = await reply((_, asked) => asked);
  assertEquals((await ask("node", { secret: SECRET, hosts })).address, undefined, "reflected");
});

Deno.test("with a secret, an address that is not signed is not believed", async () => {
  const { answer, ask } = setUp();
  await answer("a", "c1", { host: "0.0.0.0", port: 8080 }, { secret: SECRET });
  const { address, said } = await ask("node", { secret: SECRET });
  assertEquals(address, undefined);
  assertStringIncludes(said, "--advertise-host");
});

/** A secured cluster, of which an asker knows the authority. */
async function secured(wallMs: number) {
  const maker = await MemberMaker.create("c1", wallMs);
  const credentials = (given: Parameters<MemberMaker["credentials"]>[1] = {}) =>
    maker.credentials("c0", { role: "coordinator", signedMs: wallMs, ...given });
  const asker = new HeldMemberIdentity(await maker.credentials("n0", { signedMs: wallMs }));
  return { credentials, asker, trust: trustOf(asker) };
}

Deno.test("with an authority, a coordinator that it has certified is found, and nobody else", async () => {
  const { clock, answer, ask } = setUp();
  const wallMs = clock.wallMs();
  const { credentials, asker, trust } = await secured(wallMs);
  const stranger = await MemberMaker.create("c1", wallMs);
  const DAY_MS = 24 * 60 * 60 * 1_000;
  const of = async (given: Promise<Awaited<ReturnType<typeof credentials>>>) => {
    const shown = await given;
    const identity = new HeldMemberIdentity(shown);
    const responder = await answer("a", "c1", AT_A, { cluster: "c1", identity });
    const found = await ask("node", { trust });
    responder.close();
    return { found, shown };
  };
  const { found, shown } = await of(credentials());
  assertEquals(found.address, AT_A);
  const refused = {
    "another authority": stranger.credentials("c0", { role: "coordinator", signedMs: wallMs }),
    "a node": credentials({ role: "node" }),
    "another cluster": credentials({ cluster: "c2" }),
    "one that has ended": credentials({ signedMs: wallMs - 91 * DAY_MS }),
    "one that is not yet": credentials({ signedMs: wallMs + DAY_MS }),
  };
  for (const [what, given] of Object.entries(refused)) {
    const { found: { address, said } } = await of(given);
    assertEquals(address, undefined, what);
    assertStringIncludes(said, "not signed by a coordinator that our authority has certified");
  }
  asker.setRevoked([serialOf(shown)]);
  assertEquals((await of(Promise.resolve(shown))).found.address, undefined, "revoked");

  const unsigned = await answer("a", "c1", AT_A, { cluster: "c1", secret: SECRET });
  assertEquals((await ask("node", { trust, secret: SECRET })).address, undefined, "by a secret");
  unsigned.close();
});

Deno.test("with an authority, an answer that is repeated, changed or cut is ignored", async () => {
  const { answer, ask, listen, network, clock } = setUp();
  const { credentials, trust } = await secured(clock.wallMs());
  const identity = new HeldMemberIdentity(await credentials());
  const responder = await answer("a", "c1", AT_A, { cluster: "c1", identity });
  const { heard, socket } = await listen("spy", 5_000);
  socket.send(encodeQuestion(question(), undefined), { host: "a", port: PORT });
  await clock.run(10);
  const [recorded] = heard;
  assert(recorded !== undefined && recorded.bytes.length <= DATAGRAM_BYTES_MAX);
  responder.close();
  const by = { trust, nowMs: clock.wallMs() };
  assertEquals(decodePacket(recorded.bytes, by)?.signature, "good");
  // Who knows no authority can make nothing of the signature.
  assertEquals(decodePacket(recorded.bytes, { nowMs: 0 })?.signature, "none");
  const reply = (change: (nonce: string) => Uint8Array) =>
    network.transport("evil").bindDatagram({ host: "evil", port: PORT }, (bytes, from) => {
      liar.send(change(decodePacket(bytes, by)?.message.nonce ?? ""), from);
    });
  const latin = [...recorded.bytes].map((byte) => String.fromCharCode(byte)).join("");
  const bytesOf = (text: string) => Uint8Array.from(text, (one) => one.charCodeAt(0));
  let liar = await reply(() => recorded.bytes);
  assertEquals((await ask("node", { trust, hosts: ["evil"] })).address, undefined, "repeated");
  liar.close();
  liar = await reply((nonce) => bytesOf(latin.replace('"nonce":"n"', `"nonce":"${nonce}"`)));
  assertEquals((await ask("node", { trust, hosts: ["evil"] })).address, undefined, "changed");
  liar.close();

  for (let at = 0; at < recorded.bytes.length; at += 7) {
    const flipped = recorded.bytes.slice();
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    assert(decodePacket(flipped, by)?.signature !== "good", `byte ${at}`);
    assert(decodePacket(recorded.bytes.slice(0, at), by)?.signature !== "good", `cut at ${at}`);
  }
});

Deno.test("a coordinator's answers are bounded in length and number", async () => {
  const { answer, listen, clock } = setUp();
  await answer("a", "c1", AT_A);
  const { heard, socket } = await listen("asker", 5_000);
  const at = { host: "a", port: PORT };
  socket.send(encodePacket(question(), undefined), at);
  await clock.run(10);
  assertEquals(heard.length, 0, "an answer would be longer than such a question");
  for (let i = 0; i < 10 * DISCOVERY_HOST_RATE; i++) {
    socket.send(encodeQuestion(question({ nonce: `${i}` }), undefined), at);
  }
  await clock.run(10);
  assertEquals(heard.length, DISCOVERY_HOST_RATE);
  for (const { bytes } of heard) assert(bytes.length <= DATAGRAM_BYTES_MAX);
  await clock.run(1_000);
  socket.send(encodeQuestion(question(), undefined), at);
  await clock.run(10);
  assertEquals(heard.length, DISCOVERY_HOST_RATE + 1, "and more later");
});

Deno.test("encodeQuestion fills a datagram, and decodePacket reads it back", () => {
  for (const secret of [undefined, SECRET]) {
    const packet = encodeQuestion(question({ name: "grün" }), secret);
    assertEquals(packet.length, DATAGRAM_BYTES_MAX);
    const decoded = decodePacket(packet, { secret, nowMs: 0 });
    assertEquals(decoded?.signature, secret === undefined ? "none" : "good");
    assert(decoded?.message.req_type === "discover");
    assertEquals([decoded.message.nonce, decoded.message.name], ["n", "grün"]);
    assert(!new TextDecoder().decode(packet).includes(SECRET));
  }
});

Deno.test("decodePacket takes a signature that another implementation has made", () => {
  // hmac.new(b"a long and dull secret", body, hashlib.sha256).hexdigest() of Python.
  const body = '{"req_type":"discover","nonce":"n"}';
  const mac = "7dc5de2881535bf4be2d6b3dc309b16d720044b7a2f528b12a50802444469526";
  const signed = (text: string) =>
    decodePacket(new TextEncoder().encode(text), WITH_SECRET)?.signature;
  assertEquals(signed(`${body}\n${mac}`), "good");
  assertEquals(signed(`${body}\n${mac.toUpperCase()}`), "bad");
  assertEquals(signed(`${body}\n${mac}0`), "bad");
  assertEquals(signed(`${body}\n`), "bad");
  assertEquals(signed(body), "none");
});

Deno.test("decodePacket notices every flipped bit of a signed datagram", () => {
  const packet = encodePacket(question({ name: "shop" }), SECRET);
  for (let bit = 0; bit < packet.length * 8; bit++) {
    const flipped = packet.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert(decodePacket(flipped, WITH_SECRET)?.signature !== "good", `bit ${bit}`);
  }
});

Deno.test("discover and the coordinator ignore what is not theirs", async () => {
  const { answer, ask, network } = setUp();
  await answer("a", "c1", AT_A);
  const noise = [
    "",
    "{",
    "7",
    "null",
    "[]",
    "\n",
    '{"req_type":"discovered","cluster":"c1"}',
    '{"req_type":"heartbeat"}',
    '{"req_type":"discover","nonce":7}',
    `{"req_type":"discover","nonce":"${"x".repeat(500)}"}`,
    "x".repeat(2000),
    "\xff\xfe",
  ].map((text) => new TextEncoder().encode(text));
  const socket = await network.transport("noisy").bindDatagram(
    { host: "noisy", port: PORT },
    (_, from) => noise.forEach((bytes) => socket.send(bytes, from)),
  );
  for (const bytes of noise) {
    socket.send(bytes, { host: "a", port: PORT });
    socket.send(bytes, { host: DISCOVERY_GROUP, port: PORT });
  }
  assertEquals((await ask("node", { hosts: ["noisy"] })).address, undefined);
  assertEquals((await ask("node", { hosts: ["noisy", "a"] })).address, AT_A);
});
