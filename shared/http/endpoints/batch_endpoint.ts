/**
 * `POST /batch`: several requests in one. Each by itself, as the wire's `batch` has it, or, with
 * `atomic`, all of them or none, as its `transaction` has it.
 *
 * @module
 */
import { executeBatch } from "../../server/batch.ts";
import { KvError } from "../../base/errors.ts";
import { REQUEST_TIMEOUT_MS, REQUEST_TIMEOUT_MS_MAX } from "../../limits/requests.ts";
import type { Reply } from "../../wire/messages.ts";
import { wireForm } from "../../wire/wire_form.ts";
import { withJsonObject } from "../protocol/body.ts";
import { endpoint, json, type Services, unexpected } from "./endpoint.ts";
import { BATCH_REQUEST, BATCH_RESULT } from "../protocol/schemas.ts";
import { decodeStrictly } from "../protocol/strict_request.ts";
import { quoted } from "../protocol/target.ts";

const FIELDS: ReadonlySet<string> = new Set(["requests", "atomic", "checks", "timeout_ms"]);

/** What a body asks for. */
interface BatchBody {
  readonly requests: readonly object[];
  readonly atomic: boolean;
  readonly checks: unknown;
  readonly timeoutMs: number;
}

export const postBatch = endpoint({
  id: "postBatch",
  summary: "Several requests in one, each by itself or all or none",
  description:
    "`requests` are those of the JSON wire, without `id`; a field that the operation does not " +
    "have is refused. Without `atomic` they have " +
    "nothing to do with each other, run in no order, and each has its reply, which may be an " +
    "error. With `atomic` all of them happen or none: they run in order, as of one moment, if every " +
    "key of `checks` has its version.",
  parameters: {},
  body: { contentType: "application/json", schema: BATCH_REQUEST },
  responses: {
    200: { description: "The replies, in the order of the requests.", schema: BATCH_RESULT },
  },
  run({ request, services }) {
    return withJsonObject(request, services.bodies, (object) => {
      const body = readBatch(object);
      return body.atomic ? runAtomic(services, body) : runEach(services, body);
    });
  },
});

/** @throws {KvError} `bad_request` */
function readBatch(body: Record<string, unknown>): BatchBody {
  const unknown = Object.keys(body).find((name) => !FIELDS.has(name));
  if (unknown !== undefined) {
    throw new KvError("bad_request", `batch: there is no field ${quoted(unknown)}`);
  }
  const { requests, atomic = false, checks, timeout_ms: timeoutMs = REQUEST_TIMEOUT_MS } = body;
  if (!Array.isArray(requests) || requests.length === 0) {
    throw new KvError("bad_request", `batch: "requests" must be an array that is not empty`);
  }
  if (typeof atomic !== "boolean") {
    throw new KvError("bad_request", `batch: "atomic" must be true or false`);
  }
  if (!atomic && checks !== undefined) {
    throw new KvError("bad_request", `batch: "checks" needs "atomic"`);
  }
  const isTime = typeof timeoutMs === "number" && Number.isInteger(timeoutMs) && timeoutMs > 0 &&
    timeoutMs <= REQUEST_TIMEOUT_MS_MAX;
  if (!isTime) {
    throw new KvError("bad_request", `batch: "timeout_ms" must be 1 to ${REQUEST_TIMEOUT_MS_MAX}`);
  }
  return { requests, atomic, checks, timeoutMs };
}

async function runEach(services: Services, body: BatchBody): Promise<Response> {
  const { database } = services.site;
  const batch = { req_type: "batch", requests: body.requests, timeout_ms: body.timeoutMs } as const;
  const reply = await new Promise<Reply>((resolve, reject) => {
    try {
      executeBatch(
        services.clock,
        batch,
        (one, answer) => {
          database.execute(one, one.timeout_ms ?? body.timeoutMs, answer);
        },
        resolve,
        decodeStrictly,
      );
    } catch (error) {
      reject(error);
    }
  });
  if (reply.req_type !== "result" || !Array.isArray(reply.result)) throw unexpected(reply);
  return json(200, { replies: reply.result.map(replyDocument) });
}

async function runAtomic(services: Services, body: BatchBody): Promise<Response> {
  const [first] = body.requests;
  const { key, key64 } = (first ?? {}) as { key?: unknown; key64?: unknown };
  const request = decodeStrictly({
    req_type: "transaction",
    key,
    ...(key64 === undefined ? {} : { key64 }),
    requests: body.requests,
    checks: body.checks,
  });
  const reply = await services.demand(request, body.timeoutMs);
  if (reply.req_type !== "result" || !Array.isArray(reply.result)) throw unexpected(reply);
  const { version } = reply;
  return json(200, {
    replies: reply.result.map(replyDocument),
    ...(version === undefined ? {} : { version }),
  });
}

function replyDocument(reply: Reply): object {
  const { id: _, ...rest } = reply;
  return wireForm(rest);
}
