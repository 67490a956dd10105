/**
 * Long messages between coordinators, in pieces: a document with a large map is longer than a message is meant to
 * be. Pieces come in order over one connection, so nothing is numbered.
 *
 * Invariant: what is collected has at most AGREEMENT_CHARACTERS_MAX characters.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import {
  AGREEMENT_CHARACTERS_MAX,
  AGREEMENT_PART_CHARACTERS,
} from "../../shared/limits/membership.ts";
import { parseBoundedJson } from "../../shared/schema/bounded_json.ts";
import { whyInvalid } from "../../shared/wire/message_checks.ts";
import type { AgreementMessage, Message } from "../../shared/wire/messages.ts";

/** The lines that a message is sent as. */
export function partsOf(
  message: string,
  partCharacters: number = AGREEMENT_PART_CHARACTERS,
): string[] {
  if (message.length <= partCharacters) return [message];
  const parts: string[] = [];
  for (let at = 0; at < message.length; at += partCharacters) {
    const isLast = at + partCharacters >= message.length;
    const part: Message<"agree_part"> = {
      req_type: "agree_part",
      text: message.slice(at, at + partCharacters),
      ...(isLast ? { last: true } : {}),
    };
    parts.push(JSON.stringify(part));
  }
  return parts;
}

/** Puts the pieces of one connection together. */
export class MessageParts {
  readonly #charactersMax: number;
  #parts: string[] = [];
  #characters = 0;

  constructor(charactersMax: number = AGREEMENT_CHARACTERS_MAX) {
    this.#charactersMax = charactersMax;
  }

  /**
   * Takes a message or a piece.
   *
   * @returns the message, if it is whole now
   * @throws {KvError} `frame_too_large`, `bad_request`; the pieces until then are forgotten
   */
  take(message: AgreementMessage): Message<"agree"> | undefined {
    if (message.req_type === "agree") return message;
    this.#characters += message.text.length;
    if (this.#characters > this.#charactersMax) {
      this.#clear();
      throw new KvError(
        "frame_too_large",
        `agree: a message has ${this.#charactersMax} characters, not more`,
      );
    }
    this.#parts.push(message.text);
    if (message.last !== true) return undefined;
    const text = this.#parts.join("");
    this.#clear();
    const whole: unknown = parseJson(text);
    const why = isAgree(whole) ? whyInvalid(whole) : "it is no agree";
    if (why !== undefined) throw new KvError("bad_request", `agree: ${why}`);
    return whole as Message<"agree">;
  }

  #clear(): void {
    this.#parts = [];
    this.#characters = 0;
  }
}

function isAgree(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null &&
    (value as { req_type?: unknown }).req_type === "agree";
}

function parseJson(text: string): unknown {
  try {
    return parseBoundedJson(text);
  } catch {
    throw new KvError("bad_request", "agree: the pieces are not JSON together");
  }
}
