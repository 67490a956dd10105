import { assertEquals } from "@std/assert";
import { Lease } from "../../../../node/membership/lease.ts";

const LEASE = 1_500;

Deno.test("Lease: there is none before a heartbeat was acknowledged", () => {
  const lease = new Lease(() => LEASE);
  assertEquals(lease.isValid(0, 9), false);
});

Deno.test("Lease: counts from when the heartbeat was sent, and its end is not in it", () => {
  const lease = new Lease(() => LEASE);
  lease.renew(100, 1);
  const table: [nowMs: number, valid: boolean][] = [
    [100, true],
    [100 + LEASE - 1, true],
    [100 + LEASE, false],
    [99_999, false],
  ];
  for (const [nowMs, valid] of table) assertEquals(lease.isValid(nowMs, 1), valid, `at ${nowMs}`);
});

Deno.test("Lease: a late acknowledgement of an early heartbeat takes nothing away", () => {
  const lease = new Lease(() => LEASE);
  lease.renew(1_000, 2);
  lease.renew(200, 1);
  assertEquals(lease.isValid(1_000 + LEASE - 1, 2), true);
  assertEquals(lease.isValid(1_000, 1), false, "nor does it make an older map good enough");
});

Deno.test("Lease: there is none with a map older than one that was named", () => {
  const lease = new Lease(() => LEASE);
  lease.renew(0, 5);
  assertEquals([4, 5, 6].map((epoch) => lease.isValid(1, epoch)), [false, true, true]);
  // An old heartbeat may bring newer news.
  lease.renew(-10, 6);
  assertEquals([5, 6].map((epoch) => lease.isValid(1, epoch)), [false, true]);
});

Deno.test("Lease.revoke: ends it until a heartbeat is acknowledged anew, and forgets no epoch", () => {
  const lease = new Lease(() => LEASE);
  lease.renew(0, 5);
  lease.revoke();
  assertEquals(lease.isValid(1, 5), false);
  lease.renew(2, 1);
  assertEquals([4, 5].map((epoch) => lease.isValid(3, epoch)), [false, true]);
});

Deno.test("Lease: its length is the map's of the moment", () => {
  let leaseMs = LEASE;
  const lease = new Lease(() => leaseMs);
  lease.renew(0, 1);
  leaseMs = 10;
  assertEquals([9, 10].map((nowMs) => lease.isValid(nowMs, 1)), [true, false]);
});
