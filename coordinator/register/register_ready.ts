/**
 * What a step of a register's state machine asks of whoever runs it, as `state/ready.ts` is for the controller.
 *
 * @module
 */
import { invariant } from "../../shared/base/errors.ts";
import type { LogFields, Logger } from "../../shared/platform/logger.ts";
import type { Address } from "../../shared/platform/transport.ts";
import type { CoordinatorMember } from "./coordinator_set.ts";
import type { Envelope, Outgoing, RegisterDocument } from "./messages.ts";
import type { Outcome, Stamped } from "./register.ts";
import type { RegisterRecord } from "./register_record.ts";

/** A line for the log. */
export interface RegisterLogLine {
  readonly level: keyof Logger;
  readonly event: string;
  readonly fields: LogFields | undefined;
}

/** Somebody who is not in the set would like to be, and has asked the active one. */
export interface Joining {
  readonly member: CoordinatorMember;
}

/** What is to be done after a step, in the order of these fields. */
export interface RegisterReady<D> {
  /** It holds the register no more: whatever it does as the active one ends before anything else. */
  readonly lost: string | undefined;
  readonly log: readonly RegisterLogLine[];
  /**
   * To be written and synced, as a whole, in place of the last one. How that ended comes back as `persisted` or
   * `persist_failed`; until then no other step has a record.
   */
  readonly record: RegisterRecord<D> | undefined;
  /** To be sent. What they tell of this coordinator's promises and documents is on its disk. */
  readonly messages: readonly Outgoing<D>[];
  /** It holds the register from now on, and goes on from this document. */
  readonly held: Stamped<RegisterDocument<D>> | undefined;
  /** A majority has it. */
  readonly chosen: Stamped<RegisterDocument<D>> | undefined;
  /** How changes ended, by the token that was given with each. */
  readonly outcomes: readonly (readonly [token: number, outcome: Outcome])[];
  readonly joining: readonly Joining[];
}

type Draft<D> =
  & {
    -readonly [F in Exclude<keyof RegisterReady<D>, "log" | "messages" | "outcomes" | "joining">]:
      RegisterReady<D>[F];
  }
  & {
    log: RegisterLogLine[];
    messages: Outgoing<D>[];
    outcomes: [number, Outcome][];
    joining: Joining[];
  };

/** Collects what a step asks for. */
export class RegisterOutbox<D> implements Logger {
  #draft: Draft<D> = emptyDraft();

  debug(event: string, fields?: LogFields): void {
    this.#draft.log.push({ level: "debug", event, fields });
  }

  info(event: string, fields?: LogFields): void {
    this.#draft.log.push({ level: "info", event, fields });
  }

  warn(event: string, fields?: LogFields): void {
    this.#draft.log.push({ level: "warn", event, fields });
  }

  error(event: string, fields?: LogFields): void {
    this.#draft.log.push({ level: "error", event, fields });
  }

  send(address: Address, envelope: Envelope<D>): void {
    this.#draft.messages.push({ address, envelope });
  }

  persist(record: RegisterRecord<D>): void {
    invariant(this.#draft.record === undefined, "one write of the record at a time");
    this.#draft.record = record;
  }

  held(newest: Stamped<RegisterDocument<D>>): void {
    this.#draft.held = newest;
  }

  /** In one step it may both begin and end: then it has not begun. */
  lost(reason: string): void {
    if (this.#draft.held !== undefined) this.#draft.held = undefined;
    else this.#draft.lost = reason;
  }

  chosen(newest: Stamped<RegisterDocument<D>>): void {
    this.#draft.chosen = newest;
  }

  outcome(token: number, outcome: Outcome): void {
    this.#draft.outcomes.push([token, outcome]);
  }

  joining(member: CoordinatorMember): void {
    this.#draft.joining.push({ member });
  }

  /** All of it; the box is empty then. */
  take(): RegisterReady<D> {
    const ready = this.#draft;
    this.#draft = emptyDraft();
    return ready;
  }
}

function emptyDraft<D>(): Draft<D> {
  return {
    lost: undefined,
    log: [],
    record: undefined,
    messages: [],
    held: undefined,
    chosen: undefined,
    outcomes: [],
    joining: [],
  };
}
