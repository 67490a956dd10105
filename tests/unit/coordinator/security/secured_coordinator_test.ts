import { assert, assertEquals, assertRejects } from "@std/assert";
import { Coordinator, type CoordinatorOptions } from "../../../../coordinator/coordinator.ts";
import type { StoredCluster } from "../../../../coordinator/state/stored_cluster.ts";
import { type ErrorCode, KvError } from "../../../../shared/base/errors.ts";
import { NO_LOG } from "../../../../shared/platform/logger.ts";
import { SystemRandom } from "../../../../shared/platform/random.ts";
import type { Stream } from "../../../../shared/platform/transport.ts";
import { AuditLog } from "../../../../shared/security/audit_log.ts";
import { createAuthority } from "../../../../shared/security/certificate_authority.ts";
import { MESSAGE_NEEDS } from "../../../../shared/security/needs.ts";
import { PasswordHasher } from "../../../../shared/security/password.ts";
import {
  addUser,
  newSecurityDocument,
  type SecurityDocument,
  setRole,
} from "../../../../shared/security/security_document.ts";
import { Connection } from "../../../../shared/wire/connection.ts";
import { type Message, MESSAGES, type MessageType } from "../../../../shared/wire/messages.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { MemoryDocumentStore } from "../../../support/doubles/memory_document_store.ts";
import { MemoryNetwork } from "../../../support/doubles/memory_transport.ts";
import { HASH, OTHER_HASH } from "../../../support/data/security_samples.ts";

const OPTIONS: CoordinatorOptions = {
  listen: { host: "coord", port: 8080 },
  heartbeats: { host: "coord", port: 3769 },
  settings: { partitionCount: 4, replicationFactor: 1 },
  repairDelayMs: 5_000,
  expectNodes: 1,
  cacheEntries: 10,
};
const ROOT = { user: "root", secret: "other horse" };
const ALICE = { user: "alice", secret: "correct horse" };

/** `root` may administer, `alice` may read and write what begins with `app:`. */
async function firstDocument(): Promise<SecurityDocument> {
  const { certificate, key } = await createAuthority("kv", Date.UTC(2026, 0, 1));
  const authority = { certificate, key: key.reveal() };
  const first = newSecurityDocument(authority, { name: "root", passwordHash: OTHER_HASH });
  const grants = (["read", "write"] as const).map((right) => ({
    database: "default",
    prefix: "app:",
    right,
  }));
  const withRole = setRole(first, { name: "app", grants });
  return addUser(withRole, { name: "alice", passwordHash: HASH, roles: ["app"] });
}

/** One client's connection, message by message. */
class Client {
  readonly #scene: Scene;
  readonly #connection: Connection;
  readonly #answers = new Map<unknown, Message>();
  #next = 1;

  constructor(scene: Scene, stream: Stream) {
    this.#scene = scene;
    this.#connection = new Connection(stream, scene.clock, {
      onMessage: (message) => this.#answers.set(message.id, message),
      onInvalid: () => {},
      onClose: () => {},
    });
  }

  /** The answer to a message; hashes are computed in real time. */
  async ask(message: object): Promise<Message> {
    const id = this.#next++;
    this.#connection.sendText(JSON.stringify({ ...message, id }));
    return await this.#scene.until(() => this.#answers.get(id));
  }

  async logIn(credentials: object): Promise<Message> {
    return await this.ask({ req_type: "hello", protocol: 1, role: "client", ...credentials });
  }

  async code(message: object): Promise<ErrorCode | "none"> {
    const answer = await this.ask(message);
    return answer.req_type === "error" ? answer.code as ErrorCode : "none";
  }

  async result(message: object): Promise<unknown> {
    const answer = await this.ask(message);
    assert(answer.req_type === "result", JSON.stringify(answer));
    return answer.result;
  }
}

class Scene implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock, { delayMs: 1 });
  readonly store = new MemoryDocumentStore();
  readonly audit: string[] = [];
  coordinator: Coordinator | undefined;

  async start(options: Partial<CoordinatorOptions> = {}): Promise<void> {
    this.coordinator = await Coordinator.start({
      clock: this.clock,
      random: new SystemRandom(),
      transport: this.network.transport("coord"),
      store: this.store,
      logger: () => NO_LOG,
    }, {
      ...OPTIONS,
      secure: {
        hasher: new PasswordHasher(),
        audit: new AuditLog(this.clock, (line) => this.audit.push(line)),
        first: firstDocument,
      },
      ...options,
    });
    await this.clock.run(10);
  }

  async until<T>(look: () => T | undefined): Promise<T> {
    for (;;) {
      await this.clock.run(5);
      const found = look();
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  async connect(): Promise<Client> {
    const transport = this.network.transport("client");
    let stream: Stream | undefined;
    transport.connect(OPTIONS.listen, 1_000, (opened) => stream = opened, () => {});
    return new Client(this, await this.until(() => stream));
  }

  /** The document as it is on disk. */
  get stored(): SecurityDocument {
    const { security } = JSON.parse(this.store.text ?? "{}") as StoredCluster;
    assert(security !== undefined);
    return security;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.coordinator?.close();
    await this.clock.run(10_000);
    await closed;
  }
}

/** A message with all fields that it must have, of values that pass for some. */
function sample(req_type: string): object {
  const samples: Record<string, unknown> = {
    key: "app:1",
    partition: 1,
    requests: [],
    user: "alice",
    role: "app",
    grants: [],
    token: "0".repeat(12),
    node: "n",
    protocol: 1,
    prefix: "",
  };
  const { fields } = MESSAGES[req_type as MessageType];
  const needed = Object.entries(fields as Record<string, { optional: boolean }>)
    .filter(([, { optional }]) => !optional).map(([name]) => [name, samples[name]]);
  return { req_type, ...Object.fromEntries(needed) };
}

Deno.test("secured Coordinator: a stranger is refused everything but hello and ping", async () => {
  await using scene = new Scene();
  await scene.start();
  const stranger = await scene.connect();
  for (const [req_type, need] of Object.entries(MESSAGE_NEEDS)) {
    if (need === "anybody") continue;
    const message = sample(req_type);
    // What fails the check of its fields is refused before it is looked at.
    const isWhole = Object.values(message).every((value) => value !== undefined);
    const expected = isWhole ? ["unauthorized"] : ["unauthorized", "bad_request"];
    const code = await stranger.code(message);
    assert((expected as string[]).includes(code), `${req_type}: ${code}`);
  }
  assertEquals(await stranger.code({ req_type: "ping" }), "none");
  const hello = { req_type: "hello", protocol: 1, role: "client" };
  assertEquals(await stranger.code(hello), "none");
  assertEquals(await stranger.code({ req_type: "get_map" }), "unauthorized", "a hello is no login");
  for (const role of ["node", "gateway", "coordinator"]) {
    assertEquals(await stranger.code({ ...hello, role, node: "a" }), "forbidden", role);
  }
  assertEquals(
    await stranger.code({ ...hello, secret: "wrong horse", user: "root" }),
    "unauthorized",
  );
  assertEquals(await stranger.code({ ...hello, secret: "kv1.x" }), "bad_request");
  assertEquals(await stranger.code({ req_type: "get_map" }), "unauthorized");
});

Deno.test("secured Coordinator: a user gets as far as its rights, and no further", async () => {
  await using scene = new Scene();
  await scene.start();
  const alice = await scene.connect();
  assertEquals((await alice.logIn(ALICE)).req_type, "ack");
  assertEquals(await alice.code({ req_type: "list_nodes" }), "none");
  // There is no node: what gets through ends in want of one.
  const get = (key: string) => ({ req_type: "get", key, timeout_ms: 50 });
  assertEquals(await alice.code(get("app:1")), "unavailable");
  assertEquals(await alice.code(get("b")), "forbidden");
  const batch = await alice.ask({
    req_type: "batch",
    timeout_ms: 50,
    requests: [get("b"), get("app:1")],
  });
  assert(batch.req_type === "result" && Array.isArray(batch.result), JSON.stringify(batch));
  assertEquals(batch.result.map(({ code }) => code), ["forbidden", "unavailable"]);
  for (const req_type of ["stats", "force", "user_list", "token_list", "role_list"]) {
    assertEquals(await alice.code({ req_type }), "forbidden", req_type);
  }
  assertEquals(await alice.code({ req_type: "forget_node", node: "a" }), "forbidden");
  assertEquals(
    await alice.code({ req_type: "user_change", user: "alice", roles: ["admin"] }),
    "forbidden",
  );
  const admin = await scene.connect();
  await admin.logIn(ROOT);
  // Also an administrator is no node.
  for (const [req_type, need] of Object.entries(MESSAGE_NEEDS)) {
    if (typeof need !== "object" || !("from" in need)) continue;
    assert(["forbidden", "bad_request"].includes(await admin.code(sample(req_type))), req_type);
  }
});

Deno.test("secured Coordinator: orders change the document on disk, and count at once where one is logged in", async () => {
  await using scene = new Scene();
  await scene.start();
  const [root, bob] = [await scene.connect(), await scene.connect()];
  await root.logIn(ROOT);
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

  const get = { req_type: "get", key: "b", timeout_ms: 50 };
  await bob.logIn({ user: "bob", secret: "battery staple" });
  assertEquals(await bob.code(get), "unavailable");
  await root.result({ req_type: "user_change", user: "bob", roles: [] });
  assertEquals(await bob.code(get), "forbidden");
  await root.result({ req_type: "user_remove", user: "bob" });
  assertEquals(await bob.code(get), "unauthorized");
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

Deno.test("secured Coordinator: a token is told once, logs in, and is worth nothing once it is revoked", async () => {
  await using scene = new Scene();
  await scene.start();
  const root = await scene.connect();
  await root.logIn(ROOT);
  const made = await root.result({ req_type: "token_create", user: "alice" }) as {
    token: string;
    text: string;
  };
  const program = await scene.connect();
  assertEquals((await program.logIn({ secret: made.text })).req_type, "ack");
  assertEquals(
    await program.code({ req_type: "get", key: "app:1", timeout_ms: 50 }),
    "unavailable",
  );
  const listed = JSON.stringify(await root.result({ req_type: "token_list" }));
  const secret = made.text.split(".")[2] ?? "";
  assert(listed.includes(made.token) && !listed.includes(secret));
  assertEquals(scene.store.text?.includes(secret), false);
  await root.result({ req_type: "token_revoke", token: made.token });
  assertEquals(await program.code({ req_type: "get_map" }), "unauthorized");
  assertEquals((await program.logIn({ secret: made.text })).req_type, "error");
  assertEquals(await root.code({ req_type: "token_revoke", token: made.token }), "not_found");

  const bad = [
    {},
    { user: "alice", join: "node" },
    { user: "nobody" },
    { user: "alice", ttl_ms: 400 * 86_400_000 },
    { join: "node", ttl_ms: 2 * 86_400_000 },
    { join: "client" },
  ];
  for (const more of bad) {
    const code = await root.code({ req_type: "token_create", ...more });
    assert(["bad_request", "not_found"].includes(code), JSON.stringify(more));
  }
});

Deno.test("secured Coordinator: two orders at a time both count, and a restart knows them", async () => {
  await using scene = new Scene();
  await scene.start();
  const root = await scene.connect();
  await root.logIn(ROOT);
  const names = ["a", "b", "c", "d"];
  await Promise.all(names.map((user) => root.result({ req_type: "user_add", user })));
  assertEquals(scene.stored.users.slice(2).map(({ name }) => name).toSorted(), names);
  const { version } = scene.stored;
  const closed = scene.coordinator?.close();
  await scene.clock.run(10_000);
  await closed;

  const unsecured = await assertRejects(() => scene.start({ secure: undefined }), KvError);
  assertEquals(unsecured.code, "bad_config");
  await scene.start();
  assertEquals(scene.stored.version, version);
  const again = await scene.connect();
  await again.logIn(ROOT);
  assertEquals((await again.result({ req_type: "user_list" }) as unknown[]).length, 6);
});

Deno.test("secured Coordinator: the last administrator stays, and what is refused changes nothing", async () => {
  await using scene = new Scene();
  await scene.start();
  const root = await scene.connect();
  await root.logIn(ROOT);
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

Deno.test("secured Coordinator: what is not on disk is neither answered nor in force", async () => {
  await using scene = new Scene();
  await scene.start();
  const [root, alice] = [await scene.connect(), await scene.connect()];
  await root.logIn(ROOT);
  await alice.logIn(ALICE);
  scene.store.failure = new KvError("storage_failed", "the disk is full");
  let answered = false;
  const removed = root.ask({ req_type: "user_remove", user: "alice" }).then((answer) => {
    answered = true;
    return answer;
  });
  await scene.clock.run(3_000);
  assertEquals(await alice.code({ req_type: "list_nodes" }), "none");
  assertEquals(answered, false);
  scene.store.failure = undefined;
  await scene.clock.run(2_000);
  assertEquals((await removed).req_type, "result");
  assertEquals(await alice.code({ req_type: "list_nodes" }), "unauthorized");
});

Deno.test("unsecured Coordinator: has no users, and says so", async () => {
  await using scene = new Scene();
  await scene.start({ secure: undefined });
  const anybody = await scene.connect();
  const answer = await anybody.ask({ req_type: "user_list" });
  assert(answer.req_type === "error" && answer.code === "bad_request");
  assert(answer.message.includes("not secured"), answer.message);
});
