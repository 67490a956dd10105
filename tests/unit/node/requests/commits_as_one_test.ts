import { assert, assertEquals } from "@std/assert";
import { U64_TYPE } from "../../../../shared/operations/combine.ts";
import { stampSuffix } from "../../../../shared/schema/versionstamp.ts";
import { checkKeyRequest } from "../../../../shared/validation/request_checks.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { KEY_BYTES_MAX } from "../../../../shared/limits/wire.ts";
import type { Message, PlainRequest, Reply } from "../../../../shared/wire/messages.ts";
import { get, NodeCluster, put } from "../../../support/worlds/node_cluster.ts";

function commit(
  requests: PlainRequest[],
  more: Partial<Message<"transaction">> = {},
): Message<"transaction"> {
  return { req_type: "transaction", key: "a", requests, as_one: true, ...more };
}

function versionOf(reply: Reply): number | undefined {
  assert(reply.req_type === "result" || reply.req_type === "data", JSON.stringify(reply));
  return reply.version;
}

function code(reply: Reply): string | undefined {
  return reply.req_type === "error" ? reply.code : undefined;
}

async function versions(cluster: NodeCluster, node: string, ...keys: string[]) {
  const found = [];
  for (const key of keys) found.push(versionOf(await cluster.ask(node, get(key))));
  return found;
}

Deno.test("transaction as_one: all its writes have one version, also at another primary (rule W10)", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  await cluster.ask("n1", put("old", "x"));
  const reply = await cluster.ask("n1", commit([put("a", "1"), put("b", "2"), put("a", "3")]));
  assertEquals(reply.req_type === "result" && reply.result, [], "answers would have no bound");
  const version = versionOf(reply);
  assertEquals(version, 2);
  assertEquals(await versions(cluster, "n1", "a", "b"), [version, version]);
  // A later write has a greater one, whatever seqs the first ones have.
  const later = versionOf(await cluster.ask("n1", commit([put("b", "4")])));
  assertEquals(later, 5);
  cluster.crash("n1");
  cluster.fail("n1");
  await cluster.run(5_000);
  assertEquals(await versions(cluster, "n2", "a", "b"), [version, later]);
  const checked = commit([put("c", "1")], { checks: [["a", 2], ["b", 5], ["c", 0]] });
  assertEquals(code(await cluster.ask("n2", checked)), undefined);
});

Deno.test("transaction as_one: a request that is refused refuses all of it; what is not there may be deleted", async () => {
  const cluster = new NodeCluster({ nodes: 1 });
  await cluster.startAll();
  await cluster.ask("n1", put("text", "x"));
  const sum: PlainRequest = {
    req_type: "combine",
    key: "text",
    with: "sum",
    content_type: U64_TYPE,
    bytes: new Uint8Array(8),
  };
  assertEquals(code(await cluster.ask("n1", commit([put("a", "1"), sum]))), "bad_request");
  assertEquals(code(await cluster.ask("n1", get("a"))), "not_found");
  const remove = (key: string): PlainRequest => ({ req_type: "delete", key });
  assertEquals(versionOf(await cluster.ask("n1", commit([remove("none"), put("a", "1")]))), 2);
  // Nothing is written: a version that is committed.
  assertEquals(versionOf(await cluster.ask("n1", commit([remove("none")]))), 2);
  assertEquals(versionOf(await cluster.ask("n1", commit([]))), 2);
});

Deno.test("transaction as_one: a stamped key ends with the version", async () => {
  const cluster = new NodeCluster({ nodes: 1 });
  await cluster.startAll();
  await cluster.ask("n1", put("x", "1"));
  const reply = await cluster.ask(
    "n1",
    commit([put("a", "1"), { req_type: "put", key: "log", value: "2", stamped: true }]),
  );
  assertEquals(versionOf(reply), 2);
  assertEquals(await versions(cluster, "n1", `log${stampSuffix(2)}`), [2]);
});

Deno.test("transaction as_one: is refused over several partitions; stamped is for a put in it alone", async () => {
  const cluster = new NodeCluster({ nodes: 1, partitions: 4 });
  await cluster.startAll();
  const wide = commit(["a", "b", "c", "d"].map((key) => put(key, "1")));
  const refused = await cluster.ask("n1", wide);
  assert(refused.req_type === "error");
  assertEquals(refused.code, "bad_request");
  const stamped = (key: string): PlainRequest => ({
    req_type: "put",
    key,
    value: "",
    stamped: true,
  });
  const whyNot = (request: Message<"transaction">) => {
    try {
      checkKeyRequest(request);
    } catch (error) {
      if (error instanceof KvError) return error.code;
      throw error;
    }
  };
  assertEquals(whyNot(commit([stamped("a")])), undefined);
  assertEquals(whyNot({ ...commit([stamped("a")]), as_one: false }), "bad_request");
  assertEquals(whyNot(commit([stamped("k".repeat(KEY_BYTES_MAX - 21))])), "key_too_large");
  assertEquals(whyNot(commit([stamped("k".repeat(KEY_BYTES_MAX - 22))])), undefined);
});
