import { assert, assertEquals, assertRejects } from "@std/assert";
import { KvClient } from "../../../../client/library/kv_client.ts";
import { type OneOfMany, runMany } from "../../../../client/library/many.ts";
import { MANY_AT_ONCE, MANY_BYTES_AT_ONCE } from "../../../../shared/limits/client.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { FakeCluster } from "../../../support/worlds/fake_cluster.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

function setUp() {
  const cluster = new FakeCluster();
  const client = new KvClient({ clock: new ManualClock(), router: cluster });
  return { cluster, client };
}

Deno.test("putMany, getMany and deleteMany say of each key what happened, in order", async () => {
  const { client, cluster } = setUp();
  cluster.fault = (request) =>
    "key" in request && request.key === "down"
      ? { req_type: "error", code: "unavailable", message: "" }
      : undefined;
  const put = await client.putMany(new Map([["a", "1"], ["down", "2"], ["", "3"], ["b", "4"]]));
  assertEquals(
    put.map((result) => [result.key, result.ok ? result.value : result.error.code]),
    [["a", 1], ["down", "unavailable"], ["", "bad_request"], ["b", 2]],
  );
  const got = await client.getMany(["b", "none", "down", "b"]);
  assertEquals(
    got.map((result) => result.ok ? result.value?.version : result.error.code),
    [2, undefined, "unavailable", 2],
  );
  const deleted = await client.deleteMany(["a", "none", "down"]);
  assertEquals(
    deleted.map((result) => result.ok ? result.value : result.error.code),
    [true, false, "unavailable"],
  );
  assertEquals(await client.getMany([]), []);
});

Deno.test("putMany: an entry's own options come before those of all", async () => {
  const { client, cluster } = setUp();
  await client.putMany([["a", "1"], ["b", "2", { ttlMs: 5 }]], { ttlMs: 9, acks: "primary" });
  const ttls = cluster.requests.map((request) => "ttl_ms" in request ? request.ttl_ms : undefined);
  assertEquals(ttls, [9, 5]);
});

Deno.test("getMany ends with the reason of its signal", async () => {
  const { client, cluster } = setUp();
  cluster.held = [];
  const controller = new AbortController();
  const call = client.getMany(["a", "b"], { signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => call, Error, "enough");
});

Deno.test("runMany: a bounded number is under way, and the next is asked for when there is room", async () => {
  let [asked, open, most, ended] = [0, 0, 0, 0];
  const ends: (() => void)[] = [];
  function* calls(): Generator<OneOfMany<number>> {
    for (let i = 0; i < 3 * MANY_AT_ONCE; i++) {
      asked++;
      yield {
        key: `k${i}`,
        bytes: 0,
        run: () => {
          most = Math.max(most, ++open);
          return new Promise((resolve) => ends.push(() => resolve(i)));
        },
      };
    }
  }
  const running = runMany(calls());
  while (ends.length > 0) {
    assert(asked <= ended + MANY_AT_ONCE + 1, "it takes no more from the caller than it can use");
    ends.shift()?.();
    open--;
    ended++;
    for (let i = 0; i < 5; i++) await Promise.resolve();
  }
  const results = await running;
  assertEquals(most, MANY_AT_ONCE);
  assertEquals(results.map((result) => result.ok && result.value), [
    ...Array(3 * MANY_AT_ONCE).keys(),
  ]);
});

Deno.test("runMany: large values wait for each other", async () => {
  let [open, most] = [0, 0];
  const call = (bytes: number): OneOfMany<void> => ({
    key: "k",
    bytes,
    run: async () => {
      most = Math.max(most, ++open);
      await Promise.resolve();
      open--;
    },
  });
  await runMany(Array.from({ length: 20 }, () => call(MANY_BYTES_AT_ONCE / 2)));
  assertEquals(most, 2);
  await runMany([call(2 * MANY_BYTES_AT_ONCE), call(1)]);
});

Deno.test("runMany: what is no KvError ends it", async () => {
  let begun = 0;
  const call = (error: unknown): OneOfMany<void> => ({
    key: "k",
    bytes: MANY_BYTES_AT_ONCE,
    run: () => {
      begun++;
      return Promise.reject(error);
    },
  });
  const calls = [call(new KvError("timeout", "")), call(new Error("defect")), call(undefined)];
  await assertRejects(() => runMany(calls), Error, "defect");
  assertEquals(begun, 2);
});
