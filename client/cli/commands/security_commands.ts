/**
 * Commands of an administrator: `user`, `role`, `token` and `cert`. The first argument says what to do.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import { DEFAULT_DATABASE } from "../../../shared/cluster/databases.ts";
import { wordFields } from "../../../shared/arguments/word_fields.ts";
import {
  described,
  flag,
  oneOf,
  optional,
  positiveDuration,
  text,
} from "../../../shared/schema/fields.ts";
import type { CertificateOrder, SecurityOrder, WireGrant } from "../../../shared/wire/messages.ts";
import { type Command, type CommandContext, ownValues } from "../command/command.ts";
import type { Word } from "../command/command_line.ts";
import { EXIT } from "../command/exit_code.ts";
import { readSecret } from "../command/secrets.ts";
import { printEither } from "./operation_commands.ts";
import {
  certificateLine,
  newTokenLine,
  roleLine,
  tokenLine,
  userLine,
} from "../command/security_lines.ts";

const USER_FIELDS = {
  roles: described("The user's roles, with commas between them", optional(text)),
  password_file: described(
    "The file whose first line is the password, - for standard input; without it, it is asked for",
    optional(text),
  ),
};
const TOKEN_FIELDS = {
  user: described("Whom the token logs in", optional(text)),
  join: described(
    "What a machine becomes by it, in place of a user",
    optional(oneOf("node", "coordinator")),
  ),
  ttl_ms: described("How long it is good for", optional(positiveDuration)),
};
const CERT_FIELDS = {
  finish: described(
    "With rotate: the authorities before the one that signs are not trusted any more",
    optional(flag),
  ),
  force: described(
    "With rotate --finish: also if that shuts out members, who have no certificate of the new authority",
    optional(flag),
  ),
};

/** The rows of the table. */
export const SECURITY_COMMANDS: readonly Command[] = [
  {
    name: "user",
    arguments: [
      { name: "ACTION", about: "list, add, passwd, roles or remove" },
      { name: "NAME", optional: true },
    ],
    options: ["json", "timeoutMs"],
    own: wordFields(USER_FIELDS),
    help: "the users of a secured cluster: list, add, passwd, roles, remove",
    answers: "the users, or what was done",
    example: "user add alice --roles app --password-file alice.txt",
    run: runUser,
  },
  {
    name: "role",
    arguments: [
      { name: "ACTION", about: "list, set or remove" },
      { name: "NAME", optional: true },
      {
        name: "GRANT",
        optional: true,
        repeats: true,
        about: "read:PREFIX, write:PREFIX, read@DATABASE:PREFIX, … or admin",
      },
    ],
    options: ["json", "timeoutMs"],
    help: "the roles of a secured cluster: list, set, remove",
    answers: "the roles, or what was done",
    example: "role set app read:app: write:app:",
    run: runRole,
  },
  {
    name: "token",
    arguments: [
      { name: "ACTION", about: "list, create or revoke" },
      { name: "ID", optional: true, about: "as token list shows it" },
    ],
    options: ["json", "timeoutMs"],
    own: wordFields(TOKEN_FIELDS),
    help: "the tokens of a secured cluster: list, create, revoke",
    answers: "the tokens, or the new one, which is shown only once",
    example: "token create --join node",
    run: runToken,
  },
  {
    name: "cert",
    arguments: [
      { name: "ACTION", about: "list, revoke or rotate" },
      { name: "ID", optional: true, about: "a member's, or a serial, as cert list shows them" },
    ],
    options: ["json", "timeoutMs"],
    own: wordFields(CERT_FIELDS),
    help: "the certificates of a secured cluster's members: list, revoke, rotate",
    answers: "the certificates, or what was done",
    example: "cert revoke 5f0c6a1d93b2e874",
    run: runCert,
  },
];

async function runUser(args: readonly Word[], context: CommandContext): Promise<number> {
  const [action, name] = [args[0]?.text, args[1]?.text];
  const { roles, password_file: file }: { roles?: string; password_file?: string } = ownValues(
    "user",
    wordFields(USER_FIELDS),
    context.given,
  );
  const listed = roles === undefined ? {} : { roles: roles.split(",").filter((one) => one !== "") };
  switch (action) {
    case "list":
      return await order(context, { req_type: "user_list" }, userLine);
    case "add": {
      const user = needed("user add", "NAME", name);
      const password = await newPassword(context, file);
      return await order(
        context,
        { req_type: "user_add", user, password, ...listed },
        () => `added user ${user}`,
      );
    }
    case "passwd": {
      const user = needed("user passwd", "NAME", name);
      const password = await newPassword(context, file);
      return await order(
        context,
        { req_type: "user_change", user, password },
        () => `changed the password of user ${user}`,
      );
    }
    case "roles": {
      const user = needed("user roles", "NAME", name);
      const message = { req_type: "user_change", user, ...listed } as const;
      return await order(context, message, () => `changed the roles of user ${user}`);
    }
    case "remove": {
      const user = needed("user remove", "NAME", name);
      return await order(context, { req_type: "user_remove", user }, () => `removed user ${user}`);
    }
    default:
      throw unknownAction("user", action, "list, add, passwd, roles, remove");
  }
}

async function runRole(args: readonly Word[], context: CommandContext): Promise<number> {
  const [action, name, ...grants] = args.map(({ text }) => text);
  switch (action) {
    case "list":
      return await order(context, { req_type: "role_list" }, roleLine);
    case "set": {
      const role = needed("role set", "NAME", name);
      const message = { req_type: "role_set", role, grants: grants.map(grantFrom) } as const;
      return await order(context, message, () => `set role ${role}`);
    }
    case "remove": {
      const role = needed("role remove", "NAME", name);
      return await order(context, { req_type: "role_remove", role }, () => `removed role ${role}`);
    }
    default:
      throw unknownAction("role", action, "list, set, remove");
  }
}

async function runToken(args: readonly Word[], context: CommandContext): Promise<number> {
  const [action, id] = [args[0]?.text, args[1]?.text];
  const given = ownValues("token", wordFields(TOKEN_FIELDS), context.given);
  switch (action) {
    case "list":
      return await order(context, { req_type: "token_list" }, tokenLine);
    case "create":
      // The server says what does not fit.
      return await order(
        context,
        { req_type: "token_create", ...given } as SecurityOrder,
        newTokenLine,
      );
    case "revoke": {
      const token = needed("token revoke", "ID", id);
      return await order(
        context,
        { req_type: "token_revoke", token },
        () => `revoked token ${token}`,
      );
    }
    default:
      throw unknownAction("token", action, "list, create, revoke");
  }
}

async function runCert(args: readonly Word[], context: CommandContext): Promise<number> {
  const [action, id] = [args[0]?.text, args[1]?.text];
  const { finish, force }: { finish?: boolean; force?: boolean } = ownValues(
    "cert",
    wordFields(CERT_FIELDS),
    context.given,
  );
  switch (action) {
    case "list":
      return await order(context, { req_type: "cert_list" }, certificateLine);
    case "revoke": {
      const certificate = needed("cert revoke", "ID", id);
      const done = () => `revoked ${certificate}`;
      return await order(context, { req_type: "cert_revoke", certificate }, done);
    }
    case "rotate":
      return await order(context, {
        req_type: "cert_rotate",
        ...(finish === true ? { finish } : {}),
        ...(force === true ? { force } : {}),
      }, ({ authorities }) => `authorities that are trusted now: ${authorities}`);
    default:
      throw unknownAction("cert", action, "list, revoke, rotate");
  }
}

async function order(
  context: CommandContext,
  message: SecurityOrder | CertificateOrder,
  lineOf: (told: Readonly<Record<string, unknown>>) => string = (told) => JSON.stringify(told),
): Promise<number> {
  const { settings, signal } = context;
  const client = await context.client();
  const result = await client.administer(message, { timeoutMs: settings.timeoutMs, signal });
  const lines = Array.isArray(result) ? result : [result];
  await printEither(context, result, lines.map((line) => `${lineOf(line)}\n`).join(""));
  return EXIT.ok;
}

/** `read:app:`; the prefix may be empty, and may have colons. */
function grantFrom(word: string): WireGrant {
  const colon = word.indexOf(":");
  const [right = "", ...rest] = (colon < 0 ? word : word.slice(0, colon)).split("@");
  const database = rest.length === 0 ? DEFAULT_DATABASE : rest.join("@");
  const prefix = colon < 0 ? "" : word.slice(colon + 1);
  if (right !== "read" && right !== "write" && right !== "admin" && right !== "monitor") {
    throw new KvError(
      "bad_request",
      `role set: a grant is read:PREFIX, write:PREFIX (read@DATABASE:PREFIX for another database, read@*: for all), ` +
        `monitor or admin; got ${JSON.stringify(word)}`,
    );
  }
  return { database, prefix, right };
}

function newPassword({ io, signal }: CommandContext, file: string | undefined): Promise<string> {
  const source = { file, option: "--password-file", question: "Password", isNew: true };
  return readSecret(io, source, signal);
}

function needed(command: string, what: string, given: string | undefined): string {
  if (given !== undefined) return given;
  throw new KvError("bad_request", `${command}: required ${what}`);
}

function unknownAction(command: string, action: string | undefined, known: string): KvError {
  return new KvError(
    "bad_request",
    `${command}: required one of ${known}; got ${action ?? "nothing"}`,
  );
}
