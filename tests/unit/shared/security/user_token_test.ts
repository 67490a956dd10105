import { assertEquals, assertThrows } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import { Secret } from "../../../../shared/base/secret.ts";
import { SystemRandom } from "../../../../shared/platform/random.ts";
import { createToken, findToken, parseToken } from "../../../../shared/security/user_token.ts";

const FINGERPRINT = "0123456789abcdef".repeat(4);
const RANDOM = new SystemRandom();

Deno.test("createToken: what is kept tells nothing of the secret, and finds it again", () => {
  const { text, stored } = createToken(RANDOM, FINGERPRINT, "alice", 1_000, 5_000);
  const token = parseToken(text.reveal());
  assertEquals(token.fingerprint, FINGERPRINT);
  assertEquals(JSON.stringify(stored).includes(token.secret.reveal()), false);
  assertEquals(findToken([stored], token.secret, 5_999), stored);
  const other = createToken(RANDOM, FINGERPRINT, "alice", 1_000, 5_000);
  assertEquals(other.stored.id === stored.id, false);
  assertEquals(findToken([other.stored, stored], token.secret, 1_000), stored);
});

Deno.test("findToken: unknown, revoked and ended are refused in the same words", () => {
  const { text, stored } = createToken(RANDOM, FINGERPRINT, "alice", 1_000, 5_000);
  const { secret } = parseToken(text.reveal());
  const refusals = [
    () => findToken([], secret, 1_000),
    () => findToken([stored], secret, 6_000),
    () => findToken([stored], new Secret("A".repeat(43)), 1_000),
    () => findToken([stored], new Secret(""), 1_000),
    () => findToken([{ ...stored, hash: "" }], secret, 1_000),
  ].map((attempt) => assertThrows(attempt, KvError));
  assertEquals(new Set(refusals.map(({ code, message }) => `${code} ${message}`)).size, 1);
  assertEquals(refusals[0]?.code, "unauthorized");
});

Deno.test("parseToken: anything else is refused, and not repeated", () => {
  const { text } = createToken(RANDOM, FINGERPRINT, "alice", 0, 1);
  const whole = text.reveal();
  assertEquals(parseToken(` ${whole}\n`).fingerprint, FINGERPRINT);
  const bad = [
    "",
    "kv1",
    whole.slice(0, -1),
    whole + "A",
    whole.replace("kv1.", "kv2."),
    whole.replace(FINGERPRINT, FINGERPRINT.toUpperCase()),
    whole.replace(".", " "),
    `${whole.slice(0, 20)}\n${whole.slice(20)}`,
    `${whole}.x`,
  ];
  for (const one of bad) {
    const error = assertThrows(() => parseToken(one), KvError);
    assertEquals(error.code, "bad_request");
    if (one.length > 60) assertEquals(error.message.includes(one.slice(-20)), false);
  }
});
