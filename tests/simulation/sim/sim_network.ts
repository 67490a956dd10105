/**
 * A network between simulated hosts: streams and datagrams with delays, loss, doubling, cuts in one
 * or both directions, of both kinds of traffic or of one, slow links, and hosts that vanish. It knows hosts by name and processes as the
 * owners of sockets; what is sent over it means nothing to it.
 *
 * Invariants: a stream delivers in order and without a gap, or not any more; nothing is called from
 * inside a call; what happens to a process happens in one of its own events.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import { type Random, randomFraction } from "../../../shared/platform/random.ts";
import {
  type Address,
  type DatagramSocket,
  formatAddress,
  type Listener,
  type Stream,
  type Transport,
} from "../../../shared/platform/transport.ts";
import type { WantedMember } from "../../../shared/platform/member_identity.ts";
import type { Coverage } from "../coverage.ts";
import type { Scheduler, SimProcess } from "./scheduler.ts";
import { shakeHands, type SimTls } from "./sim_members.ts";
import { SimStream } from "./sim_stream.ts";

/** How the network behaves when nothing is wrong, and how often a little is. */
export interface NetworkOptions {
  readonly latencyMinMs: number;
  readonly latencySpreadMs: number;
  /** With this probability, a message takes up to `spikeMs` longer. */
  readonly spikeRate: number;
  readonly spikeMs: number;
  readonly datagramLoss: number;
  readonly datagramDoubling: number;
  /** Attempts to connect that are refused although somebody listens. */
  readonly refusals: number;
  /** Writes that arrive in two pieces. */
  readonly splits: number;
  /** What the system takes of a stream beyond what the other side has read. */
  readonly bufferBytes: number;
}

export const QUIET_NETWORK: NetworkOptions = {
  latencyMinMs: 0.2,
  latencySpreadMs: 0.6,
  spikeRate: 0,
  spikeMs: 0,
  datagramLoss: 0,
  datagramDoubling: 0,
  refusals: 0,
  splits: 0,
  bufferBytes: 256 * 1024,
};

/** What becomes of the streams over a link that is cut. */
export type CutMode =
  /** They hold what is sent, and deliver it when the cut ends. */
  | "hold"
  /** Something in between forgets them: they are dead without a word, for ever. */
  | "forget";

/** Streams, or datagrams: a firewall may stop the one and not the other. */
export type Channel = "tcp" | "udp";

const CHANNELS: readonly Channel[] = ["tcp", "udp"];

/** One direction between two hosts. */
interface Link {
  readonly cut: Set<Channel>;
  /** 0 for no limit. */
  bytesPerMs: number;
  busyUntilMs: number;
}

interface Listening {
  readonly process: SimProcess;
  readonly tls: SimTls | undefined;
  readonly onStream: (stream: Stream) => void;
}

interface Socket {
  readonly process: SimProcess;
  readonly shared: boolean;
  readonly onDatagram: (bytes: Uint8Array, from: Address) => void;
}

const NOTHING: ReadonlyMap<string, unknown> = new Map();

/** Hosts, and what is between them. */
export class SimNetwork {
  options: NetworkOptions;
  readonly scheduler: Scheduler;
  readonly coverage: Coverage;
  writes = 0;
  readonly #random: Random;
  readonly #links = new Map<string, Link>();
  readonly #listeners = new Map<string, Listening>();
  /** Several if they share a port; the last one receives. */
  readonly #sockets = new Map<string, readonly Socket[]>();
  readonly #ends = new Set<SimStream>();
  /** Sees every datagram that is sent, and can change nothing of it. */
  onDatagramSent: (bytes: Uint8Array, from: Address, to: Address) => void = () => {};
  /** Hosts without power: nothing answers for them, not even with a reset. */
  readonly #dark = new Set<string>();
  #portNext = 40_000;

  constructor(scheduler: Scheduler, coverage: Coverage, options: NetworkOptions) {
    this.scheduler = scheduler;
    this.coverage = coverage;
    this.#random = scheduler.random;
    this.options = options;
  }

  /** The network as a process sees it. @param tls absent: what it listens on and connects to is not secured */
  transport(process: SimProcess, tls?: SimTls): Transport {
    tls?.identity?.onChange(() => this.#endRevoked(process, tls));
    return {
      listen: (address, onStream) => this.#listen({ process, tls, onStream }, address),
      connect: (address, timeoutMs, onOpen, onFail, wanted) =>
        this.#connect({ process, tls, wanted }, address, timeoutMs, onOpen, onFail),
      bindDatagram: (address, onDatagram, options) =>
        this.#bind(process, address, onDatagram, options?.shared ?? false),
    };
  }

  // What the faults do.

  /** Nothing, or nothing of one kind, gets from one host to another any more. */
  cut(from: string, to: string, mode: CutMode, channels: readonly Channel[] = CHANNELS): void {
    for (const channel of channels) this.#link(from, to).cut.add(channel);
    if (mode === "forget" && channels.includes("tcp")) this.forgetStreams(from, to);
  }

  /** Something between two hosts forgets their streams: they are half open, and new ones can be opened. */
  forgetStreams(a: string, b: string): number {
    let count = 0;
    for (const end of this.#ends) {
      const away = end.host === a && end.remote.host === b;
      const back = end.host === b && end.remote.host === a;
      if ((!away && !back) || end.forgotten) continue;
      end.forgotten = true;
      count++;
    }
    return count;
  }

  heal(from: string, to: string, channels: readonly Channel[] = CHANNELS): void {
    const { cut } = this.#link(from, to);
    const held = cut.has("tcp");
    for (const channel of channels) cut.delete(channel);
    if (!held || cut.has("tcp")) return;
    for (const end of this.#ends) {
      if (end.host === to && end.remote.host === from) end.releaseHeld();
    }
  }

  /** Whether streams are cut. */
  isCut(from: string, to: string): boolean {
    return this.#isCut(from, to, "tcp");
  }

  #isCut(from: string, to: string, channel: Channel): boolean {
    return this.#links.get(`${from}>${to}`)?.cut.has(channel) ?? false;
  }

  /** @param bytesPerMs 0 for no limit */
  slow(from: string, to: string, bytesPerMs: number): void {
    const link = this.#link(from, to);
    if (bytesPerMs === 0 && link.bytesPerMs !== 0) {
      link.busyUntilMs = 0;
      for (const end of this.#ends) {
        if (end.host === from && end.remote.host === to) end.hurry();
      }
    }
    link.bytesPerMs = bytesPerMs;
  }

  /** Every cut and every slow link ends. */
  healAll(): void {
    for (const name of this.#links.keys()) {
      const [from = "", to = ""] = name.split(">");
      this.slow(from, to, 0);
      this.heal(from, to);
    }
  }

  /** Breaks the streams between two hosts. */
  reset(a: string, b: string): number {
    let count = 0;
    for (const end of [...this.#ends]) {
      if (end.host === a && end.remote.host === b) {
        end.breakBoth("reset by the network");
        count++;
      }
    }
    return count;
  }

  /**
   * A process is dead. Its system closes what it had open; without power nobody does, and others
   * notice by silence alone.
   */
  processDied(process: SimProcess, power: boolean): void {
    for (const [key, { process: owner }] of this.#listeners) {
      if (owner === process) this.#listeners.delete(key);
    }
    for (const [key, sockets] of this.#sockets) {
      for (const socket of sockets) if (socket.process === process) this.#unbind(key, socket);
    }
    if (!power) this.#dark.add(process.host);
    for (const end of [...this.#ends]) if (end.process === process) end.die(power);
  }

  /** What the system's keep-alive finds out. What was written to must be found out by its owner. */
  probeStreams(): void {
    for (const end of [...this.#ends]) end.probe();
  }

  /** The host has power again. */
  powerOn(host: string): void {
    if (!this.#dark.delete(host)) return;
    for (const end of this.#ends) if (end.remote.host === host) end.otherHostIsBack();
  }

  isDark(host: string): boolean {
    return this.#dark.has(host);
  }

  /** Somebody sends a datagram in another's name. */
  forgeDatagram(bytes: Uint8Array, from: Address, to: Address): void {
    this.#sendDatagram(from, formatAddress(to), to, bytes.slice());
  }

  /**
   * The certificate ends that a process has shown: over streams between members whoever has opened them is told, and
   * after a while they end.
   */
  expire({ host }: SimProcess, graceMs: number): void {
    const expiring = [...this.#ends].filter((end) =>
      end.isCaller && end.member !== undefined && (end.host === host || end.remote.host === host)
    );
    for (const end of expiring) this.scheduler.after(0, end.process, () => end.expire());
    this.scheduler.after(graceMs, undefined, () => {
      for (const end of expiring) if (!end.closed) end.breakBoth("the certificate has ended");
    });
  }

  /** A member's certificate was revoked while its streams were open. */
  #endRevoked(process: SimProcess, { identity }: SimTls): void {
    for (const end of [...this.#ends]) {
      if (end.process !== process || end.member === undefined) continue;
      if (identity?.isRevoked(end.member.serial) === true) {
        end.breakBoth("the certificate is revoked");
      }
    }
  }

  // What is there.

  /**
   * Streams of a process that are open.
   *
   * @param dead whether those count whose other end is gone without a word, which only the system's
   * own probes would find out, after hours
   */
  openStreams(process: SimProcess, dead: boolean): number {
    let count = 0;
    for (const end of this.#ends) {
      if (end.process === process && !end.closed && (dead || !end.isDead)) count++;
    }
    return count;
  }

  /** Listeners and datagram sockets of a process. */
  openSockets(process: SimProcess): number {
    let count = 0;
    for (const { process: owner } of this.#listeners.values()) if (owner === process) count++;
    for (const { process: owner } of [...this.#sockets.values()].flat()) {
      if (owner === process) count++;
    }
    return count;
  }

  // For streams.

  remember(end: SimStream): void {
    this.#ends.add(end);
  }

  forget(end: SimStream): void {
    this.#ends.delete(end);
  }

  /** How long something takes from one host to another. */
  delayMs(from: string, to: string, bytes: number): number {
    const { latencyMinMs, latencySpreadMs, spikeRate, spikeMs } = this.options;
    const u = randomFraction(this.#random);
    let delayMs = latencyMinMs + latencySpreadMs * u * u;
    if (spikeRate > 0 && randomFraction(this.#random) < spikeRate) {
      this.coverage.hit("network: spike");
      delayMs += spikeMs * randomFraction(this.#random);
    }
    const link = this.#links.get(`${from}>${to}`);
    if (link === undefined || link.bytesPerMs === 0) return delayMs;
    const { nowMs } = this.scheduler;
    link.busyUntilMs = Math.max(link.busyUntilMs, nowMs) + bytes / link.bytesPerMs;
    return link.busyUntilMs - nowMs + delayMs;
  }

  chance(rate: number): boolean {
    return rate > 0 && randomFraction(this.#random) < rate;
  }

  #link(from: string, to: string): Link {
    const name = `${from}>${to}`;
    let link = this.#links.get(name);
    if (link === undefined) {
      link = { cut: new Set(), bytesPerMs: 0, busyUntilMs: 0 };
      this.#links.set(name, link);
    }
    return link;
  }

  #address(host: string, address: Address, used: ReadonlyMap<string, unknown>): Address {
    const real = { host, port: address.port === 0 ? this.#portNext++ : address.port };
    if (used.has(formatAddress(real))) {
      throw new KvError("address_in_use", `${formatAddress(real)} is in use; choose another port`);
    }
    return real;
  }

  // deno-lint-ignore require-await -- a failure must be a rejection
  async #listen(listening: Listening, wanted: Address): Promise<Listener> {
    // It was killed at the moment of its start, and hears nothing any more.
    if (!listening.process.alive) return new Promise(() => {});
    const address = this.#address(listening.process.host, wanted, this.#listeners);
    const key = formatAddress(address);
    this.#listeners.set(key, listening);
    return {
      address,
      close: () => {
        if (this.#listeners.get(key) === listening) this.#listeners.delete(key);
        return Promise.resolve();
      },
    };
  }

  #connect(
    caller: { process: SimProcess; tls: SimTls | undefined; wanted: WantedMember | undefined },
    address: Address,
    timeoutMs: number,
    onOpen: (stream: Stream) => void,
    onFail: (reason: Error) => void,
  ): () => void {
    const { scheduler } = this;
    const { process } = caller;
    const { host } = process;
    const where = formatAddress(address);
    let settled = false;
    const fail = (why: string) => {
      if (settled) return;
      settled = true;
      timer.cancel();
      onFail(new KvError("unavailable", `connect to ${where}: ${why}`));
    };
    const timer = process.clock.setTimer(timeoutMs, () => {
      this.coverage.hit("network: connect timed out");
      fail(`no answer within ${timeoutMs} ms`);
    });
    // The first packet is sent again after 1 s, 3 s, …, for as long as somebody waits.
    const knock = (retryMs: number) => {
      if (settled || !process.alive) return;
      const thereMs = this.delayMs(host, address.host, 60);
      scheduler.after(thereMs, undefined, () => {
        const cut = this.isCut(host, address.host) || this.isCut(address.host, host);
        if (cut || this.#dark.has(address.host)) {
          scheduler.after(retryMs, undefined, () => knock(retryMs * 2));
          return;
        }
        const listening = this.#listeners.get(where);
        const backMs = this.delayMs(address.host, host, 60);
        const refused = listening === undefined || this.chance(this.options.refusals);
        if (refused) {
          this.coverage.hit("network: connect refused");
          scheduler.after(backMs, process, () => fail("connection refused"));
          return;
        }
        const hands = shakeHands(caller.tls, listening.tls, caller.wanted);
        const { refusal } = hands;
        if (refusal !== undefined) {
          this.coverage.hit("network: certificate refused");
          scheduler.after(backMs, process, () => fail(refusal));
          return;
        }
        const near = new SimStream(this, process, address, hands.called);
        const from = { host, port: this.#portNext++ };
        const far = new SimStream(this, listening.process, from, hands.caller);
        near.isCaller = true;
        near.join(far);
        far.join(near);
        this.#ends.add(far);
        scheduler.after(0, listening.process, () => {
          if (!far.closed) listening.onStream(far);
        });
        scheduler.after(backMs, process, () => {
          if (settled || far.closed) {
            far.breakBoth("the attempt was abandoned");
            fail("connection reset");
            return;
          }
          settled = true;
          timer.cancel();
          this.#ends.add(near);
          onOpen(near);
        });
      });
    };
    knock(1_000);
    return () => {
      settled = true;
      timer.cancel();
    };
  }

  // deno-lint-ignore require-await -- a failure must be a rejection
  async #bind(
    process: SimProcess,
    wanted: Address,
    onDatagram: (bytes: Uint8Array, from: Address) => void,
    shared: boolean,
  ): Promise<DatagramSocket> {
    const asked = formatAddress({ host: process.host, port: wanted.port });
    const sharing = shared && (this.#sockets.get(asked) ?? []).every((one) => one.shared);
    const address = this.#address(process.host, wanted, sharing ? NOTHING : this.#sockets);
    const key = formatAddress(address);
    const socket = { process, onDatagram, shared };
    this.#sockets.set(key, [...this.#sockets.get(key) ?? [], socket]);
    return {
      address,
      send: (bytes, to) => {
        this.onDatagramSent(bytes, address, to);
        if (!this.#sockets.get(key)?.includes(socket)) return;
        if (this.#isCut(process.host, to.host, "udp") || this.#dark.has(to.host)) {
          this.coverage.hit("network: datagram cut off");
          return;
        }
        if (this.chance(this.options.datagramLoss)) {
          this.coverage.hit("network: datagram lost");
          return;
        }
        const doubled = this.chance(this.options.datagramDoubling);
        if (doubled) this.coverage.hit("network: datagram doubled");
        const target = formatAddress(to);
        const copy = bytes.slice();
        for (let i = 0; i < (doubled ? 2 : 1); i++) this.#sendDatagram(address, target, to, copy);
      },
      // There are no groups in this network.
      join: (_group, _interfaceAddress, onFail) => process.clock.defer(onFail),
      close: () => this.#unbind(key, socket),
    };
  }

  #unbind(key: string, socket: Socket): void {
    const rest = (this.#sockets.get(key) ?? []).filter((one) => one !== socket);
    if (rest.length === 0) this.#sockets.delete(key);
    else this.#sockets.set(key, rest);
  }

  #sendDatagram(from: Address, target: string, to: Address, bytes: Uint8Array): void {
    const receiver = this.#sockets.get(target)?.at(-1);
    if (receiver === undefined) return;
    this.scheduler.after(this.delayMs(from.host, to.host, bytes.length), receiver.process, () => {
      if (!this.#sockets.get(target)?.includes(receiver)) return;
      receiver.onDatagram(bytes, from);
    }, receiver);
  }
}
