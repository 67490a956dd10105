/**
 * `watch` of Deno KV: a response without an end, which begins with the state of all keys and then tells what has changed. The keys are
 * read again and again, a few times a second, as of one moment each; so a watcher sees every key's newest state, in order, after
 * any failure, and may miss states in between, as Deno KV allows.
 *
 * Invariants: a process has a bounded number of watches; a client that does not read makes no work; each read is judged by
 * the user's rights of that moment.
 *
 * @module
 */
import { compareBytes } from "../../base/key_order.ts";
import { failureOf, isDefect, KvError } from "../../base/errors.ts";
import type { KvDatabase } from "../../denokv/kv_database.ts";
import type { EntryMessage, RangeMessage } from "../../denokv/datapath.ts";
import { encodeWatchOutput } from "../../denokv/messages.ts";
import { snapshotReadOutput, snapshotReadRequest } from "../../denokv/snapshot_read.ts";
import {
  KV_CONNECT_PING_MS,
  KV_CONNECT_WATCH_KEYS_MAX,
  KV_CONNECT_WATCH_MS,
  KV_CONNECT_WATCHES_MAX,
} from "../../limits/http.ts";
import { mayRepeat } from "../../operations/repeat.ts";
import type { Timer } from "../../platform/clock.ts";
import type { Services } from "./endpoint.ts";

/** What precedes each message: its length, little endian. */
const LENGTH_BYTES = 4;

/** The state of the keys, in their order. */
type State = readonly (EntryMessage | undefined)[];

/** One watch. */
class Watch {
  readonly #services: Services;
  readonly #database: KvDatabase;
  readonly #ranges: readonly RangeMessage[];
  #state: State;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #timer: Timer | undefined;
  #quietMs = 0;
  #ended = false;

  constructor(
    services: Services,
    database: KvDatabase,
    ranges: readonly RangeMessage[],
    state: State,
  ) {
    this.#services = services;
    this.#database = database;
    this.#ranges = ranges;
    this.#state = state;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
    this.#services.streams.open.add(this);
    controller.enqueue(framed(encodeWatchOutput(this.#state)));
    this.#later(controller);
  }

  /** The process stops: the client goes on elsewhere. */
  stop(): void {
    this.end();
    this.#controller?.close();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#timer?.cancel();
    this.#services.streams.open.delete(this);
  }

  #later(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#timer = this.#services.clock.setTimer(KV_CONNECT_WATCH_MS, () => {
      this.#look(controller).catch((error) => {
        if (this.#ended) return;
        this.end();
        // The client asks again, and is told why not, if that stays so.
        controller.error(error);
        if (isDefect(error)) {
          this.#services.clock.defer(() => {
            throw error;
          });
        }
      });
    });
  }

  async #look(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.#quietMs += KV_CONNECT_WATCH_MS;
    if ((controller.desiredSize ?? 0) > 0) {
      const state = await this.#stateNow();
      if (this.#ended) return;
      if (state?.some((entry, i) => !isSame(entry, this.#state[i])) === true) {
        this.#state = state;
        this.#quietMs = 0;
        controller.enqueue(framed(encodeWatchOutput(state)));
      } else if (this.#quietMs >= KV_CONNECT_PING_MS) {
        this.#quietMs = 0;
        controller.enqueue(new Uint8Array(LENGTH_BYTES));
      }
    }
    this.#later(controller);
  }

  /** Undefined if they cannot be read at the moment. */
  async #stateNow(): Promise<State | undefined> {
    try {
      return await read(this.#services, this.#database, this.#ranges);
    } catch (error) {
      if (mayRepeat("harmless", failureOf(error).code)) return undefined;
      throw error;
    }
  }
}

/** A response that tells the state of the keys, and then each change. @throws {KvError} */
export async function watchResponse(
  services: Services,
  database: KvDatabase,
  keys: readonly Uint8Array[],
): Promise<Response> {
  if (keys.length === 0 || keys.length > KV_CONNECT_WATCH_KEYS_MAX) {
    const text =
      `a watch has 1 to ${KV_CONNECT_WATCH_KEYS_MAX} keys, and this one has ${keys.length}`;
    throw new KvError("bad_request", text);
  }
  checkRoom(services);
  const ranges = keys.map((start) => {
    const end = new Uint8Array(start.length + 1);
    end.set(start);
    return { start, end, limit: 1, reverse: false };
  });
  const state = await read(services, database, ranges);
  // Others may have begun, or the process may have been told to stop, while the keys were read.
  checkRoom(services);
  const watch = new Watch(services, database, ranges, state);
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => watch.start(controller),
    cancel: () => watch.end(),
  });
  return new Response(stream, {
    headers: { "content-type": "application/octet-stream", "cache-control": "no-store" },
  });
}

/** @throws {KvError} `unavailable`, `overloaded` */
function checkRoom({ streams }: Services): void {
  if (streams.stopping) throw new KvError("unavailable", "this process stops");
  const ours = [...streams.open].filter((stream) => stream instanceof Watch).length;
  if (ours >= KV_CONNECT_WATCHES_MAX) {
    throw new KvError("overloaded", `this process has ${KV_CONNECT_WATCHES_MAX} watches already`);
  }
}

async function read(
  services: Services,
  database: KvDatabase,
  ranges: readonly RangeMessage[],
): Promise<State> {
  const reply = await services.execute(snapshotReadRequest(database, ranges));
  return snapshotReadOutput(database, ranges, reply).map(([entry]) => entry);
}

function isSame(a: EntryMessage | undefined, b: EntryMessage | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return compareBytes(a.versionstamp, b.versionstamp) === 0;
}

function framed(message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(LENGTH_BYTES + message.length);
  new DataView(frame.buffer).setUint32(0, message.length, true);
  frame.set(message, LENGTH_BYTES);
  return frame;
}
