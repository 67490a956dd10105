/**
 * Prepares what waits between MULTI and EXEC: each command becomes requests, or its result on a snapshot, or an
 * answer; and writes the answers to all of them, in order. It sends no request.
 *
 * @module
 */
import type { KeyRequest, Reply } from "../../../shared/wire/messages.ts";
import type {
  Arguments,
  Call,
  CommandRun,
  CommandSpec,
  KeyView,
  Plan,
  PlanContext,
  RequestView,
  Write,
} from "../command/command.ts";
import { thrownText } from "../command/replies.ts";
import type { RespWriter } from "../protocol/writer.ts";

/** Runs a command that answers at once. */
type RunNow = (run: CommandRun, args: Arguments) => void;

/** A queued command, prepared. */
export type Step =
  | { readonly kind: "error"; readonly text: string }
  | { readonly kind: "now"; readonly run: CommandRun; readonly args: Arguments }
  | { readonly kind: "plan"; readonly plan: Plan; readonly requests: readonly KeyRequest[] }
  | {
    readonly kind: "view";
    readonly keys: readonly string[];
    run(view: KeyView): Write;
  }
  | {
    readonly kind: "script";
    readonly keys: readonly string[];
    run(view: RequestView): Promise<Write>;
  };

/** Prepares a command; if its arguments are wrong, the mistake is its answer. */
export function readyStep(
  { run }: CommandSpec,
  args: Arguments,
  context: PlanContext,
  call: Call,
): Step {
  try {
    switch (run.kind) {
      case "plan": {
        const plan = run.plan(args, context);
        return {
          kind: "plan",
          plan,
          requests: "request" in plan ? [plan.request] : plan.requests,
        };
      }
      case "view":
        return { kind: "view", keys: run.keys(args), run: (view) => run.run(args, view) };
      case "script":
        return { kind: "script", keys: run.keys(args), run: (view) => run.run(args, view, call) };
      default:
        return { kind: "now", run, args };
    }
  } catch (error) {
    return { kind: "error", text: thrownText(error) };
  }
}

/** The keys that it concerns. */
export function keysOfStep(step: Step): readonly string[] {
  if (step.kind === "plan") return step.requests.map(({ key }) => key);
  return step.kind === "view" || step.kind === "script" ? step.keys : [];
}

/** Runs all steps on a snapshot, in order. @returns the answers if the transaction takes effect */
export async function runSteps(
  steps: readonly Step[],
  view: RequestView,
  runNow: RunNow,
): Promise<Write> {
  const writes: Write[] = [];
  for (const step of steps) {
    // Only a script takes time.
    writes.push(
      step.kind === "script" ? await runScript(step, view) : runStep(step, view, runNow),
    );
  }
  return (out) => {
    out.array(writes.length);
    for (const write of writes) write(out);
  };
}

function runStep(
  step: Exclude<Step, { kind: "script" }>,
  view: RequestView,
  runNow: RunNow,
): Write {
  switch (step.kind) {
    case "plan": {
      const replies = step.requests.map((request) => view.apply(request, true));
      return (out) => writePlan(out, step.plan, replies);
    }
    case "view":
      try {
        return step.run(view);
      } catch (error) {
        return writeThrown(error);
      }
    case "now":
      return () => runNow(step.run, step.args);
    case "error":
      return (out) => out.error(step.text);
  }
}

/** A script that fails changes nothing. */
async function runScript(
  step: Extract<Step, { kind: "script" }>,
  view: RequestView,
): Promise<Write> {
  const undo = view.savepoint();
  try {
    return await step.run(view);
  } catch (error) {
    undo();
    return writeThrown(error);
  }
}

function writeThrown(error: unknown): Write {
  const text = thrownText(error);
  return (out) => out.error(text);
}

/** The answers, from the replies to all their requests. */
export function writeSteps(
  out: RespWriter,
  steps: readonly Step[],
  replies: readonly Reply[],
  runNow: RunNow,
): void {
  out.array(steps.length);
  let at = 0;
  for (const step of steps) {
    if (step.kind === "error") out.error(step.text);
    else if (step.kind === "now") runNow(step.run, step.args);
    else if (step.kind === "plan") {
      writePlan(out, step.plan, replies.slice(at, at + step.requests.length));
      at += step.requests.length;
    }
  }
}

/** The answer of one command. */
export function writePlan(out: RespWriter, plan: Plan, replies: readonly Reply[]): void {
  const [first] = replies;
  if ("requests" in plan) plan.finishAll(out, replies);
  else if (first !== undefined) plan.finish(out, first);
}
