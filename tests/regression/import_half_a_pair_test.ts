/**
 * `import` stored U+FFFD for half of a surrogate pair, as many programs write a text that they cut in
 * the middle of a character, although it says that it alters no text. Found by a review.
 */
import { assertEquals } from "@std/assert";
import { type ImportItem, readJsonLines } from "../../client/transfer/import_format.ts";

async function read(value: string): Promise<ImportItem | undefined> {
  async function* chunks() {
    yield await Promise.resolve(new TextEncoder().encode(`{"key":"k","value":${value}}\n`));
  }
  const items = await Array.fromAsync(readJsonLines(chunks()));
  assertEquals(items.length, 1);
  return items[0];
}

async function written(value: string): Promise<string | undefined> {
  const item = await read(value);
  return item?.reason === undefined ? new TextDecoder().decode(item?.value) : undefined;
}

Deno.test("readJsonLines refuses half of a surrogate pair", async () => {
  for (const value of ['"cut \\ud83d"', '"\\ude00 cut"', '"\\ude00\\ud83d"']) {
    const item = await read(value);
    assertEquals(item?.reason, '"value" has half of a surrogate pair, which is not Unicode text');
  }
});

Deno.test("readJsonLines takes a whole pair, and half of one as JSON's escape inside a JSON value", async () => {
  assertEquals(await written('"\\ud83d\\ude00"'), "\u{1f600}");
  assertEquals(await written('{"a":"cut \\ud83d"}'), '{"a":"cut \\ud83d"}');
});
