/**
 * Selections of keys: the fields that commands on many keys have in the shell and over RESP, as text.
 *
 * @module
 */
import { described, flag, optional, text } from "../schema/fields.ts";

/** The fields of every such command. */
export const SELECTION_FIELDS = {
  prefix: described("Only keys that begin so", optional(text), { fallback: "all" }),
  start: described("First key, in either direction the smaller end", optional(text), {
    fallback: "the first",
  }),
  end: described("Only keys before this one", optional(text), { fallback: "behind the last" }),
};

/**
 * Whether a selection leaves no key out. A deletion must not select everything only because a variable
 * happens to be empty.
 */
export function selectsAll(
  { prefix, start, end }: {
    readonly prefix?: string | undefined;
    readonly start?: string | undefined;
    readonly end?: string | undefined;
  },
): boolean {
  return (prefix ?? "") === "" && (start ?? "") === "" && (end ?? undefined) === undefined;
}

/** Further fields of a scan, without those that differ at each front end. */
export const SCAN_ORDER_FIELDS = {
  after: described("Go on after this key, at which an earlier scan ended", optional(text), {
    fallback: "from the beginning",
  }),
  reverse: described("From the last key to the first", optional(flag)),
};
