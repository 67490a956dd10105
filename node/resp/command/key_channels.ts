/**
 * The channels of keyspace notifications, and what a user must be allowed to read who hears them: a channel of a key
 * tells of that key, a channel of an event tells of all keys.
 *
 * @module
 */
import type { CommandLogin } from "./command.ts";

/** In front of the key. */
export const KEYSPACE = "__keyspace@0__:";
/** In front of the event. */
export const KEYEVENT = "__keyevent@0__:";

/** Whether a user may hear a channel. Any other channel is judged as a key of its name. */
export function mayHearChannel(login: CommandLogin, channel: string): boolean {
  if (channel.startsWith(KEYEVENT)) return login.mayUseRange("read", "");
  const key = channel.startsWith(KEYSPACE) ? channel.slice(KEYSPACE.length) : channel;
  return login.mayUse("read", key);
}

/** Whether a user may hear every channel that begins so. */
export function mayHearChannels(login: CommandLogin, beginning: string): boolean {
  const range = beginning.startsWith(KEYSPACE)
    ? beginning.slice(KEYSPACE.length)
    : isShared(beginning)
    ? ""
    : beginning;
  return login.mayUseRange("read", range);
}

/** Whether channels of keyspace notifications begin so, among others perhaps. */
function isShared(beginning: string): boolean {
  return beginning.startsWith(KEYEVENT) || KEYEVENT.startsWith(beginning) ||
    KEYSPACE.startsWith(beginning);
}
