import { assertEquals, assertStringIncludes } from "@std/assert";
import type { CommandIo } from "../../../../../client/cli/command/command.ts";
import { KvClient } from "../../../../../client/library/kv_client.ts";
import { Session } from "../../../../../client/cli/session.ts";
import { CLIENT_SETTINGS } from "../../../../../client/cli/settings.ts";
import { SeededRandom } from "../../../../../shared/platform/random.ts";
import type { Reply } from "../../../../../shared/wire/messages.ts";
import { FakeNodes } from "../../../../support/worlds/fake_nodes.ts";
import { ManualClock } from "../../../../support/doubles/manual_clock.ts";
import { NO_LOGINS } from "../../../../support/doubles/no_logins.ts";

const ID = "4bac27231e730f85";

/** A session whose coordinator answers so, and somebody at the terminal who gives these answers. */
class Bench {
  readonly orders: object[] = [];
  readonly questions: string[] = [];
  answers: string[] | undefined;
  reply: Reply = { req_type: "result", result: { node: ID, forced: [] } };
  out = "";
  readonly #session: Session;

  constructor(coordinator = true) {
    const clock = new ManualClock();
    const client = new KvClient({
      clock,
      router: new FakeNodes(clock, new SeededRandom(3), 3, 8),
      coordinator: !coordinator ? undefined : {
        request: (message, _, done) => {
          this.orders.push(message);
          done(this.reply);
        },
        close: () => {},
      },
    });
    const ask = (question: string) => {
      this.questions.push(question);
      return Promise.resolve(this.answers?.shift() ?? "");
    };
    const io: CommandIo = {
      write: (data) => Promise.resolve(void (this.out += data)),
      note: (text) => void (this.out += text),
      input: undefined,
      openRead: () => Promise.reject(new Error("No such file")),
      createWhole: () => Promise.reject(new Error("Read-only")),
      openKvFile: () => Promise.reject(new Error("Read-only")),
      createKvFile: () => Promise.reject(new Error("Read-only")),
      openAnywhere: () => Promise.reject(new Error("Read-only")),
      progress: () => undefined,
      screen: undefined,
      ask: undefined,
      askSecret: undefined,
    };
    this.#session = new Session({
      logins: NO_LOGINS,
      client: () => Promise.resolve(client),
      io: Object.defineProperty(io, "ask", {
        get: () => this.answers === undefined ? undefined : ask,
      }),
      clock,
      random: new SeededRandom(1),
      options: CLIENT_SETTINGS,
      settings: {
        json: false,
        raw: false,
        timeoutMs: 1_000,
        consistency: "strong",
        acks: "all",
        database: undefined,
        keyColumn: undefined,
        format: "auto",
        giveUpAfterMs: 1_000,
      },
    });
  }

  async line(text: string): Promise<[exitCode: number, printed: string]> {
    this.out = "";
    const { exitCode } = await this.#session.runLine(text, new AbortController().signal);
    return [exitCode, this.out];
  }
}

Deno.test("forget-node asks at a terminal, and not if nobody can be asked", async () => {
  const bench = new Bench();
  assertEquals(await bench.line(`forget-node ${ID}`), [0, `node ${ID} is forgotten\n`]);
  const order = { req_type: "forget_node", node: ID, force: false };
  assertEquals(bench.orders.splice(0), [order]);
  bench.answers = ["no", ""];
  for (let i = 0; i < 2; i++) {
    const [code, text] = await bench.line(`forget-node ${ID}`);
    assertEquals(code, 2);
    assertStringIncludes(text, "not confirmed; nothing was done");
  }
  assertEquals([bench.orders, bench.questions.length], [[], 2]);
  bench.answers = ["y"];
  assertEquals((await bench.line(`forget-node ${ID} --force`))[0], 0);
  assertStringIncludes(bench.questions.at(-1) ?? "", "What only it holds is LOST.");
  assertEquals((await bench.line(`forget-node ${ID} --yes`))[0], 0);
  assertEquals(bench.questions.length, 3);
  assertEquals(bench.orders, [{ ...order, force: true }, order]);
});

Deno.test("forget-node prints what was forced, and why it was refused", async () => {
  const bench = new Bench();
  const forced = [{ partition: 3, node: "b", term: 4, last_seq: 9 }];
  bench.reply = { req_type: "result", result: { node: ID, forced } };
  assertStringIncludes((await bench.line(`forget-node ${ID} --force`))[1], "partition 3: node b");
  const [, json] = await bench.line(`forget-node ${ID} --force --json`);
  assertEquals(JSON.parse(json), {
    forgotten: ID,
    forced: [{ partition: 3, node: "b", term: 4, lastSeq: 9 }],
    revoked: [],
  });
  bench.reply = { req_type: "result", result: { node: ID, forced: [], revoked: ["5e"] } };
  assertStringIncludes(
    (await bench.line(`forget-node ${ID}`))[1],
    `node ${ID} is forgotten, and its certificates are revoked`,
  );
  bench.reply = { req_type: "error", code: "bad_request", message: "forget_node: it is up" };
  assertEquals(await bench.line(`forget-node ${ID}`), [
    2,
    "bad_request: forget_node: it is up",
  ]);
  const [code, text] = await new Bench(false).line(`forget-node ${ID}`);
  assertEquals(code, 4);
  assertStringIncludes(text, "name the coordinator's");
});
