/**
 * The register in a real etcd of three members: what `coordinator/register/register.ts` promises, while members are stopped,
 * and with a login.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { startEtcd } from "../../../bench/compare/systems/etcd_system.ts";
import { Running, type System } from "../../../bench/compare/systems/system.ts";
import { DenoEtcd } from "../../../coordinator/register/etcd/deno_etcd.ts";
import { readOrBegin } from "../../../coordinator/register/etcd/etcd_document.ts";
import { EtcdRegister } from "../../../coordinator/register/etcd/etcd_register.ts";
import type { Outcome, Stamped } from "../../../coordinator/register/register.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { Secret } from "../../../shared/base/secret.ts";
import { ETCD_PIECE_BYTES } from "../../../shared/limits/membership.ts";
import type { EtcdGateway } from "../../../coordinator/register/etcd/etcd_gateway.ts";
import {
  type Appended,
  registerContract,
  type RegisterPlace,
  RegisterSide,
} from "../../contract/register_contract.ts";
import { SystemClock } from "../../../shared/platform/clock.ts";
import { SystemRandom } from "../../../shared/platform/random.ts";
import { NO_LOG } from "../../support/doubles/no_log.ts";
import { hasProgram, needing } from "../../support/needs.ts";

const NEEDS_ETCD = { met: hasProgram("etcd", "--version"), otherwise: "no etcd" };
const PREFIX = "kv/test";
const WAIT_MS = 60_000;
const POLL_MS = 20;

interface Document {
  readonly text: string;
}

/** A coordinator's part, and what it was told. */
class Side implements AsyncDisposable {
  readonly register: EtcdRegister<Document>;
  readonly etcd: DenoEtcd;
  holding = false;

  static async start(
    id: string,
    endpoints: readonly string[],
    login?: { user: string; password: Secret },
  ): Promise<Side> {
    const etcd = new DenoEtcd({ endpoints, login });
    const found = await readOrBegin<Document>(etcd, {
      prefix: PREFIX,
      first: () => ({ text: "the first one" }),
      parse: (document) => document as Document,
    });
    const side = new Side(id, etcd, found);
    await side.register.start();
    return side;
  }

  private constructor(id: string, etcd: DenoEtcd, found: Stamped<Document>) {
    this.etcd = etcd;
    this.register = new EtcdRegister<Document>({
      clock: new SystemClock(),
      random: new SystemRandom(),
      log: NO_LOG,
      gateway: this.etcd,
    }, {
      prefix: PREFIX,
      member: { id, folder: id, address: { host: "127.0.0.1", port: 1 } },
      found,
      parse: (document) => document as Document,
    }, {
      onHeld: () => this.holding = true,
      onLost: () => this.holding = false,
      onChosen() {},
      onHolder() {},
    });
  }

  get text(): string {
    return this.register.read().document.text;
  }

  change(text: string, expected = this.register.read().stamp): Promise<Outcome> {
    return new Promise((resolve) => this.register.compareAndSet(expected, { text }, resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.register.close();
    this.etcd.close();
  }
}

/** Waits for what comes of what goes on. */
async function until(what: string, isTrue: () => boolean): Promise<void> {
  const endMs = performance.now() + WAIT_MS;
  while (!isTrue()) {
    if (performance.now() > endMs) throw new Error(`not in ${WAIT_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** A change, by whoever holds the register; on a busy machine it may be lost, and another one's then. */
async function changedBy(sides: readonly Side[], text: string): Promise<Side> {
  for (;;) {
    await until("one holds it", () => sides.some(({ holding }) => holding));
    const side = sides.find(({ holding }) => holding);
    if (side !== undefined && (await side.change(text)).type === "chosen") return side;
  }
}

async function withEtcd(
  members: 1 | 3,
  body: (etcd: System, endpoints: readonly string[]) => Promise<void>,
) {
  const folder = await Deno.makeTempDir();
  try {
    await using running = new Running();
    const etcd = await startEtcd(members, folder, running);
    await body(etcd, etcd.endpoints.map(({ host, port }) => `http://${host}:${port}`));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Three coordinators at a real etcd, under a prefix of their own. */
async function placeAt(endpoints: readonly string[], prefix: string): Promise<RegisterPlace> {
  const parse = (document: unknown) => document as Appended;
  const links = ["c1", "c2", "c3"].map((id) => ({
    id,
    isCut: false,
    etcd: new DenoEtcd({ endpoints }),
  }));
  const sides: RegisterSide[] = [];
  for (const link of links) {
    const { id, etcd } = link;
    const found = await readOrBegin<Appended>(etcd, { prefix, first: () => ["first"], parse });
    const gateway: EtcdGateway = {
      call: (path, body) =>
        link.isCut
          ? Promise.reject(new KvError("unavailable", "the link is cut"))
          : etcd.call(path, body),
      close: () => etcd.close(),
    };
    const side = new RegisterSide(
      id,
      (events) =>
        new EtcdRegister<Appended>(
          { clock: new SystemClock(), random: new SystemRandom(), log: NO_LOG, gateway },
          { prefix, member: { id, folder: id, address: { host: "h", port: 1 } }, found, parse },
          events,
        ),
      (isCut) => link.isCut = isCut,
    );
    sides.push(side);
    await side.register.start();
  }
  return {
    sides,
    until,
    settled: (promise) => promise,
    async [Symbol.asyncDispose]() {
      await Promise.all(sides.filter(({ isClosed }) => !isClosed).map((side) => side.close()));
      for (const { etcd } of links) etcd.close();
    },
  };
}

Deno.test({
  ...needing("register: the one in a real etcd keeps to the contract", NEEDS_ETCD),
  async fn(t) {
    await withEtcd(1, async (_, endpoints) => {
      let count = 0;
      await registerContract(
        (name, body) => t.step(name, body),
        () => placeAt(endpoints, `kv/contract-${++count}`),
      );
    });
  },
});

Deno.test({
  ...needing(
    "etcd register: one holds it, others follow, and take over; whatever members do",
    NEEDS_ETCD,
  ),
  async fn() {
    await withEtcd(3, async (etcd, endpoints) => {
      await using one = await Side.start("c1", endpoints);
      await until("the first one holds it", () => one.holding);
      assert(one.register.hasRight());
      assertEquals(one.text, "the first one");
      await using other = await Side.start("c2", endpoints);
      await until("the second one follows", () => other.text === "the first one");
      assertEquals(other.register.state.holder?.id, "c1");
      assertEquals(other.register.hasRight(), false);

      assertEquals((await one.change("the second one")).type, "chosen");
      await until("the change is heard of", () => other.text === "the second one");
      await until("both are listed", () => one.register.set.voters.length === 2);

      // Of more than one piece, which does not compress.
      const long = Array.from(
        { length: 30 },
        () => crypto.getRandomValues(new Uint8Array(65_536)).toBase64(),
      ).join("");
      assert(long.length > 3 * ETCD_PIECE_BYTES);
      assertEquals((await one.change(long)).type, "chosen");
      await until("a long one is read", () => other.text === long);

      // One member of etcd is stopped: the others answer.
      const [first, second] = etcd.processes;
      Deno.kill(first?.pid ?? 0, "SIGSTOP");
      const active = await changedBy([one, other], "with two members");
      // The majority is: nobody has the right, and a change waits.
      Deno.kill(second?.pid ?? 0, "SIGSTOP");
      await until(
        "the right ends",
        () => !one.register.hasRight() && !other.register.hasRight(),
      );
      await until("that is said", () => active.register.state.diskFailure !== undefined);
      for (const member of [first, second]) Deno.kill(member?.pid ?? 0, "SIGCONT");
      await until(
        "it goes on by itself",
        () => one.register.hasRight() || other.register.hasRight(),
      );
      const holder = one.register.hasRight() ? one : other;
      await until("it is the holder", () => holder.holding);
      assertEquals(holder.text, "with two members");
    });
  },
});

Deno.test({
  ...needing("etcd register: with a login; what is wrong is told with its code", NEEDS_ETCD),
  async fn() {
    await withEtcd(3, async (_, endpoints) => {
      const admin = new DenoEtcd({ endpoints });
      await admin.call("/v3/auth/user/add", { name: "root", password: "of root" });
      await admin.call("/v3/auth/role/add", { name: "root" });
      await admin.call("/v3/auth/user/grant", { user: "root", role: "root" });
      await admin.call("/v3/auth/enable", {});
      const refused = await assertRejects(
        () => admin.call("/v3/kv/range", { key: "YQ==" }),
        KvError,
      );
      assertEquals(refused.code, "bad_request");
      admin.close();

      const wrong = new DenoEtcd({
        endpoints,
        login: { user: "root", password: new Secret("of nobody") },
      });
      const error = await assertRejects(() => wrong.call("/v3/kv/range", { key: "YQ==" }), KvError);
      assert(!error.message.includes("of nobody"));
      wrong.close();

      await using side = await Side.start("c1", endpoints, {
        user: "root",
        password: new Secret("of root"),
      });
      await until("it holds it", () => side.holding);
      assertEquals((await side.change("with a login")).type, "chosen");
    });
  },
});

Deno.test("etcd: what answers is no etcd, or nothing answers", async () => {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("<html>"),
  );
  const { port } = server.addr;
  const etcd = new DenoEtcd({ endpoints: [`http://127.0.0.1:${port}`] });
  const strange = await assertRejects(() => etcd.call("/v3/kv/txn", {}), KvError);
  assertEquals(strange.code, "unavailable");
  etcd.close();
  const nobody = new DenoEtcd({ endpoints: ["http://127.0.0.1:1"] });
  const silent = await assertRejects(() => nobody.call("/v3/kv/txn", {}), KvError);
  assertEquals(silent.code, "unavailable");
  nobody.close();
});
