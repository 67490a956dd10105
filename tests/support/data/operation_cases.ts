/**
 * What each operation does, as one table that every front end is tested with: the key's value before, the request
 * in words that all front ends have, the answer, and the value after. Front ends express answers differently;
 * `front_ends.ts` brings them into one form.
 *
 * @module
 */
import type { ErrorCode } from "../../../shared/base/errors.ts";
import type { OperationName } from "../../../shared/operations/table.ts";
import type { RequestOption } from "../../../shared/arguments/word_fields.ts";

/** An answer, whatever the front end. Numbers that differ from run to run are named by their meaning. */
export type Answer =
  | { readonly kind: "ack"; readonly previous?: string }
  | { readonly kind: "data"; readonly value: string; readonly expires: boolean }
  | { readonly kind: "result"; readonly result: unknown }
  | { readonly kind: "error"; readonly code: ErrorCode };

/** A row. */
export interface OperationCase {
  readonly operation: OperationName;
  /** The value before, each byte a character; undefined: there is no such key. */
  readonly before?: string;
  /** It has an expiry before. */
  readonly expiring?: boolean;
  /** The arguments behind the key. */
  readonly words?: readonly string[];
  /** `$version` stands for the key's version, `$other` for another one. */
  readonly options?: readonly RequestOption[];
  readonly answer: Answer;
  /** The value after; undefined: there is no such key. */
  readonly after?: string;
  /** Whether it has an expiry after. */
  readonly expiresAfter?: boolean;
}

const ack: Answer = { kind: "ack" };
const result = (result: unknown): Answer => ({ kind: "result", result });
const data = (value: string, expires = false): Answer => ({ kind: "data", value, expires });
const error = (code: ErrorCode): Answer => ({ kind: "error", code });
const before = (previous: string): Answer => ({ kind: "ack", previous });

const TTL: RequestOption = ["ttl", "1h"];
const BINARY = "\x00\xff\r\n\x80";

/** The table. */
export const OPERATION_CASES: readonly OperationCase[] = [
  { operation: "put", words: ["v"], answer: ack, after: "v" },
  { operation: "put", before: "o", words: ["v"], answer: ack, after: "v" },
  { operation: "put", words: [""], answer: ack, after: "" },
  { operation: "put", words: ["a b\tc"], answer: ack, after: "a b\tc" },
  { operation: "put", words: ["v"], options: [TTL], answer: ack, after: "v", expiresAfter: true },
  {
    operation: "put",
    words: ["v"],
    options: [["ttl-ms", "90000"]],
    answer: ack,
    after: "v",
    expiresAfter: true,
  },
  {
    operation: "put",
    words: ["v"],
    options: [["expires-at", "2100-01-01"]],
    answer: ack,
    after: "v",
    expiresAfter: true,
  },
  { operation: "put", words: ["v"], options: [["expires-at", "1"]], answer: ack },
  { operation: "put", before: "o", expiring: true, words: ["v"], answer: ack, after: "v" },
  {
    operation: "put",
    before: "o",
    expiring: true,
    words: ["v"],
    options: [["keep-ttl"]],
    answer: ack,
    after: "v",
    expiresAfter: true,
  },
  {
    operation: "put",
    before: "o",
    words: ["v"],
    options: [["previous"]],
    answer: before("o"),
    after: "v",
  },
  {
    operation: "put",
    before: BINARY,
    words: ["v"],
    options: [["previous"]],
    answer: before(BINARY),
    after: "v",
  },
  { operation: "put", words: ["v"], options: [["previous"]], answer: ack, after: "v" },
  {
    operation: "put",
    before: "o",
    words: ["v"],
    options: [["if-version", "$version"]],
    answer: ack,
    after: "v",
  },
  {
    operation: "put",
    before: "o",
    words: ["v"],
    options: [["if-version", "$other"]],
    answer: error("version_mismatch"),
    after: "o",
  },
  { operation: "put", words: ["v"], options: [["if-version", "0"]], answer: ack, after: "v" },
  {
    operation: "put",
    before: "o",
    words: ["v"],
    options: [["if-version", "0"]],
    answer: error("version_mismatch"),
    after: "o",
  },
  {
    operation: "put",
    words: ["v"],
    options: [TTL, ["expires-at", "2100-01-01"]],
    answer: error("bad_request"),
  },
  { operation: "put", words: ["v"], options: [["acks", "primary"]], answer: ack, after: "v" },
  { operation: "create", words: ["v"], answer: ack, after: "v" },
  { operation: "create", before: "o", words: ["v"], answer: error("exists"), after: "o" },
  { operation: "update", before: "o", words: ["v"], answer: ack, after: "v" },
  { operation: "update", words: ["v"], answer: error("not_found") },
  { operation: "delete", before: "o", answer: ack },
  { operation: "delete", answer: error("not_found") },
  { operation: "delete", before: "o", options: [["previous"]], answer: before("o") },
  { operation: "delete", before: "o", options: [["if-version", "$version"]], answer: ack },
  {
    operation: "delete",
    before: "o",
    options: [["if-version", "$other"]],
    answer: error("version_mismatch"),
    after: "o",
  },
  { operation: "get", before: "o", answer: data("o"), after: "o" },
  { operation: "get", before: "", answer: data(""), after: "" },
  {
    operation: "get",
    before: BINARY,
    expiring: true,
    answer: data(BINARY, true),
    after: BINARY,
    expiresAfter: true,
  },
  {
    operation: "get",
    before: "o",
    options: [["consistency", "replica"]],
    answer: data("o"),
    after: "o",
  },
  { operation: "get", answer: error("not_found") },
  { operation: "exists", before: "o", answer: result(true), after: "o" },
  { operation: "exists", answer: result(false) },
  {
    operation: "inspect",
    before: "abc",
    answer: result({ length: 3, version: "number", timestamp: "number" }),
    after: "abc",
  },
  {
    operation: "inspect",
    before: "",
    expiring: true,
    answer: result({
      length: 0,
      version: "number",
      timestamp: "number",
      expires_at: "number",
      ttl_ms: "number",
    }),
    after: "",
    expiresAfter: true,
  },
  { operation: "inspect", answer: error("not_found") },
  {
    operation: "expire",
    before: "o",
    words: ["1h"],
    answer: result(true),
    after: "o",
    expiresAfter: true,
  },
  { operation: "expire", before: "o", options: [["expires-at", "1"]], answer: result(true) },
  { operation: "expire", words: ["1h"], answer: result(false) },
  {
    operation: "expire",
    before: "o",
    words: ["1h"],
    options: [["when", "xx"]],
    answer: result(false),
    after: "o",
  },
  {
    operation: "expire",
    before: "o",
    expiring: true,
    words: ["9h"],
    options: [["when", "gt"]],
    answer: result(true),
    after: "o",
    expiresAfter: true,
  },
  {
    operation: "expire",
    before: "o",
    expiring: true,
    words: ["9h"],
    options: [["when", "lt"]],
    answer: result(false),
    after: "o",
    expiresAfter: true,
  },
  { operation: "expire", before: "o", answer: error("bad_request"), after: "o" },
  { operation: "persist", before: "o", expiring: true, answer: result(true), after: "o" },
  { operation: "persist", before: "o", answer: result(false), after: "o" },
  { operation: "persist", answer: result(false) },
  {
    operation: "get_and_expire",
    before: "o",
    words: ["1h"],
    answer: data("o", true),
    after: "o",
    expiresAfter: true,
  },
  {
    operation: "get_and_expire",
    before: "o",
    expiring: true,
    options: [["persist"]],
    answer: data("o"),
    after: "o",
  },
  {
    operation: "get_and_expire",
    before: "o",
    expiring: true,
    answer: data("o", true),
    after: "o",
    expiresAfter: true,
  },
  { operation: "get_and_expire", words: ["1h"], answer: error("not_found") },
  {
    operation: "get_and_expire",
    before: "o",
    words: ["1h"],
    options: [["persist"]],
    answer: error("bad_request"),
    after: "o",
  },
  { operation: "increment", answer: result("1"), after: "1" },
  {
    operation: "increment",
    before: "32",
    expiring: true,
    words: ["10"],
    answer: result("42"),
    after: "42",
    expiresAfter: true,
  },
  { operation: "increment", before: "1", words: ["-3"], answer: result("-2"), after: "-2" },
  {
    operation: "increment",
    before: "9223372036854775806",
    answer: result("9223372036854775807"),
    after: "9223372036854775807",
  },
  {
    operation: "increment",
    before: "9223372036854775807",
    answer: error("out_of_range"),
    after: "9223372036854775807",
  },
  { operation: "increment", before: "x", answer: error("not_an_integer"), after: "x" },
  {
    operation: "increment",
    before: "1",
    words: ["1.5"],
    answer: error("not_an_integer"),
    after: "1",
  },
  {
    operation: "increment_float",
    before: "9.5",
    words: ["0.25"],
    answer: result("9.75"),
    after: "9.75",
  },
  { operation: "increment_float", words: ["5e3"], answer: result("5000"), after: "5000" },
  { operation: "increment_float", before: "x", answer: error("not_a_float"), after: "x" },
  {
    operation: "append_value",
    before: "some",
    words: ["thing"],
    answer: result(9),
    after: "something",
  },
  {
    operation: "append_value",
    before: BINARY,
    words: ["x"],
    answer: result(6),
    after: BINARY + "x",
  },
  { operation: "append_value", words: ["x"], answer: result(1), after: "x" },
  {
    operation: "set_range",
    before: "hello world",
    words: ["6", "there"],
    answer: result(11),
    after: "hello there",
  },
  { operation: "set_range", words: ["2", "x"], answer: result(3), after: "\0\0x" },
  { operation: "set_range", words: ["99999999", "x"], answer: error("value_too_large") },
  { operation: "set_range", words: ["-1", "x"], answer: error("bad_request") },
  { operation: "set_bit", before: "a", words: ["6", "1"], answer: result(0), after: "c" },
  { operation: "set_bit", before: "a", words: ["7", "0"], answer: result(1), after: "`" },
  {
    operation: "set_bit",
    before: "a",
    words: ["7", "2"],
    answer: error("bad_request"),
    after: "a",
  },
];
