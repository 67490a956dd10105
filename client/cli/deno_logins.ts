/**
 * What `login` and `logout` do, through Deno: connections to servers that are not known yet, and the file in which a
 * login is kept.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { askOverTls, NotVerified } from "../../shared/security/members/deno_ask.ts";
import type { CoordinatorAddress } from "../../shared/discovery/coordinator_address.ts";
import { type Address, formatAddress } from "../../shared/platform/transport.ts";
import { connectTo } from "../library/connect.ts";
import type { ClientLogin } from "../calls/call.ts";
import type { Logins, StoredLogin } from "./command/command.ts";
import { readCredentialsIfThere, removeCredentials, writeCredentials } from "./file_credentials.ts";

/** What it is given. */
export interface LoginsOptions {
  /** The file; undefined for a user without a home. */
  readonly file: string | undefined;
  readonly timeoutMs: number;
  /** The name that the cluster must have. */
  readonly clusterName: string | undefined;
  find(): Promise<CoordinatorAddress>;
}

/** The logins of this machine's user. */
export class DenoLogins implements Logins {
  readonly #options: LoginsOptions;

  constructor(options: LoginsOptions) {
    this.#options = options;
  }

  async find(): Promise<Address> {
    return (await this.#options.find()).address;
  }

  async authoritiesAt(address: Address, trusted: string | undefined): Promise<string[]> {
    const where = formatAddress(address);
    const options = trusted === undefined ? { rejectUnauthorized: false } : {
      ca: trusted,
      rejectUnauthorized: true,
      // Which machine of the cluster it is does not matter.
      checkServerIdentity: () => undefined,
    };
    const answer = await askOverTls("login", address, { req_type: "get_authorities" }, options)
      .catch((error) => {
        if (!(error instanceof NotVerified)) throw error;
        throw trusted === undefined
          ? new KvError(
            "unavailable",
            `login: ${where} is no port of a secured cluster (${error.message})`,
          )
          : new KvError(
            "unauthorized",
            `login: whoever answers at ${where} is not of this authority`,
          );
      });
    const { authorities } = (answer ?? {}) as { authorities?: unknown };
    if (Array.isArray(authorities) && authorities.length > 0 && authorities.every(isPem)) {
      return authorities;
    }
    throw new KvError("unavailable", `login: ${where} did not tell its authorities`);
  }

  async addressesOf(address: Address, login: ClientLogin): Promise<string[]> {
    const { timeoutMs, clusterName: name } = this.#options;
    const source = "login";
    const found = {
      address,
      addresses: [address],
      source,
      tried: [`${source} says ${formatAddress(address)}`],
    };
    const advice = "look whether the address is right";
    const client = await connectTo(found, [], { ...login, timeoutMs }, { name, advice });
    try {
      const { nodes } = await client.clusterMap();
      return nodes.map(({ host, port }) => formatAddress({ host, port }));
    } finally {
      await client.close();
    }
  }

  async stored(): Promise<StoredLogin | undefined> {
    const { file } = this.#options;
    const login = file === undefined ? undefined : await readCredentialsIfThere(file);
    return login?.ca === undefined ? undefined : { ...login, ca: login.ca };
  }

  async store(login: StoredLogin): Promise<string> {
    const file = this.#file();
    await writeCredentials(file, login);
    return file;
  }

  async forget(): Promise<string | undefined> {
    const file = this.#file();
    return await removeCredentials(file) ? file : undefined;
  }

  #file(): string {
    const { file } = this.#options;
    if (file !== undefined) return file;
    throw new KvError(
      "bad_config",
      "there is no place to keep a login: set HOME, or name a file with --credentials",
    );
  }
}

function isPem(value: unknown): value is string {
  return typeof value === "string" &&
    /^-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*$/.test(value);
}
