/**
 * Datagrams that prove who sent them and that they are not recordings. Behind the message stand a newline, the
 * channel's name, a counter and an HMAC-SHA-256 over direction, counter and message, in hexadecimal. The key is one
 * session's (a node's registration at a coordinator), and is sent over TLS.
 *
 * Pure. Invariants: nothing is opened whose counter is not greater than that of all before it, so a recording
 * is refused, and so is a datagram that was overtaken (datagrams may be lost anyway); what one side has sent is
 * not taken for the other side's word.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { joinBytes } from "../base/join_bytes.ts";
import type { Secret } from "../base/secret.ts";
import { DATAGRAM_BYTES_MAX } from "../limits/wire.ts";
import { type Random, randomSecret } from "../platform/random.ts";

/** Whose end of a channel it is. */
export type ChannelEnd = "node" | "coordinator";

const encoder = new TextEncoder();
const NAME_DIGITS = 16;
const KEY = /^[0-9a-f]{64}$/;
const NEWLINE = 10;
const TRAILER = /^([0-9a-f]{16}) (\d{1,16}) ([0-9a-f]{64})$/;

/** A new key of 256 random bits. */
export function newChannelKey(random: Random): Secret {
  return randomSecret(random);
}

/** Whether a text can be a key. */
export function isChannelKey(text: string): boolean {
  return KEY.test(text);
}

/** One end of the channel of a session. */
export class DatagramChannel {
  /** Says in a datagram by which key it is to be opened; tells nothing of the key. */
  readonly name: string;
  readonly #key: Secret;
  readonly #end: ChannelEnd;
  #sent = 0;
  #received = 0;

  /** @param end this side's */
  constructor(key: Secret, end: ChannelEnd) {
    this.#key = key;
    this.#end = end;
    this.name = createHash("sha256").update(key.reveal()).digest("hex").slice(0, NAME_DIGITS);
  }

  /** Whether this is the channel of a key. */
  hasKey(key: Secret): boolean {
    return this.#key.reveal() === key.reveal();
  }

  /** The datagram of a message. */
  seal(message: Uint8Array): Uint8Array {
    const counter = ++this.#sent;
    const mac = this.#macOf(this.#end, counter, message);
    return joinBytes([message, encoder.encode(`\n${this.name} ${counter} ${mac}`)]);
  }

  /**
   * The message of a datagram of the other side; undefined if it is forged, changed, of another session or
   * direction, or not newer than one that came before.
   */
  open(datagram: Uint8Array): Uint8Array | undefined {
    const parts = partsOf(datagram);
    if (parts === undefined || parts.name !== this.name) return undefined;
    const { message, counter, mac } = parts;
    const wanted = this.#macOf(this.#end === "node" ? "coordinator" : "node", counter, message);
    if (!timingSafeEqual(Buffer.from(mac), Buffer.from(wanted))) return undefined;
    if (counter <= this.#received) return undefined;
    this.#received = counter;
    return message;
  }

  #macOf(from: ChannelEnd, counter: number, message: Uint8Array): string {
    return createHmac("sha256", this.#key.reveal()).update(`${from} ${counter}\n`).update(message)
      .digest("hex");
  }
}

/** The name of the channel that a datagram claims to be of; undefined if it is none of a channel. */
export function channelOf(datagram: Uint8Array): string | undefined {
  return partsOf(datagram)?.name;
}

function partsOf(datagram: Uint8Array) {
  if (datagram.length > DATAGRAM_BYTES_MAX) return undefined;
  const newline = datagram.lastIndexOf(NEWLINE);
  if (newline < 0) return undefined;
  const trailer = Buffer.from(datagram.subarray(newline + 1)).toString("latin1");
  const [, name, digits, mac] = TRAILER.exec(trailer) ?? [];
  const counter = Number(digits);
  if (name === undefined || mac === undefined || !Number.isSafeInteger(counter)) return undefined;
  return { message: datagram.subarray(0, newline), name, counter, mac };
}
