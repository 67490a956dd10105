/**
 * CLIENT TRACKING and keyspace notifications, over a database in memory that tells of each write at once.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { CHANGES_WAIT_MS, RESP_TRACKED_BYTES_MAX } from "../../../../shared/limits/resp.ts";
import { RespBench, type RespPeer } from "../../../support/clients/resp_bench.ts";

const invalidated = (key: string) =>
  `>2\r\n$10\r\ninvalidate\r\n*1\r\n$${key.length}\r\n${key}\r\n`;
const FORGET_ALL = ">2\r\n$10\r\ninvalidate\r\n_\r\n";

async function tracking(bench: RespBench, ...options: string[]): Promise<RespPeer> {
  const peer = bench.connect();
  await peer.ask("HELLO 3");
  assertEquals(await peer.ask(["CLIENT", "TRACKING", "ON", ...options]), "+OK\r\n");
  return peer;
}

async function received(bench: RespBench, peer: RespPeer): Promise<string> {
  await bench.clock.run();
  return peer.received;
}

Deno.test("CLIENT TRACKING: a key that was read is told once when it changes, and others are not", async () => {
  const bench = new RespBench();
  const writer = bench.connect();
  const peer = await tracking(bench);
  await writer.ask("SET a 1");
  assertEquals(await peer.ask("GET a"), "$1\r\n1\r\n");
  await peer.ask("MGET b c");
  await writer.ask("SET other 1");
  assertEquals(await received(bench, peer), "");
  await writer.ask("SET a 2");
  await writer.ask("SET a 3");
  await writer.ask("DEL c");
  assertEquals(await received(bench, peer), invalidated("a"));
  await writer.ask("SET c 1");
  assertEquals(await received(bench, peer), invalidated("c"));
  assertEquals(await peer.ask("GET a"), "$1\r\n3\r\n");
  await peer.ask("CLIENT TRACKING OFF");
  await writer.ask("SET a 4");
  assertEquals(await received(bench, peer), "");
  assertEquals(bench.database.watches.size, 0);
});

Deno.test("CLIENT TRACKING: what is told goes out behind the replies of all commands that have begun", async () => {
  const bench = new RespBench();
  const peer = await tracking(bench);
  await peer.ask("SET a 1");
  bench.database.later = true;
  peer.feed("GET a\r\n");
  await bench.clock.run();
  // The old value is on its way.
  const entry = bench.database.entries.get("a");
  assert(entry !== undefined);
  bench.database.watches.tellChange(entry);
  assertEquals(await received(bench, peer), "");
  bench.database.release();
  assertEquals(await received(bench, peer), "$1\r\n1\r\n" + invalidated("a"));
});

Deno.test("CLIENT TRACKING: it is answered when changes are told, and not before", async () => {
  const bench = new RespBench();
  bench.database.watches.level = false;
  const peer = bench.connect();
  await peer.ask("HELLO 3");
  assertEquals(await peer.ask("CLIENT TRACKING ON"), "");
  bench.database.watches.tell("level");
  assertEquals(await received(bench, peer), "+OK\r\n");
});

Deno.test("CLIENT TRACKING: it is refused if it is not known for long what changes, and leaves nothing", async () => {
  const bench = new RespBench();
  bench.database.watches.level = false;
  const peer = bench.connect();
  await peer.ask("HELLO 3");
  peer.feed("CLIENT TRACKING ON\r\nPING\r\n");
  await bench.clock.run(CHANGES_WAIT_MS - 1);
  assertEquals(peer.received, "");
  await bench.clock.run(1);
  assertMatch(peer.received, /^-ERR unavailable CLIENT TRACKING: .*\r\n\+PONG\r\n$/);
  assertEquals(bench.database.watches.size, 0);
  bench.database.watches.level = true;
  assertEquals(await peer.ask("CLIENT TRACKING ON"), "+OK\r\n");
});

Deno.test("CLIENT TRACKING: a connection that ends while it waits for that leaves nothing", async () => {
  const bench = new RespBench();
  bench.database.watches.level = false;
  for (let i = 0; i < 3; i++) {
    const peer = bench.connect();
    await peer.ask("HELLO 3");
    assertEquals(await peer.ask("CLIENT TRACKING ON"), "");
    peer.close();
  }
  await bench.clock.run();
  assertEquals(bench.database.watches.size, 0);
  bench.database.watches.level = true;
  await tracking(bench);
  await bench.clock.run(CHANGES_WAIT_MS);
  assertEquals(bench.database.watches.size, 1);
});

Deno.test("CLIENT TRACKING: if changes may have been missed, clients forget everything", async () => {
  const bench = new RespBench();
  const writer = bench.connect();
  const peer = await tracking(bench);
  const wide = await tracking(bench, "BCAST");
  await peer.ask("GET a");
  bench.database.watches.tell("reset");
  assertEquals(await received(bench, peer), FORGET_ALL);
  assertEquals(await received(bench, wide), FORGET_ALL);
  // What was read meanwhile may have changed as well.
  bench.database.watches.tell("level");
  assertEquals(await received(bench, peer), FORGET_ALL);
  bench.database.watches.fail();
  assertEquals(await received(bench, peer), FORGET_ALL);
  // It listens again after a while.
  await bench.clock.run(1_000);
  assertEquals(bench.database.watches.size, 1);
  assertEquals(peer.received, FORGET_ALL);
  await peer.ask("GET a");
  await writer.ask("SET a 1");
  assertEquals(await received(bench, peer), invalidated("a"));
});

Deno.test("CLIENT TRACKING BCAST: every change under the prefixes, whatever was read", async () => {
  const bench = new RespBench();
  const writer = bench.connect();
  const peer = await tracking(bench, "BCAST", "PREFIX", "a:", "PREFIX", "b:");
  await peer.ask("GET c:1");
  for (const key of ["a:1", "b:1", "c:1", "a:1"]) await writer.ask(`SET ${key} v`);
  assertEquals(
    await received(bench, peer),
    invalidated("a:1") + invalidated("b:1") + invalidated("a:1"),
  );
});

Deno.test("CLIENT CACHING: with OPTIN only what is wanted is told, with OPTOUT what is not unwanted; EXEC notes what it reads", async () => {
  const bench = new RespBench();
  const writer = bench.connect();
  const chooser = await tracking(bench, "OPTIN");
  await chooser.ask("GET a");
  await chooser.ask("CLIENT CACHING YES");
  await chooser.ask("GET b");
  await chooser.ask("GET c");
  const refuser = await tracking(bench, "OPTOUT");
  await refuser.ask("CLIENT CACHING NO");
  await refuser.ask("GET a");
  await refuser.ask("GET b");
  for (const key of ["a", "b", "c"]) await writer.ask(`SET ${key} v`);
  assertEquals(await received(bench, chooser), invalidated("b"));
  assertEquals(await received(bench, refuser), invalidated("b"));
  assertMatch(await refuser.ask("CLIENT CACHING YES"), /^-ERR CLIENT CACHING YES is only valid/);
  const peer = await tracking(bench);
  for (const command of ["MULTI", "GET a"]) await peer.ask(command);
  // Before EXEC nothing has been read.
  await writer.ask("SET a w");
  assertEquals(await received(bench, peer), "");
  await peer.ask("EXEC");
  await writer.ask("SET a x");
  assertEquals(await received(bench, peer), invalidated("a"));
});

Deno.test("CLIENT TRACKING: what is wrong is refused, what is on is shown, and the end of a connection leaves nothing", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  assertMatch(await peer.ask("CLIENT TRACKING ON"), /^-ERR CLIENT TRACKING needs RESP3/);
  assertEquals(await peer.ask("CLIENT GETREDIR"), ":-1\r\n");
  await peer.ask("HELLO 3");
  const wrong = [
    "CLIENT TRACKING",
    "CLIENT TRACKING MAYBE",
    "CLIENT TRACKING ON REDIRECT 4",
    "CLIENT TRACKING ON PREFIX a",
    "CLIENT TRACKING ON BCAST PREFIX",
    "CLIENT TRACKING ON OPTIN OPTOUT",
    "CLIENT TRACKING ON BCAST OPTIN",
    "CLIENT CACHING YES",
  ];
  for (const command of wrong) assertMatch(await peer.ask(command), /^-ERR /, command);
  await peer.ask("CLIENT TRACKING ON BCAST PREFIX a NOLOOP");
  assertEquals(
    await peer.ask("CLIENT TRACKINGINFO"),
    "%3\r\n$5\r\nflags\r\n~3\r\n$2\r\non\r\n$5\r\nbcast\r\n$6\r\nnoloop\r\n" +
      "$8\r\nredirect\r\n:0\r\n$8\r\nprefixes\r\n*1\r\n$1\r\na\r\n",
  );
  const others = [await tracking(bench), await tracking(bench), await tracking(bench)];
  assertEquals(bench.database.watches.size, 1);
  await others[0]?.ask("RESET");
  await others[1]?.ask("HELLO 2");
  others[2]?.close();
  peer.close();
  await bench.clock.run();
  assertEquals(bench.database.watches.size, 0);
});

Deno.test("CLIENT TRACKING: what is noted is bounded, and the oldest key is told as if it had changed", async () => {
  const bench = new RespBench();
  const peer = await tracking(bench);
  const key = (i: number) => `${i}:${"k".repeat(1_000)}`;
  let sent = 0;
  let told = "";
  while (told === "") {
    assert(sent * 2_000 < 2 * RESP_TRACKED_BYTES_MAX, "it is never told");
    const many = Array.from({ length: 500 }, (_, i) => key(sent + i));
    sent += many.length;
    told = (await peer.ask(["MGET", ...many])).replaceAll(/^\*500\r\n|_\r\n/g, "");
  }
  assert(told.startsWith(invalidated(key(0))), told.slice(0, 100));
});

Deno.test("keyspace notifications: what changes anywhere, as the flags say", async () => {
  const bench = new RespBench();
  const writer = bench.connect();
  const peer = bench.connect();
  await peer.ask("HELLO 3");
  await peer.ask("SUBSCRIBE __keyspace@0__:a __keyevent@0__:del");
  await writer.ask("SET a 1");
  assertEquals(await received(bench, peer), "");
  assertEquals(await peer.ask("CONFIG SET notify-keyspace-events KEA"), "+OK\r\n");
  assertMatch(await peer.ask("CONFIG GET notify-keyspace-events"), /\r\nAKE\r\n$/);
  await writer.ask("SET a 1");
  await writer.ask("INCR b");
  await writer.ask("DEL b");
  const message = (channel: string, text: string) =>
    `>3\r\n$7\r\nmessage\r\n$${channel.length}\r\n${channel}\r\n$${text.length}\r\n${text}\r\n`;
  assertEquals(
    await received(bench, peer),
    message("__keyspace@0__:a", "set") + message("__keyevent@0__:del", "b"),
  );
  assertEquals(await peer.ask("CONFIG SET notify-keyspace-events Kx"), "+OK\r\n");
  await writer.ask("SET a 1");
  assertEquals(await received(bench, peer), "");
  assertMatch(await peer.ask("CONFIG SET notify-keyspace-events KQ"), /^-ERR Invalid event class/);
  await peer.ask(["CONFIG", "SET", "notify-keyspace-events", ""]);
  assertEquals(bench.database.watches.size, 0);
});

Deno.test("CLIENT TRACKING: of the database in which a key was read; BCAST tells of all of them", async () => {
  const bench = new RespBench();
  const writer = bench.connect();
  const peer = await tracking(bench);
  const wide = await tracking(bench, "BCAST", "PREFIX", "a");
  await writer.ask("SELECT 5");
  await writer.ask("SET a 1");
  await peer.ask("SELECT 5");
  assertEquals(await peer.ask("GET a"), "$1\r\n1\r\n");
  await received(bench, wide);
  wide.written.length = 0;
  await writer.ask("SELECT 0");
  await writer.ask("SET a 2");
  assertEquals(await received(bench, peer), "", "it is another key");
  await writer.ask("SELECT 5");
  await writer.ask("SET a 3");
  await writer.ask("SET b 3");
  assertEquals(await received(bench, peer), invalidated("a"));
  assertEquals(await peer.ask("MULTI\r\nGET b\r\nEXEC"), "+OK\r\n+QUEUED\r\n*1\r\n$1\r\n3\r\n");
  await writer.ask("DEL b");
  assertEquals(await received(bench, peer), invalidated("b"));
  assertEquals(await received(bench, wide), invalidated("a") + invalidated("a"));
});

Deno.test("keyspace notifications: each database that has a number has channels of its own", async () => {
  const bench = new RespBench();
  const writer = bench.connect();
  const peer = bench.connect();
  await peer.ask("HELLO 3");
  await peer.ask("PSUBSCRIBE __keyspace@5__:*");
  await peer.ask("SUBSCRIBE __keyevent@5__:del __keyspace@0__:a");
  await peer.ask("CONFIG SET notify-keyspace-events KEA");
  await writer.ask("SELECT 5");
  await writer.ask("SET a 1");
  await writer.ask("DEL a");
  const told = await received(bench, peer);
  assertEquals(told.match(/__keyspace@5__:a\r\n\$\d\r\n\w+|__keyevent@5__:del\r\n\$1\r\na/g), [
    "__keyspace@5__:a\r\n$3\r\nset",
    "__keyspace@5__:a\r\n$3\r\ndel",
    "__keyevent@5__:del\r\n$1\r\na",
  ]);
  assertEquals(told.includes("__keyspace@0__"), false);
});
