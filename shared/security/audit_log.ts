/**
 * Who did what to the cluster's safety: logins, refusals, changes of users, orders of operators, as one JSON
 * object on a line. What a line says is a closed list, so that a secret has no field to stand in.
 *
 * @module
 */
import type { Clock } from "../platform/clock.ts";

/** What is written down. */
export type AuditEvent =
  | {
    readonly event: "login" | "login_failed" | "logout";
    readonly front_end: "wire" | "resp" | "http";
  }
  /** Something was asked for without the right to it; `what` is the request's type, the command or endpoint. */
  | { readonly event: "refused"; readonly what: string; readonly code: string }
  /** Users, roles, tokens or certificates were changed; `name` is that of what was changed. */
  | { readonly event: "changed"; readonly what: string; readonly name: string }
  /** An order that may lose data or end something: force, forget_node, flush, restore. */
  | { readonly event: "ordered"; readonly what: string }
  | { readonly event: "certificate"; readonly id: string; readonly role: string }
  /** A user was given a new password on the machine itself, without a login. */
  | { readonly event: "recovered"; readonly name: string };

/** Who did it, as far as is known. */
export interface AuditedCaller {
  readonly user: string | undefined;
  /** `host:port` */
  readonly from: string;
}

/** Longest text of a line's field; a peer chooses some. */
const FIELD_CHARACTERS_MAX = 256;

/** Writes lines to whatever it was given. */
export class AuditLog {
  readonly #clock: Pick<Clock, "wallMs">;
  readonly #write: (line: string) => void;
  readonly #failure: () => string | undefined;

  /**
   * @param write is given a line with its end; what it cannot keep is its own to tell
   * @param failure why lines are not kept now, if they are not
   */
  constructor(
    clock: Pick<Clock, "wallMs">,
    write: (line: string) => void,
    failure: () => string | undefined = () => undefined,
  ) {
    this.#clock = clock;
    this.#write = write;
    this.#failure = failure;
  }

  /** Why what happens is not written down now; undefined if it is. */
  get failure(): string | undefined {
    return this.#failure();
  }

  note(event: AuditEvent, caller: AuditedCaller): void {
    const line: Record<string, string> = {
      time: new Date(this.#clock.wallMs()).toISOString(),
      ...(caller.user === undefined ? {} : { user: caller.user }),
      from: caller.from,
      ...event,
    };
    for (const [name, text] of Object.entries(line)) {
      if (text.length > FIELD_CHARACTERS_MAX) {
        line[name] = text.slice(0, FIELD_CHARACTERS_MAX) + "…";
      }
    }
    this.#write(JSON.stringify(line) + "\n");
  }
}
