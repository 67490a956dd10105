import { assert, assertEquals } from "@std/assert";
import { topLines } from "../../../../../client/cli/commands/top.ts";
import { consoleSnapshot } from "../../../../../shared/console/snapshot.ts";
import { fakeMap } from "../../../../support/worlds/fake_cluster.ts";

function snapshot(coordinatorAnswers = true) {
  return consoleSnapshot({
    wallMs: Date.UTC(2026, 10, 21, 12, 30),
    periodMs: 2_000,
    map: fakeMap(),
    secured: false,
    version: "0.1.0",
    health: { status: "ok", reasons: [] },
    seenBy: "client",
    coordinatorAnswers,
    coordinator: undefined,
    nodes: new Map([["00000000000000a1", {
      now: { document: {}, atMs: 0 },
      before: undefined,
    }]]),
  });
}

const textsOf = (...args: Parameters<typeof topLines>) => topLines(...args).map(({ text }) => text);

Deno.test("topLines: the cluster, what is wrong, and each process; what is not known is a dash", () => {
  const lines = textsOf(snapshot(), 200, 100);
  assertEquals(lines[0], "test  ok  2 of 2 nodes up, 8 partitions, map 3  12:30:00 UTC");
  assertEquals(
    lines[1],
    "!! node 00000000000000a2 (127.0.0.1:8082) counts as up, and does not answer",
  );
  const table = lines.slice(3);
  assert(table[0]?.startsWith("process         state   prim"), table[0]);
  assert(table[1]?.startsWith("127.0.0.1:8081  up         4     4     0      -"), table[1]);
  assert(table[2]?.startsWith("127.0.0.1:8082  silent     4     4     0      -"), table[2]);
  assertEquals(textsOf(snapshot(false), 200, 100)[1], "!! the coordinator does not answer");
});

Deno.test("topLines: fits into any terminal", () => {
  for (const [columns, rows] of [[1, 1], [20, 3], [80, 24]] as const) {
    const lines = textsOf(snapshot(), columns, rows);
    assert(lines.length <= rows);
    for (const line of lines) assert(line.length <= columns);
  }
});
