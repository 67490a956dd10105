/**
 * A real `kv-node --standalone --secure`, as its users meet it: by TLS, with the shell, the library, Redis clients
 * and HTTP, and by those who are not its users.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { connect } from "../../client/mod.ts";
import { KvError } from "../../shared/base/errors.ts";
import { CLIENT, NODE } from "../../tools/programs.ts";
import { ServerProcess } from "../../tools/server_process.ts";

interface Credentials {
  readonly ca: string;
  readonly user: string;
  readonly password: string;
}

class Bench implements AsyncDisposable {
  readonly folder: string;
  readonly #processes: ServerProcess[] = [];
  port = 0;
  httpPort = 0;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<Bench> {
    return new Bench(await Deno.makeTempDir({ prefix: "kv-secured-test-" }));
  }

  /** What the processes have said. */
  get log(): string {
    return this.#processes.flatMap((process) => process.log).join("\n");
  }

  get security(): string {
    return `${this.folder}/data.security`;
  }

  async start(): Promise<void> {
    const args = [
      "--standalone",
      "--secure",
      `--data=${this.folder}/data`,
      "--port=0",
      "--http-port=0",
      "--partitions=8",
    ];
    const process = ServerProcess.start(NODE, args, { cwd: this.folder, detached: false });
    this.#processes.push(process);
    const ready = await process.ready;
    this.port = ready.port;
    this.httpPort = ready.facts.http ?? 0;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#processes.splice(0).map((process) => process.stop()));
  }

  async admin(): Promise<Credentials> {
    return JSON.parse(await Deno.readTextFile(`${this.security}/admin.json`));
  }

  /** One command of the shell. */
  async shell(credentials: string | undefined, ...words: string[]) {
    const named = credentials === undefined ? [] : [`--credentials=${credentials}`];
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        "--quiet",
        ...CLIENT.permissions,
        new URL(`../../${CLIENT.entry}`, import.meta.url).pathname,
        `--coordinator=127.0.0.1:${this.port}`,
        ...named,
        ...words,
      ],
      stdin: "null",
    }).output();
    const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
    return { code, out: out ?? "", error: error ?? "" };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.crash()));
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** The node as HTTP clients see it. */
async function http(
  bench: Bench,
  ca: string,
  path: string,
  authorization?: string,
): Promise<{ status: number; text: string }> {
  using client = Deno.createHttpClient({ caCerts: [ca] });
  const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
  const url = `https://127.0.0.1:${bench.httpPort}${path}`;
  const response = await fetch(url, { client, headers });
  return { status: response.status, text: await response.text() };
}

Deno.test("kv-node --secure: an administrator's first file, users, roles and a token, by the shell", async () => {
  await using bench = await Bench.make();
  await bench.start();
  const admin = `${bench.security}/admin.json`;
  const password = `${bench.folder}/password`;
  await Deno.writeTextFile(password, "correct horse\n", { mode: 0o600 });
  const steps: (readonly string[])[] = [
    ["put", "app:1", "one"],
    ["put", "other", "two"],
    ["role", "set", "app", "read:app:", "write:app:"],
    ["user", "add", "alice", "--roles", "app", "--password-file", password],
  ];
  for (const step of steps) {
    const { code, error } = await bench.shell(admin, ...step);
    assertEquals([code, error], [0, ""], step.join(" "));
  }
  const made = await bench.shell(admin, "token", "create", "--user", "alice");
  const { ca } = await bench.admin();
  const { token, text }: { token: string; text: string } = JSON.parse(made.out);
  const alice = `${bench.folder}/alice.json`;
  await Deno.writeTextFile(alice, JSON.stringify({ ca, token: text }), { mode: 0o600 });

  assertEquals((await bench.shell(alice, "get", "app:1")).out, "one");
  assertEquals((await bench.shell(alice, "put", "app:2", "x")).code, 0);
  for (const words of [["get", "other"], ["put", "other", "x"], ["user", "list"], ["scan"]]) {
    const { code, error } = await bench.shell(alice, ...words);
    assert(code !== 0 && error.includes("forbidden"), `${words.join(" ")}: ${code} ${error}`);
  }
  await Deno.chmod(alice, 0o644);
  assert((await bench.shell(alice, "get", "app:1")).error.includes("chmod 600"));
  await Deno.chmod(alice, 0o600);
  assert((await bench.shell(undefined, "get", "app:1")).code !== 0, "without TLS");
  assertEquals((await bench.shell(admin, "token", "revoke", token)).code, 0);
  assert((await bench.shell(alice, "get", "app:1")).error.includes("unauthorized"));
});

Deno.test("kv-node --secure: the library, Redis clients and HTTP over TLS, and after a restart", async () => {
  await using bench = await Bench.make();
  await bench.start();
  const { ca, user, password } = await bench.admin();
  {
    await using kv = await connect({ coordinator: `127.0.0.1:${bench.port}`, ca, user, password });
    await kv.put("k", "v");
    await kv.administer({ req_type: "user_add", user: "bob", password: "battery staple" });
  }
  await bench.stop();
  await bench.start();
  assertEquals((await bench.admin()).ca, ca, "the authority is as it was");
  {
    await using kv = await connect({ coordinator: `127.0.0.1:${bench.port}`, ca, user, password });
    assertEquals(await kv.getText("k"), "v");
    const users = await kv.administer({ req_type: "user_list" }) as { user: string }[];
    assertEquals(users.map((one) => one.user), [user, "bob"]);
  }
  const io = new Redis({
    host: "127.0.0.1",
    port: bench.port,
    username: user,
    password,
    tls: { ca: [ca] },
    lazyConnect: true,
  });
  await io.connect();
  assertEquals(await io.get("k"), "v");
  assertEquals(await io.set("io", "1"), "OK");
  io.disconnect();

  const node = createClient({
    url: `rediss://127.0.0.1:${bench.port}`,
    username: user,
    password,
    socket: { tls: true, ca: [ca] as unknown as string },
  });
  node.on("error", () => {});
  await node.connect();
  assertEquals(await node.get("io"), "1");
  node.destroy();

  const basic = (name: string, secret: string) => `Basic ${btoa(`${name}:${secret}`)}`;
  assertEquals((await http(bench, ca, "/kv/k", basic(user, password))).text, "v");
  assertEquals((await http(bench, ca, "/kv/k")).status, 401);
  assertEquals((await http(bench, ca, "/kv/k", basic(user, "wrong horse"))).status, 401);
  assertEquals((await http(bench, ca, "/kv/k", basic("bob", "battery staple"))).status, 403);
  assertEquals((await http(bench, ca, "/health/live")).status, 200);
});

Deno.test("kv-node --secure: who does not trust the authority, speaks no TLS or is nobody gets nothing", async () => {
  await using bench = await Bench.make();
  await bench.start();
  const { ca, user, password } = await bench.admin();
  const other = await Bench.make();
  await using _other = other;
  await other.start();
  const foreign = await other.admin();
  const coordinator = `127.0.0.1:${bench.port}`;
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
  const plain = await Deno.connect({ hostname: "127.0.0.1", port: bench.port });
  await plain.write(new TextEncoder().encode("PING\r\n"));
  const answer = new Uint8Array(64);
  const count = await plain.read(answer).catch(() => null);
  assert(count === null || !new TextDecoder().decode(answer).includes("PONG"));
  plain.close();
  await using kv = await connect({ coordinator, ca, user, password });
  await kv.put("k", "v");
  const audit = await Deno.readTextFile(`${bench.security}/audit.log`);
  const events = audit.trim().split("\n").map((line) => JSON.parse(line).event);
  assert(events.includes("login_failed") && events.includes("login"));
  assertEquals(audit.includes(password) || audit.includes(foreign.password), false);
});

Deno.test("kv-node --secure: its files are the owner's alone, and no secret is in what it logs", async () => {
  await using bench = await Bench.make();
  await bench.start();
  const { password } = await bench.admin();
  for (const name of ["", "/users.json", "/admin.json", "/ca.crt"]) {
    const { mode } = await Deno.stat(bench.security + name);
    assertEquals((mode ?? 0) & 0o077, 0, name);
  }
  assertEquals(bench.log.includes(password), false);
  assertEquals((await Deno.readTextFile(`${bench.security}/users.json`)).includes(password), false);
});
