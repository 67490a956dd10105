import { assert, assertEquals, assertThrows } from "@std/assert";
import type { EtcdGateway } from "../../../../../coordinator/register/etcd/etcd_gateway.ts";
import { readOrBegin } from "../../../../../coordinator/register/etcd/etcd_document.ts";
import { EtcdRegister } from "../../../../../coordinator/register/etcd/etcd_register.ts";
import { KvError } from "../../../../../shared/base/errors.ts";
import { ETCD_TIMEOUT_MS } from "../../../../../shared/limits/membership.ts";
import { SeededRandom } from "../../../../../shared/platform/random.ts";
import { ManualClock } from "../../../../support/doubles/manual_clock.ts";
import { NO_LOG } from "../../../../support/doubles/no_log.ts";
import { SimulatedEtcd } from "../../../../support/doubles/simulated_etcd.ts";

const PREFIX = "kv/test";
const STEP_MS = 10;

/** One coordinator that holds the register, and a link whose answers can be held up. */
async function holding() {
  const clock = new ManualClock();
  const random = new SeededRandom(1);
  const etcd = new SimulatedEtcd(clock, random);
  const link = etcd.link({ lost: 0, unanswered: 0, delayMs: 0 }, clock);
  const way = { answersLateMs: 0, isCut: false };
  const gateway: EtcdGateway = {
    async call(path, body) {
      if (way.isCut) {
        await new Promise<void>((resolve) => clock.setTimer(ETCD_TIMEOUT_MS, resolve));
        throw new KvError("unavailable", "cut off");
      }
      const reply = await link.call(path, body);
      const { answersLateMs } = way;
      if (answersLateMs > 0) {
        await new Promise<void>((resolve) => clock.setTimer(answersLateMs, resolve));
      }
      return reply;
    },
    close() {},
  };
  const options = { prefix: PREFIX, first: () => "first", parse: String };
  const reading = readOrBegin(gateway, options);
  await clock.run(STEP_MS);
  const found = await reading;
  const told: string[] = [];
  const register = new EtcdRegister<string>({ clock, random, log: NO_LOG, gateway }, {
    prefix: PREFIX,
    member: { id: "c1", folder: "f1", address: { host: "h", port: 1 } },
    found,
    parse: String,
  }, {
    onHeld: () => told.push("held"),
    onLost: (reason) => told.push(`lost: ${reason}`),
    onChosen: ({ document }) => told.push(`chosen: ${document}`),
    onHolder() {},
    onMembers: () => told.push("members"),
  });
  const started = register.start();
  await clock.run(1_000);
  await started;
  assert(register.hasRight());
  const end = async () => {
    const closing = register.close();
    await clock.run(5_000);
    await closing;
  };
  return { clock, etcd, way, register, told, end };
}

Deno.test("etcd register: the right counts from the sending of the question, not from its answer", async () => {
  const { clock, etcd, way, register, end } = await holding();
  way.answersLateMs = 900;
  await clock.run(1_500);
  way.isCut = true;
  let sawTheEnd = false;
  for (let ms = 0; ms < 6_000; ms += STEP_MS) {
    await clock.run(STEP_MS);
    if (etcd.peek(`${PREFIX}/hold`) !== undefined) continue;
    sawTheEnd = true;
    assertEquals(register.hasRight(), false);
  }
  assert(sawTheEnd);
  await end();
});

Deno.test("etcd register: the hold is deleted by hand, and is noticed with the next question", async () => {
  const { clock, etcd, register, told, end } = await holding();
  etcd.delete(`${PREFIX}/hold`);
  await clock.run(500);
  assert(told.includes("lost: its lease at etcd has ended"));
  // It is free, so the same one takes it again.
  await clock.run(2_000);
  assert(register.hasRight());
  assertEquals(told.filter((text) => text === "held").length, 2);
  await end();
});

Deno.test("etcd register: a change whose answer is lost is known in the end", async () => {
  const { clock, way, register, told, end } = await holding();
  const outcomes: string[] = [];
  way.answersLateMs = 10 * ETCD_TIMEOUT_MS;
  register.compareAndSet(
    register.read().stamp,
    "second",
    ({ type }) => void outcomes.push(type),
  );
  // A second one, while it is under way, is refused.
  register.compareAndSet(
    register.read().stamp,
    "third",
    ({ type }) => void outcomes.push(type),
  );
  await clock.run(STEP_MS);
  assertEquals(outcomes, ["changed"]);
  way.answersLateMs = 0;
  await clock.run(11 * ETCD_TIMEOUT_MS);
  assertEquals(outcomes[1], "chosen");
  assert(told.includes("chosen: second"));
  await end();
});

Deno.test("etcd register: others are not added by an order", async () => {
  const { register, told, end } = await holding();
  assert(told.includes("members"));
  const error = assertThrows(() => register.want(), KvError);
  assertEquals(error.code, "bad_request");
  await end();
});
