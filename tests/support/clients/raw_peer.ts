/**
 * The other end of a stream, written by hand: sends any bytes and keeps what comes, as texts of
 * lines. For tests of what a badly behaved peer gets.
 *
 * @module
 */
import type { Stream } from "../../../shared/platform/transport.ts";

/** A peer that keeps to no protocol. */
export class RawPeer {
  /** All that came. */
  text = "";
  closed = false;
  reason: Error | undefined;
  readonly stream: Stream;

  constructor(stream: Stream) {
    this.stream = stream;
    stream.start({
      onData: (bytes) => this.text += new TextDecoder().decode(bytes),
      onClose: (reason) => {
        this.closed = true;
        this.reason = reason;
      },
    });
  }

  /** Lines that came, parsed. */
  get messages(): Record<string, unknown>[] {
    return this.text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  }

  /** Takes what came so far, so that only newer messages are seen next. */
  take(): Record<string, unknown>[] {
    const { messages } = this;
    this.text = "";
    return messages;
  }

  sendText(text: string): void {
    this.stream.write(new TextEncoder().encode(text));
  }

  send(...messages: object[]): void {
    this.sendText(messages.map((message) => JSON.stringify(message) + "\n").join(""));
  }
}
