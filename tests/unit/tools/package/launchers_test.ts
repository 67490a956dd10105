import { assertEquals } from "@std/assert";
import { launchersAmong } from "../../../../tools/package/launchers.ts";

Deno.test("launchersAmong: the chain from npx down, and neither the user's shell nor what is above it", () => {
  const table: [ancestors: string[], pids: number[]][] = [
    [[
      "9 /x/deno task up",
      "8 node /x/.bin/deno task up",
      "7 sh -c deno task up",
      "6 npm exec deno task up",
      "5 bash",
      "4 node ide",
    ], [9, 8, 7, 6]],
    [["9 deno task up", "5 /bin/bash run.sh", "4 node ide"], [9]],
    [["9 deno task up", "5 -bash"], [9]],
    [["5 bash"], []],
    [["5 systemd"], []],
    [[""], []],
  ];
  for (const [ancestors, pids] of table) {
    const found = launchersAmong(ancestors.join("\n") + "\n").map(({ pid }) => pid);
    assertEquals(found, pids, ancestors.join("; "));
  }
});
