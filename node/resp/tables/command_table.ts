/**
 * All commands of the Redis front end. To add one, write a row in a file of `commands/`.
 *
 * @module
 */
import type { CommandSpec } from "../command/command.ts";
import { CommandLookup } from "./command_lookup.ts";
import { ACL_COMMANDS } from "../commands/acl.ts";
import { DUMP_COMMANDS } from "../rdb/dump_commands.ts";
import { BITMAP_COMMANDS } from "../bitmaps/bit_commands.ts";
import { BIT_COMMANDS } from "../bitmaps/bits.ts";
import { CONNECTION_COMMANDS } from "../commands/connection.ts";
import { EXPIRY_COMMANDS } from "../commands/expiry.ts";
import { CLUSTER_COMMANDS } from "../topology/cluster_commands.ts";
import { SENTINEL_COMMANDS } from "../topology/sentinel_commands.ts";
import { PUBSUB_COMMANDS } from "../pubsub/pubsub_commands.ts";
import { INTROSPECTION_COMMANDS } from "../commands/introspection.ts";
import { KEY_COMMANDS } from "../commands/keys.ts";
import { COMMANDS_ACROSS_DATABASES } from "../transactions/across_databases.ts";
import { OPERATION_COMMANDS } from "../commands/operations.ts";
import { OWN_COMMANDS } from "../commands/own.ts";
import { RANGE_COMMANDS } from "../commands/ranges.ts";
import { SCAN_COMMANDS } from "../commands/scans.ts";
import { SELECTION_COMMANDS } from "../commands/selections.ts";
import { SERVER_COMMANDS } from "../commands/server.ts";
import { SCRIPT_COMMANDS } from "../scripts/script_commands.ts";
import { STRING_COMMANDS } from "../commands/strings.ts";
import { TRANSACTION_COMMANDS } from "../commands/transactions.ts";
import { WATCH_COMMANDS } from "../watch/watch_commands.ts";
import { withHelp } from "./subcommand_help.ts";

/** The commands, and their lookup. */
export interface CommandTable {
  readonly all: readonly CommandSpec[];
  readonly commands: CommandLookup;
  readonly subcommands: ReadonlyMap<CommandSpec, CommandLookup>;
}

/** The commands that Redis has. */
const REDIS_COMMANDS: readonly CommandSpec[] = [
  ...STRING_COMMANDS,
  ...RANGE_COMMANDS,
  ...BIT_COMMANDS,
  ...BITMAP_COMMANDS,
  ...DUMP_COMMANDS,
  ...KEY_COMMANDS,
  ...COMMANDS_ACROSS_DATABASES,
  ...EXPIRY_COMMANDS,
  ...SCAN_COMMANDS,
  ...CONNECTION_COMMANDS,
  ...TRANSACTION_COMMANDS,
  ...SERVER_COMMANDS,
  ...ACL_COMMANDS,
  ...INTROSPECTION_COMMANDS,
  ...PUBSUB_COMMANDS,
  ...CLUSTER_COMMANDS,
  ...SENTINEL_COMMANDS,
  ...SCRIPT_COMMANDS,
];

const ALL: readonly CommandSpec[] = [
  ...REDIS_COMMANDS,
  ...OWN_COMMANDS,
  ...OPERATION_COMMANDS,
  ...SELECTION_COMMANDS,
  ...WATCH_COMMANDS,
].map(withHelp);

export const COMMAND_TABLE: CommandTable = {
  all: ALL,
  commands: new CommandLookup(ALL),
  subcommands: new Map(
    ALL.filter(({ subcommands }) => subcommands !== undefined)
      .map((spec) => [spec, new CommandLookup(spec.subcommands ?? [])]),
  ),
};
