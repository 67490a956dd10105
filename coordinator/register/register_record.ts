/**
 * What a coordinator keeps on its disk: which folder it is, what it has promised, the newest document that it has
 * accepted, and the latest start of each other folder. It is replaced as a whole, and synced, before anything that
 * it says is told to anybody. Rule G3 of docs/coordinators.md.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { COORDINATORS_MAX } from "../../shared/limits/membership.ts";
import { type CoordinatorMember, type CoordinatorSet, setOf } from "./coordinator_set.ts";
import type { Generation, Stamp } from "./generation.ts";
import type { KnownStart } from "./known_starts.ts";
import type { RegisterDocument } from "./messages.ts";
import type { Stamped } from "./register.ts";

/** The longest name of a coordinator or folder, and the longest host. */
const ID_CHARACTERS_MAX = 256;
const HOST_CHARACTERS_MAX = 255;

/** The layout of {@linkcode RegisterRecord}. */
export const RECORD_FORMAT = 1;

/** The record. */
export interface RegisterRecord<D> {
  readonly format: typeof RECORD_FORMAT;
  readonly id: string;
  readonly folder: string;
  /** How often the folder has been started. */
  readonly start: number;
  /** How often the record was written, this time included. */
  readonly writes: number;
  readonly promised: Generation | undefined;
  readonly accepted: Stamped<RegisterDocument<D>> | undefined;
  readonly starts: readonly KnownStart[];
  /** The document by which the folder was removed from the set: it takes no part any more. Rule G12. */
  readonly removedBy: Stamp | undefined;
}

/** The record of a folder that is in no set yet. */
export function blankRecord<D>(id: string, folder: string): RegisterRecord<D> {
  return {
    format: RECORD_FORMAT,
    id,
    folder,
    start: 0,
    writes: 0,
    promised: undefined,
    accepted: undefined,
    starts: [],
    removedBy: undefined,
  };
}

/** The record of the first coordinator of a new cluster. */
export function firstRecord<D>(member: CoordinatorMember, body: D): RegisterRecord<D> {
  const generation: Generation = { number: 1, coordinator: member.id, run: "" };
  return {
    ...blankRecord(member.id, member.folder),
    promised: generation,
    accepted: {
      stamp: { generation, revision: 1 },
      document: { set: setOf(member), body },
    },
  };
}

/**
 * The record as it was read from disk.
 *
 * @param parseBody reads the document that the coordinators keep
 * @throws {KvError} `wrong_version` for another format, `corrupt` for anything that is no record
 */
export function parseRecord<D>(
  value: unknown,
  parseBody: (body: unknown) => D,
): RegisterRecord<D> {
  const { format, id, folder, start, writes, promised, accepted, starts, removedBy } = asObject(
    value,
  );
  if (format !== RECORD_FORMAT) {
    throw new KvError(
      "wrong_version",
      `the coordinator's record has format ${JSON.stringify(format)}, this program reads ` +
        `${RECORD_FORMAT}; use the version of kv-coordinator that wrote it`,
    );
  }
  if (typeof id !== "string" || typeof folder !== "string" || folder === "") {
    throw damaged("folder");
  }
  if (!isCount(start) || !isCount(writes)) throw damaged("start");
  if (!Array.isArray(starts) || !starts.every(isKnownStart)) throw damaged("starts");
  if (promised !== undefined && !isGeneration(promised)) throw damaged("promised");
  if (removedBy !== undefined && !isStamp(removedBy)) throw damaged("removedBy");
  return {
    format,
    id,
    folder,
    start,
    writes,
    promised,
    accepted: accepted === undefined ? undefined : parseAccepted(accepted, parseBody),
    starts,
    removedBy,
  };
}

function parseAccepted<D>(
  value: unknown,
  parseBody: (body: unknown) => D,
): Stamped<RegisterDocument<D>> {
  const { stamp, document } = asObject(value);
  if (!isStamp(stamp)) throw damaged("stamp");
  return { stamp, document: parseDocument(document, parseBody) };
}

/** A document; also of what a peer sent. @throws {KvError} `corrupt`, or what `parseBody` throws */
export function parseDocument<D>(
  value: unknown,
  parseBody: (body: unknown) => D,
): RegisterDocument<D> {
  const { set, body } = asObject(value);
  return { set: parseSet(set), body: parseBody(body) };
}

/** A set of coordinators; also of what a peer sent. @throws {KvError} `corrupt` */
export function parseSet(value: unknown): CoordinatorSet {
  const { voters, wanted, joint } = asObject(value);
  if (!isMembers(voters) || typeof joint !== "boolean") throw damaged("set");
  if (wanted !== undefined && !isMembers(wanted)) throw damaged("set");
  if (joint && wanted === undefined) throw damaged("set");
  return { voters, wanted, joint };
}

function isMembers(value: unknown): value is CoordinatorMember[] {
  return Array.isArray(value) && value.length > 0 && value.length <= COORDINATORS_MAX &&
    value.every(isMember);
}

/** Whether it is a coordinator; also of what a peer sent. */
export function isMember(value: unknown): value is CoordinatorMember {
  const { id, folder, address } = asObject(value);
  const { host, port } = asObject(address);
  return isName(id) && isName(folder) && typeof host === "string" &&
    host.length <= HOST_CHARACTERS_MAX && isCount(port) && port <= 65_535;
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= ID_CHARACTERS_MAX;
}

/** Whether it is a generation; also of what a peer sent. */
export function isGeneration(value: unknown): value is Generation {
  if (typeof value !== "object" || value === null) return false;
  const { number, coordinator, run } = value as Record<string, unknown>;
  return isCount(number) && typeof coordinator === "string" && typeof run === "string";
}

/** Whether it is a stamp; also of what a peer sent. */
export function isStamp(value: unknown): value is Stamp {
  if (typeof value !== "object" || value === null) return false;
  const { generation, revision } = value as Record<string, unknown>;
  return isGeneration(generation) && isCount(revision);
}

/** Whether it is a start of a folder; also of what a peer sent. */
export function isKnownStart(value: unknown): value is KnownStart {
  const { folder, start, run, writes } = asObject(value);
  return typeof folder === "string" && isCount(start) && typeof run === "string" &&
    isCount(writes);
}

/** Whether it is a whole number from 0 on. */
export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function asObject(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw damaged("an object is missing");
  }
  return value as Record<string, unknown>;
}

function damaged(what: string): KvError {
  return new KvError(
    "corrupt",
    `the coordinator's record is damaged (${what}): remove its folder, and the coordinator comes ` +
      "back as a learner; if it is the only one, put back a copy of the folder",
  );
}
