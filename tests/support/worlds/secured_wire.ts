/**
 * The JSON wire of a secured process in memory, as a coordinator and a node are tested alike: users, the document's store
 * and audit log, and clients whose answers a test waits for.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { ErrorCode } from "../../../shared/base/errors.ts";
import { SystemRandom } from "../../../shared/platform/random.ts";
import type { Address, Stream } from "../../../shared/platform/transport.ts";
import { AuditLog } from "../../../shared/security/audit_log.ts";
import { createAuthority } from "../../../shared/security/certificate_authority.ts";
import { PasswordHasher } from "../../../shared/security/login/password.ts";
import {
  addUser,
  newSecurityDocument,
  type SecurityDocument,
  setRole,
} from "../../../shared/security/security_document.ts";
import { SecurityKeeper } from "../../../shared/security/security_keeper.ts";
import { Connection } from "../../../shared/wire/connection.ts";
import { type Message, MESSAGES, type MessageType } from "../../../shared/wire/messages.ts";
import { HASH, OTHER_HASH, SEAL_KEY } from "../data/security_samples.ts";
import { ManualClock } from "../doubles/manual_clock.ts";
import { MemoryDocumentStore } from "../doubles/memory_document_store.ts";
import { MemoryNetwork } from "../doubles/memory_transport.ts";

export const ROOT = { user: "root", secret: "other horse" };
export const ALICE = { user: "alice", secret: "correct horse" };

/** `root` may administer; `alice` has these rights on what begins with `app:`. */
export async function securedDocument(
  rights: readonly ("read" | "write")[] = ["read", "write"],
): Promise<SecurityDocument> {
  const { certificate, key } = await createAuthority("kv", Date.UTC(2026, 0, 1));
  const authority = { certificate, key: key.reveal(), sealKey: SEAL_KEY };
  const first = newSecurityDocument(authority, { name: "root", passwordHash: OTHER_HASH });
  const grants = rights.map((right) => ({ database: "default", prefix: "app:", right }));
  const withRole = setRole(first, { name: "app", grants });
  return addUser(withRole, { name: "alice", passwordHash: HASH, roles: ["app"] });
}

/** One client's connection, message by message. */
export class WireClient {
  closed = false;
  readonly #world: SecuredWire;
  readonly #connection: Connection;
  readonly #answers = new Map<unknown, Message>();
  #next = 1;

  constructor(world: SecuredWire, stream: Stream) {
    this.#world = world;
    this.#connection = new Connection(stream, world.clock, {
      onMessage: (message) => this.#answers.set(message.id, message),
      onInvalid: () => {},
      onClose: () => this.closed = true,
    });
  }

  /** The answer to a message; hashes are computed in real time. */
  async ask(message: object): Promise<Message> {
    const id = this.#next++;
    this.#connection.sendText(JSON.stringify({ ...message, id }));
    return await this.#world.until(() => this.#answers.get(id));
  }

  async logIn(credentials: object): Promise<Message> {
    return await this.ask({ req_type: "hello", protocol: 1, role: "client", ...credentials });
  }

  async code(message: object): Promise<ErrorCode | "none"> {
    const answer = await this.ask(message);
    return answer.req_type === "error" ? answer.code as ErrorCode : "none";
  }

  async result(message: object): Promise<unknown> {
    const answer = await this.ask(message);
    assert(answer.req_type === "result", JSON.stringify(answer));
    return answer.result;
  }
}

/** Clock, network and disk of one secured process. */
export class SecuredWire {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock, { delayMs: 1 });
  readonly store = new MemoryDocumentStore();
  /** The audit log. */
  readonly audit: string[] = [];
  readonly auditLog = new AuditLog(this.clock, (line) => this.audit.push(line));
  readonly #address: Address;

  /** @param address of the process */
  constructor(address: Address) {
    this.#address = address;
  }

  /** Keeps the document, which is on disk when this returns. */
  keeperOf(document: SecurityDocument): SecurityKeeper {
    const { clock, store, auditLog: audit } = this;
    store.text = JSON.stringify(document);
    return new SecurityKeeper({
      clock,
      random: new SystemRandom(),
      hasher: new PasswordHasher(),
      audit,
      write: (changed) => store.write(changed),
    }, document);
  }

  async until<T>(look: () => T | undefined): Promise<T> {
    for (;;) {
      await this.clock.run(5);
      const found = look();
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** @param credentials to log in with */
  async connect(credentials?: object, host = "client"): Promise<WireClient> {
    const transport = this.network.transport(host);
    let stream: Stream | undefined;
    transport.connect(this.#address, 1_000, (opened) => stream = opened, () => {});
    const client = new WireClient(this, await this.until(() => stream));
    if (credentials !== undefined) {
      assertEquals((await client.logIn(credentials)).req_type, "ack");
    }
    return client;
  }

  /** The document as it is on disk. */
  get stored(): SecurityDocument {
    return JSON.parse(this.store.text ?? "{}");
  }
}

/** A message with all fields that it must have, of values that pass for some. */
export function sampleOf(req_type: string): object {
  const samples: Record<string, unknown> = {
    key: "app:1",
    partition: 1,
    requests: [],
    user: "alice",
    role: "app",
    grants: [],
    token: "0".repeat(12),
    node: "n",
    protocol: 1,
    prefix: "",
    certificate: "n1",
  };
  const { fields } = MESSAGES[req_type as MessageType];
  const needed = Object.entries(fields as Record<string, { optional: boolean }>)
    .filter(([, { optional }]) => !optional).map(([name]) => [name, samples[name]]);
  return { req_type, ...Object.fromEntries(needed) };
}
