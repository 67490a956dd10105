import { assertEquals, assertRejects } from "@std/assert";
import { KvError } from "../../../../../shared/base/errors.ts";
import {
  LOGIN_FAILURES_FREE,
  LOGIN_WAIT_MS,
  LOGINS_AT_ONCE_MAX,
  LOGINS_WAITING_MAX,
} from "../../../../../shared/limits/security.ts";
import { LoginThrottle } from "../../../../../shared/security/login/login_throttle.ts";
import { LoginTurns } from "../../../../../shared/security/login/login_turns.ts";
import { ManualClock } from "../../../../support/doubles/manual_clock.ts";

const A = "10.0.0.1";
const B = "10.0.0.2";
const WRONG = new KvError("unauthorized", "login: user or password is wrong");

/** Checks that end when the test says so, in the order in which they began. */
class Checks {
  readonly clock = new ManualClock();
  readonly turns = new LoginTurns(new LoginThrottle(), this.clock);
  /** What has begun and not ended. */
  readonly begun: { name: string; end(isRight: boolean): void }[] = [];
  /** What each attempt ended with. */
  readonly outcomes: string[] = [];
  begunCount = 0;

  attempt(address: string, user: string): Promise<void> {
    const name = `${user}@${address}`;
    const check = () =>
      new Promise<void>((resolve, reject) => {
        this.begunCount++;
        this.begun.push({ name, end: (isRight) => isRight ? resolve() : reject(WRONG) });
      });
    return this.turns.check(address, user, check).then(
      () => void this.outcomes.push("right"),
      (error) => void this.outcomes.push(error.code),
    );
  }

  async end(isRight: boolean): Promise<void> {
    this.begun.shift()?.end(isRight);
    await settled();
  }

  get names(): string[] {
    return this.begun.map(({ name }) => name);
  }
}

/** What has been decided has had its consequences. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

Deno.test("LoginTurns: many guesses at once get no further than as many one after the other", async () => {
  const checks = new Checks();
  const guesses = Array.from({ length: LOGINS_WAITING_MAX }, () => checks.attempt(A, "alice"));
  await settled();
  while (checks.begun.length > 0) await checks.end(false);
  await Promise.all(guesses);
  assertEquals(checks.begunCount, LOGIN_FAILURES_FREE + 1);
  const refused = checks.outcomes.filter((code) => code === "overloaded");
  assertEquals(refused.length, LOGINS_WAITING_MAX - checks.begunCount);
  // And when it has waited, one more is looked at, not as many as may run.
  checks.clock.advance(LOGIN_WAIT_MS);
  const more = Array.from({ length: 5 }, () => checks.attempt(A, "alice"));
  await settled();
  assertEquals(checks.begun.length, 1);
  await checks.end(false);
  await Promise.all(more);
  assertEquals(checks.begunCount, LOGIN_FAILURES_FREE + 2);
});

Deno.test("LoginTurns: a pool of connections with the right password all get in, mistakes before or not", async () => {
  for (let mistakes = 0; mistakes <= LOGIN_FAILURES_FREE; mistakes++) {
    const checks = new Checks();
    for (let i = 0; i < mistakes; i++) {
      const wrong = checks.attempt(A, "alice");
      await settled();
      await checks.end(false);
      await wrong;
    }
    const pool = Array.from({ length: 50 }, () => checks.attempt(A, "alice"));
    await settled();
    while (checks.begun.length > 0) await checks.end(true);
    await Promise.all(pool);
    assertEquals(checks.outcomes.slice(mistakes), Array(50).fill("right"), `${mistakes} mistakes`);
  }
});

Deno.test("LoginTurns: an address that floods makes another wait for one of its checks at most", async () => {
  const checks = new Checks();
  const flood = Array.from(
    { length: 3 * LOGINS_WAITING_MAX },
    (_, i) => checks.attempt(A, `user-${i}`),
  );
  await settled();
  assertEquals(checks.turns.waiting, LOGINS_WAITING_MAX);
  const other = checks.attempt(B, "bob");
  await settled();
  assertEquals(checks.turns.waiting, LOGINS_WAITING_MAX, "the flood has lost one");
  assertEquals(checks.names.length, LOGINS_AT_ONCE_MAX);
  await checks.end(true);
  await checks.end(true);
  assertEquals(checks.names.includes(`bob@${B}`), true);
  while (checks.begun.length > 0) await checks.end(true);
  await Promise.all([...flood, other]);
  assertEquals(checks.turns.waiting, 0);
  const count = (outcome: string) => checks.outcomes.filter((one) => one === outcome).length;
  assertEquals(count("right"), LOGINS_AT_ONCE_MAX + LOGINS_WAITING_MAX);
  assertEquals(count("overloaded"), flood.length + 1 - count("right"));
});

Deno.test("LoginTurns: a check that could not be made counts neither as right nor as wrong", async () => {
  const turns = new LoginTurns(new LoginThrottle(), new ManualClock());
  for (let i = 0; i < 3 * LOGIN_FAILURES_FREE; i++) {
    const failing = () => Promise.reject(new KvError("overloaded", "no memory"));
    await assertRejects(() => turns.check(A, "alice", failing), KvError, "no memory");
  }
  assertEquals(await turns.check(A, "alice", () => Promise.resolve("in")), "in");
});
