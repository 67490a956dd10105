/**
 * `watch` of Deno KV: a response without an end, which begins with the state of all keys and then tells what has
 * changed. A watch of the store (docs/watch.md) says when to look; then all keys are read, as of one moment. So a watcher
 * sees every key's newest state, in order, after any failure, and may miss states in between, as Deno KV allows.
 *
 * Invariants: a process has a bounded number of watches; a client that does not read makes no work; each read is judged by
 * the user's rights of that moment.
 *
 * @module
 */
import type { Watch } from "../../database/database.ts";
import { compareBytes } from "../../base/key_order.ts";
import { failureOf, KvError } from "../../base/errors.ts";
import { keyOfBytes } from "../../base/key_text.ts";
import type { EntryMessage, RangeMessage } from "../../denokv/datapath.ts";
import { encodeWatchOutput } from "../../denokv/messages.ts";
import { snapshotReadOutput, snapshotReadRequest } from "../../denokv/snapshot_read.ts";
import { KV_CONNECT_WATCH_KEYS_MAX, KV_CONNECT_WATCH_RETRY_MS } from "../../limits/http.ts";
import { mayRepeat } from "../../operations/repeat.ts";
import { fromErrorReply } from "../../wire/error_reply.ts";
import type { Timer } from "../../platform/clock.ts";
import type { Services } from "./endpoint.ts";

/** What precedes each message: its length, little endian. */
const LENGTH_BYTES = 4;

/** The state of the keys, in their order. */
type State = readonly (EntryMessage | undefined)[];

/** The stream of one watch. */
class StateStream {
  readonly #services: Services;
  readonly #ranges: readonly RangeMessage[];
  readonly #watch: Watch;
  #state: State;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #timer: Timer | undefined;
  #ended = false;

  constructor(
    services: Services,
    ranges: readonly RangeMessage[],
    watch: Watch,
    state: State,
  ) {
    this.#services = services;
    this.#ranges = ranges;
    this.#watch = watch;
    this.#state = state;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
    this.#services.streams.open.add(this);
    controller.enqueue(framed(encodeWatchOutput(this.#state)));
  }

  /** The client has read everything: what is there to tell? Called again only when something was told. */
  pull(): Promise<void> {
    return new Promise((resolve) => this.#next(resolve));
  }

  /** The process stops: the client goes on elsewhere. */
  stop(): void {
    if (this.#ended) return;
    this.end();
    this.#controller?.close();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#timer?.cancel();
    this.#watch.close();
    this.#services.streams.open.delete(this);
  }

  #next(told: () => void): void {
    if (this.#ended) return told();
    this.#watch.next((events) => {
      if ("req_type" in events) this.#fail(fromErrorReply(events), told);
      else if (events.every(({ type }) => type === "progress")) {
        // A sign of life.
        this.#controller?.enqueue(new Uint8Array(LENGTH_BYTES));
        told();
      } else this.#look(told);
    });
  }

  /** Reads all keys, and tells them if they have changed. */
  #look(told: () => void): void {
    read(this.#services, this.#ranges).then((state) => {
      if (this.#ended) return told();
      if (!state.some((entry, i) => !isSame(entry, this.#state[i]))) return this.#next(told);
      this.#state = state;
      this.#controller?.enqueue(framed(encodeWatchOutput(state)));
      told();
    }, (error: unknown) => {
      if (this.#ended) return told();
      if (!mayRepeat("harmless", failureOf(error).code)) return this.#fail(error, told);
      // They cannot be read at the moment.
      const again = () => this.#look(told);
      this.#timer = this.#services.clock.setTimer(KV_CONNECT_WATCH_RETRY_MS, again);
    });
  }

  /** The client asks again, and is told why not, if that stays so. */
  #fail(error: unknown, told: () => void): void {
    this.end();
    this.#controller?.error(error);
    told();
  }
}

/** A response that tells the state of the keys, and then each change. @throws {KvError} */
export async function watchResponse(
  services: Services,
  keys: readonly Uint8Array[],
): Promise<Response> {
  if (keys.length === 0 || keys.length > KV_CONNECT_WATCH_KEYS_MAX) {
    const text =
      `a watch has 1 to ${KV_CONNECT_WATCH_KEYS_MAX} keys, and this one has ${keys.length}`;
    throw new KvError("bad_request", text);
  }
  checkRunning(services);
  const ranges = keys.map((start) => {
    const end = new Uint8Array(start.length + 1);
    end.set(start);
    return { start, end, limit: 1, reverse: false };
  });
  // What changes before the watch has begun is seen when it says that it has: by `level`.
  const watch = services.site.database.watch({ keys: keys.map(keyOfBytes) });
  try {
    const state = await read(services, ranges);
    // The process may have been told to stop while the keys were read.
    checkRunning(services);
    const states = new StateStream(services, ranges, watch, state);
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => states.start(controller),
      pull: () => states.pull(),
      cancel: () => states.end(),
    });
    return new Response(stream, {
      headers: { "content-type": "application/octet-stream", "cache-control": "no-store" },
    });
  } catch (error) {
    watch.close();
    throw error;
  }
}

/** @throws {KvError} `unavailable` */
function checkRunning({ streams }: Services): void {
  if (streams.stopping) throw new KvError("unavailable", "this process stops");
}

async function read(
  services: Services,
  ranges: readonly RangeMessage[],
): Promise<State> {
  const reply = await services.execute(snapshotReadRequest(ranges));
  return snapshotReadOutput(ranges, reply).map(([entry]) => entry);
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
