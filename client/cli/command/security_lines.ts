/**
 * What the commands of an administrator print for people, one line for each user, role, token or certificate. With
 * `--json` the server's answer is printed as it is.
 *
 * @module
 */
import { DEFAULT_DATABASE } from "../../../shared/cluster/databases.ts";
import { dateText, keyLabel } from "./output.ts";

/** What the server tells of one of them. */
type Told = Readonly<Record<string, unknown>>;

/** `alice  roles app,reports  password` */
export function userLine(told: Told): string {
  const roles = told.roles as readonly string[];
  const listed = roles.length === 0 ? "no roles" : `roles ${roles.join(",")}`;
  return `${told.user}  ${listed}  ${told.password === true ? "password" : "tokens only"}`;
}

/** `app  read:app: write:app:` */
export function roleLine(told: Told): string {
  const grants = told.grants as readonly {
    readonly database?: string;
    readonly prefix: string;
    readonly right: string;
  }[];
  const listed = grants.map(({ database = DEFAULT_DATABASE, prefix, right }) => {
    if (right === "admin" || right === "monitor") return right;
    const of = database === DEFAULT_DATABASE ? "" : `@${database}`;
    return `${right}${of}:${keyLabel(prefix)}`;
  });
  return `${told.name}  ${listed.join(" ") || "nothing granted"}`;
}

/** `74a5f6518b5e  user alice  until 2027-02-27T21:00:00.000Z` */
export function tokenLine(told: Told): string {
  const what = told.join === undefined ? `user ${told.user}` : `joins a ${told.join}`;
  return `${told.token}  ${what}  until ${dateText(Number(told.until))}`;
}

/** The token alone, so that it can be put into a file or a variable. */
export function newTokenLine(told: Told): string {
  return String(told.text);
}

/** `node 5f0c6a1d93b2e874  serial 3f…  until 2027-02-27T21:00:00.000Z  revoked` */
export function certificateLine(told: Told): string {
  const revoked = told.revoked === true ? "  revoked" : "";
  return `${told.role} ${told.id}  serial ${told.serial}  until ${
    dateText(Number(told.until))
  }${revoked}`;
}
