import { assertEquals, assertRejects } from "@std/assert";
import type { KvClientOptions } from "../../../../client/calls/call.ts";
import { Sender } from "../../../../client/library/sender.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import type { KeyRequest } from "../../../../shared/wire/messages.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { FakeCluster } from "../../../support/worlds/fake_cluster.ts";

const GET: KeyRequest = { req_type: "get", key: "k" };
const PUT: KeyRequest = { req_type: "put", key: "k", value: "v" };
const CREATE: KeyRequest = { req_type: "create", key: "k", value: "v" };

function setUp(options: KvClientOptions = {}, clientId?: string) {
  const cluster = new FakeCluster();
  const sender = new Sender({ clock: new ManualClock(), router: cluster, clientId }, options);
  return { cluster, sender };
}

Deno.test("Sender: the defaults are the client's, and a call's own options come first", async () => {
  const { cluster, sender } = setUp({ timeoutMs: 70, consistency: "replica", acks: "primary" });
  await sender.read(GET, {});
  await sender.read(GET, { timeoutMs: 8.5, consistency: "strong" });
  await sender.write(PUT, {});
  await sender.write(PUT, { acks: "all" });
  assertEquals(cluster.requests, [
    { ...GET, consistency: "replica", timeout_ms: 70 },
    { ...GET, consistency: "strong", timeout_ms: 9 },
    { ...PUT, acks: "primary", timeout_ms: 70 },
    { ...PUT, acks: "all", timeout_ms: 70 },
  ]);
});

Deno.test("Sender: a write that would do harm twice has a client session, others have none", async () => {
  const { cluster, sender } = setUp({}, "me");
  for (const request of [CREATE, PUT, CREATE]) await sender.write(request, {});
  const sessions = cluster.requests.map((request) =>
    "session" in request ? [request.session, request.request_number] : []
  );
  assertEquals(sessions, [["me.4.0", 1], [], ["me.4.0", 2]]);
});

Deno.test("Sender: without a name nothing has a client session", async () => {
  const { cluster, sender } = setUp();
  await sender.write(CREATE, {});
  assertEquals("session" in (cluster.requests[0] ?? {}), false);
});

Deno.test("Sender: is closed once, and then refuses everything", async () => {
  const { cluster, sender } = setUp();
  sender.close();
  sender.close();
  assertEquals(cluster.closed, true);
  await assertRejects(() => sender.map(), KvError, "closed");
  await assertRejects(async () => await sender.execute(GET, {}), KvError, "closed");
});
