/**
 * A secured cluster of real processes: a coordinator that is its authority, and nodes that have joined by a token, as
 * users, operators and those who want in meet it.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { createClient } from "redis";
import { connect } from "../../../client/mod.ts";
import { KvError } from "../../../shared/base/errors.ts";
import type { Address } from "../../../shared/platform/transport.ts";
import {
  CertificateAuthority,
  createAuthority,
  createRequest,
} from "../../../shared/security/certificate_authority.ts";
import { joinCluster } from "../../../shared/security/members/deno_join.ts";
import { parseToken } from "../../../shared/security/user_token.ts";
import { COORDINATOR, NODE } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const ALICE = { user: "alice", password: "correct horse" };

function credentialsOf(cluster: TestCluster) {
  const { credentials } = cluster;
  assert(credentials !== undefined);
  return credentials;
}

/** Asks over HTTP as a user. */
async function http(
  cluster: TestCluster,
  { host, port }: Address,
  path: string,
  { user, password }: { user: string; password: string },
  init: RequestInit = {},
): Promise<{ status: number; text: string }> {
  using client = Deno.createHttpClient({ caCerts: [credentialsOf(cluster).ca] });
  const headers = { authorization: `Basic ${btoa(`${user}:${password}`)}` };
  const response = await fetch(`https://${host}:${port}${path}`, { ...init, client, headers });
  return { status: response.status, text: await response.text() };
}

function redisOf(cluster: TestCluster, index: number, login: { user: string; password: string }) {
  const { host, port } = cluster.nodeAddress(index);
  const { ca } = credentialsOf(cluster);
  const client = createClient({
    username: login.user,
    password: login.password,
    socket: { host, port, tls: true, ca },
  });
  client.on("error", () => {});
  return client;
}

async function addAlice(cluster: TestCluster): Promise<void> {
  const grants = (["read", "write"] as const).map((right) => ({
    database: "default",
    prefix: "app:",
    right,
  }));
  await cluster.order({ req_type: "role_set", role: "app", grants });
  await cluster.order({ req_type: "user_add", ...ALICE, roles: ["app"] });
}

interface Listed {
  readonly id: string;
  readonly role: string;
  readonly serial: string;
  readonly until: number;
  readonly revoked: boolean;
}

async function certificates(cluster: TestCluster): Promise<Listed[]> {
  return await cluster.order({ req_type: "cert_list" }) as Listed[];
}

/** Several share a cluster, since a secured one takes seconds of the processor to start. */
async function inTurn(
  t: Deno.TestContext,
  cluster: TestCluster,
  steps: Readonly<Record<string, (cluster: TestCluster) => Promise<void>>>,
): Promise<void> {
  for (const [name, step] of Object.entries(steps)) {
    // What a failed one has left would make the next ones fail or hang.
    if (!await t.step(name, () => step(cluster))) return;
  }
}

Deno.test("secured cluster: as its users and its operator meet it", async (t) => {
  await using cluster = await TestCluster.start({ secured: true });
  await inTurn(t, cluster, {
    "library, shell, Redis clients and HTTP, and through the end and the return of a node":
      isUsedEverywhere,
    "a user's right counts at every node, and its end on connections that are open":
      rightsCountEverywhere,
    "a change of rights is in force at every node within 2 s, on open connections too":
      rightsChangeSoon,
    "the authority is rotated while clients that know only the former one go on":
      authorityIsRotated,
  });
});

Deno.test("secured cluster: what its folders lack is said, and requests go on", async (t) => {
  await using cluster = await TestCluster.start({ nodes: 2, secured: true });
  await inTurn(t, cluster, {
    "an audit log that cannot be written": failingAuditLogIsSaid,
    "older users in a coordinator's folder: they are noticed, and the next change counts everywhere":
      olderUsersAreNoticed,
  });
});

async function isUsedEverywhere(cluster: TestCluster): Promise<void> {
  const admin = credentialsOf(cluster);
  await using kv = await cluster.connect();
  const keys = Array.from({ length: 30 }, (_, i) => `k${i}`);
  await Promise.all(keys.map((key) => kv.put(key, key)));

  const redis = redisOf(cluster, 1, admin);
  await redis.connect();
  for (const key of keys) assertEquals(await redis.get(key), key);
  await redis.set("by redis", "r");
  // Any node, and the coordinator's gateway, for keys wherever they are.
  const frontEnds = [
    cluster.nodeHttpAddress(0),
    cluster.nodeHttpAddress(2),
    { host: "127.0.0.1", port: cluster.coordinatorFacts.http ?? 0 },
  ];
  for (const frontEnd of frontEnds) {
    assertEquals(await http(cluster, frontEnd, "/kv/by%20redis", admin), {
      status: 200,
      text: "r",
    });
    const body = await http(cluster, frontEnd, "/kv/k3", admin, { method: "PUT", body: "h" });
    assertEquals(body.status < 300, true, body.text);
    const nobody = await http(cluster, frontEnd, "/kv/k3", { user: "admin", password: "a guess" });
    assertEquals(nobody.status, 401);
  }
  const answers = [await cluster.client("get", "k3"), await cluster.client("count")];
  assertEquals(answers.map(({ stderr, stdout }) => [stderr, stdout]), [["", "h\n"], ["", "31\n"]]);
  redis.destroy();

  // If a busy machine has just cost a partition its other replicas, nobody may take it over.
  await cluster.whole({ nodes: 3 });
  await cluster.crash(0);
  await cluster.waitFor(
    "two nodes",
    (map) => map.nodes.filter(({ state }) => state === "up").length === 2,
  );
  // Reads are repeated until the library has found who is primary now. A plain `put` is not: one that was sent to the dead
  // node, before its connection was seen to end, may have happened.
  await Promise.all(keys.map((key) => kv.getText(key)));
  await Promise.all(keys.map((key) => kv.put(key, `${key} again`)));
  // It is a member by what it has kept: no token any more.
  await cluster.restart(0);
  await cluster.whole({ nodes: 3 });
  for (const key of keys) assertEquals(await kv.getText(key), `${key} again`);

  await cluster.coordinatorProcess.crash();
  assertEquals(await kv.getText("k1"), "k1 again", "nodes serve without their coordinator");
  await cluster.restartCoordinator();
  await cluster.whole({ nodes: 3 });
  assertEquals((await certificates(cluster)).length, 4, "nobody needed a new certificate");

  const { port } = cluster.coordinatorAddress;
  const force = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      ...COORDINATOR.permissions,
      new URL(`../../../${COORDINATOR.entry}`, import.meta.url).pathname,
      "--force",
      "--secure",
      `--port=${port}`,
      `--data=${cluster.folder}/coordinator`,
    ],
    cwd: cluster.folder,
  });
  // On a busy machine a node may be silent for a moment; then there is something to do, or to wait for.
  const said = await cluster.poll("force is carried out", async () => {
    await cluster.whole({ nodes: 3 });
    const { success, stdout, stderr } = await force.output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  });
  assertEquals(said, "every partition is served; nothing was done\n");
}

async function rightsCountEverywhere(cluster: TestCluster): Promise<void> {
  await addAlice(cluster);
  const { host, port } = cluster.coordinatorAddress;
  const { ca } = credentialsOf(cluster);
  await using kv = await cluster.poll(
    "alice at the nodes",
    async () => await connect({ coordinator: `${host}:${port}`, ca, ...ALICE }),
  );
  const redis = redisOf(cluster, 0, ALICE);
  await redis.connect();
  const frontEnd = cluster.nodeHttpAddress(1);
  const keys = Array.from({ length: 12 }, (_, i) => `app:${i}`);
  const uses: Record<string, (key: string) => Promise<unknown>> = {
    library: (key) => kv.put(key, "v"),
    redis: (key) => redis.set(key, "v"),
    http: async (key) => {
      const { status, text } = await http(cluster, frontEnd, `/kv/${key}`, ALICE, {
        method: "PUT",
        body: "v",
      });
      if (status >= 300) throw new Error(`${status} ${text}`);
    },
  };
  // Each node is primary of some of these: all have heard of her.
  for (const use of Object.values(uses)) {
    for (const key of keys) await cluster.poll("alice's right", async () => (await use(key), true));
    await assertRejects(() => use("other"));
  }
  await cluster.order({ req_type: "user_change", user: "alice", roles: [] });
  for (const [name, use] of Object.entries(uses)) {
    for (const key of keys) {
      await cluster.poll(
        `${name} refused ${key}`,
        () => use(key).then(() => undefined, (error) => isForbidden(error) ? true : undefined),
      );
    }
  }
  await cluster.order({ req_type: "user_remove", user: "alice" });
  await cluster.poll(
    "alice is nobody",
    () => redis.get("app:1").then(() => undefined, (error) => /NOAUTH/.test(error.message)),
  );
  redis.destroy();
  const { host: nodeHost, port: nodePort } = cluster.nodeAddress(0);
  await using atNode = await connect({
    coordinator: `${nodeHost}:${nodePort}`,
    ...credentialsOf(cluster),
  });
  const refused = await assertRejects(() => atNode.administer({ req_type: "user_list" }), KvError);
  assert(refused.message.includes("coordinator keeps the users"), refused.message);
}

function isForbidden(error: unknown): boolean {
  return /forbidden|NOPERM|403/.test(error instanceof KvError ? error.code : String(error));
}

Deno.test("secured cluster: a revoked node is cut off, and is a member again only by a new token", async () => {
  await using cluster = await TestCluster.start({ secured: true });
  await using kv = await cluster.connect();
  await kv.put("k", "v");
  const victim = await cluster.indexOf((await cluster.map()).nodes[1]?.id);
  assert(victim !== undefined);
  const [, { port }] = [victim, cluster.nodeAddress(victim)];
  const id = (await cluster.map()).nodes.find((node) => node.port === port)?.id ?? "";
  const revoked = await cluster.client("cert", "revoke", id);
  assertEquals([revoked.code, revoked.stderr], [0, ""]);
  await cluster.waitFor(
    "the revoked node is down",
    (map) => map.nodes.some((node) => node.id === id && node.state !== "up"),
  );
  assertEquals(await kv.getText("k"), "v");
  await kv.put("k", "without it");
  const listed = await cluster.client("cert", "list");
  assertEquals(listed.stdout.match(new RegExp(`node ${id} .* revoked`))?.length, 1, listed.stdout);

  await cluster.crash(victim);
  const { text } = await cluster.order({ req_type: "token_create", join: "node" }) as {
    text: string;
  };
  const file = `${cluster.folder}/token`;
  await Deno.writeTextFile(file, `${text}\n`, { mode: 0o600 });
  await cluster.restart(victim, [`--join=${file}`]);
  await cluster.whole({ nodes: 3 });
  assertEquals(await kv.getText("k"), "without it");
});

/** Answers as the coordinator of a cluster would, with a certificate of its own. */
class Between implements AsyncDisposable {
  readonly heard: string[] = [];
  readonly #listener: Deno.TlsListener;
  readonly #serving: Promise<void>;

  private constructor(listener: Deno.TlsListener, answer: string) {
    this.#listener = listener;
    this.#serving = this.#serve(answer);
  }

  static async open(cluster: TestCluster): Promise<Between> {
    const reply = await cluster.ask("coordinator", { req_type: "get_authorities" });
    const own = await CertificateAuthority.open(await createAuthority("between", Date.now()));
    const { request, key } = await createRequest();
    const subject = { id: "coordinator", role: "coordinator", cluster: "c1" } as const;
    const listener = Deno.listenTls({
      hostname: "127.0.0.1",
      port: 0,
      cert: await own.signMember(request, subject, ["127.0.0.1"], Date.now()),
      key: key.reveal(),
    });
    return new Between(listener, JSON.stringify({ ...reply, id: 1 }) + "\n");
  }

  get address(): Address {
    const { hostname: host, port } = this.#listener.addr as Deno.NetAddr;
    return { host, port };
  }

  async #serve(answer: string): Promise<void> {
    for (;;) {
      const connection = await this.#listener.accept().catch(() => undefined);
      if (connection === undefined) return;
      const buffer = new Uint8Array(65_536);
      try {
        const count = await connection.read(buffer) ?? 0;
        this.heard.push(new TextDecoder().decode(buffer.subarray(0, count)));
        await connection.write(new TextEncoder().encode(answer));
        await connection.read(buffer);
      } catch {
        // The other side has found out.
      }
      connection.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#serving;
  }
}

Deno.test("secured cluster: who may not join is told why, and a secret is told to nobody but the cluster", async () => {
  await using cluster = await TestCluster.start({ secured: true, nodes: 1, replicationFactor: 1 });
  await using other = await TestCluster.start({ secured: true, nodes: 0, replicationFactor: 1 });
  await using plain = await TestCluster.start({ nodes: 0, replicationFactor: 1 });
  const ours = await cluster.joinToken();
  const theirs = await other.joinToken();
  const node = "00000000000000aa";
  const join = (at: TestCluster, token: string, more: object = {}) =>
    assertRejects(
      () =>
        joinCluster([at.coordinatorAddress], parseToken(token), {
          node,
          cluster: undefined,
          hosts: ["127.0.0.1"],
          ...more,
        }),
      KvError,
    );
  const foreign = await join(other, ours);
  assertEquals(foreign.code, "unauthorized");
  assert(foreign.message.includes("secret was not told"), foreign.message);
  // Somebody in between shows the cluster's authority, which is no secret, and has no certificate of it.
  await using between = await Between.open(cluster);
  const caught = await assertRejects(
    () =>
      joinCluster([between.address], parseToken(ours), {
        node,
        cluster: undefined,
        hosts: ["127.0.0.1"],
      }),
    KvError,
  );
  assertEquals(caught.code, "unauthorized");
  assert(caught.message.includes("somebody may be in between"), caught.message);
  assertEquals(between.heard.filter((text) => text.includes("secret")), []);
  assert(between.heard.length > 0);
  const unsecured = await join(plain, ours);
  assert(unsecured.message.includes("--secure"), unsecured.message);
  const [version = "", fingerprint = ""] = ours.split(".");
  const forged = await join(cluster, `${version}.${fingerprint}.${"A".repeat(43)}`);
  assertEquals(forged.code, "unauthorized");
  assert(forged.message.includes("not known, was revoked, or has ended"), forged.message);
  const elsewhere = await join(cluster, ours, { cluster: "another" });
  assertEquals(elsewhere.code, "wrong_cluster");
  const [member] = (await certificates(cluster)).filter(({ role }) => role === "node");
  const taken = await join(cluster, ours, { node: member?.id });
  assertEquals(taken.code, "exists");

  // The program says the same, and leaves nothing that would be taken for a membership.
  const { host, port } = cluster.coordinatorAddress;
  const process = ServerProcess.start(NODE, [
    "--port=0",
    `--coordinator=${host}:${port}`,
    `--data=${cluster.folder}/stranger`,
    `--join=${theirs}`,
  ], { cwd: cluster.folder, detached: false });
  const { code } = await process.status;
  assert(code !== 0);
  const said = process.log.join("\n");
  assert(said.includes("is not of the token's cluster"), said);
  assertEquals(said.includes(theirs.split(".")[2] ?? "?"), false, "the log shows no secret");
  assertEquals((await certificates(cluster)).length, 2);
});

Deno.test("secured cluster: certificates are renewed while everything goes on", async () => {
  await using cluster = await TestCluster.start({
    secured: true,
    coordinatorFlags: ["--certificate-lifetime-ms=40000"],
  });
  await using kv = await cluster.connect();
  const before = new Set((await certificates(cluster)).map(({ serial }) => serial));
  const ids = new Set((await certificates(cluster)).map(({ id }) => id));
  const frontEnd = cluster.nodeHttpAddress(0);
  await cluster.poll("each member has another certificate", async () => {
    await kv.put("k", "v");
    assertEquals(await kv.getText("k"), "v");
    const renewed = (await certificates(cluster)).filter(({ serial }) => !before.has(serial));
    return new Set(renewed.map(({ id }) => id)).size === ids.size ? true : undefined;
  });
  assertEquals(await http(cluster, frontEnd, "/kv/k", credentialsOf(cluster)), {
    status: 200,
    text: "v",
  });
  // What a member starts with is what it was given last.
  await cluster.crash(0);
  await cluster.restart(0);
  await cluster.whole({ nodes: 3 });
  assertEquals(await kv.getText("k"), "v");
});

async function authorityIsRotated(cluster: TestCluster): Promise<void> {
  await using kv = await cluster.connect();
  await kv.put("k", "v");
  const before = credentialsOf(cluster).ca;
  const serials = new Set((await certificates(cluster)).map(({ serial }) => serial));
  assertEquals((await cluster.client("cert", "rotate")).stderr, "");
  await cluster.poll("each member has a certificate of the new authority", async () => {
    assertEquals(await kv.getText("k"), "v");
    const renewed = (await certificates(cluster)).filter(({ serial }) => !serials.has(serial));
    return new Set(renewed.map(({ id }) => id)).size === 4 ? true : undefined;
  });
  // Its ports show the new certificate, with the bridge from the authority that this client knows.
  const frontEnd = cluster.nodeHttpAddress(0);
  assertEquals((await http(cluster, frontEnd, "/kv/k", credentialsOf(cluster))).status, 200);
  const redis = redisOf(cluster, 0, credentialsOf(cluster));
  await redis.connect();
  assertEquals(await redis.get("k"), "v");
  redis.destroy();

  // Clients are given ca.crt, which has both; then the former one goes.
  const file = `${cluster.folder}/coordinator.security/ca.crt`;
  const both = await Deno.readTextFile(file);
  assertEquals(both.match(/BEGIN CERTIFICATE/g)?.length, 2);
  assertEquals((await cluster.client("cert", "rotate", "--finish")).stderr, "");
  const after = await Deno.readTextFile(file);
  assertEquals(after.match(/BEGIN CERTIFICATE/g)?.length, 1);
  assert(!after.includes(before.trim()));
  const { host, port } = cluster.coordinatorAddress;
  const admin = credentialsOf(cluster);
  // By the new authority alone: each port shows a certificate of it by now.
  await using anew = await connect({ coordinator: `${host}:${port}`, ...admin, ca: after });
  for (let i = 0; i < 12; i++) await anew.put(`k${i}`, "v");
}

Deno.test("secured cluster: a node that is forgotten is revoked, and both are said", async () => {
  await using cluster = await TestCluster.start({ secured: true });
  const before = await certificates(cluster);
  await cluster.crash(2);
  const map = await cluster.waitFor(
    "the node is down",
    (map) => map.nodes.some(({ state }) => state === "down"),
  );
  const id = map.nodes.find(({ state }) => state === "down")?.id ?? "";
  assertEquals(before.filter((one) => one.id === id && !one.revoked).length, 1);
  const answer = await cluster.client("forget-node", id);
  assertEquals(answer.stdout, `node ${id} is forgotten, and its certificates are revoked\n`);
  const after = await certificates(cluster);
  assertEquals(after.filter(({ revoked }) => revoked).map((one) => one.id), [id]);
});

async function olderUsersAreNoticed(cluster: TestCluster): Promise<void> {
  const file = `${cluster.folder}/coordinator/register.json`;
  const epochIn = (text: string) => /"epoch":(\d+)/.exec(text)?.[1];
  let copy: string;
  let roles = 0;
  do {
    copy = await Deno.readTextFile(file);
    for (let i = 0; i < 3; i++) {
      await cluster.order({ req_type: "role_set", role: `role${roles++}`, grants: [] });
    }
    // If the map has changed meanwhile, that would tell that the copy is an old one.
  } while (epochIn(copy) !== epochIn(await Deno.readTextFile(file)));
  assert(epochIn(copy) !== undefined);
  await cluster.coordinatorProcess.crash();
  await Deno.writeTextFile(file, copy);
  await cluster.restartCoordinator();
  const health = async () => {
    const frontEnd = { host: "127.0.0.1", port: cluster.coordinatorFacts.http ?? 0 };
    return JSON.parse((await http(cluster, frontEnd, "/health", credentialsOf(cluster))).text);
  };
  const isSaid = (reasons: string[]) => reasons.some((why) => why.includes("older copy of users"));
  await cluster.poll("it is said", async () => {
    const { status, reasons } = await health();
    return status === "degraded" && isSaid(reasons) ? true : undefined;
  });
  // It counts at the node too, although the version that was put back has had fewer changes.
  await addAlice(cluster);
  assertEquals(isSaid((await health()).reasons), false);
  await cluster.poll("alice may log in at the node", async () => {
    const frontEnd = cluster.nodeHttpAddress(0);
    const { status } = await http(cluster, frontEnd, "/kv/app:1", ALICE);
    return status === 404 ? true : undefined;
  });
}

async function failingAuditLogIsSaid(cluster: TestCluster): Promise<void> {
  const admin = credentialsOf(cluster);
  const frontEnd = { host: "127.0.0.1", port: cluster.coordinatorFacts.http ?? 0 };
  const files = [`${cluster.folder}/coordinator.security`, await securityFolderOfNode(cluster)]
    .map((folder) => `${folder}/audit.log`);
  for (const file of files) {
    // A line may make the file anew in between.
    await cluster.poll("a folder in the file's place", async () => {
      await Deno.rename(file, `${file}.kept`).catch(() => {});
      await Deno.mkdir(file);
      return true;
    });
  }
  for (const at of [frontEnd, cluster.nodeHttpAddress(0)]) {
    await cluster.poll("it is said", async () => {
      // Each login is a line that waits.
      const { text } = await http(cluster, at, "/health", admin);
      const { status, reasons, checks } = JSON.parse(text);
      const isSaid = reasons.some((why: string) => why.startsWith("the audit log is not written"));
      return isSaid && status === "degraded" && checks.audit_failure !== null ? true : undefined;
    });
    const put = await http(cluster, at, "/kv/k", admin, { method: "PUT", body: "v" });
    assert(put.status < 300, put.text);
  }
  const { audit_failure: failure } = await cluster.order({ req_type: "stats" }) as {
    audit_failure: string;
  };
  assert(failure.includes("audit.log"), failure);
  // As soon as it can be written, what has waited is in it.
  for (const file of files) await Deno.remove(file);
  for (const [i, at] of [frontEnd, cluster.nodeHttpAddress(0)].entries()) {
    await cluster.poll("all is well", async () => {
      const { text } = await http(cluster, at, "/health", admin);
      return JSON.parse(text).checks.audit_failure === null ? true : undefined;
    });
    assert((await Deno.readTextFile(files[i] ?? "")).includes('"event":"login"'));
  }
}

async function securityFolderOfNode(cluster: TestCluster): Promise<string> {
  for await (const { name } of Deno.readDir(cluster.folder)) {
    if (name.endsWith(".security") && name !== "coordinator.security") {
      return `${cluster.folder}/${name}`;
    }
  }
  throw new Error("the node keeps no certificate");
}

async function rightsChangeSoon(cluster: TestCluster): Promise<void> {
  await addAlice(cluster);
  await using kv = await cluster.connect();
  await kv.put("app:1", "v");
  const connections = await Promise.all([0, 1, 2].map(async (index) => {
    const redis = redisOf(cluster, index, ALICE);
    await redis.connect();
    assertEquals(await redis.get("app:1"), "v");
    return redis;
  }));
  // Each asks again and again; of what was served, the last question counts by when it was asked.
  let isOver = false;
  const asking = connections.map(async (redis) => {
    let lastMs = 0;
    while (!isOver) {
      const askedMs = performance.now();
      const answer = await redis.get("app:1").catch((error) => String(error));
      if (answer === "v") lastMs = askedMs;
      else return { lastMs, answer };
    }
    return { lastMs, answer: "served to the end" };
  });
  await cluster.order({ req_type: "role_set", role: "app", grants: [] });
  const changedMs = performance.now();
  let results: { lastMs: number; answer: string | null }[] | undefined;
  const ended = Promise.all(asking).then((all) => results = all);
  await cluster.poll("all are refused", () => Promise.resolve(results)).finally(() =>
    isOver = true
  );
  await ended;
  for (const { lastMs, answer } of results ?? []) {
    assert(answer?.includes("NOPERM"), answer ?? "nothing");
    assert(lastMs - changedMs < 2_000, `still served ${lastMs - changedMs} ms after the change`);
  }
  for (const redis of connections) redis.destroy();
}

Deno.test("secured cluster: a node in memory joins at each start, by a certificate that it keeps in memory", async () => {
  await using cluster = await TestCluster.start({ secured: true });
  const before = new Set((await certificates(cluster)).map(({ serial }) => serial));
  const token = `${cluster.folder}/token`;
  await Deno.writeTextFile(token, await cluster.joinToken(), { mode: 0o600 });
  const { host, port } = cluster.coordinatorAddress;
  const start = () =>
    ServerProcess.start(NODE, [
      "--host=127.0.0.1",
      "--port=0",
      "--peer-port=0",
      "--storage=memory",
      `--coordinator=${host}:${port}`,
      `--join=${token}`,
    ], { cwd: cluster.folder, detached: false });
  for (let times = 1; times <= 2; times++) {
    const process = start();
    try {
      await process.ready;
      await cluster.waitFor(
        "it is up",
        (map) => map.nodes.filter(({ state }) => state === "up").length === 4,
      );
    } finally {
      await process.crash();
    }
    const made = (await certificates(cluster)).filter(({ serial }) => !before.has(serial));
    assertEquals(new Set(made.map(({ id }) => id)).size, times, "it is another node each time");
    for (const { until } of made) assert(until < Date.now() + 25 * 3_600_000, "it ends soon");
    await cluster.waitFor(
      "it is missed",
      (map) => map.nodes.filter(({ state }) => state === "up").length === 3,
    );
  }
});
