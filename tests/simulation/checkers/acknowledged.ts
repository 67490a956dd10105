/**
 * After the calm: no acknowledged write is lost, and none that was refused has appeared. A simpler
 * judge than the search for an order, and independent of it: it looks at versions only, and can be
 * shown any copy of a key, such as what a node has on its disk.
 *
 * @module
 */
import { type Call, isReadName } from "./history.ts";

/** What a replica holds of a key: a value's name, or null if the key is absent. */
export interface Held {
  readonly value: string | null;
  readonly version?: number | undefined;
}

/**
 * Compares what is held of a key with what its writers were told.
 *
 * @returns what is wrong, or undefined
 */
export function checkHeld(calls: readonly Call[], held: Held): string | undefined {
  const writes = calls.filter((call) => !isReadName(call.f));
  const { value } = held;
  const writer = value === null ? undefined : writes.find((call) => call.value === value);
  if (value !== null && writer === undefined) return `it holds ${value}, which nobody has written`;
  if (writer?.outcome === "fail") return `it holds ${value}, which was refused (${writer.error})`;
  const isHard = (call: Call) => call.outcome === "ok" && call.acks !== "primary";
  let newest: Call | undefined;
  for (const call of writes) {
    if (!isHard(call) || call.version === undefined) continue;
    if (newest === undefined || call.version > (newest.version ?? 0)) newest = call;
  }
  if (newest === undefined) return undefined;
  const acknowledged = `${newest.value} was acknowledged with version ${newest.version}`;
  if (writer === undefined) {
    // It has expired; or a delete, or a write that has expired since, known or not, was not over before
    // that write began.
    const explained = newest.expiry !== undefined ||
      writes.some((call) =>
        (call.f === "delete" || call.expiry !== undefined) && call.outcome !== "fail" &&
        call.endAt > (newest?.at ?? 0)
      );
    return explained ? undefined : `it is gone: ${acknowledged}, and nobody deleted it since`;
  }
  if (writer === newest) {
    return held.version === undefined || held.version === newest.version
      ? undefined
      : `it holds ${value} with version ${held.version}; ${acknowledged}`;
  }
  const version = held.version ?? writer.version;
  if (version !== undefined && version < (newest.version ?? 0)) {
    return `it holds ${value}, version ${version}; ${acknowledged}`;
  }
  if (writer.endAt < newest.at) return `it holds ${value}; later, ${acknowledged}`;
  return undefined;
}
