/**
 * The channels of keyspace notifications, and what a user must be allowed to read who hears them: a channel of a key
 * tells of that key, a channel of an event tells of all keys of the database.
 *
 * @module
 */
import { DEFAULT_DATABASE, findDatabase, keyPrefixOf } from "../../../shared/cluster/databases.ts";
import type { CommandLogin } from "./command.ts";

const CHANNEL = /^__key(space|event)@(\d{1,2})__:/;
/** Each channel of keyspace notifications begins with one of these. */
const FAMILIES = ["__keyspace@", "__keyevent@"];

/** The channel of a key. @param index the number of its database */
export function keyspaceChannel(index: number, key: string): string {
  return `__keyspace@${index}__:${key}`;
}

/** The channel of an event. */
export function keyeventChannel(index: number, event: string): string {
  return `__keyevent@${index}__:${event}`;
}

/** What a channel, or all that begin so, tell of. */
interface Told {
  /** What stands before the database's keys. */
  readonly prefix: string;
  /** The key, or its beginning; undefined: all keys. */
  readonly key: string | undefined;
}

/** Undefined: it is no channel of keyspace notifications, or of a database that is not known. */
function toldBy(login: CommandLogin, channel: string): Told | undefined {
  const found = CHANNEL.exec(channel);
  if (found === null) return undefined;
  const [begin, family, index] = found;
  const name = index === "0" ? DEFAULT_DATABASE : String(index);
  const database = findDatabase(login.database.map()?.databases, name);
  if (name !== DEFAULT_DATABASE && database === undefined) return undefined;
  const key = family === "space" ? channel.slice(begin.length) : undefined;
  return { prefix: keyPrefixOf(database), key };
}

/** Whether a user may hear a channel. Any other channel is judged as a key of its name. */
export function mayHearChannel(login: CommandLogin, channel: string): boolean {
  const told = toldBy(login, channel);
  if (told === undefined) return login.mayUse("read", channel);
  const { prefix, key } = told;
  return key === undefined ? login.mayUseRange("read", prefix) : login.mayUse("read", prefix + key);
}

/** Whether a user may hear every channel that begins so; of databases, each message is judged by itself too. */
export function mayHearChannels(login: CommandLogin, beginning: string): boolean {
  const told = toldBy(login, beginning);
  if (told !== undefined) return login.mayUseRange("read", told.prefix + (told.key ?? ""));
  const isShared = FAMILIES.some((family) =>
    family.startsWith(beginning) || beginning.startsWith(family)
  );
  return login.mayUseRange("read", isShared ? "" : beginning);
}
