import { assertEquals, assertRejects } from "@std/assert";
import * as v from "valibot";
import { z } from "zod";
import { Collection, type CollectionStore } from "../../../../client/library/collection.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import type { KvEntry } from "../../../../client/mod.ts";

/** A store of texts in memory. */
function memory(): { store: CollectionStore; values: Map<string, string> } {
  const values = new Map<string, string>();
  const entry = (key: string): KvEntry => ({
    key,
    value: new TextEncoder().encode(values.get(key)),
    version: 1,
    timestampMs: 0,
    expiresAtMs: undefined,
  });
  const put = (key: string, value: string) => {
    values.set(key, value);
    return Promise.resolve(1);
  };
  const selected = (prefix = "", start = "", end = "\uffff") =>
    [...values.keys()].sort().filter((key) => key.startsWith(prefix) && key >= start && key < end);
  const store: CollectionStore = {
    getEntry: (key) => Promise.resolve(values.has(key) ? entry(key) : undefined),
    put,
    create: put,
    update: put,
    delete: (key) => Promise.resolve(values.delete(key)),
    async *scan({ prefix, start, end } = {}) {
      for (const key of selected(prefix, start, end)) yield await Promise.resolve(entry(key));
    },
    count: ({ prefix } = {}) => Promise.resolve(selected(prefix).length),
  };
  return { store, values };
}

async function refused(promise: Promise<unknown>): Promise<[message: string, issues: unknown]> {
  const { code, message, detail } = await assertRejects(() => promise, KvError);
  assertEquals(code, "bad_request");
  return [message, detail?.issues];
}

Deno.test("Collection: without a schema it is JSON under a prefix", async () => {
  const { store, values } = memory();
  const users = new Collection<{ name: string }>(store, "user:", undefined);
  await users.put("7", { name: "Zoë" });
  await users.put("8", { name: "Ann" });
  values.set("other", "x");
  assertEquals(values.get("user:7"), '{"name":"Zoë"}');
  assertEquals(await users.get("7"), { name: "Zoë" });
  assertEquals(await users.get("9"), undefined);
  assertEquals(await users.count(), 2);
  const ids: string[] = [];
  for await (const { id, value } of users.entries({ start: "8" })) ids.push(id, value.name);
  assertEquals(ids, ["8", "Ann"]);
  values.set("user:bad", "{");
  assertEquals((await refused(users.get("bad")))[0], 'the value of "user:bad" is not JSON');
});

// The same schema by two libraries: the specification is what counts.
const SCHEMAS = {
  zod: z.object({ name: z.string(), tags: z.array(z.string()).default([]) }),
  valibot: v.object({ name: v.string(), tags: v.optional(v.array(v.string()), []) }),
};

for (const [library, schema] of Object.entries(SCHEMAS)) {
  Deno.test(`Collection with ${library}: nothing is written or read that the schema does not accept`, async () => {
    const { store, values } = memory();
    const users = new Collection(store, "user:", schema);
    await users.put("7", { name: "Zoë" });
    assertEquals(values.get("user:7"), '{"name":"Zoë"}');
    const read: { name: string; tags: string[] } | undefined = await users.get("7");
    assertEquals(read, { name: "Zoë", tags: [] });

    const [text, issues] = await refused(
      users.put("8", { name: 5 } as unknown as { name: string }),
    );
    assertEquals(
      text.startsWith('the value for "user:8" is not what the schema accepts: name: '),
      true,
    );
    assertEquals((issues as { path: string[] }[])[0]?.path, ["name"]);
    assertEquals(values.has("user:8"), false);

    values.set("user:9", '{"name":"x","tags":["a",1]}');
    const [stored, where] = await refused(users.get("9"));
    assertEquals(
      stored.startsWith('the value of "user:9" is not what the schema accepts: tags.1: '),
      true,
    );
    assertEquals((where as { path: string[] }[])[0]?.path, ["tags", "1"]);
  });
}

Deno.test("Collection: a schema that makes another value of what is stored makes it at each read", async () => {
  const { store, values } = memory();
  const days = new Collection(
    store,
    "day:",
    z.object({ at: z.string().transform((text) => text.length) }),
  );
  await days.put("1", { at: "2026" });
  assertEquals(values.get("day:1"), '{"at":"2026"}');
  const read: { at: number } | undefined = await days.get("1");
  assertEquals(read, { at: 4 });
});

Deno.test("Collection: what JSON makes of a value is what is checked, since a reader gets it", async () => {
  const { store } = memory();
  const dates = new Collection(store, "date:", z.object({ at: z.date() }));
  await refused(dates.put("1", { at: new Date(0) }));
  const nothing = new Collection<unknown>(store, "x:", undefined);
  await assertRejects(() => nothing.put("1", undefined), TypeError);
});
