/** A secured coordinator's JSON wire: who gets how far, and how a machine becomes a member. */
import { assert, assertEquals } from "@std/assert";
import { Coordinator } from "../../../coordinator/coordinator.ts";
import type {
  CoordinatorOptions,
  CoordinatorSecurity,
} from "../../../coordinator/coordinator_options.ts";
import { parseRecord } from "../../../coordinator/register/register_record.ts";
import { parseClusterDocument } from "../../../coordinator/state/cluster_document.ts";
import { newClusterRecord } from "../../../coordinator/state/coordinator_record.ts";
import { AccessControl } from "../../../shared/security/access_control.ts";
import { LoginThrottle } from "../../../shared/security/login/login_throttle.ts";
import { PasswordHasher } from "../../../shared/security/login/password.ts";
import { SecurityKeeper } from "../../../shared/security/security_keeper.ts";
import { NO_LOG } from "../../support/doubles/no_log.ts";
import { SystemRandom } from "../../../shared/platform/random.ts";
import {
  createRequest,
  readMemberCertificate,
} from "../../../shared/security/certificate_authority.ts";
import { MESSAGE_NEEDS } from "../../../shared/security/needs.ts";
import {
  parseJudgedDocument,
  type SecurityDocument,
} from "../../../shared/security/security_document.ts";
import { parseToken } from "../../../shared/security/user_token.ts";
import { JOIN_TOKEN_LIFETIME_MS } from "../../../shared/limits/security.ts";
import {
  type Granted,
  MemberAuthority,
} from "../../../shared/security/members/member_authority.ts";
import {
  ALICE,
  ROOT,
  sampleOf,
  securedDocument,
  SecuredWire,
  type WireClient,
} from "../../support/worlds/secured_wire.ts";

const OPTIONS: Omit<CoordinatorOptions, "security"> = {
  listen: { host: "coord", port: 8080 },
  heartbeats: { host: "coord", port: 3769 },
  settings: { partitionCount: 4, replicationFactor: 1 },
  repairDelayMs: 5_000,
  expectNodes: 1,
  cacheEntries: 10,
};
class Scene extends SecuredWire implements AsyncDisposable {
  coordinator: Coordinator | undefined;

  static async open({ secured = true } = {}): Promise<Scene> {
    const scene = new Scene(OPTIONS.listen);
    await scene.start(secured ? await securedDocument() : undefined);
    return scene;
  }

  async start(document?: SecurityDocument): Promise<void> {
    if (document !== undefined) {
      await this.store.write(newClusterRecord(
        { id: "c1", folder: "f1", address: OPTIONS.listen },
        { clusterId: document.cluster, settings: OPTIONS.settings, security: document },
      ));
    }
    this.coordinator = await Coordinator.start({
      clock: this.clock,
      random: new SystemRandom(),
      transport: this.network.transport("coord"),
      store: this.store,
      logger: () => NO_LOG,
    }, { ...OPTIONS, security: document && this.#security(document) });
    await this.clock.run(10);
  }

  #security(document: SecurityDocument): CoordinatorSecurity {
    const { clock, auditLog: audit } = this;
    const random = new SystemRandom();
    const hasher = new PasswordHasher();
    const throttle = new LoginThrottle();
    const access = new AccessControl({ clock, hasher, audit, throttle }, document);
    return {
      access,
      adopt: (next) => access.adopt(next),
      unlisted: () => undefined,
      openOffice: (held, write) => {
        const keeper = new SecurityKeeper({ clock, random, hasher, audit, access, write }, held);
        return { keeper, members: new MemberAuthority({ clock, keeper, audit }) };
      },
    };
  }

  /** The document as it is on disk. */
  override get stored(): SecurityDocument {
    const record = parseRecord(JSON.parse(this.store.text ?? "{}"), parseClusterDocument);
    const security = record.accepted?.document.body.security;
    assert(security !== undefined, "a secured cluster has users");
    return security;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.coordinator?.close();
    await this.clock.run(10_000);
    await closed;
  }
}

Deno.test("secured Coordinator: a stranger is refused everything but hello and ping", async () => {
  await using scene = await Scene.open();
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
  assertEquals(await stranger.code({ req_type: "ping" }), "none");
  const hello = { req_type: "hello", protocol: 1, role: "client" };
  assertEquals(await stranger.code(hello), "none");
  assertEquals(await stranger.code({ req_type: "get_map" }), "unauthorized", "a hello is no login");
  for (const role of ["node", "gateway", "coordinator", "member", "peer"]) {
    const caller = await scene.connect();
    const code = await caller.code({ ...hello, role, node: "a" });
    assert(code !== "none", `${role}: ${code}`);
  }
  const guesser = await scene.connect();
  const wrong = { ...hello, secret: "wrong horse", user: "root" };
  assertEquals(await guesser.code(wrong), "unauthorized");
});

Deno.test("secured Coordinator: a user gets as far as its rights, and no further", async () => {
  await using scene = await Scene.open();
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
});

Deno.test("secured Coordinator: orders change the document on disk, and count at once where one is logged in", async () => {
  await using scene = await Scene.open();
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

/** What an administrator orders for a machine, as a script. */
async function joinToken(scene: Scene): Promise<{ root: WireClient; secret: string; id: string }> {
  const root = await scene.connect();
  await root.logIn(ROOT);
  const made = await root.result({ req_type: "token_create", join: "node" }) as {
    token: string;
    text: string;
    join: string;
  };
  assertEquals(made.join, "node");
  return { root, secret: parseToken(made.text).secret.reveal(), id: made.token };
}

async function joining(secret: string, node = "n1", more: object = {}): Promise<object> {
  const { request } = await createRequest();
  const asked = { secret, node, certificate_request: request, hosts: ["10.0.0.7"] };
  return { req_type: "join", ...asked, ...more };
}

Deno.test("secured Coordinator: a machine with a token becomes a member, and is told by what to judge", async () => {
  await using scene = await Scene.open();
  const { root, secret, id } = await joinToken(scene);
  const machine = await scene.connect(undefined, "machine");
  const { cluster, authorities } = await machine.result({ req_type: "get_authorities" }) as {
    cluster: string;
    authorities: string[];
  };
  assertEquals(authorities, scene.stored.authorities);
  const granted = await machine.result(await joining(secret)) as Granted;
  assertEquals([granted.cluster, granted.authorities], [cluster, authorities]);
  const { subject, serial } = readMemberCertificate(granted.certificate);
  assertEquals(subject, { id: "n1", role: "node", cluster });
  const judged = parseJudgedDocument(granted.document);
  assertEquals(judged.users.map(({ name }) => name), ["root", "alice"]);
  const told = JSON.stringify(granted);
  for (const hidden of ["joins", "authorityKey", "PRIVATE"]) {
    assertEquals(told.includes(hidden), false);
  }
  assertEquals(scene.store.text?.includes(secret), false);
  const listed = await root.result({ req_type: "cert_list" }) as Record<string, unknown>[];
  assertEquals(listed.map(({ id, role, serial, revoked }) => ({ id, role, serial, revoked })), [
    { id: "n1", role: "node", serial, revoked: false },
  ]);
  // A token is for one role.
  const asCoordinator = await joining(secret, "c2", { role: "coordinator" });
  assertEquals(await machine.code(asCoordinator), "unauthorized");
  // A token is for as many machines as there are to set up, until it is revoked.
  assertEquals(await machine.code(await joining(secret, "n2")), "none");
  await root.result({ req_type: "token_revoke", token: id });
  assertEquals(await machine.code(await joining(secret, "n3")), "unauthorized");
});

Deno.test("secured Coordinator: who may not join is told why, and gets nothing", async () => {
  await using scene = await Scene.open();
  const { root, secret } = await joinToken(scene);
  const machine = await scene.connect(undefined, "machine");
  assertEquals(await machine.code(await joining(secret)), "none");
  const taken = await machine.ask(await joining(secret));
  assert(taken.req_type === "error" && taken.code === "exists", JSON.stringify(taken));
  assert(taken.message.includes("kv-client cert revoke n1"), taken.message);
  const bad = [
    await joining(secret, "not an id"),
    await joining(secret, "n2", { certificate_request: "nonsense" }),
    await joining(secret, "n2", { hosts: ["coordinator.kv.internal"] }),
    await joining(secret, "n2", { hosts: ["a b"] }),
    await joining(secret, "n2", { hosts: Array.from({ length: 17 }, (_, i) => `h${i}`) }),
  ];
  for (const message of bad) {
    assertEquals(await machine.code(message), "bad_request", JSON.stringify(message).slice(0, 200));
  }
  // A user's token is none to join, and no other secret is.
  const users = await root.result({ req_type: "token_create", user: "alice" }) as { text: string };
  for (const other of [parseToken(users.text).secret.reveal(), "A".repeat(43), ""]) {
    assertEquals(await machine.code(await joining(other, "n2")), "unauthorized");
  }
  assertEquals(await machine.code(await joining("B".repeat(43), "n2")), "unauthorized");
  assertEquals(await machine.code(await joining(secret, "n2")), "overloaded", "and is slowed down");
  const elsewhere = await scene.connect(undefined, "elsewhere");
  assertEquals(await elsewhere.code(await joining(secret, "n2")), "none");
  scene.clock.advance(JOIN_TOKEN_LIFETIME_MS);
  assertEquals(await elsewhere.code(await joining(secret, "n3")), "unauthorized", "it has ended");
  assertEquals(scene.stored.certificates.length, 2);
});

Deno.test("secured Coordinator: a revoked node is in the list as such, and may join again", async () => {
  await using scene = await Scene.open();
  const { root, secret } = await joinToken(scene);
  const machine = await scene.connect(undefined, "machine");
  await machine.result(await joining(secret));
  assertEquals(await root.code({ req_type: "cert_revoke", certificate: "n2" }), "not_found");
  await root.result({ req_type: "cert_revoke", certificate: "n1" });
  assertEquals(await root.code({ req_type: "cert_revoke", certificate: "n1" }), "not_found");
  assertEquals(scene.stored.revoked.map(({ serial }) => serial), [
    scene.stored.certificates[0]?.serial,
  ]);
  assertEquals(await machine.code(await joining(secret)), "none");
  const listed = await root.result({ req_type: "cert_list" }) as { revoked: boolean }[];
  assertEquals(listed.map(({ revoked }) => revoked), [true, false]);
});

Deno.test("secured Coordinator: after a rotation the new authority signs, and both are trusted until it is finished", async () => {
  await using scene = await Scene.open();
  const { root, secret } = await joinToken(scene);
  const machine = await scene.connect(undefined, "machine");
  const [before] = scene.stored.authorities;
  await root.result({ req_type: "cert_rotate" });
  const granted = await machine.result(await joining(secret)) as Granted;
  assertEquals(granted.authorities.length, 2);
  assertEquals(granted.authorities[1], before);
  await root.result({ req_type: "cert_rotate", finish: true });
  assertEquals(scene.stored.authorities, granted.authorities.slice(0, 1));
});

Deno.test("secured Coordinator: a rotation is not finished while a member has no certificate of the new authority", async () => {
  await using scene = await Scene.open();
  const { root, secret } = await joinToken(scene);
  const machine = await scene.connect(undefined, "machine");
  await machine.result(await joining(secret));
  await root.result({ req_type: "cert_rotate" });
  const refused = await root.ask({ req_type: "cert_rotate", finish: true });
  assert(refused.req_type === "error" && refused.code === "bad_request");
  assert(refused.message.includes("n1 would be shut out"), refused.message);
  assertEquals(scene.stored.authorities.length, 2);
  // One that is gone keeps nobody waiting.
  await root.result({ req_type: "cert_revoke", certificate: "n1" });
  await root.result({ req_type: "cert_rotate", finish: true });
  assertEquals(scene.stored.authorities.length, 1);
});

Deno.test("secured Coordinator: a rotation is finished all the same if an administrator insists", async () => {
  await using scene = await Scene.open();
  const { root, secret } = await joinToken(scene);
  const machine = await scene.connect(undefined, "machine");
  await machine.result(await joining(secret));
  await root.result({ req_type: "cert_rotate" });
  await root.result({ req_type: "cert_rotate", finish: true, force: true });
  assertEquals(scene.stored.authorities.length, 1);
});

Deno.test("unsecured Coordinator: has no users, and says so", async () => {
  await using scene = await Scene.open({ secured: false });
  const anybody = await scene.connect();
  const answer = await anybody.ask({ req_type: "user_list" });
  assert(answer.req_type === "error" && answer.code === "bad_request");
  assert(answer.message.includes("not secured"), answer.message);
});
