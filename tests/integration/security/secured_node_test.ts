/**
 * A real `kv-node --standalone --secure`, as its users meet it: by TLS, with the shell, the library, Redis clients
 * and HTTP, and by those who are not its users.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { connect } from "../../../client/mod.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { hasProgram, needing } from "../../support/needs.ts";
import { limitFiles, nodeWithLimits } from "../../support/worlds/full_disk.ts";
import { SecuredNode } from "../../support/worlds/secured_node.ts";

/** The node as HTTP clients see it. */
async function http(
  served: SecuredNode,
  ca: string,
  path: string,
  authorization?: string,
  method = "GET",
): Promise<{ status: number; text: string }> {
  using client = Deno.createHttpClient({ caCerts: [ca] });
  const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
  const url = `https://127.0.0.1:${served.httpPort}${path}`;
  const response = await fetch(url, { client, headers, method });
  return { status: response.status, text: await response.text() };
}

Deno.test("kv-node --secure: an administrator's first file, users, roles and a token, by the shell", async () => {
  await using served = await SecuredNode.make();
  await served.start();
  const admin = `${served.security}/admin.json`;
  const password = `${served.folder}/password`;
  await Deno.writeTextFile(password, "correct horse\n", { mode: 0o600 });
  const steps: (readonly string[])[] = [
    ["put", "app:1", "one"],
    ["put", "other", "two"],
    ["role", "set", "app", "read:app:", "write:app:"],
    ["user", "add", "alice", "--roles", "app", "--password-file", password],
  ];
  for (const step of steps) {
    const { code, error } = await served.shell(admin, ...step);
    assertEquals([code, error], [0, ""], step.join(" "));
  }
  const made = await served.shell(admin, "token", "create", "--user", "alice", "--json");
  const { ca } = await served.admin();
  const { token, text }: { token: string; text: string } = JSON.parse(made.out);
  const alice = `${served.folder}/alice.json`;
  await Deno.writeTextFile(alice, JSON.stringify({ ca, token: text }), { mode: 0o600 });

  assertEquals((await served.shell(alice, "get", "app:1")).out, "one");
  assertEquals((await served.shell(alice, "put", "app:2", "x")).code, 0);
  for (const words of [["get", "other"], ["put", "other", "x"], ["user", "list"], ["scan"]]) {
    const { code, error } = await served.shell(alice, ...words);
    assert(code !== 0 && error.includes("forbidden"), `${words.join(" ")}: ${code} ${error}`);
  }
  await Deno.chmod(alice, 0o644);
  assert((await served.shell(alice, "get", "app:1")).error.includes("chmod 600"));
  await Deno.chmod(alice, 0o600);
  assert((await served.shell(undefined, "get", "app:1")).code !== 0, "without TLS");
  assertEquals((await served.shell(admin, "token", "revoke", token)).code, 0);
  assert((await served.shell(alice, "get", "app:1")).error.includes("unauthorized"));
});

Deno.test("kv-node --secure: the library, Redis clients and HTTP over TLS, and after a restart", async () => {
  await using served = await SecuredNode.make();
  await served.start();
  const { ca, user, password } = await served.admin();
  {
    await using kv = await connect({ coordinator: `127.0.0.1:${served.port}`, ca, user, password });
    await kv.put("k", "v");
    await kv.administer({ req_type: "user_add", user: "bob", password: "battery staple" });
  }
  await served.stop();
  await served.start();
  assertEquals((await served.admin()).ca, ca, "the authority is as it was");
  {
    await using kv = await connect({ coordinator: `127.0.0.1:${served.port}`, ca, user, password });
    assertEquals(await kv.getText("k"), "v");
    const users = await kv.administer({ req_type: "user_list" }) as { user: string }[];
    assertEquals(users.map((one) => one.user), [user, "bob"]);
  }
  const io = new Redis({
    host: "127.0.0.1",
    port: served.port,
    username: user,
    password,
    tls: { ca: [ca] },
    lazyConnect: true,
  });
  await io.connect();
  assertEquals(await io.get("k"), "v");
  assertEquals(await io.set("io", "1"), "OK");
  assertEquals(await io.acl("WHOAMI"), user);
  assertEquals(await io.acl("LIST"), [
    `user ${user} on ~* +@all`,
    "user bob on +@read +@write -@admin",
  ]);
  assertEquals(await io.acl("USERS"), [user, "bob"]);
  assertEquals(await io.acl("CAT"), ["read", "write", "admin"]);
  io.disconnect();

  const node = createClient({
    url: `rediss://127.0.0.1:${served.port}`,
    username: user,
    password,
    socket: { tls: true, ca: [ca] as unknown as string },
  });
  node.on("error", () => {});
  await node.connect();
  assertEquals(await node.get("io"), "1");
  assertEquals(await node.aclWhoAmI(), user);
  assertEquals(await node.aclUsers(), [user, "bob"]);
  assert((await node.aclCat("read")).includes("get"));
  const told = await node.aclGetUser(user);
  assertEquals([told?.flags, told?.commands, told?.keys], [["on"], "+@all", "~*"]);
  node.destroy();

  const basic = (name: string, secret: string) => `Basic ${btoa(`${name}:${secret}`)}`;
  assertEquals((await http(served, ca, "/kv/k", basic(user, password))).text, "v");
  assertEquals((await http(served, ca, "/kv/k")).status, 401);
  assertEquals((await http(served, ca, "/kv/k", basic(user, "wrong horse"))).status, 401);
  assertEquals((await http(served, ca, "/kv/k", basic("bob", "battery staple"))).status, 403);
  assertEquals((await http(served, ca, "/health/live")).status, 200);
});

Deno.test("kv-node --secure: who does not trust the authority, speaks no TLS or is nobody gets nothing", async () => {
  await using served = await SecuredNode.make();
  await served.start();
  const { ca, user, password } = await served.admin();
  const other = await SecuredNode.make();
  await using _other = other;
  await other.start();
  const foreign = await other.admin();
  const coordinator = `127.0.0.1:${served.port}`;
  const refused = [
    { ca: foreign.ca, user, password },
    { ca, user, password: foreign.password },
    { ca, user: "nobody", password },
    { ca },
    {},
  ];
  for (const login of refused) {
    await assertRejects(() => connect({ coordinator, timeoutMs: 12_000, ...login }), KvError);
  }
  for (const login of [{ user, password }, { ca, user }, { ca, user, password, token: "kv1.x" }]) {
    const error = await assertRejects(() => connect({ coordinator, ...login }), KvError);
    assertEquals(error.code, "bad_config");
  }
  // What speaks no TLS is closed, and disturbs nobody.
  const plain = await Deno.connect({ hostname: "127.0.0.1", port: served.port });
  await plain.write(new TextEncoder().encode("PING\r\n"));
  const answer = new Uint8Array(64);
  const count = await plain.read(answer).catch(() => null);
  assert(count === null || !new TextDecoder().decode(answer).includes("PONG"));
  plain.close();
  {
    await using kv = await connect({ coordinator, ca, user, password });
    await kv.put("k", "v");
  }
  // At its end all lines are written.
  await served.stop();
  const audit = await Deno.readTextFile(`${served.security}/audit.log`);
  const events = audit.trim().split("\n").map((line) => JSON.parse(line).event);
  assert(events.includes("login_failed") && events.includes("login"));
  assertEquals(audit.includes(password) || audit.includes(foreign.password), false);
});

Deno.test("kv-node --secure: its files are the owner's alone, and no secret is in what it logs", async () => {
  await using served = await SecuredNode.make();
  await served.start();
  const { password } = await served.admin();
  for (const name of ["", "/users.json", "/admin.json", "/ca.crt"]) {
    const { mode } = await Deno.stat(served.security + name);
    assertEquals((mode ?? 0) & 0o077, 0, name);
  }
  assertEquals(served.log.includes(password), false);
  assertEquals(
    (await Deno.readTextFile(`${served.security}/users.json`)).includes(password),
    false,
  );
});

Deno.test("kv-node --secure: a change of users that a full disk refuses is told, does not count, and works later", async () => {
  await using served = await SecuredNode.make();
  await served.start({ executable: await nodeWithLimits(served.folder) });
  const { ca, user, password } = await served.admin();
  await using kv = await connect({ coordinator: `127.0.0.1:${served.port}`, ca, user, password });
  const names = async () => {
    const users = await kv.administer({ req_type: "user_list" }) as { user: string }[];
    return users.map((one) => one.user);
  };
  const { pid } = served.process;
  await limitFiles(pid, 0);
  for (const name of ["bob", "carol"]) {
    const order = kv.administer({ req_type: "user_add", user: name });
    const error = await assertRejects(() => order, KvError);
    assertEquals(error.code, "storage_failed", error.message);
    assertStringIncludes(error.message, "does not count");
  }
  assertEquals(await names(), [user]);
  await limitFiles(pid, "unlimited");
  await kv.administer({ req_type: "user_add", user: "dave" });
  assertEquals(await names(), [user, "dave"]);
  await served.stop();
  await served.start();
  await using again = await connect({
    coordinator: `127.0.0.1:${served.port}`,
    ca,
    user,
    password,
  });
  const kept = await again.administer({ req_type: "user_list" }) as { user: string }[];
  assertEquals(kept.map((one) => one.user), [user, "dave"]);
});

Deno.test("kv-node --secure: the audit log has what each front end was asked", async () => {
  await using served = await SecuredNode.make();
  await served.start();
  const { ca, user, password } = await served.admin();
  const [host, port] = ["127.0.0.1", served.port] as const;
  const bob = { user: "bob", password: "battery staple" };
  const wrong = "wrong horse battery";
  const coordinator = `${host}:${port}`;
  const basic = (name: string, secret: string) => `Basic ${btoa(`${name}:${secret}`)}`;
  {
    await using kv = await connect({ coordinator, ca, user, password });
    await kv.administer({ req_type: "user_add", ...bob });
    await kv.put("k", "v");
    await using his = await connect({ coordinator, ca, ...bob });
    await assertRejects(() => his.put("k", "v"), KvError);
    await assertRejects(() => connect({ coordinator, ca, user, password: wrong }), KvError);
  }
  const resp: [user: string, secret: string, command: string, answer: RegExp][] = [
    [user, password, "FLUSHALL", /^\+OK/],
    ["bob", bob.password, "FLUSHALL", /^-NOPERM/],
    ["bob", bob.password, "GET k", /^-NOPERM/],
    ["bob", bob.password, "INFO", /^-NOPERM/],
    ["eve", wrong, "GET k", /^-NOAUTH/],
  ];
  for (const [name, secret, command, answer] of resp) {
    using connection = await Deno.connectTls({ hostname: host, port, caCerts: [ca] });
    const ask = async (line: string) => {
      await connection.write(new TextEncoder().encode(`${line}\r\n`));
      const buffer = new Uint8Array(1024);
      return new TextDecoder().decode(buffer.subarray(0, await connection.read(buffer) ?? 0));
    };
    await ask(`AUTH ${name} "${secret}"`);
    assertMatch(await ask(command), answer, command);
  }
  assertEquals(
    (await http(served, ca, "/kv?all=yes", basic(user, password), "DELETE")).status,
    200,
  );
  assertEquals(
    (await http(served, ca, "/kv?all=yes", basic("bob", bob.password), "DELETE")).status,
    403,
  );
  assertEquals((await http(served, ca, "/kv/k", basic("bob", bob.password))).status, 403);
  assertEquals((await http(served, ca, "/kv/k", basic("eve", wrong))).status, 401);
  await served.stop();
  const text = await Deno.readTextFile(`${served.security}/audit.log`);
  const lines = new Set(
    text.trim().split("\n").map((line) => {
      const { event, user, front_end, what, name } = JSON.parse(line);
      return [event, user, front_end ?? what, name].filter((word) => word !== undefined).join(" ");
    }),
  );
  const wanted = [
    "login admin wire",
    "login admin resp",
    "login admin http",
    "login bob wire",
    "login bob resp",
    "login bob http",
    "login_failed admin wire",
    "login_failed eve resp",
    "login_failed eve http",
    "changed admin user_add bob",
    "ordered admin delete_matching",
    "refused bob put",
    "refused bob get",
    "refused bob delete_matching",
    "refused bob info",
  ];
  assertEquals(wanted.filter((line) => !lines.has(line)), [], [...lines].join("\n"));
  assertEquals(text.match(/"event":"ordered"/g)?.length, 2, text);
  for (const secret of [password, bob.password, wrong]) assertEquals(text.includes(secret), false);
});

Deno.test({
  ...needing("kv-node --secure: redis-cli over TLS, and what it is told of users", {
    met: hasProgram("redis-cli", "--version"),
    otherwise: "no redis-cli",
  }),
  fn: async () => {
    await using served = await SecuredNode.make();
    await served.start();
    const { user, password } = await served.admin();
    const tls = ["--tls", "--cacert", `${served.security}/ca.crt`, "-p", String(served.port)];
    const cli = async (words: readonly string[], env: Record<string, string> = {}) => {
      const { stdout } = await new Deno.Command("redis-cli", {
        args: [...tls, ...words],
        env,
        stdin: "null",
      }).output();
      return new TextDecoder().decode(stdout).trim();
    };
    // The secret is in its environment, not among its arguments.
    const admin = (...words: string[]) =>
      cli(["--user", user, ...words], { REDISCLI_AUTH: password });
    assertEquals(await admin("set", "k", "v"), "OK");
    assertEquals(await admin("get", "k"), "v");
    assertEquals(await admin("acl", "whoami"), user);
    assertEquals(await admin("acl", "list"), `user ${user} on ~* +@all`);
    assertStringIncludes(await admin("acl", "getuser", user), "+@all");
    assertEquals(await admin("acl", "getuser", "nobody"), "");
    assertEquals(await admin("acl", "cat"), "read\nwrite\nadmin");
    assertEquals(await cli(["acl", "whoami"]), "NOAUTH Authentication required.");
  },
});
