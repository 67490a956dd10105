import { assertEquals } from "@std/assert";
import { HttpBench, VALUE_BYTES_MAX } from "../../../support/clients/http_bench.ts";

const BYTES = { accept: "application/octet-stream" };

async function textOf(bench: HttpBench, path: string, headers: HeadersInit = {}) {
  const response = await bench.ask("GET", path, { headers });
  return [response.status, response.headers.get("content-type"), await response.text()];
}

Deno.test("/storage: a part of the address is a part of the key, and what is no text is bytes", async () => {
  const bench = new HttpBench();
  const put = async (path: string, body: BodyInit, headers: HeadersInit = {}) =>
    assertEquals((await bench.ask("PUT", path, { body, headers })).status, 204);
  await put("/storage/a/b", '{"n":1}', { "content-type": "application/json" });
  await put("/storage/a/gr%C3%BC%C3%9Fe%2F1", "x");
  await put("/storage//a//bytes", Uint8Array.of(0xff));
  assertEquals([...bench.database.entries.keys()], ["a:b", "a:grüße/1", "a:bytes"]);
  const text = "text/plain; charset=utf-8";
  assertEquals(await textOf(bench, "/storage/a/b"), [200, text, '{"n":1}']);
  assertEquals(await textOf(bench, "/storage/a:b"), [200, text, '{"n":1}']);
  assertEquals(await textOf(bench, "/storage/a/b", BYTES), [200, BYTES.accept, '{"n":1}']);
  assertEquals((await textOf(bench, "/storage/a/bytes"))[1], BYTES.accept);
  assertEquals(await textOf(bench, "/storage/none"), [200, "application/json", "null"]);
  assertEquals(await textOf(bench, "/storage/none", BYTES), [204, null, ""]);
  const head = await bench.ask("HEAD", "/storage/a/b");
  assertEquals([head.status, head.headers.has("last-modified"), head.headers.get("x-ttl")], [
    200,
    true,
    null,
  ]);
  assertEquals((await bench.ask("HEAD", "/storage/none")).status, 404);
  for (const path of ["/storage/a/b", "/storage/none"]) {
    assertEquals((await bench.ask("DELETE", path)).status, 204);
  }
  assertEquals((await bench.ask("HEAD", "/storage/a/b")).status, 404);
});

Deno.test("/storage: keys that begin so are listed and deleted, and no others", async () => {
  const bench = new HttpBench();
  for (const key of ["a", "a:b", "a:c:d", "ab", "\udcff"]) bench.database.set(key, "x");
  const list = async (path: string) => JSON.parse((await textOf(bench, path))[2] as string);
  const table: [string, string[]][] = [
    ["/storage/:", ["a", "a:b", "a:c:d", "ab"]],
    ["/storage/", ["a", "a:b", "a:c:d", "ab"]],
    ["/storage/a/:", ["a:b", "a:c:d"]],
    ["/storage/a:", ["a:b", "a:c:d"]],
    ["/storage/a/c/:", ["a:c:d"]],
    ["/storage/none/:", []],
  ];
  for (const [path, keys] of table) assertEquals(await list(path), keys, path);
  assertEquals((await bench.ask("DELETE", "/storage/a/:")).status, 204);
  assertEquals(await list("/storage/:"), ["a", "ab"]);
  assertEquals((await bench.ask("DELETE", "/storage/:")).status, 204);
  assertEquals(await list("/storage/:"), []);
});

Deno.test("/storage: times to live, and what is refused", async () => {
  const bench = new HttpBench();
  const put = (headers: HeadersInit, body = "x") =>
    bench.ask("PUT", "/storage/k", { body, headers });
  assertEquals((await put({ "x-ttl": "60" })).status, 204);
  assertEquals((await bench.ask("HEAD", "/storage/k")).headers.get("x-ttl"), "60");
  assertEquals((await put({ "x-ttl": "0.5" })).status, 204);
  assertEquals((await bench.ask("HEAD", "/storage/k")).headers.get("x-ttl"), "1");
  assertEquals((await put({})).status, 204);
  assertEquals((await bench.ask("HEAD", "/storage/k")).headers.get("x-ttl"), null);
  for (const ttl of ["0", "-1", "soon", "1e3", "1000000000000"]) {
    assertEquals((await put({ "x-ttl": ttl })).status, 400, ttl);
  }
  assertEquals((await put({}, "x".repeat(VALUE_BYTES_MAX + 1))).status, 413);
  await bench.problem(405, "bad_request", "PUT", "/storage/a/:", { body: "x" });
  await bench.problem(405, "bad_request", "POST", "/storage/a", { body: "x" });
  await bench.problem(400, "bad_request", "GET", "/storage/%zz");
});
