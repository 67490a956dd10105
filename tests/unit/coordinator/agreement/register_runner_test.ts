import { assert, assertEquals } from "@std/assert";
import type { Outcome, Stamped } from "../../../../coordinator/register/register.ts";
import { WHOLE_DOCUMENTS } from "../../../../coordinator/register/register.ts";
import {
  blankRecord,
  firstRecord,
  parseRecord,
  type RegisterRecord,
} from "../../../../coordinator/register/register_record.ts";
import type { Outgoing } from "../../../../coordinator/register/messages.ts";
import { RegisterRunner } from "../../../../coordinator/agreement/register_runner.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import {
  COORDINATOR_DISK_RETRY_MS,
  COORDINATOR_PROMISE_BAR_MS,
  COORDINATOR_RESEND_MS,
} from "../../../../shared/limits/membership.ts";
import { MetricSet } from "../../../../shared/metrics/metric_set.ts";
import type { MetricName } from "../../../../shared/metrics/metric_table.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import type { Address } from "../../../../shared/platform/transport.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { MemoryDocumentStore } from "../../../support/doubles/memory_document_store.ts";
import { NO_LOG } from "../../../support/doubles/no_log.ts";

const HERE: Address = { host: "h", port: 1 };
const FIRST = firstRecord({ id: "c1", folder: "f1", address: HERE }, "first");

class Stage {
  readonly clock = new ManualClock();
  readonly store = new MemoryDocumentStore();
  readonly said: string[] = [];
  readonly sent: Outgoing<string>[] = [];
  held: Stamped<string> | undefined;
  readonly runner: RegisterRunner<string>;

  constructor(record: RegisterRecord<string>, address = HERE, peers: Address[] = []) {
    this.runner = new RegisterRunner<string>(
      { clock: this.clock, random: new SeededRandom(1), log: NO_LOG, store: this.store },
      {
        record,
        address,
        peers,
        differences: WHOLE_DOCUMENTS,
        send: (message) => void this.sent.push(message),
      },
      {
        onHeld: (held) => {
          this.held = held;
          this.said.push(`held ${held.document}`);
        },
        onLost: (reason) => void this.said.push(`lost ${reason}`),
        onChosen: ({ document }) => void this.said.push(`chosen ${document}`),
        onHolder: (holder) => void this.said.push(`holder ${holder?.id}`),
      },
    );
  }

  get disk(): RegisterRecord<string> {
    return parseRecord(JSON.parse(this.store.text ?? "{}"), String);
  }

  change(next: string): Outcome[] {
    const outcomes: Outcome[] = [];
    const stamp = this.runner.read()?.stamp ?? this.held?.stamp;
    if (stamp === undefined) throw new Error("nothing was chosen");
    this.runner.compareAndSet(stamp, next, (outcome) => void outcomes.push(outcome));
    return outcomes;
  }
}

Deno.test("RegisterRunner: one alone holds the register before any timer, from what its disk has", async () => {
  const stage = new Stage(FIRST);
  await stage.runner.start();
  assertEquals(stage.said.filter((line) => !line.startsWith("holder")), [
    "held first",
    "chosen first",
  ]);
  assertEquals([stage.runner.hasRight(), stage.runner.state.role], [true, "active"]);
  const { generation } = stage.held?.stamp ?? {};
  assertEquals([stage.disk.accepted?.stamp.generation, generation?.number], [generation, 2]);
  await stage.runner.close();
});

Deno.test("RegisterRunner.compareAndSet: told when it is on disk, and never from inside of the call", async () => {
  const stage = new Stage(FIRST);
  await stage.runner.start();
  stage.store.hold();
  const first = stage.change("second");
  await stage.clock.run(100);
  assertEquals(first, []);
  stage.store.release();
  await stage.clock.run(10);
  assertEquals(first.map(({ type }) => type), ["chosen"]);
  assertEquals(stage.disk.accepted?.document.body, "second");
  stage.runner.release();
  const late = stage.change("third");
  assertEquals(late, []);
  await stage.clock.run(10);
  assertEquals(late, [{ type: "changed" }]);
  await stage.runner.close();
});

Deno.test("RegisterRunner: a disk that takes nothing is told, and tried again", async () => {
  const stage = new Stage(FIRST);
  stage.store.failure = new KvError("storage_failed", "no space");
  await stage.runner.start();
  assertEquals([stage.runner.state.diskFailure, stage.runner.state.role], ["no space", "starting"]);
  stage.store.failure = undefined;
  await stage.clock.run(COORDINATOR_DISK_RETRY_MS + 200);
  assertEquals([stage.runner.state.diskFailure, stage.runner.state.role], [undefined, "active"]);
  await stage.runner.close();
});

Deno.test("RegisterRunner: with others, its start waits for its disk and not for them", async () => {
  const joining = new Stage(blankRecord("c2", "f2"), { host: "h", port: 2 }, [HERE]);
  await joining.runner.start();
  await joining.clock.run(COORDINATOR_RESEND_MS);
  assertEquals(joining.runner.state.role, "stranger");
  const questions = joining.sent.map(({ address, envelope }) => [address, envelope.body.type]);
  assertEquals(questions[0], [HERE, "hello"]);
  await joining.runner.close();

  const accepted = FIRST.accepted;
  if (accepted === undefined) throw new Error("there is a first document");
  const other = { id: "c2", folder: "f2", address: { host: "h", port: 2 } };
  const voters = [...accepted.document.set.voters, other];
  const stage = new Stage({
    ...FIRST,
    accepted: { ...accepted, document: { set: { voters, joint: false }, body: "first" } },
  });
  await stage.runner.start();
  assertEquals(stage.said, []);
  assertEquals(stage.runner.state.role, "starting");
  await stage.clock.run(2 * COORDINATOR_PROMISE_BAR_MS);
  assertEquals(stage.runner.hasRight(), false);
  await stage.runner.close();
});

Deno.test("RegisterRunner: an address that is another by now is written into the set", async () => {
  const elsewhere = { host: "h", port: 9 };
  const stage = new Stage(FIRST, elsewhere);
  await stage.runner.start();
  await stage.clock.run(200);
  assertEquals(stage.runner.set?.voters.map(({ address }) => address), [elsewhere]);
  await stage.runner.close();
});

Deno.test("RegisterRunner: who comes to the address of one that waited takes its place", async () => {
  const stage = new Stage(FIRST);
  await stage.runner.start();
  const greet = (id: string, port: number) =>
    stage.runner.receive({
      from: {
        id,
        folder: `folder of ${id}`,
        address: { host: "other", port },
        start: 1,
        run: `run of ${id}`,
        writes: 0,
        at: undefined,
      },
      to: undefined,
      toRun: undefined,
      body: { type: "hello" },
    });
  for (const [id, port] of [["c2", 1], ["c3", 2], ["c4", 1]] as const) greet(id, port);
  assertEquals(stage.runner.state.joining.map(({ id }) => id).toSorted(), ["c3", "c4"]);
  await stage.runner.close();
});

Deno.test("RegisterRunner.close: waits for a write, and calls nobody any more", async () => {
  const stage = new Stage(FIRST);
  await stage.runner.start();
  stage.store.hold();
  stage.change("second");
  const said = stage.said.length;
  const closed = stage.runner.close();
  stage.store.release();
  await closed;
  await stage.clock.run(1_000);
  assertEquals(stage.said.length, said);
  assertEquals(stage.disk.accepted?.document.body, "second");
});

Deno.test("RegisterRunner.metrics: writes, and changes by how they ended with the time that they took", async () => {
  const stage = new Stage(FIRST);
  await stage.runner.start();
  const told = (name: MetricName) => {
    const set = new MetricSet();
    stage.runner.metrics.collect(set);
    return set.samples(name);
  };
  const [before] = told("kv_register_write_seconds");
  stage.store.hold();
  const first = stage.change("second");
  await stage.clock.run(70);
  stage.store.release();
  await stage.clock.run(10);
  assertEquals(first.map(({ type }) => type), ["chosen"]);
  stage.runner.release();
  stage.change("third");
  await stage.clock.run(10);
  assertEquals(told("kv_register_changes_total"), [
    { labels: ["chosen"], value: 1 },
    { labels: ["changed"], value: 1 },
    { labels: ["lost"], value: 0 },
  ]);
  const [changes] = told("kv_register_change_seconds");
  const [writes] = told("kv_register_write_seconds");
  assert(typeof changes?.value === "object" && typeof writes?.value === "object");
  assert(typeof before?.value === "object");
  assertEquals(changes.value.sum, 0.07);
  assertEquals(Math.round(1_000 * (writes.value.sum - before.value.sum)), 70);
  await stage.runner.close();
});
