/**
 * Checks of a typed request before it is sent. The cluster would refuse it too, but in other words than
 * those that were typed, or with a code that does not say what is wrong.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import type { KeyRequest, Message } from "../../../shared/wire/messages.ts";
import { parseInteger } from "../../../shared/operations/arithmetic.ts";
import { parseLongDouble } from "../../../shared/operations/long_double.ts";
import { operationOf } from "../../../shared/arguments/request_words.ts";
import { shownWord } from "../../../shared/arguments/word_fields.ts";
import type { CommandContext } from "./command.ts";
import { UsageError } from "./exit_code.ts";

/**
 * Checks when a request's key should expire. The cluster also refuses two answers to that, but not in the
 * words that were typed. A value that expires at once is written as at every other front end, but the user
 * who typed the date is told.
 *
 * @throws {KvError} `bad_request`
 */
export function checkExpiry(request: KeyRequest, context: CommandContext): void {
  const { req_type: what } = request;
  const { expires_at: at, ttl_ms: ttlMs, keep_ttl: keeps } = request as Message<"put">;
  const { persist: ends } = request as Message<"get_and_expire">;
  const given = [
    ...(ttlMs === undefined ? [] : ["--ttl"]),
    ...(at === undefined ? [] : ["--expires-at"]),
    ...(keeps === true ? ["--keep-ttl"] : []),
    ...(ends === true ? ["--persist"] : []),
  ];
  if (what === "expire" && given.length === 0) {
    throw new KvError("bad_request", "expire: give TTL or --expires-at");
  }
  if (given.length > 1) {
    throw new KvError("bad_request", `${what}: give ${given.join(" or ")}, not both`);
  }
  const stores = "keep_ttl" in operationOf(what).fields;
  if (stores && at !== undefined && at <= context.clock.wallMs()) {
    context.io.note(
      `${what}: the date of --expires-at has passed, so that the key is gone at once`,
    );
  }
}

/**
 * Checks the number to add. The cluster refuses it with the same code as a stored value that is not a
 * number; only here it is known that what was typed is wrong.
 *
 * @throws {UsageError} `not_an_integer`, `not_a_float`
 */
export function checkNumber(
  command: string,
  { req_type: what, by }: { req_type: string; by?: unknown },
  given = by,
): void {
  if (typeof by !== "string") return;
  const shown = `given ${shownWord(String(given))}`;
  if (what === "increment" && parseInteger(by) === undefined) {
    const text = `${command}: BY must be a whole number of 64 bits (increment-float adds others); `;
    throw new UsageError("not_an_integer", text + shown);
  }
  if (what === "increment_float" && parseLongDouble(by) === undefined) {
    throw new UsageError("not_a_float", `increment-float: BY must be a number; ${shown}`);
  }
}
