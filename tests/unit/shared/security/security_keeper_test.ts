import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { SECURITY_VERSION_JUMP_MAX } from "../../../../shared/limits/security.ts";
import { Secret } from "../../../../shared/base/secret.ts";
import type { Reply } from "../../../../shared/wire/messages.ts";
import { ROOT, securedDocument, SecuredWire } from "../../../support/worlds/secured_wire.ts";

Deno.test("SecurityKeeper.noteVersion: a later version than ours is said once, until a change is above all", async () => {
  const world = new SecuredWire({ host: "h", port: 1 });
  const keeper = world.keeperOf(await securedDocument());
  const { version } = keeper.document;
  assertEquals(keeper.noteVersion(version, "a"), undefined);
  assertStringIncludes(keeper.noteVersion(version + 5, "a") ?? "", "an older copy of users");
  assertEquals(keeper.noteVersion(version + 5, "b"), undefined, "it is known");
  assertEquals(keeper.noteVersion(version + SECURITY_VERSION_JUMP_MAX + 1, "c"), undefined);
  assertStringIncludes(
    keeper.newerSeen ?? "",
    `node a has users and roles of version ${version + 5}`,
  );

  const login = keeper.access.login(
    { user: ROOT.user, password: new Secret(ROOT.secret) },
    { remote: { host: "h", port: 2 }, frontEnd: "wire" },
  );
  const by = { principal: await login, remote: { host: "h", port: 2 } };
  const reply = await new Promise<Reply>((resolve) =>
    keeper.order({ req_type: "user_add", user: "bob" }, by, resolve)
  );
  assertEquals(reply.req_type, "result");
  assertEquals(world.stored.version, version + 6);
  assertEquals(keeper.access.document.version, version + 6);
  assertEquals(keeper.newerSeen, undefined);
  assert(
    keeper.noteVersion(version + 7, "a") !== undefined,
    "it is said again if it is later again",
  );
});
