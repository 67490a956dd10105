/**
 * Tokens, by which programs log in as a user, or machines join: `kv1.<sha256 of the authority's certificate, hex>.
 * <secret, base64url>`, in one line and without a space. A token counts for the cluster of that authority only.
 * Who joins compares the authority that a server shows with the hash, and sends the secret only when TLS has verified
 * the server by it.
 *
 * Pure. Only the hash of a secret is kept; a secret has 256 random bits, so nothing is gained by a slow hash.
 *
 * @module
 */
import type { MemberRole } from "../platform/member_identity.ts";
import { Buffer } from "node:buffer";
import { createHash, timingSafeEqual } from "node:crypto";
import { KvError } from "../base/errors.ts";
import { Secret } from "../base/secret.ts";
import type { Random } from "../platform/random.ts";

const VERSION = "kv1";
const SECRET_BYTES = 32;
const SHAPE = /^kv1\.([0-9a-f]{64})\.([A-Za-z0-9_-]{43})$/;
/** Digits of a token's hash that are its name in lists. */
const ID_DIGITS = 12;

/** A token, as it is kept, whatever it is for. */
export interface TokenEntry {
  /** Its name in lists; tells nothing of the secret. */
  readonly id: string;
  /** SHA-256 of the secret, hexadecimal. */
  readonly hash: string;
  /** Milliseconds since 1970. */
  readonly madeMs: number;
  /** From then on it is worth nothing. */
  readonly untilMs: number;
}

/** A token by which a user logs in. */
export interface StoredToken extends TokenEntry {
  /** Whom it logs in. */
  readonly user: string;
}

/** A token by which a machine becomes a member. */
export interface StoredJoinToken extends TokenEntry {
  /** What it becomes. */
  readonly role: MemberRole;
}

/** The parts of a token. */
export interface Token {
  /** SHA-256 of the authority's certificate, in 64 hexadecimal digits. */
  readonly fingerprint: string;
  readonly secret: Secret;
}

/** A new token: its text, which is shown once, and what is kept of it. @param isFor what it is good for */
export function createToken<F extends object>(
  random: Random,
  fingerprint: string,
  isFor: F,
  nowMs: number,
  lifetimeMs: number,
): { readonly text: Secret; readonly stored: TokenEntry & F } {
  const bytes = Buffer.alloc(SECRET_BYTES);
  for (let at = 0; at < SECRET_BYTES; at += 4) bytes.writeUInt32LE(random.uint32(), at);
  const secret = bytes.toString("base64url");
  const hash = hashOf(secret);
  return {
    text: new Secret(`${VERSION}.${fingerprint}.${secret}`),
    stored: {
      ...isFor,
      id: hash.slice(0, ID_DIGITS),
      hash,
      madeMs: nowMs,
      untilMs: nowMs + lifetimeMs,
    },
  };
}

/** @throws {KvError} `bad_request` for anything that is no token; the text does not repeat it */
export function parseToken(text: string): Token {
  const [, fingerprint, secret] = SHAPE.exec(text.trim()) ?? [];
  if (fingerprint === undefined || secret === undefined) {
    throw new KvError(
      "bad_request",
      "not a token: one begins with kv1. and has three parts; copy it whole, without line breaks",
    );
  }
  return { fingerprint, secret: new Secret(secret) };
}

/** The token that a secret belongs to, among those that are kept; undefined also for one that has ended. */
export function knownToken<T extends TokenEntry>(
  tokens: readonly T[],
  secret: Secret,
  nowMs: number,
): T | undefined {
  const hash = Buffer.from(hashOf(secret.reveal()), "hex");
  const found = tokens.find((token) => {
    const kept = Buffer.from(token.hash, "hex");
    return kept.length === hash.length && timingSafeEqual(kept, hash);
  });
  return found === undefined || nowMs >= found.untilMs ? undefined : found;
}

/** What is said of every token that does not count, so that nothing is learned of which there are. */
export function unknownToken(): KvError {
  return new KvError("unauthorized", "this token is not known, was revoked, or has ended");
}

/** A secret's name in lists; it tells nothing of the secret, and is the same for the same one. */
export function tokenName(secret: Secret): string {
  return hashOf(secret.reveal()).slice(0, ID_DIGITS);
}

function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}
