/**
 * Run by `denokv_test.ts` in a process that has Deno KV: the same random operations on a database of a cluster and on
 * Deno's own in memory, whose results must be the same but for the versionstamps, which must have the same order.
 *
 *     deno run -A --unstable-kv denokv_program.ts URL SEED STEPS
 *
 * @module
 */
/// <reference lib="deno.unstable" />
import { assert, assertEquals } from "@std/assert";
import { randomBelow, randomFraction, SeededRandom } from "../../../shared/platform/random.ts";

const [url = "", seed = "1", steps = "300"] = Deno.args;
const random = new SeededRandom(Number(seed));
const pick = <T>(...from: [T, ...T[]]): T =>
  from[Math.floor(randomFraction(random) * from.length)] ?? from[0];
const chance = (part: number): boolean => randomFraction(random) < part;

const theirs = await Deno.openKv(":memory:");
const ours = await Deno.openKv(url);
/** Deno's versionstamps, and ours of the same commits. */
const stamps = new Map<string, string>();
/** Those of Deno's that no other has in common with ours: a commit that changes nothing has an earlier one here. */
const distinct: string[] = [];

const PARTS: readonly Deno.KvKeyPart[] = [
  "a",
  "b",
  "",
  "é☃",
  "\u0000x",
  1,
  -1.5,
  Infinity,
  2n ** 70n,
  -3n,
  true,
  false,
  new Uint8Array([0, 255, 128]),
  new Uint8Array(),
];

function part(): Deno.KvKeyPart {
  return PARTS[Math.floor(randomFraction(random) * PARTS.length)] ?? "a";
}

function key(): Deno.KvKey {
  const stamp = distinct[randomBelow(random, distinct.length + 1)];
  if (stamp !== undefined && chance(0.15)) return ["log", stamp];
  return Array.from({ length: pick(1, 1, 2, 2, 3) }, part);
}

/** A key of few, so that the same ones are met again. */
function counter(): Deno.KvKey {
  return ["counter", pick(1, 2, 3)];
}

function value(): unknown {
  return pick<() => unknown>(
    () => "text",
    () => Math.floor(randomFraction(random) * 1000),
    () => randomFraction(random),
    () => 12345678901234567890n,
    () => null,
    () => new Uint8Array([1, 2, 255]),
    () => ({ name: "Zoë", list: [1, [2, { x: undefined }]], at: new Date(5) }),
    () => new Map([["k", new Set([1, "2"])]]),
    () => new Deno.KvU64(BigInt(Math.floor(randomFraction(random) * 10))),
    () => "long".repeat(2_000),
  )();
}

/** A number in V8's form, as a program gives it to `mutate`. */
function v8Number(): number | bigint {
  return pick<number | bigint>(1, -1, 0.5, -0, NaN, Infinity, 2 ** 53, 1n, -1n, 2n ** 64n, 0n);
}

interface Stamped {
  readonly versionstamp: string | null;
}

/** A key as the other store has it: versionstamps of Deno's that are parts of keys are ours there. */
function keyFor(key: Deno.KvKey, isOurs: boolean): Deno.KvKey {
  if (!isOurs) return key;
  return key.map((part) => typeof part === "string" ? stamps.get(part) ?? part : part);
}

/** Notes which of our versionstamps is which of Deno's. */
function same(our: Stamped, their: Stamped): void {
  if (our.versionstamp === null || their.versionstamp === null) {
    assertEquals(our.versionstamp, their.versionstamp);
    return;
  }
  const known = stamps.get(their.versionstamp);
  if (known !== undefined) return assertEquals(our.versionstamp, known);
  if (![...stamps.values()].includes(our.versionstamp)) distinct.push(their.versionstamp);
  stamps.set(their.versionstamp, our.versionstamp);
}

function sameEntries<T extends Stamped & { readonly value?: unknown }>(
  our: readonly T[],
  their: readonly T[],
): void {
  const plain = (entries: readonly T[], areOurs: boolean) =>
    entries.map(({ versionstamp: _, ...rest }) =>
      "key" in rest ? { ...rest, key: keyFor(rest.key as Deno.KvKey, !areOurs) } : rest
    );
  our.forEach((entry, i) => same(entry, their[i] ?? entry));
  assertEquals(plain(our, true), plain(their, false));
}

type Step = (kv: Deno.Kv, isOurs: boolean) => Promise<unknown>;

function readStep(): Step {
  const [one, two] = [chance(0.3) ? counter() : key(), key()];
  if (chance(0.4)) return async (kv, isOurs) => [await kv.get(keyFor(one, isOurs))];
  if (chance(0.4)) {
    return (kv, isOurs) => {
      const keys = [one, two, one].map((key) => keyFor(key, isOurs));
      return kv.getMany(keys, { consistency: "eventual" });
    };
  }
  const prefix: Deno.KvKey = chance(0.4) ? [] : chance(0.2) ? ["log"] : [part()];
  const options: Deno.KvListOptions = {
    reverse: chance(0.5),
    ...(chance(0.5) ? { limit: pick(1, 2, 5, 100) } : {}),
    ...(chance(0.5) ? { batchSize: pick(1, 2, 3, 500) } : {}),
  };
  const [bound, from, to] = [[...prefix, part()], key(), key()];
  const wanted = pick<Deno.KvListSelector>(
    { prefix },
    { prefix },
    { prefix, start: bound },
    { prefix, end: bound },
    // Perhaps the wrong way round.
    { start: from, end: to },
  );
  return async (kv, isOurs) => {
    const selector = Object.fromEntries(
      Object.entries(wanted).map(([name, key]) => [name, keyFor(key, isOurs)]),
    ) as unknown as Deno.KvListSelector;
    const list = kv.list(selector, options);
    const found: Deno.KvEntry<unknown>[] = [];
    for await (const entry of list) {
      found.push(entry);
      // Goes on with the cursor, as a web page does.
      if (found.length === 2 && options.limit === undefined) {
        const rest = kv.list(selector, { ...options, cursor: list.cursor });
        return [...found, ...await Array.fromAsync(rest)];
      }
    }
    return found;
  };
}

type Mutate = (
  atomic: Deno.AtomicOperation,
  key: (key: Deno.KvKey) => Deno.KvKey,
  kv: Deno.Kv,
) => unknown;

/** A key that ends with the commit's versionstamp. */
function stampedKey(kv: Deno.Kv, i: number): Deno.KvKey {
  const stamp = kv.commitVersionstamp() as unknown as Deno.KvKeyPart;
  return i === 0 ? ["log", stamp] : ["log", i, stamp];
}

/** Checks of keys by versionstamps of the past, in Deno's form and in ours. */
async function atomicStep(): Promise<Step> {
  const checked = chance(0.5) ? counter() : key();
  const entry = await theirs.get(checked);
  const stamp = chance(0.2) ? pick(null, distinct.at(-1) ?? null) : entry.versionstamp;
  const hasCheck = chance(0.6);
  const number = BigInt(Math.floor(randomFraction(random) * 5));
  // Only the first may be refused: Deno's own store keeps what came before a refused one.
  const mutations = Array.from({ length: pick(0, 1, 1, 2, 4) }, (_, i) => {
    const [at, to] = [chance(0.6) ? counter() : key(), value()];
    const v8 = v8Number();
    const plain: Mutate[] = [
      (atomic, key) => atomic.set(key(at), to),
      (atomic, key) => atomic.set(key(at), new Deno.KvU64(number)),
      (atomic, key) => atomic.set(key(at), v8),
      (atomic, key) => atomic.delete(key(at)),
      (atomic, _, kv) => atomic.set(stampedKey(kv, i), to),
    ];
    const numeric: Mutate[] = [
      (atomic, key) => atomic.sum(key(at), number),
      (atomic, key) => atomic.min(key(at), number),
      (atomic, key) => atomic.max(key(at), number),
      ...["sum", "sum", "sum", "min", "max"].map((type): Mutate => (atomic, key) =>
        atomic.mutate({ type, key: key(at), value: v8 } as unknown as Deno.KvMutation)
      ),
    ];
    const all = i === 0 ? [...plain, ...numeric] : plain;
    return all[randomBelow(random, all.length)] ?? plain[0];
  });
  return async (kv, isOurs) => {
    const atomic = kv.atomic();
    const versionstamp = stamp === null || !isOurs ? stamp : stamps.get(stamp) ?? null;
    const here = (key: Deno.KvKey) => keyFor(key, isOurs);
    if (hasCheck) atomic.check({ key: here(checked), versionstamp });
    for (const mutate of mutations) mutate?.(atomic, here, kv);
    return await atomic.commit();
  };
}

function writeStep(): Step {
  const [at, to] = [key(), value()];
  if (chance(0.2)) {
    return async (kv, isOurs) => {
      await kv.delete(keyFor(at, isOurs));
      return [];
    };
  }
  if (chance(0.1)) {
    return (kv, isOurs) => kv.set(keyFor(at, isOurs), to, { expireIn: 86_400_000 });
  }
  if (chance(0.1)) return (kv) => kv.set(stampedKey(kv, 0), to);
  return (kv, isOurs) => kv.set(keyFor(at, isOurs), to);
}

async function outcome(step: Step, kv: Deno.Kv, isOurs: boolean): Promise<unknown> {
  try {
    return await step(kv, isOurs);
  } catch (error) {
    assert(error instanceof Error);
    refusals.push(`${isOurs ? "ours" : "theirs"}: ${error.message}`);
    return "refused";
  }
}

const refusals: string[] = [];
for (let i = 0; i < Number(steps); i++) {
  const step = await pick<() => Step | Promise<Step>>(readStep, readStep, writeStep, atomicStep)();
  const [their, our] = [await outcome(step, theirs, false), await outcome(step, ours, true)];
  try {
    if (Array.isArray(their) && Array.isArray(our)) sameEntries(our, their);
    else if (isCommit(their) && isCommit(our)) {
      assertEquals(our.ok, their.ok);
      if (our.ok && their.ok) same(our, their);
    } else assertEquals(our, their);
  } catch (error) {
    throw new Error(
      `step ${i} of seed ${seed}: ${Deno.inspect({ their, our, refusals: refusals.slice(-2) })}`,
      { cause: error },
    );
  }
}
const all = await Array.fromAsync(theirs.list({ prefix: [] }));
sameEntries(await Array.fromAsync(ours.list({ prefix: [] })), all);
const inOrder = [...stamps].sort(([a], [b]) => a < b ? -1 : 1).map(([, our]) => our);
assertEquals(inOrder, inOrder.toSorted());
ours.close();
theirs.close();
console.log(JSON.stringify({ keys: all.length, commits: stamps.size }));

function isCommit(outcome: unknown): outcome is Deno.KvCommitResult | Deno.KvCommitError {
  return typeof outcome === "object" && outcome !== null && "ok" in outcome;
}
