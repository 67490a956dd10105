import { assertEquals, assertThrows } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import { Secret } from "../../../../shared/base/secret.ts";
import { SystemRandom } from "../../../../shared/platform/random.ts";
import { createToken, knownToken, parseToken } from "../../../../shared/security/user_token.ts";

const FINGERPRINT = "0123456789abcdef".repeat(4);
const RANDOM = new SystemRandom();

Deno.test("createToken: what is kept tells nothing of the secret, and finds it again", () => {
  const { text, stored } = createToken(RANDOM, FINGERPRINT, { user: "alice" }, 1_000, 5_000);
  const token = parseToken(text.reveal());
  assertEquals(token.fingerprint, FINGERPRINT);
  assertEquals(JSON.stringify(stored).includes(token.secret.reveal()), false);
  assertEquals(knownToken([stored], token.secret, 5_999), stored);
  const other = createToken(RANDOM, FINGERPRINT, { user: "alice" }, 1_000, 5_000);
  assertEquals(other.stored.id === stored.id, false);
  assertEquals(knownToken([other.stored, stored], token.secret, 1_000), stored);
});

Deno.test("knownToken: unknown, revoked and ended are none", () => {
  const { text, stored } = createToken(RANDOM, FINGERPRINT, { user: "alice" }, 1_000, 5_000);
  const { secret } = parseToken(text.reveal());
  const none = [
    knownToken([], secret, 1_000),
    knownToken([stored], secret, 6_000),
    knownToken([stored], new Secret("A".repeat(43)), 1_000),
    knownToken([stored], new Secret(""), 1_000),
    knownToken([{ ...stored, hash: "" }], secret, 1_000),
  ];
  assertEquals(none, none.map(() => undefined));
});

Deno.test("parseToken: anything else is refused, and not repeated", () => {
  const { text } = createToken(RANDOM, FINGERPRINT, { user: "alice" }, 0, 1);
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
