/**
 * Prepares what waits between MULTI and EXEC: each command becomes requests, or its result on a snapshot, or an
 * answer; and writes the answers to all of them, in order. It sends no request.
 *
 * @module
 */
import type { KeyRequest, Reply } from "../../../shared/wire/messages.ts";
import type {
  Arguments,
  CommandRun,
  CommandSpec,
  KeyView,
  Plan,
  PlanContext,
  Write,
} from "../command/command.ts";
import type { KeySnapshot } from "./key_snapshot.ts";
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
  };

/** Prepares a command; if its arguments are wrong, the mistake is its answer. */
export function readyStep(
  { run }: CommandSpec,
  args: Arguments,
  context: PlanContext,
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
  return step.kind === "view" ? step.keys : [];
}

/** Runs all steps on a snapshot. @returns the answers if the transaction takes effect */
export function runSteps(
  steps: readonly Step[],
  view: KeySnapshot,
  runNow: RunNow,
): Write {
  const writes = steps.map((step): Write => {
    switch (step.kind) {
      case "plan": {
        const replies = step.requests.map((request) => view.apply(request));
        return (out) => writePlan(out, step.plan, replies);
      }
      case "view":
        return runView(step, view);
      case "now":
        return () => runNow(step.run, step.args);
      case "error":
        return (out) => out.error(step.text);
    }
  });
  return (out) => {
    out.array(writes.length);
    for (const write of writes) write(out);
  };
}

function runView(step: Extract<Step, { kind: "view" }>, view: KeySnapshot): Write {
  try {
    return step.run(view);
  } catch (error) {
    const text = thrownText(error);
    return (out) => out.error(text);
  }
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

function writePlan(out: RespWriter, plan: Plan, replies: readonly Reply[]): void {
  const [first] = replies;
  if ("requests" in plan) plan.finishAll(out, replies);
  else if (first !== undefined) plan.finish(out, first);
}
