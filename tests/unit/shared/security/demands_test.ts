import { assertEquals } from "@std/assert";
import type { ErrorCode } from "../../../../shared/base/errors.ts";
import { OPERATIONS } from "../../../../shared/operations/table.ts";
import { rightsNeeded, whyForbidden } from "../../../../shared/security/demands.ts";
import { MESSAGE_NEEDS } from "../../../../shared/security/needs.ts";
import { type Grant, type Right, Rights } from "../../../../shared/security/rights.ts";
import type { Message, Request } from "../../../../shared/wire/messages.ts";

const rightsOn = (prefix: string, ...rights: Right[]) =>
  new Rights(rights.map((right): Grant => ({ database: "default", prefix, right })));
const NOTHING = new Rights([]);
const READER = rightsOn("app:", "read");
const WRITER = rightsOn("app:", "write");
const USER = rightsOn("app:", "read", "write");
const ADMIN = rightsOn("", "admin");

function refused(request: unknown, rights: Rights | undefined): ErrorCode | undefined {
  return whyForbidden(request as Request, rights)?.code;
}

/** What each operation needs when it is asked for plainly. */
const PLAIN: Record<
  Exclude<keyof typeof OPERATIONS, "transaction" | "read_ranges">,
  readonly Right[]
> = {
  get: ["read"],
  exists: ["read"],
  inspect: ["read"],
  put: ["write"],
  update: ["read", "write"],
  create: ["read", "write"],
  delete: ["read", "write"],
  expire: ["read", "write"],
  persist: ["read", "write"],
  get_and_expire: ["read", "write"],
  increment: ["read", "write"],
  increment_float: ["read", "write"],
  append_value: ["read", "write"],
  set_range: ["read", "write"],
  set_bit: ["read", "write"],
  combine: ["read", "write"],
};

Deno.test("whyForbidden: each operation × each right, inside and outside of the prefix", () => {
  for (const [req_type, needed] of Object.entries(PLAIN)) {
    const inside = { req_type, key: "app:1", value: "x" };
    assertEquals(rightsNeeded(inside as Message<"put">), needed, req_type);
    assertEquals(refused(inside, undefined), "unauthorized", req_type);
    for (const [rights, has] of [[NOTHING, ""], [READER, "read"], [WRITER, "write"]] as const) {
      const expected = needed.every((right) => right === has) ? undefined : "forbidden";
      assertEquals(refused(inside, rights), expected, `${req_type} with ${has}`);
    }
    assertEquals(refused(inside, USER), undefined, req_type);
    for (const key of ["app", "app;", "b", "", "App:1"]) {
      assertEquals(refused({ ...inside, key }, USER), "forbidden", `${req_type} ${key}`);
    }
    assertEquals(refused({ ...inside, key: "b" }, ADMIN), undefined, req_type);
  }
});

Deno.test("whyForbidden: a put that tells or asks what was there needs read as well", () => {
  const put = { req_type: "put", key: "app:1", value: "x" };
  for (
    const more of [{ ttl_ms: 5 }, { acks: "primary" }, { previous: false }, {
      session: "s",
      request_number: 1,
    }]
  ) {
    assertEquals(refused({ ...put, ...more }, WRITER), undefined, JSON.stringify(more));
  }
  const telling = [
    { previous: true },
    { created: true },
    { if_version: 0 },
    { if_version: 7 },
    { keep_ttl: true },
  ];
  for (const more of telling) {
    assertEquals(refused({ ...put, ...more }, WRITER), "forbidden", JSON.stringify(more));
    assertEquals(refused({ ...put, ...more }, USER), undefined, JSON.stringify(more));
  }
});

Deno.test("whyForbidden: each range that is read at one moment is judged", () => {
  const within = { start: "app:1", end: "app:9", limit: 10 };
  const beyond = { start: "app:1", end: "b", limit: 10 };
  const read = (...ranges: unknown[]) => ({ req_type: "read_ranges", key: "app:1", ranges });
  assertEquals(refused(read(within, within), READER), undefined);
  assertEquals(refused(read(within), WRITER), "forbidden");
  assertEquals(refused(read(within, beyond), READER), "forbidden");
  assertEquals(refused(read(within), undefined), "unauthorized");
});

Deno.test("whyForbidden: in a transaction each request and each check is judged", () => {
  const get = (key: string) => ({ req_type: "get", key });
  const put = (key: string, more = {}) => ({ req_type: "put", key, value: "x", ...more });
  const transaction = (requests: unknown[], checks?: unknown[]) => ({
    req_type: "transaction",
    key: "app:1",
    requests,
    ...(checks === undefined ? {} : { checks }),
  });
  assertEquals(refused(transaction([get("app:1"), put("app:2")]), USER), undefined);
  assertEquals(refused(transaction([put("app:1"), put("app:2")]), WRITER), undefined);
  const bad = [
    transaction([put("app:1"), get("b")]),
    transaction([put("app:1"), put("b")]),
    transaction([put("app:1")], [["b", 0]]),
  ];
  for (const request of bad) assertEquals(refused(request, USER), "forbidden");
  // A condition, or a value before, would tell a writer what it may not read.
  assertEquals(refused(transaction([put("app:1")], [["app:1", 3]]), WRITER), "forbidden");
  assertEquals(refused(transaction([put("app:1", { previous: true })]), WRITER), "forbidden");
  assertEquals(refused(transaction([get("app:1")]), undefined), "unauthorized");
  // It is judged before it is checked, and nested ones are none.
  const nested = transaction([put("app:1")]);
  for (
    const step of [
      null,
      7,
      "get",
      {},
      { req_type: "get" },
      { req_type: "__proto__", key: "a" },
      nested,
    ]
  ) {
    assertEquals(refused(transaction([step]), ADMIN), "bad_request", JSON.stringify(step));
  }
});

Deno.test("whyForbidden: a range that begins inside and ends outside is refused, pieces of scans too", () => {
  for (const req_type of ["scan", "count", "scan_node", "count_node", "delete_matching"]) {
    const range = (more: object) => ({ req_type, ...more });
    assertEquals(refused(range({ prefix: "app:" }), USER), undefined, req_type);
    assertEquals(refused(range({ start: "app:1", end: "app:2" }), USER), undefined, req_type);
    const beyond = [
      {},
      { prefix: "" },
      { prefix: "app" },
      { start: "app:1" },
      { start: "app:1", end: "b" },
      { end: "app:1" },
      { prefix: null, start: null, end: null },
    ];
    for (const bounds of beyond) {
      assertEquals(
        refused(range(bounds), USER),
        "forbidden",
        `${req_type} ${JSON.stringify(bounds)}`,
      );
    }
    assertEquals(refused(range({ prefix: "app:", after: "b" }), USER), undefined);
    assertEquals(refused(range({}), ADMIN), undefined);
  }
  assertEquals(refused({ req_type: "delete_matching", prefix: "app:" }, WRITER), "forbidden");
  for (const req_type of ["backup_partition"]) {
    assertEquals(refused({ req_type, partition: 1 }, USER), "forbidden", req_type);
    assertEquals(refused({ req_type, partition: 1 }, rightsOn("", "read")), undefined, req_type);
  }
});

Deno.test("whyForbidden: what is for administrators, for users and for anybody", () => {
  for (const [req_type, need] of Object.entries(MESSAGE_NEEDS)) {
    const message = { req_type };
    if (need === "admin") {
      assertEquals(refused(message, USER), "forbidden", req_type);
      assertEquals(refused(message, ADMIN), undefined, req_type);
    } else if (need === "anybody") assertEquals(refused(message, undefined), undefined, req_type);
    else if (need === "login") {
      assertEquals(refused(message, undefined), "unauthorized", req_type);
      assertEquals(refused(message, NOTHING), undefined, req_type);
    }
  }
});
