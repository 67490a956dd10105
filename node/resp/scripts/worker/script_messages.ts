/**
 * What the thread of the Redis front end and the thread that runs scripts (`worker/`) say to each other. Answers to the
 * questions of a script go through shared memory, since the script waits for them: a word that says whether one is
 * there, one with the length of this piece, one that says whether more follows, and the bytes.
 *
 * @module
 */

/** Words of 32 bits before the bytes. */
export const REPLY_WORDS = 3;
/** Bytes of an answer in one piece; longer ones come in several. */
export const REPLY_PIECE_BYTES = 65_536;

/** To the thread that runs scripts. */
export type ToWorker =
  | { readonly kind: "start"; readonly shared: SharedArrayBuffer }
  | {
    readonly kind: "run";
    readonly text: Uint8Array;
    readonly keys: readonly Uint8Array[];
    readonly args: readonly Uint8Array[];
    /** Of the script's own memory. */
    readonly memoryBytesMax: number;
    /** Of its answer, and of a JSON that it makes. */
    readonly replyBytesMax: number;
    /** Of a JSON that it reads: what becomes of that in between is larger. */
    readonly jsonBytesMax: number;
    /** The version of Redis that it is told. */
    readonly version: string;
  };

/** From it. */
export type FromWorker =
  | { readonly kind: "ready" }
  /** A command of the script, which waits for the reply. */
  | { readonly kind: "call"; readonly args: readonly Uint8Array[] }
  | { readonly kind: "sha1"; readonly bytes: Uint8Array }
  /** The script waits for the next piece. */
  | { readonly kind: "more" }
  /**
   * The script has ended; its answer is a reply as it goes to the client. If it has failed, that is its error; one that
   * has not may answer with an error too.
   */
  | { readonly kind: "done"; readonly reply: Uint8Array; readonly failed: boolean };
