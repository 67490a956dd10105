import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { connect } from "../../../client/mod.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

/** A table with what real ones have: quoted line breaks, quotes, other scripts. */
function sample(rows: number): { csv: string; values: Map<string, string> } {
  let csv = "Assignment,Name,Address\r\n";
  const values = new Map<string, string>();
  for (let i = 0; i < rows; i++) {
    const id = (i * 7_919 % 1_000_003).toString(16).toUpperCase().padStart(6, "0");
    csv += `${id},"Maker ""${i}"", Zürich 東京","street ${i}\nfloor ${i % 9}"\r\n`;
    const row = {
      Assignment: id,
      Name: `Maker "${i}", Zürich 東京`,
      Address: `street ${i}\nfloor ${i % 9}`,
    };
    values.set(id, JSON.stringify(row));
  }
  return { csv, values };
}

function exportedValues(jsonLines: string): Map<string, string> {
  return new Map(
    jsonLines.trimEnd().split("\n").map((line): [string, string] => {
      const { key, value } = JSON.parse(line);
      return [key, value];
    }),
  );
}

Deno.test("kv-client works against a cluster", async (t) => {
  await using cluster = await TestCluster.start({ nodes: 3, replicationFactor: 2 });
  const { host, port } = cluster.coordinatorAddress;
  const coordinator = `${host}:${port}`;

  await t.step("one-shot commands say how they ended", async () => {
    const table: [args: string[], code: number, stdout: string | RegExp][] = [
      [["put", "username", "alice"], 0, /^success \(version \d+\)\n$/],
      [["get", "username"], 0, "alice\n"],
      [["get", "--raw", "username"], 0, "alice"],
      [["put", "my key 🔑", "  two  words  "], 0, /^success/],
      [["get", "my key 🔑"], 0, "  two  words  \n"],
      [["--command", 'PUT greeting "hello world"'], 0, /^success/],
      [["--command", "PUT greeting hello world"], 2, ""],
      [["put", "greeting", "hello", "world"], 2, ""],
      [["--command", "get:greeting"], 0, "hello world\n"],
      [["update", "username", "bob"], 0, /^success/],
      [["create", "username", "x"], 6, ""],
      [["update", "nosuch", "x"], 3, ""],
      [["exists", "username"], 0, "true\n"],
      [["exists", "nosuch"], 3, "false\n"],
      [["delete", "username"], 0, "deleted\n"],
      [["delete", "username"], 3, ""],
      [["get", "username"], 3, ""],
      [["get"], 2, ""],
      [["nosuch"], 2, ""],
      [["--timeout-ms", "soon", "get", "k"], 2, ""],
      [["ping"], 0, /^coordinator: pong in .*\n.*: pong in .*\n.*: pong in .*\n.*: pong in .*\n$/],
    ];
    for (const [args, code, stdout] of table) {
      const result = await cluster.client(...args);
      const label = `${args.join(" ")}: ${JSON.stringify(result)}`;
      assertEquals(result.code, code, label);
      if (typeof stdout === "string") assertEquals(result.stdout, stdout, label);
      else assertMatch(result.stdout, stdout, label);
      assertEquals(result.stderr.includes("at file:"), false, label);
      assertEquals(result.stderr === "", code === 0 || code === 3 && stdout !== "", label);
    }
  });

  await t.step("values go through standard input byte for byte", async () => {
    const text = "line one\nline two\n\n";
    assertEquals((await cluster.clientWithInput(text, "put", "file", "-")).code, 0);
    assertEquals((await cluster.client("get", "--raw", "file")).stdout, text);
  });

  await t.step("list-nodes, nodes-for-key and stats show the cluster", async () => {
    const nodes = JSON.parse((await cluster.client("list-nodes", "--json")).stdout);
    assertEquals(nodes.length, 3);
    const total = (name: string) =>
      nodes.reduce(
        (sum: number, node: Record<string, unknown[]>) => sum + (node[name]?.length ?? 0),
        0,
      );
    assertEquals([total("own"), total("prev"), total("learning")], [32, 32, 0]);
    const holders = await cluster.client("GET_NODES_FOR_KEY", "greeting");
    assertMatch(
      holders.stdout,
      /^partition \d+, term \d+\nnode .*\n.* primary +up\n.* replica +up\n$/,
    );
    const stats = JSON.parse((await cluster.client("stats", "--json")).stdout);
    assertEquals(
      stats.map(({ id }: { id: string }) => id).sort(),
      [
        "coordinator",
        ...nodes.map(({ id }: { id: string }) => id),
      ].sort(),
    );
    assert(stats.every((entry: { stats?: unknown }) => entry.stats !== undefined));
  });

  await t.step("a script on standard input runs in both syntaxes", async () => {
    const script = [
      "# script",
      "put:s:1",
      "GET s",
      `PUT "a b" '{"x": 1}'`,
      "get:a b",
      "get none",
      "exit",
    ];
    const { code, stdout, stderr } = await cluster.clientWithInput(script.join("\n") + "\nget s\n");
    assertEquals(code, 3);
    const shown = stdout.replaceAll(/\d+\)/g, "N)");
    assertEquals(shown, 'success (version N)\n1\nsuccess (version N)\n{"x": 1}\nTATA!!!!\n');
    assertEquals(stderr, 'not_found: get: no such key "none"\n');
  });

  await t.step("import and export go round trip", async () => {
    const { csv, values } = sample(2_000);
    const extra = "000000,last,wins\r\nshort\r\n";
    values.set("000000", '{"Assignment":"000000","Name":"last","Address":"wins"}');
    await Deno.writeTextFile(`${cluster.folder}/in.csv`, csv + extra);
    const first = await cluster.client("import", "in.csv", "--key-column", "Assignment", "--json");
    const summary = JSON.parse(first.stdout);
    assertEquals(first.code, 1, first.stderr);
    assertEquals(
      [summary.records, summary.keys, summary.repeatedKeys, summary.written, summary.rejected],
      [2_001, 2_000, 1, 2_001, 1],
    );
    assertEquals(summary.rejectedRecords[0].line, 4_003);

    const exported = await cluster.client("export");
    assertEquals(exported.code, 0, exported.stderr);
    const found = exportedValues(exported.stdout);
    for (const [key, value] of values) assertEquals(found.get(key), value);

    await Deno.writeTextFile(`${cluster.folder}/all.jsonl`, exported.stdout);
    const again = await cluster.client("import", "all.jsonl");
    assertEquals(again.code, 0, again.stdout + again.stderr);
    assertEquals(exportedValues((await cluster.client("export")).stdout), found);
  });

  await t.step("the library reads, writes and ends with its scope", async () => {
    await using kv = await connect({ coordinator });
    const version = await kv.put("lib", "1");
    assert(await kv.put("lib", Uint8Array.of(0xff)) > version);
    assertEquals(await kv.get("lib"), Uint8Array.of(0xff));
    const started = Date.now();
    const entry = await kv.getEntry("lib", { signal: AbortSignal.timeout(600_000) });
    assert(entry !== undefined && Math.abs(entry.timestampMs - started) < 60_000);
    const many = Array.from(
      { length: 500 },
      (_, i) => kv.put(`many-${i}`, `${i}`, { timeoutMs: 30_000 }),
    );
    await Promise.all(many);
    const texts = await Promise.all(Array.from({ length: 500 }, (_, i) => kv.getText(`many-${i}`)));
    assertEquals(texts, Array.from({ length: 500 }, (_, i) => `${i}`));
    const error = await assertRejects(() => kv.update("nosuch", ""), KvError);
    assertEquals(error.code, "not_found");
  });

  await t.step("a node's address will do, and the error names what was tried", async () => {
    const node = cluster.nodeAddress(1);
    await using kv = await connect({ coordinator: `${node.host}:${node.port}` });
    assertEquals(await kv.getText("greeting"), "hello world");
    assertEquals((await kv.ping()).length, 3);

    await cluster.coordinatorProcess.crash();
    const seeded = await cluster.client(`--seeds=${node.host}:${node.port}`, "get", "greeting");
    assertEquals([seeded.code, seeded.stdout], [0, "hello world\n"], seeded.stderr);
    const lost = await cluster.client("get", "greeting");
    assertEquals([lost.code, lost.stdout], [4, ""]);
    assertStringIncludes(lost.stderr, `--coordinator says ${coordinator}`);
    await cluster.restartCoordinator();
  });
});

Deno.test("import and export ride through the death of a node", async () => {
  await using cluster = await TestCluster.start({ nodes: 4, replicationFactor: 3 });
  const { csv, values } = sample(6_000);
  const half = csv.indexOf("\r\n", csv.length / 2);
  await using kv = await cluster.connect();

  // The second half of the file comes after the death, so that the import is under way then.
  const importing = cluster.startClient(
    "import",
    "-",
    "--format=csv",
    "--key-column=Assignment",
    "--json",
  );
  await importing.write(csv.slice(0, half));
  await cluster.poll("the first thousand keys", async () => {
    let keys = 0;
    for await (const _ of kv.scan({ timeoutMs: 30_000 })) if (++keys >= 1_000) return true;
    return undefined;
  });
  await cluster.crash(2);
  await importing.write(csv.slice(half));
  const { code, stdout, stderr } = await importing.end();
  assertEquals(code, 0, stdout + stderr + cluster.logs());
  const summary = JSON.parse(stdout);
  assertEquals([summary.written, summary.rejected], [6_000, 0]);

  const found = new Map<string, string>();
  const decoder = new TextDecoder();
  let crashed = false;
  await cluster.whole({ nodes: 3 });
  for await (const { key, value } of kv.scan({ timeoutMs: 30_000 })) {
    assertEquals(found.has(key), false, `${key} came twice`);
    found.set(key, decoder.decode(value));
    if (found.size === 1_000 && !crashed) {
      crashed = true;
      await cluster.crash(0);
    }
  }
  assertEquals(found, values);
});
