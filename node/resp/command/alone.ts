/** Commands that run alone and are done later. @module */
import { KvError } from "../../../shared/base/errors.ts";
import { type Arguments, type Call, CommandError, type CommandRun } from "./command.ts";
import { thrownText } from "./replies.ts";

type AloneRun = Extract<CommandRun, { kind: "alone" }>;

/** An error that is thrown before anything has begun is answered. */
export function alone(run: (args: Arguments, call: Call, done: () => void) => void): AloneRun {
  return {
    kind: "alone",
    run: (args, call, done) => {
      try {
        run(args, call, done);
      } catch (error) {
        if (!(error instanceof CommandError) && !(error instanceof KvError)) throw error;
        call.session.answer((out) => out.error(thrownText(error)));
        done();
      }
    },
  };
}
