/**
 * What coordinators say to each other. Any of it may be lost, late, doubled, or come in another order. Each message
 * names the folder and the run of its sender. An answer names the run that it is for, so nobody takes an answer to an
 * earlier process of the same folder for one to itself.
 *
 * @module
 */
import type { Address } from "../../shared/platform/transport.ts";
import type { CoordinatorMember, CoordinatorSet } from "./coordinator_set.ts";
import type { KnownStart } from "./known_starts.ts";
import type { Generation, Stamp } from "./generation.ts";
import type { Stamped } from "./register.ts";

/** What is kept: the set of coordinators, and what they keep. */
export interface RegisterDocument<D> {
  readonly set: CoordinatorSet;
  readonly body: D;
}

/** Who sends a message. Rule G11. */
export interface Sender extends CoordinatorMember, KnownStart {
  /** The document that is on its disk. */
  readonly at: Stamp | undefined;
}

/** The document of an `accept`: whole, or what leads to it from a document that the receiver has. */
export type DocumentChange<D> =
  | { readonly whole: RegisterDocument<D> }
  | { readonly base: Stamp; readonly set: CoordinatorSet; readonly difference: unknown };

/** Questions. */
export type Question<D> =
  /** I have started. Do you know a later start of my folder? */
  | { readonly type: "hello" }
  /** Would you promise, if I asked? Nothing changes by it. Rule G6. */
  | { readonly type: "inquire"; readonly round: number }
  /** Refuse everything below this generation from now on. Rule G1. */
  | {
    readonly type: "promise";
    readonly round: number;
    readonly generation: Generation;
    /** The newest document that whoever asks has read: an older one need not be sent. */
    readonly has: Stamp;
  }
  /** Write this document. Rule G2. */
  | {
    readonly type: "accept";
    readonly round: number;
    readonly stamp: Stamp;
    readonly change: DocumentChange<D>;
  }
  /**
   * Hold back promises for others. Rule G7. `chosen` is the newest document that a majority has, `starts` what the
   * active one knows of the others' folders.
   */
  | {
    readonly type: "confirm";
    readonly round: number;
    readonly generation: Generation;
    readonly chosen: Stamp | undefined;
    readonly starts: readonly KnownStart[];
  }
  /** I have given up the right of this generation: you need not hold back promises for it. No answer. */
  | { readonly type: "release"; readonly generation: Generation };

/** The set of a document, without the document. */
export interface StampedSet {
  readonly stamp: Stamp;
  readonly set: CoordinatorSet;
}

/** Answers. Those that tell of a promise or a document leave when it is on disk (rule G3). */
export type Answer<D> =
  /** I know of no later start of your folder. `newer`: my document's set, if my document is newer than yours. */
  | { readonly type: "welcome"; readonly newer: StampedSet | undefined }
  /** The folder has come further than the sender knows: the sender runs on an old copy. Rule G11. */
  | { readonly type: "old_copy"; readonly known: KnownStart }
  /** The sender is not in the set of a document that is newer than its own. Rule G12. */
  | { readonly type: "not_member" } & StampedSet
  | {
    readonly type: "inquired";
    readonly round: number;
    /** It has not heard of an active coordinator for long enough to promise. */
    readonly lost: boolean;
    /** The highest generation that it knows. */
    readonly highest: Generation | undefined;
  }
  | {
    readonly type: "promised";
    readonly round: number;
    readonly generation: Generation;
    /** The newest document here, if it is newer than that of whoever asks. */
    readonly newest: Stamped<RegisterDocument<D>> | undefined;
  }
  | { readonly type: "accepted"; readonly round: number; readonly stamp: Stamp }
  /** It has not the document that the difference was made from. */
  | { readonly type: "need_whole"; readonly round: number }
  | { readonly type: "confirmed"; readonly round: number; readonly generation: Generation }
  /** It knows a higher generation. Who hears this stands down. Rule G14. */
  | { readonly type: "refused"; readonly round: number; readonly highest: Generation }
  /** No promise now: another one's right may still run. */
  | { readonly type: "held"; readonly round: number };

/** A message on its way. */
export interface Envelope<D> {
  readonly from: Sender;
  /** The folder that it is for; undefined from one who knows an address alone, and wants to join. */
  readonly to: string | undefined;
  /** Of an answer: the run that has asked. */
  readonly toRun: string | undefined;
  readonly body: Question<D> | Answer<D>;
}

/** A message and where it goes. */
export interface Outgoing<D> {
  readonly address: Address;
  readonly envelope: Envelope<D>;
}
