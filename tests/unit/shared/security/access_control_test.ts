import { assert, assertEquals, assertRejects } from "@std/assert";
import { type ErrorCode, KvError } from "../../../../shared/base/errors.ts";
import { LOGIN_FAILURES_FREE, LOGIN_WAIT_MS } from "../../../../shared/limits/security.ts";
import { Secret } from "../../../../shared/base/secret.ts";
import { SystemRandom } from "../../../../shared/platform/random.ts";
import type { Credentials } from "../../../../shared/security/access_control.ts";
import { fingerprintOfPem } from "../../../../shared/security/authority_fingerprint.ts";
import { createToken } from "../../../../shared/security/user_token.ts";
import {
  addToken,
  addUser,
  changeUser,
  removeUser,
  revokeToken,
  type SecurityDocument,
  setRole,
} from "../../../../shared/security/security_document.ts";
import type { Request } from "../../../../shared/wire/messages.ts";
import { AccessWorld } from "../../../support/worlds/access_world.ts";
import { OTHER_HASH } from "../../../support/data/security_samples.ts";

const PLACE = { remote: { host: "10.0.0.1", port: 5 }, frontEnd: "wire" } as const;
const PASSWORD = new Secret("correct horse");
const ALICE: Credentials = { user: "alice", password: PASSWORD };
const READ = { req_type: "get", key: "app:1" } as Request;

async function refused(world: AccessWorld, credentials: Credentials): Promise<ErrorCode> {
  return (await assertRejects(() => world.access.login(credentials, PLACE), KvError)).code;
}

Deno.test("AccessControl: a password logs in, and requests are judged by the user's roles", async () => {
  const { access, lines } = await AccessWorld.open();
  const alice = await access.login(ALICE, PLACE);
  assertEquals(access.whyRefused(READ, alice, PLACE.remote), undefined);
  const beyond = { req_type: "get", key: "b" } as Request;
  assertEquals(access.whyRefused(beyond, alice, PLACE.remote)?.code, "forbidden");
  assertEquals(access.whyRefused(READ, undefined, PLACE.remote)?.code, "unauthorized");
  assertEquals(lines.map((line) => JSON.parse(line).event), ["login", "refused"]);
  assertEquals(lines.join("").includes("horse"), false);
});

Deno.test("AccessControl: a change counts for connections that are open", async () => {
  const changes: [string, (document: SecurityDocument) => SecurityDocument, ErrorCode][] = [
    ["roles", (document) => changeUser(document, "alice", { roles: [] }), "forbidden"],
    ["grants", (document) => setRole(document, { name: "app", grants: [] }), "forbidden"],
    [
      "password",
      (document) => changeUser(document, "alice", { passwordHash: OTHER_HASH }),
      "unauthorized",
    ],
    ["user", (document) => removeUser(document, "alice"), "unauthorized"],
  ];
  for (const [what, change, code] of changes) {
    const world = await AccessWorld.open();
    const alice = await world.access.login(ALICE, PLACE);
    const old = world.document;
    world.change(change);
    assertEquals(world.access.whyRefused(READ, alice, PLACE.remote)?.code, code, what);
    // A recorded document does not bring it back.
    world.access.adopt(old);
    assertEquals(world.access.whyRefused(READ, alice, PLACE.remote)?.code, code, what);
  }
});

Deno.test("AccessControl: a user who is made anew is not whom somebody logged in as before", async () => {
  const world = await AccessWorld.open();
  const alice = await world.access.login(ALICE, PLACE);
  world.change((document) => removeUser(document, "alice"));
  world.change((document) =>
    addUser(document, { name: "alice", passwordHash: OTHER_HASH, roles: ["app"] })
  );
  assertEquals(world.access.whyRefused(READ, alice, PLACE.remote)?.code, "unauthorized");
});

Deno.test("AccessControl: a wrong password and no such user are told in the same words", async () => {
  const world = await AccessWorld.open();
  const texts: string[] = [];
  for (const user of ["alice", "nobody", "__proto__", ""]) {
    const attempt = world.access.login({ user, password: new Secret("wrong horse") }, PLACE);
    const error = await assertRejects(() => attempt, KvError);
    texts.push(`${error.code} ${error.message}`);
  }
  assertEquals(new Set(texts).size, 1);
  assert(texts[0]?.startsWith("unauthorized"));
  const failed = world.lines.map((line) => JSON.parse(line));
  assertEquals(failed.map(({ event, user }) => `${event} ${user}`)[1], "login_failed nobody");
});

Deno.test("AccessControl: whoever guesses waits, even with the right password, and others do not", async () => {
  const world = await AccessWorld.open();
  const wrong = { user: "alice", password: new Secret("wrong horse") };
  for (let i = 0; i <= LOGIN_FAILURES_FREE; i++) {
    assertEquals(await refused(world, wrong), "unauthorized");
  }
  assertEquals(await refused(world, ALICE), "overloaded");
  const elsewhere = { ...PLACE, remote: { host: "10.0.0.2", port: 5 } };
  assertEquals((await world.access.login(ALICE, elsewhere)).name, "alice");
  world.clock.advance(LOGIN_WAIT_MS);
  assertEquals((await world.access.login(ALICE, PLACE)).name, "alice");
});

Deno.test("AccessControl: guesses that come at once are slowed as those that come one by one", async () => {
  const world = await AccessWorld.open();
  const guess = (_: unknown, i: number) =>
    refused(world, { user: "alice", password: new Secret(`wrong horse ${i}`) });
  const codes = await Promise.all(Array.from({ length: 66 }, guess));
  const looked = codes.filter((code) => code === "unauthorized");
  assertEquals(looked.length, LOGIN_FAILURES_FREE + 1);
  assertEquals(codes.filter((code) => code === "overloaded").length, 66 - looked.length);
});

Deno.test("AccessControl: a token that has ended, shown again and again, makes no other one wait", async () => {
  const world = await AccessWorld.open();
  const fingerprint = fingerprintOfPem(world.document.authorities[0] ?? "");
  const make = () =>
    createToken(new SystemRandom(), fingerprint, { user: "alice" }, world.clock.wallMs(), 10_000);
  const [old, good] = [make(), make()];
  world.change((document) => addToken(document, good.stored, world.clock.wallMs()));
  for (let i = 0; i <= LOGIN_FAILURES_FREE; i++) {
    assertEquals(await refused(world, { token: old.text }), "unauthorized");
  }
  assertEquals(await refused(world, { token: old.text }), "overloaded");
  assertEquals((await world.access.login({ token: good.text }, PLACE)).name, "alice");
});

Deno.test("AccessControl: a token of a user logs in until it is revoked or has ended", async () => {
  const world = await AccessWorld.open();
  const random = new SystemRandom();
  const fingerprint = fingerprintOfPem(world.document.authorities[0] ?? "");
  const nowMs = world.clock.wallMs();
  const make = (of = fingerprint) => {
    const made = createToken(random, of, { user: "alice" }, nowMs, 10_000);
    world.change((document) => addToken(document, made.stored, nowMs));
    return made;
  };
  const { text, stored } = make();
  const alice = await world.access.login({ token: text }, PLACE);
  assertEquals(alice.name, "alice");
  const ending = make();
  const second = await world.access.login({ token: ending.text }, PLACE);
  // Another cluster's token is none here.
  const foreign = createToken(random, "0".repeat(64), { user: "alice" }, nowMs, 10_000);
  assertEquals(await refused(world, { token: foreign.text }), "unauthorized");
  // After a rotation the authority is another one than when a token was made.
  const old = make("1".repeat(64));
  assertEquals((await world.access.login({ token: old.text }, PLACE)).name, "alice");
  assertEquals(await refused(world, { token: new Secret("kv1.x") }), "bad_request");

  world.change((document) => revokeToken(document, stored.id));
  assertEquals(world.access.whyRefused(READ, alice, PLACE.remote)?.code, "unauthorized");
  assertEquals(world.access.whyRefused(READ, second, PLACE.remote), undefined);
  world.clock.advance(10_000);
  assertEquals(world.access.whyRefused(READ, second, PLACE.remote)?.code, "unauthorized");
  assertEquals(await refused(world, { token: ending.text }), "unauthorized");
});

Deno.test("AccessControl: an order that may lose data is noted once, and what is not one is not", async () => {
  const { access, lines } = await AccessWorld.open();
  const root = await access.login(
    { user: "root", password: new Secret("other horse") },
    PLACE,
  );
  lines.length = 0;
  const orders: Request[] = [
    { req_type: "force" },
    { req_type: "forget_node", node: "n1" },
    { req_type: "delete_matching", prefix: "" },
  ];
  const others: Request[] = [
    { req_type: "delete_matching", prefix: "", after: "k" },
    { req_type: "delete_matching", prefix: "app:" },
    { req_type: "delete_matching", end: "k" },
    { req_type: "get", key: "k" },
  ];
  for (const request of [...orders, ...others]) {
    assertEquals(access.whyRefused(request, root, PLACE.remote), undefined);
  }
  const noted = lines.map((line) => JSON.parse(line));
  assertEquals(noted.map(({ event, user, what }) => [event, user, what]), [
    ["ordered", "root", "force"],
    ["ordered", "root", "forget_node"],
    ["ordered", "root", "delete_matching"],
  ]);
});
