import { assertEquals } from "@std/assert";
import { ERROR_CODES, type ErrorCode } from "../../../../shared/base/errors.ts";
import { OPERATIONS } from "../../../../shared/operations/table.ts";
import {
  harmsTwice,
  isRepeated,
  mayRepeat,
  onlyReads,
  type Repeat,
  repeatOf,
} from "../../../../shared/operations/repeat.ts";
import type { KeyRequest } from "../../../../shared/wire/messages.ts";

const KINDS: readonly Repeat[] = ["harmful", "recognised", "harmless", "bulk"];
const codes = Object.keys(ERROR_CODES) as ErrorCode[];

Deno.test("mayRepeat: what certainly did not happen, and can later, is repeated whatever it is", () => {
  for (const code of codes) {
    assertEquals(mayRepeat("harmful", code), ERROR_CODES[code].retry, code);
  }
});

Deno.test("mayRepeat: what may have happened, or ran out of time, only if that does no harm", () => {
  const more = codes.map((code) => [code, KINDS.filter((kind) => mayRepeat(kind, code))] as const)
    .filter(([code, kinds]) => kinds.length > 0 && !ERROR_CODES[code].retry);
  assertEquals(more, [
    ["outcome_unknown", ["recognised", "harmless", "bulk"]],
    ["timeout", ["recognised", "harmless", "bulk"]],
    ["storage_failed", ["bulk"]],
  ]);
});

Deno.test("mayRepeat: a code of a newer peer that is not known here is final", () => {
  assertEquals(KINDS.some((kind) => mayRepeat(kind, "too_purple")), false);
});

const key = "k";
const reads = [{ req_type: "get", key }, { req_type: "exists", key }];
const writes = [{ req_type: "get", key }, { req_type: "put", key, value: "v" }];
const requests: readonly [KeyRequest, Repeat, boolean][] = [
  [{ req_type: "get", key }, "harmless", false],
  [{ req_type: "inspect", key }, "harmless", false],
  [{ req_type: "put", key, value: "v" }, "harmful", false],
  [{ req_type: "put", key, value: "v", if_version: 1 }, "harmful", true],
  [{ req_type: "put", key, value: "v", previous: true }, "harmful", true],
  [{ req_type: "put", key, value: "v", session: "s", request_number: 1 }, "recognised", false],
  [{ req_type: "create", key, value: "v" }, "harmful", true],
  [{ req_type: "delete", key }, "harmful", true],
  [{ req_type: "increment", key, session: "s", request_number: 1 }, "recognised", true],
  [{ req_type: "transaction", key, requests: reads }, "harmless", false],
  [{ req_type: "transaction", key, requests: writes }, "harmful", true],
  [
    { req_type: "transaction", key, requests: writes, session: "s", request_number: 1 },
    "recognised",
    true,
  ],
];

Deno.test("repeatOf and harmsTwice: what a second attempt would be, and who needs a client session", () => {
  for (const [request, repeat, harms] of requests) {
    assertEquals(
      [repeatOf(request), harmsTwice(request)],
      [repeat, harms],
      JSON.stringify(request),
    );
  }
});

Deno.test("onlyReads: as each operation's row says", () => {
  for (const [req_type, { kind }] of Object.entries(OPERATIONS)) {
    if (kind === "transaction") continue;
    assertEquals(onlyReads({ req_type, key } as KeyRequest), kind !== "write", req_type);
  }
});

Deno.test("isRepeated: only if the sender says so", () => {
  assertEquals(isRepeated({ req_type: "put", key, again: true }), true);
  assertEquals(isRepeated({ req_type: "put", key }), false);
});
