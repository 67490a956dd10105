/**
 * The datagrams of discovery: a question and its answer as one JSON object, padded, and signed if a
 * secret is set. Pure. It ignores every datagram that is not one of these.
 *
 * A signed datagram is the object, a newline, and HMAC-SHA-256 (RFC 2104) of the object's bytes in
 * 64 lower-case hexadecimal digits, with the secret's UTF-8 bytes as the key. The secret itself never
 * leaves the process. But anyone who hears a datagram can test guesses with it, so it must be long. The answer of a
 * secured coordinator is signed by its certificate instead: `answer_signature.ts`.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";
import { type AnswerTrust, isSignedAnswer, signAnswer } from "./answer_signature.ts";
import type { MemberCredentials } from "../platform/member_identity.ts";
import { parseBoundedJson } from "../schema/bounded_json.ts";
import { DATAGRAM_BYTES_MAX } from "../limits/wire.ts";
import { whyInvalid } from "../wire/message_checks.ts";
import type { Message } from "../wire/messages.ts";

/** A question or an answer. */
export type DiscoveryMessage = Message<"discover" | "discovered">;

/** What is known about a datagram's signature. */
export type Signature = "good" | "bad" | "none";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
const NEWLINE = 10;
const MAC_CHARACTERS = 64;

/** The datagram of a message. */
export function encodePacket(message: DiscoveryMessage, secret: string | undefined): Uint8Array {
  const body = encoder.encode(JSON.stringify(message));
  if (secret === undefined) return body;
  const packet = new Uint8Array(body.length + 1 + MAC_CHARACTERS);
  packet.set(body);
  packet[body.length] = NEWLINE;
  packet.set(encoder.encode(macOf(body, secret)), body.length + 1);
  return packet;
}

/** The datagram of a secured coordinator's answer. */
export function encodeSignedAnswer(
  answer: Message<"discovered">,
  credentials: MemberCredentials,
): Uint8Array {
  return signAnswer(encoder.encode(JSON.stringify(answer)), credentials);
}

/**
 * A question, padded to the largest datagram. An answer is never longer than its question, so questions
 * with a forged sender cannot be used to amplify a flood.
 */
export function encodeQuestion(
  question: Message<"discover">,
  secret: string | undefined,
): Uint8Array {
  const bare = encodePacket({ ...question, pad: "" }, secret);
  const room = DATAGRAM_BYTES_MAX - bare.length;
  return room <= 0 ? bare : encodePacket({ ...question, pad: ".".repeat(room) }, secret);
}

/** By what a datagram's signature is judged. */
export interface PacketTrust {
  readonly secret?: string | undefined;
  /** If it is known, an answer must be signed by a coordinator's certificate, whatever the secret. */
  readonly trust?: AnswerTrust | undefined;
  /** Wall clock, milliseconds since 1970. */
  readonly nowMs: number;
}

/** The content of a datagram, and what its signature is worth; undefined for anything else. */
export function decodePacket(
  packet: Uint8Array,
  by: PacketTrust,
): { message: DiscoveryMessage; signature: Signature } | undefined {
  if (packet.length > DATAGRAM_BYTES_MAX) return undefined;
  const newline = packet.indexOf(NEWLINE);
  const body = newline < 0 ? packet : packet.subarray(0, newline);
  const trailer = newline < 0 ? undefined : packet.subarray(newline + 1);
  const message = decodeBody(body);
  if (message === undefined) return undefined;
  if (trailer === undefined) return { message, signature: "none" };
  if (by.trust === undefined || message.req_type === "discover") {
    return { message, signature: verify(body, trailer, by.secret) };
  }
  const isGood = isSignedAnswer(body, trailer, message.cluster, by.trust, by.nowMs);
  return { message, signature: isGood ? "good" : "bad" };
}

function decodeBody(body: Uint8Array): DiscoveryMessage | undefined {
  let value: unknown;
  try {
    value = parseBoundedJson(decoder.decode(body));
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const fields: Record<string, unknown> = { ...value };
  if (fields.req_type !== "discover" && fields.req_type !== "discovered") return undefined;
  return whyInvalid(fields) === undefined ? value as DiscoveryMessage : undefined;
}

function verify(body: Uint8Array, mac: Uint8Array, secret: string | undefined): Signature {
  // Without a secret, a signature is neither good nor bad.
  if (secret === undefined) return "none";
  const wanted = Buffer.from(macOf(body, secret));
  return mac.length === wanted.length && timingSafeEqual(mac, wanted) ? "good" : "bad";
}

function macOf(body: Uint8Array, secret: string): string {
  return createHmac("sha256", secret).update(body).digest("hex");
}
