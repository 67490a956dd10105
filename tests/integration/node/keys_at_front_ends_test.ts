/** Keys are bytes: what one front end writes under any bytes, every other one reads, lists, saves and deletes. */
import { assertEquals } from "@std/assert";
import { fetchKv } from "../../../client/fetch/fetch_client.ts";
import { bytesOfKey, keyOfBytes } from "../../../shared/base/key_text.ts";
import { KEY_BYTES_MAX } from "../../../shared/limits/wire.ts";
import { bytesText } from "../../support/clients/front_ends.ts";
import { LineClient } from "../../support/clients/line_client.ts";
import { RespClient } from "../../support/clients/resp_client.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

/** In the order of their bytes. */
const KEYS: readonly Uint8Array[] = [
  Uint8Array.of(0x00),
  Uint8Array.of(0x61, 0x80),
  Uint8Array.of(0x61, 0xc3),
  new TextEncoder().encode("aé"),
  Uint8Array.of(0x61, 0xed, 0xa0, 0x80),
  new TextEncoder().encode("a\ufffd"),
  Uint8Array.of(0x61, 0xff, 0x0a, 0x22),
  Uint8Array.of(0xfe, 0x2f, 0x25),
  Uint8Array.of(0xff),
  new Uint8Array(KEY_BYTES_MAX).fill(0xff),
];

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

function percent(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
}

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

Deno.test("any bytes are one key at every front end, in every replica, in a backup and after a restart", async () => {
  const folder = await Deno.makeTempDir();
  await using cluster = await TestCluster.start({ nodes: 3, partitions: 8 });
  const { host, port } = await cluster.node(0).ready;
  const http = `http://${host}:${(await cluster.node(1).ready).facts.http}`;
  using resp = await RespClient.connect({ hostname: host, port });
  using wire = await LineClient.connect(await cluster.node(2).ready);
  const ask = async (request: object) => {
    await wire.send(JSON.stringify(request) + "\n");
    return await wire.reply();
  };
  await using kv = await cluster.connect();
  const web = fetchKv({ urls: http });

  for (const [i, key] of KEYS.entries()) {
    // Each is written by another front end.
    const name = keyOfBytes(key);
    const value = `v${i}`;
    if (i % 4 === 0) assertEquals(await resp.ask(["SET", key, value]), "+OK\r\n");
    if (i % 4 === 1) {
      const { req_type: type } = await ask({ req_type: "put", key64: base64(key), value });
      assertEquals(type, "ack");
    }
    if (i % 4 === 2) {
      const response = await fetch(`${http}/kv/${percent(key)}`, { method: "PUT", body: value });
      assertEquals(response.status, 201);
      await response.body?.cancel();
    }
    if (i % 4 === 3) await kv.put(name, value);
    assertEquals(await resp.ask(["GET", key]), bulk(value));
    assertEquals((await ask({ req_type: "get", key64: base64(key) })).message, value);
    // A program whose strings may have lone surrogates needs no base64.
    assertEquals((await ask({ req_type: "get", key: name })).message, value);
    assertEquals(await (await fetch(`${http}/kv/${percent(key)}`)).text(), value);
    assertEquals(await kv.getText(name), value);
    assertEquals(await web.getText(name), value);
  }
  const lines = KEYS.map((key) => `get "${shellEscapes(key)}"\n`).join("");
  assertEquals(
    (await cluster.clientWithInput(lines)).stdout,
    KEYS.map((_, i) => `v${i}\n`).join(""),
  );

  const names = KEYS.map(keyOfBytes);
  const inOrder = async (found: AsyncIterable<string>) =>
    assertEquals(await Array.fromAsync(found), names);
  await inOrder(kv.keys());
  await inOrder(web.keys());
  assertEquals(await Array.fromAsync(kv.keys({ reverse: true })), names.toReversed());
  const keyText = bytesText;
  assertEquals(
    await resp.ask(["KEYS", Uint8Array.of(0x61, 0xc3, 0x2a)]),
    `*2\r\n${KEYS.slice(2, 4).map((key) => bulk(keyText(key))).join("")}`,
  );
  // Page by page, with the JSON wire's cursor.
  const listed: string[] = [];
  for (let after = {}, more = true; more;) {
    const page = await ask({ req_type: "scan", limit: 1, ...after });
    for (const [key] of page.entries as [string | { key64: string }][]) {
      listed.push(typeof key === "string" ? base64(bytesOfKey(key)) : key.key64);
    }
    more = page.next !== undefined || page.next64 !== undefined;
    after = page.next64 === undefined ? { after: page.next } : { after64: page.next64 };
  }
  assertEquals(listed, KEYS.map(base64));
  // One prefix is a cut character.
  assertEquals(
    (await ask({ req_type: "count", prefix64: base64(Uint8Array.of(0x61, 0xc3)) })).result,
    2,
  );
  const { status, body } = await fetch(`${http}/keys?prefix=a%C3&limit=1`);
  assertEquals(status, 200);
  await body?.cancel();

  // Several keys at once, with conditions.
  const [first, second] = [KEYS[1] ?? new Uint8Array(), KEYS[8] ?? new Uint8Array()];
  const { version } = await ask({ req_type: "get", key64: base64(first) });
  const transaction = await ask({
    req_type: "transaction",
    key64: base64(second),
    checks: [[{ key64: base64(first) }, version]],
    requests: [{ req_type: "append_value", key64: base64(second), value: "+" }],
  });
  assertEquals(transaction.req_type, "result", JSON.stringify(transaction));
  assertEquals(await resp.ask(["GET", second]), bulk("v8+"));
  const failed = await ask({
    req_type: "transaction",
    key64: base64(second),
    checks: [[{ key64: base64(first) }, 0]],
    requests: [],
  });
  assertEquals(failed.detail, { key64: base64(first), version });
  const ranges = [{ start64: base64(first), end64: base64(KEYS[3] ?? first), limit: 9 }];
  const read = await ask({ req_type: "read_ranges", key64: base64(first), ranges });
  assertEquals(read.req_type, "entries", JSON.stringify(read));

  // Saved, exported, deleted, and back.
  const export1 = await cluster.client("export");
  assertEquals((await cluster.client("backup", `${folder}/b`)).code, 0);
  assertEquals(await kv.deleteMatching({ prefix: "\udcff" }), 2);
  assertEquals(await kv.count(), KEYS.length - 2);
  await kv.flushAll();
  assertEquals((await cluster.client("restore", `${folder}/b`)).code, 0);
  await inOrder(kv.keys());
  await kv.flushAll();
  await Deno.writeTextFile(`${folder}/e.jsonl`, export1.stdout);
  const imported = await cluster.client("import", `${folder}/e.jsonl`);
  assertEquals(imported.code, 0, imported.stderr);
  await inOrder(kv.keys());

  const refused = await ask({ req_type: "get", key: "\ud800" });
  assertEquals([refused.req_type, refused.code], ["error", "bad_request"]);
  for (const both of [{ key: "k", key64: "aw==" }, { key64: "a" }, { key64: 7 }, { key64: "" }]) {
    assertEquals(
      (await ask({ req_type: "get", ...both })).code,
      "bad_request",
      JSON.stringify(both),
    );
  }
  const long = await ask({
    req_type: "get",
    key64: base64(new Uint8Array(KEY_BYTES_MAX + 1).fill(0xff)),
  });
  assertEquals(long.code, "key_too_large");
  const bad = await fetch(`${http}/kv/%f`);
  assertEquals(bad.status, 400);
  await bad.body?.cancel();
  await Deno.remove(folder, { recursive: true });
});

function shellEscapes(key: Uint8Array): string {
  return Array.from(key, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}
