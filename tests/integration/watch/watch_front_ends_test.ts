/**
 * Watches of real nodes over the library, HTTP, the JSON wire and the shell: what is told, from where on, and to whom.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { connect, KvError } from "../../../client/mod.ts";
import { WATCH_LOG_ENTRIES_MAX, WATCHES_PER_CONNECTION_MAX } from "../../../shared/limits/scans.ts";
import { LineClient } from "../../support/clients/line_client.ts";
import {
  FetchWatching,
  HttpWatching,
  LibraryWatching,
  type Watching,
  WireWatching,
} from "../../support/clients/watchers.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

/** Nodes whose partitions lie on different nodes. */
const SPREAD = { nodes: 3, replicationFactor: 1, minInSync: 1 };

Deno.test("watch: the same is told at every front end, of keys wherever they are", async () => {
  await using cluster = await TestCluster.start(SPREAD);
  await using kv = await cluster.connect();
  await kv.put("w:old", "before");
  await kv.put("other", "before");
  await using library = new LibraryWatching(kv, { prefix: "w:", snapshot: true }).start();
  await using http = new HttpWatching(() => cluster.nodeHttpAddress(0), "prefix=w:&snapshot")
    .start();
  await using wire = new WireWatching(cluster.nodeAddress(1), { prefixes: ["w:"], snapshot: true })
    .start();
  const addresses = [cluster.nodeHttpAddress(2)];
  await using web = new FetchWatching(addresses, { prefix: "w:", snapshot: true }).start();
  const shell = cluster.startClient("watch", "w:", "--snapshot", "--limit", "5");
  const watchers: Watching[] = [library, http, wire, web];
  for (const watching of watchers) {
    await watching.untilLine("level");
    assertEquals(watching.lines, ["put w:old before", "level"]);
  }
  await kv.put("w:a", "1");
  await kv.put("w:old", "after");
  await kv.put("other", "after");
  await kv.delete("w:a");
  await kv.put("w:last", "x", { ttlMs: 300 });
  for (const watching of watchers) {
    await watching.untilLine("expired w:last");
    const of = (key: string) => watching.lines.filter((line) => line.split(" ")[1] === key);
    assertEquals(of("w:a"), ["put w:a 1", "delete w:a"], watching.name);
    assertEquals(of("w:old"), ["put w:old before", "put w:old after"], watching.name);
    assertEquals(of("w:last"), ["put w:last x", "expired w:last"], watching.name);
    assertEquals(watching.lines.filter((line) => line.includes("other")), []);
  }
  const { host, port } = cluster.nodeHttpAddress(0);
  const metrics = await (await fetch(`http://${host}:${port}/metrics`)).text();
  assertMatch(metrics, /^kv_watches 1$/m);
  assertMatch(metrics, /^kv_watch_events_total \d+$/m);
  // The shell may have begun after all of that.
  let ended = false;
  const shown = shell.end().finally(() => ended = true);
  await cluster.poll("the end of the shell", async () => {
    await kv.put("w:tick", "x");
    return ended || undefined;
  });
  const { code, stdout } = await shown;
  assertEquals(code, 0);
  // It may have begun before or after any of that, and partitions are read as they answer.
  assertMatch(stdout, /^put\tw:old\t(before|after)$/m);
  assertMatch(stdout, /\n# level\n/);
  assertEquals(stdout.trimEnd().split("\n").filter((line) => !line.startsWith("#")).length, 5);
});

Deno.test("watch: keys that are not UTF-8 are watched, by their bytes, and told as what they are", async () => {
  await using cluster = await TestCluster.start(SPREAD);
  await using kv = await cluster.connect();
  // The bytes 77 c3 ff, and the beginning 77 c3, which is a part of "wé" too.
  const [key, prefix] = ["w\udcc3\udcff", "w\udcc3"];
  await using library = new LibraryWatching(kv, { prefix, snapshot: true }).start();
  await using http = new HttpWatching(() => cluster.nodeHttpAddress(0), "prefix=w%C3").start();
  const prefixes = [{ key64: btoa("w\xc3") }];
  await using wire = new WireWatching(cluster.nodeAddress(1), { prefixes }).start();
  for (const watching of [library, http, wire]) await watching.untilLine("level");
  await kv.put(key, "bytes");
  await kv.put("wé", "text");
  await kv.put("wa", "another");
  await library.untilLine(`put ${key} bytes`);
  await library.untilLine("put wé text");
  for (const watching of [http, wire]) {
    await watching.until(
      "both",
      ({ told }) => told.filter(({ type }) => type === "put").length === 2,
    );
    const keys = watching.told.flatMap((event) =>
      "key64" in event ? [`64 ${event.key64}`] : event.key === undefined ? [] : [event.key]
    );
    assertEquals(keys.sort(), [`64 ${btoa("w\xc3\xff")}`, "wé"], watching.name);
  }
});

Deno.test("watch: of a named database, at every front end, and nothing of others", async () => {
  await using cluster = await TestCluster.start(SPREAD);
  await using kv = await cluster.connect();
  const prefix = "w:";
  for (const name of ["orders", "others"]) {
    const made = await cluster.ask("coordinator", { req_type: "database_create", database: name });
    assertEquals(made.req_type, "result", JSON.stringify(made));
  }
  const [orders, others] = [kv.database("orders"), kv.database("others")];
  await orders.put("w:old", "before");
  await using library = new LibraryWatching(orders, { prefix, snapshot: true }).start();
  await using http = new HttpWatching(
    () => cluster.nodeHttpAddress(0),
    "prefix=w:&snapshot",
    "/db/orders/watch",
  ).start();
  await using wire = new WireWatching(cluster.nodeAddress(1), {
    database: "orders",
    prefixes: [prefix],
    snapshot: true,
  }).start();
  await using byDefault = new HttpWatching(() => cluster.nodeHttpAddress(0), "prefix=").start();
  for (const watching of [library, http, wire, byDefault]) await watching.untilLine("level");
  await others.put("w:a", "of others");
  await kv.put("w:a", "of default");
  await orders.put("x", "elsewhere");
  await orders.put("w:a", "1");
  await orders.delete("w:a");
  await orders.put("w:end", "1");
  await kv.put("w:end", "of default");
  await byDefault.untilLine("put w:end of default");
  for (const watching of [library, http, wire]) {
    await watching.untilLine("put w:end 1");
    await watching.untilLine("delete w:a");
    const lines = watching.lines.filter((line) => !/^(level|progress)/.test(line));
    // Of one key in order; of several as they come.
    assertEquals(
      lines.toSorted(),
      ["delete w:a", "put w:a 1", "put w:end 1", "put w:old before"],
      watching.name,
    );
  }
  assertEquals(byDefault.lines.filter((line) => line.startsWith("put")).toSorted(), [
    "put w:a of default",
    "put w:end of default",
  ]);
  const { host, port } = cluster.nodeHttpAddress(0);
  const response = await fetch(`http://${host}:${port}/db/nowhere/watch?prefix=`);
  assertEquals([response.status, (await response.json()).code], [404, "no_database"]);
  const refused = await cluster.ask(0, {
    req_type: "watch",
    id: 1,
    database: "nowhere",
    prefixes: [""],
  });
  assertEquals(refused.code, "no_database");
});

Deno.test("watch: of a database that is dropped, each key is told as deleted, and nothing of a later one", async () => {
  await using cluster = await TestCluster.start({ nodes: 2, replicationFactor: 2, partitions: 8 });
  await using kv = await cluster.connect();
  const make = () =>
    cluster.ask("coordinator", { req_type: "database_create", database: "orders" });
  await make();
  const orders = kv.database("orders");
  const keys = Array.from({ length: 40 }, (_, i) => `w:${i}`);
  await orders.putMany(keys.map((key) => [key, "1"] as const));
  await using library = new LibraryWatching(orders, { prefix: "w:", snapshot: true }).start();
  await using http = new HttpWatching(
    () => cluster.nodeHttpAddress(0),
    "prefix=w:&snapshot",
    "/db/orders/watch",
  ).start();
  await using wire = new WireWatching(cluster.nodeAddress(1), {
    database: "orders",
    prefixes: ["w:"],
    snapshot: true,
  }).start();
  const watchers: Watching[] = [library, http, wire];
  for (const watching of watchers) {
    await watching.untilLine("level");
    assertEquals([...watching.state.keys()].sort(), keys.toSorted(), watching.name);
  }
  const { host, port } = cluster.nodeHttpAddress(0);
  const dropped = await fetch(`http://${host}:${port}/db/orders?all=yes`, { method: "DELETE" });
  assertEquals(dropped.status, 200);
  await dropped.body?.cancel();
  await make();
  // Maps of before that one may be asked first.
  await cluster.poll("the new database", async () => {
    await orders.put("w:new", "of another").catch(() => {});
    return await orders.get("w:new").catch(() => undefined);
  });
  for (const watching of watchers) {
    await watching.until("nothing is left", ({ state }) => state.size === 0);
    assertEquals(watching.lines.filter((line) => line.includes("w:new")), [], watching.name);
  }
});

Deno.test("watch: a token goes on at another front end and another node, and misses nothing", async () => {
  await using cluster = await TestCluster.start(SPREAD);
  await using kv = await cluster.connect();
  let token: string | undefined;
  {
    await using before = new HttpWatching(() => cluster.nodeHttpAddress(0), "prefix=w:").start();
    await before.untilLine("level");
    await kv.put("w:a", "1");
    await before.untilLine("put w:a 1");
    token = before.token;
  }
  await kv.delete("w:a");
  for (let i = 0; i <= 20; i++) await kv.put("w:b", String(i));
  await using library = new LibraryWatching(kv, { prefix: "w:", token }).start();
  await using http = new HttpWatching(() => cluster.nodeHttpAddress(2), `prefix=w:&token=${token}`)
    .start();
  await using wire = new WireWatching(cluster.nodeAddress(1), { prefixes: ["w:"], token }).start();
  for (const watching of [library, http, wire]) {
    await watching.untilLine("level");
    assert(watching.lines.includes("delete w:a"), watching.name);
    assert(watching.lines.includes("put w:b 20"), watching.name);
    assert(!watching.lines.includes("reset"), watching.name);
    assert(!watching.lines.includes("put w:a 1"), watching.name);
  }
});

Deno.test("watch: a reader that does not read loses versions in between, and never the last state", async () => {
  await using cluster = await TestCluster.start({ nodes: 1, replicationFactor: 1, minInSync: 1 });
  await using kv = await cluster.connect();
  const events = kv.watch({ prefix: "w:" });
  assertEquals((await events.next()).value?.type, "level");
  const keys = Array.from({ length: 20 }, (_, i) => `w:${i}`);
  // More than any partition's log keeps.
  const rounds = WATCH_LOG_ENTRIES_MAX + 100;
  await Promise.all(keys.slice(1).map((key) => kv.put(key, "once")));
  for (let round = 1; round <= rounds; round += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, i) => kv.put("w:0", String(round + i))));
  }
  const last = await kv.getEntry("w:0");
  const versions: number[] = [];
  const told = new Set<string>();
  for await (const event of events) {
    if (event.type !== "put") continue;
    told.add(event.key);
    if (event.key === "w:0") versions.push(event.version);
    if (event.version === last?.version && event.key === "w:0" && told.size === keys.length) break;
  }
  assertEquals(versions, versions.toSorted((a, b) => a - b));
  assert(versions.length < rounds);
});

Deno.test("watch: what is wrong is refused with a clear code, at every front end", async () => {
  await using cluster = await TestCluster.start({ nodes: 1, replicationFactor: 1, minInSync: 1 });
  await using kv = await cluster.connect();
  const { host, port } = cluster.nodeHttpAddress(0);
  const paths = [
    "",
    "?prefix=a&token=nonsense",
    "?key=",
    "?prefix=%f",
    `?${"key=a&".repeat(129)}`,
  ];
  for (const path of paths) {
    const response = await fetch(`http://${host}:${port}/watch${path}`);
    assertEquals([response.status, (await response.json()).code], [400, "bad_request"], path);
  }
  for (const options of [{}, { prefix: "a", token: "nonsense" }, { key: "" }]) {
    const error = await assertRejects(() => kv.watch(options).next(), KvError);
    assertEquals(error.code, "bad_request");
  }
  assertEquals((await cluster.client("watch")).code, 2);
  assertEquals((await cluster.client("watch", "a", "--token", "nonsense")).code, 2);

  using client = await LineClient.connect(cluster.nodeAddress(0));
  const ask = async (request: object) => {
    await client.send(JSON.stringify(request) + "\n");
    for (;;) {
      const reply = JSON.parse(await client.line() ?? "{}");
      if (reply.req_type !== "event") return reply;
    }
  };
  const watch = { req_type: "watch", prefixes: ["a"] };
  assertEquals((await ask(watch)).code, "bad_request", "without an id");
  for (let id = 0; id < WATCHES_PER_CONNECTION_MAX; id++) {
    assertEquals((await ask({ ...watch, id })).req_type, "ack");
  }
  assertEquals((await ask({ ...watch, id: "one more" })).code, "bad_request");
  assertEquals((await ask({ ...watch, id: 1 })).code, "bad_request", "an id that is in use");
  assertEquals((await ask({ req_type: "unwatch", watch: 7 })).req_type, "ack");
  assertEquals((await ask({ req_type: "unwatch", watch: 7 })).code, "not_found");
  assertEquals((await ask({ ...watch, id: "one more" })).req_type, "ack");
});

Deno.test("watch: a user watches the keys that it may read, and no others, until the right is taken away", async () => {
  await using cluster = await TestCluster.start({ ...SPREAD, nodes: 2, secured: true });
  const alice = { user: "alice", password: "correct horse" };
  const grants = [{ database: "default", prefix: "app:", right: "read" }];
  await cluster.order({ req_type: "role_set", role: "reader", grants });
  await cluster.order({ req_type: "user_add", ...alice, roles: ["reader"] });
  await using admin = await cluster.connect();
  const { host, port } = cluster.coordinatorAddress;
  const ca = cluster.credentials?.ca ?? "";
  await using kv = await cluster.poll(
    "alice at the nodes",
    async () => await connect({ coordinator: `${host}:${port}`, ca, ...alice }),
  );
  for (
    const options of [{ prefix: "" }, { prefix: "ap" }, { key: "x" }, { keys: ["app:1", "x"] }]
  ) {
    const error = await assertRejects(() => kv.watch(options).next(), KvError);
    assertEquals(error.code, "forbidden", JSON.stringify(options));
  }
  using client = Deno.createHttpClient({ caCerts: [ca] });
  const door = cluster.nodeHttpAddress(0);
  const headers = { authorization: `Basic ${btoa(`${alice.user}:${alice.password}`)}` };
  const at = (query: string) =>
    fetch(`https://${door.host}:${door.port}/watch?${query}`, { client, headers });
  const refused = await at("prefix=");
  assertEquals([refused.status, (await refused.json()).code], [403, "forbidden"]);
  const allowed = await at("prefix=app:&key=app:1");
  assertEquals(allowed.status, 200);
  const stream = allowed.body?.pipeThrough(new TextDecoderStream()).getReader();
  const untilHttp = async (text: string) => {
    for (let all = ""; !all.includes(text);) {
      const { value, done } = await stream?.read() ?? { done: true };
      assert(!done, all);
      all += value;
    }
  };
  await untilHttp("event: level");

  const watching = new LibraryWatching(kv, { prefix: "app:" }).start();
  await watching.untilLine("level");
  await admin.put("app:1", "v");
  await watching.untilLine("put app:1 v");
  await untilHttp("app:1");
  await cluster.order({ req_type: "role_set", role: "reader", grants: [] });
  // Within the time in which a change of rights reaches the nodes, what is written may still be told.
  await cluster.poll("the end of the watch", async () => {
    await admin.put("app:1", "secret");
    return watching.errors.length > 0 || undefined;
  });
  assertMatch(watching.errors[0] ?? "", /needs the right to read/);
  await untilHttp('"code":"forbidden"');
  await watching[Symbol.asyncDispose]();
  await stream?.cancel();
});
