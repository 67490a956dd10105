/**
 * What the client library promises, as a program for any runtime: it imports the package as its users do. The tests
 * compile it in a project of its own and run it in Node, Bun and Deno against real processes.
 *
 *     node library_suite.js '{"coordinator":"127.0.0.1:8080", …}'
 *
 * It prints one line of JSON for each case, `{"case": NAME}` or `{"case": NAME, "error": TEXT}`. The line `{"wants":
 * "a node killed"}` asks for that, and an answer on standard input says that it is done.
 *
 * @module
 */
import { strict as assert } from "node:assert";
import process from "node:process";
import { createInterface } from "node:readline";
import { connect, type ConnectOptions, type KvClient, KvError } from "kv-client";

/** Given as the program's argument. */
interface Place extends ConnectOptions {
  coordinator: string;
  /** A free port. */
  nobody: string;
  /** Only the writes while a node dies. */
  failover?: boolean;
  /** An authority (PEM) that this cluster is not of. */
  otherCa?: string;
}

type Case = (kv: KvClient, place: Place) => Promise<void>;

async function failsWith(code: string, promise: Promise<unknown>): Promise<KvError> {
  try {
    await promise;
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
    assert.equal(error.code, code, error.message);
    return error;
  }
  throw new assert.AssertionError({ message: `it must fail with ${code}` });
}

const CASES: Record<string, Case> = {
  async "text, bytes and JSON come back as they were"(kv) {
    const first = await kv.put("suite:text", "Zoë ☃");
    assert.equal(await kv.getText("suite:text"), "Zoë ☃");
    assert.ok(await kv.put("suite:text", "two") > first, "versions grow");
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    await kv.put("suite:bytes", bytes);
    assert.deepEqual(Uint8Array.from(await kv.get("suite:bytes") ?? []), bytes);
    await failsWith("bad_request", kv.getText("suite:bytes"));
    await kv.putJson("suite:json", { name: "Zoë", of: [1, null] });
    assert.deepEqual(await kv.getJson("suite:json"), { name: "Zoë", of: [1, null] });
    assert.equal(await kv.get("suite:nothing"), undefined);
  },
  async "keys of all kinds of characters find their values"(kv) {
    for (
      const key of ["suite:ü", "suite:☃", "suite:😀", `suite:${"é".repeat(400)}`, "suite:{a}b"]
    ) {
      await kv.put(key, key);
      assert.equal(await kv.getText(key), key);
    }
  },
  async "a value of a megabyte arrives whole"(kv) {
    const value = new Uint8Array(1_000_000).map((_, i) => i % 251);
    await kv.put("suite:large", value);
    assert.deepEqual(Uint8Array.from(await kv.get("suite:large") ?? []), value);
  },
  async "a thousand calls at once end, each with its own answer"(kv) {
    const keys = Array.from({ length: 1_000 }, (_, i) => `suite:many:${i}`);
    await Promise.all(keys.map((key) => kv.put(key, `v${key}`)));
    const values = await Promise.all(keys.map((key) => kv.getText(key)));
    assert.deepEqual(values, keys.map((key) => `v${key}`));
  },
  async "create, update and versions say what was in the way"(kv) {
    await kv.delete("suite:new");
    const version = await kv.create("suite:new", "a");
    await failsWith("exists", kv.create("suite:new", "b"));
    await failsWith("not_found", kv.update("suite:none", "b"));
    await failsWith("version_mismatch", kv.put("suite:new", "b", { ifVersion: version + 1 }));
    await kv.put("suite:new", "b", { ifVersion: version });
    assert.equal((await kv.getEntry("suite:new"))?.value.length, 1);
    assert.equal(await kv.delete("suite:new"), true);
    assert.equal(await kv.exists("suite:new"), false);
  },
  async "numbers are counted, and texts are appended"(kv) {
    await kv.delete("suite:n");
    assert.equal(await kv.increment("suite:n"), 1n);
    assert.equal(await kv.increment("suite:n", 9_007_199_254_740_993n), 9_007_199_254_740_994n);
    assert.equal(await kv.incrementFloat("suite:f", 0.5) > 0, true);
    await kv.put("suite:word", "x");
    await failsWith("not_an_integer", kv.increment("suite:word"));
    assert.equal(await kv.append("suite:word", "yz"), 3);
  },
  async "a key expires"(kv) {
    await kv.put("suite:brief", "x", { ttlMs: 60_000 });
    assert.ok(((await kv.getEntry("suite:brief"))?.ttlMs ?? 0) > 1_000);
    assert.equal(await kv.expire("suite:brief", { ttlMs: 1 }), true);
    while (await kv.exists("suite:brief"));
  },
  async "a transaction happens as a whole or not at all"(kv) {
    await kv.put("suite:{t}:a", "5");
    const { version } = await kv.getEntry("suite:{t}:a") ?? { version: 0 };
    const done = await kv.atomic().check("suite:{t}:a", version).increment("suite:{t}:a", 2)
      .put("suite:{t}:b", "x").commit();
    assert.ok(done.ok && done.results[0].ok);
    assert.equal(done.results[0].value, 7n);
    const again = await kv.atomic().check("suite:{t}:a", version).delete("suite:{t}:b").commit();
    assert.equal(again.ok, false);
    assert.equal(await kv.getText("suite:{t}:b"), "x");
  },
  async "scans are in order, and are left when a loop is"(kv) {
    await kv.deleteMatching({ prefix: "suite:scan:" });
    await kv.putMany(
      Array.from({ length: 250 }, (_, i) => [`suite:scan:${1_000 + i}`, "v"] as const),
    );
    const keys: string[] = [];
    for await (const key of kv.keys({ prefix: "suite:scan:" })) keys.push(key);
    assert.deepEqual(keys, Array.from({ length: 250 }, (_, i) => `suite:scan:${1_000 + i}`));
    for await (const { key } of kv.scan({ prefix: "suite:scan:", reverse: true })) {
      assert.equal(key, "suite:scan:1249");
      break;
    }
    assert.equal(await kv.count({ prefix: "suite:scan:" }), 250);
    assert.equal(await kv.deleteMatching({ prefix: "suite:scan:" }), 250);
    const [present, absent] = await kv.getMany(["suite:text", "suite:scan:1000"]);
    assert.ok(present?.ok && present.value !== undefined);
    assert.ok(absent?.ok && absent.value === undefined);
  },
  async "a signal ends a call, and a client that is closed refuses"(kv, place) {
    const reason = new Error("enough");
    await assert.rejects(kv.get("suite:text", { signal: AbortSignal.abort(reason) }), reason);
    const other = await connect(place);
    other.close();
    await failsWith("bad_request", other.get("suite:text"));
  },
  async "nodes and processes are known"(kv) {
    const nodes = await kv.listNodes();
    assert.ok(nodes.length > 0);
    assert.equal((await kv.ping()).every(({ error }) => error === undefined), true);
    assert.equal((await kv.stats()).length >= nodes.length, true);
  },
  async "a backup is written"(kv) {
    let bytes = 0;
    const summary = await kv.backup((part) => {
      bytes += part.length;
      return Promise.resolve();
    });
    assert.ok(summary.entries > 0 && bytes > summary.entries);
  },
  async "an address where nobody answers is unavailable, with what to do"(_kv, { nobody }) {
    const error = await failsWith(
      "unavailable",
      connect({ coordinator: nobody, timeoutMs: 2_000 }),
    );
    assert.match(error.message, /refused.*start one, or say where it is/);
  },
  async "only the right authority is believed, and only the right password lets in"(_kv, place) {
    if (place.otherCa === undefined) return;
    const foreign = { ...place, ca: place.otherCa, timeoutMs: 2_000 };
    await failsWith("unavailable", connect(foreign));
    await failsWith("unauthorized", connect({ ...place, password: "not this one" }));
  },
  async "an address that is none is bad_config"() {
    await failsWith("bad_config", connect({ coordinator: "no port" }));
  },
};

/** Asks whoever runs this for something that a client cannot do. */
async function wants(what: string): Promise<void> {
  console.log(JSON.stringify({ wants: what }));
  const lines = createInterface({ input: process.stdin });
  for await (const _line of lines) break;
  lines.close();
}

/** Writes to all partitions while a node dies: each call ends well or says that its outcome is unknown. */
async function failover(kv: KvClient): Promise<void> {
  const keys = Array.from({ length: 64 }, (_, i) => `suite:failover:${i}`);
  const acknowledged = new Map<string, number>();
  let isOver = false;
  const events: string[] = [];
  const reader = kv.events();
  const reading = (async () => {
    for await (const { type } of reader) events.push(type);
  })();
  const writer = async (key: string) => {
    for (let i = 1; !isOver; i++) {
      try {
        await kv.put(key, String(i), { timeoutMs: 60_000 });
        acknowledged.set(key, i);
      } catch (error) {
        // It may have happened.
        if (!(error instanceof KvError) || error.code !== "outcome_unknown") throw error;
      }
    }
  };
  const writers = Promise.all(keys.map(writer));
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  // By then there is a connection to each node.
  await until(() => acknowledged.size === keys.length);
  await wants("a node killed");
  // From here on each key must be written again.
  const before = new Map(acknowledged);
  await until(() => keys.every((key) => acknowledged.get(key) !== before.get(key)));
  isOver = true;
  await writers;
  await reader.return?.();
  await reading;
  const connected = events.filter((type) => type === "connected").length;
  assert.ok(connected >= 3 && events.includes("disconnected"), events.join(" "));
  for (const key of keys) {
    assert.ok(Number(await kv.getText(key)) >= (acknowledged.get(key) ?? 0), `${key} was lost`);
  }
}

const place = JSON.parse(process.argv[2] ?? "{}") as Place;
const cases = place.failover === true ? { failover } : CASES;
const kv = await connect(place);
for (const [name, run] of Object.entries(cases)) {
  try {
    await run(kv, place);
    console.log(JSON.stringify({ case: name }));
  } catch (error) {
    console.log(
      JSON.stringify({ case: name, error: error instanceof Error ? error.stack : `${error}` }),
    );
  }
}
kv.close();
