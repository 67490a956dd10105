import { assertEquals, assertRejects } from "@std/assert";
import { KvError } from "../../../../../shared/base/errors.ts";
import {
  LOGINS_AT_ONCE_MAX,
  LOGINS_WAITING_MAX,
  PASSWORD_BYTES_MAX,
} from "../../../../../shared/limits/security.ts";
import { Secret } from "../../../../../shared/base/secret.ts";
import { SystemRandom } from "../../../../../shared/platform/random.ts";
import { isPasswordHash, PasswordHasher } from "../../../../../shared/security/login/password.ts";

const RANDOM = new SystemRandom();
/** A cheap hash of "correct horse", as the code makes it but with N = 2^10. */
const CHEAP = "scrypt$10$8$1$AAAAAAAAAAAAAAAAAAAAAA$6T3EPrWlvRG_y8-HDJ-XRLH2SiAP9RFvuF7ZslX9Uhw";

Deno.test("PasswordHasher: a password is known again, no other one, and two hashes differ", async () => {
  const hasher = new PasswordHasher();
  const password = new Secret("correct horse");
  const [one, two] = await Promise.all([
    hasher.hash(password, RANDOM),
    hasher.hash(password, RANDOM),
  ]);
  assertEquals(one === two, false);
  assertEquals([one, two].every(isPasswordHash), true);
  assertEquals(one.includes("horse"), false);
  assertEquals(await hasher.verify(password, one), true);
  assertEquals(await hasher.verify(new Secret("correct horsf"), one), false);
});

Deno.test("PasswordHasher: as another implementation computes it, by the cost that the hash names", async () => {
  // By Python's hashlib.scrypt, with a salt of zeros.
  assertEquals(await new PasswordHasher().verify(new Secret("correct horse"), CHEAP), true);
});

Deno.test("PasswordHasher: without a user, or with a hash that is none, the answer is false", async () => {
  const hasher = new PasswordHasher();
  const cheapOnes = [undefined, "", "scrypt$30$8$1$AAAAAAAAAAAAAAAAAAAAAA$x", "plain"];
  for (const hash of cheapOnes) {
    assertEquals(await hasher.verify(new Secret("whatever"), hash), false);
  }
  assertEquals(isPasswordHash(CHEAP.replace("$10$", "$31$")), false, "a cost without a bound");
  assertEquals(await hasher.verify(new Secret("x".repeat(PASSWORD_BYTES_MAX + 1)), CHEAP), false);
});

Deno.test("PasswordHasher: passwords that are too short or too long are refused", async () => {
  for (const bad of ["", "1234567", "é".repeat(PASSWORD_BYTES_MAX)]) {
    const error = await assertRejects(
      () => new PasswordHasher().hash(new Secret(bad), RANDOM),
      KvError,
    );
    assertEquals(error.code, "bad_request");
  }
});

Deno.test("PasswordHasher: so many logins at a time, so many wait, and the next is refused at once", async () => {
  const hasher = new PasswordHasher();
  const room = LOGINS_AT_ONCE_MAX + LOGINS_WAITING_MAX;
  const attempts = Array.from(
    { length: room },
    () => hasher.verify(new Secret("correct horse"), CHEAP),
  );
  const error = await assertRejects(
    () => hasher.verify(new Secret("correct horse"), CHEAP),
    KvError,
  );
  assertEquals(error.code, "overloaded");
  assertEquals((await Promise.all(attempts)).every((good) => good), true);
  assertEquals(await hasher.verify(new Secret("wrong horse"), CHEAP), false);
});
