import { assert, assertEquals } from "@std/assert";
import {
  CoordinatorSession,
  type SessionIdentity,
} from "../../../../node/membership/coordinator_session.ts";
import type { ClusterMap, PartitionConfig } from "../../../../shared/cluster/cluster_map.ts";
import { Connection } from "../../../../shared/wire/connection.ts";
import { type KvError, toKvError } from "../../../../shared/base/errors.ts";
import {
  SESSION_BACKOFF_MS,
  SESSION_GREETING_MS,
  SESSION_REPLY_TIMEOUT_MS,
  SESSION_SILENCE_OF_SEVERAL_MS,
} from "../../../../shared/limits/membership.ts";
import type { LogFields } from "../../../../shared/platform/logger.ts";
import { NO_LOG } from "../../../support/doubles/no_log.ts";
import type { Message, MessageType } from "../../../../shared/wire/messages.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import type { Address, Listener } from "../../../../shared/platform/transport.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../../../support/doubles/memory_transport.ts";

const COORDINATOR: Address = { host: "coordinator", port: 8080 };

const IDENTITY: SessionIdentity = {
  node: "n1",
  instance: "i1",
  incarnation: 4,
  host: "node",
  port: 8081,
  httpPort: 0,
  zone: "z",
  weight: 1,
  memory: false,
};

function mapOf(epoch: number, clusterId = "c1"): ClusterMap {
  const config: PartitionConfig = { term: epoch, primary: "n1", inSync: ["n1"], learners: [] };
  return {
    epoch,
    settings: {
      clusterId,
      clusterName: "test",
      partitionCount: 2,
      replicationFactor: 1,
      minInSync: 1,
      leaseMs: 1500,
      heartbeatIntervalMs: 500,
      failureTimeoutMs: 2500,
    },
    nodes: [{
      id: "n1",
      host: "node",
      port: 8081,
      httpPort: 0,
      zone: "z",
      weight: 1,
      incarnation: 4,
      state: "up",
    }],
    partitions: [config, config],
  };
}

function deltaTo(epoch: number, fromEpoch = epoch - 1): Message<"map_delta"> {
  const config: PartitionConfig = { term: epoch, primary: "n1", inSync: ["n1"], learners: [] };
  return { req_type: "map_delta", delta: { fromEpoch, epoch, partitions: [[1, config]] } };
}

function ackOf(epoch: number): Message<"heartbeat_ack"> {
  const from = { node: "n1", instance: "i1", sent: 1 };
  return { req_type: "heartbeat_ack", ...from, epoch, at: 1, lease: true };
}

/** A node's session, and a coordinator that says what the test tells it to. */
class Bench {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock, { delayMs: 1 });
  readonly maps: ClusterMap[] = [];
  readonly events: string[] = [];
  readonly fatal: KvError[] = [];
  readonly received: Message[] = [];
  readonly log: string[] = [];
  readonly session: CoordinatorSession;
  clusterId: string | undefined;
  joinError: KvError | undefined;
  joinWaits = false;
  finishJoin: () => void = () => {};
  /** What `register` is answered with. */
  onRegister: (message: Message<"register">) => object | undefined = () => ({
    req_type: "registered",
    map: mapOf(5),
    heartbeat_port: 3769,
    at: 1,
  });
  connections: Connection[] = [];
  answersPings = true;
  #listener: Listener | undefined;

  constructor(known?: ClusterMap) {
    if (known !== undefined) this.maps.push(known);
    const deps = {
      clock: this.clock,
      random: new SeededRandom(1),
      transport: this.network.transport("node"),
      log: {
        ...NO_LOG,
        warn: (event: string, fields?: LogFields) =>
          void this.log.push(`${event}: ${fields?.reason}`),
        error: (event: string, fields?: LogFields) =>
          void this.log.push(`${event}: ${fields?.reason}`),
      },
    };
    this.session = new CoordinatorSession(deps, {
      identity: IDENTITY,
      node: {
        held: () => [[0, 3, 12, 0]],
        openedBatch: 7,
        map: () => this.maps.at(-1),
        onCoordinatorUp: () => void this.events.push("up"),
        onHandover: (p, term, to) => void this.events.push(`handover ${p} ${term} ${to}`),
      },
      locate: (use) => use([COORDINATOR]),
      clusterId: () => this.clusterId,
      joinCluster: (map, done) => {
        this.events.push(`join ${map.settings.clusterId}`);
        this.finishJoin = () => {
          if (this.joinError === undefined) this.clusterId = map.settings.clusterId;
          done(this.joinError);
        };
        if (!this.joinWaits) this.finishJoin();
      },
      onMap: (map) => void this.maps.push(map),
      onRegistered: ({ to, intervalMs, key }) =>
        void this.events.push(
          `heartbeats ${to.host}:${to.port} ${intervalMs}${key === undefined ? "" : " sealed"}`,
        ),
      onMistrust: () => void this.events.push("mistrust"),
      onHeartbeatAck: (message) => void this.events.push(`ack ${message.sent}`),
      onDown: () => void this.events.push("down"),
      onLeft: () => void this.events.push("left"),
      onFatal: (error) => void this.fatal.push(error),
    });
  }

  async listen(): Promise<void> {
    this.#listener = await this.network.transport("coordinator").listen(COORDINATOR, (stream) => {
      const connection = new Connection(stream, this.clock, {
        onMessage: (message) => this.#onMessage(message, connection),
        onInvalid: (error) => {
          throw error;
        },
        onClose: () => {},
      });
      this.connections.push(connection);
    });
  }

  async start(): Promise<void> {
    await this.listen();
    this.session.start();
    await this.clock.run(10);
  }

  stopListening(): void {
    this.#listener?.close();
  }

  get connection(): Connection {
    const connection = this.connections.at(-1);
    assert(connection !== undefined);
    return connection;
  }

  /** What the session sent of one type. */
  sent<M extends MessageType>(type: M): Message<M>[] {
    return this.received.filter((message): message is Message<M> => message.req_type === type);
  }

  async push(message: object): Promise<void> {
    this.connection.send(message);
    await this.clock.run(10);
  }

  get epochs(): number[] {
    return this.maps.map((map) => map.epoch);
  }

  #onMessage(message: Message, connection: Connection): void {
    this.received.push(message);
    const { req_type: type } = message;
    if (type === "hello" || (type === "ping" && this.answersPings)) {
      connection.send({ req_type: "ack", id: message.id });
    }
    if (message.req_type !== "register") return;
    const answer = this.onRegister(message);
    if (answer !== undefined) connection.send({ ...answer, id: message.id });
  }
}

Deno.test("CoordinatorSession registers and hands the map, the heartbeats' address and its coming on", async () => {
  const bench = new Bench();
  await bench.start();
  assertEquals(bench.received.map((message) => message.req_type), ["hello", "register"]);
  const [register] = bench.sent("register");
  assertEquals(register?.held, [[0, 3, 12, 0]]);
  assertEquals([register?.incarnation, register?.instance, register?.cluster_id], [
    4,
    "i1",
    undefined,
  ]);
  assertEquals(bench.epochs, [5]);
  assertEquals(bench.events, ["join c1", "heartbeats coordinator:3769 500", "up"]);
  assert(bench.session.up);
  bench.session.close();
});

Deno.test("CoordinatorSession takes a key for heartbeats from a certified coordinator, and from nobody else", async () => {
  for (const isCertified of [true, false]) {
    const bench = new Bench();
    if (isCertified) {
      bench.network.certify("coordinator", { id: "c", role: "coordinator", serial: "1" });
    }
    bench.onRegister = () => ({
      req_type: "registered",
      map: mapOf(5),
      heartbeat_port: 3769,
      at: 1,
      heartbeat_key: "0".repeat(64),
    });
    await bench.start();
    assertEquals(
      bench.events[1],
      `heartbeats coordinator:3769 500${isCertified ? " sealed" : ""}`,
    );
    bench.session.close();
  }
});

Deno.test("CoordinatorSession names the cluster that its folder belongs to", async () => {
  const bench = new Bench();
  bench.clusterId = "c1";
  await bench.start();
  assertEquals(bench.sent("register")[0]?.cluster_id, "c1");
  bench.session.close();
});

Deno.test("CoordinatorSession uses no map before the folder is noted down to belong to the cluster", async () => {
  const bench = new Bench();
  bench.joinWaits = true;
  await bench.start();
  await bench.push(deltaTo(6));
  assertEquals(bench.epochs, []);
  bench.finishJoin();
  assertEquals(bench.epochs, [6]);
  await bench.push(deltaTo(7));
  assertEquals(bench.epochs, [6, 7]);
  bench.session.close();
});

Deno.test("CoordinatorSession ends the process if the folder cannot be noted down", async () => {
  const bench = new Bench();
  bench.joinError = toKvError(new Error("disk full"));
  await bench.start();
  assertEquals(bench.fatal.map((error) => error.message), ["disk full"]);
  assertEquals(bench.epochs, []);
});

Deno.test("CoordinatorSession applies changes in order and ignores old ones", async () => {
  const bench = new Bench();
  await bench.start();
  await bench.push(deltaTo(6));
  await bench.push(deltaTo(6));
  await bench.push(deltaTo(5));
  await bench.push(deltaTo(9, 6));
  assertEquals(bench.epochs, [5, 6, 9]);
  assertEquals(bench.maps.at(-1)?.partitions.map(({ term }) => term), [5, 9]);
  bench.session.close();
});

Deno.test("CoordinatorSession asks for the whole map after a gap, once, and goes on from it", async () => {
  const bench = new Bench();
  await bench.start();
  await bench.push(deltaTo(8));
  await bench.push(deltaTo(9));
  assertEquals(bench.sent("get_map").length, 1);
  assertEquals(bench.epochs, [5]);
  const { id } = bench.sent("get_map")[0] ?? {};
  await bench.push({ req_type: "map", id, map: mapOf(9) });
  await bench.push(deltaTo(10));
  assertEquals(bench.epochs, [5, 9, 10]);
  assertEquals(bench.connections.length, 1);
  bench.session.close();
});

Deno.test("CoordinatorSession asks for the whole map if a change leaves no valid one", async () => {
  const bench = new Bench();
  await bench.start();
  const config: PartitionConfig = { term: 6, primary: "n2", inSync: ["n1"], learners: [] };
  await bench.push({
    req_type: "map_delta",
    delta: { fromEpoch: 5, epoch: 6, partitions: [[0, config]] },
  });
  assertEquals(bench.sent("get_map").length, 1);
  assertEquals(bench.epochs, [5]);
  bench.session.close();
});

Deno.test("CoordinatorSession connects anew if the whole map does not come", async () => {
  const bench = new Bench();
  await bench.start();
  await bench.push(deltaTo(8));
  bench.onRegister = () => ({ req_type: "registered", map: mapOf(8), heartbeat_port: 3769, at: 1 });
  await bench.clock.run(SESSION_REPLY_TIMEOUT_MS + 1_000);
  assertEquals(bench.connections.length, 2);
  assertEquals(bench.epochs, [5, 8]);
  bench.session.close();
});

Deno.test("CoordinatorSession asks for the map that two acknowledged heartbeats told of", async () => {
  const bench = new Bench();
  await bench.start();
  for (const epoch of [6, 5, 6]) await bench.push(ackOf(epoch));
  await bench.clock.run(10);
  assertEquals(bench.sent("get_map").length, 0);
  await bench.push(ackOf(6));
  await bench.clock.run(10);
  assertEquals(bench.sent("get_map").length, 1);
  bench.session.close();
});

Deno.test("CoordinatorSession registers again when told, on the same connection", async () => {
  const bench = new Bench();
  await bench.start();
  bench.onRegister = () => undefined;
  await bench.push({ req_type: "register_again" });
  assertEquals(bench.session.up, false);
  assertEquals(bench.session.send({ req_type: "drained", p: 0, term: 1 }), false);
  await bench.push({ req_type: "registered", map: mapOf(6), heartbeat_port: 3769, at: 1 });
  assert(bench.session.up);
  assertEquals(bench.sent("register").length, 2);
  assertEquals(bench.connections.length, 1);
  assertEquals(bench.events.slice(-2), ["heartbeats coordinator:3769 500", "up"]);
  bench.session.close();
});

Deno.test("CoordinatorSession takes a pushed whole map without coming up anew", async () => {
  const bench = new Bench();
  await bench.start();
  await bench.push({ req_type: "registered", map: mapOf(9), heartbeat_port: 3769, at: 1 });
  assertEquals(bench.epochs, [5, 9]);
  assertEquals(bench.events.filter((event) => event === "up").length, 1);
  bench.session.close();
});

Deno.test("CoordinatorSession connects anew after a break, and keeps trying", async () => {
  const bench = new Bench();
  await bench.start();
  bench.stopListening();
  bench.network.reset("node", "coordinator");
  await bench.clock.run(30_000);
  assertEquals(bench.session.up, false);
  assertEquals(bench.events.filter((event) => event === "down").length, 1);
  await bench.listen();
  await bench.clock.run(2_100);
  assert(bench.session.up);
  assertEquals(bench.events.filter((event) => event === "up").length, 2);
  bench.session.close();
});

Deno.test("CoordinatorSession goes over to a new connection before the certificates end, at once and without a complaint", async () => {
  const bench = new Bench();
  await bench.start();
  bench.network.expire("node", "coordinator");
  await bench.clock.run(10);
  assertEquals([bench.connections.length, bench.sent("register").length], [2, 2]);
  assertEquals([bench.session.up, bench.log, bench.network.openEnds], [true, [], 2]);
  bench.session.close();
});

Deno.test("CoordinatorSession connects anew when registering is not answered", async () => {
  const bench = new Bench();
  const answer = bench.onRegister;
  bench.onRegister = () => undefined;
  await bench.start();
  await bench.clock.run(SESSION_REPLY_TIMEOUT_MS);
  bench.onRegister = answer;
  await bench.clock.run(1_000);
  assert(bench.session.up);
  assertEquals(bench.connections.length, 2);
  bench.session.close();
});

Deno.test("CoordinatorSession leaves a connection over which nothing comes", async () => {
  const bench = new Bench();
  await bench.start();
  await bench.clock.run(20_000);
  assertEquals(bench.connections.length, 1, "answered pings show that it lives");
  bench.answersPings = false;
  for (let i = 0; i < 12; i++) {
    await bench.clock.run(500);
  }
  assertEquals(bench.connections.length, 2);
  bench.session.close();
});

Deno.test("CoordinatorSession turns to another coordinator at once if one falls silent", async () => {
  const bench = new Bench();
  const other: Address = { host: "other", port: 8080 };
  const coordinators = [COORDINATOR, other].map((address, i) => ({ id: `c${i}`, ...address }));
  bench.onRegister = () => ({
    req_type: "registered",
    map: { ...mapOf(5), coordinators },
    heartbeat_port: 3769,
    at: 1,
  });
  await bench.start();
  let asked = 0;
  const listener = await bench.network.transport("other").listen(other, () => void asked++);
  bench.answersPings = false;
  await bench.clock.run(SESSION_SILENCE_OF_SEVERAL_MS + SESSION_BACKOFF_MS + 10);
  assertEquals([bench.connections.length, asked], [1, 1]);
  // That one does not answer either.
  await bench.clock.run(SESSION_GREETING_MS + 2 * SESSION_BACKOFF_MS + 10);
  assertEquals([bench.connections.length, asked], [2, 1]);
  bench.session.close();
  listener.close();
});

Deno.test("CoordinatorSession ends the process for what trying again cannot change", async () => {
  for (const code of ["stale_incarnation", "wrong_cluster", "wrong_version"] as const) {
    const bench = new Bench();
    bench.onRegister = () => ({ req_type: "error", code, message: "no" });
    await bench.start();
    await bench.clock.run(10_000);
    assertEquals(bench.fatal.map((error) => error.code), [code]);
    assertEquals(bench.connections.length, 1);
    assertEquals(bench.clock.timers, 0);
  }
});

Deno.test("CoordinatorSession lets a node that serves go on if a wrong coordinator took the place of its own", async () => {
  const bench = new Bench();
  await bench.start();
  assertEquals(bench.epochs, [5]);
  const register = bench.onRegister;
  for (const code of ["wrong_cluster", "wrong_version"] as const) {
    bench.onRegister = () => ({ req_type: "error", code, message: "no" });
    bench.connection.close();
    await bench.clock.run(10_000);
    assertEquals(bench.fatal, []);
    bench.onRegister = register;
    await bench.clock.run(5_000);
    assert(bench.session.up, "its own one is back");
  }
  bench.onRegister = () => ({ req_type: "error", code: "stale_incarnation", message: "no" });
  bench.connection.close();
  await bench.clock.run(10_000);
  assertEquals(bench.fatal.map((error) => error.code), ["stale_incarnation"]);
});

Deno.test("CoordinatorSession says once, and while it lasts, that another cluster's coordinator answers", async () => {
  const bench = new Bench();
  await bench.start();
  const register = bench.onRegister;
  // Its own one is away for a while first: that is said, and must not hide what comes later.
  bench.onRegister = () => ({ req_type: "error", code: "overloaded", message: "later" });
  bench.connection.close();
  await bench.clock.run(5_000);
  assertEquals([bench.log.length, bench.session.refusal], [1, undefined]);
  bench.onRegister = () => ({ req_type: "error", code: "wrong_cluster", message: "leads c2" });
  await bench.clock.run(20_000);
  assertEquals(bench.log.slice(1), [
    "the coordinator cannot be used; trying again until it can: leads c2",
  ]);
  assertEquals(bench.session.refusal, "leads c2");
  bench.onRegister = register;
  await bench.clock.run(5_000);
  assertEquals([bench.session.up, bench.session.refusal], [true, undefined]);
  bench.session.close();
});

Deno.test("CoordinatorSession tries again after any other refusal", async () => {
  const bench = new Bench();
  bench.onRegister = () => ({ req_type: "error", code: "overloaded", message: "later" });
  await bench.start();
  await bench.clock.run(1_000);
  assertEquals(bench.fatal, []);
  assert(bench.connections.length > 2);
  bench.session.close();
});

Deno.test("CoordinatorSession refuses the map of another cluster", async () => {
  const bench = new Bench();
  bench.clusterId = "c0";
  await bench.start();
  assertEquals(bench.fatal.map((error) => error.code), ["wrong_cluster"]);
  assertEquals(bench.epochs, []);
});

Deno.test("CoordinatorSession does not believe a coordinator whose map is older than its own", async () => {
  const bench = new Bench(mapOf(6));
  await bench.start();
  assertEquals(bench.epochs, [6]);
  assertEquals(bench.session.up, false);
  assertEquals(bench.events, ["mistrust"]);
  bench.session.close();
});

Deno.test("CoordinatorSession passes orders and acknowledgements on", async () => {
  const bench = new Bench();
  await bench.start();
  await bench.push({ req_type: "handover", p: 1, term: 5, to: "n2" });
  await bench.push({ ...ackOf(5), sent: 3.5 });
  await bench.push({ req_type: "left" });
  assertEquals(bench.events.slice(3), ["handover 1 5 n2", "ack 3.5"], "it did not ask to leave");
  bench.session.close();
});

Deno.test("CoordinatorSession.leave is repeated after each registration until it is let go", async () => {
  const bench = new Bench();
  await bench.start();
  bench.session.leave(true);
  await bench.clock.run(10);
  bench.network.reset("node", "coordinator");
  await bench.clock.run(1_000);
  assertEquals(bench.sent("leave").map(({ stopping }) => stopping), [true, true]);
  bench.session.leave(false);
  await bench.push({ req_type: "left" });
  assertEquals(bench.sent("leave").at(-1)?.stopping, undefined);
  assertEquals(bench.events.at(-1), "left");
  bench.session.close();
});

Deno.test("CoordinatorSession.close leaves no timer and calls nothing any more", async () => {
  const bench = new Bench();
  await bench.start();
  bench.session.close();
  await bench.clock.run(20_000);
  assertEquals(bench.clock.timers, 0);
  assertEquals(bench.connections.length, 1);
});
