/**
 * The contract of the place in which the cluster's document is kept: read, compare-and-set by stamp, and hold
 * for a while. `register_member.ts` fulfils it by agreement between coordinators; a service that the operator runs
 * already, such as etcd, can stand behind it as well.
 *
 * What whoever stands behind it promises:
 *
 * - **One document.** Each `chosen` document follows from the one that was chosen before: a compare-and-set succeeds
 *   only if nothing else was chosen since the stamp that it names. A document that was chosen is read by every later
 *   holder, whoever fails, within the limits of the implementation, which it states.
 * - **One holder.** From `onHeld` to `onLost` the caller is the holder. At no moment of true time does
 *   {@linkcode Register.hasRight} say yes to two. Between `onHeld` and `onLost`, `hasRight` may say no for a while
 *   (the others cannot be reached); a holder then gives no leases, changes nothing else, and stays what it is.
 * - **Known ends.** An outcome `chosen` or `changed` is certain. `lost` means that the change may or may not have been
 *   chosen: the next holder reads it or does not.
 * - Stamps grow from each chosen document to the next. A later holder's generation is higher.
 * - Callbacks come from `step` or from the network, never from inside of a call to the contract. `onLost` comes before
 *   anything else that the loss brings about.
 *
 * What it asks of the caller: it gives leases only while `hasRight` says yes; and when it becomes holder it acts as a
 * coordinator that was just started, so it waits for the longest lease that an earlier holder may have given.
 *
 * @module
 */
import type { CoordinatorMember, CoordinatorSet } from "./coordinator_set.ts";
import type { Stamp } from "./generation.ts";
import type { RegisterMetrics } from "../../shared/metrics/register_metrics.ts";

/** A document with its name. */
export interface Stamped<D> {
  readonly stamp: Stamp;
  readonly document: D;
}

/** How a compare-and-set ended. */
export type Outcome =
  /** It was chosen, under this stamp. */
  | { readonly type: "chosen"; readonly stamp: Stamp }
  /** Nothing was done: something else was chosen since, or another change is under way. */
  | { readonly type: "changed" }
  /** The caller is not the holder any more, and the change may or may not have been chosen. */
  | { readonly type: "lost" };

/** What a register tells its user. */
export interface RegisterEvents<D> {
  /** The caller holds it from here on, and goes on from this document. */
  onHeld(newest: Stamped<D>): void;
  /** It holds it no more. @param reason in words, for the log */
  onLost(reason: string): void;
  /** A newer document is known to be chosen, also while nobody holds the register. */
  onChosen(newest: Stamped<D>): void;
  /** Who is believed to hold it, to be told to those who ask here; undefined if nobody is known. */
  onHolder(holder: CoordinatorMember | undefined): void;
  /** Which coordinators there are has changed without a document. */
  onMembers?(): void;
}

/** A register, as its user sees it. */
export interface Register<D> {
  /** The newest document that is known here to be chosen. It is the newest of all only if `hasRight` says yes. */
  read(): Stamped<D> | undefined;
  /** Whether this process may give leases at this moment. */
  hasRight(): boolean;
  /** Replaces the document, if nothing was chosen since `expected`. Only the holder may ask. */
  compareAndSet(expected: Stamp, next: D, done: (outcome: Outcome) => void): void;
  /** Gives the hold back, so that another one need not wait for its end. `onLost` has been called when this returns. */
  release(): void;
}

/** How a coordinator stands. */
export type RegisterRole = "starting" | "standby" | "candidate" | "active" | "stranger" | "removed";

/** For people: how this coordinator stands. */
export interface RegisterState {
  readonly member: CoordinatorMember;
  readonly role: RegisterRole;
  readonly set: CoordinatorSet | undefined;
  /** Who is believed to be active. */
  readonly holder: CoordinatorMember | undefined;
  readonly chosen: Stamp | undefined;
  /** So many coordinators have to be there, so that one of them can be active. */
  readonly needed: number;
  /** Where each member is, by folder; empty unless this is the active one. */
  readonly positions: ReadonlyMap<string, Stamp | undefined>;
  /** When each of the others was heard of last, by folder, on this process's monotonic clock. */
  readonly heardMs: ReadonlyMap<string, number>;
  /** Since when this one is active, by the date; undefined if it is not. */
  readonly activeSinceMs: number | undefined;
  /** How often this process has become active. */
  readonly activities: number;
  /** Why it has ceased to be active last. */
  readonly lastEnd: string | undefined;
  /** Why its record cannot be written, if it cannot. */
  readonly diskFailure: string | undefined;
  /** Those who would like to be coordinators. */
  readonly joining: readonly CoordinatorMember[];
}

/** A register with what a process needs besides, to begin, to end and to tell how it stands. */
export interface ManagedRegister<D> extends Register<D> {
  /** Begins. Resolves when it holds the register, or when that is not to be waited for. */
  start(): Promise<void>;
  /** @param pauseMs how long it does not try to hold it again */
  release(pauseMs?: number): void;
  /** Ends it, after a write that is under way. */
  close(): Promise<void>;
  /** Other coordinators are wanted. @throws {KvError} `bad_request`, `unavailable` */
  want(voters: readonly CoordinatorMember[]): void;
  /** Whether others may become the holder. */
  readonly hasOthers: boolean;
  /** Whether the newest document that is here is chosen. */
  readonly isSettled: boolean;
  /** The coordinators, as far as is known. */
  readonly set: CoordinatorSet | undefined;
  readonly state: RegisterState;
  /** What it costs. */
  readonly metrics: RegisterMetrics;
}

/**
 * Differences between documents, for those whose documents are large. A difference is used only if the other side
 * has exactly the document that it was made from, which stamps tell; otherwise the whole document is sent.
 */
export interface Differences<D> {
  /** What leads from one document to another; undefined if the whole is not larger. */
  between(base: D, next: D): unknown | undefined;
  /** @throws {KvError} `bad_request` if it is no difference of this document */
  apply(base: D, difference: unknown): D;
}

/** Sends whole documents only. */
export const WHOLE_DOCUMENTS: Differences<never> = {
  between: () => undefined,
  apply: (base) => base,
};
