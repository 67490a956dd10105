/** A secured node's JSON wire: what is refused must not have reached the node. */
import { assert, assertEquals } from "@std/assert";
import { standaloneMap } from "../../../../node/membership/standalone_cluster.ts";
import { NodeServer } from "../../../../node/server/node_server.ts";
import { type ErrorCode, KvError } from "../../../../shared/base/errors.ts";
import { NO_LOG } from "../../../support/doubles/no_log.ts";
import { SystemRandom } from "../../../../shared/platform/random.ts";
import type { MemberName } from "../../../../shared/platform/member_identity.ts";
import { userOf } from "../../../../shared/wire/on_behalf.ts";
import { MESSAGE_NEEDS } from "../../../../shared/security/needs.ts";
import { type SecurityDocument } from "../../../../shared/security/security_document.ts";
import { type Message, MESSAGES, type RoutedRequest } from "../../../../shared/wire/messages.ts";
import { testAdmission } from "../../../support/doubles/test_admission.ts";
import {
  ALICE,
  ROOT,
  sampleOf,
  securedDocument,
  SecuredWire,
  type WireClient,
} from "../../../support/worlds/secured_wire.ts";

const ADDRESS = { host: "node", port: 8081 };
const MAP = standaloneMap({
  clusterId: "c1",
  partitionCount: 4,
  node: {
    id: "n1",
    ...ADDRESS,
    httpPort: 0,
    zone: "z",
    weight: 1,
    incarnation: 1,
    state: "up",
  },
});
/** A server round a node that answers everything. */
class Scene extends SecuredWire {
  readonly executed: RoutedRequest[] = [];
  /** Users and keys of what was passed on. */
  readonly passedOn: (string | undefined)[][] = [];
  /** What the node answers. */
  answer: Message<"ack" | "error"> = { req_type: "ack", message: "here" };
  peers = 0;

  private constructor(document: SecurityDocument | undefined) {
    super(ADDRESS);
    const server = new NodeServer({ clock: this.clock, random: new SystemRandom(), log: NO_LOG }, {
      node: {
        nodeId: "n1",
        scans: { scan: () => {}, count: () => {} },
        watch: { poll: () => {}, close: () => {} },
        map: () => MAP,
        execute: (request, reply) => {
          this.executed.push(request);
          reply({ ...this.answer });
        },
        backupPartition: () => {},
        acceptPeer: () => {
          this.peers++;
          return { onMessage: () => {}, onClose: () => {} };
        },
        databaseUsage: () => ({ known: true, databases: [] }),
        stats: () => ({}),
        collect: () => {},
      },
      forwarder: {
        execute: (request, _timeoutMs, done) => {
          this.passedOn.push([request.req_type, request.key, userOf(request)]);
          done({ req_type: "ack", message: "there" });
          return () => {};
        },
        request: (node, message, _timeoutMs, done) => {
          this.passedOn.push([node, userOf(message)]);
          done({ req_type: "entries", entries: [], partitions: "" });
        },
        refresh: () => Promise.resolve(MAP),
      },
      clusterId: () => "c1",
      admission: testAdmission({ connectionsMax: 100 }, this.clock),
      security: document && this.keeperOf(document),
    });
    this.network.transport("node").listen(ADDRESS, (stream) => server.accept(stream));
  }

  static async open({ secured = true } = {}): Promise<Scene> {
    return new Scene(secured ? await securedDocument() : undefined);
  }

  /** A connection of a member, by its certificate, that has said what it is. */
  async connectMember(hello: object, member: Omit<MemberName, "serial">): Promise<WireClient> {
    this.network.certify(member.id, { ...member, serial: "1" });
    const client = await this.connect(undefined, member.id);
    assertEquals(await client.code({ req_type: "hello", protocol: 1, ...hello }), "none");
    return client;
  }
}

const HELLO = { req_type: "hello", protocol: 1, role: "client" };
const get = (key: string) => ({ req_type: "get", key });

Deno.test("secured NodeServer: a stranger is refused everything but hello, ping and the authority", async () => {
  const scene = await Scene.open();
  const stranger = await scene.connect();
  for (const [req_type, need] of Object.entries(MESSAGE_NEEDS)) {
    if (need === "anybody") continue;
    const message = sampleOf(req_type);
    // What fails the check of its fields is refused before it is looked at.
    const isWhole = Object.values(message).every((value) => value !== undefined);
    const expected = isWhole ? ["unauthorized"] : ["unauthorized", "bad_request"];
    const code = await stranger.code(message);
    assert((expected as string[]).includes(code), `${req_type}: ${code}`);
  }
  const join = { secret: "s", node: "n", certificate_request: "r", hosts: [] };
  assertEquals(await stranger.code({ req_type: "join", ...join }), "bad_request");
  // By which it is known, and which is in its certificates anyway.
  const { authorities } = await stranger.result({ req_type: "get_authorities" }) as {
    authorities: string[];
  };
  assertEquals(authorities, scene.stored.authorities);
  assertEquals(await stranger.code({ req_type: "ping" }), "none");
  assertEquals(await stranger.code(HELLO), "none");
  assertEquals(await stranger.code({ req_type: "get_map" }), "unauthorized", "a hello is no login");
  assertEquals(scene.executed, []);
});

Deno.test("secured NodeServer: a hello that is no login ends the connection, and nobody is a member", async () => {
  const scene = await Scene.open();
  const refused: [object, ErrorCode][] = [
    ...["node", "gateway", "coordinator", "peer", "member"].map((role): [object, ErrorCode] => [
      { role, node: "a", cluster_id: "c1" },
      "forbidden",
    ]),
    [{ secret: "wrong horse", user: "root" }, "unauthorized"],
    [{ secret: "correct horse", user: "nobody" }, "unauthorized"],
    [{ secret: "kv1.x" }, "bad_request"],
  ];
  for (const [more, code] of refused) {
    const stranger = await scene.connect();
    assertEquals(await stranger.code({ ...HELLO, ...more }), code, JSON.stringify(more));
    await scene.until(() => stranger.closed || undefined);
  }
  assertEquals(scene.peers, 0);
});

Deno.test("secured NodeServer: a connection is one user's from its login to its end", async () => {
  const scene = await Scene.open();
  const alice = await scene.connect(ALICE);
  assertEquals(await alice.code({ ...HELLO, ...ROOT }), "bad_request");
  await scene.until(() => alice.closed || undefined);
});

Deno.test("secured NodeServer: what comes before a login is answered counts as nobody's", async () => {
  const scene = await Scene.open();
  const client = await scene.connect();
  const [hello, early] = await Promise.all([client.logIn(ALICE), client.code(get("app:1"))]);
  assertEquals([hello.req_type, early], ["ack", "unauthorized"]);
  assertEquals(await client.code(get("app:1")), "none");
});

Deno.test("secured NodeServer: a user gets as far as its rights, and no further", async () => {
  const scene = await Scene.open();
  const alice = await scene.connect(ALICE);
  assertEquals(await alice.code({ req_type: "list_nodes" }), "none");
  assertEquals(await alice.code(get("app:1")), "none");
  assertEquals(await alice.code(get("b")), "forbidden");
  assertEquals(await alice.code({ ...get("b"), forwarded: true }), "forbidden");
  const requests = [get("b"), get("app:2")];
  const batch = await alice.result({ req_type: "batch", requests }) as { code?: string }[];
  assertEquals(batch.map(({ code }) => code), ["forbidden", undefined]);
  for (const req_type of ["stats", "force", "user_list", "token_list", "role_list"]) {
    assertEquals(await alice.code({ req_type }), "forbidden", req_type);
  }
  assertEquals(
    await alice.code({ req_type: "user_change", user: "alice", roles: ["admin"] }),
    "forbidden",
  );
  assertEquals(scene.executed.map(({ key }) => key), ["app:1", "app:2"]);
  // Also an administrator is no member.
  const root = await scene.connect(ROOT);
  for (const [req_type, { direction }] of Object.entries(MESSAGES)) {
    if (direction === "request" || direction === "reply") continue;
    assertEquals(await root.code(sampleOf(req_type)), "bad_request", req_type);
  }
});

Deno.test("secured NodeServer: a client session is its user's, whatever others call theirs", async () => {
  const scene = await Scene.open();
  const [alice, root] = [await scene.connect(ALICE), await scene.connect(ROOT)];
  const write = { req_type: "increment", key: "app:1", session: "s", request_number: 1 };
  const sessionOf = async (client: WireClient, request: object) => {
    assertEquals(await client.code(request), "none");
    const last = scene.executed.at(-1);
    return last !== undefined && "session" in last ? last.session : undefined;
  };
  const hers = await sessionOf(alice, write);
  assertEquals(await sessionOf(alice, { ...write, again: true }), hers);
  assertEquals(await sessionOf(alice, { ...write, forwarded: true }), hers);
  await alice.result({ req_type: "batch", requests: [write] });
  const batched = scene.executed.at(-1);
  assert(batched !== undefined && "session" in batched);
  assertEquals(batched.session, hers);
  assert(await sessionOf(alice, { ...write, session: "t" }) !== hers);
  for (const session of ["s", hers, `alice:s`]) {
    assert(await sessionOf(root, { ...write, session }) !== hers, session ?? "");
  }
  assertEquals(await sessionOf(root, get("app:1")), undefined);
  assertEquals(await alice.code({ ...write, session: "" }), "bad_request");
  assertEquals(await alice.code({ ...write, session: "x".repeat(1_000) }), "bad_request");
});

Deno.test("secured NodeServer: what a member passes on is judged again, key by key, by its user's rights", async () => {
  const scene = await Scene.open();
  const n2 = { role: "node", node: "n2", cluster_id: "c1" };
  const node = await scene.connectMember(n2, { id: "n2", role: "node" });
  const as = "alice";
  const transaction = (key: string, other: string) => ({
    req_type: "transaction",
    key,
    requests: [{ ...get(key) }, { req_type: "put", key: other, value: "v" }],
    as,
  });
  const rows: [object, ErrorCode | "none"][] = [
    [{ ...get("app:1"), forwarded: true, as }, "none"],
    [{ ...get("b"), forwarded: true, as }, "forbidden"],
    [{ ...get("b"), forwarded: true, as: "root" }, "none"],
    // Another member may have heard of a user first: whoever asks tries again.
    [{ ...get("app:1"), as: "eve" }, "unavailable"],
    [{ ...get("app:1"), as: 7 }, "bad_request"],
    [transaction("app:{x}1", "app:{x}2"), "none"],
    [transaction("app:{x}1", "{x}2"), "forbidden"],
    [{ req_type: "scan_node", prefix: "b", as }, "forbidden"],
    [{ req_type: "count_node", as }, "forbidden"],
    // A member has no user of its own, ...
    [get("app:1"), "forbidden"],
    [{ req_type: "scan_node", prefix: "app:" }, "forbidden"],
    [{ req_type: "get_map", as }, "forbidden"],
    [{ req_type: "get_map" }, "none"],
    [{ req_type: "metrics", as }, "forbidden"],
    [{ req_type: "metrics" }, "none"],
    [{ req_type: "stats", as }, "forbidden"],
    [{ req_type: "stats" }, "none"],
    [{ req_type: "ping" }, "none"],
  ];
  for (const [message, code] of rows) {
    assertEquals(await node.code(message), code, JSON.stringify(message));
  }
  // ... and what no member passes on is not taken from one, whomever it names.
  for (const req_type of Object.keys(MESSAGE_NEEDS)) {
    const passedOn = MESSAGE_NEEDS[req_type as keyof typeof MESSAGE_NEEDS] === "keys" ||
      ["scan_node", "count_node", "database_usage", "get_map", "stats", "metrics", "ping", "hello"]
        .includes(
          req_type,
        );
    if (passedOn) continue;
    for (const envelope of [{}, { as: "root" }]) {
      const code = await node.code({ ...sampleOf(req_type), ...envelope });
      assert(code === "forbidden" || code === "bad_request", `${req_type}: ${code}`);
    }
  }
  assertEquals(scene.executed.map(({ key }) => key), ["app:1", "b", "app:{x}1"]);
});

Deno.test("secured NodeServer: who is no member does not say for whom it asks", async () => {
  const scene = await Scene.open();
  const alice = await scene.connect(ALICE);
  const stranger = await scene.connect();
  assertEquals(await alice.code({ ...get("b"), as: "root" }), "forbidden");
  assertEquals(await alice.code({ ...get("app:1"), as: "alice" }), "forbidden");
  assertEquals(await stranger.code({ ...get("b"), as: "root" }), "forbidden");
  const requests = [{ ...get("b"), as: "root" }, { ...get("app:1"), as: "root" }];
  const batch = await alice.result({ req_type: "batch", requests });
  assert(Array.isArray(batch));
  assertEquals(batch.map(({ code }) => code), ["forbidden", undefined]);
  assertEquals(scene.executed.map((request) => [request.key, userOf(request)]), [[
    "app:1",
    "alice",
  ]]);
  const open = await Scene.open({ secured: false });
  const anybody = await open.connect();
  assertEquals(await anybody.code({ ...get("b"), as: "root" }), "forbidden");
  assertEquals(await anybody.code(get("b")), "none");
});

Deno.test("secured NodeServer: what it passes on says whose it is", async () => {
  const scene = await Scene.open();
  scene.answer = { req_type: "error", code: "not_primary", message: "elsewhere" };
  const alice = await scene.connect(ALICE);
  await alice.ask(get("app:1"));
  await alice.ask({ req_type: "put", key: "app:2", value: "v", session: "s", request: 1 });
  await alice.ask({ req_type: "batch", requests: [get("app:3"), { ...get("app:4"), as: "root" }] });
  const n2 = { role: "node", node: "n2", cluster_id: "c1" };
  const node = await scene.connectMember(n2, { id: "n2", role: "node" });
  await node.ask({ ...get("app:5"), relay: true, as: "alice" });
  await node.ask({ req_type: "scan_node", prefix: "app:", of: "n3", as: "alice" });
  assertEquals(scene.passedOn, [
    ["get", "app:1", "alice"],
    ["put", "app:2", "alice"],
    ["get", "app:3", "alice"],
    ["get", "app:4", "alice"],
    ["get", "app:5", "alice"],
    ["n3", "alice"],
  ]);
});

Deno.test("secured NodeServer: replication is for nodes with a certificate, as themselves", async () => {
  const scene = await Scene.open();
  const peer = { role: "peer", node: "n2", cluster_id: "c1" };
  await scene.connectMember(peer, { id: "n2", role: "node" });
  assertEquals(scene.peers, 1);
  scene.network.certify("n3", { id: "n3", role: "node", serial: "2" });
  const wrong: [object, string][] = [[peer, "n3"], [peer, "client"], [{}, "n3"], [ALICE, "n3"]];
  for (const [hello, host] of wrong) {
    const client = await scene.connect(undefined, host);
    assertEquals(await client.code({ ...HELLO, ...hello }), "forbidden", host);
    await scene.until(() => client.closed || undefined);
  }
  assertEquals(scene.peers, 1);
});

Deno.test("secured NodeServer: orders change the document on disk, and count at once for who is logged in", async () => {
  const scene = await Scene.open();
  const root = await scene.connect(ROOT);
  assertEquals(await root.result({ req_type: "user_list" }), [
    { user: "root", password: true, roles: ["admin"] },
    { user: "alice", password: true, roles: ["app"] },
  ]);
  const grants = [{ database: "default", prefix: "b", right: "read" }];
  await root.result({ req_type: "role_set", role: "reader", grants });
  await root.result({
    req_type: "user_add",
    user: "bob",
    password: "battery staple",
    roles: ["reader"],
  });
  assertEquals(scene.stored.users.map(({ name }) => name), ["root", "alice", "bob"]);
  assertEquals(scene.store.text?.includes("staple"), false);

  const bob = await scene.connect({ user: "bob", secret: "battery staple" });
  assertEquals(await bob.code(get("b")), "none");
  await root.result({ req_type: "user_change", user: "bob", roles: [] });
  assertEquals(await bob.code(get("b")), "forbidden");
  await root.result({ req_type: "user_remove", user: "bob" });
  assertEquals(await bob.code(get("b")), "unauthorized");
  assertEquals(await bob.code({ req_type: "get_map" }), "unauthorized");

  const lines = scene.audit.map((line) => JSON.parse(line));
  assertEquals(lines.map(({ event, user, name }) => `${event} ${user} ${name ?? ""}`.trim()), [
    "login root",
    "changed root reader",
    "changed root bob",
    "login bob",
    "changed root bob",
    "refused bob",
    "changed root bob",
  ]);
  assertEquals(scene.audit.join("").includes("staple"), false);
});

Deno.test("secured NodeServer: a token is told once, logs in, and is worth nothing once it is revoked", async () => {
  const scene = await Scene.open();
  const root = await scene.connect(ROOT);
  const made = await root.result({ req_type: "token_create", user: "alice" }) as {
    token: string;
    text: string;
  };
  const program = await scene.connect({ secret: made.text });
  assertEquals(await program.code(get("app:1")), "none");
  assertEquals(await program.code(get("b")), "forbidden");
  const listed = JSON.stringify(await root.result({ req_type: "token_list" }));
  const secret = made.text.split(".")[2] ?? "";
  assert(listed.includes(made.token) && !listed.includes(secret));
  assertEquals(scene.store.text?.includes(secret), false);
  await root.result({ req_type: "token_revoke", token: made.token });
  assertEquals(await program.code({ req_type: "get_map" }), "unauthorized");
  const later = await scene.connect();
  assertEquals((await later.logIn({ secret: made.text })).req_type, "error");
  assertEquals(await root.code({ req_type: "token_revoke", token: made.token }), "not_found");

  for (const more of [{}, { user: "nobody" }, { user: "alice", ttl_ms: 400 * 86_400_000 }]) {
    const code = await root.code({ req_type: "token_create", ...more });
    assert(["bad_request", "not_found"].includes(code), JSON.stringify(more));
  }
});

Deno.test("secured NodeServer: orders that come at the same time all count", async () => {
  const scene = await Scene.open();
  const root = await scene.connect(ROOT);
  const names = ["a", "b", "c", "d"];
  await Promise.all(names.map((user) => root.result({ req_type: "user_add", user })));
  assertEquals(scene.stored.users.slice(2).map(({ name }) => name).toSorted(), names);
});

Deno.test("secured NodeServer: the last administrator stays, and what is refused changes nothing", async () => {
  const scene = await Scene.open();
  const root = await scene.connect(ROOT);
  assertEquals(await root.code({ req_type: "user_remove", user: "root" }), "bad_request");
  assertEquals(await root.code({ req_type: "role_set", role: "admin", grants: [] }), "bad_request");
  assertEquals(
    await root.code({ req_type: "user_add", user: "x", password: "short" }),
    "bad_request",
  );
  assertEquals(await root.code({ req_type: "user_change", user: "alice" }), "bad_request");
  assertEquals(await root.code({ req_type: "user_add", user: "alice" }), "exists");
  assertEquals(scene.stored.version, 3, "nothing was changed");
});

Deno.test("secured NodeServer: a change that cannot be written is told, does not count, and is in no later one", async () => {
  const scene = await Scene.open();
  const [root, alice] = [await scene.connect(ROOT), await scene.connect(ALICE)];
  scene.store.failure = new KvError("storage_failed", "the disk is full");
  const remove = { req_type: "user_remove", user: "alice" };
  const refused = await root.ask(remove);
  assert(refused.req_type === "error" && refused.code === "storage_failed");
  assertEquals(refused.message, "user_remove: this change does not count: the disk is full");
  assertEquals(await alice.code({ req_type: "list_nodes" }), "none");
  assertEquals(scene.audit.some((line) => JSON.parse(line).event === "changed"), false);
  scene.store.failure = undefined;
  await root.result({ req_type: "user_add", user: "bob" });
  assertEquals(scene.stored.users.map(({ name }) => name), ["root", "alice", "bob"]);
  assertEquals(await alice.code({ req_type: "list_nodes" }), "none");
  await root.result(remove);
  assertEquals(await alice.code({ req_type: "list_nodes" }), "unauthorized");
});

Deno.test("secured NodeServer: orders wait for the one before, and are judged and answered in their turn", async () => {
  const scene = await Scene.open();
  const root = await scene.connect(ROOT);
  // The first document is on disk.
  await root.result({
    req_type: "user_add",
    user: "eve",
    roles: ["admin"],
    password: "long enough",
  });
  const eve = await scene.connect({ user: "eve", secret: "long enough" });
  scene.store.hold();
  const removed = root.ask({ req_type: "user_remove", user: "eve" });
  await scene.until(() => scene.store.waiting > 0 || undefined);
  const late = eve.ask({ req_type: "user_remove", user: "alice" });
  const later = root.ask({ req_type: "user_add", user: "bob" });
  scene.store.release();
  assertEquals((await removed).req_type, "result");
  const answer = await late;
  assert(answer.req_type === "error" && answer.code === "unauthorized", "she is nobody by then");
  assertEquals((await later).req_type, "result");
  assertEquals(scene.stored.users.map(({ name }) => name), ["root", "alice", "bob"]);
});

Deno.test("NodeServer that is not secured: has no users, and says so", async () => {
  const scene = await Scene.open({ secured: false });
  const anybody = await scene.connect();
  const answer = await anybody.ask({ req_type: "user_list" });
  assert(answer.req_type === "error" && answer.code === "bad_request");
  assert(answer.message.includes("not secured"), answer.message);
});
