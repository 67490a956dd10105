import { assertEquals } from "@std/assert";
import { Lease, type Moment } from "../../../../node/membership/lease.ts";

const LEASE = 1_500;
/** What the date is when the monotonic clock shows 0. */
const DATE = 1_700_000_000_000;

/** A moment at which both clocks have gone on alike since then, but for a date that is `aheadMs` ahead. */
function at(monotonicMs: number, aheadMs = 0): Moment {
  return { monotonicMs, wallMs: DATE + monotonicMs + aheadMs };
}

Deno.test("Lease: there is none before a heartbeat was acknowledged", () => {
  const lease = new Lease(() => LEASE);
  assertEquals(lease.isValid(at(0), 9), false);
});

Deno.test("Lease: counts from when the heartbeat was sent, and its end is not in it (rule L1)", () => {
  const lease = new Lease(() => LEASE);
  lease.renew(at(100));
  const table: [nowMs: number, valid: boolean][] = [
    [100, true],
    [100 + LEASE - 1, true],
    [100 + LEASE, false],
    [99_999, false],
  ];
  for (const [nowMs, valid] of table) assertEquals(lease.isValid(at(nowMs), 1), valid, `${nowMs}`);
});

Deno.test("Lease: a late acknowledgement of an early heartbeat takes nothing away", () => {
  const lease = new Lease(() => LEASE);
  lease.renew(at(1_000));
  lease.renew(at(200));
  assertEquals(lease.isValid(at(1_000 + LEASE - 1), 2), true);
});

Deno.test("Lease.require: there is none with a map older than one that was named (rule L1)", () => {
  const lease = new Lease(() => LEASE);
  lease.renew(at(0));
  lease.require(5);
  assertEquals([4, 5, 6].map((epoch) => lease.isValid(at(1), epoch)), [false, true, true]);
  lease.require(4);
  assertEquals([4, 5].map((epoch) => lease.isValid(at(1), epoch)), [false, true]);
});

Deno.test("Lease: time for which the machine was suspended counts, though one clock stood still (rule L1)", () => {
  const lease = new Lease(() => LEASE);
  lease.renew(at(1_000));
  assertEquals(lease.isValid(at(1_100), 1), true);
  const suspended = (ms: number) => lease.isValid(at(1_100, ms), 1);
  assertEquals([LEASE - 101, LEASE - 100, 86_400_000].map(suspended), [true, false, false]);
  // What is acknowledged now was sent before: others may have taken over since.
  lease.renew(at(1_050));
  assertEquals(lease.isValid(at(1_101, 5_000), 1), false);
  lease.renew(at(1_101, 5_000));
  assertEquals(lease.isValid(at(1_102, 5_000), 1), true);
});

Deno.test("Lease: a date that is set back makes it no longer", () => {
  const lease = new Lease(() => LEASE);
  lease.renew(at(0));
  assertEquals(lease.isValid(at(LEASE - 1, -3_600_000), 1), true);
  assertEquals(lease.isValid(at(LEASE, -3_600_000), 1), false);
});

Deno.test("Lease: its length is the map's of the moment", () => {
  let leaseMs = LEASE;
  const lease = new Lease(() => leaseMs);
  lease.renew(at(0));
  leaseMs = 10;
  assertEquals([9, 10].map((nowMs) => lease.isValid(at(nowMs), 1)), [true, false]);
});
