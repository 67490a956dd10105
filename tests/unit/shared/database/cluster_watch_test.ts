/**
 * A watch of the whole cluster over nodes that answer when, and what, the test says.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Entry } from "../../../../shared/base/entry.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import type { ClusterMap, NodeId } from "../../../../shared/cluster/cluster_map.ts";
import { PartitionSet } from "../../../../shared/cluster/partition_set.ts";
import { partitionOf } from "../../../../shared/cluster/position.ts";
import { ClusterDatabase } from "../../../../shared/database/cluster_database.ts";
import type { Watch } from "../../../../shared/database/database.ts";
import {
  WATCH_LOOK_MS,
  WATCH_PLACES_MAX,
  WATCH_QUESTION_PARTITIONS,
  WATCHES_MAX,
} from "../../../../shared/limits/scans.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import { errorReply } from "../../../../shared/operations/operation.ts";
import type { WirePosition } from "../../../../shared/schema/watch_fields.ts";
import type { WatchedEvent, WatchRequest } from "../../../../shared/watch/watch_event.ts";
import { decodeToken } from "../../../../shared/watch/watch_token.ts";
import type { Message, Reply } from "../../../../shared/wire/messages.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { fakeMap } from "../../../support/worlds/fake_cluster.ts";

const [A = "", B = ""] = fakeMap().nodes.map(({ id }) => id);
const PARTITIONS = fakeMap().settings.partitionCount;

/** A question that waits for its answer. */
interface Asked {
  readonly node: NodeId;
  readonly message: Message<"watch_node">;
  readonly done: (reply: Reply) => void;
}

/** A key of a partition, by its number. */
function keyIn(partition: number, number = 0, partitions = PARTITIONS): string {
  for (let i = 0;; i++) {
    const key = `k${i}`;
    if (partitionOf(key, partitions) === partition && number-- === 0) return key;
  }
}

function entry(key: string, seq: number): Entry {
  const value = new Uint8Array([seq]);
  return { key, seq, term: 1, flags: 0, timestampMs: 1, expiresAtMs: 0, value };
}

class Bench {
  readonly clock = new ManualClock();
  readonly asked: Asked[] = [];
  map: ClusterMap = fakeMap();
  refreshes = 0;
  readonly database = new ClusterDatabase({
    clock: this.clock,
    random: new SeededRandom(1),
    router: {
      map: () => this.map,
      refresh: () => {
        this.refreshes++;
        return Promise.resolve(this.map);
      },
      request: (node, message, _timeoutMs, done) => {
        this.asked.push({ node, message: message as Message<"watch_node">, done });
      },
    },
    execute: () => () => {},
  });

  /** Takes the questions to a node that wait. */
  take(node?: NodeId): Asked[] {
    const taken = this.asked.filter((one) => node === undefined || one.node === node);
    for (const one of taken) this.asked.splice(this.asked.indexOf(one), 1);
    return taken;
  }

  /** The only question to a node that waits. */
  async one(node?: NodeId): Promise<Asked> {
    await this.clock.run(1);
    const [one, ...more] = this.take(node);
    assert(one !== undefined && more.length === 0, "one question is expected");
    return one;
  }

  watch(request: WatchRequest): Watching {
    return new Watching(this, this.database.watch(request));
  }

  /** Another node is primary of a partition. */
  move(partition: number, node: NodeId): void {
    const partitions = this.map.partitions.map((config, p) =>
      p === partition ? { ...config, primary: node, term: config.term + 1 } : config
    );
    this.map = { ...this.map, epoch: this.map.epoch + 1, partitions };
  }
}

/** A watch whose events are taken one batch at a time. */
class Watching {
  readonly #bench: Bench;
  readonly watch: Watch;

  constructor(bench: Bench, watch: Watch) {
    this.#bench = bench;
    this.watch = watch;
  }

  /** What comes next; nothing if that takes longer. */
  async next(ms = 1): Promise<readonly WatchedEvent[]> {
    const got: WatchedEvent[] = [];
    this.watch.next((events) => {
      assert(!("req_type" in events), JSON.stringify(events));
      got.push(...events);
    });
    await this.#bench.clock.run(ms);
    return got;
  }

  async lines(ms?: number): Promise<string[]> {
    return (await this.next(ms)).map(({ type, entry }) =>
      entry === undefined ? type : `${type} ${entry.key} ${entry.seq}`
    );
  }
}

/** An answer. */
function changes(
  positions: readonly WirePosition[],
  entries: readonly Entry[] = [],
  rest: Partial<Message<"changes">> = {},
): Message<"changes"> {
  return { req_type: "changes", entries: [], local_entries: entries, positions, ...rest };
}

function refused(...partitions: number[]): Message<"changes"> {
  const set = new PartitionSet(PARTITIONS);
  for (const partition of partitions) set.add(partition);
  return changes([], [], { refused: set.toText() });
}

Deno.test("ClusterWatch: each primary is asked about its own partitions, and level comes when all have answered", async () => {
  const bench = new Bench();
  const watching = bench.watch({ prefixes: [""], snapshot: true });
  await bench.clock.run(1);
  assertEquals(bench.asked.map(({ node }) => node).sort(), [A, B]);
  const [first] = bench.take(A);
  const [second] = bench.take(B);
  assertEquals(first?.message.positions.map(([p]) => p), [0, 2, 4, 6]);
  const [x, y] = [keyIn(0), keyIn(1)];
  first?.done(changes([[0, 0, 5], [2, 0, 0], [4, 0, 0], [6, 0, 0]], [entry(x, 5)]));
  assertEquals(await watching.lines(), [`put ${x} 5`]);
  second?.done(changes([[1, 0, 3], [3, 0, 0], [5, 0, 0], [7, 0, 0]], [entry(y, 3)]));
  assertEquals(await watching.lines(), [`put ${y} 3`, "level"]);
  watching.watch.close();
  assertEquals(bench.clock.timers, 0);
});

Deno.test("ClusterWatch: of many partitions, those of one question are asked about again, and the others' questions stay", async () => {
  const bench = new Bench();
  const partitions = Array.from(
    { length: 64 },
    () => ({ term: 1, primary: A, inSync: [A], learners: [] }),
  );
  bench.map = { ...bench.map, settings: { ...bench.map.settings, partitionCount: 64 }, partitions };
  const watching = bench.watch({ prefixes: [""] });
  await bench.clock.run(1);
  const asked = bench.take();
  assertEquals(asked.length, 64 / WATCH_QUESTION_PARTITIONS);
  for (const { message, done } of asked) {
    done(changes(message.positions.map(([p]): WirePosition => [p, 0, 1])));
  }
  assertEquals(await watching.lines(), ["level"]);
  const questions = bench.take();
  const first = questions.find(({ message }) => message.positions.some(([p]) => p === 0));
  const key = keyIn(0, 0, 64);
  first?.done(changes([[0, 0, 2]], [entry(key, 2)]));
  assertEquals(await watching.lines(), [`put ${key} 2`]);
  const again = await bench.one(A);
  assertEquals(
    again.message.positions.map(([p]) => p),
    first?.message.positions.map(([p]) => p),
  );
  watching.watch.close();
});

Deno.test("ClusterWatch: a caller that does not take what came is not asked for", async () => {
  const bench = new Bench();
  const key = keyIn(0);
  const watching = bench.watch({ keys: [key] });
  (await bench.one()).done(changes([[0, 0, 1]]));
  assertEquals(await watching.lines(), ["level"]);
  const again = await bench.one();
  assertEquals(again.message.positions, [[0, 0, 1]]);
  again.done(changes([[0, 0, 2]], [entry(key, 2)]));
  await bench.clock.run(60_000);
  assertEquals(bench.asked, []);
  assertEquals(await watching.lines(), [`put ${key} 2`]);
  assertEquals((await bench.one()).message.positions, [[0, 0, 2]]);
  watching.watch.close();
});

Deno.test("ClusterWatch: a partition that moved is asked about at its new primary, and what the old one says counts no more (rule V1)", async () => {
  const bench = new Bench();
  const key = keyIn(0);
  const watching = bench.watch({ keys: [key] });
  (await bench.one(A)).done(changes([[0, 0, 1]]));
  assertEquals(await watching.lines(), ["level"]);
  const old = await bench.one(A);
  bench.move(0, B);
  const taking = watching.lines(WATCH_LOOK_MS + 1);
  await bench.clock.run(WATCH_LOOK_MS + 1);
  const asked = bench.take(B);
  assertEquals(asked.map(({ message }) => message.positions), [[[0, 0, 1]]]);
  asked[0]?.done(changes([[0, 0, 3]], [entry(key, 3)]));
  assertEquals(await taking, [`put ${key} 3`]);
  old.done(changes([[0, 0, 2]], [entry(key, 2)]));
  assertEquals(await watching.lines(), []);
  assertEquals((await bench.one(B)).message.positions, [[0, 0, 3]]);
  watching.watch.close();
});

Deno.test("ClusterWatch: a node that does not serve a partition is asked again from the same place, with a new map", async () => {
  const bench = new Bench();
  const key = keyIn(0);
  const watching = bench.watch({ keys: [key] });
  for (const reply of [refused(0), errorReply("unavailable", ""), errorReply("overloaded", "")]) {
    (await bench.one(A)).done(reply);
    await bench.clock.run(5_000);
  }
  assert(bench.refreshes >= 3);
  (await bench.one(A)).done(changes([[0, 0, 1]]));
  assertEquals(await watching.lines(), ["level"]);
  (await bench.one(A)).done(errorReply("forbidden", ""));
  let error = "";
  watching.watch.next((events) => error = "req_type" in events ? events.code : "none");
  await bench.clock.run(1);
  assertEquals(error, "forbidden");
  assertEquals(bench.clock.timers, 0);
});

Deno.test("ClusterWatch: closed, it leaves no timer, however many nodes have refused it", async () => {
  const bench = new Bench();
  const { watch } = bench.watch({ prefixes: [""] });
  await bench.clock.run(1);
  for (const node of [A, B]) {
    for (const { done } of bench.take(node)) done(errorReply("unavailable", "not now"));
    await bench.clock.run(0);
  }
  assertEquals(bench.refreshes, 2);
  watch.close();
  assertEquals(bench.clock.timers, 0);
});

Deno.test("ClusterWatch: reset drops what was not given, and everything is asked for anew (rule V8)", async () => {
  const bench = new Bench();
  const watching = bench.watch({ prefixes: [""], snapshot: true });
  await bench.clock.run(1);
  const [first] = bench.take(A);
  const [second] = bench.take(B);
  first?.done(changes([[0, 0, 5], [2, 0, 0], [4, 0, 0], [6, 0, 0]], [entry(keyIn(0), 5)]));
  second?.done(changes([], [], { reset: true }));
  assertEquals(await watching.lines(), ["reset"]);
  const again = bench.take();
  assertEquals(again.map(({ node }) => node).sort(), [A, B]);
  for (const { message } of again) {
    for (const position of message.positions) assertEquals(position.slice(1), [0, 0, 0, 0, "", 1]);
  }
  watching.watch.close();
});

Deno.test("ClusterWatch: a node that says reset again and again is asked less and less often", async () => {
  const bench = new Bench();
  const watching = bench.watch({ keys: [keyIn(0)] });
  let asked = 0;
  const next = () => watching.watch.next(() => next());
  next();
  for (let i = 0; i < 2_000; i++) {
    await bench.clock.run(1);
    for (const { done } of bench.take()) {
      asked++;
      // Also if it tells everything in between.
      done(asked % 2 === 0 ? changes([[0, 0, 1]]) : changes([], [], { reset: true }));
    }
  }
  assert(asked > 3 && asked < 120, `asked ${asked} times in two seconds`);
  watching.watch.close();
});

Deno.test("ClusterWatch: the token of an event says nothing of what comes behind it", async () => {
  const bench = new Bench();
  const watching = bench.watch({ prefixes: [""] });
  await bench.clock.run(1);
  for (const { message, done } of bench.take()) {
    done(changes(message.positions.map(([p]): WirePosition => [p, 0, 1])));
  }
  assertEquals(await watching.lines(), ["level"]);
  const [x, y] = [keyIn(0), keyIn(0, 1)];
  const [asked] = bench.take(A);
  asked?.done(changes([[0, 0, 4]], [entry(x, 2), entry(y, 3)]));
  const events = await watching.next();
  const seqs = (event: WatchedEvent | undefined) =>
    decodeToken(event?.token() ?? "", "c", PARTITIONS)?.get(0)?.seq;
  // Also if they are asked for in another order.
  assertEquals([seqs(events[1]), seqs(events[0])], [4, 2]);
  watching.watch.close();
});

Deno.test("ClusterWatch: what a node says of partitions that it was not asked about is ignored", async () => {
  const bench = new Bench();
  const [key, other] = [keyIn(0), keyIn(1)];
  const watching = bench.watch({ keys: [key] });
  (await bench.one()).done(
    changes([[0, 0, 1], [1, 0, 9]], [entry(other, 9)], { refused: "never a set" }),
  );
  assertEquals(await watching.lines(5_000), []);
  (await bench.one()).done(changes([[0, 0, 1], [1, 0, 9]], [entry(other, 9)]));
  assertEquals(await watching.lines(), ["level"]);
  assertEquals((await bench.one()).message.positions, [[0, 0, 1]]);
  watching.watch.close();
});

Deno.test("ClusterDatabase.watch: a process has a bounded number of watches", async () => {
  const bench = new Bench();
  const watches: Watch[] = [];
  const begin = () => watches.push(bench.database.watch({ keys: ["k"] }));
  for (let i = 0; i < WATCHES_MAX; i++) begin();
  assertEquals(assertThrows(begin, KvError).code, "overloaded");
  watches.pop()?.close();
  begin();
  for (const watch of watches.splice(0)) watch.close();
  // A prefix is in all partitions.
  const large = { ...bench.map, settings: { ...bench.map.settings, partitionCount: 2 ** 16 } };
  const partitions = Array.from(
    { length: 2 ** 16 },
    () => ({ term: 1, primary: A, inSync: [A], learners: [] }),
  );
  bench.map = { ...large, partitions };
  const wide = () => watches.push(bench.database.watch({ prefixes: [""] }));
  for (let places = 0; places < WATCH_PLACES_MAX; places += 2 ** 16) wide();
  assertEquals(assertThrows(wide, KvError).code, "overloaded");
  watches.pop()?.close();
  wide();
  for (const watch of watches) watch.close();
  await bench.clock.run(1);
  assertEquals(bench.clock.timers, 0);
});
