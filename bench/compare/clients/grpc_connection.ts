/**
 * As much of gRPC over HTTP/2 (RFC 9113, without TLS) as unary calls with small messages need, so that a
 * measurement of etcd measures etcd and not a client library. Requests have constant, uncompressed header
 * blocks; of responses only the frames are read. A call that ends without a message has failed; the reason is
 * in compressed headers, which are not read.
 *
 * Use it for nothing else: a request that is larger than the server's window is never sent.
 *
 * @module
 */
import type { Done } from "./store_client.ts";
import type { TcpLink } from "./tcp_link.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD_BYTES = 9;
const GRPC_HEAD_BYTES = 5;
/** Every receiver accepts frames of this many bytes. */
const FRAME_BYTES_MAX = 16_384;
const enum Frame {
  Data = 0,
  Headers = 1,
  Reset = 3,
  Settings = 4,
  Ping = 6,
  GoAway = 7,
  WindowUpdate = 8,
}
const END_STREAM = 1;
const END_HEADERS = 4;
const ACK = 1;
const HEADER_TABLE_SIZE = 1;
const INITIAL_WINDOW_SIZE = 4;
const WINDOW_MAX = 2 ** 31 - 1;
const WINDOW_DEFAULT = 65_535;
/** The connection's window is filled up again after this many bytes. */
const WINDOW_REFILL = 2 ** 24;

interface Call {
  readonly done: Done;
  readonly bytesMin: number;
  /** Of the answer so far. */
  bytes: number;
}

/** A header block of literal fields that are not indexed (RFC 7541, section 6.2.2). */
export function headerBlock(path: string): Uint8Array {
  const fields = [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", "etcd"],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
  ] as const;
  const encoder = new TextEncoder();
  const bytes: number[] = [];
  for (const field of fields) {
    bytes.push(0);
    for (const text of field) {
      if (text.length >= 127) throw new Error(`too long for a header here: ${text}`);
      bytes.push(text.length, ...encoder.encode(text));
    }
  }
  return Uint8Array.from(bytes);
}

/** One connection, on which any number of calls may be under way. */
export class GrpcConnection {
  readonly #link: TcpLink;
  readonly #calls = new Map<number, Call>();
  #nextStream = 1;
  /** Bytes that we may send. */
  #window = WINDOW_DEFAULT;
  /** Calls that wait until they may be sent, in their order. */
  #waiting: (() => void)[] = [];
  #received = 0;
  /** The rest of a read that ends within a frame. */
  #rest = new Uint8Array(0);
  #ended: string | undefined;

  constructor(link: TcpLink) {
    this.#link = link;
    link.start({ onBytes: (bytes) => this.#onBytes(bytes), onEnd: (reason) => this.#end(reason) });
    link.text(PREFACE);
    const settings = new Uint8Array(12);
    const view = new DataView(settings.buffer);
    view.setUint16(0, HEADER_TABLE_SIZE);
    view.setUint32(2, 0);
    view.setUint16(6, INITIAL_WINDOW_SIZE);
    view.setUint32(8, WINDOW_MAX);
    this.#send(Frame.Settings, 0, 0, settings);
    this.#grant(WINDOW_MAX - WINDOW_DEFAULT);
  }

  /** Calls a method. `message` is copied. An answer of fewer than `bytesMin` bytes is an error. */
  call(headers: Uint8Array, message: Uint8Array, bytesMin: number, done: Done): void {
    const length = GRPC_HEAD_BYTES + message.length;
    const ended = this.#ended;
    if (ended !== undefined) {
      setTimeout(() => done(ended), 0);
      return;
    }
    if (length > this.#window || this.#waiting.length > 0) {
      const replica = message.slice();
      this.#waiting.push(() => this.call(headers, replica, bytesMin, done));
      return;
    }
    this.#window -= length;
    const stream = this.#nextStream;
    this.#nextStream += 2;
    this.#calls.set(stream, { done, bytesMin, bytes: 0 });
    this.#send(Frame.Headers, END_HEADERS, stream, headers);
    // The first frame holds the message's length; a longer message continues in further frames.
    let end = Math.min(message.length, FRAME_BYTES_MAX - GRPC_HEAD_BYTES);
    const flags = end === message.length ? END_STREAM : 0;
    const head = frameHead(Frame.Data, flags, stream, GRPC_HEAD_BYTES + end, GRPC_HEAD_BYTES);
    new DataView(head.buffer).setUint32(FRAME_HEAD_BYTES + 1, message.length);
    this.#link.bytes(head);
    this.#link.bytes(message.subarray(0, end));
    while (end < message.length) {
      const part = message.subarray(end, end + FRAME_BYTES_MAX);
      end += part.length;
      this.#send(Frame.Data, end === message.length ? END_STREAM : 0, stream, part);
    }
  }

  close(): void {
    this.#link.close();
  }

  #send(type: Frame, flags: number, stream: number, payload: Uint8Array): void {
    this.#link.bytes(frameHead(type, flags, stream, payload.length));
    this.#link.bytes(payload);
  }

  #grant(bytes: number): void {
    const payload = new Uint8Array(4);
    new DataView(payload.buffer).setUint32(0, bytes);
    this.#send(Frame.WindowUpdate, 0, 0, payload);
  }

  #onBytes(read: Uint8Array): void {
    let bytes = read;
    if (this.#rest.length > 0) {
      bytes = new Uint8Array(this.#rest.length + read.length);
      bytes.set(this.#rest);
      bytes.set(read, this.#rest.length);
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 0;
    while (bytes.length - at >= FRAME_HEAD_BYTES) {
      const length = view.getUint32(at) >>> 8;
      const end = at + FRAME_HEAD_BYTES + length;
      if (end > bytes.length) break;
      const type = view.getUint8(at + 3);
      const flags = view.getUint8(at + 4);
      const stream = view.getUint32(at + 5) & WINDOW_MAX;
      this.#onFrame(type, flags, stream, bytes.subarray(at + FRAME_HEAD_BYTES, end));
      at = end;
    }
    this.#rest = bytes.slice(at);
  }

  #onFrame(type: Frame, flags: number, stream: number, payload: Uint8Array): void {
    switch (type) {
      case Frame.Data: {
        this.#received += payload.length;
        const call = this.#calls.get(stream);
        if (call !== undefined) call.bytes += payload.length;
        if (this.#received >= WINDOW_REFILL) {
          this.#grant(this.#received);
          this.#received = 0;
        }
        break;
      }
      case Frame.Reset:
        return this.#finish(stream, "the server reset the stream");
      case Frame.Settings:
        if ((flags & ACK) === 0) this.#send(Frame.Settings, ACK, 0, new Uint8Array(0));
        return;
      case Frame.Ping:
        if ((flags & ACK) === 0) this.#send(Frame.Ping, ACK, 0, payload);
        return;
      case Frame.GoAway:
        return this.#end("the server said good-bye");
      case Frame.WindowUpdate:
        if (stream !== 0) return;
        this.#window += toView(payload).getUint32(0) & WINDOW_MAX;
        this.#sendWaiting();
        return;
    }
    if ((flags & END_STREAM) !== 0) this.#finish(stream);
  }

  #finish(stream: number, error?: string): void {
    const call = this.#calls.get(stream);
    if (call === undefined) return;
    this.#calls.delete(stream);
    call.done(error ?? whyNoAnswer(call));
  }

  /** What does not fit yet waits again, in the same order. */
  #sendWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const call of waiting) call();
  }

  #end(reason: string): void {
    this.#ended ??= reason;
    this.#sendWaiting();
    for (const stream of [...this.#calls.keys()]) this.#finish(stream, reason);
  }
}

function whyNoAnswer({ bytes, bytesMin }: Call): string | undefined {
  if (bytes === 0) return "gRPC: the call failed without an answer";
  return bytes < bytesMin ? "gRPC: the answer has no value; no such key?" : undefined;
}

function toView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function frameHead(
  type: Frame,
  flags: number,
  stream: number,
  length: number,
  room = 0,
): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array(FRAME_HEAD_BYTES + room);
  const view = new DataView(head.buffer);
  view.setUint32(0, length << 8 | type);
  view.setUint8(4, flags);
  view.setUint32(5, stream);
  return head;
}
