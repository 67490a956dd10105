/**
 * Each message of the wire's table, sent to a secured cluster by those who must not: what they are told, and that
 * nothing changes. The cluster is that of the simulation: whole nodes and a coordinator, as they serve in production, on
 * a simulated network. A message without a row does not compile, and fails the first test.
 */
import { assertEquals } from "@std/assert";
import type { Address } from "../../shared/platform/transport.ts";
import { Connection } from "../../shared/wire/connection.ts";
import { type Message, MESSAGES, type MessageType } from "../../shared/wire/messages.ts";
import { messageSamples } from "../support/data/message_samples.ts";
import { noFaults } from "./faults/faults.ts";
import { Scheduler } from "./sim/scheduler.ts";
import type { SimSecurity } from "./sim/sim_security.ts";
import { World } from "./sim/world.ts";

/** An error's code; or that it is answered, and rightly; or that nothing is said, and nothing done. */
type Told =
  | "unauthorized"
  | "forbidden"
  | "bad_request"
  | "not_found"
  | "corrupt"
  | "answered"
  | "silence";

/** What everybody is told. */
interface Row {
  /** Nobody has logged in: at a node, at the coordinator. */
  readonly stranger: readonly [Told, Told];
  /** Somebody has, and has no right. */
  readonly user: readonly [Told, Told];
  /** With a node's certificate, which is in no map, as one that replicates to a node, ... */
  readonly peer: Told;
  /** ... as one that passes a client's requests on to it, ... */
  readonly passing: Told;
  /** ... and as one that has opened a session with the coordinator, and not registered. */
  readonly member: Told;
}

/** Needs rights. */
const REQUEST: Row = {
  stranger: ["unauthorized", "unauthorized"],
  user: ["forbidden", "forbidden"],
  peer: "bad_request",
  passing: "forbidden",
  member: "bad_request",
};
/** Tells a user where data is, not what it is. */
const DIRECTORY: Row = { ...REQUEST, user: ["answered", "answered"] };
/** Is never a request. */
const NEVER: Row = {
  stranger: ["bad_request", "bad_request"],
  user: ["bad_request", "bad_request"],
  peer: "bad_request",
  passing: "bad_request",
  member: "bad_request",
};
/** A primary says it to its followers: nobody is one by saying so. */
const DOWNSTREAM: Row = { ...NEVER, peer: "silence" };
/** A node says it of itself: before it has registered it counts for nothing. */
const REPORT: Row = { ...NEVER, member: "silence" };
const TABLE: { readonly [M in MessageType]: Row } = {
  hello: {
    stranger: ["answered", "answered"],
    user: ["bad_request", "bad_request"],
    peer: "bad_request",
    passing: "bad_request",
    member: "bad_request",
  },
  ping: {
    stranger: ["answered", "answered"],
    user: ["answered", "answered"],
    peer: "answered",
    passing: "answered",
    member: "answered",
  },
  put: REQUEST,
  update: REQUEST,
  create: REQUEST,
  delete: REQUEST,
  get: REQUEST,
  exists: REQUEST,
  inspect: REQUEST,
  expire: REQUEST,
  persist: REQUEST,
  get_and_expire: REQUEST,
  increment: REQUEST,
  increment_float: REQUEST,
  append_value: REQUEST,
  set_range: REQUEST,
  set_bit: REQUEST,
  combine: REQUEST,
  read_ranges: REQUEST,
  transaction: REQUEST,
  // A node that is in no map takes part in nothing.
  prepare_part: REQUEST,
  read_part: REQUEST,
  finish_part: REQUEST,
  transaction_status: REQUEST,
  // A member may know the map, which it passes requests on by.
  get_map: { ...DIRECTORY, passing: "answered", member: "answered" },
  list_nodes: DIRECTORY,
  get_nodes_for_key: DIRECTORY,
  // As workers of one machine do, and as consoles are told of all.
  stats: { ...REQUEST, passing: "answered" },
  announce: REQUEST,
  // A member asks others how they are.
  metrics: { ...REQUEST, passing: "answered" },
  slow_requests: REQUEST,
  // Between nodes, for clients that each node has judged by itself.
  pubsub: { ...REQUEST, passing: "answered" },
  backup_partition: REQUEST,
  scan: REQUEST,
  count: REQUEST,
  delete_matching: REQUEST,
  scan_node: REQUEST,
  count_node: REQUEST,
  watch_node: REQUEST,
  watch: REQUEST,
  // Everybody may end its own, and has none; a coordinator has none at all.
  unwatch: { ...REQUEST, user: ["not_found", "bad_request"] },
  changes: NEVER,
  event: NEVER,
  // Each request inside is refused by itself.
  batch: REQUEST,
  ack: NEVER,
  data: NEVER,
  error: NEVER,
  result: NEVER,
  map: NEVER,
  entries: NEVER,
  resync_query: DOWNSTREAM,
  resync_info: NEVER,
  resync_begin: DOWNSTREAM,
  resync_chunk: DOWNSTREAM,
  resync_end: DOWNSTREAM,
  new_term: DOWNSTREAM,
  append: DOWNSTREAM,
  appended: NEVER,
  stream_refused: NEVER,
  // It is told that it is not the primary.
  confirm: { ...NEVER, peer: "forbidden" },
  confirmed: NEVER,
  digest: DOWNSTREAM,
  resync_progress: NEVER,
  digest_differs: NEVER,
  register: { ...NEVER, member: "forbidden" },
  registered: NEVER,
  map_delta: NEVER,
  caught_up: REPORT,
  lagging: REPORT,
  damaged: REPORT,
  handover: NEVER,
  drained: REPORT,
  resumed: REPORT,
  leave: REPORT,
  left: NEVER,
  register_again: NEVER,
  force: REQUEST,
  heartbeat: { ...NEVER, member: "forbidden" },
  heartbeat_ack: NEVER,
  discover: NEVER,
  discovered: NEVER,
  disk: REPORT,
  forget_node: REQUEST,
  database_create: REQUEST,
  database_drop: REQUEST,
  // Whoever has logged in may see which databases there are.
  databases: { ...REQUEST, user: ["answered", "answered"] },
  database_usage: { ...REQUEST, passing: "answered" },
  database_wanted: REPORT,
  database_decided: NEVER,
  security: NEVER,
  // The authority of a simulated cluster signs nothing.
  renew_certificate: { ...NEVER, member: "corrupt" },
  certificate: NEVER,
  user_add: REQUEST,
  user_change: REQUEST,
  user_remove: REQUEST,
  user_list: REQUEST,
  role_set: REQUEST,
  role_remove: REQUEST,
  role_list: REQUEST,
  token_create: REQUEST,
  token_list: REQUEST,
  token_revoke: REQUEST,
  cert_list: REQUEST,
  cert_revoke: REQUEST,
  cert_rotate: REQUEST,
  // What who joins or logs in must know; the authority's certificate is no secret.
  get_authorities: {
    ...REQUEST,
    stranger: ["answered", "answered"],
    user: ["answered", "answered"],
  },
  join: {
    ...REQUEST,
    stranger: ["bad_request", "unauthorized"],
    user: ["bad_request", "unauthorized"],
  },
  agree: NEVER,
  agree_part: NEVER,
  coordinators: REQUEST,
  coordinators_change: REQUEST,
  closing: NEVER,
};

const NODES = 3;
const PARTITIONS = 4;
/** Until the cluster is laid out, and level. */
const BEGIN_MS = 10_000;
/** Longer than any answer takes. */
const ANSWER_MS = 100;

/** As whom a connection is opened. */
interface Guise {
  readonly hello?: object;
  readonly certified?: boolean;
}

class Scene {
  readonly scheduler = new Scheduler(7);
  readonly world = new World(noFaults(), {
    nodes: NODES,
    partitions: PARTITIONS,
    replicationFactor: 3,
    minInSync: 2,
    repairDelayMs: 3_000,
    expectNodes: NODES,
    fsync: "always",
    memory: false,
    tombstoneKeepMs: 3_600_000,
    leases: [{ leaseMs: 1_500, failureTimeoutMs: 2_500 }],
    secured: true,
  }, { recording: false, scheduler: this.scheduler });

  static async open(): Promise<Scene> {
    const scene = new Scene();
    scene.world.startCoordinator();
    for (let i = 0; i < NODES; i++) scene.world.startNode(scene.world.addHost());
    await scene.scheduler.run(BEGIN_MS);
    return scene;
  }

  get security(): SimSecurity {
    const { security } = this.world;
    if (security === undefined) throw new Error("the world is secured");
    return security;
  }

  /** All that somebody might have changed. */
  get state(): unknown {
    const { world } = this;
    return {
      map: world.map,
      security: world.document?.security,
      replicas: world.members.map(({ runtime }) =>
        Array.from({ length: PARTITIONS }, (_, p) => runtime?.node.partition(p)?.store.state)
      ),
    };
  }

  /** What a message is answered, on a connection of its own, after the hello. */
  async told(to: Address, { hello, certified = false }: Guise, type: MessageType): Promise<Told> {
    const { world, security, scheduler } = this;
    const process = world.spawn("somebody", "somebody");
    const tls = certified
      ? { identity: security.insider.identity, clients: false, isCareless: true } as const
      : undefined;
    const answers: Message[] = [];
    world.network.transport(process, tls).connect(to, 1_000, (stream) => {
      const connection = new Connection(stream, process.clock, {
        onMessage: (message) => answers.push(message),
        onInvalid: () => {},
        onClose: () => {},
      });
      const more = { protocol: 1, cluster_id: security.clusterId };
      if (hello !== undefined) connection.send({ req_type: "hello", id: "h", ...more, ...hello });
      process.clock.setTimer(
        ANSWER_MS,
        () => connection.send({ ...this.#sample(type), req_type: type, id: "m" }),
      );
    }, (error) => {
      throw error;
    });
    await scheduler.run(4 * ANSWER_MS);
    process.kill();
    world.network.processDied(process, true);
    if (hello !== undefined) {
      assertEquals(answers.find(({ id }) => id === "h")?.req_type, "ack", "the hello is accepted");
    }
    // What a session of its own brings.
    const answer = answers.find((one) => one.id !== "h" && one.req_type !== "security");
    return answer === undefined ? "silence" : toldBy(answer);
  }

  #sample(type: MessageType): object {
    const { world, security } = this;
    const config = world.map?.partitions[0];
    const node = world.hosts[0]?.nodeId;
    if (config === undefined || node === undefined) throw new Error("the cluster is laid out");
    return messageSamples({
      cluster: security.clusterId,
      sender: security.insider.id,
      node,
      partition: 0,
      config,
      epoch: world.map?.epoch ?? 0,
      key: "k",
    })[type];
  }
}

/** The one outcome of an answer: a refusal in another form than an error's is one. */
function toldBy(answer: Message): Told {
  if (answer.req_type === "error") return answer.code as Told;
  if (answer.req_type === "confirmed") return answer.refused.length > 0 ? "forbidden" : "answered";
  if (answer.req_type !== "result" || !Array.isArray(answer.result)) return "answered";
  const inside: unknown[] = answer.result;
  const codes = new Set(inside.map((one) => (one as Partial<Message<"error">>)?.code));
  const [code] = codes;
  return codes.size === 1 && code !== undefined ? code as Told : "answered";
}

const COORDINATOR: Address = { host: "coord", port: 8080 };
const NODE: Address = { host: "n2", port: 8081 };
const PEERS: Address = { host: "n2", port: 18_081 };
const TYPES = Object.keys(TABLE) as MessageType[];

Deno.test("hostile messages: every message of the wire has a row", () => {
  assertEquals([...TYPES].sort(), Object.keys(MESSAGES).sort());
});

/** Sends each message, and compares what is told and that nothing has changed. */
async function tryAll(
  ports: readonly Address[],
  guise: (security: SimSecurity) => Guise,
  expected: (row: Row) => readonly Told[],
): Promise<void> {
  const scene = await Scene.open();
  const before = scene.state;
  const told: Record<string, readonly Told[]> = {};
  for (const type of TYPES) {
    const row: Told[] = [];
    for (const port of ports) row.push(await scene.told(port, guise(scene.security), type));
    told[type] = row;
  }
  assertEquals(told, Object.fromEntries(TYPES.map((type) => [type, expected(TABLE[type])])));
  assertEquals(scene.state, before, "nothing has changed");
  assertEquals(scene.world.defect, undefined);
}

Deno.test("hostile messages: of a stranger", () =>
  tryAll([NODE, COORDINATOR], () => ({}), ({ stranger }) => stranger));

Deno.test("hostile messages: of a user without rights", () =>
  tryAll(
    [NODE, COORDINATOR],
    (security) => ({ hello: { role: "client", secret: security.tokenOf("eve") } }),
    ({ user }) => user,
  ));

for (
  const [name, role, port] of [
    ["peer", "peer", PEERS],
    ["passing", "node", PEERS],
    ["member", "member", COORDINATOR],
  ] as const
) {
  Deno.test(`hostile messages: of a certified node that no map names, as a ${role}`, () =>
    tryAll(
      [port],
      ({ insider }) => ({ hello: { role, node: insider.id }, certified: true }),
      (row) => [row[name]],
    ));
}

Deno.test("hostile messages: a certificate opens no connection under another name, and a revoked one none", async () => {
  const { world, security, scheduler } = await Scene.open();
  const [victim] = world.hosts;
  const roles = ["client", "node", "gateway", "coordinator", "peer", "member"];
  for (const port of [PEERS, COORDINATOR]) {
    for (const role of roles) {
      const process = world.spawn("somebody", "somebody");
      const told: (string | undefined)[] = [];
      const say = (tls: typeof security.insider) =>
        world.network.transport(process, {
          identity: tls.identity,
          clients: false,
          isCareless: true,
        }).connect(
          port,
          1_000,
          (stream) => {
            const connection = new Connection(stream, process.clock, {
              onMessage: (message) => told.push(toldBy(message)),
              onInvalid: () => {},
              onClose: () => {},
            });
            const node = victim?.nodeId;
            const more = { protocol: 1, cluster_id: security.clusterId };
            connection.send({ req_type: "hello", role, node, ...more });
          },
          (error) => told.push(error.message.split(": ").at(-1)),
        );
      say(security.insider);
      await scheduler.run(4 * ANSWER_MS);
      say(security.removed);
      await scheduler.run(4 * ANSWER_MS);
      assertEquals(told, ["forbidden", "the certificate is refused"], `${role} ${port.port}`);
      process.kill();
      world.network.processDied(process, true);
    }
  }
});
