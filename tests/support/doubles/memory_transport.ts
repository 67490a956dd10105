/**
 * A network in memory, for tests of roles: hosts by name, streams and datagrams with one delay, cuts
 * between two hosts, crashes of one. Deterministic: everything happens by timers of the given clock.
 * It loses and reorders nothing by itself; the simulator's network does.
 *
 * @module
 */
import type { Clock } from "../../../shared/platform/clock.ts";
import { KvError } from "../../../shared/base/errors.ts";
import {
  STREAM_HIGH_WATER_BYTES,
  STREAM_LOW_WATER_BYTES,
} from "../../../shared/limits/connections.ts";
import type { MemberName } from "../../../shared/platform/member_identity.ts";
import type {
  Address,
  DatagramSocket,
  Listener,
  Stream,
  StreamHandlers,
  Transport,
} from "../../../shared/platform/transport.ts";
import { formatAddress } from "../../../shared/platform/transport.ts";

/** Hosts, and what is between them. */
export class MemoryNetwork {
  /** One way, for everything sent from now on. */
  delayMs: number;
  readonly clock: Clock;
  readonly #listeners = new Map<string, MemoryListener>();
  readonly #sockets = new Map<string, MemorySocket[]>();
  readonly #ends = new Set<MemoryStream>();
  readonly #cuts = new Set<string>();
  readonly #members = new Map<string, MemberName>();
  #portNext = 40_000;

  constructor(clock: Clock, options: { delayMs?: number } = {}) {
    this.clock = clock;
    this.delayMs = options.delayMs ?? 0;
  }

  /** The network as one host sees it. Its own name is also its address. */
  transport(host: string): Transport {
    return {
      listen: (address, onStream) => this.#listen(host, address, onStream),
      connect: (address, timeoutMs, onOpen, onFail) =>
        this.#connect(host, address, timeoutMs, onOpen, onFail),
      bindDatagram: (address, onDatagram, options) =>
        this.#bind(host, address, onDatagram, options?.shared ?? false),
    };
  }

  /** Streams that are opened from now on show the other side which member of a secured cluster a host is. */
  certify(host: string, member: MemberName): void {
    this.#members.set(host, member);
  }

  memberOf(host: string): MemberName | undefined {
    return this.#members.get(host);
  }

  /** Nothing gets through between two hosts, either way: streams hold it, datagrams are lost. */
  cut(a: string, b: string): void {
    this.#cuts.add(pair(a, b));
  }

  /** Ends a cut; streams deliver what they held. */
  heal(a: string, b: string): void {
    this.#cuts.delete(pair(a, b));
    for (const end of [...this.#ends]) end.deliverHeld();
  }

  /** Breaks every stream between two hosts. */
  reset(a: string, b: string): void {
    for (const end of [...this.#ends]) {
      if (pair(end.host, end.remote.host) === pair(a, b)) end.break("reset");
    }
  }

  /** The certificates end before long under which a host has opened streams to another one. */
  expire(from: string, to: string): void {
    for (const end of [...this.#ends]) {
      if (end.host === from && end.remote.host === to) end.expire();
    }
  }

  /** The host's process has died: nobody listens there, and its streams break. */
  crash(host: string): void {
    for (const [key, listener] of this.#listeners) {
      if (listener.address.host === host) this.#listeners.delete(key);
    }
    for (const [key, [socket]] of this.#sockets) {
      if (socket?.address.host === host) this.#sockets.delete(key);
    }
    for (const end of [...this.#ends]) {
      if (end.host === host) end.crash();
    }
  }

  /** Streams that are open, both ends counted. */
  get openEnds(): number {
    return this.#ends.size;
  }

  isCut(a: string, b: string): boolean {
    return this.#cuts.has(pair(a, b));
  }

  forget(end: MemoryStream): void {
    this.#ends.delete(end);
  }

  #address(host: string, address: Address, used: Map<string, unknown>): Address {
    const port = address.port === 0 ? this.#portNext++ : address.port;
    const real = { host, port };
    if (used.has(formatAddress(real))) {
      throw new KvError("address_in_use", `${formatAddress(real)} is in use; choose another port`);
    }
    return real;
  }

  // deno-lint-ignore require-await -- a failure must be a rejection
  async #listen(
    host: string,
    wanted: Address,
    onStream: (stream: Stream) => void,
  ): Promise<Listener> {
    const address = this.#address(host, wanted, this.#listeners);
    const key = formatAddress(address);
    const listener: MemoryListener = { address, onStream };
    this.#listeners.set(key, listener);
    return {
      address,
      close: () => {
        if (this.#listeners.get(key) === listener) this.#listeners.delete(key);
        return Promise.resolve();
      },
    };
  }

  #connect(
    host: string,
    address: Address,
    timeoutMs: number,
    onOpen: (stream: Stream) => void,
    onFail: (reason: Error) => void,
  ): () => void {
    let settled = false;
    const where = formatAddress(address);
    const fail = (why: string) => {
      if (settled) return;
      settled = true;
      onFail(new KvError("unavailable", `connect to ${where}: ${why}`));
    };
    const timer = this.clock.setTimer(
      timeoutMs,
      () => fail(`no answer within ${timeoutMs} ms`),
    );
    this.clock.setTimer(this.delayMs, () => {
      if (settled || this.isCut(host, address.host)) return;
      const listener = this.#listeners.get(where);
      const [near, far] = this.#pair(host, address);
      if (listener !== undefined) {
        this.#ends.add(far);
        listener.onStream(far);
      }
      this.clock.setTimer(this.delayMs, () => {
        timer.cancel();
        if (listener === undefined) {
          fail("connection refused");
          return;
        }
        if (settled) {
          far.break("abandoned");
          return;
        }
        settled = true;
        this.#ends.add(near);
        onOpen(near);
      });
    });
    return () => {
      settled = true;
      timer.cancel();
    };
  }

  #pair(host: string, address: Address): [near: MemoryStream, far: MemoryStream] {
    const near = new MemoryStream(this, host, address);
    const far = new MemoryStream(this, address.host, { host, port: this.#portNext++ });
    near.join(far);
    far.join(near);
    return [near, far];
  }

  // deno-lint-ignore require-await -- a failure must be a rejection
  async #bind(
    host: string,
    wanted: Address,
    onDatagram: (bytes: Uint8Array, from: Address) => void,
    shared: boolean,
  ): Promise<DatagramSocket> {
    const others = this.#sockets.get(formatAddress({ host, port: wanted.port })) ?? [];
    const sharing = shared && others.every((other) => other.shared);
    const address = this.#address(host, wanted, sharing ? new Map() : this.#sockets);
    const key = formatAddress(address);
    const socket: MemorySocket = { address, onDatagram, shared, groups: new Set() };
    this.#sockets.set(key, [...others, socket]);
    return {
      address,
      send: (bytes, to) => {
        if (!this.#sockets.get(key)?.includes(socket)) return;
        const copy = bytes.slice();
        const targets = this.#targets(to).filter((one) => !this.isCut(host, one.address.host));
        if (targets.length === 0) return;
        this.clock.setTimer(this.delayMs, () => {
          for (const target of targets) {
            const there = this.#sockets.get(formatAddress(target.address))?.includes(target);
            if (there && !this.isCut(host, target.address.host)) target.onDatagram(copy, address);
          }
        });
      },
      join: (group) => void socket.groups.add(group),
      close: () => {
        const rest = (this.#sockets.get(key) ?? []).filter((one) => one !== socket);
        if (rest.length === 0) this.#sockets.delete(key);
        else this.#sockets.set(key, rest);
      },
    };
  }

  /** Who receives what is sent to an address: one host, everybody, or a multicast group. */
  #targets(to: Address): MemorySocket[] {
    const there = this.#sockets.get(formatAddress(to));
    // What is for this machine alone goes to one of those that share the port.
    if (there !== undefined) return there.slice(-1);
    return [...this.#sockets.values()].flat().filter(({ address, groups }) =>
      address.port === to.port && (to.host === BROADCAST || groups.has(to.host))
    );
  }
}

/** Every host of the network. */
const BROADCAST = "255.255.255.255";

interface MemoryListener {
  address: Address;
  onStream: (stream: Stream) => void;
}

interface MemorySocket {
  address: Address;
  shared: boolean;
  groups: Set<string>;
  onDatagram: (bytes: Uint8Array, from: Address) => void;
}

/** What is on its way to one end. */
type Parcel = Uint8Array | "end" | "break";

/** One end of a stream. */
class MemoryStream implements Stream {
  readonly host: string;
  readonly remote: Address;
  readonly member: MemberName | undefined;
  readonly #network: MemoryNetwork;
  #other: MemoryStream | undefined;
  #handlers: StreamHandlers | undefined;
  /** Arrived and not given to the owner yet. */
  #inbox: Parcel[] = [];
  /** Due and held by a cut. */
  #held: Parcel[] = [];
  #paused = false;
  #closed = false;
  #queuedBytes = 0;
  #aboveHighWater = false;

  constructor(network: MemoryNetwork, host: string, remote: Address) {
    this.#network = network;
    this.host = host;
    this.remote = remote;
    this.member = network.memberOf(remote.host);
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  join(other: MemoryStream): void {
    this.#other = other;
  }

  start(handlers: StreamHandlers): void {
    this.#handlers = handlers;
    this.#network.clock.defer(() => this.#empty());
  }

  write(bytes: Uint8Array): void {
    if (this.#closed || bytes.length === 0) return;
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes > STREAM_HIGH_WATER_BYTES) this.#aboveHighWater = true;
    this.#post(bytes);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#network.clock.defer(() => this.#empty());
  }

  close(flush = false): void {
    if (this.#closed) return;
    this.#post(flush || this.#queuedBytes === 0 ? "end" : "break");
    this.finish(undefined);
  }

  /** Both ends learn that the stream is broken. */
  break(why: string): void {
    const error = () => new KvError("unavailable", `the connection broke: ${why}`);
    this.#other?.finish(error());
    this.finish(error());
  }

  expire(): void {
    this.#handlers?.onExpiring?.();
  }

  /** This end's process is gone: its handlers are never called again; the other end breaks. */
  crash(): void {
    if (this.#closed) return;
    this.#post("break");
    this.#closed = true;
    this.#handlers = undefined;
    this.#network.forget(this);
  }

  deliverHeld(): void {
    if (this.#network.isCut(this.host, this.remote.host)) return;
    this.#inbox.push(...this.#held.splice(0));
    this.#empty();
  }

  #post(parcel: Parcel): void {
    const other = this.#other;
    this.#network.clock.setTimer(this.#network.delayMs, () => other?.arrive(parcel));
  }

  arrive(parcel: Parcel): void {
    if (this.#closed) {
      // Nobody reads it any more, which is no concern of the sender's.
      if (parcel instanceof Uint8Array) this.#other?.taken(parcel.length);
      return;
    }
    if (this.#network.isCut(this.host, this.remote.host)) {
      this.#held.push(parcel);
      return;
    }
    // What was held came first.
    this.#inbox.push(...this.#held.splice(0), parcel);
    this.#empty();
  }

  #empty(): void {
    while (!this.#paused && !this.#closed && this.#handlers !== undefined) {
      const parcel = this.#inbox.shift();
      if (parcel === undefined) return;
      if (parcel === "break") {
        this.finish(new KvError("unavailable", "the connection broke: the other side is gone"));
      } else if (parcel === "end") {
        if (this.#handlers.onEnd === undefined) this.close(true);
        else this.#handlers.onEnd();
      } else {
        this.#other?.taken(parcel.length);
        this.#handlers.onData(parcel);
      }
    }
  }

  /** The other end has read this many bytes of ours. */
  taken(bytes: number): void {
    this.#queuedBytes -= bytes;
    if (!this.#aboveHighWater || this.#queuedBytes >= STREAM_LOW_WATER_BYTES) return;
    this.#aboveHighWater = false;
    this.#network.clock.defer(() => {
      if (!this.#closed) this.#handlers?.onDrain?.();
    });
  }

  finish(reason: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#network.forget(this);
    this.#network.clock.defer(() => this.#handlers?.onClose(reason));
  }
}

function pair(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
