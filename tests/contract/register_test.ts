/** The registers that need no process of another kind keep to the contract; `etcd_register_test.ts` has the real etcd. */
import { formatEnvelope, parseEnvelope } from "../../coordinator/agreement/envelope.ts";
import { RegisterRunner } from "../../coordinator/agreement/register_runner.ts";
import { setOf } from "../../coordinator/register/coordinator_set.ts";
import { readOrBegin } from "../../coordinator/register/etcd/etcd_document.ts";
import { EtcdRegister } from "../../coordinator/register/etcd/etcd_register.ts";
import type { Outgoing } from "../../coordinator/register/messages.ts";
import { WHOLE_DOCUMENTS } from "../../coordinator/register/register.ts";
import { blankRecord, firstRecord } from "../../coordinator/register/register_record.ts";
import { SeededRandom } from "../../shared/platform/random.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";
import { MemoryDocumentStore } from "../support/doubles/memory_document_store.ts";
import { NO_LOG } from "../support/doubles/no_log.ts";
import { SimulatedEtcd } from "../support/doubles/simulated_etcd.ts";
import {
  type Appended,
  registerContract,
  type RegisterPlace,
  RegisterSide,
} from "./register_contract.ts";

const IDS = ["c1", "c2", "c3"] as const;
const WITHIN_MS = 60_000;
const LOOK_MS = 5;
const DELAY_MS = 2;

/** Sides whose time is a manual clock's. */
class ManualPlace implements RegisterPlace {
  readonly clock = new ManualClock();
  readonly random = new SeededRandom(15);
  readonly sides: RegisterSide[] = [];

  async until(what: string, isTrue: () => boolean): Promise<void> {
    const endMs = this.clock.monotonicMs() + WITHIN_MS;
    while (!isTrue()) {
      if (this.clock.monotonicMs() > endMs) throw new Error(`not in ${WITHIN_MS} ms: ${what}`);
      await this.clock.run(LOOK_MS);
    }
  }

  /** Lets time pass until the promise has settled. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const noted = promise.finally(() => isSettled = true);
    await this.until("it settles", () => isSettled);
    return await noted;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const open = this.sides.filter(({ isClosed }) => !isClosed);
    await this.settled(Promise.all(open.map((side) => side.close())));
  }
}

/** Three coordinators that agree, over a network in memory. */
function agreeing(): Promise<RegisterPlace> {
  const place = new ManualPlace();
  const { clock, random } = place;
  const cut = new Set<string>();
  const runs = new Map<string, string>();
  const runners = new Map<string, RegisterRunner<Appended>>();
  const members = IDS.map((id, i) => ({ id, folder: `f-${id}`, address: { host: "h", port: i } }));
  const [first] = members;
  const begun = firstRecord<Appended>(
    first ?? { id: "", folder: "", address: { host: "", port: 0 } },
    [
      "first",
    ],
  );
  const { accepted } = begun;
  const known = accepted && {
    ...accepted,
    document: { ...accepted.document, set: setOf(...members) },
  };
  const deliver = (from: string, { address, envelope }: Outgoing<Appended>) => {
    runs.set(envelope.from.run, from);
    const to = envelope.toRun === undefined ? IDS[address.port] : runs.get(envelope.toRun);
    const text = formatEnvelope(envelope);
    clock.setTimer(DELAY_MS, () => {
      if (to === undefined || cut.has(from) || cut.has(to)) return;
      runners.get(to)?.receive(parseEnvelope(JSON.parse(text), (body) => body as Appended));
    });
  };
  for (const { id, folder, address } of members) {
    const record = {
      ...blankRecord<Appended>(id, folder),
      promised: begun.promised,
      accepted: known,
    };
    const side = new RegisterSide(id, (events) => {
      const runner = new RegisterRunner<Appended>(
        { clock, random, log: NO_LOG, store: new MemoryDocumentStore() },
        {
          record,
          address,
          peers: [],
          differences: WHOLE_DOCUMENTS,
          send: (message) => deliver(id, message),
        },
        events,
      );
      runners.set(id, runner);
      return runner;
    }, (isCut) => isCut ? cut.add(id) : cut.delete(id));
    place.sides.push(side);
  }
  for (const { register } of place.sides) void register.start();
  return Promise.resolve(place);
}

/** Three coordinators at a simulated etcd. */
async function onSimulatedEtcd(): Promise<RegisterPlace> {
  const place = new ManualPlace();
  const { clock, random } = place;
  const etcd = new SimulatedEtcd(clock, random);
  const prefix = "kv/test";
  const parse = (body: unknown) => body as Appended;
  const links = IDS.map(() => ({ lost: 0, unanswered: 0, delayMs: DELAY_MS }));
  const reading = readOrBegin<Appended>(
    etcd.link({ lost: 0, unanswered: 0, delayMs: 0 }, clock),
    { prefix, first: () => ["first"], parse },
  );
  const found = await place.settled(reading);
  const started = IDS.map((id, i) => {
    const faults = links[i] ?? { lost: 0, unanswered: 0, delayMs: 0 };
    const side = new RegisterSide(
      id,
      (events) =>
        new EtcdRegister<Appended>(
          { clock, random, log: NO_LOG, gateway: etcd.link(faults, clock) },
          {
            prefix,
            member: { id, folder: `f-${id}`, address: { host: "h", port: i } },
            found,
            parse,
          },
          events,
        ),
      (isCut) => faults.lost = isCut ? 100 : 0,
    );
    place.sides.push(side);
    return side.register.start();
  });
  await place.settled(Promise.all(started));
  return place;
}

Deno.test("register: the agreement between coordinators keeps to the contract", async (t) => {
  await registerContract((name, body) => t.step(name, body), agreeing);
});

Deno.test("register: the one in a simulated etcd keeps to the contract", async (t) => {
  await registerContract((name, body) => t.step(name, body), onSimulatedEtcd);
});
