/**
 * Finds a command by the bytes of its name, in any case, without making a string of them: an open hash table
 * over the names. Immutable once made.
 *
 * @module
 */
import { isWord } from "../command/arguments.ts";
import type { CommandSpec } from "../command/command.ts";

/** Longer than any name. */
const NAME_BYTES_MAX = 64;

function hashOf(bytes: Uint8Array): number {
  let hash = bytes.length;
  // Letters of both cases give the same result; other characters may collide, and are compared anyway.
  for (let i = 0; i < bytes.length; i++) hash = (hash * 33 + ((bytes[i] ?? 0) & 0xdf)) | 0;
  return hash;
}

const encoder = new TextEncoder();

interface Named {
  readonly name: string;
  readonly spec: CommandSpec;
}

/** Commands by name. */
export class CommandLookup {
  readonly #slots: (Named | undefined)[];
  readonly #mask: number;

  constructor(specs: readonly CommandSpec[]) {
    let size = 16;
    while (size < specs.length * 4) size *= 2;
    this.#mask = size - 1;
    this.#slots = new Array(size).fill(undefined);
    for (const spec of specs) {
      const name = nameOf(spec);
      let at = hashOf(encoder.encode(name)) & this.#mask;
      while (this.#slots[at] !== undefined) at = (at + 1) & this.#mask;
      this.#slots[at] = { name, spec };
    }
  }

  find(name: Uint8Array): CommandSpec | undefined {
    if (name.length > NAME_BYTES_MAX) return undefined;
    for (let at = hashOf(name) & this.#mask;; at = (at + 1) & this.#mask) {
      const slot = this.#slots[at];
      if (slot === undefined || isWord(name, slot.name)) return slot?.spec;
    }
  }
}

/** A subcommand is looked up by its own name alone. */
function nameOf({ name }: CommandSpec): string {
  const bar = name.indexOf("|");
  return bar === -1 ? name : name.slice(bar + 1);
}
