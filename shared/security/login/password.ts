/**
 * Hashes of passwords, and their check, by scrypt of the runtime (decision 0016), on a thread of its pool.
 *
 * Invariants: at most LOGINS_AT_ONCE_MAX hashes are computed at a time, and at most LOGINS_WAITING_MAX wait;
 * a user that is not there costs as much as a wrong password.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { scrypt, timingSafeEqual } from "node:crypto";
import { KvError } from "../../base/errors.ts";
import {
  LOGINS_AT_ONCE_MAX,
  LOGINS_WAITING_MAX,
  PASSWORD_BYTES_MAX,
  PASSWORD_CHARACTERS_MIN,
} from "../../limits/security.ts";
import type { Secret } from "../../base/secret.ts";
import type { Random } from "../../platform/random.ts";

/** The cost of new hashes: 2^15 × 8 × 128 bytes are 32 MiB. */
const COST = { log2N: 15, r: 8, p: 1 } as const;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** `scrypt$15$8$1$<salt>$<hash>`; the cost is bounded, since it comes from a document. */
const SHAPE =
  /^scrypt\$(1[0-8])\$([1-9]|1[0-6])\$([1-4])\$([A-Za-z0-9_-]{22})\$([A-Za-z0-9_-]{43})$/;

interface Cost {
  readonly log2N: number;
  readonly r: number;
  readonly p: number;
}

/** Whether a text is a hash that {@linkcode PasswordHasher.verify} can check. */
export function isPasswordHash(text: string): boolean {
  return SHAPE.test(text);
}

/** @throws {KvError} `bad_request` for a password that is too short or too long */
export function checkNewPassword(password: Secret): void {
  const text = password.reveal();
  if ([...text].length < PASSWORD_CHARACTERS_MIN || Buffer.byteLength(text) > PASSWORD_BYTES_MAX) {
    throw new KvError(
      "bad_request",
      `a password has at least ${PASSWORD_CHARACTERS_MIN} characters and at most ${PASSWORD_BYTES_MAX} bytes`,
    );
  }
}

/** Computes hashes, a few at a time. */
export class PasswordHasher {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  /** A hash of a new password. @throws {KvError} `bad_request`, `overloaded` */
  async hash(password: Secret, random: Random): Promise<string> {
    checkNewPassword(password);
    const salt = Buffer.alloc(SALT_BYTES);
    for (let at = 0; at < SALT_BYTES; at += 4) salt.writeUInt32LE(random.uint32(), at);
    const hash = await this.#inTurn(() => derive(password, salt, COST));
    return `scrypt$${COST.log2N}$${COST.r}$${COST.p}$${salt.toString("base64url")}$${
      hash.toString("base64url")
    }`;
  }

  /**
   * Whether a password is the one that was hashed.
   *
   * @param hash undefined if there is no such user: the answer is false, and takes as long
   * @throws {KvError} `overloaded` if too many logins wait
   */
  async verify(password: Secret, hash: string | undefined): Promise<boolean> {
    if (Buffer.byteLength(password.reveal()) > PASSWORD_BYTES_MAX) return false;
    const [, log2N, r, p, salt, wanted] = SHAPE.exec(hash ?? "") ?? [];
    const cost = log2N === undefined ? COST : { log2N: Number(log2N), r: Number(r), p: Number(p) };
    const salted = Buffer.from(salt ?? "A".repeat(22), "base64url");
    const derived = await this.#inTurn(() => derive(password, salted, cost));
    return wanted !== undefined && timingSafeEqual(derived, Buffer.from(wanted, "base64url"));
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= LOGINS_AT_ONCE_MAX) {
      if (this.#waiting.length >= LOGINS_WAITING_MAX) {
        throw new KvError("overloaded", "too many logins are under way; try again");
      }
      // Whoever ends hands its place over, so that nobody who comes later gets it first.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#running++;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}

function derive(password: Secret, salt: Buffer, { log2N, r, p }: Cost): Promise<Buffer> {
  const N = 2 ** log2N;
  const options = { N, r, p, maxmem: 2 * 128 * N * r };
  return new Promise((resolve, reject) =>
    scrypt(password.reveal(), salt, HASH_BYTES, options, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    })
  );
}
