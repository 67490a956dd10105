/**
 * A token says where a watch stands, to whoever goes on later, with another process: the place in each partition. It
 * names the cluster and the database, and is no secret: it gives no rights.
 *
 *     version (1 byte, 1), CRC32C of the scope (4 bytes), log2 of the number of partitions (1 byte), then for
 *     each partition, as varints: the difference to the partition before, minus one; seq * 8 + kind; the lineage if
 *     bit 4 of the kind is set; `upto` if the kind says so. The last 4 bytes are the CRC32C of all before.
 *     Kinds: 0 told up to seq; 1 with `upto`; 2 to be told everything; 3 from now on.
 *
 * A partition that is being read is written as what it was before: everything is read again.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { crc32c } from "../base/crc32c.ts";
import { KvError } from "../base/errors.ts";
import { PARTITIONS_MAX } from "../limits/cluster.ts";
import { WATCH_TOKEN_CHARACTERS_MAX } from "../limits/scans.ts";
import { databaseNumberOf } from "../cluster/databases.ts";
import { BEGINNING, type WatchPosition } from "./watch_position.ts";
import type { WatchSelection } from "./watch_selection.ts";

const VERSION = 1;
const HEADER_BYTES = 6;
const CRC_BYTES = 4;
/** A varint of 53 bits, and what a partition takes at most: four of them. */
const VARINT_BYTES_MAX = 8;
const PARTITION_BYTES_MAX = 4 * VARINT_BYTES_MAX;
const HAS_LINEAGE = 4;
const KINDS = 8;
const KIND = { told: 0, beyond: 1, everything: 2, now: 3 } as const;
const SEQ_MAX = Math.floor(Number.MAX_SAFE_INTEGER / KINDS);

const encoder = new TextEncoder();

/** Where a watch stands: by partition, in ascending order; undefined for "from now on". */
export type WatchPositions = ReadonlyMap<number, WatchPosition | undefined>;

/**
 * What a token counts for: the cluster, and, if it is not `default`, the database. One of the same name that is made later
 * is another one: of what the first one had, nothing is told there.
 */
export function tokenScope(
  clusterId: string,
  { keys = [], prefixes = [] }: WatchSelection,
): string {
  const number = databaseNumberOf(`${keys[0] ?? prefixes[0] ?? ""}k`) ?? 0;
  return number === 0 ? clusterId : `${clusterId}/${number}`;
}

/** A token for these places. */
export function encodeToken(
  scope: string,
  partitionCount: number,
  positions: WatchPositions,
): string {
  const bytes = Buffer.allocUnsafe(
    HEADER_BYTES + positions.size * PARTITION_BYTES_MAX + CRC_BYTES,
  );
  bytes[0] = VERSION;
  bytes.writeUInt32BE(crc32c(encoder.encode(scope)), 1);
  bytes[5] = Math.log2(partitionCount);
  let at = HEADER_BYTES;
  const put = (value: number) => {
    while (value > 0x7f) {
      bytes[at++] = (value % 0x80) | 0x80;
      value = Math.floor(value / 0x80);
    }
    bytes[at++] = value;
  };
  let before = -1;
  for (const [partition, position] of positions) {
    put(partition - before - 1);
    before = partition;
    if (position === undefined) put(KIND.now);
    else if (position.reading?.whole === true) put(KIND.everything);
    else {
      const { lineage, seq, upto } = position;
      const kind = (upto > seq ? KIND.beyond : KIND.told) + (lineage > 0 ? HAS_LINEAGE : 0);
      put(seq * KINDS + kind);
      if (lineage > 0) put(lineage);
      if (upto > seq) put(upto);
    }
  }
  bytes.writeUInt32BE(crc32c(bytes.subarray(0, at)), at);
  return bytes.toString("base64url", 0, at + CRC_BYTES);
}

/**
 * The places of a token.
 *
 * @returns undefined if it is another cluster's or database's: what it says means nothing here
 * @throws {KvError} `bad_request` if it is none
 */
export function decodeToken(
  token: string,
  scope: string,
  partitionCount: number,
): Map<number, WatchPosition | undefined> | undefined {
  if (token.length > WATCH_TOKEN_CHARACTERS_MAX || !/^[A-Za-z0-9_-]+$/.test(token)) throw noToken();
  const bytes = Buffer.from(token, "base64url");
  const end = bytes.length - CRC_BYTES;
  if (end < HEADER_BYTES || bytes[0] !== VERSION) throw noToken();
  if (bytes.readUInt32BE(end) !== crc32c(bytes.subarray(0, end))) throw noToken();
  const isOurs = bytes.readUInt32BE(1) === crc32c(encoder.encode(scope)) &&
    bytes[5] === Math.log2(partitionCount);
  if (!isOurs) return undefined;
  let at = HEADER_BYTES;
  const take = (): number => {
    let value = 0;
    for (let factor = 1, count = 0; count < VARINT_BYTES_MAX; factor *= 0x80, count++) {
      const byte = at < end ? bytes[at++] : undefined;
      if (byte === undefined) throw noToken();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    throw noToken();
  };
  const positions = new Map<number, WatchPosition | undefined>();
  let partition = -1;
  while (at < end) {
    partition += take() + 1;
    if (partition >= Math.min(partitionCount, PARTITIONS_MAX)) throw noToken();
    positions.set(partition, takePosition(take));
  }
  return positions;
}

function takePosition(take: () => number): WatchPosition | undefined {
  const tag = take();
  const kind = tag % HAS_LINEAGE;
  if (kind === KIND.now) return undefined;
  if (kind === KIND.everything) return BEGINNING;
  const seq = Math.floor(tag / KINDS);
  const lineage = tag % KINDS >= HAS_LINEAGE ? take() : 0;
  const upto = kind === KIND.beyond ? take() : seq;
  if (seq > SEQ_MAX || !Number.isSafeInteger(lineage) || !Number.isSafeInteger(upto)) {
    throw noToken();
  }
  return { lineage, seq, upto: Math.max(seq, upto) };
}

function noToken(): KvError {
  return new KvError("bad_request", "watch: this is no token of a watch, or a part of one");
}
