/**
 * The recipes of docs/recipes.md, as real programs against a cluster, with the failures that the page speaks of.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import page from "../../../docs/recipes.md" with { type: "text" };
import { FeatureFlags } from "../../../examples/feature_flags.ts";
import { JobQueue } from "../../../examples/job_queue.ts";
import { countRequest } from "../../../examples/rate_limiter.ts";
import { lock, renew, tryLock, unlock } from "../../../examples/lock.ts";
import { formatAddress } from "../../../shared/platform/transport.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;

/** A recipe's program. */
class Example implements AsyncDisposable {
  readonly child: Deno.ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(cluster: TestCluster, file: string, ...args: string[]) {
    this.child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", "--allow-all", `${ROOT}examples/${file}`, ...args],
      cwd: cluster.folder,
      env: { NO_COLOR: "1", KV_COORDINATOR: formatAddress(cluster.coordinatorAddress) },
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#lines = linesOf(this.child.stdout);
  }

  /** The next line that it prints; undefined at its end. */
  async line(): Promise<string | undefined> {
    const { done, value } = await this.#lines.next();
    return done === true ? undefined : value;
  }

  /** All lines that are left. */
  async rest(): Promise<string[]> {
    const lines: string[] = [];
    for (let line = await this.line(); line !== undefined; line = await this.line()) {
      lines.push(line);
    }
    return lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.rest();
    await this.child.status;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

Deno.test("examples: each recipe of docs/recipes.md runs, and does what the page says", async (t) => {
  await using cluster = await TestCluster.start({ nodes: 3 });

  await t.step("each program is on the page", () => {
    for (const { name } of Deno.readDirSync(`${ROOT}examples`)) {
      if (name.endsWith(".ts")) assert(page.includes(`examples/${name}`), name);
    }
  });

  await t.step("rate_limiter.ts", async () => {
    await using example = new Example(cluster, "rate_limiter.ts");
    assertEquals(await example.rest(), [
      "request 1: allowed, 2 left",
      "request 2: allowed, 1 left",
      "request 3: allowed, 0 left",
      "request 4: refused",
      "request 5: refused",
    ]);
  });

  await t.step("lock.ts", async () => {
    await using example = new Example(cluster, "lock.ts");
    assertEquals(await example.rest(), [
      "the first has the lock",
      "the second has it, with a greater token: true",
      "the second writes: true",
      "the first wakes up and writes: false",
      "the second still has it: true",
    ]);
  });

  await t.step("leader_election.ts: another leads if the leader is killed, or leaves", async () => {
    await using first = new Example(cluster, "leader_election.ts", "first", "post");
    assertEquals([await first.line(), await first.line()], ["first waits", "first leads"]);
    await using second = new Example(cluster, "leader_election.ts", "second", "post");
    assertEquals(await second.line(), "second waits");
    first.child.kill("SIGKILL");
    assertEquals(await second.line(), "second leads");
    await using third = new Example(cluster, "leader_election.ts", "third", "post");
    assertEquals(await third.line(), "third waits");
    second.child.kill("SIGTERM");
    assertEquals(await second.rest(), ["second does not lead any more"]);
    assertEquals(await third.line(), "third leads");
  });

  await t.step("feature_flags.ts: a flag that is switched is known at once", async () => {
    await using kv = await cluster.connect();
    await kv.put("flag:old", "on");
    await using example = new Example(cluster, "feature_flags.ts");
    assertEquals([await example.line(), await example.line()], [
      "old is on",
      "all flags are known",
    ]);
    await kv.put("flag:new", "50%");
    assertEquals(await example.line(), "new is 50%");
    await kv.delete("flag:old");
    assertEquals(await example.line(), "old is gone");
    const flags = new FeatureFlags();
    const stop = new AbortController();
    const known = Promise.withResolvers<void>();
    const following = flags.follow(kv, stop.signal, known.resolve);
    await known.promise;
    const users = Array.from({ length: 1_000 }, (_, i) => `user ${i}`);
    const lucky = users.filter((user) => flags.isOn("new", user)).length;
    assert(lucky > 400 && lucky < 600, `${lucky} of 1,000 users`);
    assertEquals([flags.isOn("old", "u"), flags.isOn("never set", "u")], [false, false]);
    stop.abort();
    await following;
  });

  await t.step(
    "express_sessions.ts: a session is known to two processes, and outlives both",
    async () => {
      const portOf = async (example: Example) =>
        Number((await example.line())?.slice("port ".length));
      const visit = async (port: number, path: string, cookie: string) => {
        const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { cookie } });
        const [set = cookie] = response.headers.getSetCookie().map((text) =>
          text.split(";")[0] ?? ""
        );
        return { text: (await response.text()).trim(), cookie: set };
      };
      let cookie = "";
      {
        await using one = new Example(cluster, "express_sessions.ts", "0");
        await using two = new Example(cluster, "express_sessions.ts", "0");
        const [a, b] = [await portOf(one), await portOf(two)];
        const first = await visit(a, "/", "");
        cookie = first.cookie;
        assertEquals(first.text, "1");
        assertEquals((await visit(b, "/", cookie)).text, "2");
        assertEquals((await visit(b, "/", "")).text, "1", "without the cookie it is another");
      }
      await using three = new Example(cluster, "express_sessions.ts", "0");
      const c = await portOf(three);
      assertEquals((await visit(c, "/", cookie)).text, "3");
      assertEquals((await visit(c, "/leave", cookie)).text, "bye");
      assertEquals((await visit(c, "/", cookie)).text, "1");
    },
  );

  await t.step(
    "job_queue.ts: a job of a worker that is killed is done by another one",
    async () => {
      await using one = new Example(cluster, "job_queue.ts", "work", "one");
      assertEquals(await one.line(), "one works");
      const add = async (text: string) => {
        await using example = new Example(cluster, "job_queue.ts", "add", text);
        return await example.rest();
      };
      assertEquals((await add("a letter")).length, 1);
      assertEquals(await one.line(), "one does: a letter");
      await add("wait 60000");
      assertEquals(await one.line(), "one does: wait 60000");
      await using two = new Example(cluster, "job_queue.ts", "work", "two");
      assertEquals(await two.line(), "two works");
      assertEquals(await add("another"), ["added; 2 wait or are being done"]);
      assertEquals(await two.line(), "two does: another");
      one.child.kill("SIGKILL");
      assertEquals(await two.line(), "two does: wait 60000");
    },
  );

  await t.step(
    "job_queue.ts: a job that always fails is put aside, and an id is added once",
    async () => {
      await using kv = await cluster.connect();
      const queue = new JobQueue(kv, "bad", { attemptsMax: 3, retryMs: 10 });
      const stop = new AbortController();
      const begun: number[] = [];
      const work = queue.work(({ attempts }) => {
        begun.push(attempts);
        throw new Error("no");
      }, stop.signal);
      await queue.add("never", "mine");
      await queue.add("never", "mine");
      await cluster.poll("it is put aside", async () => await queue.waiting() === 0 || undefined);
      stop.abort();
      await work;
      assertEquals(begun, [1, 2, 3]);
      const failed = await Array.fromAsync(queue.failed());
      assertEquals(failed, [{ id: "mine", text: "never", attempts: 3 }]);
    },
  );

  await t.step("rate limiter and lock stay exact while a node dies", async () => {
    await using kv = await cluster.connect();
    const limit = { requestsMax: 1_000, windowMs: 86_400_000 };
    const count = () => countRequest(kv, "somebody", limit);
    const held = await lock(kv, "job", 60_000);
    const before = await Promise.all(Array.from({ length: 50 }, count));
    const during = Array.from({ length: 50 }, count);
    const crashed = await cluster.primaryOf("rate:{somebody}:0");
    await cluster.crash(crashed);
    const lefts = [...before, ...await Promise.all(during)].map(({ left }) => left);
    // A window may have ended meanwhile, at midnight.
    if (new Set(lefts).size === lefts.length) {
      assertEquals(lefts.toSorted((a, b) => b - a), Array.from({ length: 100 }, (_, i) => 999 - i));
    }
    assertEquals(await tryLock(kv, "job", "another", 1_000), undefined);
    const renewed = await renew(kv, held, 60_000);
    assert(renewed !== undefined && renewed.token > held.token);
    assertEquals(await renew(kv, held, 60_000), undefined, "the old token is worth nothing");
    await unlock(kv, held);
    assertEquals(await tryLock(kv, "job", "another", 1_000), undefined, "and does not unlock");
    await unlock(kv, renewed);
    assert(await tryLock(kv, "job", "another", 1_000) !== undefined);
    await cluster.restart(crashed);
    await cluster.whole({ nodes: 3 });
  });

  await t.step(
    "job_queue.ts: what jobs change in the store counts once while a node dies",
    async () => {
      await using kv = await cluster.connect();
      const queue = new JobQueue(kv, "sums");
      for (let i = 1; i <= 30; i++) await queue.add(String(i));
      const stop = new AbortController();
      let done = 0;
      let crash: Promise<void> | undefined;
      const workers = Array.from({ length: 3 }, () =>
        queue.work(async ({ text }) => {
          if (++done === 10) {
            crash = cluster.primaryOf("queue:{sums}:job:").then((i) => cluster.crash(i));
          }
          await crash;
          // Of another partition.
          return (end) => end.increment("sum", Number(text));
        }, stop.signal));
      await cluster.poll("all is done", async () => await queue.waiting() === 0 || undefined);
      stop.abort();
      await Promise.all(workers);
      assertEquals(await kv.getText("sum"), String(30 * 31 / 2));
      assert(done >= 30);
    },
  );
});
