import { assertEquals } from "@std/assert";
import {
  LOGIN_FAILURES_FREE,
  LOGIN_FAILURES_FREE_OF_ADDRESS,
  LOGIN_FAILURES_REMEMBERED,
  LOGIN_WAIT_MS,
  LOGIN_WAIT_MS_MAX,
} from "../../../../../shared/limits/security.ts";
import { LoginThrottle } from "../../../../../shared/security/login/login_throttle.ts";

const A = "10.0.0.1";

Deno.test("LoginThrottle: a few mistakes are free, then each doubles the wait, up to a minute", () => {
  const throttle = new LoginThrottle();
  let nowMs = 1_000;
  for (let i = 0; i < LOGIN_FAILURES_FREE; i++) throttle.failed(A, "alice", nowMs);
  assertEquals(throttle.waitMs(A, "alice", nowMs), 0);
  for (let waitMs = LOGIN_WAIT_MS, i = 0; i < 12; i++) {
    throttle.failed(A, "alice", nowMs);
    assertEquals(throttle.waitMs(A, "alice", nowMs), waitMs);
    nowMs += waitMs;
    assertEquals(throttle.waitMs(A, "alice", nowMs), 0);
    waitMs = Math.min(2 * waitMs, LOGIN_WAIT_MS_MAX);
  }
});

Deno.test("LoginThrottle: nobody else waits: not the user elsewhere, not others at the address", () => {
  const throttle = new LoginThrottle();
  for (let i = 0; i < 10; i++) throttle.failed(A, "alice", 0);
  assertEquals(throttle.waitMs("10.0.0.2", "alice", 0), 0);
  assertEquals(throttle.waitMs(A, "bob", 0), 0);
  assertEquals(throttle.waitMs(A, "alice", 0) > 0, true);
  throttle.succeeded(A, "bob");
  assertEquals(throttle.waitMs(A, "alice", 0) > 0, true);
  throttle.succeeded(A, "alice");
  assertEquals(throttle.waitMs(A, "alice", 0), 0);
});

Deno.test("LoginThrottle: an address that fails for many users waits, however many names it floods", () => {
  const throttle = new LoginThrottle();
  const many = 2 * LOGIN_FAILURES_REMEMBERED;
  for (let i = 0; i < many; i++) throttle.failed(A, `user-${i}-${"x".repeat(500)}`, 0);
  assertEquals(throttle.waitMs(A, "somebody", 0), LOGIN_WAIT_MS_MAX);
  assertEquals(throttle.waitMs("10.0.0.2", "somebody", 0), 0);
  const few = new LoginThrottle();
  for (let i = 0; i < LOGIN_FAILURES_FREE_OF_ADDRESS; i++) few.failed(A, `user-${i}`, 0);
  assertEquals(few.waitMs(A, "somebody", 0), 0);
});

Deno.test("LoginThrottle: a network of IPv6 is one address, however it is written", () => {
  const throttle = new LoginThrottle();
  const addresses = ["2001:db8::1", "2001:db8::2:1", "2001:db8:0:0:5:6:7:8", "2001:db8::9"];
  for (const address of addresses) throttle.failed(address, "alice", 0);
  assertEquals(throttle.waitMs("2001:db8::77", "alice", 0), LOGIN_WAIT_MS);
  assertEquals(throttle.waitMs("2001:db8:0:1::77", "alice", 0), 0);
  assertEquals(throttle.waitMs("::1", "alice", 0), 0);
});

Deno.test("LoginThrottle: who leaves it alone for long enough begins anew", () => {
  const throttle = new LoginThrottle();
  for (let i = 0; i < 20; i++) throttle.failed(A, "alice", 0);
  throttle.failed(A, "alice", 2 * LOGIN_WAIT_MS_MAX);
  assertEquals(throttle.waitMs(A, "alice", 2 * LOGIN_WAIT_MS_MAX), 0);
});

Deno.test("LoginThrottle: who goes on guessing one password makes no other user of its address wait", () => {
  const throttle = new LoginThrottle();
  let nowMs = 0;
  for (let i = 0; i < 100; i++) {
    throttle.failed(A, "a program with an old password", nowMs);
    nowMs += throttle.waitMs(A, "a program with an old password", nowMs);
  }
  assertEquals(throttle.waitMs(A, "alice", nowMs), 0);
});

Deno.test("LoginThrottle: attempts that have begun count as failed until they end", () => {
  const throttle = new LoginThrottle();
  const begin = () => throttle.begin(A, "alice", 0);
  const begun = Array.from({ length: LOGIN_FAILURES_FREE + 1 }, begin);
  assertEquals(begun.every((attempt) => attempt !== undefined), true);
  assertEquals(begin(), undefined);
  assertEquals(throttle.begin("10.0.0.2", "alice", 0) === undefined, false);
  begun[0]?.failed(0);
  assertEquals(begin(), undefined);
  begun[1]?.dropped();
  assertEquals(begin() === undefined, false);
  begun[2]?.succeeded();
  assertEquals(begin() === undefined, false);
});
