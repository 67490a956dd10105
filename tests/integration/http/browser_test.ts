/**
 * `kv-client/fetch` in a page of another origin, in Chromium: what `--cors-origin` and a user's rights allow, and
 * nothing else.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import { chromium, type Page } from "playwright-core";
import { runDeno } from "../../../tools/package/module_files.ts";
import { hasProgram, needing } from "../../support/needs.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const CHROMIUM = Deno.env.get("KV_CHROMIUM") ?? "/usr/bin/chromium";
const NEED = {
  met: hasProgram(CHROMIUM, "--version"),
  otherwise: "no chromium at /usr/bin/chromium or in KV_CHROMIUM",
};

/** Serves a page that has the module, at an origin of its own. */
function servePage(script: string): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, ({ url }) => {
    return new URL(url).pathname === "/fetch.js"
      ? new Response(script, { headers: { "content-type": "text/javascript" } })
      : new Response("<!doctype html><title>test</title>", {
        headers: { "content-type": "text/html" },
      });
  });
}

/** Runs a function body in the page, with `kv` and its options. @returns what it returns, or the error's code and text */
async function inPage(page: Page, options: object, body: string): Promise<unknown> {
  return await page.evaluate(`(async () => {
    const { fetchKv, KvError } = await import("/fetch.js");
    try {
      const kv = fetchKv(${JSON.stringify(options)});
      ${body}
    } catch (error) {
      return error instanceof KvError ? [error.code, error.message] : String(error);
    }
  })()`);
}

const READ_AND_WRITE = `
  const version = await kv.put("page:a/b c", "Zoë ☃");
  await kv.putJson("page:json", { n: 1 }, { ttlMs: 60_000 });
  const entry = await kv.getEntry("page:json");
  const codes = [];
  for (const call of [
    () => kv.put("page:json", "x", { ifVersion: 0 }),
    () => kv.increment("page:json"),
    () => kv.put("page:bytes", new Uint8Array([0, 255]), { ifVersion: 7_000_000 }),
  ]) await call().then(() => codes.push("none"), ({ code }) => codes.push(code));
  const keys = [];
  for await (const key of kv.keys({ prefix: "page:" })) keys.push(key);
  await kv.delete("page:n");
  const n = await kv.increment("page:n", 5);
  return [version > 0, await kv.getText("page:a/b c"), await kv.getJson("page:json"),
    entry.contentType, await kv.get("page:none"), codes, keys, String(n)];
`;
const READ_AND_WRITTEN = [
  true,
  "Zoë ☃",
  { n: 1 },
  "application/json",
  undefined,
  ["version_mismatch", "not_an_integer", "version_mismatch"],
  ["page:a/b c", "page:json"],
  "5",
];

/** Two watches, one of them by the browser's own EventSource, that are told of a write. */
const WATCH = (url: string) => `
  const heard = Promise.withResolvers();
  const source = new EventSource("${url}/watch?prefix=flag:&snapshot");
  source.addEventListener("put", ({ data }) => {
    const { key, value } = JSON.parse(data);
    if (value === "on") heard.resolve(key + " " + value);
  });
  await kv.put("flag:dark", "off");
  const told = [];
  for await (const event of kv.watch({ prefix: "flag:", snapshot: true })) {
    if (event.type === "put") told.push(event.key + " " + new TextDecoder().decode(event.value));
    if (event.type === "level") await kv.put("flag:dark", "on");
    if (told.at(-1) === "flag:dark on") break;
  }
  const last = await heard.promise;
  source.close();
  return [told, last];
`;

/** How an EventSource fares that is not allowed. */
const NO_SOURCE = (url: string) => `
  const source = new EventSource("${url}/watch?prefix=flag:&snapshot");
  return await new Promise((resolve) => {
    source.onerror = () => resolve("an error");
    source.addEventListener("level", () => resolve("an event"));
  }).finally(() => source.close());
`;

Deno.test({
  ...needing(
    "kv-client/fetch in Chromium: reads, writes and watches from another origin if that is allowed",
    NEED,
  ),
  async fn() {
    const script = await runDeno(["bundle", "--quiet", "--platform=browser", "client/fetch.ts"]);
    await using server = servePage(script);
    const origin = `http://127.0.0.1:${server.addr.port}`;
    await using cluster = await TestCluster.start({
      nodes: 2,
      replicationFactor: 1,
      minInSync: 1,
      coordinatorFlags: [`--cors-origin=${origin}`],
    });
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
    try {
      const page = await browser.newPage();
      await page.goto(origin);
      const [allowed, other] = [await cluster.addNode([`--cors-origin=${origin}`]), 0].map(
        (index) => {
          const { host, port } = cluster.nodeHttpAddress(index);
          return `http://${host}:${port}`;
        },
      );
      assertEquals(await inPage(page, { urls: allowed }, READ_AND_WRITE), READ_AND_WRITTEN);
      assertEquals(await inPage(page, { urls: allowed }, WATCH(allowed ?? "")), [
        ["flag:dark off", "flag:dark on"],
        "flag:dark on",
      ]);

      // A node that does not know the page: the browser hides what it answers, and the write is refused.
      const refused = { urls: other, timeoutMs: 500 };
      const [code] = await inPage(page, refused, `return await kv.put("page:x", "y")`) as string[];
      assertEquals(code, "outcome_unknown");
      const [reading] = await inPage(
        page,
        refused,
        `return await kv.getText("page:n")`,
      ) as string[];
      assertMatch(reading ?? "", /^(unavailable|timeout)$/);
      const [watching] = await inPage(
        page,
        refused,
        `for await (const event of kv.watch({ prefix: "flag:" })) return event;`,
      ) as string[];
      assertEquals(watching, "unavailable");
      assertEquals(await inPage(page, refused, NO_SOURCE(other ?? "")), "an error");
      assertEquals(
        await inPage(page, { urls: allowed }, `return await kv.getText("page:x")`),
        undefined,
      );

      // The next address answers instead of one where nobody is.
      const both = { urls: ["http://127.0.0.1:1", allowed] };
      assertEquals(await inPage(page, both, `return await kv.getText("page:n")`), "5");

      const login = { urls: allowed, user: "alice", password: "secret" };
      const [whyNot, text] = await inPage(page, login, `return await kv.getText("a")`) as string[];
      assertEquals(whyNot, "bad_config");
      assertMatch(text ?? "", /use https/);
    } finally {
      await browser.close();
    }
  },
});

Deno.test({
  ...needing(
    "kv-client/fetch in Chromium: in a secured cluster it reads, writes and watches what its user may",
    NEED,
  ),
  async fn() {
    const script = await runDeno(["bundle", "--quiet", "--platform=browser", "client/fetch.ts"]);
    await using server = servePage(script);
    const origin = `http://127.0.0.1:${server.addr.port}`;
    await using cluster = await TestCluster.start({
      nodes: 1,
      replicationFactor: 1,
      minInSync: 1,
      secured: true,
      nodeFlags: [`--cors-origin=${origin}`],
    });
    const password = "correct horse";
    const grants = ["read", "write"].map((right) => ({
      database: "default",
      prefix: "page:",
      right,
    }));
    await cluster.order({ req_type: "role_set", role: "pages", grants });
    await cluster.order({ req_type: "user_add", user: "alice", password, roles: ["pages"] });
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
    try {
      const context = await browser.newContext({ ignoreHTTPSErrors: true });
      const page = await context.newPage();
      await page.goto(origin);
      const { host, port } = cluster.nodeHttpAddress(0);
      const alice = { urls: `https://${host}:${port}`, user: "alice", password };
      assertEquals(await inPage(page, alice, READ_AND_WRITE), READ_AND_WRITTEN);
      const outside = await inPage(page, alice, `return await kv.put("other", "x")`) as string[];
      assertEquals(outside[0], "forbidden");
      const watched =
        `for await (const { type, key } of kv.watch({ prefix: "page:", snapshot: true })) {
        if (type === "put" && key === "page:json") return key;
      }`;
      assertEquals(await inPage(page, alice, watched), "page:json");
      const more = watched.replace("page:", "");
      assertEquals((await inPage(page, alice, more) as string[])[0], "forbidden");
      const wrong = { ...alice, password: "wrong" };
      const unknown = await inPage(page, wrong, `return await kv.getText("page:n")`) as string[];
      assertEquals(unknown[0], "unauthorized");
    } finally {
      await browser.close();
    }
  },
});
