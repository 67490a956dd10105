/**
 * The console in a browser, of real processes: it shows what is there, tells the truth while nodes die, changes data with
 * the rights of its user, and loads nothing from elsewhere.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Browser, chromium, type Page } from "playwright-core";
import { bundleText, hashOfBundle, hashOfSources } from "../../../tools/console.ts";
import { hasProgram, needing } from "../../support/needs.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const CHROMIUM = {
  met: hasProgram("chromium", "--version"),
  otherwise: "no chromium (Debian's package)",
};

const BUNDLER = {
  met: hasProgram(Deno.execPath(), "bundle", "--quiet", "--help") && await canBundle(),
  otherwise: "esbuild is not in Deno's cache, and cannot be fetched",
};

async function canBundle(): Promise<boolean> {
  return await bundleText().then(() => true, () => false);
}

Deno.test("console: the committed bundle has the hash of its sources; if not, run: deno task console", async () => {
  assertEquals(await hashOfBundle(), await hashOfSources());
});

Deno.test({
  ...needing(
    "console: the committed bundle is what the sources make; if not, run: deno task console",
    BUNDLER,
  ),
  fn: async () => {
    const committed = await Deno.readTextFile("shared/console/console_bundle.ts");
    assertEquals(await bundleText() === committed, true);
  },
});

/** A page that notes what it should not do. */
class Visit implements AsyncDisposable {
  readonly page: Page;
  readonly complaints: string[] = [];
  readonly #browser: Browser;

  private constructor(browser: Browser, page: Page, base: string) {
    this.#browser = browser;
    this.page = page;
    page.on("pageerror", (error) => this.complaints.push(error.message));
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(base) && !url.startsWith("data:")) this.complaints.push(`asks ${url}`);
    });
    page.on("console", (message) => {
      const text = message.text();
      if (text.includes("Content Security Policy")) this.complaints.push(text);
    });
  }

  static async of(base: string, secured = false): Promise<Visit> {
    const browser = await chromium.launch({
      executablePath: "/usr/bin/chromium",
      args: ["--no-sandbox"],
    });
    const page = await browser.newPage({ ignoreHTTPSErrors: secured });
    page.setDefaultTimeout(60_000);
    const visit = new Visit(browser, page, base);
    await page.goto(base);
    return visit;
  }

  /** Waits until the page has this text somewhere. */
  async shows(text: string | RegExp): Promise<void> {
    await this.page.getByText(text).first().waitFor();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
  }
}

function baseOf(port: number, secured = false): string {
  return `http${secured ? "s" : ""}://127.0.0.1:${port}/`;
}

Deno.test({
  ...needing(
    "console: shows the cluster, changes data, and tells the truth while a node and the coordinator die",
    CHROMIUM,
  ),
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    await using cluster = await TestCluster.start();
    await using kv = await cluster.connect();
    await kv.put("user:1", "alice");
    await kv.put("user:2", "bob");
    await kv.put("other", "x");
    const coordinator = baseOf(cluster.coordinatorFacts.http ?? 0);
    await using visit = await Visit.of(coordinator);
    const { page } = visit;
    await visit.shows("All is well");
    assertEquals(await page.locator("svg.partition").count(), 32);
    assertEquals(await page.locator("tbody tr:has(th small)").count(), 3);
    assertEquals(await page.locator("canvas").count(), 6);

    // The keyboard alone reaches everything.
    await page.locator(".partitions").focus();
    await page.keyboard.press("ArrowRight");
    await visit.shows(/^partition 1: primary/);

    const made = await kv.createDatabase("orders", { together: true, maxKeys: 1_000 });
    assertEquals(made.name, "orders");
    await kv.database("orders").put("o", "1", { ttlMs: 600_000 });
    const row = page.getByRole("region", { name: "Databases" }).getByRole("row", {
      name: /orders together 1 of 1000 1 \d+ B/,
    });
    await row.waitFor();
    await page.getByRole("link", { name: "Data" }).click();
    await page.getByRole("searchbox").fill("user:");
    await visit.shows("2 keys");
    await page.getByRole("button", { name: "user:1" }).click();
    const value = page.getByLabel("Value");
    await visit.shows("does not expire");
    assertEquals(await value.inputValue(), "alice");
    await value.fill("alice, changed");
    await page.getByRole("button", { name: "Save" }).click();
    await visit.shows("Saved.");
    assertEquals(await kv.getText("user:1"), "alice, changed");
    // Somebody else was faster: nothing is overwritten.
    await kv.put("user:1", "by another");
    await value.fill("too late");
    await page.getByRole("button", { name: "Save" }).click();
    await visit.shows(/version/);
    await page.locator(".error").waitFor();
    assertEquals(await kv.getText("user:1"), "by another");
    await page.getByRole("button", { name: "Read again" }).click();
    await page.getByLabel("lives for").fill("10m");
    await page.getByRole("button", { name: "Set" }).click();
    await visit.shows("Its end is set.");
    await visit.shows("expires in");
    page.once("dialog", (dialog) => void dialog.accept());
    await page.getByRole("button", { name: "Delete" }).click();
    await visit.shows("1 key");
    assertEquals(await kv.get("user:1"), undefined);

    // What others change is shown as it happens, and new keys are in the list.
    await page.getByRole("searchbox").fill("live:");
    await page.getByLabel("Live").check();
    await visit.shows("No changes yet.");
    await kv.put("live:1", "x");
    await page.getByRole("button", { name: /put live:1$/ }).waitFor();
    await page.getByRole("button", { name: "live:1", exact: true }).waitFor();
    await kv.delete("live:1");
    await page.getByRole("button", { name: /delete live:1$/ }).waitFor();
    await page.getByLabel("Live").uncheck();

    await page.getByRole("link", { name: "Query" }).click();
    const query = page.getByLabel("Query", { exact: true }).locator("input");
    await query.fill("incr");
    // The page asks for the operations first.
    await page.getByRole("button", { name: "increment", exact: true }).waitFor();
    await page.keyboard.press("Tab");
    await cluster.poll(
      "the word is completed",
      async () => await query.inputValue() === "increment " ? true : undefined,
    );
    await query.pressSequentially("hits by=5");
    await page.keyboard.press("Enter");
    await visit.shows(/"result": "5"/);
    await query.fill("get nothing");
    await page.keyboard.press("Enter");
    await visit.shows(/no such key/);

    await page.getByRole("link", { name: "Overview" }).click();
    await cluster.crash(0);
    await visit.shows(/is down$/);
    await visit.shows("degraded");
    assertEquals(await page.getByText("All is well").count(), 0);
    await cluster.restart(0);
    await visit.shows("All is well");

    await cluster.coordinatorProcess.crash();
    await visit.shows("This process does not answer.");
    await visit.shows(/What is shown is .* old/);
    assertEquals(visit.complaints, []);

    // A node's page shows what is left.
    await using other = await Visit.of(baseOf(cluster.nodeHttpAddress(1).port));
    await other.shows(/has lost the coordinator/);
    assertEquals(other.complaints, []);
  },
});

Deno.test({
  ...needing(
    "console: in a secured cluster nothing is shown without a login, and its user's rights count",
    CHROMIUM,
  ),
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    await using cluster = await TestCluster.start({
      secured: true,
      nodes: 2,
      replicationFactor: 2,
    });
    const password = "correct horse";
    const grants = [
      { database: "default", prefix: "", right: "monitor" },
      { database: "default", prefix: "app:", right: "read" },
    ];
    await cluster.order({ req_type: "role_set", role: "looking", grants });
    await cluster.order({ req_type: "user_add", user: "alice", password, roles: ["looking"] });
    await using kv = await cluster.connect();
    await kv.put("app:1", "hers");
    await kv.put("secret", "not hers");
    const base = baseOf(cluster.coordinatorFacts.http ?? 0, true);
    await using visit = await Visit.of(base, true);
    const { page } = visit;
    const logIn = async (secret: string) => {
      await page.getByLabel("User", { exact: true }).fill("alice");
      await page.getByLabel(/^Password/).fill(secret);
      await page.getByRole("button", { name: "Log in" }).click();
    };
    await logIn("a guess");
    await visit.shows("login: user or password is wrong");
    await logIn(password);
    await visit.shows("All is well");
    await page.getByRole("link", { name: "Data" }).click();
    await visit.shows(/needs the right to read/);
    await page.getByRole("searchbox").fill("app:");
    await page.getByRole("button", { name: "app:1" }).click();
    const value = page.getByLabel("Value");
    await visit.shows("does not expire");
    await value.fill("changed");
    await page.getByRole("button", { name: "Save" }).click();
    await visit.shows(/needs the right to (read|write)/);
    assertEquals(await kv.getText("app:1"), "hers");
    assertEquals(visit.complaints, []);
    // Who may not see the cluster may still work with data, and is not refused again and again.
    await cluster.order({ req_type: "role_set", role: "looking", grants: grants.slice(1) });
    await visit.shows(/needs the right to monitor/);
    await page.getByRole("searchbox").fill("app");
    await page.getByRole("searchbox").fill("app:");
    await page.getByRole("button", { name: "app:1" }).waitFor();
  },
});

Deno.test("console: the page is the same for everybody, and may load nothing from elsewhere", async () => {
  await using cluster = await TestCluster.start({ nodes: 1, minInSync: 1 });
  for (const port of [cluster.coordinatorFacts.http ?? 0, cluster.nodeHttpAddress(0).port]) {
    for (
      const [path, type] of [["", "html"], ["console.js", "javascript"], ["console.css", "css"]]
    ) {
      const response = await fetch(`${baseOf(port)}${path}`);
      const text = await response.text();
      assertEquals(response.status, 200);
      assertMatch(response.headers.get("content-type") ?? "", new RegExp(`${type}; charset=utf-8`));
      const policy = response.headers.get("content-security-policy") ?? "";
      assertMatch(policy, /default-src 'none'/);
      assert(!policy.includes("unsafe"), policy);
      assert(text.length > 100);
    }
    // A page of another origin may neither read it nor frame it.
    const foreign = await fetch(`${baseOf(port)}console/snapshot`, {
      headers: { origin: "http://evil.example" },
    });
    assertEquals(foreign.headers.get("access-control-allow-origin"), null);
    await foreign.body?.cancel();
  }
  const port = cluster.coordinatorFacts.http ?? 0;
  // A hundred at once get the same text.
  const texts = await Promise.all(Array.from({ length: 100 }, async () => {
    return await (await fetch(`${baseOf(port)}console/snapshot`)).text();
  }));
  assertEquals(new Set(texts).size, 1);
});
