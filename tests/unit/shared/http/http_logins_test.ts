/** Logins and rights over HTTP, on a database in memory: what is refused must not have reached it. */
import { assert, assertEquals } from "@std/assert";
import { HTTP_AUTHORIZATION_CHARACTERS_MAX } from "../../../../shared/limits/security.ts";
import { ROUTES } from "../../../../shared/http/endpoints/routes.ts";
import type { HttpCaller } from "../../../../shared/http/protocol/body.ts";
import { SystemRandom } from "../../../../shared/platform/random.ts";
import { fingerprintOfPem } from "../../../../shared/security/authority_fingerprint.ts";
import { createToken } from "../../../../shared/security/user_token.ts";
import { ENDPOINT_NEEDS } from "../../../../shared/security/needs.ts";
import {
  addToken,
  addUser,
  changeUser,
  revokeToken,
  setRole,
} from "../../../../shared/security/security_document.ts";
import { ReplyLengths } from "../../../../shared/wire/reply_lengths.ts";
import { HttpBench, LOCAL } from "../../../support/clients/http_bench.ts";
import { HASH, OTHER_HASH } from "../../../support/data/security_samples.ts";
import { AccessWorld } from "../../../support/worlds/access_world.ts";

function connection(host = "10.0.0.1"): HttpCaller {
  return {
    remote: { host, port: 5 },
    lengths: new ReplyLengths(),
    closed: false,
    heavy: false,
    onRefused: undefined,
    add: () => {},
    endSoon: () => {},
  };
}

const basic = (user: string, password: string) => ({
  authorization: `Basic ${btoa(`${user}:${password}`)}`,
});
const ALICE = basic("alice", "correct horse");
const ROOT = basic("root", "other horse");

class Scene {
  readonly world: AccessWorld;
  readonly bench: HttpBench;

  private constructor(world: AccessWorld) {
    this.world = world;
    this.bench = new HttpBench(LOCAL, world.access);
    for (const key of ["app:1", "b"]) this.bench.database.set(key, "1");
  }

  /** `alice` may read what begins with `app:`, `carol` write there, `root` everything. */
  static async open(): Promise<Scene> {
    const world = await AccessWorld.open();
    const grants = [{ database: "default", prefix: "app:", right: "write" }] as const;
    world.change((document) => setRole(document, { name: "writer", grants }));
    world.change((document) =>
      addUser(document, { name: "carol", passwordHash: HASH, roles: ["writer"] })
    );
    return new Scene(world);
  }

  async ask(
    [method, path, body]: readonly [string, string, unknown?],
    headers: Record<string, string> = {},
    caller = connection(),
  ): Promise<Response> {
    const json = body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { ...headers, "content-type": "application/json" } };
    return await this.bench.ask(method, path, { headers, ...json }, caller);
  }

  async status(
    what: readonly [string, string, unknown?],
    headers?: Record<string, string>,
    caller?: HttpCaller,
  ): Promise<number> {
    const response = await this.ask(what, headers, caller);
    await response.body?.cancel();
    return response.status;
  }
}

/** A request to each endpoint that passes its checks. */
function samples(key: string): Map<string, readonly [string, string, unknown?]> {
  const found = new Map<string, readonly [string, string, unknown?]>();
  const values: Record<string, object> = {
    put: { value: "1" },
    update: { value: "1" },
    create: { value: "1" },
    append_value: { value: "1" },
    set_range: { value: "1", offset: 0 },
    set_bit: { offset: 0, bit: 1 },
    increment: { by: "1" },
    increment_float: { by: "1" },
    expire: { ttl_ms: 5_000 },
    get_and_expire: { ttl_ms: 5_000 },
    transaction: { requests: [{ req_type: "get", key }] },
  };
  for (const [path, methods] of Object.entries(ROUTES)) {
    for (const method of Object.keys(methods)) {
      const name = `${method} ${path}`;
      const operation = /^\/op\/(.*)$/.exec(path)?.[1];
      if (operation !== undefined) {
        found.set(name, [method, path, { key, ...values[operation] }]);
      } else if (path === "/batch") {
        found.set(name, [method, path, { requests: [{ req_type: "get", key }] }]);
      } else if (path === "/set") found.set(name, [method, path, { key, value: "1" }]);
      else if (name === "DELETE /kv") found.set(name, [method, "/kv?prefix=&all=yes"]);
      else if (name === "DELETE /storage/{base}:") found.set(name, [method, "/storage/:"]);
      else if (path === "/get" || path === "/delete") {
        found.set(name, [method, `${path}?key=${key}`]);
      } else {
        found.set(name, [method, path.replace(/\{(key|base)\}/, key).replace("{database}", "app")]);
      }
    }
  }
  return found;
}

Deno.test("HTTP: without a login every endpoint but those for anybody is 401, and nothing is asked of the database", async () => {
  const { bench, ...scene } = await Scene.open();
  void scene;
  const requests = samples("app:1");
  assertEquals([...requests.keys()].toSorted(), Object.keys(ENDPOINT_NEEDS).toSorted());
  for (const [name, [method, path, body]] of requests) {
    const options = body === undefined ? {} : {
      body: JSON.stringify(body),
      headers: { "content-type": "application/json" },
    };
    for (const caller of [connection(), undefined]) {
      const response = await bench.ask(method, path, options, caller);
      await response.body?.cancel();
      if (ENDPOINT_NEEDS[name] === "anybody") assertEquals(response.status, 200, name);
      else {
        assertEquals(response.status, 401, name);
        assert(response.headers.get("www-authenticate")?.startsWith("Basic "), name);
      }
    }
  }
  assertEquals(bench.database.requests, []);
});

Deno.test("HTTP: each endpoint × a key inside and outside of what a user may read", async () => {
  const scene = await Scene.open();
  const caller = connection();
  const reads = new Set(["GET /kv/{key}", "GET /get", "POST /op/get", "POST /op/exists"]);
  reads.add("POST /op/inspect").add("POST /op/transaction");
  reads.add("GET /storage/{key}").add("GET /storage/{base}:");
  for (const [name, request] of samples("app:1")) {
    const need = ENDPOINT_NEEDS[name];
    // What is in a body of Deno KV is judged in denokv_endpoints_test.ts.
    if (need === "anybody" || name === "POST /batch" || name.includes("/db/")) continue;
    const before = scene.bench.database.requests.length;
    const status = await scene.status(request, ALICE, caller);
    const allowed = need === "login" || reads.has(name);
    assertEquals(status === 403, !allowed, `${name}: ${status}`);
    if (!allowed) assertEquals(scene.bench.database.requests.length, before, name);
  }
  for (const [name, request] of samples("b")) {
    const need = ENDPOINT_NEEDS[name];
    if (need === "anybody" || need === "login" || name === "POST /batch") continue;
    if (name.includes("/db/")) continue;
    assertEquals(await scene.status(request, ALICE, caller), 403, name);
  }
  for (const key of ["app:1", "b"]) {
    for (const [name, request] of samples(key)) {
      const status = await scene.status(request, ROOT, caller);
      assert(status !== 401 && status !== 403, `${name}: ${status}`);
    }
  }
});

Deno.test("HTTP: ranges, batches, values before and conditions are judged one by one", async () => {
  const scene = await Scene.open();
  const caller = connection();
  const table: [readonly [string, string, unknown?], Record<string, string>, number][] = [
    [["GET", "/kv?prefix=app:"], ALICE, 200],
    [["GET", "/kv?prefix=app"], ALICE, 403],
    [["GET", "/kv?start=app:1"], ALICE, 403],
    [["GET", "/count?prefix=app:"], ALICE, 200],
    [["GET", "/count"], ALICE, 403],
    [["DELETE", "/kv?prefix=app:&all=yes"], ALICE, 403],
    [["DELETE", "/kv?prefix=app:&all=yes"], basic("carol", "correct horse"), 403],
    [["POST", "/op/put", { key: "app:2", value: "x" }], basic("carol", "correct horse"), 200],
    [
      ["POST", "/op/put", { key: "app:2", value: "x", previous: true }],
      basic("carol", "correct horse"),
      403,
    ],
    [
      ["POST", "/op/put", { key: "app:2", value: "x", if_version: 1 }],
      basic("carol", "correct horse"),
      403,
    ],
    [["POST", "/op/create", { key: "app:3", value: "x" }], basic("carol", "correct horse"), 403],
  ];
  for (const [request, headers, status] of table) {
    assertEquals(await scene.status(request, headers, caller), status, request.join(" "));
  }
  const requests = ["app:1", "b"].map((key) => ({ req_type: "get", key }));
  const batch = await scene.ask(["POST", "/batch", { requests }], ALICE, caller);
  const { replies = [] } = await batch.json();
  assertEquals(replies.map((reply: { code?: string }) => reply.code), [undefined, "forbidden"]);
});

Deno.test("HTTP: wrong, malformed and overlong credentials, and a change of them on an open connection", async () => {
  const scene = await Scene.open();
  const read = ["GET", "/kv/app:1"] as const;
  const caller = connection();
  assertEquals(await scene.status(read, ALICE, caller), 200);
  assertEquals(await scene.status(read, basic("alice", "wrong horse"), caller), 401);
  assertEquals(await scene.status(read, basic("nobody", "correct horse"), caller), 401);
  assertEquals(await scene.status(read, {}, caller), 401, "a login is for requests that show it");
  const bad = ["", "Basic", "Basic !", "Basic YQ==", "Digest x", "Bearer kv1.x", "Bearer "];
  bad.push(`Basic ${"A".repeat(HTTP_AUTHORIZATION_CHARACTERS_MAX)}`);
  for (const authorization of bad) {
    assertEquals(await scene.status(read, { authorization }, caller), 400, authorization);
  }
  assertEquals(await scene.status(read, ALICE, caller), 200);
  scene.world.change((document) => changeUser(document, "alice", { passwordHash: OTHER_HASH }));
  assertEquals(await scene.status(read, ALICE, caller), 401);
  assertEquals(await scene.status(read, basic("alice", "other horse"), caller), 200);
  scene.world.change((document) => changeUser(document, "alice", { roles: [] }));
  assertEquals(await scene.status(read, basic("alice", "other horse"), caller), 403);
  const shown = scene.world.lines.join("");
  assertEquals(shown.includes("horse") || shown.includes(btoa("alice:correct horse")), false);
});

Deno.test("HTTP: a bearer's token, until it is revoked", async () => {
  const scene = await Scene.open();
  const { world } = scene;
  const nowMs = world.clock.wallMs();
  const fingerprint = fingerprintOfPem(world.document.authorities[0] ?? "");
  const { text, stored } = createToken(
    new SystemRandom(),
    fingerprint,
    { user: "alice" },
    nowMs,
    60_000,
  );
  world.change((document) => addToken(document, stored, nowMs));
  const bearer = { authorization: `Bearer ${text.reveal()}` };
  const caller = connection();
  assertEquals(await scene.status(["GET", "/kv/app:1"], bearer, caller), 200);
  assertEquals(await scene.status(["GET", "/kv/b"], bearer, caller), 403);
  world.change((document) => revokeToken(document, stored.id));
  assertEquals(await scene.status(["GET", "/kv/app:1"], bearer, caller), 401);
});

Deno.test("HTTP: a password is verified once for a connection, and a body is not read before a login", async () => {
  const scene = await Scene.open();
  const caller = connection();
  for (let i = 0; i < 5; i++) {
    assertEquals(await scene.status(["GET", "/kv/app:1"], ALICE, caller), 200);
  }
  const logins = () => scene.world.lines.filter((line) => line.includes('"login"')).length;
  assertEquals(logins(), 1);
  assertEquals(await scene.status(["GET", "/kv/app:1"], ALICE, connection()), 200);
  assertEquals(logins(), 2);

  let pulled = 0;
  const body = new ReadableStream({ pull: () => void pulled++ }, { highWaterMark: 0 });
  const response = await scene.bench.ask("PUT", "/kv/app:1", { body, duplex: "half" }, caller);
  await response.body?.cancel();
  assertEquals([response.status, pulled], [401, 0]);
});

Deno.test("HTTP: a client session is its user's, whatever others call theirs", async () => {
  const scene = await Scene.open();
  scene.world.change((document) =>
    addUser(document, { name: "dave", passwordHash: HASH, roles: ["admin"] })
  );
  const sessionOf = async (
    user: Record<string, string>,
    session: string,
    path = "/op/increment",
  ) => {
    const increment = { key: "app:1", session, request_number: 1 };
    const body = path === "/batch"
      ? { requests: [{ req_type: "increment", ...increment }] }
      : increment;
    assertEquals(await scene.status(["POST", path, body], user), 200);
    const last = scene.bench.database.requests.at(-1);
    assert(last !== undefined && "session" in last && last.session !== undefined);
    return last.session;
  };
  const dave = basic("dave", "correct horse");
  const his = await sessionOf(dave, "s");
  assertEquals(await sessionOf(dave, "s", "/batch"), his);
  for (const name of ["s", his, "dave:s"]) assert(await sessionOf(ROOT, name) !== his, name);
  const malformed = { key: "app:1", session: "", request_number: 1 };
  assertEquals(await scene.status(["POST", "/op/increment", malformed], dave), 400);
});
