/**
 * Rows that were not in memory were read by synchronous calls: on a slow disk each get or put of such a key, and each
 * write that came to a follower, held up the whole process, heartbeats too. Found by a review.
 */
import { assert, assertEquals } from "@std/assert";
import { SLOW_READS_KEEP_MS, SLOW_READS_MS } from "../../shared/limits/storage.ts";
import type { KeyRequest, Reply } from "../../shared/wire/messages.ts";
import { wireForm } from "../../shared/wire/wire_form.ts";
import { get, NodeCluster, put } from "../support/worlds/node_cluster.ts";

const KEYS = 300;
const READ_MS = 10;

/** Two nodes that have just started, whose rows are on disks that take 10 ms for each. */
async function setUp() {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  for (let i = 0; i < KEYS; i++) cluster.node("n1").execute(put(`k${i}`, `v${i}`), () => {});
  await cluster.run(3_000);
  for (const id of ["n1", "n2"]) cluster.crash(id);
  for (const id of ["n1", "n2"]) await cluster.start(id);
  await cluster.run(3_000);
  const slow = (id: string) =>
    cluster.host(id).slowRead ??= { ms: READ_MS, inMemory: new Set(), heldUp: 0 };
  return { cluster, slowReads: { n1: slow("n1"), n2: slow("n2") } };
}

/** Asks for all at once. @returns the answers */
async function ask(cluster: NodeCluster, requests: readonly KeyRequest[]) {
  const answers: Reply[] = [];
  for (const [i, request] of requests.entries()) {
    cluster.node("n1").execute(request, (reply) => {
      answers[i] = wireForm(reply);
    });
    if (i % 10 === 0) await cluster.run(1);
  }
  await cluster.run(5_000);
  return answers;
}

const numbered = <T>(make: (i: number) => T) => Array.from({ length: KEYS }, (_, i) => make(i));
const HELD_UP_MAX = SLOW_READS_MS / READ_MS;

Deno.test("gets of rows on a slow disk hold up the process a few times, and then wait beside it", async () => {
  const { cluster, slowReads } = await setUp();
  const answers = await ask(cluster, numbered((i) => get(`k${i}`)));
  assertEquals(
    answers.map((reply) => reply.req_type === "data" && reply.message),
    numbered((i) => `v${i}`),
  );
  assert(slowReads.n1.heldUp <= HELD_UP_MAX, `held up ${slowReads.n1.heldUp} times`);
});

Deno.test("so do puts, at the primary and at its follower, and all of them arrive", async () => {
  const { cluster, slowReads } = await setUp();
  const answers = await ask(cluster, numbered((i) => put(`k${i}`, `new${i}`)));
  assertEquals(answers.map(({ req_type }) => req_type), numbered(() => "ack"));
  assert(slowReads.n1.heldUp <= HELD_UP_MAX, `the primary is held up ${slowReads.n1.heldUp} times`);
  assert(
    slowReads.n2.heldUp <= HELD_UP_MAX,
    `the follower is held up ${slowReads.n2.heldUp} times`,
  );
  const contents = await cluster.contents("n2");
  assertEquals(numbered((i) => contents[`k${i}`]), numbered((i) => `new${i}`));
  const digests = ["n1", "n2"].map((id) => cluster.node(id).partition(0)?.store.state.digest);
  assertEquals(digests[0], digests[1]);
});

Deno.test("of one key, nothing overtakes what came before it", async () => {
  const { cluster } = await setUp();
  await ask(cluster, numbered((i) => get(`k${i}`)).slice(0, 20));
  const requests = numbered((i) => i % 2 === 0 ? put("k200", `${i}`) : get("k200"));
  const answers = await ask(cluster, requests);
  const found = answers.map((reply) => reply.req_type === "data" ? reply.message : undefined);
  assertEquals(found, numbered((i) => i % 2 === 0 ? undefined : `${i - 1}`));
});

Deno.test("when the disk is fast again, nothing waits", async () => {
  const { cluster, slowReads } = await setUp();
  await ask(cluster, numbered((i) => get(`k${i}`)).slice(0, 100));
  const store = cluster.node("n1").partition(0)?.store;
  assertEquals(store?.readsAreSlow, true);
  delete cluster.host("n1").slowRead;
  await cluster.run(SLOW_READS_KEEP_MS);
  assertEquals(store?.readsAreSlow, false);
  let answered = false;
  cluster.node("n1").execute(get("k250"), () => answered = true);
  assertEquals([answered, slowReads.n1.inMemory.has("k250")], [true, false]);
});
