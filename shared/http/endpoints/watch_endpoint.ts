/**
 * A watch as Server-Sent Events: `event:` is the type, `id:` the token behind it, `data:` a JSON document. A client
 * that connects again with `Last-Event-ID`, as EventSource does by itself, goes on where it was.
 *
 * Invariants: no more than one batch of events waits for a client that reads slowly; a client that reads nothing for
 * WRITE_STALL_TIMEOUT_MS is disconnected; the watch ends with the response.
 *
 * @module
 */
import type { Timer } from "../../platform/clock.ts";
import { KvError } from "../../base/errors.ts";
import type { Watch } from "../../database/database.ts";
import { WRITE_STALL_TIMEOUT_MS } from "../../limits/admission.ts";
import { SSE_RETRY_MS } from "../../limits/http.ts";
import { changeDocument, type WatchedEvent } from "../../watch/watch_event.ts";
import { flagParameter, textParameter, textsParameter } from "../protocol/parameters.ts";
import { type Endpoint, endpoint, type Services } from "./endpoint.ts";

const LAST_EVENT_ID = "Last-Event-ID";

export const getWatch = endpoint({
  id: "watchKeys",
  summary: "Events of keys, as they change",
  description:
    "Server-Sent Events without an end. put, delete and expired are changes, with key, value (or value64), " +
    "version and timestamp as JSON; level comes when all that was there in the beginning has been told, progress " +
    "every few seconds when nothing happens, and reset if something is missing: all that is there follows then, and level.",
  parameters: {
    prefix: textsParameter("Keys that begin so; may be given several times. Empty: all keys."),
    key: textsParameter("One key; may be given several times."),
    snapshot: flagParameter("Begin with the entries that are there."),
    token: textParameter(`Go on behind the event with this id; ${LAST_EVENT_ID} takes precedence.`),
  },
  requestHeaders: { [LAST_EVENT_ID]: "Go on behind the event with this id." },
  responses: { 200: { description: "Events.", contentType: "text/event-stream" } },
  run({ request, params, services }) {
    const { prefix: prefixes, key: keys, snapshot } = params;
    const token = request.headers.get(LAST_EVENT_ID) || params.token;
    const { database } = services.site;
    if (services.streams.stopping) throw new KvError("unavailable", "this process stops");
    const watch = database.watch({
      prefixes,
      keys,
      snapshot,
      ...(token === undefined ? {} : { token }),
    });
    return new Response(eventStream(watch, services), {
      headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
    });
  },
});

/** The same of one database, whose name stands in the place of a key. */
export const getDatabaseWatch: Endpoint = {
  ...getWatch,
  id: "watchKeysOfDatabase",
  run: (call, query) =>
    getWatch.run({ ...call, services: call.services.inDatabase(call.key) }, query),
};

function eventStream(
  watch: Watch,
  { clock, streams }: Pick<Services, "clock" | "streams">,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  let stalled: Timer | undefined;
  let begun = false;
  const stream = { stop: () => {} };
  const end = () => {
    stalled?.cancel();
    watch.close();
    streams.open.delete(stream);
  };
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      stream.stop = () => {
        end();
        controller.close();
      };
      streams.open.add(stream);
    },
    pull(controller) {
      stalled?.cancel();
      stalled = undefined;
      if (!begun) {
        begun = true;
        controller.enqueue(encoder.encode(`retry: ${SSE_RETRY_MS}\n\n`));
        return;
      }
      return new Promise<void>((resolve) => {
        watch.next((events) => {
          if ("req_type" in events) {
            const { code, message } = events;
            controller.enqueue(encoder.encode(eventText("error", { code, message }, undefined)));
            stream.stop();
          } else {
            controller.enqueue(encoder.encode(events.map(textOf).join("")));
            stalled = clock.setTimer(WRITE_STALL_TIMEOUT_MS, () => {
              end();
              controller.error(new DOMException("the client reads nothing", "TimeoutError"));
            });
          }
          resolve();
        });
      });
    },
    cancel: end,
  }, { highWaterMark: 0 });
}

function textOf(event: WatchedEvent): string {
  const { type, entry } = event;
  return eventText(type, entry === undefined ? {} : changeDocument(entry), event.token());
}

/** JSON has no line breaks, and a token is base64url. */
function eventText(type: string, data: object, id: string | undefined): string {
  return `event: ${type}\n${id === undefined ? "" : `id: ${id}\n`}data: ${
    JSON.stringify(data)
  }\n\n`;
}
