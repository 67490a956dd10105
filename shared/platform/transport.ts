/**
 * The network, as coordinator, node and client see it: streams (reliable, in order, may break) and
 * datagrams (may be lost, late, doubled or out of order). `deno/deno_transport.ts` is the real one; the
 * simulator has its own. Everything is by callback: a promise per read or write would cost more
 * than the rest of a request.
 *
 * @module
 */

import type { MemberName, WantedMember } from "./member_identity.ts";

/** The address of a listener or socket. */
export interface Address {
  /** Host name or IP address. */
  host: string;
  /** Port, 0 to 65535; 0 asks the system to choose one. */
  port: number;
}

/** What a stream calls. Set once, with {@linkcode Stream.start}. */
export interface StreamHandlers {
  /** Bytes have arrived. The array is valid only during the call: copy what must live longer. */
  onData(bytes: Uint8Array): void;
  /**
   * The other side will send no more, but may still read (half-close). The stream stays open until
   * `close`. Without this handler it closes by itself once what was queued is sent.
   */
  onEnd?(): void;
  /** The stream has ended, by either side. Called exactly once, and never before `start`. */
  onClose(reason: Error | undefined): void;
  /**
   * The certificates under which this side has opened the stream end before long, and the stream with them. It serves
   * until then; who goes over to a new one now loses nothing. May be called more than once.
   */
  onExpiring?(): void;
  /** What was queued has fallen below the low-water mark after {@linkcode Stream.queuedBytes} had exceeded the high one. */
  onDrain?(): void;
}

/** A two-way byte stream. */
export interface Stream {
  readonly remote: Address;
  /** The member of the cluster at the other end, if its certificate was verified; else nobody is known there. */
  readonly member?: MemberName | undefined;
  /** Bytes given to `write` that the system has not accepted yet. */
  readonly queuedBytes: number;
  /**
   * The other side is a port of a secured process: its system may hold back the end of what it sends until ours has
   * acknowledged the beginning, because a connection that `Deno.listenTls` has accepted cannot be told TCP_NODELAY. An
   * acknowledgement by itself comes after 40 ms; one goes with whatever is written.
   */
  readonly isHeldBack?: boolean;
  /** Begins reading. Data that arrived earlier is kept until then. Nothing is called from inside this call. */
  start(handlers: StreamHandlers): void;
  /** Queues bytes. The stream owns the array from now on. Ignored once closed. */
  write(bytes: Uint8Array): void;
  /** Stops calling `onData` (so that the other side feels back-pressure) until `resume`. */
  pause(): void;
  resume(): void;
  /**
   * Ends the stream; `onClose` follows, never from inside this call. With `flush`, what was queued is
   * still sent (bounded in time); without, it is dropped.
   */
  close(flush?: boolean): void;
}

/** Something that accepts streams. */
export interface Listener {
  /** The real address, with the port that the system chose if 0 was asked for. */
  readonly address: Address;
  /**
   * Stops accepting. Accepted streams stay open.
   *
   * @returns resolves when nobody can connect any more; until then a stream may still come
   */
  close(): Promise<void>;
}

/** Something that sends and receives datagrams. */
export interface DatagramSocket {
  readonly address: Address;
  /** Sends one datagram; losing it is not an error. */
  send(bytes: Uint8Array, to: Address): void;
  /**
   * From now on also receives what is sent to an IPv4 multicast group, on the network of one of this
   * machine's addresses (0.0.0.0: one that the system chooses). If that is not possible, `onFail` is
   * called later.
   */
  join(group: string, interfaceAddress: string, onFail: () => void): void;
  close(): void;
}

/** How to listen. */
export interface ListenerOptions {
  /**
   * Other processes of the same user may listen on the same port if they set this too; each connection goes to one of
   * them. Default false. A transport that cannot do it listens alone.
   */
  readonly shared?: boolean;
}

/** How to bind a socket. */
export interface DatagramOptions {
  /**
   * Other sockets may bind the same port if they set this too. Then all of them receive broadcasts and
   * multicasts, and one of them receives what is sent to this machine alone. Default false.
   */
  readonly shared?: boolean;
}

/** The means to reach other processes. */
export interface Transport {
  /** @throws {KvError} `address_in_use`, or `unavailable` if the address cannot be bound. */
  listen(
    address: Address,
    onStream: (stream: Stream) => void,
    options?: ListenerOptions,
  ): Promise<Listener>;
  /**
   * Opens a stream; exactly one of the two callbacks is called, later. Gives up after `timeoutMs`.
   * Returns a function that abandons the attempt (then neither is called).
   *
   * @param wanted which member must be there, if the network between members is secured; else it is not looked at
   */
  connect(
    address: Address,
    timeoutMs: number,
    onOpen: (stream: Stream) => void,
    onFail: (reason: Error) => void,
    wanted?: WantedMember,
  ): () => void;
  /** @throws {KvError} `address_in_use`, or `unavailable` if the address cannot be bound. */
  bindDatagram(
    address: Address,
    onDatagram: (bytes: Uint8Array, from: Address) => void,
    options?: DatagramOptions,
  ): Promise<DatagramSocket>;
}

/** Whether it is the same place. */
export function isSameAddress(a: Address, b: Address): boolean {
  return a.host === b.host && a.port === b.port;
}

/** `host:port`, with brackets round an IPv6 address. */
export function formatAddress(address: Address): string {
  return address.host.includes(":")
    ? `[${address.host}]:${address.port}`
    : `${address.host}:${address.port}`;
}
