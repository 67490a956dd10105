/** Deno KV over HTTP, on a database in memory: metadata, statuses, rights. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { ErrorCode } from "../../../../shared/base/errors.ts";
import {
  KV_CONNECT_METADATA_MS,
  KV_CONNECT_OTHER_NODE_MS,
  KV_CONNECT_WATCH_KEYS_MAX,
  KV_CONNECT_WATCH_RETRY_MS,
} from "../../../../shared/limits/http.ts";
import { keyPrefixOf } from "../../../../shared/cluster/databases.ts";
import { KvDatabase, KvDatabaseIds } from "../../../../shared/denokv/kv_database.ts";
import type { ClusterMap } from "../../../../shared/cluster/cluster_map.ts";
import { addUser, setRole } from "../../../../shared/security/security_document.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";
import { ReplyLengths } from "../../../../shared/wire/reply_lengths.ts";
import { HttpBench, LOCAL } from "../../../support/clients/http_bench.ts";
import { HASH } from "../../../support/data/security_samples.ts";
import { AccessWorld } from "../../../support/worlds/access_world.ts";

const BYTES = WireType.LengthDelimited;
const VARINT = WireType.Varint;
const APP = { name: "app", number: 7, together: true } as const;
const DATABASE = new KvDatabase(APP);
const ID = DATABASE.id("c");
const MAP = {
  settings: { clusterId: "c", partitionCount: 4 },
  nodes: [{}],
  partitions: [],
  databases: {
    next: 10,
    list: [APP, { ...APP, name: "other", number: 8 }, { name: "spread", number: 9 }],
  },
};

function open(access?: AccessWorld): HttpBench {
  const bench = new HttpBench(LOCAL, access?.access);
  bench.database.clusterMap = MAP as unknown as ClusterMap;
  if (access !== undefined) {
    access.access.databases = () => MAP.databases;
  }
  return bench;
}

/** The key of a row of the database. */
const stored = (key: string) => keyPrefixOf(APP) + key;

const utf8 = (text: string) => new TextEncoder().encode(text);

/** An atomic write that sets keys, with checks. */
function setting(keys: readonly string[], checks: readonly string[] = []): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  for (const key of checks) writer.tag(1, BYTES).fork().tag(1, BYTES).bytes(utf8(key)).join();
  for (const key of keys) {
    writer.tag(2, BYTES).fork().tag(1, BYTES).bytes(utf8(key)).tag(2, BYTES).fork()
      .tag(1, BYTES).bytes(utf8("v")).tag(2, VARINT).int32(3).join().tag(3, VARINT).int32(1).join();
  }
  return writer.finish() as Uint8Array<ArrayBuffer>;
}

/** A read of one range. */
function reading(start: string, end: string, limit = 1): Uint8Array<ArrayBuffer> {
  return new BinaryWriter().tag(1, BYTES).fork().tag(1, BYTES).bytes(utf8(start)).tag(2, BYTES)
    .bytes(utf8(end)).tag(3, VARINT).int32(limit).join().finish() as Uint8Array<ArrayBuffer>;
}

const headers = { "x-denokv-database-id": ID, "x-denokv-version": "3" };

function post(bench: HttpBench, path: string, body: BodyInit, more: Record<string, string> = {}) {
  return bench.ask("POST", path, { body, headers: { ...headers, ...more } }, {
    remote: { host: "10.0.0.1", port: 5 },
    lengths: new ReplyLengths(),
    closed: false,
    heavy: false,
    onRefused: undefined,
    add: () => {},
    endSoon: () => {},
  });
}

Deno.test("POST /db/{name}: the best common version, and an endpoint relative to the address", async () => {
  const bench = open();
  const table: [string, string | undefined, [number, string] | number][] = [
    ["/db/app", '{"supportedVersions":[1,2,3]}', [3, "./app"]],
    ["/db/app", '{"supportedVersions":[2,1]}', [2, "./app"]],
    ["/db/app/", '{"supportedVersions":[4,3]}', [3, "../app"]],
    ["/db/app", undefined, [1, "http://127.0.0.1:9081/db/app"]],
    ["/db/app/", '{"supportedVersions":[1]}', [1, "http://127.0.0.1:9081/db/app"]],
    ["/db/app", '{"supportedVersions":[4]}', 400],
    ["/db/app", '{"supportedVersions":3}', 400],
    ["/db/app", '{"supportedVersions":["3"]}', 400],
    ["/db/app", "null", 400],
    ["/db/app", "{", 400],
    ["/db/a%2Fb", "{}", 400],
    ["/db/", '{"supportedVersions":[3]}', 400],
    [`/db/${"x".repeat(65)}`, '{"supportedVersions":[3]}', 400],
  ];
  for (const [path, body, expected] of table) {
    const response = await post(bench, path, body ?? "", { authorization: "Bearer abc" });
    if (typeof expected === "number") {
      assertEquals(response.status, expected, path + body);
      assert((await response.text()).length > 10);
      continue;
    }
    assertEquals(response.headers.get("content-type"), "application/json");
    const { version, endpoints, databaseId, token, expiresAt, ...rest } = await response.json();
    assertEquals([version, endpoints], [expected[0], [{
      url: expected[1],
      consistency: "strong",
    }]]);
    assertEquals([databaseId, token, rest], [ID, "abc", {}]);
    assertEquals(Date.parse(expiresAt) - bench.clock.wallMs(), 3_600_000);
    const base = new URL(path, "http://127.0.0.1:9081");
    assertEquals(new URL(endpoints[0].url, base).href, "http://127.0.0.1:9081/db/app");
  }
  const anybody = await (await post(bench, "/db/app", '{"supportedVersions":[3]}')).json();
  assert(anybody.token !== "", "clients refuse an empty one");
  bench.database.clusterMap = undefined;
  assertEquals((await post(bench, "/db/app", '{"supportedVersions":[3]}')).status, 503);
});

Deno.test("KvDatabase.id: a UUID for each database of each cluster", () => {
  const ids = [1, 2].flatMap((number) =>
    ["c", "d"].map((id) => new KvDatabase({ ...APP, number }).id(id))
  );
  assertEquals(new Set(ids).size, 4);
  // What is remembered is the same, whatever was asked in between.
  const known = new KvDatabaseIds();
  for (let round = 0; round < 2; round++) {
    for (const number of [1, 2, 1]) {
      for (const cluster of ["c", "d"]) {
        const database = new KvDatabase({ ...APP, number });
        assertEquals(known.of(database, cluster), database.id(cluster));
      }
    }
  }
  for (const id of ids) assert(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id), id);
});

Deno.test("Deno KV: what a database must be, and how one is made", async () => {
  const bench = open();
  const version = '{"supportedVersions":[3]}';
  for (const name of ["spread", "default"]) {
    const response = await post(bench, `/db/${name}`, version);
    assertEquals(response.status, 400);
    assertStringIncludes(await response.text(), "--together");
  }
  for (const method of ["snapshot_read", "atomic_write", "watch"]) {
    const response = await post(bench, `/db/nothing/${method}`, setting(["k"]));
    assertEquals(response.status, 404, await response.text());
  }
  assertEquals((await post(bench, "/db/nothing", version)).status, 404, "nobody makes it here");
});

Deno.test("Deno KV: a database that was made at another node a moment ago is asked for again", async () => {
  const bench = open();
  const body = setting(["k"]);
  const ask = async (name: string, number: number) => {
    const id = new KvDatabase({ ...APP, number }).id("c");
    const response = await post(bench, `/db/${name}/atomic_write`, body, {
      "x-denokv-database-id": id,
    });
    await response.body?.cancel();
    return response.status;
  };
  // The next one that is made gets 10.
  assertEquals(await ask("new", 10), 503);
  assertEquals(await ask("new", 12), 503);
  // In the place of the one that is known here.
  assertEquals(await ask("app", 10), 503);
  assertEquals(await ask("spread", 10), 503);
  // Of the past: dropped, and perhaps made again.
  assertEquals(await ask("gone", 9), 404);
  assertEquals(await ask("app", 6), 400);
  assertEquals(await ask("spread", 9), 400);
  assertEquals(bench.database.requests, []);
});

Deno.test("POST /db/{name}: Deno's own client is sent to another node, for a short time; others are not", async () => {
  const bench = open();
  const node = { state: "up", httpPort: 9081 };
  const nodes = [{ ...node, id: "a", host: "127.0.0.1" }, { ...node, id: "b", host: "10.0.0.2" }];
  const config = { term: 1, primary: "a", inSync: ["a", "b"], learners: [] };
  const settings = { ...MAP.settings, partitionCount: 1 };
  const map = { ...MAP, settings, nodes, partitions: [config] };
  bench.database.clusterMap = map as unknown as ClusterMap;
  const told = async (agent: string, versions: number[]) => {
    const response = await post(bench, "/db/app", JSON.stringify({ supportedVersions: versions }), {
      "user-agent": agent,
    });
    const { endpoints, expiresAt } = await response.json();
    return [endpoints[0].url, Date.parse(expiresAt) - bench.clock.wallMs()];
  };
  const other = "http://10.0.0.2:9081/db/app";
  assertEquals(await told("Deno/2.9.6", [1, 2, 3]), [other, KV_CONNECT_OTHER_NODE_MS]);
  assertEquals(await told("Deno/2.9.6", [1]), [other, KV_CONNECT_OTHER_NODE_MS]);
  assertEquals(await told("node", [1, 2, 3]), ["./app", KV_CONNECT_METADATA_MS]);
  bench.database.clusterMap = { ...map, nodes: nodes.slice(0, 1) } as unknown as ClusterMap;
  assertEquals(await told("Deno/2.9.6", [3]), ["./app", KV_CONNECT_METADATA_MS]);
});

Deno.test("atomic_write: an error of 5xx says that nothing happened, and no other does", async () => {
  const bench = open();
  const table: Record<string, readonly ErrorCode[]> = {
    503: ["unavailable", "not_primary", "not_enough_replicas", "overloaded", "timeout"],
    409: ["outcome_unknown", "reply_not_kept", "storage_failed", "corrupt", "session_evicted"],
    400: ["bad_request"],
    413: ["value_too_large", "transaction_too_large", "key_too_large"],
    422: ["out_of_range"],
  };
  for (const [status, codes] of Object.entries(table)) {
    for (const code of codes) {
      bench.database.intercept = () => ({ req_type: "error", code, message: "why" });
      const response = await post(bench, "/db/app/atomic_write", setting(["k"]));
      assertEquals([response.status, code], [Number(status), code]);
      assertEquals(await response.text(), `why (${code})`);
    }
  }
});

Deno.test("atomic_write: a check that fails is no error, and is named", async () => {
  const bench = open();
  const key = stored("b");
  bench.database.intercept = (request) => {
    assert(request.req_type === "transaction" && request.as_one === true);
    assertEquals(request.checks, [[stored("a"), 0], [key, 0]]);
    const detail = { key, version: 3 };
    return { req_type: "error", code: "version_mismatch", message: "no", detail };
  };
  const response = await post(bench, "/db/app/atomic_write", setting(["k"], ["a", "b"]));
  assertEquals(response.status, 200);
  const reader = new BinaryReader(await response.bytes());
  assertEquals([reader.tag()[0], reader.int32()], [1, 2]);
  assertEquals([reader.tag()[0], [...reader.bytes()]], [4, [1]]);
});

Deno.test("atomic_write, snapshot_read: what is refused before anything is asked", async () => {
  const bench = open();
  const enqueue = new BinaryWriter().tag(3, BYTES).bytes(utf8("")).finish() as Uint8Array<
    ArrayBuffer
  >;
  const ranges = (count: number) => {
    const writer = new BinaryWriter();
    for (let i = 0; i < count; i++) writer.raw(reading("a", "b"));
    return writer.finish() as Uint8Array<ArrayBuffer>;
  };
  const table: [string, Uint8Array<ArrayBuffer>, number, string][] = [
    ["atomic_write", Uint8Array.of(255), 400, "AtomicWrite"],
    ["atomic_write", enqueue, 400, "no queues"],
    ["atomic_write", setting([""]), 400, "must not be empty"],
    ["atomic_write", setting(Array.from({ length: 1_001 }, (_, i) => `${i}`)), 413, "1000"],
    ["snapshot_read", Uint8Array.of(10, 5), 400, "SnapshotRead"],
    ["snapshot_read", reading("a", "b", 0), 400, "limit"],
    ["snapshot_read", reading("a", "b", -1), 400, "limit"],
    ["snapshot_read", reading("a", "b", 2_001), 400, "batchSize"],
    ["snapshot_read", ranges(101), 400, "100 ranges"],
  ];
  for (const [method, body, status, text] of table) {
    const response = await post(bench, `/db/app/${method}`, body);
    assertEquals(response.status, status, text);
    assertStringIncludes(await response.text(), text);
    const other = await post(bench, `/db/other/${method}`, body);
    assertStringIncludes(await other.text(), "open the database again");
  }
  assertEquals(bench.database.requests, []);
});

Deno.test("snapshot_read: one key is a get, several keys are a transaction, others are ranges", async () => {
  const bench = open();
  bench.database.intercept = () => ({ req_type: "error", code: "overloaded", message: "" });
  const both = new BinaryWriter().raw(reading("a", "a\0")).raw(reading("b", "b\0"));
  const bodies = [
    reading("a", "a\0"),
    both.finish() as Uint8Array<ArrayBuffer>,
    reading("a", "b\0"),
    reading("a", "a\u0001"),
  ];
  for (const body of bodies) await (await post(bench, "/db/app/snapshot_read", body)).text();
  const types = bench.database.requests.map(({ req_type }) => req_type);
  assertEquals(types, ["get", "transaction", "read_ranges", "read_ranges"]);
});

Deno.test("Deno KV in a secured cluster: each key and range is judged by the user's rights", async () => {
  const world = await AccessWorld.open();
  const grant = { database: "app", prefix: "mine" };
  const grants = (["read", "write"] as const).map((right) => ({ ...grant, right }));
  world.change((document) => setRole(document, { name: "owner", grants }));
  world.change((document) =>
    addUser(document, { name: "otto", passwordHash: HASH, roles: ["owner"] })
  );
  const bench = open(world);
  bench.database.intercept = ({ req_type }) =>
    req_type === "transaction"
      ? { req_type: "result", result: [], version: 5 }
      : { req_type: "entries", entries: [], local_entries: [], counts: [0] };
  const otto = { authorization: `Basic ${btoa("otto:correct horse")}` };
  const table: [string, Uint8Array<ArrayBuffer>, number][] = [
    ["atomic_write", setting(["mine1", "mine2"], ["mine3"]), 200],
    ["atomic_write", setting(["mine1", "other"]), 403],
    ["atomic_write", setting(["mine1"], ["other"]), 403],
    ["snapshot_read", reading("mine", "mine~"), 200],
    ["snapshot_read", reading("mine", "n"), 403],
    ["snapshot_read", reading("a", "mine"), 403],
  ];
  for (const [method, body, status] of table) {
    const response = await post(bench, `/db/app/${method}`, body, otto);
    await response.body?.cancel();
    assertEquals(response.status, status);
    const nobody = await post(bench, `/db/app/${method}`, body);
    await nobody.body?.cancel();
    assertEquals(nobody.status, 401);
  }
});

/** The frames of a watch as they come: how many bytes each message has. */
async function frames(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array> {
  const { value = new Uint8Array() } = await reader.read();
  const length = new DataView(value.buffer, value.byteOffset).getUint32(0, true);
  assertEquals(value.length, 4 + length);
  return value.subarray(4);
}

const watching = (key: string) =>
  new BinaryWriter().tag(1, BYTES).fork().tag(1, BYTES).bytes(utf8(key)).join()
    .finish() as Uint8Array<ArrayBuffer>;

Deno.test("watch: the state first, then each change, and a sign of life; a client that has left costs nothing", async () => {
  const bench = open();
  const key = stored("k");
  const response = await post(bench, "/db/app/watch", watching("k"));
  assertEquals(response.headers.get("content-type"), "application/octet-stream");
  const reader = response.body?.getReader();
  assert(reader !== undefined);
  // Success; one key, changed, without an entry.
  assertEquals([...await frames(reader)], [8, 1, 18, 2, 8, 1]);
  let next = frames(reader);
  bench.database.set(key, "first");
  assertStringIncludes(new TextDecoder().decode(await next), "first");
  // Unreachable for a while: nothing is told, and nothing is lost.
  next = frames(reader);
  bench.database.intercept = () => ({ req_type: "error", code: "unavailable", message: "" });
  bench.database.set(key, "second");
  await bench.clock.run(3 * KV_CONNECT_WATCH_RETRY_MS);
  bench.database.intercept = () => undefined;
  await bench.clock.run(KV_CONNECT_WATCH_RETRY_MS);
  assertStringIncludes(new TextDecoder().decode(await next), "second");
  next = frames(reader);
  bench.database.watches.tell("progress");
  assertEquals([...await next], []);
  await reader.cancel();
  const before = bench.database.requests.length;
  bench.database.set(key, "third");
  await bench.clock.run(1_000);
  assertEquals(bench.database.requests.length, before);
  assertEquals(bench.database.watches.size, 0);
});

Deno.test("watch: a change while the first state is read is told", async () => {
  const bench = open();
  const key = stored("k");
  let missed = true;
  bench.database.intercept = () => {
    // The read has its answer, and the watch has not begun yet.
    if (missed) queueMicrotask(() => bench.database.set(key, "meanwhile"));
    missed = false;
    return undefined;
  };
  const response = await post(bench, "/db/app/watch", watching("k"));
  const reader = response.body?.getReader();
  assert(reader !== undefined);
  assertEquals([...await frames(reader)], [8, 1, 18, 2, 8, 1]);
  assertStringIncludes(new TextDecoder().decode(await frames(reader)), "meanwhile");
  await reader.cancel();
});

Deno.test("watch: a client that does not read makes no work; there is a bound on keys", async () => {
  const bench = open();
  const response = await post(bench, "/db/app/watch", watching("k"));
  const before = bench.database.requests.length;
  for (let i = 0; i < 10; i++) {
    bench.database.set(stored("k"), String(i));
    await bench.clock.run(1_000);
  }
  assertEquals(bench.database.requests.length, before);
  await response.body?.cancel();
  const many = Array.from({ length: KV_CONNECT_WATCH_KEYS_MAX + 1 }, () => watching("k"));
  assertEquals((await post(bench, "/db/app/watch", new Blob(many))).status, 400);
  assertEquals((await post(bench, "/db/app/watch", "")).status, 400);
  assertEquals(bench.database.watches.size, 0);
});

Deno.test("Deno KV: whatever a body is, the answer is 200, 400 or 413", async () => {
  const bench = open();
  bench.database.intercept = ({ req_type }) =>
    req_type === "read_ranges"
      ? { req_type: "entries", entries: [], local_entries: [], counts: [] }
      : req_type === "get"
      ? { req_type: "error", code: "not_found", message: "" }
      : { req_type: "result", result: [], version: 1 };
  const random = new SeededRandom(4);
  const sound = [setting(["a", "b"], ["c"]), reading("a", "z"), watching("k")];
  for (let i = 0; i < 1_500; i++) {
    const body = (sound[i % 3] ?? new Uint8Array()).slice();
    for (let flips = randomBelow(random, 4); flips > 0; flips--) {
      body[randomBelow(random, body.length)] = randomBelow(random, 256);
    }
    const cut = body.subarray(
      0,
      randomBelow(random, 4) === 0 ? randomBelow(random, 99) : undefined,
    );
    const method = ["atomic_write", "snapshot_read"][randomBelow(random, 2)] ?? "";
    const response = await post(bench, `/db/app/${method}`, cut);
    await response.body?.cancel();
    assert([200, 400, 413].includes(response.status), `${response.status} for ${cut}`);
  }
});

Deno.test("HttpFrontEnd.endStreams: watches end, and none begins any more", async () => {
  const bench = open();
  const response = await post(bench, "/db/app/watch", watching("k"));
  const reader = response.body?.getReader();
  await reader?.read();
  bench.frontEnd.endStreams();
  assertEquals((await reader?.read())?.done, true);
  assertEquals((await post(bench, "/db/app/watch", watching("k"))).status, 503);
});
