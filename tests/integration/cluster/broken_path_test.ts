/**
 * Two nodes cannot see each other, and everybody else sees both: nobody is taken to be down, and a key of the one is
 * served through the other, by way of a third.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { COORDINATOR, NODE, type ProgramSpec } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import { NetworkNamespaces } from "../../support/worlds/network_namespaces.ts";

/** Of a loop of looks; no test waits for it to pass. */
const WAIT_BOUND_MS = 60_000;
/** With eight partitions, some of these keys are surely of a node that cannot be seen. */
const KEYS = 32;

/**
 * Writes keys, and reads them, at one node. What was sent into the broken link ends as `outcome_unknown`, at most once, and
 * is repeated, as docs/http.md says. Prints how each request ended, and its value.
 */
const use = (at: string, value: string) => `
async function put(url) {
  const response = await fetch(url, { method: "PUT", body: "${value}" });
  return response.ok ? "ok" : (await response.json()).code;
}
const outcomes = await Promise.all(Array.from({ length: ${KEYS} }, async (_, i) => {
  const url = "http://${at}/kv/key" + i;
  let outcome = await put(url);
  if (outcome === "outcome_unknown") outcome = await put(url);
  const got = await fetch(url);
  return [outcome, got.status, await got.text()];
}));
console.log(JSON.stringify(outcomes));`;

Deno.test("cluster: two nodes that cannot see each other serve each other's keys by way of a third", async () => {
  const network = await NetworkNamespaces.make(["coordinator", "a", "b", "c"]);
  if (network === undefined) {
    console.log("skipped: no network namespaces here (needs Linux, root and iproute2)");
    return;
  }
  await using _network = network;
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "kv-test-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const start = async (host: string, program: ProgramSpec, ...flags: string[]) => {
    const server = ServerProcess.start(program, [
      `--host=${network.addressOf(host)}`,
      "--insecure",
      `--data=${folder}/${host}`,
      ...flags,
    ], { cwd: folder, detached: false, executable: await network.program(host, program) });
    stack.defer(() => server.crash());
    const { host: at, facts, port } = await server.ready;
    return { server, address: `${at}:${port}`, http: `${at}:${facts.http}` };
  };
  const coordinator = await start(
    "coordinator",
    COORDINATOR,
    "--discovery=off",
    "--partitions=8",
    "--expect-nodes=3",
  );
  const join = `--coordinator=${coordinator.address}`;
  const [a, b] = await Promise.all(["a", "b", "c"].map((host) => start(host, NODE, join)));
  assert(a !== undefined && b !== undefined);
  const health = async () => {
    const code = `console.log(await (await fetch("http://${coordinator.http}/health")).text())`;
    return JSON.parse(await network.evaluate("coordinator", code)) as { status: string };
  };
  const untilWell = async () => {
    const endMs = performance.now() + WAIT_BOUND_MS;
    let last = await health();
    while (last.status !== "ok") {
      assert(performance.now() < endMs, JSON.stringify(last));
      last = await health();
    }
  };
  const served = async (at: string, value: string) => {
    const outcomes = JSON.parse(await network.evaluate("coordinator", use(at, value)));
    assertEquals(outcomes, Array.from({ length: KEYS }, () => ["ok", 200, value]));
  };
  await untilWell();
  await served(a.http, "before");

  await network.cut("a", "b");
  // What was under way on the link is lost with it; then each request takes the way by the third.
  await served(a.http, "apart, at one");
  await served(b.http, "apart, at the other");
  assert(!coordinator.server.log.some((line) => line.includes("a node is down")), "nobody is down");

  await network.mend("a", "b");
  await untilWell();
  await served(b.http, "after");
});
