/** `--recover-admin`: the owner of the machine gets back in, and nothing else changes. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { connect, KvError } from "../../../client/mod.ts";
import { COORDINATOR, NODE, type ProgramSpec } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import { SecuredNode } from "../../support/worlds/secured_node.ts";

/** A program that ends by itself. */
async function run(program: ProgramSpec, flags: readonly string[], cwd: string) {
  const process = ServerProcess.start(program, flags, { cwd, detached: false });
  const { code } = await process.status;
  return { code, said: process.log.join("\n") };
}

Deno.test("kv-node --recover-admin: a new password for admin, users, tokens and data as they were", async () => {
  await using node = await SecuredNode.make();
  await node.start();
  const before = await node.admin();
  const recover = ["--recover-admin", `--data=${node.folder}/data`];
  let token = "";
  {
    await using kv = await connect({ coordinator: `127.0.0.1:${node.port}`, ...before });
    await kv.put("k", "v");
    await kv.administer({
      req_type: "user_add",
      user: "bob",
      password: "battery staple",
      roles: [],
    });
    const made = await kv.administer({ req_type: "token_create", user: "admin" });
    token = (made as { text: string }).text;
    // The role of this name means something else by now, and others have it.
    await kv.administer({
      req_type: "role_set",
      role: "boss",
      grants: [{ database: "default", prefix: "", right: "admin" }],
    });
    await kv.administer({
      req_type: "user_add",
      user: "boss",
      password: "battery staple",
      roles: ["boss"],
    });
    await kv.administer({ req_type: "user_change", user: "admin", roles: ["boss"] });
    await kv.administer({ req_type: "role_set", role: "admin", grants: [] });
    await kv.administer({ req_type: "user_change", user: "bob", roles: ["admin"] });
    await kv.administer({ req_type: "user_remove", user: "admin" });
  }
  const running = await run(NODE, recover, node.folder);
  assertEquals(running.code, 1);
  assertStringIncludes(running.said, "in use by another process");
  await node.stop();
  await Deno.chmod(`${node.security}/admin.json`, 0o644);
  const { code, said } = await run(NODE, recover, node.folder);
  assertEquals([code, said], [0, ""]);
  assertEquals(((await Deno.stat(`${node.security}/admin.json`)).mode ?? 0) & 0o777, 0o600);
  const audit = await Deno.readTextFile(`${node.security}/audit.log`);
  assertStringIncludes(audit.trim().split("\n").at(-1) ?? "", `"event":"recovered"`);
  const after = await node.admin();
  assert(after.password !== before.password && after.user === "admin");
  assertEquals(after.ca.trim(), before.ca.trim());
  assertEquals(audit.includes(after.password), false);

  await node.start();
  const coordinator = `127.0.0.1:${node.port}`;
  {
    await using kv = await connect({ coordinator, ...after });
    assertEquals(await kv.getText("k"), "v");
    const users = await kv.administer({ req_type: "user_list" }) as { user: string }[];
    assertEquals(users.map(({ user }) => user).sort(), ["admin", "bob", "boss"]);
  }
  // Who has the role of that name has not become an administrator.
  {
    const bob = { ca: after.ca, user: "bob", password: "battery staple" };
    await using kv = await connect({ coordinator, ...bob });
    await assertRejects(() => kv.administer({ req_type: "user_list" }), KvError, "needs the right");
  }
  for (const login of [before, { ca: after.ca, token }]) {
    const error = await assertRejects(() => connect({ coordinator, ...login }), KvError);
    assertEquals(error.code, "unauthorized", error.message);
  }
});

Deno.test("kv-coordinator --recover-admin: by its folder; where no users are, it says where they may be", async () => {
  const folder = await Deno.makeTempDir({ prefix: "kv-recover-test-" });
  try {
    const none = await run(COORDINATOR, ["--recover-admin", "--data=c"], folder);
    assertEquals(none.code, 2);
    assertStringIncludes(none.said, "no users in c.security");
    const noFolder = await run(NODE, ["--recover-admin"], folder);
    assertEquals(noFolder.code, 2);
    const flags = ["--secure", "--data=c", "--port=0", "--heartbeat-port=0", "--discovery=off"];
    const first = ServerProcess.start(COORDINATOR, flags, { cwd: folder, detached: false });
    await first.ready;
    const credentials = () => Deno.readTextFile(`${folder}/c.security/admin.json`);
    const before = await credentials();
    const running = await run(COORDINATOR, ["--recover-admin", "--data=c"], folder);
    assertEquals(running.code, 1);
    assertEquals(await credentials(), before);
    await first.stop();
    const { code, said } = await run(COORDINATOR, ["--recover-admin", "--data=c"], folder);
    assertEquals([code, said], [0, ""]);
    assert(await credentials() !== before);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
