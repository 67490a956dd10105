/**
 * Keyspace notifications: messages on the channels `__keyspace@N__:KEY` and `__keyevent@N__:EVENT` for what changes in
 * the whole cluster, in databases that have a number, to subscribers of this node, as far as `notify-keyspace-events` wants them. Best effort, as in
 * Redis: who is not connected is not told.
 *
 * What has changed is known, and not by which command: a value that was written is `set`, whatever wrote it; a key that
 * is gone is `del` or `expired`.
 *
 * @module
 */
import type { ChangeType } from "../../../shared/watch/watch_event.ts";
import { CommandError, type CommandSubscriptions } from "../command/command.ts";
import { keyeventChannel, keyspaceChannel } from "../command/key_channels.ts";
import { indexOfDatabase } from "../command/database_index.ts";
import {
  type DatabaseList,
  databaseNumberOf,
  databaseOfNumber,
  userKeyOf,
} from "../../../shared/cluster/databases.ts";
import type { ChangeListener, Changes } from "./changes.ts";

/** All letters that Redis knows, in the order in which CONFIG GET shows them; `A` stands for those of `ALL`. */
const LETTERS = "g$lshzxetdmnKE";
const ALL = "g$lshzxetd";

interface Event {
  readonly name: string;
  /** The class of events that it belongs to. */
  readonly letter: string;
}

const EVENTS: Readonly<Record<ChangeType, Event>> = {
  put: { name: "set", letter: "$" },
  delete: { name: "del", letter: "g" },
  expired: { name: "expired", letter: "x" },
};

const encoder = new TextEncoder();

/** See the top of this file. */
export class KeyEvents implements ChangeListener {
  readonly #changes: Changes;
  readonly #subscriptions: CommandSubscriptions;
  readonly #databases: () => DatabaseList | undefined;
  #flags = "";

  constructor(
    changes: Changes,
    subscriptions: CommandSubscriptions,
    databases: () => DatabaseList | undefined,
  ) {
    this.#changes = changes;
    this.#subscriptions = subscriptions;
    this.#databases = databases;
  }

  /** What is wanted, as CONFIG GET shows it. */
  get flags(): string {
    const flags = this.#flags;
    const isAll = [...ALL].every((letter) => flags.includes(letter));
    return isAll ? "A" + [...flags].filter((letter) => !ALL.includes(letter)).join("") : flags;
  }

  /** @throws {CommandError} for a letter that Redis does not know */
  set(text: string): void {
    const wanted = new Set([...text].flatMap((letter) => letter === "A" ? [...ALL] : [letter]));
    if (![...wanted].every((letter) => LETTERS.includes(letter))) {
      throw new CommandError("ERR Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
    }
    this.#flags = [...LETTERS].filter((letter) => wanted.has(letter)).join("");
    const tells = /[KE]/.test(this.#flags) && /[$gx]/.test(this.#flags);
    if (tells) this.#changes.add(this, () => {});
    else this.#changes.remove(this);
  }

  onChange(stored: string, type: ChangeType): void {
    const { name, letter } = EVENTS[type];
    const index = this.#indexOf(stored);
    if (index === undefined || !this.#flags.includes(letter)) return;
    const key = userKeyOf(stored);
    if (this.#flags.includes("K")) {
      const channel = keyspaceChannel(index, key);
      this.#subscriptions.deliver("channel", channel, encoder.encode(name));
    }
    if (this.#flags.includes("E")) {
      const channel = keyeventChannel(index, name);
      this.#subscriptions.deliver("channel", channel, encoder.encode(key));
    }
  }

  /** The number of a key's database; undefined if it has none, or was dropped. */
  #indexOf(stored: string): number | undefined {
    const number = databaseNumberOf(stored);
    if (number === undefined || number === 0) return number;
    const database = databaseOfNumber(this.#databases(), number);
    return database === undefined ? undefined : indexOfDatabase(database.name);
  }

  onLost(): void {
    // Best effort: there is no message for that.
  }
}
