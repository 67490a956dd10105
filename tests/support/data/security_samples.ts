/** What tests of identity and rights begin with. @module */
import type { StoredToken } from "../../../shared/security/user_token.ts";

/** Of "correct horse" and of "other horse", at a cost that tests can bear. */
export const HASH =
  "scrypt$10$8$1$AAAAAAAAAAAAAAAAAAAAAA$6T3EPrWlvRG_y8-HDJ-XRLH2SiAP9RFvuF7ZslX9Uhw";
export const OTHER_HASH =
  "scrypt$10$8$1$AAAAAAAAAAAAAAAAAAAAAA$gojIW_nWsu9uxRb1q_39Ra9xXDBbz7w1iDHx9vjuZGQ";

/** By which maps are sealed. */
export const SEAL_KEY = "5ea1".repeat(16);

/** A token of a user. */
export function tokenOf(user: string, more: Partial<StoredToken> = {}): StoredToken {
  return { id: "0123456789ab", hash: "0".repeat(64), user, madeMs: 0, untilMs: 1_000, ...more };
}
