/**
 * A defect of ours (a broken invariant, a field of undefined) inside a request or a background pass was
 * answered as `internal`, or logged, and the node went on with a state that nobody had thought of. Found by
 * a review (suspect S5). Now it gets to the top, where `exitOnDefect` ends the process.
 */
import { assertEquals, assertThrows } from "@std/assert";
import { InvariantError } from "../../shared/base/errors.ts";
import type { Reply } from "../../shared/wire/messages.ts";
import { get, NodeCluster, put } from "../support/worlds/node_cluster.ts";

async function oneNode(): Promise<NodeCluster> {
  const cluster = new NodeCluster({ nodes: 1, replicas: 1 });
  await cluster.startAll();
  await cluster.ask("n1", put("k", "x"));
  // After a restart nothing is in the cache.
  cluster.crash("n1");
  await cluster.start("n1");
  await cluster.run(100);
  return cluster;
}

for (const defect of [new InvariantError("of a test"), new TypeError("of a test")]) {
  for (const request of [get("k"), put("k", "y")]) {
    Deno.test(`a ${defect.name} in a ${request.req_type} is not answered`, async () => {
      const cluster = await oneNode();
      cluster.host("n1").storage.get = () => {
        throw defect;
      };
      const replies: Reply[] = [];
      const thrown = assertThrows(() =>
        cluster.node("n1").execute(request, (reply) => replies.push(reply))
      );
      assertEquals([thrown, replies], [defect, []]);
    });
  }
}

Deno.test("a defect in a background pass gets to the top", async () => {
  const cluster = await oneNode();
  const defect = new TypeError("of a test");
  cluster.host("n1").storage.range = () => Promise.reject(defect);
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const note = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    resolve(event.reason);
  };
  globalThis.addEventListener("unhandledrejection", note);
  try {
    // The scrub reads the partition through.
    await cluster.run(10_000);
    assertEquals(await promise, defect);
  } finally {
    globalThis.removeEventListener("unhandledrejection", note);
  }
});
