/**
 * What a hostile Redis client sends: commands of the table with any arguments, and streams whose lengths and
 * counts lie.
 *
 * @module
 */
import fc from "fast-check";
import { COMMAND_TABLE } from "../../node/resp/tables/command_table.ts";
import { anyText, bytesOf, damaged, joined, numberText } from "./hostile.ts";

const NAMES = COMMAND_TABLE.all.flatMap(({ name, subcommands = [] }) => [
  [name],
  ...subcommands.map((sub) => sub.name.split("|")),
]);

const OPTIONS = ["EX", "PX", "NX", "XX", "GET", "KEEPTTL", "MATCH", "COUNT", "LIMIT", "REV", "IDX"];

const argument: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.constantFrom("k", "n", "{t}a", "{t}b").map(bytesOf),
  fc.constantFrom(...OPTIONS).map(bytesOf),
  numberText.map(bytesOf),
  anyText.map(bytesOf),
  fc.uint8Array({ maxLength: 64 }),
);

function commandBytes(words: readonly Uint8Array[]): Uint8Array {
  const parts = [bytesOf(`*${words.length}\r\n`)];
  for (const word of words) parts.push(bytesOf(`$${word.length}\r\n`), word, bytesOf("\r\n"));
  return joined(...parts);
}

const command: fc.Arbitrary<Uint8Array> = fc.tuple(
  fc.constantFrom(...NAMES),
  fc.array(argument, { maxLength: 6 }),
).map(([name, words]) => commandBytes([...name.map(bytesOf), ...words]));

const lies: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.tuple(numberText, numberText).map(([count, length]) =>
    bytesOf(`*${count}\r\n$${length}\r\nabc`)
  ),
  fc.constantFrom("*1048577\r\n", "*-1\r\n", "$5\r\nhello\r\n", "*1\r\n$536870913\r\n", "\r\n")
    .map(bytesOf),
  fc.tuple(fc.constantFrom("GET", "PUT", "POST", "PRI", "get"), anyText)
    .map(([verb, rest]) => bytesOf(`${verb} ${rest} HTTP/1.1\r\n\r\n`)),
  anyText.map((text) => bytesOf(`${text}\r\n`)),
  fc.nat(70_000).map((length) => bytesOf("x".repeat(length))),
);

/** Some commands, some nonsense. */
export const RESP_STREAMS: fc.Arbitrary<Uint8Array> = fc.array(
  fc.oneof({ weight: 5, arbitrary: damaged(command) }, { weight: 1, arbitrary: damaged(lies) }),
  { minLength: 1, maxLength: 6 },
).map((pieces) => joined(...pieces));
