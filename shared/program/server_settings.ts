/**
 * The settings of programs that serve until they are told to stop; `untilTold` of `program.ts` acts on
 * them.
 *
 * @module
 */
import { flag } from "./setting.ts";

export const SERVER_SETTINGS = {
  endWithInput: flag({
    help: "Stop cleanly when standard input ends. A parent process that holds the other end of a " +
      "pipe, as deno task up does, then leaves no process behind, however it ends itself.",
  }),
};
