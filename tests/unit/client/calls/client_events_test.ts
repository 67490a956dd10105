import { assertEquals } from "@std/assert";
import { type ClientEvent, ClientEvents } from "../../../../client/calls/client_events.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { CLIENT_EVENTS_MAX } from "../../../../shared/limits/client.ts";

const ADDRESS = { host: "127.0.0.1", port: 8081 };
const PLACE = { node: "a", address: "127.0.0.1:8081" };

async function rest(events: AsyncIterable<ClientEvent>): Promise<ClientEvent[]> {
  const all: ClientEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

Deno.test("ClientEvents: each reader gets what happens from its beginning on, until the end", async () => {
  const told: ClientEvent[] = [];
  const events = new ClientEvents((event) => told.push(event));
  const first = events.read();
  events.onConnecting("a", ADDRESS);
  events.onConnected("a", ADDRESS);
  const second = events.read();
  const reason = new Error("reset");
  events.onDisconnected("a", ADDRESS, reason);
  events.onConnecting("a", ADDRESS);
  events.onMap(7, new Set(["a"]));
  events.close();
  const [a, b] = [await rest(first), await rest(second)];
  assertEquals(a.map(({ type }) => type), [
    "connected",
    "disconnected",
    "reconnecting",
    "map_changed",
  ]);
  assertEquals(b, a.slice(1));
  assertEquals(told, a);
  const [ended] = b;
  assertEquals(ended?.type === "disconnected" && ended.reason instanceof KvError, true);
  assertEquals(b.slice(1), [{ type: "reconnecting", ...PLACE }, { type: "map_changed", epoch: 7 }]);
  assertEquals(await rest(events.read()), [], "after the end there is nothing");
});

Deno.test("ClientEvents: a slow reader holds a bounded number of events, and is told what it missed", async () => {
  const events = new ClientEvents();
  const reader = events.read();
  for (let i = 1; i <= CLIENT_EVENTS_MAX + 5; i++) events.onMap(i, new Set());
  assertEquals((await reader.next()).value, { type: "missed", count: 5 });
  assertEquals((await reader.next()).value, { type: "map_changed", epoch: 6 });
  events.close();
  assertEquals((await rest(reader)).length, CLIENT_EVENTS_MAX - 1);
});

Deno.test("ClientEvents: a reader that waits is woken, and one that left gets nothing more", async () => {
  const events = new ClientEvents();
  const reader = events.read();
  const waiting = [reader.next(), reader.next()];
  events.onMap(1, new Set());
  events.onMap(2, new Set());
  assertEquals((await Promise.all(waiting)).map(({ value }) => value), [
    { type: "map_changed", epoch: 1 },
    { type: "map_changed", epoch: 2 },
  ]);
  const last = reader.next();
  await reader.return?.();
  assertEquals(await last, { done: true, value: undefined });
  events.onMap(3, new Set());
  assertEquals(await reader.next(), { done: true, value: undefined });
});

Deno.test("ClientEvents: a node that has left the map and comes back is new", async () => {
  const events = new ClientEvents();
  const reader = events.read();
  events.onConnecting("a", ADDRESS);
  events.onMap(1, new Set());
  events.onConnecting("a", ADDRESS);
  events.close();
  assertEquals((await rest(reader)).map(({ type }) => type), ["map_changed"]);
});
