/**
 * The cluster's document in etcd: `head` names it, and its pieces lie in a folder of keys of their own.
 *
 * @module
 */
import { gunzipSync, gzipSync } from "node:zlib";
import { failureOf, invariant, KvError } from "../../../shared/base/errors.ts";
import {
  ETCD_DOCUMENT_CHARACTERS_MAX,
  ETCD_PIECE_BYTES,
} from "../../../shared/limits/membership.ts";
import type { Generation, Stamp } from "../generation.ts";
import type { Stamped } from "../register.ts";
import {
  createdAt,
  type EtcdGateway,
  type EtcdValue,
  get,
  put,
  transaction,
} from "./etcd_gateway.ts";

/** What `head` says. */
export interface Head {
  readonly stamp: Stamp;
  readonly pieces: number;
}

/** Of a cluster's first document. No hold has it: etcd's own first revision is 1, and a key's is higher. */
const FIRST_GENERATION: Generation = { number: 1, coordinator: "", run: "" };

/**
 * The newest document. If there is none, the cluster is new, and begins with this one, or with that of another coordinator
 * which was faster.
 *
 * @throws {KvError} as {@linkcode EtcdGateway.call}; `corrupt`
 */
export async function readOrBegin<D>(
  gateway: EtcdGateway,
  { prefix, first, parse }: {
    readonly prefix: string;
    first(): D;
    parse(document: unknown): D;
  },
): Promise<Stamped<D>> {
  const key = `${prefix}/head`;
  const stamp: Stamp = { generation: FIRST_GENERATION, revision: 1 };
  for (;;) {
    const { found } = await transaction(gateway, [], [get(key)]);
    const head = found[0]?.[0];
    if (head !== undefined) {
      const { stamp, pieces } = jsonOf<Head>(head, "head");
      const document = await readDocument(gateway, prefix, { stamp, pieces });
      if (document === undefined) continue;
      return { stamp, document: parse(document) };
    }
    const [piece, more] = piecesOf(first());
    invariant(piece !== undefined && more === undefined, "the first document has one piece");
    await transaction(
      gateway,
      [createdAt(key, 0)],
      [
        put(`${folderOf(prefix, stamp)}0`, piece),
        put(key, JSON.stringify({ stamp, pieces: 1 } satisfies Head)),
      ],
    );
  }
}

/** @returns undefined if another document has taken its place meanwhile. @throws {KvError} `corrupt` */
export async function readDocument(
  gateway: EtcdGateway,
  prefix: string,
  { stamp, pieces }: Head,
): Promise<unknown> {
  const parts: Uint8Array[] = [];
  for (let i = 0; i < pieces; i++) {
    const { found } = await transaction(gateway, [], [get(`${folderOf(prefix, stamp)}${i}`)]);
    const part = found[0]?.[0]?.bytes;
    if (part === undefined) return undefined;
    parts.push(part);
  }
  return documentOf(parts);
}

/** Where the pieces of a document are; with a slash at its end. */
export function folderOf(prefix: string, { generation, revision }: Stamp): string {
  return `${prefix}/document/${generation.number}-${revision}/`;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** At least one piece. */
export function piecesOf(document: unknown): Uint8Array[] {
  const bytes = gzipSync(encoder.encode(JSON.stringify(document)));
  const count = Math.max(1, Math.ceil(bytes.length / ETCD_PIECE_BYTES));
  return Array.from(
    { length: count },
    (_, i) => bytes.subarray(i * ETCD_PIECE_BYTES, (i + 1) * ETCD_PIECE_BYTES),
  );
}

/** @throws {KvError} `corrupt` */
function documentOf(parts: readonly Uint8Array[]): unknown {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  try {
    const text = decoder.decode(
      gunzipSync(whole, { maxOutputLength: ETCD_DOCUMENT_CHARACTERS_MAX }),
    );
    return JSON.parse(text);
  } catch (error) {
    throw new KvError("corrupt", `the document in etcd is damaged: ${failureOf(error).message}`);
  }
}

/** @throws {KvError} `corrupt` for what is not JSON; that it has the right shape is trusted to who may write there */
export function jsonOf<T>({ bytes }: EtcdValue, name: string): T {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    throw new KvError("corrupt", `the key ${name} in etcd is damaged`);
  }
}
