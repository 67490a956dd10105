/**
 * Several coordinators as real processes: the active one dies, stands still, comes back; the set changes; the majority
 * is gone. Reads and writes go on throughout.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { COORDINATOR } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";
import { TestCoordinators } from "../../support/worlds/coordinators.ts";
import { Workload } from "../../support/clients/workload.ts";

const OTHERS = (index: number) => [0, 1, 2].filter((one) => one !== index);

/** Waits for more writes than there were: the workload goes on. */
async function moreWrites(cluster: TestCluster, workload: Workload): Promise<void> {
  const enough = workload.writes + 200;
  await cluster.poll(
    "more writes",
    () => Promise.resolve(workload.writes > enough ? true : undefined),
  );
}

Deno.test("coordinators: the active one is killed with a node, then another stands still; nobody notices", async (t) => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  await using coordinators = await TestCoordinators.add(cluster, 2);
  await using kv = await coordinators.connect();
  await using workload = Workload.start(kv, "loop");
  await moreWrites(cluster, workload);

  await t.step("another one takes over, and fails the node over", async () => {
    const victim = await cluster.primaryOf("loop-0");
    const begin = performance.now();
    await Promise.all([cluster.crash(victim), coordinators.processOf(0).crash()]);
    const active = await coordinators.active([1, 2]);
    const tookMs = performance.now() - begin;
    await kv.put("loop-0-after", "x", { timeoutMs: 60_000 });
    await cluster.poll("the node is down, and no partition is without a primary", async () => {
      const reply = await coordinators.askOne(active, { req_type: "stats" });
      const stats = reply.result as { unavailable_partitions: number; nodes: { down: number } };
      return stats.unavailable_partitions === 0 && stats.nodes.down === 1 ? true : undefined;
    });
    const servedMs = performance.now() - begin;
    console.log(
      `another coordinator was active after ${Math.round(tookMs)} ms, and all partitions had a ` +
        `primary after ${Math.round(servedMs)} ms`,
    );
    await cluster.restart(victim);
  });

  await t.step("the killed one comes back, and is level", async () => {
    await coordinators.restart(0);
    await coordinators.level(0);
  });

  await t.step(
    "the active one stands still: another takes over; it goes on, and stands down",
    async () => {
      const before = await coordinators.active();
      const process = coordinators.processOf(before);
      process.signal("SIGSTOP");
      const active = await coordinators.active(OTHERS(before));
      assert(active !== before);
      process.signal("SIGCONT");
      await cluster.poll("the one that stood still stands down", async () => {
        const own = await coordinators.askOne(before, { req_type: "stats" });
        return (own.result as { active: boolean }).active ? undefined : true;
      });
      await coordinators.level(before);
    },
  );

  const { errors, violations } = await workload.stop();
  assertEquals([errors, violations, await workload.verify()], [[], [], []]);
});

Deno.test("coordinators: without a majority data is served and membership waits; it goes on by itself", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  await using coordinators = await TestCoordinators.add(cluster, 2);
  await using kv = await coordinators.connect();
  await using workload = Workload.start(kv, "loop");
  await moreWrites(cluster, workload);
  const coordinatorsNow = async () => {
    const { host, port } = coordinators.addressOf(2);
    const { stdout } = await cluster.client(`--seeds=${host}:${port}`, "doctor", "--json");
    const all = JSON.parse(stdout) as { about: string; verdict: string; text: string }[];
    return all.find(({ about }) => about === "coordinators");
  };
  const well = await coordinatorsNow();
  assertEquals(well?.verdict, "ok", well?.text);
  assertStringIncludes(well?.text ?? "", "3, of which 1 may be away; c1 is active since");

  await Promise.all([0, 1].map((index) => coordinators.processOf(index).crash()));
  await cluster.poll("the survivor does not act", async () => {
    const reply = await coordinators.askOne(2, { req_type: "coordinators" });
    return reply.req_type === "error" ||
        (reply.result as { right: boolean }).right === false
      ? true
      : undefined;
  });
  await moreWrites(cluster, workload);
  const hurt = await coordinatorsNow();
  assertEquals(hurt?.verdict, "bad");
  assertStringIncludes(
    hurt?.text ?? "",
    "none can act: 1 of 3 answer, and 2 have to reach each other",
  );
  // A node's console knows of them as well.
  const { host, port } = cluster.nodeHttpAddress(0);
  const page = await fetch(`http://${host}:${port}/console/snapshot`);
  const { alerts } = await page.json() as { alerts: { name: string }[] };
  assertEquals(alerts.map(({ name }) => name).filter((name) => name.includes("Active")), [
    "KvNoActiveCoordinator",
  ]);
  // The survivor's gateway serves, too.
  assertEquals((await coordinators.askOne(2, { req_type: "get_map" })).req_type, "map");
  await coordinators.restart(0);
  await coordinators.active([0, 2]);
  await coordinators.restart(1);
  await coordinators.level(1);
  const { errors, violations } = await workload.stop();
  assertEquals([errors, violations], [[], []]);
});

Deno.test("coordinators: from one to three and back to one, which is another one", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  await using kv = await cluster.connect();
  await using workload = Workload.start(kv, "loop");
  await using coordinators = await TestCoordinators.add(cluster, 2);
  const map = await cluster.poll("nodes know all coordinators", async () => {
    const reply = await cluster.ask(0, { req_type: "get_map" });
    const { coordinators: known } = reply.map as { coordinators?: { id: string }[] };
    return known?.length === 3 ? known : undefined;
  });
  assertEquals(map.map(({ id }) => id), ["c1", "c2", "c3"]);
  const { stdout } = await cluster.client("coordinators");
  assertStringIncludes(stdout, "standby");
  // The active one is taken out itself.
  await coordinators.change({ remove: ["c1", "c3"] });
  assertEquals(await coordinators.active([1]), 1);
  await moreWrites(cluster, workload);
  const out = await coordinators.askOne(0, { req_type: "coordinators" });
  assertEquals(out.req_type, "result", "one that is none any more shows the way");
  await cluster.waitForMap(1, (known) => known.coordinators?.length === 1);
  const { errors, violations } = await workload.stop();
  assertEquals([errors, violations], [[], []]);

  // One that was removed does not come back by itself.
  await coordinators.processOf(2).crash();
  await coordinators.restart(2);
  const reply = await coordinators.askOne(1, { req_type: "coordinators" });
  const { coordinators: lines } = reply.result as { coordinators: { id: string; role: string }[] };
  assertEquals(lines.filter(({ role }) => role !== "waiting").map(({ id }) => id), ["c2"]);
});

Deno.test("coordinators: an emptied folder and an old copy come back as learners", async (t) => {
  await using cluster = await TestCluster.start({ nodes: 1, replicationFactor: 1 });
  await using coordinators = await TestCoordinators.add(cluster, 2);

  await t.step("an emptied folder", async () => {
    await coordinators.processOf(1).crash();
    await Deno.remove(coordinators.folderOf(1), { recursive: true });
    await coordinators.restart(1);
    await coordinators.level(1);
  });

  await t.step("an old copy", async () => {
    await coordinators.processOf(2).crash();
    const file = `${coordinators.folderOf(2)}/register.json`;
    const copy = await Deno.readFile(file);
    await coordinators.restart(2);
    await coordinators.level(2);
    await coordinators.processOf(2).crash();
    await Deno.writeFile(file, copy);
    await coordinators.restart(2);
    const process = coordinators.processOf(2);
    await cluster.poll(
      "it says that its folder is an old copy",
      () =>
        Promise.resolve(process.log.some((line) => line.includes("old copy")) ? true : undefined),
    );
    await coordinators.level(2);
  });
});

Deno.test("coordinators: one survivor of three goes on alone, and another one that comes back does not", async () => {
  await using cluster = await TestCluster.start({ nodes: 1, replicationFactor: 1 });
  await using coordinators = await TestCoordinators.add(cluster, 2);
  await using kv = await coordinators.connect();
  await kv.put("k", "v");
  await Promise.all([0, 1, 2].map((index) => coordinators.processOf(index).crash()));
  const { host, port } = coordinators.addressOf(2);
  const recovering = () =>
    new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        ...COORDINATOR.permissions,
        new URL(`../../../${COORDINATOR.entry}`, import.meta.url).pathname,
        host,
        String(port),
        `--data=${coordinators.folderOf(2)}`,
        "--recover",
      ],
      cwd: cluster.folder,
    });
  // The second time, as an operator does it who was cut off before the answer.
  for (const [wanted, text] of [[0, "c3 goes on alone"], [1, "only one already"]] as const) {
    const { code, stdout, stderr } = await recovering().output();
    const said = new TextDecoder().decode(wanted === 0 ? stdout : stderr);
    assertEquals(code, wanted, new TextDecoder().decode(stderr));
    assertStringIncludes(said, text);
  }
  await coordinators.restart(2);
  assertEquals(await coordinators.active([2]), 2);
  await coordinators.restart(1);
  const process = coordinators.processOf(1);
  await cluster.poll(
    "it is told that it was removed",
    () =>
      Promise.resolve(process.log.some((line) => line.includes("was removed")) ? true : undefined),
  );
  assertEquals(await kv.getText("k"), "v");
  assertEquals(await coordinators.active([2]), 2);
});

Deno.test("coordinators: a secured cluster has several, too", async (t) => {
  await using cluster = await TestCluster.start({ nodes: 2, secured: true });
  await using coordinators = await TestCoordinators.add(cluster, 2);
  await using kv = await coordinators.connect();
  await kv.put("k", "v");

  await t.step(
    "a database is made, used and dropped over HTTP at a standby, by who may",
    async () => {
      const standby = await coordinators.active() === 1 ? 2 : 1;
      const { facts } = await coordinators.processOf(standby).ready;
      const { credentials } = cluster;
      assert(credentials !== undefined);
      const { ca, user, password } = credentials;
      using client = Deno.createHttpClient({ caCerts: [ca] });
      const ask = async (method: string, path: string, as: string) => {
        const headers = { authorization: `Basic ${btoa(as)}` };
        const url = `https://127.0.0.1:${facts.http}/db/${path}`;
        const body = method === "PUT" && path.includes("/kv/") ? { body: "v" } : {};
        const response = await fetch(url, { method, client, headers, ...body });
        return [response.status, await response.text()] as const;
      };
      const admin = `${user}:${password}`;
      const added = await coordinators.askOne(standby, {
        req_type: "user_add",
        user: "carl",
        password: "correct horse battery",
      });
      assertEquals(added.req_type, "result", JSON.stringify(added));
      const carl = "carl:correct horse battery";
      await cluster.poll(
        "the standby knows carl",
        async () => (await ask("PUT", "orders", carl))[0] === 403 ? true : undefined,
      );
      const [made, document] = await ask("PUT", "orders?together&max_keys=5", admin);
      assertEquals(made, 201, document);
      assertEquals(JSON.parse(document).placement, "together");
      assertEquals((await ask("PUT", "orders", admin))[0], 409);
      assertEquals(JSON.parse((await ask("GET", "orders", admin))[1]).max_keys, 5);
      // A node may read of it a moment later.
      await cluster.poll(
        "the first key",
        async () => (await ask("PUT", "orders/kv/k", admin))[0] < 300 ? true : undefined,
      );
      assertEquals((await ask("GET", "orders/kv/k", admin))[1], "v");
      assertEquals((await ask("DELETE", "orders?all=yes", carl))[0], 403);
      assertEquals((await ask("DELETE", "orders?all=yes", admin))[0], 200);
      assertEquals((await ask("GET", "orders", admin))[0], 404);
      assertEquals((await ask("DELETE", "orders?all=yes", admin))[0], 404);
    },
  );

  await t.step("each one's next certificate, which it signs itself, is in the list", async () => {
    const certificates = async () => {
      const reply = await coordinators.ask({ req_type: "cert_list" });
      return reply?.result as { readonly id: string; readonly serial: string }[];
    };
    const before = new Set((await certificates()).map(({ serial }) => serial));
    assertEquals((await coordinators.ask({ req_type: "cert_rotate" }))?.req_type, "result");
    await cluster.poll("a new certificate of each coordinator and node", async () => {
      const made = (await certificates()).filter(({ serial }) => !before.has(serial));
      return new Set(made.map(({ id }) => id)).size === 5 ? true : undefined;
    });
  });

  await t.step("an order at any of them counts at all", async () => {
    const added = await coordinators.askOne(2, {
      req_type: "user_add",
      user: "alice",
      password: "correct horse battery",
    });
    assertEquals(added.req_type, "result", JSON.stringify(added));
    await coordinators.processOf(0).crash();
    const active = await coordinators.active([1, 2]);
    const listed = await coordinators.askOne(active, { req_type: "user_list" });
    assertStringIncludes(JSON.stringify(listed.result), "alice");
    assertEquals(await kv.getText("k"), "v");
    await kv.put("k", "w");
  });

  await t.step("a node's token makes no coordinator, and none without one", async () => {
    const token = await cluster.poll("a token", async () => {
      const made = await coordinators.ask({ req_type: "token_create", join: "node" }, [1, 2]);
      return (made?.result as { text?: string } | undefined)?.text;
    });
    for (const env of [{ KV_JOIN_TOKEN: token }, {}]) {
      const { host, port } = coordinators.addressOf(1);
      const process = ServerProcess.start(COORDINATOR, [
        "--host=127.0.0.1",
        "--port=0",
        "--heartbeat-port=0",
        "--discovery=off",
        "--no-cs-config",
        `--join=${host}:${port}`,
        `--data=${cluster.folder}/false-${Object.keys(env).length}`,
        "--secure",
      ], { cwd: cluster.folder, detached: false, env });
      process.ready.catch(() => {});
      const { success } = await process.status;
      assertEquals(success, false);
      assertStringIncludes(process.lastWords(), "token create --join coordinator");
    }
  });
});
