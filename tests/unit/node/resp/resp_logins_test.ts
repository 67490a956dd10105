/** Logins and rights at the Redis front end: what is refused must not have reached the database. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { CommandSpec } from "../../../../node/resp/command/command.ts";
import { dumpString } from "../../../../node/resp/rdb/rdb_string.ts";
import { COMMAND_TABLE } from "../../../../node/resp/tables/command_table.ts";
import { SystemRandom } from "../../../../shared/platform/random.ts";
import { fingerprintOfPem } from "../../../../shared/security/authority_fingerprint.ts";
import { createToken } from "../../../../shared/security/user_token.ts";
import { COMMAND_NEEDS } from "../../../../shared/security/needs.ts";
import {
  addToken,
  addUser,
  changeUser,
  removeUser,
  setRole,
} from "../../../../shared/security/security_document.ts";
import { RespBench, type RespPeer } from "../../../support/clients/resp_bench.ts";
import { HASH, OTHER_HASH } from "../../../support/data/security_samples.ts";
import { AccessWorld } from "../../../support/worlds/access_world.ts";

const WRONG = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
const ALICE = ["AUTH", "alice", "correct horse"];
const ROOT = ["AUTH", "root", "other horse"];

/** `alice` may read what begins with `app:`, `carol` write there, `root` everything, `nobody` nothing. */
async function open(): Promise<{ world: AccessWorld; bench: RespBench }> {
  const world = await AccessWorld.open();
  const grants = [{ database: "default", prefix: "app:", right: "write" }] as const;
  world.change((document) => setRole(document, { name: "writer", grants }));
  world.change((document) =>
    addUser(document, { name: "carol", passwordHash: HASH, roles: ["writer"] })
  );
  world.change((document) => addUser(document, { name: "nobody", passwordHash: HASH, roles: [] }));
  return { world, bench: new RespBench({ access: world.access, partitions: 1 }) };
}

async function loggedIn(bench: RespBench, auth: readonly string[]): Promise<RespPeer> {
  const peer = bench.connect();
  assertEquals(await peer.askAndWait(auth), "+OK\r\n");
  return peer;
}

async function write(bench: RespBench, key: string, value: string): Promise<void> {
  const root = await loggedIn(bench, ROOT);
  assertEquals(await root.askAndWait(["SET", key, value]), "+OK\r\n");
}

function* allCommands(): Generator<CommandSpec> {
  for (const spec of COMMAND_TABLE.all) {
    yield spec;
    yield* spec.subcommands ?? [];
  }
}

/** A call of a command with so many arguments as it wants; "1" is a key, a number and a value. */
function sample({ name, arity, subcommands }: CommandSpec): (string | Uint8Array)[] {
  const words = name.split("|");
  // A container by itself would be a subcommand.
  const count = subcommands === undefined ? Math.abs(arity) : 1;
  const filler = name === "scan" ? "0" : "1";
  while (words.length < count) words.push(filler);
  if (name === "mset" || name === "msetnx") return [name, "1", "1"];
  if (name === "restore") return [name, "1", "0", dumpString(Uint8Array.of(1))];
  // Another database would be made, which is for administrators.
  if (name === "select") return [name, "0"];
  if (/^eval(sha)?(_ro)?$/.test(name)) return [name, "return 1", "1", "1"];
  if (name === "bitop") return [name, "and", "1", "2"];
  if (name === "copy" || name === "rename" || name === "renamenx") return [name, "1", "2"];
  if (
    name === "put" || name === "update" || name === "kv.put" || name === "kv.update" ||
    name === "kv.create"
  ) return [name, "1", "1"];
  return words;
}

Deno.test("RESP: before a login every command but those for anybody is NOAUTH, and reaches nothing", async () => {
  const { bench } = await open();
  for (const spec of allCommands()) {
    if (COMMAND_NEEDS[spec.name] === "anybody" || spec.subcommands !== undefined) continue;
    const answer = await bench.connect().ask(sample(spec));
    assertEquals(answer, "-NOAUTH Authentication required.\r\n", spec.name);
  }
  assertEquals(bench.database.requests, []);
  const peer = bench.connect();
  assert((await peer.ask("HELLO 3")).startsWith("-NOAUTH HELLO must be called"));
  assertEquals(await peer.ask("RESET"), "+RESET\r\n");
  assertEquals(await peer.ask("MULTI"), "-NOAUTH Authentication required.\r\n");
  assertEquals(await peer.ask("QUIT"), "+OK\r\n");
});

Deno.test("RESP: a user without a right: no key, no count, nobody else, and nothing reaches the database", async () => {
  const { bench } = await open();
  const nobody = await loggedIn(bench, ["AUTH", "nobody", "correct horse"]);
  let refused = 0;
  for (const spec of allCommands()) {
    const need = COMMAND_NEEDS[spec.name];
    if (need === "anybody" || spec.subcommands !== undefined) continue;
    if (["multi", "exec", "discard", "client|reply"].includes(spec.name)) continue;
    const answer = await nobody.askAndWait(sample(spec));
    if (need === "login") assert(!/^-NO(AUTH|PERM)/.test(answer), `${spec.name}: ${answer}`);
    else if (answer.includes("-NOPERM ")) refused++;
    // Those that want words of their own are refused for them, before anything is asked.
    else assert(answer.startsWith("-ERR bad_request "), `${spec.name}: ${answer}`);
  }
  assertEquals(bench.database.requests, []);
  assert(refused > 70, `${refused} commands`);
});

Deno.test("RESP: an administrator may run every command", async () => {
  const { bench } = await open();
  const root = await loggedIn(bench, ROOT);
  for (const spec of allCommands()) {
    const need = COMMAND_NEEDS[spec.name];
    if (need === "anybody" || spec.subcommands !== undefined || spec.name === "client|reply") {
      continue;
    }
    if (["multi", "exec", "discard"].includes(spec.name)) continue;
    const answer = await root.askAndWait(sample(spec));
    assert(!/NO(AUTH|PERM)/.test(answer), `${spec.name}: ${answer}`);
    // Whatever comes next would wait.
    bench.server.pause.end();
  }
});

Deno.test("RESP: keys, old values, conditions, ranges and transactions are judged one by one", async () => {
  const { bench } = await open();
  const [alice, carol] = [
    await loggedIn(bench, ALICE),
    await loggedIn(bench, ["AUTH", "carol", "correct horse"]),
  ];
  await write(bench, "app:1", "x");
  const perm = "-NOPERM";
  const table: [RespPeer, string, string][] = [
    [alice, "GET app:1", "$1"],
    [alice, "GET b", perm],
    [alice, "SET app:1 y", perm],
    [alice, "KV.SCAN PREFIX app:", "%"],
    [alice, "KEYS *", perm],
    [alice, "DBSIZE", perm],
    [alice, "RANDOMKEY", perm],
    [alice, "FLUSHALL", perm],
    [alice, "WATCH b", perm],
    [alice, "RENAME app:1 app:2", perm],
    [carol, "SET app:1 z", "+OK"],
    [carol, "SET b z", perm],
    [carol, "GET app:1", perm],
    // What the key held would be told.
    [carol, "SET app:1 z GET", perm],
    [carol, "GETSET app:1 z", perm],
    [carol, "SET app:1 z NX", perm],
    [carol, "SETNX app:1 z", perm],
    [carol, "APPEND app:1 z", perm],
    [carol, "INCR app:1", perm],
    [carol, "DEL app:1", perm],
    [carol, "SETBIT app:1 1 1", perm],
    [carol, "WATCH app:1", perm],
    [carol, "COPY app:1 app:2", perm],
  ];
  for (const [peer, line, expected] of table) {
    const answer = await peer.askAndWait(line);
    if (line.startsWith("KV.SCAN")) assert(!answer.startsWith(perm), answer);
    else assert(answer.startsWith(expected), `${line}: ${answer}`);
  }
  assertEquals(await alice.askAndWait("MGET app:1 b"), await alice.askAndWait("MGET app:1 b"));
  assert((await alice.askAndWait("MGET app:1 b")).includes("NOPERM"));
  await carol.askAndWait("MULTI");
  await carol.askAndWait("SET app:1 a");
  await carol.askAndWait("SET b a");
  assert((await carol.askAndWait("EXEC")).includes("NOPERM"));
  assertEquals(bench.database.entries.has("b"), false);
});

Deno.test("RESP: AUTH in its forms, HELLO with AUTH, a token, RESET, and who one is", async () => {
  const { world, bench } = await open();
  const peer = bench.connect();
  assertEquals(await peer.askAndWait(["AUTH", "alice", "wrong horse"]), WRONG);
  assertEquals(await peer.askAndWait(["AUTH", "whoever", "correct horse"]), WRONG);
  assertEquals(await peer.askAndWait(["AUTH", "correct horse"]), WRONG, "there is no user default");
  assertEquals(await peer.askAndWait(["HELLO", "3", "AUTH", "alice", "wrong horse"]), WRONG);
  assertEquals(await peer.ask("GET app:1"), "-NOAUTH Authentication required.\r\n");
  const greeting = await peer.askAndWait(["HELLO", "3", "AUTH", "alice", "correct horse"]);
  assert(greeting.startsWith("%7\r\n"), greeting);
  assertEquals(await peer.ask("ACL WHOAMI"), "$5\r\nalice\r\n");
  assert((await peer.ask("ACL LIST")).startsWith("-NOPERM"));
  assertEquals(await peer.askAndWait(["AUTH", "root", "wrong horse"]), WRONG);
  assertEquals(await peer.ask("ACL WHOAMI"), "$5\r\nalice\r\n", "a failure changes nothing");
  assertEquals(await peer.askAndWait(ROOT), "+OK\r\n");
  const list = await peer.ask("ACL LIST");
  assert(list.includes("user alice on %R~app:* +@read +@write -@admin"), list);
  assert(list.includes("user root on ~* +@all"), list);
  assertEquals(list.includes("scrypt"), false);
  assert(!(await peer.ask("ACL GETUSER alice")).includes("scrypt"));
  assertEquals(await peer.ask("ACL GETUSER whoever"), "_\r\n");
  assertEquals(await peer.ask("RESET"), "+RESET\r\n");
  assertEquals(await peer.ask("ACL WHOAMI"), "-NOAUTH Authentication required.\r\n");

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
  assertEquals(await peer.askAndWait(["AUTH", text.reveal()]), "+OK\r\n");
  assertEquals(await peer.ask("ACL WHOAMI"), "$5\r\nalice\r\n");
});

Deno.test("RESP: a change counts on connections that are open, inside MULTI too", async () => {
  const { world, bench } = await open();
  const alice = await loggedIn(bench, ALICE);
  await write(bench, "app:1", "x");
  assertEquals(await alice.ask("GET app:1"), "$1\r\nx\r\n");
  await alice.ask("MULTI");
  assertEquals(await alice.ask("GET app:1"), "+QUEUED\r\n");
  world.change((document) => changeUser(document, "alice", { roles: [] }));
  assert((await alice.askAndWait("EXEC")).includes("NOPERM"));
  assert((await alice.ask("GET app:1")).startsWith("-NOPERM"));
  world.change((document) => changeUser(document, "alice", { roles: ["app"] }));
  assertEquals(await alice.ask("GET app:1"), "$1\r\nx\r\n");
  world.change((document) => changeUser(document, "alice", { passwordHash: OTHER_HASH }));
  assert((await alice.ask("GET app:1")).startsWith("-NOAUTH"));
  const carol = await loggedIn(bench, ["AUTH", "carol", "correct horse"]);
  world.change((document) => removeUser(document, "carol"));
  assert((await carol.ask("PING")).startsWith("-NOAUTH"));
});

Deno.test("RESP: what follows AUTH in one write waits for it", async () => {
  const { bench } = await open();
  await write(bench, "app:1", "x");
  const peer = bench.connect();
  let answer = await peer.ask('AUTH alice "correct horse"\r\nGET app:1\r\nGET b');
  while (!answer.includes("NOPERM")) answer += await peer.askAndWait("PING");
  assert(answer.startsWith("+OK\r\n$1\r\nx\r\n-NOPERM"), answer);
});

Deno.test("RESP: a client session is its user's, whatever others call theirs", async () => {
  const { world, bench } = await open();
  world.change((document) =>
    addUser(document, { name: "dave", passwordHash: HASH, roles: ["admin"] })
  );
  const sessionOf = async (peer: RespPeer, session: string) => {
    const answer = await peer.askAndWait(
      `KV.INCREMENT app:1 SESSION ${session} REQUEST_NUMBER 1`,
    );
    assert(!answer.startsWith("-"), answer);
    const last = bench.database.requests.at(-1);
    assert(last !== undefined && "session" in last && last.session !== undefined);
    return last.session;
  };
  const dave = await loggedIn(bench, ["AUTH", "dave", "correct horse"]);
  const root = await loggedIn(bench, ROOT);
  const his = await sessionOf(dave, "s");
  assertEquals(await sessionOf(dave, "s"), his);
  for (const name of ["s", his, "dave:s"]) assert(await sessionOf(root, name) !== his, name);
  assertEquals(await dave.askAndWait(ROOT), "+OK\r\n");
  assert(await sessionOf(dave, "s") !== his, "it is the user's, not the connection's");
});

Deno.test("RESP: FLUSHALL empties the databases that the user may empty, and is refused if there is none", async () => {
  const { world, bench } = await open();
  const grants = ["1", "2"].flatMap((database) =>
    (["read", "write"] as const).map((right) => ({ database, prefix: "", right }))
  );
  world.change((document) => setRole(document, { name: "flusher", grants }));
  world.change((document) => setRole(document, { name: "rewriter", grants: grants.slice(1, 2) }));
  for (const [user, role] of [["carl", "flusher"], ["eve", "rewriter"]] as const) {
    world.change((document) =>
      addUser(document, { name: user, passwordHash: HASH, roles: [role] })
    );
  }
  const root = await loggedIn(bench, ROOT);
  world.access.databases = () => bench.database.map().databases;
  const all = ["0", "1", "2", "3"];
  for (const database of all) {
    await root.ask(["SELECT", database]);
    await root.ask(["SET", "k", database]);
  }
  const sizes = async () => {
    const found: string[] = [];
    for (const database of all) {
      await root.ask(["SELECT", database]);
      found.push(await root.ask(["DBSIZE"]));
    }
    return found.map((reply) => reply.slice(1, -2)).join(" ");
  };

  // She may write in one of them, and read nothing: what is there is not for her to be told.
  const eve = await loggedIn(bench, ["AUTH", "eve", "correct horse"]);
  assert((await eve.ask("FLUSHALL")).startsWith("-NOPERM "));
  const nobody = await loggedIn(bench, ["AUTH", "nobody", "correct horse"]);
  assert((await nobody.ask("FLUSHALL")).startsWith("-NOPERM "));
  assertEquals(await sizes(), "1 1 1 1");

  const carl = await loggedIn(bench, ["AUTH", "carl", "correct horse"]);
  assert((await carl.ask("FLUSHDB")).startsWith("-NOPERM "), "default is selected");
  const before = world.lines.length;
  assertEquals(await carl.ask("FLUSHALL"), "+OK\r\n");
  assertEquals(await sizes(), "1 0 0 1");
  const ordered = world.lines.slice(before).filter((line) => line.includes("delete_matching"));
  assertEquals(ordered.length, 2, "the audit log has both, and no refusal of the others");
  assertEquals(await root.ask("FLUSHALL"), "+OK\r\n");
  assertEquals(await sizes(), "0 0 0 0");
});

Deno.test("RESP: what is told of changes is judged by the database that it is of", async () => {
  const { world, bench } = await open();
  const grants = [{ database: "5", prefix: "app:", right: "read" }] as const;
  world.change((document) => setRole(document, { name: "hearer", grants }));
  world.change((document) =>
    addUser(document, { name: "carl", passwordHash: HASH, roles: ["hearer"] })
  );
  world.access.databases = () => bench.database.map().databases;
  const root = await loggedIn(bench, ROOT);
  await root.ask("CONFIG SET notify-keyspace-events KEA");
  await root.ask("SELECT 5");
  const carl = bench.connect();
  await carl.askAndWait(["HELLO", "3", "AUTH", "carl", "correct horse"]);
  for (const channel of ["__keyspace@0__:app:a", "__keyevent@5__:set", "__keyspace@5__:b"]) {
    assertMatch(await carl.ask(["SUBSCRIBE", channel]), /^-NOPERM/, channel);
  }
  assertMatch(await carl.ask(["PSUBSCRIBE", "__keyspace@5__:*"]), /^-NOPERM/);
  assertMatch(await carl.ask("CLIENT TRACKING ON BCAST PREFIX app:"), /^-NOPERM/);
  await carl.ask("SELECT 5");
  assertEquals(await carl.ask("CLIENT TRACKING ON BCAST PREFIX app:"), "+OK\r\n");
  assertMatch(await carl.ask(["SUBSCRIBE", "__keyspace@5__:app:a"]), /^>3/);
  const told = async () => {
    await bench.clock.run();
    return carl.received;
  };
  await root.ask("SET app:a 1");
  assertMatch(await told(), /__keyspace@5__:app:a\r\n\$3\r\nset\r\n>2\r\n\$10\r\ninvalidate\r\n/);
  await root.ask("SELECT 0");
  await root.ask("SET app:a 1");
  assertEquals(await told(), "", "he may not read what is in another database");
});

Deno.test("RESP: COPY into another database needs the right to write there", async () => {
  const { world, bench } = await open();
  const grants = [
    { database: "default", prefix: "app:", right: "read" },
    { database: "1", prefix: "app:", right: "read" },
    { database: "1", prefix: "app:", right: "write" },
  ] as const;
  world.change((document) => setRole(document, { name: "copier", grants }));
  world.change((document) =>
    addUser(document, { name: "carl", passwordHash: HASH, roles: ["copier"] })
  );
  world.access.databases = () => bench.database.map().databases;
  const root = await loggedIn(bench, ROOT);
  for (const key of ["app:k", "app:m", "other"]) await root.ask(["SET", key, "v"]);
  const carl = await loggedIn(bench, ["AUTH", "carl", "correct horse"]);
  // The database is not there, and he may not make one.
  assert((await carl.ask("COPY app:k app:k DB 1")).startsWith("-NOPERM "));
  await root.ask("SELECT 1");
  assertEquals(await carl.ask("COPY app:k app:k DB 1"), ":1\r\n");
  assert((await carl.ask("COPY app:k other DB 1")).startsWith("-NOPERM "));
  assert((await carl.ask("COPY other app:other DB 1")).startsWith("-NOPERM "));
  assert((await carl.ask("COPY app:k app:copy")).startsWith("-NOPERM "));
  assert((await carl.ask("MOVE app:m 1")).startsWith("-NOPERM "), "it takes the key away");
  assertEquals(await root.ask("KEYS *"), "*1\r\n$5\r\napp:k\r\n");
});
