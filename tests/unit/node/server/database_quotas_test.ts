/**
 * Quotas: what a request adds to which database, and when a node asks the others.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { DatabaseQuotas, growthOf, limitedBy } from "../../../../node/server/database_quotas.ts";
import type { DatabaseList } from "../../../../shared/cluster/databases.ts";
import { QUOTA_FRESH_MS, QUOTA_SHARE } from "../../../../shared/limits/cluster.ts";
import type { KeyRequest, Message } from "../../../../shared/wire/messages.ts";

const LIST: DatabaseList = {
  next: 4,
  list: [
    { name: "free", number: 1 },
    { name: "small", number: 2, maxKeys: 10 },
    { name: "short", number: 3, together: true, maxBytes: 1_000 },
  ],
};

function transaction(...requests: object[]): KeyRequest {
  return { req_type: "transaction", key: "k", requests } as unknown as KeyRequest;
}

Deno.test("limitedBy: every database with a quota that a request has keys of", () => {
  const names = (request: KeyRequest) => limitedBy(request, LIST).map(({ name }) => name);
  assertEquals(names({ req_type: "put", key: "\0db/000002/k", value: "v" }), ["small"]);
  assertEquals(names({ req_type: "put", key: "\0db/000001/k", value: "v" }), []);
  assertEquals(names({ req_type: "put", key: "k", value: "v" }), []);
  const move = transaction(
    { req_type: "delete", key: "\0db/000001/k" },
    { req_type: "put", key: "\0db/{000003}k", value: "v" },
    { req_type: "put", key: "\0db/000002/k", value: "v" },
  );
  assertEquals(names(move), ["short", "small"]);
  assertEquals(limitedBy(move, undefined), []);
});

Deno.test("growthOf: what leaves one database makes no room in another", () => {
  const lengthOf = (key: string) => key.startsWith("\0db/000001/") ? 100 : undefined;
  const move = transaction(
    { req_type: "delete", key: "\0db/000001/k" },
    { req_type: "put", key: "\0db/000002/k", value: "v" },
  );
  assertEquals(growthOf(move, 2, lengthOf).keys, 1);
  assertEquals(growthOf(move, 1, lengthOf).keys, -1);
  assertEquals(growthOf(move, 3, lengthOf), { keys: 0, bytes: 0 });
});

Deno.test("growthOf: a key that a transaction names several times counts once, as its steps leave it", () => {
  const key = "\0db/000002/k";
  const table: [
    what: string,
    steps: object[],
    length: number | undefined,
    keys: number,
    bytes: number,
  ][] = [
    ["new", [{ req_type: "put", value: "12345" }], undefined, 1, key.length + 36 + 5],
    ["overwritten", [{ req_type: "put", value: "12345" }], 3, 0, 2],
    [
      "written twice",
      [{ req_type: "put", value: "1" }, { req_type: "put", value: "12345" }],
      undefined,
      1,
      key.length + 36 + 5,
    ],
    ["deleted and made again", [{ req_type: "delete" }, { req_type: "put", value: "1" }], 4, 0, -3],
    [
      "deleted twice",
      [{ req_type: "delete" }, { req_type: "delete" }],
      4,
      -1,
      -(key.length + 36 + 4),
    ],
    [
      "read, and expiring later",
      [{ req_type: "get" }, { req_type: "expire", ttl_ms: 1 }],
      undefined,
      0,
      0,
    ],
    [
      "appended to",
      [{ req_type: "append_value", value: "12" }, { req_type: "append_value", value: "3" }],
      4,
      0,
      3,
    ],
  ];
  for (const [what, steps, length, keys, bytes] of table) {
    const request = transaction(...steps.map((step) => ({ ...step, key })));
    assertEquals(growthOf(request, 2, () => length), { keys, bytes }, what);
  }
});

Deno.test("DatabaseQuotas: a node uses its share without asking, and asks when it is used up, or old", () => {
  let nowMs = 0;
  let own = 0;
  let asked = 0;
  const others = 20;
  const quotas = new DatabaseQuotas({
    nowMs: () => nowMs,
    own: () => ({ keys: own, bytes: 0 }),
    nodes: () => 2,
    askOthers: (done) => {
      asked++;
      done([{ known: true, databases: [[2, others, 0, 0]] }]);
    },
  });
  const database = { name: "small", number: 2, maxKeys: 100 };
  const write = () => {
    let refusal: Message<"error"> | undefined;
    quotas.admit(database, { keys: 1, bytes: 0 }, "put", (why) => refusal = why);
    if (refusal === undefined) own++;
    return refusal?.code;
  };
  assertEquals([write(), asked], [undefined, 1]);
  const share = Math.floor(QUOTA_SHARE / 2 * (100 - own - others));
  for (let i = 0; i < share; i++) assertEquals(write(), undefined);
  assertEquals([share > 5, asked], [true, 1], "its share is used up now");
  write();
  assertEquals(asked, 2);
  nowMs += QUOTA_FRESH_MS;
  write();
  assertEquals(asked, 3, "what was answered is old");
  let code: string | undefined;
  for (let i = 0; code === undefined && i < 200; i++) code = write();
  assertEquals([code, own], ["quota_exceeded", 100 - others]);
  // What does not grow is never refused, nor is anybody asked.
  const before = asked;
  let refused = 0;
  quotas.admit(
    database,
    { keys: 0, bytes: 0 },
    "put",
    (why) => refused += Number(why !== undefined),
  );
  assertEquals([refused, asked], [0, before]);
});
