/** MULTI, EXEC, DISCARD, WATCH, UNWATCH: see `transaction.ts`. @module */
import { keyOf } from "../command/arguments.ts";
import { ALL_KEYS, command, CommandError, type CommandSpec, NO_KEYS } from "../command/command.ts";

const about = (since: string, summary: string) => ({ group: "transactions", since, summary });

const unwatchQueued = command(
  "unwatch",
  1,
  "noscript loading stale fast allow_busy",
  NO_KEYS,
  about("2.2.0", "Forget about all watched keys"),
  { kind: "now", run: (_args, { out }) => out.ok() },
);

/** The rows. */
export const TRANSACTION_COMMANDS: readonly CommandSpec[] = [
  command(
    "multi",
    1,
    "noscript loading stale fast allow_busy",
    NO_KEYS,
    about("1.2.0", "Mark the start of a transaction block"),
    { kind: "frame", run: (_args, { transaction }) => transaction.multi() },
  ),
  command(
    "exec",
    1,
    "noscript loading stale skip_slowlog",
    NO_KEYS,
    about("1.2.0", "Execute all commands issued after MULTI"),
    { kind: "frame", run: (_args, { transaction }) => transaction.exec() },
  ),
  command(
    "discard",
    1,
    "noscript loading stale fast allow_busy",
    NO_KEYS,
    about("2.0.0", "Discard all commands issued after MULTI"),
    { kind: "frame", run: (_args, { transaction }) => transaction.discard() },
  ),
  command(
    "watch",
    -2,
    "noscript loading stale fast allow_busy",
    ALL_KEYS,
    about("2.2.0", "Watch the given keys to determine execution of the MULTI/EXEC block"),
    {
      kind: "frame",
      run: (args, { transaction, refuse }) => {
        let keys: string[];
        try {
          keys = args.slice(1).map(keyOf);
        } catch (error) {
          if (!(error instanceof CommandError)) throw error;
          refuse(error.message);
          return;
        }
        transaction.watch(keys);
      },
    },
  ),
  {
    ...unwatchQueued,
    run: {
      kind: "frame",
      run: (args, session) => {
        if (session.transaction.open) {
          session.transaction.queue(unwatchQueued, args);
          return;
        }
        session.transaction.unwatch();
        session.answerInTurn((out) => out.ok());
      },
    },
  },
];
