import { assert, assertEquals, assertRejects } from "@std/assert";
import { KvClient } from "../../../../client/library/kv_client.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { SCAN_LIBRARY_KEYS } from "../../../../shared/limits/client.ts";
import { DELETES_IN_FLIGHT_MAX } from "../../../../shared/limits/scans.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import { FakeNodes } from "../../../support/worlds/fake_nodes.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

class Bench {
  readonly clock = new ManualClock();
  readonly nodes = new FakeNodes(this.clock, new SeededRandom(3), 3, 8);
  readonly kv = new KvClient({ clock: this.clock, router: this.nodes });

  fill(count: number): string[] {
    const keys = Array.from({ length: count }, (_, i) => `k${String(i).padStart(5, "0")}`);
    for (const key of keys) this.nodes.put(key);
    return keys;
  }

  /** Lets time pass until it is done. */
  async during<T>(promise: Promise<T>): Promise<T> {
    const state = { ended: false };
    const end = () => void (state.ended = true);
    promise.then(end, end);
    for (let i = 0; !state.ended && i < 50_000; i++) await this.clock.run(5);
    assert(state.ended, "it never ends");
    return await promise;
  }
}

Deno.test("KvClient.scan and keys: all, a part, backwards, up to a limit", async () => {
  const bench = new Bench();
  const keys = bench.fill(60);
  const { kv } = bench;
  const entries = await bench.during(Array.fromAsync(kv.scan()));
  assertEquals(entries.map(({ key }) => key), keys);
  assertEquals(new TextDecoder().decode(entries[7]?.value), "value of k00007");
  const bare = await bench.during(Array.fromAsync(kv.scan({ values: false, limit: 2 })));
  assertEquals(bare.map(({ value }) => value.length), [0, 0]);
  assertEquals(
    await bench.during(Array.fromAsync(kv.keys({ prefix: "k0002", reverse: true, limit: 3 }))),
    ["k00029", "k00028", "k00027"],
  );
  assertEquals(await bench.during(kv.count()), 60);
  assertEquals(await bench.during(kv.count({ start: "k00010", end: "k00012" })), 2);
});

Deno.test("KvClient.scan: refuses what makes no sense, and ends when it is told to", async () => {
  const bench = new Bench();
  bench.fill(10);
  const { kv } = bench;
  for (const options of [{ limit: 0 }, { limit: 1.5 }, { prefix: "\ud800" }, { timeoutMs: 0 }]) {
    const error = await assertRejects(() => Array.fromAsync(kv.scan(options)), KvError);
    assertEquals(error.code, "bad_request");
  }
  bench.nodes.fault = () => null;
  const controller = new AbortController();
  const scan = Array.fromAsync(kv.scan({ signal: controller.signal }));
  await bench.clock.run(5);
  controller.abort(new Error("enough"));
  await assertRejects(() => bench.during(scan), Error, "enough");
  const counting = kv.count();
  await bench.clock.run(5);
  kv.close();
  const error = await assertRejects(() => bench.during(counting), KvError);
  assertEquals(error.code, "unavailable");
  await assertRejects(() => Array.fromAsync(kv.scan()), KvError, "closed");
});

Deno.test("KvClient.scan: a page is asked for when the one before has been taken, and no more is kept", async () => {
  const bench = new Bench();
  bench.fill(2 * SCAN_LIBRARY_KEYS + 1);
  const scan = bench.kv.scan({ values: false });
  await bench.during(scan.next());
  const asked = bench.nodes.asked.length;
  for (const { message } of bench.nodes.asked) {
    assert(message.req_type === "scan_node" && (message.limit ?? 0) <= SCAN_LIBRARY_KEYS);
  }
  await bench.clock.run(1_000);
  assertEquals(bench.nodes.asked.length, asked);
  for (let i = 1; i < SCAN_LIBRARY_KEYS; i++) await scan.next();
  assertEquals(bench.nodes.asked.length, asked);
  await bench.during(scan.next());
  assert(bench.nodes.asked.length > asked);
  await scan.return();
});

Deno.test("KvClient.deleteMatching: refuses a selection that is all there is, as of a variable not set", async () => {
  const bench = new Bench();
  bench.fill(3);
  const { kv } = bench;
  const empty = [{}, { prefix: undefined }, { prefix: "" }, { start: "", end: undefined }];
  for (const selection of empty) {
    const error = await assertRejects(() => kv.deleteMatching(selection), KvError, "flushAll()");
    assertEquals(error.code, "bad_request");
  }
  const refused = { prefix: "\ud800" };
  await assertRejects(() => kv.deleteMatching(refused), KvError, "deleteMatching: ");
  assertEquals(await bench.during(kv.deleteMatching({ end: "" })), 0);
  assertEquals(bench.nodes.entries.size, 3);
  assertEquals(await bench.during(kv.deleteMatching({ start: "k" })), 3);
});

Deno.test("KvClient.deleteMatching and flushAll: a few at a time, with progress", async () => {
  const bench = new Bench();
  bench.fill(5_000);
  for (let i = 0; i < 40; i++) bench.nodes.put(`other${i}`);
  const progress: number[] = [];
  const onProgress = (deleted: number) => void progress.push(deleted);
  assertEquals(await bench.during(bench.kv.deleteMatching({ prefix: "k" }, { onProgress })), 5_000);
  assertEquals(progress.at(-1), 5_000);
  assert(progress.length > 1);
  assert(bench.nodes.executingMost > 1 && bench.nodes.executingMost <= DELETES_IN_FLIGHT_MAX);
  assertEquals(bench.nodes.entries.size, 40);
  assertEquals(await bench.during(bench.kv.flushAll()), 40);
  assertEquals(bench.nodes.entries.size, 0);
  assertEquals(await bench.during(bench.kv.flushAll()), 0);
});
