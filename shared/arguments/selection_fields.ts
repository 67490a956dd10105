/**
 * Which keys: the fields by which commands on many keys say it where everything is text, in the shell
 * and over RESP alike.
 *
 * @module
 */
import { described, flag, optional, text } from "../schema/fields.ts";

/** Those of every such command. */
export const SELECTION_FIELDS = {
  prefix: described("Only keys that begin so", optional(text), { fallback: "all" }),
  start: described("First key, in either direction the smaller end", optional(text), {
    fallback: "the first",
  }),
  end: described("Only keys before this one", optional(text), { fallback: "behind the last" }),
};

/**
 * Whether a selection leaves no key out. Whoever deletes must not come to that by a variable that
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

/** Those of a scan besides, but for what a page or a listing is at each front end. */
export const SCAN_ORDER_FIELDS = {
  after: described("Go on behind this key, where another scan ended", optional(text), {
    fallback: "from the beginning",
  }),
  reverse: described("From the last key to the first", optional(flag)),
};
