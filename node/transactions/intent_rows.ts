/**
 * The entries that a transaction over several partitions leaves in them: intents at the participants, a decision at the
 * leader. They are entries like any other, under keys that no user has.
 *
 * An intent's value: the length of its head (4 bytes, big-endian), the head as JSON, then the values of its changes one
 * after the other. A decision's value is JSON.
 *
 * @module
 */
import type { Entry } from "../../shared/base/entry.ts";
import { KvError } from "../../shared/base/errors.ts";
import { quotedKey } from "../../shared/base/key_text.ts";
import { TRANSACTION_KEY_PREFIX } from "../../shared/cluster/system_keys.ts";
import type { Write } from "../../shared/operations/operation.ts";
import type { Change } from "../requests/request_dedup.ts";

export const INTENT_PREFIX: string = TRANSACTION_KEY_PREFIX + "i/";
export const DECISION_PREFIX: string = TRANSACTION_KEY_PREFIX + "d/";

/** The keys that an attempt holds in a partition. Its changes stay in the store until they are made. */
export interface Intent {
  readonly attempt: string;
  readonly seq: number;
  /** The date at which the part was judged. */
  readonly wallMs: number;
  /** A key of the partition that decides. */
  readonly leader: string;
  readonly keys: readonly string[];
}

/** An attempt that has happened, while a participant may not know. */
export interface Decision {
  readonly attempt: string;
  readonly seq: number;
  /** A key of each participant, and the seq of its intent. */
  readonly parts: readonly (readonly [key: string, seq: number])[];
}

interface Head {
  readonly leader: string;
  readonly keys: readonly string[];
  readonly changes: readonly (readonly [
    key: string,
    flags: number,
    expiresAtMs: number,
    bytes: number,
    contentType?: string,
  ])[];
}

const LENGTH_BYTES = 4;
const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

export function intentKey(attempt: string): string {
  return INTENT_PREFIX + attempt;
}

export function decisionKey(attempt: string): string {
  return DECISION_PREFIX + attempt;
}

/** Whether a key is that of an intent or a decision, which no user sees. */
export function isTransactionKey(key: string): boolean {
  return key.startsWith(TRANSACTION_KEY_PREFIX);
}

/** The change that writes an intent. */
export function intentChange(
  attempt: string,
  leader: string,
  keys: readonly string[],
  writes: ReadonlyMap<string, Write>,
): Change {
  const changes = [...writes].map(([key, { flags, expiresAtMs, value, contentType }]) => {
    const change = [key, flags, expiresAtMs, value.length] as const;
    return contentType === undefined ? change : [...change, contentType] as const;
  });
  const head = utf8.encode(JSON.stringify({ leader, keys, changes } satisfies Head));
  const values = [...writes.values()].map(({ value }) => value);
  const length = values.reduce((sum, { length }) => sum + length, LENGTH_BYTES + head.length);
  const value = new Uint8Array(length);
  new DataView(value.buffer).setUint32(0, head.length);
  value.set(head, LENGTH_BYTES);
  let at = LENGTH_BYTES + head.length;
  for (const one of values) {
    value.set(one, at);
    at += one.length;
  }
  return { key: intentKey(attempt), write: { flags: 0, value, expiresAtMs: 0 } };
}

/** An intent's entry, without its changes. @throws {KvError} `corrupt` */
export function intentOf({ key, seq, timestampMs, value }: Entry): Intent {
  const { leader, keys } = headOf(key, value);
  const attempt = key.slice(INTENT_PREFIX.length);
  return { attempt, seq, wallMs: timestampMs, leader, keys };
}

/** The changes that an intent's entry says. @throws {KvError} `corrupt` */
export function changesOf({ key, seq, value }: Entry): Change[] {
  const { changes } = headOf(key, value);
  let at = LENGTH_BYTES + new DataView(value.buffer, value.byteOffset).getUint32(0);
  return changes.map(([key, flags, expiresAtMs, bytes, contentType]) => {
    const part = value.slice(at, at + bytes);
    at += bytes;
    // Rule X8.
    return { key, write: { flags, value: part, expiresAtMs, contentType }, version: seq };
  });
}

function headOf(key: string, value: Uint8Array): Head {
  try {
    const length = new DataView(value.buffer, value.byteOffset, value.length).getUint32(0);
    const text = fromUtf8.decode(value.subarray(LENGTH_BYTES, LENGTH_BYTES + length));
    return JSON.parse(text) as Head;
  } catch (cause) {
    throw new KvError("corrupt", `${quotedKey(key)} is no intent of a transaction`, { cause });
  }
}

/** The change that writes a decision. */
export function decisionChange(attempt: string, parts: Decision["parts"]): Change {
  const value = utf8.encode(JSON.stringify({ parts }));
  return { key: decisionKey(attempt), write: { flags: 0, value, expiresAtMs: 0 } };
}

/** A decision's entry. @throws {KvError} `corrupt` */
export function decisionOf({ key, seq, value }: Entry): Decision {
  try {
    const { parts } = JSON.parse(fromUtf8.decode(value)) as Pick<Decision, "parts">;
    return { attempt: key.slice(DECISION_PREFIX.length), seq, parts };
  } catch (cause) {
    throw new KvError("corrupt", `${quotedKey(key)} is no decision`, { cause });
  }
}
