/**
 * Server-Sent Events, from pieces of text to events, as the HTML standard has them: lines end with LF, CR or both, an empty
 * line ends an event, and what begins with a colon is a comment. It asks for nothing and keeps no connection.
 *
 * Invariant: how the text was cut into pieces makes no difference.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";

/** More than any event of a watch has: a value of the greatest length that a cluster may be set to, as JSON. */
const EVENT_CHARACTERS_MAX = 128 * 1024 * 1024;

/** One event. */
export interface StreamEvent {
  /** What follows `event:`; "message" if nothing does. */
  readonly type: string;
  /** The lines that follow `data:`. */
  readonly data: string;
  /** The last `id:` of the stream. */
  readonly id: string;
}

/** Reads one stream. */
export class EventStreamReader {
  #type = "";
  #data: string[] = [];
  #id = "";
  /** The beginning of a line whose end has not come. */
  #line: string[] = [];
  /** Characters of the event that is being read. */
  #length = 0;
  /** The last piece ended with CR: an LF that follows belongs to it. */
  #endedWithCr = false;

  /** The events that end in this piece. @throws {KvError} `frame_too_large` */
  read(piece: string): StreamEvent[] {
    const events: StreamEvent[] = [];
    let at = this.#endedWithCr && piece.startsWith("\n") ? 1 : 0;
    if (piece !== "") this.#endedWithCr = piece.endsWith("\r");
    for (const { index, 0: { length } } of piece.matchAll(/\r\n|\n|\r/g)) {
      if (index < at) continue;
      this.#line.push(piece.slice(at, index));
      at = index + length;
      const line = this.#line.join("");
      this.#line = [];
      this.#take(line, events);
    }
    const rest = piece.slice(at);
    if (rest !== "") this.#line.push(rest);
    this.#length += piece.length;
    if (this.#length > EVENT_CHARACTERS_MAX) {
      throw new KvError(
        "frame_too_large",
        `an event has more than ${EVENT_CHARACTERS_MAX} characters`,
      );
    }
    return events;
  }

  #take(line: string, events: StreamEvent[]): void {
    if (line === "") {
      // An event without data is none.
      if (this.#data.length > 0) {
        const data = this.#data.join("\n");
        events.push({ type: this.#type || "message", data, id: this.#id });
      }
      this.#type = "";
      this.#data = [];
      this.#length = 0;
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (name === "event") this.#type = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id" && !value.includes("\0")) this.#id = value;
  }
}
