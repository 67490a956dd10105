/**
 * The databases that Redis clients know by number: 0 is `default`, and any other number is the database of that name.
 *
 * @module
 */
import type { KvError } from "../../../shared/base/errors.ts";
import {
  type DatabaseInfo,
  DEFAULT_DATABASE,
  findDatabase,
  noDatabase,
} from "../../../shared/cluster/databases.ts";
import { RESP_DATABASES } from "../../../shared/limits/resp.ts";
import { integerOf } from "./arguments.ts";
import { type Call, CommandError } from "./command.ts";

/** The name of the database of a number. @throws {CommandError} */
export function databaseOfIndex(argument: Uint8Array): string {
  const index = integerOf(argument);
  if (BigInt.asIntN(32, index) !== index) {
    throw new CommandError(
      "ERR value is out of range, value must between -2147483648 and 2147483647",
    );
  }
  return databaseOfNumber(index);
}

/** As {@linkcode databaseOfIndex}. @throws {CommandError} */
export function databaseOfNumber(index: bigint): string {
  if (index < 0n || index >= BigInt(RESP_DATABASES)) {
    throw new CommandError("ERR DB index is out of range");
  }
  return index === 0n ? DEFAULT_DATABASE : String(index);
}

/**
 * `done` gets the database of this name, which is made if it is not there and the user may make it, perhaps before this
 * returns; undefined for `default`.
 */
export function ensureDatabase(
  name: string,
  { session, server }: Call,
  done: (outcome: DatabaseInfo | KvError | undefined) => void,
): void {
  const found = findDatabase(session.database.map()?.databases, name);
  if (found !== undefined || name === DEFAULT_DATABASE) return done(found);
  if (server.databases === undefined) return done(noDatabase(name));
  const refusal = session.login.whyNotMade(name);
  if (refusal !== undefined) return done(refusal);
  server.databases.ensure(name, false, done);
}

/** The number by which Redis clients know a database; undefined if they know it by its name alone. */
export function indexOfDatabase(name: string): number | undefined {
  if (name === DEFAULT_DATABASE) return 0;
  const index = Number(name);
  return Number.isInteger(index) && index > 0 && index < RESP_DATABASES && String(index) === name
    ? index
    : undefined;
}
