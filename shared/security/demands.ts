/**
 * What a request asks of its user's rights, key by key. Pure.
 *
 * The rule for a write: if what the key held decides the outcome or the reply (a condition, the value
 * before, a number that is added to, whether the key was there), then it needs `read` beside `write`.
 * `needsCurrent` of the operation says so, which the primary goes by as well: an operation that is given the
 * entry has the right to it.
 *
 * @module
 */
import { KvError } from "../base/errors.ts";
import { keyRange } from "../base/key_range.ts";
import { quotedKey } from "../base/key_text.ts";
import { userKeyOf } from "../cluster/databases.ts";
import { isPlainOperation, OPERATIONS } from "../operations/table.ts";
import type { RequestOf, WriteOperation } from "../operations/operation.ts";
import type { KeyRequest, Message, PlainRequest, Request } from "../wire/messages.ts";
import { MESSAGE_NEEDS } from "./needs.ts";
import type { KeyRight, Right, Rights } from "./rights.ts";

const READ: readonly KeyRight[] = ["read"];
const WRITE: readonly KeyRight[] = ["write"];
const BOTH: readonly KeyRight[] = ["read", "write"];

/** What a request does with its key, if it has only that one. */
export function rightsNeeded(
  request: PlainRequest,
): readonly KeyRight[] {
  const operation = OPERATIONS[request.req_type];
  if (operation.kind === "read") return READ;
  // The row is that of the request's own type, which the type system cannot say.
  const { needsCurrent } = operation as WriteOperation;
  return needsCurrent(request as RequestOf<WriteOperation["fields"]>) ? BOTH : WRITE;
}

/**
 * Why a user may not do this, or undefined if it may. A batch is judged request by request by whoever
 * carries it out.
 *
 * @param rights undefined for who has not logged in
 * @returns `unauthorized` if a login is missing, `forbidden` if it does not suffice
 */
export function whyForbidden(request: Request, rights: Rights | undefined): KvError | undefined {
  const need = MESSAGE_NEEDS[request.req_type];
  if (need === "anybody") return undefined;
  if (rights === undefined) {
    return new KvError("unauthorized", `${request.req_type}: log in first`);
  }
  switch (need) {
    case "login":
    case "requests":
      return undefined;
    case "admin":
      return rights.isAdmin ? undefined : refusal(request, "admin", "the cluster");
    case "members":
      return new KvError("forbidden", `${request.req_type}: only a member of the cluster sends it`);
    case "monitor":
      return rights.mayMonitor ? undefined : refusal(request, "monitor", "the cluster");
    case "keys":
      return whyKeysForbidden(request as KeyRequest, rights);
    default:
      break;
  }
  if ("named" in need) return refusal(request, "admin", "the cluster");
  if ("selection" in need) return whySelectionForbidden(request, need.selection, rights);
  return whyRangeForbidden(request, need.range, rights);
}

function whyKeysForbidden(request: KeyRequest, rights: Rights): KvError | undefined {
  if (request.req_type === "read_ranges") return whyRangesForbidden(request, rights);
  if (request.req_type !== "transaction") {
    return rights.hasAllKeys ? undefined : whyKeyForbidden(request, rights);
  }
  for (const [key] of request.checks ?? []) {
    // Whether the transaction happens tells the key's version.
    if (!rights.allowsKey("read", key)) {
      return rights.whyNotServed(key) ?? refusal(request, "read", keyText(key));
    }
  }
  for (const step of request.requests as readonly unknown[]) {
    const why = isPlain(step)
      ? whyKeyForbidden(step, rights)
      : new KvError("bad_request", "transaction: a request in it is none on a key");
    if (why !== undefined) return why;
  }
  return undefined;
}

/** It is judged before it is checked: what has no right to be there must not be looked at by anything else. */
function isPlain(step: unknown): step is PlainRequest {
  if (typeof step !== "object" || step === null) return false;
  const { req_type, key } = step as { readonly [field: string]: unknown };
  return typeof req_type === "string" && isPlainOperation(req_type) && typeof key === "string";
}

function whyRangesForbidden(
  request: Message<"read_ranges">,
  rights: Rights,
): KvError | undefined {
  for (const { start, end } of request.ranges) {
    if (!rights.allowsRange("read", keyRange({ start, end }))) {
      return rights.whyNotServed(start) ?? refusal(request, "read", "all of these keys");
    }
  }
  return undefined;
}

function whyKeyForbidden(request: PlainRequest, rights: Rights): KvError | undefined {
  for (const right of rightsNeeded(request)) {
    if (rights.allowsKey(right, request.key)) continue;
    return rights.whyNotServed(request.key) ?? refusal(request, right, keyText(request.key));
  }
  return undefined;
}

/** A piece of a scan counts as all of it; one without bounds is of all keys. */
function whyRangeForbidden(
  request: Request,
  needed: readonly KeyRight[],
  rights: Rights,
): KvError | undefined {
  // JSON null stands for an absent field.
  const { prefix, start, end } = request as { [bound: string]: string | null | undefined };
  const range = keyRange({
    prefix: prefix ?? undefined,
    start: start ?? undefined,
    end: end ?? undefined,
  });
  for (const right of needed) {
    if (rights.allowsRange(right, range)) continue;
    return rights.whyNotServed(range.start ?? "") ?? refusal(request, right, "all of these keys");
  }
  return undefined;
}

/** JSON null stands for an absent field. */
type Nullable<T> = { readonly [N in keyof T]: T[N] | null };

/** What is watched is judged as what is scanned: each prefix is a range. */
function whySelectionForbidden(
  request: Request,
  needed: readonly KeyRight[],
  rights: Rights,
): KvError | undefined {
  const { keys, prefixes } = request as Nullable<Message<"watch_node" | "watch">>;
  // What names nothing is judged as what names everything.
  const ranges = (keys ?? []).length + (prefixes ?? []).length === 0 ? [""] : prefixes ?? [];
  for (const right of needed) {
    for (const key of keys ?? []) {
      if (rights.allowsKey(right, key)) continue;
      return rights.whyNotServed(key) ?? refusal(request, right, keyText(key));
    }
    for (const prefix of ranges) {
      if (rights.allowsRange(right, keyRange({ prefix }))) continue;
      return rights.whyNotServed(prefix) ?? refusal(request, right, "all of these keys");
    }
  }
  return undefined;
}

function keyText(stored: string): string {
  const key = userKeyOf(stored);
  return `the key ${quotedKey(key.length > 80 ? key.slice(0, 80) + "…" : key)}`;
}

function refusal({ req_type }: { req_type: string }, right: Right, what: string): KvError {
  return new KvError("forbidden", `${req_type}: needs the right to ${right} ${what}`);
}
