/**
 * The port for members of a real node, and the coordinator's: whoever comes without a certificate, with one of another
 * authority or with that of another node gets nothing, and a node that says what the map does not say changes
 * nothing. These are the forged messages that took a cluster down before there were identities.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { DenoClock } from "../../../shared/platform/deno/deno_clock.ts";
import { MemberTransport } from "../../../shared/platform/deno/deno_member_transport.ts";
import { DenoTransport } from "../../../shared/platform/deno/deno_transport.ts";
import type { MemberIdentity, WantedMember } from "../../../shared/platform/member_identity.ts";
import type { Address } from "../../../shared/platform/transport.ts";
import { peerAddressOf } from "../../../shared/cluster/cluster_map.ts";
import { TERM_MAX } from "../../../shared/limits/cluster.ts";
import { MemberFolder } from "../../../shared/security/members/file_member.ts";
import { HeldMemberIdentity } from "../../../shared/security/member_identity.ts";
import { Connection } from "../../../shared/wire/connection.ts";
import { type Message, PROTOCOL_VERSION } from "../../../shared/wire/messages.ts";
import { MemberMaker } from "../../support/data/members.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const clock = new DenoClock();

/** A connection of somebody who says what they want, and what is answered. */
class Rogue implements Disposable {
  readonly answers: Message[] = [];
  closed = false;
  readonly #connection: Connection;

  private constructor(stream: ConstructorParameters<typeof Connection>[0]) {
    this.#connection = new Connection(stream, clock, {
      onMessage: (message) => void this.answers.push(message),
      onInvalid: () => {},
      onClose: () => this.closed = true,
    });
  }

  /** @returns undefined if nobody is let in */
  static async dial(
    identity: MemberIdentity | undefined,
    ca: string,
    address: Address,
    wanted: WantedMember,
  ): Promise<Rogue | undefined> {
    const plain = new DenoTransport(undefined, { authority: ca });
    const transport = identity === undefined
      ? plain
      : new MemberTransport(identity, { datagrams: plain });
    return await new Promise((resolve) =>
      transport.connect(
        address,
        5_000,
        (stream) => resolve(new Rogue(stream)),
        () => resolve(undefined),
        wanted,
      )
    );
  }

  send(message: object): void {
    this.#connection.send(message);
  }

  hello(fields: object): void {
    this.send({ req_type: "hello", protocol: PROTOCOL_VERSION, id: "hello", ...fields });
  }

  /** The first answer to a message with this id, or "closed". */
  async answer(id: string): Promise<string> {
    for (;;) {
      const found = this.answers.find((message) => message.id === id);
      if (found !== undefined) return found.req_type === "error" ? found.code : found.req_type;
      if (this.closed) return "closed";
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

async function whatWasStolen(cluster: TestCluster, index: number): Promise<MemberIdentity> {
  const kept = await new MemberFolder(`${cluster.nodeFolder(index)}.security`).readMember();
  assert(kept !== undefined);
  return new HeldMemberIdentity(kept.credentials);
}

Deno.test("secured cluster: on the ports for members everybody is who its certificate says, and says what the map says", async () => {
  await using cluster = await TestCluster.start({ secured: true });
  await using kv = await cluster.connect();
  await kv.put("k", "v");
  const map = await cluster.map();
  const at = (index: number) => {
    const { port } = cluster.nodeAddress(index);
    const node = map.nodes.find((one) => one.port === port);
    assert(node !== undefined);
    return node;
  };
  const [victim, thief, other] = [at(0), at(1), at(2)];
  const peers = peerAddressOf(victim);
  assert(peers.port !== victim.port);
  const { clusterId } = map.settings;
  const ca = cluster.credentials?.ca ?? "";
  const stolen = await whatWasStolen(cluster, 1);
  const toVictim = { role: "node", id: victim.id } as const;
  const dial = (identity: MemberIdentity | undefined) => Rogue.dial(identity, ca, peers, toVictim);
  const peer = { role: "peer", cluster_id: clusterId, to: victim.id };

  // Without a certificate, or with that of a cluster of one's own, nothing is heard.
  const foreign = await MemberMaker.create(clusterId);
  const mixed = await foreign.credentials(thief.id);
  const strangers = [
    undefined,
    new HeldMemberIdentity({ ...mixed, authorities: stolen.current().authorities }),
  ];
  for (const stranger of strangers) {
    using rogue = await dial(stranger);
    rogue?.hello({ ...peer, node: thief.id });
    if (rogue !== undefined) assertEquals(await rogue.answer("hello"), "closed");
  }
  // With a node's certificate one is that node, and no client.
  for (const fields of [{ ...peer, node: other.id }, { role: "gateway" }, { role: "client" }]) {
    using rogue = await dial(stolen);
    assert(rogue !== undefined);
    rogue.hello(fields);
    assertEquals(await rogue.answer("hello"), "forbidden");
  }

  // As itself it may replicate what it is primary of. Of the others it may not even say so.
  using rogue = await dial(stolen);
  assert(rogue !== undefined);
  rogue.hello({ ...peer, node: thief.id });
  assertEquals(await rogue.answer("hello"), "ack");
  map.partitions.forEach(({ primary, term }, p) => {
    if (primary === thief.id) return;
    const ids = map.nodes.map(({ id }) => id);
    for (const claimed of [term, term + 1, TERM_MAX]) {
      const config = { term: claimed, primary: thief.id, inSync: ids, learners: [] };
      const epoch = Number.MAX_SAFE_INTEGER;
      rogue.send({ req_type: "resync_query", p, config, epoch, stream: 99 });
      rogue.send({ req_type: "new_term", p, config, epoch, stream: 99 });
      rogue.send({
        req_type: "resync_begin",
        ...{ p, term: claimed, stream: 99, next: 1, full: true },
      });
      const forged = ["k", 99, claimed, 0, 1, 0, "forged"];
      rogue.send({ req_type: "append", parts: [[p, claimed, 99, 99, [forged]]] });
    }
  });
  rogue.send({ req_type: "ping", id: "ping" });
  assertEquals(await rogue.answer("ping"), "ack");
  assertEquals(await kv.getText("k"), "v");
  await Promise.all(Array.from({ length: 20 }, (_, i) => kv.put(`after ${i}`, "v")));

  // Nor does the coordinator believe it about another node.
  const session = await Rogue.dial(stolen, ca, cluster.coordinatorAddress, { role: "coordinator" });
  assert(session !== undefined);
  using _ = session;
  session.hello({ role: "member", cluster_id: clusterId, node: thief.id });
  assertEquals(await session.answer("hello"), "ack");
  const register = {
    req_type: "register",
    instance: "rogue",
    incarnation: other.incarnation + 1,
    host: other.host,
    port: other.port,
    http_port: 0,
    zone: "z",
    weight: 1,
    held: [],
  };
  session.send({ ...register, node: other.id, id: "other" });
  assertEquals(await session.answer("other"), "forbidden");
  session.send({ ...register, node: thief.id, incarnation: 2 ** 50, id: "leap" });
  assertEquals(await session.answer("leap"), "bad_request");
  for (const node of (await cluster.map()).nodes) assertEquals(node.state, "up", node.id);
  assertEquals(await kv.getText("k"), "v");
});
