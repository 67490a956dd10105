/** The HTTP front end of real processes: one database at every address, health, ports. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { NODE } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

/** Where a process serves HTTP. */
async function httpOf(process: ServerProcess): Promise<string> {
  const { host, facts } = await process.ready;
  return `http://${host}:${facts.http}`;
}

/** Waits until a process has said something. */
async function untilLogged(process: ServerProcess, text: string): Promise<void> {
  const untilMs = performance.now() + 30_000;
  while (!process.log.some((line) => line.includes(text))) {
    assert(performance.now() < untilMs, `it never said ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function health(base: string): Promise<[status: number, report: Record<string, unknown>]> {
  const response = await fetch(`${base}/health`);
  return [response.status, await response.json()];
}

Deno.test("HTTP: what is written at one address is read at every other", async () => {
  await using cluster = await TestCluster.start({ nodes: 3, partitions: 8 });
  const nodes = await Promise.all([0, 1, 2].map((i) => httpOf(cluster.node(i))));
  const gateway = await httpOf(cluster.coordinatorProcess);
  const all = [...nodes, gateway];
  const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => i * 7);
  const tags = new Set<string | null>();
  for (const [i, base] of all.entries()) {
    for (const key of ["a", "b/c d", "ü"]) {
      const body = new Uint8Array([...bytes, i]);
      const type = `application/x-${i}`;
      const headers = { "content-type": type };
      const put = await fetch(`${base}/kv/${key}`, { method: "PUT", body, headers });
      assertEquals(put.status, i === 0 ? 201 : 204);
      await put.body?.cancel();
      for (const other of all) {
        const get = await fetch(`${other}/kv/${key}`);
        assertEquals(get.headers.get("etag"), put.headers.get("etag"));
        assertEquals(get.headers.get("content-type"), type);
        assertEquals(new Uint8Array(await get.arrayBuffer()), body);
      }
      if (key === "a") tags.add(put.headers.get("etag"));
    }
  }
  assertEquals(tags.size, all.length);

  // The library sees the same, and the cluster knows the ports.
  await using kv = await cluster.connect();
  assertEquals((await kv.get("a"))?.length, bytes.length + 1);
  const { nodes: listed } = await (await fetch(`${gateway}/cluster`)).json();
  const ports = listed.map(({ httpPort }: { httpPort: number }) => httpPort).toSorted();
  assertEquals(ports, nodes.map((base) => Number(new URL(base).port)).toSorted());
  for (const base of all) {
    assertEquals((await health(base))[0], 200);
    const page = await (await fetch(`${base}/kv?limit=2`)).json();
    const rest = await (await fetch(`${base}/kv?limit=2&cursor=${page.cursor}`)).json();
    assertEquals([...page.keys, ...rest.keys], ["a", "b/c d", "ü"]);
    assertEquals(await (await fetch(`${base}/count?prefix=b`)).json(), { count: 1 });
  }

  // Of a transaction everything is there, or nothing.
  const atomically = async (base: string, checks: [string, number][]) => {
    const requests = ["{t}1", "{t}2"].map((key) => ({ req_type: "increment", key }));
    const body = JSON.stringify({ atomic: true, requests, checks });
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${base}/batch`, { method: "POST", body, headers });
    return [response.status, await response.json()];
  };
  const [status, done] = await atomically(gateway, [["{t}1", 0]]);
  assertEquals([status, done.replies.length], [200, 2]);
  const [refused, problem] = await atomically(nodes[0] ?? "", [["{t}1", 0]]);
  assertEquals([refused, problem.code], [409, "version_mismatch"]);
  assertEquals(await (await fetch(`${gateway}/kv/{t}2`)).text(), "1");

  // Two who increment at different front ends lose nothing.
  await Promise.all(all.flatMap((base) =>
    Array.from({ length: 10 }, async () => {
      const response = await fetch(`${base}/op/increment`, {
        method: "POST",
        body: '{"key":"n"}',
        headers: { "content-type": "application/json" },
      });
      assertEquals(response.status, 200, await response.text());
    })
  ));
  assertEquals(await (await fetch(`${gateway}/kv/n`)).text(), "40");
});

Deno.test("HTTP: health tells who cannot serve, while and after a node dies", async () => {
  await using cluster = await TestCluster.start({
    nodes: 2,
    partitions: 4,
    replicationFactor: 1,
    coordinatorFlags: ["--failure-timeout-ms=2500"],
  });
  const survivor = await httpOf(cluster.node(1));
  const gateway = await httpOf(cluster.coordinatorProcess);
  assertEquals((await health(gateway))[1].status, "ok");
  // Half of the partitions have no other replica.
  await cluster.crash(0);
  await cluster.waitFor(
    "partitions without a primary",
    (map) => map.partitions.some(({ primary }) => primary === undefined),
  );
  const [status, report] = await health(gateway);
  assertEquals([status, report.status], [503, "unavailable"]);
  assertStringIncludes(JSON.stringify(report.reasons), "have no primary");
  assertEquals((await fetch(`${gateway}/health/live`).then((r) => r.json())).live, true);
  assertEquals((await health(survivor))[0], 200);

  await cluster.restart(0);
  await cluster.waitFor(
    "all partitions served",
    (map) => map.partitions.every(({ primary }) => primary !== undefined),
  );
  assertEquals((await health(gateway))[0], 200);

  // Without the coordinator a node goes on, and says that something is missing.
  await cluster.coordinatorProcess.crash();
  let seen: [number, Record<string, unknown>] = await health(survivor);
  const untilMs = performance.now() + 30_000;
  while (seen[1].status !== "degraded" && performance.now() < untilMs) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    seen = await health(survivor);
  }
  assertEquals([seen[0], seen[1].status], [200, "degraded"]);
});

Deno.test("HTTP: a node that has no cluster does not say that it can serve", async () => {
  const folder = await Deno.makeTempDir({ prefix: "kv-test-" });
  const node = ServerProcess.start(NODE, [
    "--port=0",
    "--storage=memory",
    // Nobody is there.
    "--coordinator=127.0.0.1:1",
  ], { cwd: folder, detached: false });
  try {
    const base = await httpOf(node);
    const [status, report] = await health(base);
    assertEquals([status, report.status], [503, "unavailable"]);
    for (const path of ["/health/ready", "/cluster"]) {
      const response = await fetch(base + path);
      await response.body?.cancel();
      assertEquals(response.status, 503, path);
    }
    const live = await fetch(`${base}/health/live`);
    assertEquals([live.status, await live.json()], [200, { live: true, role: "node" }]);
    const get = await fetch(`${base}/kv/k?timeout_ms=100`);
    assertEquals([get.status, (await get.json()).code], [503, "unavailable"]);
  } finally {
    await node.stop();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("HTTP: ports that are asked for, taken, and off; a stop lets a request end", async () => {
  const folder = await Deno.makeTempDir({ prefix: "kv-test-" });
  const started: ServerProcess[] = [];
  const start = (...flags: string[]) => {
    const args = ["--standalone", "--port=0", "--storage=memory", ...flags];
    const process = ServerProcess.start(NODE, args, { cwd: folder, detached: false });
    started.push(process);
    return process;
  };
  try {
    const first = start();
    const { facts: { http } } = await first.ready;
    assert(http !== undefined && http > 0);
    const second = start(`--http-port=${http}`);
    assertEquals((await second.status).code, 1);
    assertMatch(second.lastWords(), /another process listens on 127\.0\.0\.1:\d+.*--http-port/);
    assertEquals((await start("--http-port=off").ready).facts.http, 0);
    const wrong = start("--cors-origin=https://app.example/path");
    assertEquals((await wrong.status).code, 2);

    // A request that has begun is taken to its end.
    const port = Number(new URL(await httpOf(first)).port);
    using conn = await Deno.connect({ hostname: "127.0.0.1", port });
    const writer = conn.writable.getWriter();
    const reader = conn.readable.pipeThrough(new TextDecoderStream()).getReader();
    const encoder = new TextEncoder();
    const head = "PUT /kv/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n";
    await writer.write(encoder.encode(`${head}Expect: 100-continue\r\n\r\n`));
    // Now somebody waits for the body.
    assertMatch((await reader.read()).value ?? "", /^HTTP\/1.1 100 /);
    await writer.write(encoder.encode("ha"));
    first.signal("SIGTERM");
    await untilLogged(first, "SIGTERM: stopping");
    await writer.write(encoder.encode("lf"));
    assertMatch((await reader.read()).value ?? "", /^HTTP\/1.1 201 /);
    await reader.cancel();
    assertEquals((await first.status).code, 0);
  } finally {
    await Promise.all(started.map((process) => process.stop()));
    await Deno.remove(folder, { recursive: true });
  }
});
