import { assertEquals } from "@std/assert";
import { OPERATIONS } from "../../../../shared/operations/table.ts";
import type { KeyRequest, Reply } from "../../../../shared/wire/messages.ts";
import { RequestExecutor } from "../../../../node/requests/request_executor.ts";
import type { Timed } from "../../../../node/requests/waiting_requests.ts";
import { WriteProposer } from "../../../../node/requests/write_proposer.ts";
import { WriteQueue } from "../../../../node/requests/write_queue.ts";
import { configOf, entry, RecordingNode } from "../../../support/doubles/recording_ports.ts";

/** An executor alone in its set; writes commit when the test says so. */
function setUp() {
  const node = new RecordingNode();
  const writes = new WriteQueue(node.ports.inFlight, () => node.ports.nowMs());
  const held: (() => void)[] = [];
  const owner = {
    ports: node.ports,
    store: node.store,
    recent: node.recent,
    clientSessions: node.clientSessions,
    config: configOf(["n1"]),
    isServing: true,
    valueBytesMax: 100,
    followers: { isEmpty: true, append: () => {} },
    onReadFailed: () => false,
    isHeld: () => false,
    onProposed: () => {},
    holdsUp: () => false,
    fail: (error: unknown) => void lines.push(`failed: ${error}`),
    /** Whether this node knows that it is the primary; else `then` is held. */
    readable: true,
    whenReadable<R extends Timed>(request: R, _reply: unknown, then: (request: R) => void): void {
      if (owner.readable) then(request);
      else held.push(() => then(request));
    },
  };
  const executor = new RequestExecutor(owner, writes, new WriteProposer(owner, writes));
  const lines: string[] = [];
  const ask = (request: KeyRequest) => {
    const reply = (reply: Reply) =>
      void lines.push(
        `${request.req_type}: ${reply.req_type === "error" ? reply.code : reply.req_type}`,
      );
    const operation = OPERATIONS[request.req_type];
    if (operation.kind === "read") executor.read(request, operation, reply);
    else executor.change(request, reply);
  };
  const commit = (seq: number) => {
    writes.commit(seq);
    for (let next = writes.takeReleased(); next !== undefined; next = writes.takeReleased()) {
      next.run();
    }
  };
  return { node, owner, writes, held, lines, ask, commit };
}

Deno.test("RequestExecutor.read: waits for a write of the key that is not committed. Rule R1", () => {
  const { lines, ask, commit } = setUp();
  ask({ req_type: "put", key: "k", value: "1" });
  ask({ req_type: "get", key: "k" });
  ask({ req_type: "get", key: "other" });
  assertEquals(lines, ["get: not_found"]);
  commit(1);
  assertEquals(lines, ["get: not_found", "put: ack", "get: data"]);
});

Deno.test("RequestExecutor.change: a refusal waits until what it tells of is committed and current. Rule W5", () => {
  const { owner, held, lines, ask, commit } = setUp();
  ask({ req_type: "put", key: "k", value: "1" });
  owner.readable = false;
  ask({ req_type: "create", key: "k", value: "2" });
  commit(1);
  assertEquals([lines, held.length], [["put: ack"], 1]);
  held[0]?.();
  assertEquals(lines.length, 2);
});

Deno.test("RequestExecutor.read: what has expired is deleted before anybody is told so. Rule W7", () => {
  const { node, writes, lines, ask, commit } = setUp();
  node.store.apply({ ...entry("k", 1), expiresAtMs: 1 });
  node.store.setState({ lastSeq: 1 });
  node.recent.reset(1);
  ask({ req_type: "get", key: "k" });
  assertEquals([writes.size, lines], [1, []]);
  commit(2);
  assertEquals(lines, ["get: not_found"]);
});

Deno.test("RequestExecutor.change: what cannot be read is for the owner to answer", () => {
  const { node, lines, ask } = setUp();
  node.store.get = () => {
    throw new Error("unreadable");
  };
  ask({ req_type: "get", key: "k" });
  assertEquals(lines, ["failed: Error: unreadable"]);
});
