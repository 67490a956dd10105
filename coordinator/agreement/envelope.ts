/**
 * Messages between coordinators as they come over a wire: everything is checked here, field by field, before the
 * state machine sees it.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { isObject } from "../../shared/cluster/map_shape.ts";
import type { IssuedCertificate } from "../../shared/security/security_document.ts";
import type { Message } from "../../shared/wire/messages.ts";
import type {
  Answer,
  DocumentChange,
  Envelope,
  Question,
  RegisterDocument,
  Sender,
  StampedSet,
} from "../register/messages.ts";
import type { Stamped } from "../register/register.ts";
import {
  isCount,
  isGeneration,
  isKnownStart,
  isMember,
  isStamp,
  parseDocument,
  parseSet,
} from "../register/register_record.ts";

/** Reads the document that the coordinators keep. @throws {KvError} */
export type ParseBody<D> = (body: unknown) => D;

/** A certificate that a coordinator has signed for itself. */
export type OwnCertificate = Pick<
  IssuedCertificate,
  "serial" | "madeMs" | "untilMs" | "authority"
>;

/** As it is sent. @param certificate the sender's, for the list of all */
export function formatEnvelope<D>(
  { from, to, toRun, body }: Envelope<D>,
  certificate?: OwnCertificate,
): string {
  const message: Message<"agree"> = {
    req_type: "agree",
    from,
    ...(to === undefined ? {} : { to }),
    ...(toRun === undefined ? {} : { to_run: toRun }),
    body,
    ...(certificate === undefined ? {} : {
      certificate: {
        serial: certificate.serial,
        made_ms: certificate.madeMs,
        until_ms: certificate.untilMs,
        authority: certificate.authority,
      },
    }),
  };
  return JSON.stringify(message);
}

/** @throws {KvError} `bad_request`, or what `parseBody` throws */
export function parseEnvelope<D>(
  { from, to, to_run: toRun, body }: Message<"agree">,
  parseBody: ParseBody<D>,
): Envelope<D> {
  return {
    from: parseSender(from),
    // JSON null stands for an absent field.
    to: to ?? undefined,
    toRun: toRun ?? undefined,
    body: parseContent(body, parseBody),
  };
}

/** The sender's own certificate; undefined if it names none. @throws {KvError} `bad_request` */
export function parseCertificate(
  { certificate }: Message<"agree">,
): OwnCertificate | undefined {
  // JSON null stands for an absent field.
  if (certificate === undefined || certificate === null) return undefined;
  const { serial, made_ms: madeMs, until_ms: untilMs, authority } = certificate as Record<
    string,
    unknown
  >;
  if (typeof serial !== "string" || !isCount(madeMs) || !isCount(untilMs)) {
    throw wrong("certificate");
  }
  if (authority === undefined) return { serial, madeMs, untilMs };
  if (typeof authority !== "string") throw wrong("certificate");
  return { serial, madeMs, untilMs, authority };
}

function parseSender(value: object): Sender {
  const sender = value as Sender;
  if (!isMember(sender) || !isKnownStart(sender)) throw wrong("from");
  const { id, folder, address, start, run, writes, at } = sender;
  if (at !== undefined && !isStamp(at)) throw wrong("from.at");
  return { id, folder, address, start, run, writes, at };
}

function parseContent<D>(value: object, parseBody: ParseBody<D>): Question<D> | Answer<D> {
  const fields = value as Record<string, unknown>;
  const { type, round, generation, stamp, highest } = fields;
  const needsRound = typeof type === "string" && ROUNDS.has(type);
  if (needsRound && !isCount(round)) throw wrong("round");
  const counted = { round: round as number };
  switch (type) {
    case "hello":
      return { type };
    case "welcome":
      return { type, newer: fields.newer === undefined ? undefined : parseNewer(fields.newer) };
    case "inquire":
    case "need_whole":
    case "held":
      return { type, ...counted };
    case "promise":
      if (!isGeneration(generation) || !isStamp(fields.has)) throw wrong(type);
      return { type, ...counted, generation, has: fields.has };
    case "accept":
      if (!isStamp(stamp)) throw wrong(type);
      return { type, ...counted, stamp, change: parseChange(fields.change, parseBody) };
    case "confirm": {
      const { chosen, starts } = fields;
      const isKnown = chosen === undefined || isStamp(chosen);
      if (!isGeneration(generation) || !isKnown) throw wrong(type);
      if (!Array.isArray(starts) || !starts.every(isKnownStart)) throw wrong(type);
      return { type, ...counted, generation, chosen, starts };
    }
    case "release":
      if (!isGeneration(generation)) throw wrong(type);
      return { type, generation };
    case "old_copy":
      if (!isObject(fields.known) || !isKnownStart(fields.known)) throw wrong(type);
      return { type, known: fields.known };
    case "not_member":
      if (!isStamp(stamp)) throw wrong(type);
      return { type, stamp, set: parseSet(fields.set) };
    case "inquired": {
      const { lost } = fields;
      const isKnown = highest === undefined || isGeneration(highest);
      if (typeof lost !== "boolean" || !isKnown) throw wrong(type);
      return { type, ...counted, lost, highest };
    }
    case "promised":
      if (!isGeneration(generation)) throw wrong(type);
      return { type, ...counted, generation, newest: parseNewest(fields.newest, parseBody) };
    case "accepted":
      if (!isStamp(stamp)) throw wrong(type);
      return { type, ...counted, stamp };
    case "confirmed":
      if (!isGeneration(generation)) throw wrong(type);
      return { type, ...counted, generation };
    case "refused":
      if (!isGeneration(highest)) throw wrong(type);
      return { type, ...counted, highest };
    default:
      throw wrong("type");
  }
}

/** Those that belong to a round. */
const ROUNDS: ReadonlySet<string> = new Set([
  "inquire",
  "promise",
  "accept",
  "confirm",
  "inquired",
  "promised",
  "accepted",
  "need_whole",
  "confirmed",
  "refused",
  "held",
]);

function parseNewer(value: unknown): StampedSet {
  if (!isObject(value) || !isStamp(value.stamp)) throw wrong("newer");
  return { stamp: value.stamp, set: parseSet(value.set) };
}

function parseNewest<D>(
  value: unknown,
  parseBody: ParseBody<D>,
): Stamped<RegisterDocument<D>> | undefined {
  if (value === undefined) return undefined;
  if (!isObject(value) || !isStamp(value.stamp)) throw wrong("newest");
  return { stamp: value.stamp, document: parseDocument(value.document, parseBody) };
}

function parseChange<D>(value: unknown, parseBody: ParseBody<D>): DocumentChange<D> {
  if (!isObject(value)) throw wrong("change");
  if ("whole" in value) return { whole: parseDocument(value.whole, parseBody) };
  const { base, set, difference } = value;
  if (!isStamp(base)) throw wrong("change");
  return { base, set: parseSet(set), difference };
}

function wrong(what: string): KvError {
  return new KvError("bad_request", `agree: ${what} is not what a coordinator sends`);
}
