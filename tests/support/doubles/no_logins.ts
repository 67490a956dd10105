/** The logins of a session that has none. @module */
import type { Logins } from "../../../client/cli/command/command.ts";

const refuse = () => Promise.reject(new Error("no logins here"));

export const NO_LOGINS: Logins = {
  find: refuse,
  authoritiesAt: refuse,
  addressesOf: refuse,
  stored: refuse,
  store: refuse,
  forget: refuse,
};
