/**
 * Random commands of Redis, with mistakes, on a few keys: what two servers must answer alike. Times to live are far from
 * each other and from now, so that it does not matter that two servers are not asked at the same moment.
 *
 * @module
 */
import { type Random, randomBelow } from "../../../shared/platform/random.ts";
import { TTL_MARGIN_SECONDS } from "./redis_cases.ts";

/** A command's words. */
export type Words = readonly (string | Uint8Array)[];

type Make = (random: Random) => Words;

function oneOf<T>(random: Random, choices: readonly T[]): T {
  const chosen = choices[randomBelow(random, choices.length)];
  if (chosen === undefined) throw new Error("nothing to choose from");
  return chosen;
}

/** One in so many times. */
function seldom(random: Random, times: number): boolean {
  return randomBelow(random, times) === 0;
}

const KEYS = ["a", "b", "c", "d", "{t}e"] as const;
const key = (random: Random) => oneOf(random, KEYS);

function value(random: Random): string | Uint8Array {
  switch (randomBelow(random, 8)) {
    case 0:
      return String(randomBelow(random, 2_000) - 1_000);
    case 1:
      return oneOf(random, ["9223372036854775807", "-9223372036854775808", "9223372036854775808"]);
    case 2:
      return oneOf(random, ["3.0", "1.5", "-0.25", "5e3", " 1", "1 ", "+1", "01", "inf", "0x10"]);
    case 3:
      return "";
    case 4:
      return Uint8Array.from({ length: randomBelow(random, 12) }, () => randomBelow(random, 256));
    case 5:
      return "abcdefgh".repeat(randomBelow(random, 12)).slice(0, randomBelow(random, 80));
    default:
      return oneOf(random, ["foo", "foobar", "ohmytext", "mynewtext", "10", "0"]);
  }
}

function integer(random: Random): string {
  if (seldom(random, 12)) {
    return oneOf(random, ["x", "", "1.5", "9223372036854775807", "-9223372036854775809", "1e3"]);
  }
  return String(randomBelow(random, 60) - 20);
}

/** Seconds; two are equal once in a million times. */
const ttl = (random: Random) =>
  seldom(random, 15) ? oneOf(random, ["0", "-1", "x", ""]) : String(
    10_000 + 1_000 * randomBelow(random, 1_000_000),
  );
const date = (random: Random) =>
  seldom(random, 15) ? oneOf(random, ["0", "-1", "x"]) : String(
    6_000_000_000 + 1_000 * randomBelow(random, 1_000_000),
  );
const ms = (text: string) => /^\d+$/.test(text) && text !== "0" ? `${text}000` : text;

function expiryOption(random: Random): string[] {
  switch (randomBelow(random, 5)) {
    case 0:
      return ["EX", ttl(random)];
    case 1:
      return ["PX", ms(ttl(random))];
    case 2:
      return ["EXAT", date(random)];
    default:
      return ["PXAT", ms(date(random))];
  }
}

function some<T>(random: Random, choices: readonly T[]): T[] {
  return choices.filter(() => seldom(random, 4));
}

/** As users write options: in any case. */
function anyCase(random: Random, words: string[]): string[] {
  return seldom(random, 6) ? words.map((word) => word.toLowerCase()) : words;
}

const setOptions = (random: Random) =>
  anyCase(random, [
    ...some(random, ["NX", "XX", "GET", "KEEPTTL"]),
    ...(seldom(random, 3) ? expiryOption(random) : []),
  ]);

const range = (random: Random) => [integer(random), integer(random)];
const unit = (random: Random) => seldom(random, 2) ? [oneOf(random, ["BYTE", "BIT", "bit"])] : [];

function fieldType(random: Random): string {
  if (seldom(random, 15)) return oneOf(random, ["u64", "i65", "u0", "x8", "i", ""]);
  return oneOf(random, ["u1", "u8", "i8", "u5", "i16", "u32", "i33", "u63", "i64"]);
}

const offset = (random: Random) =>
  seldom(random, 3) ? `#${randomBelow(random, 9)}` : integer(random);

function fieldOperation(random: Random): string[] {
  switch (randomBelow(random, 5)) {
    case 0:
    case 1:
      return ["GET", fieldType(random), offset(random)];
    case 2:
      return ["SET", fieldType(random), offset(random), integer(random)];
    case 3:
      return ["INCRBY", fieldType(random), offset(random), integer(random)];
    default:
      return ["OVERFLOW", oneOf(random, ["WRAP", "SAT", "FAIL", "fail", "none"])];
  }
}

function times<T>(random: Random, max: number, make: () => T): T[] {
  return Array.from({ length: 1 + randomBelow(random, max) }, make);
}

/** On one key, which is the first word behind the name. */
const ON_ONE_KEY: readonly Make[] = [
  (r) => ["GET", key(r)],
  (r) => ["SET", key(r), value(r), ...setOptions(r)],
  (r) => ["SET", key(r), value(r)],
  (r) => ["SETNX", key(r), value(r)],
  (r) => ["SETEX", key(r), ttl(r), value(r)],
  (r) => ["PSETEX", key(r), ms(ttl(r)), value(r)],
  (r) => ["GETSET", key(r), value(r)],
  (r) => ["GETDEL", key(r)],
  (r) => ["GETEX", key(r), ...(seldom(r, 3) ? ["PERSIST"] : expiryOption(r))],
  (r) => ["INCR", key(r)],
  (r) => ["DECR", key(r)],
  (r) => ["INCRBY", key(r), integer(r)],
  (r) => ["DECRBY", key(r), integer(r)],
  (r) => ["INCRBYFLOAT", key(r), oneOf(r, ["1", "-0.5", "3.25", "1e2", "x", "nan", " 1", "1e-3"])],
  (r) => ["APPEND", key(r), value(r)],
  (r) => ["STRLEN", key(r)],
  (r) => ["GETRANGE", key(r), ...range(r)],
  (r) => ["SUBSTR", key(r), ...range(r)],
  (r) => ["SETRANGE", key(r), String(randomBelow(r, 40) - 2), value(r)],
  (r) => ["SETBIT", key(r), String(randomBelow(r, 200) - 2), oneOf(r, ["0", "1", "1", "2", "x"])],
  (r) => ["GETBIT", key(r), String(randomBelow(r, 200) - 2)],
  (r) => ["BITCOUNT", key(r)],
  (r) => ["BITCOUNT", key(r), ...range(r), ...unit(r)],
  (r) => ["BITPOS", key(r), oneOf(r, ["0", "1", "1", "2"])],
  (r) => ["BITPOS", key(r), oneOf(r, ["0", "1"]), integer(r)],
  (r) => ["BITPOS", key(r), oneOf(r, ["0", "1"]), ...range(r), ...unit(r)],
  (r) => ["BITFIELD", key(r), ...times(r, 4, () => fieldOperation(r)).flat()],
  (r) => ["BITFIELD_RO", key(r), ...times(r, 2, () => ["GET", fieldType(r), offset(r)]).flat()],
  (r) => ["TYPE", key(r)],
  (r) => ["EXPIRE", key(r), ttl(r), ...some(r, ["NX", "XX", "GT", "LT"])],
  (r) => ["PEXPIRE", key(r), ms(ttl(r)), ...some(r, ["NX", "XX", "GT", "LT"])],
  (r) => ["EXPIREAT", key(r), date(r), ...some(r, ["NX", "XX", "GT", "LT"])],
  (r) => ["PEXPIREAT", key(r), ms(date(r)), ...some(r, ["NX", "XX", "GT", "LT"])],
  (r) => ["TTL", key(r)],
  (r) => ["PTTL", key(r)],
  (r) => ["EXPIRETIME", key(r)],
  (r) => ["PEXPIRETIME", key(r)],
  (r) => ["PERSIST", key(r)],
];

const ON_KEYS: readonly Make[] = [
  (r) => ["MGET", ...times(r, 4, () => key(r))],
  (r) => ["MSET", ...times(r, 3, () => [key(r), value(r)]).flat()],
  (r) => ["MSETNX", ...times(r, 3, () => [key(r), value(r)]).flat()],
  (r) => [oneOf(r, ["DEL", "UNLINK", "EXISTS", "TOUCH"]), ...times(r, 4, () => key(r))],
  (r) => ["RENAME", key(r), key(r)],
  (r) => ["RENAMENX", key(r), key(r)],
  (r) => ["COPY", key(r), key(r), ...some(r, ["REPLACE"])],
  (r) => ["BITOP", oneOf(r, ["AND", "OR", "XOR"]), key(r), ...times(r, 3, () => key(r))],
  (r) => ["BITOP", "NOT", key(r), key(r), ...some(r, ["a"])],
  (r) => [
    "LCS",
    key(r),
    key(r),
    ...some(r, ["LEN", "IDX", "WITHMATCHLEN"]),
    ...(seldom(r, 4) ? ["MINMATCHLEN", integer(r)] : []),
  ],
];

/** On all keys; not for transactions (docs/redis.md). */
const ON_ALL: readonly Make[] = [
  () => ["DBSIZE"],
  () => ["KEYS", "*"],
  (r) => ["KEYS", oneOf(r, ["[a-c]", "?", "{*", "\\a", "[^a]", "*e"])],
];

/** A command with a word too few or too many, or none at all. */
function mistaken(random: Random): Words {
  const [name = "", ...words] = oneOf(random, [...ON_ONE_KEY, ...ON_KEYS])(random);
  switch (randomBelow(random, 3)) {
    case 0:
      return [name, ...words.slice(0, -1)];
    case 1:
      return [name, ...words, oneOf(random, ["x", "1", "NX"])];
    default:
      return [`${name}X`, ...words];
  }
}

function randomCommand(random: Random, inTransaction = false): Words {
  if (seldom(random, 40)) return mistaken(random);
  if (!inTransaction && seldom(random, 30)) return oneOf(random, ON_ALL)(random);
  return oneOf(random, seldom(random, 4) ? ON_KEYS : ON_ONE_KEY)(random);
}

/** A command on one key, called by a script. */
function script(random: Random): Words {
  const [name = "", first = "", ...words] = oneOf(random, ON_ONE_KEY)(random);
  const call = oneOf(random, ["call", "call", "pcall"]);
  const text = oneOf(random, [
    `return redis.${call}(ARGV[1], KEYS[1], unpack(ARGV, 2))`,
    `local r = redis.${call}(ARGV[1], KEYS[1], unpack(ARGV, 2)) return {r, redis.call('get', KEYS[1])}`,
  ]);
  return ["EVAL", text, "1", first, name, ...words];
}

/** What one of several clients does: a command, a script, or a transaction with what others do meanwhile. */
export function* randomStream(
  random: Random,
  clients: number,
  count: number,
): Generator<{ client: number; words: Words }> {
  const open = Array.from({ length: clients }, () => 0);
  for (let i = 0; i < count; i++) {
    const client = randomBelow(random, clients);
    const left = open[client] ?? 0;
    if (left > 1) {
      open[client] = left - 1;
      yield { client, words: seldom(random, 30) ? ["MULTI"] : randomCommand(random, true) };
    } else if (left === 1) {
      open[client] = 0;
      yield { client, words: [seldom(random, 5) ? "DISCARD" : "EXEC"] };
    } else if (seldom(random, 15)) {
      if (seldom(random, 2)) {
        // A key that is not there, is made and deleted again, counts as unchanged here (docs/redis.md).
        const watched = times(random, 2, () => key(random));
        for (const name of watched) yield { client, words: ["SETNX", name, value(random)] };
        yield { client, words: ["WATCH", ...watched] };
      }
      // Between WATCH and MULTI others may write.
      if (seldom(random, 2)) {
        const other = (client + 1) % clients;
        if (open[other] === 0) yield { client: other, words: randomCommand(random) };
      }
      open[client] = 2 + randomBelow(random, 5);
      yield { client, words: ["MULTI"] };
    } else if (seldom(random, 12)) yield { client, words: script(random) };
    else yield { client, words: randomCommand(random) };
  }
}

const TIMES = /^(P?TTL|P?EXPIRETIME)$/i;

/** What redis-server puts behind the error that ends a script. */
const WHERE = / script: [0-9a-f]{40}, on @user_script:\d+\.(?=\r\n)/;

/**
 * Whether redis-server (first) and a node have answered alike, each at its own time: the keys in any order, and times to live with a margin. What
 * answers transactions and scripts may hold times to live.
 */
export function answeredAlike(words: Words, a: string, b: string): boolean {
  if (a.replace(WHERE, "") === b) return true;
  const [x, y] = [a.split("\r\n"), b.split("\r\n")];
  if (words[0] === "KEYS") return x.toSorted().join() === y.toSorted().join();
  const hasTimes = /^(EXEC|EVAL)$/.test(String(words[0])) ||
    words.some((word) => TIMES.test(String(word)));
  return hasTimes && x.length === y.length &&
    x.every((line, i) => line === y[i] || areNearTimes(line, y[i] ?? ""));
}

function areNearTimes(a: string, b: string): boolean {
  const [x, y] = [a, b].map((line) => Number(/^:(\d{4,})$/.exec(line)?.[1] ?? NaN)) as [
    number,
    number,
  ];
  return Math.abs(x - y) <= (x > 1e8 ? TTL_MARGIN_SECONDS * 1_000 : TTL_MARGIN_SECONDS);
}
