/**
 * The commands of a script (`redis.call`): each is carried out on the snapshot of the keys that the script has declared,
 * and answers at once. What they write takes effect when the script has ended, all of it or nothing.
 *
 * @module
 */
import {
  type Arguments,
  type Call,
  CommandError,
  type CommandSpec,
  type RequestView,
} from "../command/command.ts";
import { thrownText } from "../command/replies.ts";
import { RespWriter } from "../protocol/writer.ts";
import { keysOfStep, readyStep, writePlan } from "../transactions/transaction_steps.ts";

/** Commands that answer without any key. */
const KEYLESS: ReadonlySet<string> = new Set(["ping", "echo", "time"]);

/** What a script may do. */
export interface ScriptRights {
  /** The keys that it has declared. */
  readonly keys: ReadonlySet<string>;
  /** Whether it may write. */
  readonly writes: boolean;
}

/** Carries a command out on the snapshot. @returns its reply, as RESP2 has it */
export function callOnView(
  args: Arguments,
  view: RequestView,
  call: Call,
  rights: ScriptRights,
): Uint8Array {
  const out = new RespWriter();
  try {
    run(args, view, { ...call, out }, rights);
  } catch (error) {
    out.truncate(0);
    out.error(thrownText(error));
  }
  return out.take();
}

function run(args: Arguments, view: RequestView, call: Call, rights: ScriptRights): void {
  const spec = find(args, call);
  const { out, session, server } = call;
  const refusal = session.login.whyRefused(spec, session.database.prefix);
  if (refusal !== undefined) throw new CommandError(refusal);
  if (spec.run.kind === "now" && KEYLESS.has(spec.name)) return spec.run.run(args, call);
  if (!rights.writes && spec.flags.includes("write")) {
    throw new CommandError("ERR Write commands are not allowed from read-only scripts.");
  }
  const step = readyStep(spec, args, server, call);
  if (step.kind === "error") throw new CommandError(step.text);
  if (step.kind === "now" || step.kind === "script") {
    throw new CommandError("ERR This Redis command is not allowed from script");
  }
  for (const key of keysOfStep(step)) {
    if (rights.keys.has(key)) continue;
    throw new CommandError(
      "ERR Script attempted to access a non local key: it must be among the KEYS of the script",
    );
  }
  if (step.kind === "view") step.run(view)(out);
  else writePlan(out, step.plan, step.requests.map((request) => view.apply(request, false)));
}

function find(args: Arguments, { server }: Call): CommandSpec {
  const [name, second] = args;
  const { commands, subcommands } = server.table;
  let spec = name && commands.find(name);
  if (spec?.subcommands !== undefined && second !== undefined) {
    spec = subcommands.get(spec)?.find(second);
  }
  if (spec === undefined) throw new CommandError("ERR Unknown Redis command called from script");
  const { arity } = spec;
  if (arity > 0 ? args.length !== arity : args.length < -arity) {
    throw new CommandError("ERR Wrong number of args calling Redis command from script");
  }
  return spec;
}
