/** `top`, `moves`, `slowlog` and `doctor` of real clusters: what they show, while a node dies. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { needing } from "../../support/needs.ts";
import { PSEUDO_TERMINAL, Terminal } from "../../support/terminal.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";
import { CLIENT } from "../../../tools/programs.ts";
import { formatAddress } from "../../../shared/platform/transport.ts";

Deno.test("doctor, moves, slowlog: say what there is to mend, before and after a node dies", async () => {
  await using cluster = await TestCluster.start({
    nodeFlags: ["--slow-request-ms", "0"],
    coordinatorFlags: ["--slow-request-ms", "0"],
  });
  await cluster.client("put", "a key", "v");
  const findings = async (...args: string[]) => {
    const { code, stdout } = await cluster.client("doctor", "--json", ...args);
    const all = JSON.parse(stdout) as { about: string; verdict: string; todo?: string }[];
    return {
      code,
      bad: all.filter(({ verdict }) => verdict === "bad").map(({ about }) => about),
      all,
    };
  };
  const well = await findings();
  // All of it is on one machine, and that machine may be busy.
  assertEquals(well.bad.filter((about) => !["alerts", "disks"].includes(about)), [
    "coordinators",
    "zones",
  ]);
  assertEquals(well.code, 1);
  assertEquals(well.all.length, 11);
  const slow = await cluster.client("slowlog", "100");
  assertEquals(slow.code, 0);
  assertMatch(slow.stdout, /wire +put +ok +127\.0\.0\.1:\d+ +a key/);
  assertEquals((await cluster.client("slowlog", "no")).code, 2);
  assertMatch((await cluster.client("moves")).stdout, /^0 replicas are being filled, 0 of 32/);

  await cluster.crash(0);
  await cluster.waitFor(
    "a node is down",
    ({ nodes }) => nodes.some(({ state }) => state === "down"),
  );
  const hurt = await findings();
  assertEquals(hurt.code, 1);
  for (const about of ["processes", "alerts", "redundancy"]) {
    assert(hurt.bad.includes(about), about);
  }
  assertMatch((await cluster.client("moves")).stdout, /32 of 32 partitions have fewer than 3/);
  const { stdout } = await cluster.client("top", "--once", "--every", "200ms");
  assertMatch(stdout, /^kv {2}(degraded|unavailable) {2}2 of 3 nodes up/);
  assertMatch(stdout, /!! node \w+ \(127\.0\.0\.1:\d+\) is down/);
  // Nobody to ask, as far as the client knows: an error, and no state of long ago.
  await cluster.coordinatorProcess.crash();
  const gone = await cluster.client("doctor");
  assert(gone.code !== 0);
});

Deno.test({
  ...needing(
    "top: at a terminal the screen follows the cluster, q ends it in the shell as well, and the terminal is as it was",
    PSEUDO_TERMINAL,
  ),
  fn: async () => {
    await using cluster = await TestCluster.start({ nodes: 2 });
    const address = formatAddress(cluster.coordinatorAddress);
    const shell = [
      Deno.execPath(),
      "run",
      "--quiet",
      "--no-prompt",
      ...CLIENT.permissions,
      CLIENT.entry,
      "--coordinator",
      address,
    ];
    {
      await using terminal = new Terminal(shell);
      await terminal.until(/kv> /);
      await terminal.type("top --every 200ms\r");
      await terminal.until(/2 of 2 nodes up/);
      await terminal.type("q");
      // The key is not part of the next line, and the line editor works as before.
      const behind = await terminal.until(/\[\?1049l[^]*kv> /);
      await terminal.type("get nobody\r");
      await terminal.until(/not_found: get: no such key "nobody"/, behind);
      await terminal.type("exit\r");
      assertEquals(await terminal.ended(), 0);
    }
    await using terminal = new Terminal([...shell, "top", "--every", "200ms"]);
    await terminal.until(/2 of 2 nodes up/);
    await cluster.crash(0);
    await terminal.until(/is down/);
    await terminal.type("q");
    assertEquals(await terminal.ended(), 0);
    assert(terminal.output.includes("\x1b[?1049h"), "its own screen");
    assert(terminal.output.trimEnd().endsWith("\x1b[?25h\x1b[?1049l"), "and back");
  },
});
