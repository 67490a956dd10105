/**
 * `login` and `logout`: who this user of the machine is to a secured cluster, from now on. The first time, the cluster's
 * authority is not known yet: it is shown for confirmation, or compared with what was given. A password or token is sent
 * only to a server that a trusted authority has signed.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import { wordFields } from "../../../shared/arguments/word_fields.ts";
import { parseAddress } from "../../../shared/discovery/coordinator_address.ts";
import { type Address, formatAddress } from "../../../shared/platform/transport.ts";
import { described, optional, text } from "../../../shared/schema/fields.ts";
import { fingerprintOfPem } from "../../../shared/security/authority_fingerprint.ts";
import { parseToken } from "../../../shared/security/user_token.ts";
import type { ClientLogin } from "../../calls/call.ts";
import { type Command, type CommandContext, ownValues } from "../command/command.ts";
import type { Word } from "../command/command_line.ts";
import { EXIT } from "../command/exit_code.ts";
import { openSmall, readSecret } from "../command/secrets.ts";
import { printEither } from "./operation_commands.ts";
import { isYes } from "./scan_commands.ts";

const LOGIN_FIELDS = {
  user: described("As whom; without it, it is asked for", optional(text)),
  password_file: described(
    "The file whose first line is the password, - for standard input; without it, it is asked for",
    optional(text),
  ),
  token_file: described(
    "The file with a token, - for standard input, in the place of user and password",
    optional(text),
  ),
  ca: described("The file with the authority's certificate, PEM", optional(text)),
  fingerprint: described("The SHA-256 of the authority's certificate, hexadecimal", optional(text)),
};

interface LoginFields {
  readonly user?: string;
  readonly password_file?: string;
  readonly token_file?: string;
  readonly ca?: string;
  readonly fingerprint?: string;
}

/** The rows of the table. */
export const LOGIN_COMMANDS: readonly Command[] = [
  {
    name: "login",
    arguments: [{
      name: "ADDRESS",
      optional: true,
      about: "the coordinator or any node, host:port",
    }],
    options: ["json"],
    own: wordFields(LOGIN_FIELDS),
    help: "be somebody to a secured cluster, from now on and until logout",
    answers: "the file that the login is kept in",
    example: "login 10.0.0.1 --user alice",
    run: runLogin,
  },
  {
    name: "logout",
    arguments: [],
    options: ["json"],
    help: "forget the login of this machine's user",
    run: runLogout,
  },
];

async function runLogin(args: readonly Word[], context: CommandContext): Promise<number> {
  const { logins } = context;
  const given: LoginFields = ownValues("login", wordFields(LOGIN_FIELDS), context.given);
  if (given.token_file !== undefined && (given.user ?? given.password_file) !== undefined) {
    throw new KvError("bad_request", "login: a token knows its user; give --token-file alone");
  }
  if (given.ca !== undefined && given.fingerprint !== undefined) {
    throw new KvError("bad_request", "login: give --ca or --fingerprint, not both");
  }
  const address = args[0] === undefined
    ? await logins.find()
    : parseAddress(args[0].text, "login ADDRESS");
  const token = given.token_file === undefined
    ? undefined
    : await secretOf(context, given.token_file, "--token-file", "Token");
  const trusted = await trustedAuthority(address, given, token, context);
  // From a server that is known; so the next authority is known as well while the authority is rotated.
  const ca = given.ca === undefined ? pemOf(await logins.authoritiesAt(address, trusted)) : trusted;
  const login = token === undefined ? await askWho(given, context) : { token: token.trim() };
  const addresses = await logins.addressesOf(address, { ca, ...login });
  const here = formatAddress(address);
  const file = await logins.store({
    ...login,
    ca,
    addresses: [here, ...addresses.filter((one) => one !== here)],
  });
  const who = "user" in login ? login.user : "the token's user";
  const text = `logged in at ${here} as ${who}; the login is in ${file}\n`;
  await printEither(context, { address: here, user: login.user ?? null, file }, text);
  return EXIT.ok;
}

/** The certificate (PEM) by which the cluster is known from now on. */
async function trustedAuthority(
  address: Address,
  { ca, fingerprint }: LoginFields,
  token: string | undefined,
  context: CommandContext,
): Promise<string> {
  const { logins, io, signal } = context;
  if (ca !== undefined) return await readPem(context, ca);
  const shown = await logins.authoritiesAt(address, undefined);
  const wanted = fingerprint === undefined
    ? token === undefined ? undefined : parseToken(token).fingerprint
    : parseFingerprint(fingerprint);
  if (wanted !== undefined) {
    const found = shown.find((pem) => fingerprintOfPem(pem) === wanted);
    if (found !== undefined) return found;
    throw new KvError(
      "unauthorized",
      `login: the authority at ${
        formatAddress(address)
      } is not the one with the fingerprint ${wanted} ` +
        `(it has ${
          shown.map(fingerprintOfPem).join(", ")
        }): this is another cluster, or somebody between`,
    );
  }
  const before = await logins.stored();
  if (before?.addresses.includes(formatAddress(address)) === true) {
    const ours = new Set(certificatesIn(before.ca).map(fingerprintOfPem));
    const known = shown.filter((pem) => ours.has(fingerprintOfPem(pem)));
    if (known.length > 0) return pemOf(known);
    io.note(
      "The authority is NOT the one of the last login here. Unless the cluster was made anew, or its authority " +
        "rotated, somebody stands between.",
    );
  }
  const [first = ""] = shown;
  if (io.ask === undefined) {
    throw new KvError(
      "bad_request",
      "login: the cluster's authority is not known here, and nobody can be asked: give its certificate " +
        "(--ca FILE), its --fingerprint, or a token",
    );
  }
  io.note(
    `The authority of the cluster at ${formatAddress(address)} has the SHA-256 fingerprint\n` +
      `  ${fingerprintOfPem(first)}\n` +
      "Whoever runs the cluster finds it in the log of its first start, and beside its data in ca.crt.",
  );
  if (!isYes(await io.ask("Is it the right one? (yes/no) ", signal))) {
    throw new KvError("bad_request", "login: the authority is not trusted; nothing was sent");
  }
  return first;
}

async function askWho(given: LoginFields, context: CommandContext): Promise<ClientLogin> {
  const { io, signal } = context;
  const user = given.user ?? await io.ask?.("User: ", signal);
  if (user === undefined || user === "") {
    throw new KvError("bad_request", "login: as whom? Give --user NAME, or --token-file FILE");
  }
  const password = await secretOf(context, given.password_file, "--password-file", "Password");
  return { user, password };
}

function secretOf(
  { io, signal }: CommandContext,
  file: string | undefined,
  option: string,
  question: string,
): Promise<string> {
  return readSecret(io, { file, option, question, isNew: false }, signal);
}

async function readPem({ io }: CommandContext, path: string): Promise<string> {
  let text = "";
  for await (const chunk of await openSmall(io, path)) {
    text += new TextDecoder().decode(chunk, { stream: true });
  }
  if (!text.includes("-----BEGIN CERTIFICATE-----")) {
    throw new KvError("bad_request", `login: ${path} has no certificate in PEM`);
  }
  return text;
}

/** As OpenSSL writes it, with colons, too. */
function parseFingerprint(given: string): string {
  const digits = given.replace(/^sha256[:=]/i, "").replaceAll(":", "").toLowerCase();
  if (/^[0-9a-f]{64}$/.test(digits)) return digits;
  throw new KvError("bad_request", "login: --fingerprint is 64 hexadecimal digits");
}

function certificatesIn(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
}

function pemOf(certificates: readonly string[]): string {
  return certificates.map((pem) => pem.trim() + "\n").join("");
}

async function runLogout(_: readonly Word[], context: CommandContext): Promise<number> {
  const file = await context.logins.forget();
  const text = file === undefined ? "nobody was logged in\n" : `logged out; ${file} is gone\n`;
  await printEither(context, { file: file ?? null }, text);
  return EXIT.ok;
}
