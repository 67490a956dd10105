/**
 * The local packages of `std/` behave as the real ones do. The same tests pass on the packages from
 * JSR: take the `links` line out of deno.json.
 */
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertExists,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  AssertionError,
  assertIsError,
  assertLess,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
  equal,
  fail,
  unreachable,
} from "@std/assert";
import { parseArgs } from "@std/cli/parse-args";
import { crypto } from "@std/crypto";

const cycle: Record<string, unknown> = { name: "a" };
cycle.self = cycle;
const sameCycle: Record<string, unknown> = { name: "a" };
sameCycle.self = sameCycle;

const EQUAL: [unknown, unknown][] = [
  [1, 1],
  [NaN, NaN],
  [0, -0],
  ["a", "a"],
  [null, null],
  [{ a: 1, b: [2, { c: 3 }] }, { b: [2, { c: 3 }], a: 1 }],
  [new Map([["a", { b: 1 }]]), new Map([["a", { b: 1 }]])],
  [new Map([[{ k: 1 }, 1]]), new Map([[{ k: 1 }, 1]])],
  [new Set([1, 2]), new Set([2, 1])],
  [new Set([{ a: 1 }, { a: 2 }]), new Set([{ a: 2 }, { a: 1 }])],
  [new Uint8Array([1, 2]), new Uint8Array([1, 2])],
  [new Date(5), new Date(5)],
  [/a/g, /a/g],
  [new URL("http://a/"), new URL("http://a/")],
  [Object.create(null), {}],
  [cycle, sameCycle],
];

const DIFFERENT: [unknown, unknown][] = [
  [1, 2],
  [1, "1"],
  [null, undefined],
  [{ a: 1 }, { a: 1, b: undefined }],
  [{ a: undefined }, { b: undefined }],
  [[1, 2], [2, 1]],
  [new Map([["a", 1]]), new Map([["a", 2]])],
  [new Map([["a", 1]]), new Map([["b", 1]])],
  [new Set([1]), new Set([2])],
  [new Set([{ a: 1 }]), new Set([{ a: 2 }])],
  [new Uint8Array([1]), new Uint8Array([2])],
  [new Uint8Array([1]), new Uint16Array([1])],
  [new Date(5), new Date(6)],
  [/a/g, /a/i],
  [{}, []],
  [new (class A {})(), new (class B {})()],
  [() => 1, () => 1],
];

Deno.test("equal: compares structure", () => {
  for (const [a, b] of EQUAL) {
    assert(equal(a, b), `${Deno.inspect(a)} equals ${Deno.inspect(b)}`);
    assert(equal(b, a), `${Deno.inspect(b)} equals ${Deno.inspect(a)}`);
  }
  for (const [a, b] of DIFFERENT) {
    assert(!equal(a, b), `${Deno.inspect(a)} differs from ${Deno.inspect(b)}`);
    assert(!equal(b, a), `${Deno.inspect(b)} differs from ${Deno.inspect(a)}`);
  }
});

Deno.test("assertEquals: the message shows the lines that differ", () => {
  const error = assertThrows(
    () => assertEquals({ a: 1, b: 2 }, { a: 1, b: 3 }, "the pair"),
    AssertionError,
    "Values are not equal: the pair",
  );
  assertMatch(error.message, /-.*b: 2/);
  assertMatch(error.message, /\+.*b: 3/);
});

Deno.test("assertions: pass on what holds and throw on what does not", () => {
  const table: [pass: () => void, throwing: () => void][] = [
    [() => assert(1), () => assert("")],
    [() => assertNotEquals<unknown>(1, 2), () => assertNotEquals([1], [1])],
    [() => assertStrictEquals(NaN, NaN), () => assertStrictEquals<unknown>({}, {})],
    [() => assertExists(0), () => assertExists(null)],
    [() => assertMatch("abc", /b/), () => assertMatch("abc", /d/)],
    [() => assertStringIncludes("abc", "bc"), () => assertStringIncludes("abc", "cb")],
    [() => assertGreater(2, 1), () => assertGreater(1, 1)],
    [() => assertGreaterOrEqual(1, 1), () => assertGreaterOrEqual(0, 1)],
    [() => assertLess(1, 2), () => assertLess(2, 2)],
    [() => assertAlmostEquals(0.1 + 0.2, 0.3), () => assertAlmostEquals(0.3, 0.31)],
    [() => assertAlmostEquals(1, 2, 1), () => assertAlmostEquals(1, 2, 0.5)],
    [() => assertInstanceOf(new Date(), Date), () => assertInstanceOf({}, Date)],
    [() => assertIsError(new TypeError("x"), TypeError, "x"), () => assertIsError("x")],
    [() => assertThrows(() => fail("x"), AssertionError, "x"), () => fail()],
    [() => assertThrows(() => unreachable()), () => unreachable()],
    [
      () => assertThrows(() => fail(), Error),
      () => assertThrows(() => fail(), RangeError),
    ],
    [() => {}, () => assertThrows(() => {})],
    [() => {}, () => assertThrows(() => fail("x"), AssertionError, "y")],
  ];
  for (const [pass, throwing] of table) {
    pass();
    let thrown: unknown;
    try {
      throwing();
    } catch (error) {
      thrown = error;
    }
    assert(thrown instanceof AssertionError, `${throwing} fails`);
  }
});

Deno.test("assertRejects: gives the error, and fails if nothing rejects", async () => {
  const error = await assertRejects(
    () => Promise.reject(new RangeError("too far")),
    RangeError,
    "far",
  );
  assertEquals(error.message, "too far");
  await assertRejects(() => assertRejects(() => Promise.resolve()), AssertionError);
  await assertRejects(
    () =>
      assertRejects(() => {
        throw new Error("at once");
      }),
    AssertionError,
    "throws when expected to reject",
  );
});

Deno.test("parseArgs: flags, values and the rest", () => {
  const unknown: string[] = [];
  const parsed: Record<string, unknown> = parseArgs(
    ["get", "--port", "81", "--name=x=y", "--json", "--empty", "--tag", "a", "--tag=b", "--", "-z"],
    { string: ["port", "name", "empty", "tag"], boolean: ["json", "help"], collect: ["tag"] },
  );
  assertEquals(parsed, {
    _: ["get", "-z"],
    port: "81",
    name: "x=y",
    json: true,
    help: false,
    empty: "",
    tag: ["a", "b"],
  });
  const strict: Record<string, unknown> = parseArgs(["7", "--prot", "81", "-x", "08a"], {
    string: ["_", "port"],
    "--": true,
    unknown: (arg: string, key?: string) => {
      if (key === undefined) return true;
      unknown.push(arg);
      return false;
    },
  });
  assertEquals(unknown, ["--prot", "-x"]);
  assertEquals(strict, { _: ["7"], "--": [] });
});

Deno.test("parseArgs: guesses numbers only if it may, and stops early", () => {
  const parsed: Record<string, unknown> = parseArgs(["--n", "5", "1", "a", "--later"], {
    stopEarly: true,
  });
  assertEquals(parsed, { _: [1, "a", "--later"], n: 5 });
});

Deno.test("crypto.subtle.digestSync: MD5 gives the values of RFC 1321", () => {
  const table: [text: string, digest: string][] = [
    ["", "d41d8cd98f00b204e9800998ecf8427e"],
    ["a", "0cc175b9c0f1b6a831c399e269772661"],
    ["message digest", "f96b697d7cb7938d525a2f31aaf161d0"],
  ];
  const encoder = new TextEncoder();
  for (const [text, digest] of table) {
    const bytes = encoder.encode(text);
    assertEquals(new Uint8Array(crypto.subtle.digestSync("MD5", bytes)).toHex(), digest);
    const pieces = [bytes.subarray(0, 1), bytes.subarray(1)];
    assertEquals(new Uint8Array(crypto.subtle.digestSync("MD5", pieces)).toHex(), digest);
  }
});

Deno.test("crypto.subtle.digest: takes buffers and sequences", async () => {
  const bytes = new TextEncoder().encode("abc");
  const whole = await crypto.subtle.digest("SHA-256", bytes);
  async function* pieces() {
    yield bytes.subarray(0, 2);
    yield bytes.subarray(2);
  }
  assertEquals(await crypto.subtle.digest("SHA-256", pieces()), whole);
  assertEquals(
    new Uint8Array(whole).toHex().slice(0, 16),
    "ba7816bf8f01cfea",
  );
});
