import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  formatOfPath,
  type ImportItem,
  readCsv,
  readJsonLines,
} from "../../../../client/transfer/import_format.ts";
import { KvError } from "../../../../shared/base/errors.ts";

const encoder = new TextEncoder();

/** The text as chunks of this many bytes; the same memory each time, as a reader may do. */
async function* chunks(text: string | Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const bytes = typeof text === "string" ? encoder.encode(text) : text;
  for (let i = 0; i < bytes.length; i += size) yield bytes.slice(i, i + size);
}

async function all(items: AsyncIterable<ImportItem>): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const item of items) {
    found.push(
      item.reason !== undefined
        ? [item.line, "rejected"]
        : [item.line, item.key, new TextDecoder().decode(item.value)],
    );
  }
  return found;
}

const csv = (text: string | Uint8Array, key = "id", size = 7) =>
  all(readCsv(chunks(text, size), key));
const jsonLines = (text: string | Uint8Array, size = 7) => all(readJsonLines(chunks(text, size)));

Deno.test("formatOfPath goes by the extension", () => {
  assertEquals(formatOfPath("/a.b/x.CSV"), "csv");
  assertEquals(formatOfPath("x.jsonl"), "jsonl");
  assertEquals(formatOfPath("x.ndjson"), "jsonl");
  assertEquals(formatOfPath("x.txt"), undefined);
  assertEquals(formatOfPath("csv"), undefined);
});

Deno.test("readCsv makes objects of strings, wherever the chunks are cut", async () => {
  const text = '\uFEFFid,"na""me",n\r\n1,"Zoë, ""Z""\r\nand line two",3\r\n\r\n2,,"x"\r\n3,"",y';
  const expected = [
    [2, "1", '{"id":"1","na\\"me":"Zoë, \\"Z\\"\\r\\nand line two","n":"3"}'],
    [5, "2", '{"id":"2","na\\"me":"","n":"x"}'],
    [6, "3", '{"id":"3","na\\"me":"","n":"y"}'],
  ];
  for (const size of [1, 2, 3, 5, 1_000]) assertEquals(await csv(text, "id", size), expected);
});

Deno.test("readCsv rejects single records with their first line", async () => {
  const text = 'id,v\n1,"two\nlines"\n2\n3,a,b\n,no key\n4,ok\n';
  assertEquals(await csv(text), [
    [2, "1", '{"id":"1","v":"two\\nlines"}'],
    [4, "rejected"],
    [5, "rejected"],
    [6, "rejected"],
    [7, "4", '{"id":"4","v":"ok"}'],
  ]);
});

Deno.test("readCsv takes a stray quote as it stands, and goes on after it", async () => {
  assertEquals(await csv('id,v\n1,x"y\n2,"a"b\n3,c\n'), [
    [2, "1", '{"id":"1","v":"x\\"y"}'],
    [3, "2", '{"id":"2","v":"\\"a\\"b"}'],
    [4, "3", '{"id":"3","v":"c"}'],
  ]);
});

Deno.test("readCsv rejects a quote that is never closed, where it begins", async () => {
  assertEquals(await csv('id,v\n1,a\n2,"b\n3,c\n'), [[2, "1", '{"id":"1","v":"a"}'], [
    3,
    "rejected",
  ]]);
});

Deno.test("readCsv rejects what is not UTF-8 and alters nothing", async () => {
  const latin1 = Uint8Array.from("id,v\n1,Zo\xeb\n2,b\n", (char) => char.charCodeAt(0));
  assertEquals(await csv(latin1), [[2, "rejected"], [3, "2", '{"id":"2","v":"b"}']]);
});

Deno.test("readCsv keeps columns with awkward names", async () => {
  assertEquals(await csv("__proto__,id,2\nx,k,y\n"), [
    [2, "k", '{"2":"y","__proto__":"x","id":"k"}'],
  ]);
});

Deno.test("readCsv says which columns there are if the key column is wrong", async () => {
  for (const key of [undefined, "Id"]) {
    const run = all(readCsv(chunks("id,v\n1,2\n", 100), key));
    const error = await assertRejects(() => run, KvError);
    assertStringIncludes(error.message, '"id", "v"');
  }
  await assertRejects(() => csv("id,id\n1,2\n"), KvError, "one name");
  await assertRejects(() => csv('"id,v\n1,2\n'), KvError, "line 1");
});

Deno.test("readCsv passes on an error of its source", async () => {
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield encoder.encode("id\n1\n");
    throw new Error("the disk is gone");
  }
  await assertRejects(() => all(readCsv(broken(), "id")), Error, "the disk is gone");
});

Deno.test("readJsonLines takes text, base64 and other JSON values", async () => {
  const text = [
    '\uFEFF{"key":"a","value":"Zoë"}',
    "",
    '{"value64":"AAE=","key":"b"}\r',
    '{"key":"c","value":{"x":[1, 2]}}',
    '{"key":"d","value":7}',
    '{"key":"e","value":""}',
  ].join("\n");
  const expected = [
    [1, "a", "Zoë"],
    [3, "b", "\0\x01"],
    [4, "c", '{"x":[1,2]}'],
    [5, "d", "7"],
    [6, "e", ""],
  ];
  for (const size of [1, 2, 3, 1_000]) assertEquals(await jsonLines(text, size), expected);
});

Deno.test("readJsonLines rejects each wrong line, and takes the others", async () => {
  const wrong = [
    "not JSON",
    "[]",
    "null",
    '{"key":1,"value":"x"}',
    '{"key":"","value":"x"}',
    '{"key":"\\ud800","value":"x"}',
    '{"key":"a"}',
    '{"key":"a","value":null}',
    '{"key":"a","value64":"?"}',
    '{"key":"a","value64":7}',
  ];
  const text = [...wrong, '{"key":"ok","value":"1"}'].join("\n") + "\n";
  assertEquals(await jsonLines(text), [
    ...wrong.map((_, i) => [i + 1, "rejected"]),
    [wrong.length + 1, "ok", "1"],
  ]);
});

Deno.test("readJsonLines rejects a line that is not UTF-8", async () => {
  const bytes = Uint8Array.from('{"key":"\xeb","value":""}\n', (char) => char.charCodeAt(0));
  assertEquals(await jsonLines(bytes), [[1, "rejected"]]);
});
