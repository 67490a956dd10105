/**
 * What COMMAND and its subcommands return about a command, from its row, in the forms of Redis 7.
 *
 * @module
 */
import type { CommandSpec } from "./command.ts";
import type { RespWriter } from "../protocol/writer.ts";

/** Groups whose category has another name. */
const CATEGORIES: Readonly<Record<string, string>> = {
  generic: "@keyspace",
  transactions: "@transaction",
  server: "@slow",
};

/** `@read`, `@string` and so on. */
export function aclCategories({ flags, group }: CommandSpec): string[] {
  const found: string[] = [];
  if (flags.includes("write")) found.push("@write");
  if (flags.includes("readonly")) found.push("@read");
  if (flags.includes("admin")) found.push("@admin", "@dangerous");
  found.push(flags.includes("fast") ? "@fast" : "@slow");
  found.push(CATEGORIES[group] ?? `@${group}`);
  return [...new Set(found)];
}

/** One element of COMMAND's reply. */
export function writeCommandInfo(out: RespWriter, spec: CommandSpec): void {
  const [first, last, step] = spec.keys;
  out.array(10);
  out.bulkText(spec.name);
  out.integer(spec.arity);
  writeWords(out, spec.flags);
  out.integer(first);
  out.integer(last);
  out.integer(step);
  writeWords(out, aclCategories(spec));
  out.set(0);
  writeKeySpecs(out, spec);
  out.array(spec.subcommands?.length ?? 0);
  for (const subcommand of spec.subcommands ?? []) writeCommandInfo(out, subcommand);
}

function writeWords(out: RespWriter, words: readonly string[]): void {
  out.set(words.length);
  for (const word of words) out.simple(word);
}

/** Where its keys are, as a rule for programs. */
function writeKeySpecs(out: RespWriter, { keys, flags }: CommandSpec): void {
  const [first, last, step] = keys;
  if (first === 0) {
    out.set(0);
    return;
  }
  out.set(1);
  out.map(3);
  out.bulkText("flags");
  writeWords(out, flags.includes("write") ? ["RW", "UPDATE"] : ["RO", "ACCESS"]);
  out.bulkText("begin_search");
  out.map(2);
  out.bulkText("type");
  out.bulkText("index");
  out.bulkText("spec");
  out.map(1);
  out.bulkText("index");
  out.integer(first);
  out.bulkText("find_keys");
  out.map(2);
  out.bulkText("type");
  out.bulkText("range");
  out.bulkText("spec");
  out.map(3);
  out.bulkText("lastkey");
  out.integer(last < 0 ? last : last - first);
  out.bulkText("keystep");
  out.integer(step);
  out.bulkText("limit");
  out.integer(0);
}

/** A name and its document, for COMMAND DOCS. */
export function writeCommandDocs(out: RespWriter, spec: CommandSpec): void {
  const { name, summary, since, group, subcommands } = spec;
  out.bulkText(name);
  out.map(subcommands === undefined ? 3 : 4);
  out.bulkText("summary");
  out.bulkText(summary);
  out.bulkText("since");
  out.bulkText(since);
  out.bulkText("group");
  out.bulkText(group);
  if (subcommands === undefined) return;
  out.bulkText("subcommands");
  out.map(subcommands.length);
  for (const subcommand of subcommands) writeCommandDocs(out, subcommand);
}
