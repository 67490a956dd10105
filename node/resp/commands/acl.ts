/**
 * ACL: who one is, and, for administrators, who there is, in Redis' words as far as they fit: a role's grants
 * are patterns of keys with what may be done. Users are changed by the coordinator alone.
 *
 * @module
 */
import { at, textOf } from "../command/arguments.ts";
import { type Call, command, CommandError, type CommandSpec, NO_KEYS } from "../command/command.ts";
import type { JudgedDocument, User } from "../../../shared/security/security_document.ts";
import { grantsOf } from "../../../shared/security/security_document.ts";

const about = (since: string, summary: string) => ({ group: "server", since, summary });
const FLAGS = "noscript loading stale";
const ADMIN_FLAGS = "admin noscript loading stale";

/** What Redis sorts commands by, and we do too. */
const CATEGORIES = ["read", "write", "admin"];

/** Keys as patterns: `%R~app:*` may be read, `%W~` written. What a pattern means literally is escaped. */
function patternsOf(document: JudgedDocument, name: string): string[] {
  const grants = grantsOf(document, name) ?? [];
  if (grants.some(({ right }) => right === "admin")) return ["~*"];
  return grants.filter(({ right }) => right !== "monitor").map(({ right, prefix }) =>
    `%${right === "read" ? "R" : "W"}~${prefix.replace(/[\\*?[\]]/g, "\\$&")}*`
  );
}

function isAdmin(document: JudgedDocument, name: string): boolean {
  return grantsOf(document, name)?.some(({ right }) => right === "admin") === true;
}

function commandsOf(document: JudgedDocument, name: string): string {
  return isAdmin(document, name) ? "+@all" : "+@read +@write -@admin";
}

/** Of a cluster that is not secured there is Redis' one user, who may everything. */
function lineOf(document: JudgedDocument | undefined, user: User | undefined): string {
  if (document === undefined || user === undefined) return "user default on nopass ~* &* +@all";
  const { name } = user;
  const patterns = patternsOf(document, name).join(" ");
  return `user ${name} on ${patterns} ${commandsOf(document, name)}`.replace("  ", " ");
}

function list({ out, server }: Call): void {
  const document = server.access?.document;
  const users = document?.users ?? [undefined];
  out.array(users.length);
  for (const user of users) out.bulkText(lineOf(document, user));
}

function users({ out, server }: Call): void {
  const names = server.access?.document.users.map(({ name }) => name) ?? ["default"];
  out.array(names.length);
  for (const name of names) out.bulkText(name);
}

function getUser(name: string, { out, server }: Call): void {
  const document = server.access?.document;
  const isThere = document === undefined
    ? name === "default"
    : document.users.some((user) => user.name === name);
  if (!isThere) {
    out.nil();
    return;
  }
  const flags = document === undefined ? ["on", "nopass"] : ["on"];
  const patterns = document === undefined ? ["~*"] : patternsOf(document, name);
  out.map(6);
  out.bulkText("flags");
  out.array(flags.length);
  for (const flag of flags) out.bulkText(flag);
  out.bulkText("passwords");
  // Not even their hashes.
  out.array(0);
  out.bulkText("commands");
  out.bulkText(document === undefined ? "+@all" : commandsOf(document, name));
  out.bulkText("keys");
  out.bulkText(patterns.join(" "));
  out.bulkText("channels");
  out.bulkText("");
  out.bulkText("selectors");
  out.array(0);
}

const SUBCOMMANDS: readonly CommandSpec[] = [
  command("acl|whoami", 2, FLAGS, NO_KEYS, about("6.0.0", "Return the name of the user"), {
    kind: "now",
    run: (_args, { out, session }) => out.bulkText(session.login.user),
  }),
  command("acl|cat", -2, FLAGS, NO_KEYS, about("6.0.0", "List the kinds of rights"), {
    kind: "now",
    run: (args, { out, server }) => {
      if (args.length > 3) throw new CommandError("ERR syntax error");
      if (args.length === 2) {
        out.array(CATEGORIES.length);
        for (const category of CATEGORIES) out.bulkText(category);
        return;
      }
      const category = textOf(at(args, 2)).toLowerCase();
      if (!CATEGORIES.includes(category)) {
        throw new CommandError(`ERR Unknown category '${textOf(at(args, 2))}'`);
      }
      const flag = category === "read" ? "readonly" : category;
      const names = server.table.all.flatMap((spec) => [spec, ...(spec.subcommands ?? [])])
        .filter(({ flags }) => flags.includes(flag)).map(({ name }) => name);
      out.array(names.length);
      for (const name of names) out.bulkText(name);
    },
  }),
  command("acl|list", 2, ADMIN_FLAGS, NO_KEYS, about("6.0.0", "List the users and their rights"), {
    kind: "now",
    run: (_args, call) => list(call),
  }),
  command("acl|users", 2, ADMIN_FLAGS, NO_KEYS, about("6.0.0", "List the names of the users"), {
    kind: "now",
    run: (_args, call) => users(call),
  }),
  command("acl|getuser", 3, ADMIN_FLAGS, NO_KEYS, about("6.0.0", "Tell a user's rights"), {
    kind: "now",
    run: (args, call) => getUser(textOf(at(args, 2)), call),
  }),
];

/** The row. */
export const ACL_COMMANDS: readonly CommandSpec[] = [
  {
    ...command("acl", -2, "", NO_KEYS, about("6.0.0", "A container for commands about users"), {
      kind: "now",
      run: (_args, { out }) => out.error("ERR syntax error"),
    }),
    subcommands: SUBCOMMANDS,
  },
];
