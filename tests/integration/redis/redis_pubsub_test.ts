/**
 * Messages between clients of Redis over all nodes, with clients as people have them: a subscriber at one node hears
 * what is published at another, in order.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { KvError } from "../../../shared/base/errors.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

/** Clients leave timers of their own behind when they are closed while they look for a node. */
const FOREIGN = { sanitizeOps: false, sanitizeResources: false } as const;

/** Waits for a condition that events bring about. */
async function until(what: string, condition: () => boolean): Promise<void> {
  const beganMs = performance.now();
  while (!condition()) {
    // Real time that no event of a healthy machine takes.
    if (performance.now() - beganMs > 60_000) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

Deno.test({
  name:
    "pub/sub: subscribers at every node hear what is published at any, in order, and while one is dead",
  ...FOREIGN,
  async fn() {
    await using cluster = await TestCluster.start({ nodes: 3 });
    const redis = [0, 1, 2].map((i) => new Redis(cluster.nodeAddress(i)));
    const heard: string[][] = [[], [], []];
    const patterns: string[] = [];
    for (const client of redis) client.on("error", () => {});
    const listening = redis.map((client) => client.duplicate());
    const modern = createClient({ socket: cluster.nodeAddress(1), RESP: 3 });
    modern.on("error", () => {});
    try {
      await Promise.all(listening.map(async (client, i) => {
        client.on("error", () => {});
        client.on("message", (channel, message) => heard[i]?.push(`${channel}=${message}`));
        await client.subscribe("news", "other");
      }));
      await modern.connect();
      await modern.pSubscribe(
        "n[a-f]*",
        (message, channel) => patterns.push(`${channel}=${message}`),
      );
      const [first, , third] = redis;
      assert(first !== undefined && third !== undefined);
      assertEquals(await first.pubsub("NUMSUB", "news", "none"), ["news", 3, "none", 0]);
      assertEquals(await first.publish("news", "0"), 4);
      const sent = Array.from({ length: 200 }, (_, i) => String(i + 1));
      await Promise.all(sent.map((text) => third.publish("news", text)));
      const wanted = ["0", ...sent].map((text) => `news=${text}`);
      await until(
        "all messages",
        () => [...heard, patterns].every(({ length }) => length === wanted.length),
      );
      for (const list of [...heard, patterns]) assertEquals(list, wanted);

      await cluster.crash(1);
      assertEquals(await third.publish("other", "still"), 2);
      await until("the message", () => heard[0]?.at(-1) === "other=still");
    } finally {
      for (const client of [...redis, ...listening]) client.disconnect();
      modern.destroy();
    }
  },
});

Deno.test({
  name: "pub/sub in a secured cluster: a channel is judged as a key of its name",
  ...FOREIGN,
  async fn() {
    await using cluster = await TestCluster.start({
      nodes: 2,
      replicationFactor: 1,
      minInSync: 1,
      secured: true,
    });
    const password = "correct horse";
    const grant = (right: string) => ({ database: "default", prefix: "app:", right });
    for (const right of ["read", "write"]) {
      await cluster.order({ req_type: "role_set", role: right, grants: [grant(right)] });
      await cluster.order({ req_type: "user_add", user: right, password, roles: [right] });
    }
    const client = (index: number, username: string) => {
      const ca = cluster.credentials?.ca ?? "";
      const made = createClient({
        username,
        password,
        socket: { ...cluster.nodeAddress(index), tls: true, ca },
      });
      made.on("error", () => {});
      return made;
    };
    const [reader, writer] = [client(0, "read"), client(1, "write")];
    const refused = async (promise: Promise<unknown>) => {
      try {
        await promise;
      } catch (error) {
        if (error instanceof KvError) throw error;
        assert(String(error).includes("NOPERM"), String(error));
        return;
      }
      throw new Error("it must be refused");
    };
    try {
      await Promise.all([reader.connect(), writer.connect()]);
      const heard: string[] = [];
      await reader.subscribe("app:news", (message) => heard.push(message));
      await refused(writer.publish("other", "x"));
      await refused(writer.sendCommand(["SUBSCRIBE", "app:news"]));
      assertEquals(await writer.publish("app:news", "hello"), 1);
      await until("the message", () => heard.length === 1);
      assertEquals(heard, ["hello"]);
      // The right is taken away: nothing more is heard, though the subscription stands.
      const elsewhere = { ...grant("read"), prefix: "elsewhere:" };
      await cluster.order({ req_type: "role_set", role: "read", grants: [elsewhere] });
      for (let i = 0; await writer.publish("app:news", "secret") > 0; i++) {
        assert(i < 1_000, "the change counts at last");
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    } finally {
      reader.destroy();
      writer.destroy();
    }
  },
});
