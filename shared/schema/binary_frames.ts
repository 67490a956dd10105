/**
 * Binary frames between the lines of a connection between nodes: the mark, the kind, the length of what follows (4 bytes,
 * big-endian), and that. No line begins with the mark, and no UTF-8 text contains it, so a frame is told from a
 * line by its first byte, and a reader that knows no frames refuses it as a line.
 *
 * Both sides agree on a version in their handshake: `hello` names the newest that its sender knows, `ack` the one that
 * is spoken. Without both, there are lines alone. What frames of each kind contain is in `node/peers/replication_frames.ts`
 * and in docs/protocol.md.
 *
 * @module
 */

/** The newest version that this code writes and reads. */
export const FRAMES_VERSION = 1;
/** The first byte of a frame. */
export const FRAME_MARK = 0xf5;
/** Mark, kind and length. */
export const FRAME_HEAD_BYTES = 6;

/** The version that two sides speak, given the newest that each knows; undefined if they speak none. */
export function agreedFrames(theirs: number | null | undefined): number | undefined {
  if (typeof theirs !== "number" || theirs < 1) return undefined;
  return Math.min(theirs, FRAMES_VERSION);
}

/** A frame to be filled behind its head. @param bodyBytes how many bytes follow the head */
export function beginFrame(kind: number, bodyBytes: number): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD_BYTES + bodyBytes);
  frame[0] = FRAME_MARK;
  frame[1] = kind;
  frame[2] = bodyBytes >>> 24;
  frame[3] = bodyBytes >>> 16;
  frame[4] = bodyBytes >>> 8;
  frame[5] = bodyBytes;
  return frame;
}

/** How long a frame is whose head is at hand, head included. */
export function frameBytes(head: Uint8Array, at = 0): number {
  const [a = 0, b = 0, c = 0, d = 0] = head.subarray(at + 2, at + FRAME_HEAD_BYTES);
  return FRAME_HEAD_BYTES + a * 2 ** 24 + (b << 16 | c << 8 | d);
}
