/**
 * A write of one byte that asked for the value before, of 1 MB, wrote an entry of 1 MB in its client session, on each
 * replica, for a quarter of an hour.
 */
import { assert, assertEquals } from "@std/assert";
import type { KeyRequest } from "../../shared/wire/messages.ts";
import { CLIENT_SESSION_REPLY_CHARACTERS_MAX } from "../../shared/limits/requests.ts";
import { CLIENT_SESSION_KEY_PREFIX } from "../../shared/cluster/system_keys.ts";
import { get, NodeCluster, put } from "../support/worlds/node_cluster.ts";

const LONG = "x".repeat(1_000_000);

function sessionBytes(cluster: NodeCluster, id: string, session: string): number | undefined {
  return cluster.node(id).partition(0)?.store.get(CLIENT_SESSION_KEY_PREFIX + session)?.value
    .length;
}

function swap(op: number, again = false): KeyRequest {
  return {
    req_type: "put",
    key: "k",
    value: "1",
    previous: true,
    session: "l",
    request_number: op,
    again,
  };
}

Deno.test("a client session keeps the outcome of a request whose answer is long, and it happens once all the same", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  await cluster.ask("n1", put("k", LONG));
  const first = await cluster.ask("n1", swap(1));
  assert(first.req_type === "ack");
  assertEquals(first.previous, LONG);
  for (const id of ["n1", "n2"]) {
    const bytes = sessionBytes(cluster, id, "l");
    assert(bytes !== undefined && bytes < 1_000, `${id}: ${bytes}`);
  }
  await cluster.ask("n1", put("k", "2"));
  // The answer got lost with its connection; the one who asked tries again, at the next primary too.
  for (const id of ["n1", "n2"]) {
    if (id === "n2") {
      cluster.crash("n1");
      cluster.fail("n1");
      await cluster.run(100);
    }
    const second = await cluster.ask(id, swap(1, true));
    assert(second.req_type === "error");
    assertEquals([second.code, second.detail, second.settled], [
      "reply_not_kept",
      { version: first.version },
      undefined,
    ]);
    const { message } = await cluster.ask(id, get("k")) as { message?: string };
    assertEquals(message, "2");
  }
});

Deno.test("a client session keeps a refusal without its long details, and what is short as it is", async () => {
  const cluster = new NodeCluster({ nodes: 1 });
  await cluster.startAll();
  await cluster.ask("n1", put("k", LONG));
  const refused = { ...swap(1, true), if_version: 99 } as KeyRequest;
  const reply = await cluster.ask("n1", refused);
  assert(reply.req_type === "error" && reply.code === "version_mismatch");
  const again = await cluster.ask("n1", refused);
  assert(again.req_type === "error" && again.code === "version_mismatch" && again.settled === true);
  const { version } = reply.detail as { version?: number };
  assertEquals(again.detail, { version });
  assert((sessionBytes(cluster, "n1", "l") ?? Infinity) < 1_000);
  const short = "y".repeat(CLIENT_SESSION_REPLY_CHARACTERS_MAX - 200);
  await cluster.ask("n1", put("k", short));
  const first = await cluster.ask("n1", swap(2));
  assertEquals(await cluster.ask("n1", swap(2, true)), first);
});
