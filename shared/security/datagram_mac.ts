/**
 * Datagrams that prove who sent them and that they are not recordings: the message, a newline, a counter, a
 * space and HMAC-SHA-256 over direction, counter and message, in hexadecimal. The key is one session's (a
 * node's registration at a coordinator), and is sent over TLS.
 *
 * Pure. Invariants: nothing is opened whose counter is not greater than that of all before it, so a recording
 * is refused, and so is a datagram that was overtaken (datagrams may be lost anyway); what one side has sent is
 * not taken for the other side's word.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";
import { DATAGRAM_BYTES_MAX } from "../base/limits.ts";
import type { Secret } from "../base/secret.ts";

/** Who sends. */
export type Direction = "node" | "coordinator";

const encoder = new TextEncoder();
const NEWLINE = 10;
const TRAILER = /^(\d{1,16}) ([0-9a-f]{64})$/;

/** Seals what one side sends in a session. */
export class DatagramSealer {
  readonly #key: Secret;
  readonly #direction: Direction;
  #counter = 0;

  constructor(key: Secret, direction: Direction) {
    this.#key = key;
    this.#direction = direction;
  }

  /** The datagram of a message of one line. */
  seal(message: Uint8Array): Uint8Array {
    const counter = ++this.#counter;
    const mac = macOf(this.#key, this.#direction, counter, message);
    const trailer = encoder.encode(`\n${counter} ${mac}`);
    const datagram = new Uint8Array(message.length + trailer.length);
    datagram.set(message);
    datagram.set(trailer, message.length);
    return datagram;
  }
}

/** Opens what the other side has sent. */
export class DatagramOpener {
  readonly #key: Secret;
  readonly #direction: Direction;
  #counter = 0;

  /** @param direction of the one that sends */
  constructor(key: Secret, direction: Direction) {
    this.#key = key;
    this.#direction = direction;
  }

  /** The message, or undefined if it is forged, changed, of another session or direction, or was seen. */
  open(datagram: Uint8Array): Uint8Array | undefined {
    if (datagram.length > DATAGRAM_BYTES_MAX) return undefined;
    const newline = datagram.lastIndexOf(NEWLINE);
    if (newline < 0) return undefined;
    const message = datagram.subarray(0, newline);
    const trailer = Buffer.from(datagram.subarray(newline + 1)).toString("latin1");
    const [, digits, given] = TRAILER.exec(trailer) ?? [];
    const counter = Number(digits);
    if (given === undefined || !Number.isSafeInteger(counter)) return undefined;
    const wanted = macOf(this.#key, this.#direction, counter, message);
    if (!timingSafeEqual(Buffer.from(given), Buffer.from(wanted))) return undefined;
    if (counter <= this.#counter) return undefined;
    this.#counter = counter;
    return message;
  }
}

function macOf(key: Secret, direction: Direction, counter: number, message: Uint8Array): string {
  return createHmac("sha256", key.reveal()).update(`${direction} ${counter}\n`).update(message)
    .digest("hex");
}
