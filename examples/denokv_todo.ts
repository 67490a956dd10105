/**
 * A to-do list on Deno KV, as a program of one user or of many: where its data is stands in one line.
 *
 *     deno run --unstable-kv --allow-all examples/denokv_todo.ts add "buy milk"
 *     deno run --unstable-kv --allow-all examples/denokv_todo.ts list
 *     deno run --unstable-kv --allow-all examples/denokv_todo.ts done 1
 *
 * With `TODO_KV=http://127.0.0.1:9081/db/todo` (and any text in `DENO_KV_ACCESS_TOKEN`) it is on three machines. See
 * docs/recipes.md.
 *
 * @module
 */
/// <reference lib="deno.unstable" />

/** An entry of the list. */
interface Task {
  readonly text: string;
  readonly done: boolean;
}

/** Adds a task, and counts it, as one. @returns its number */
async function addTask(kv: Deno.Kv, text: string): Promise<number> {
  for (;;) {
    const last = await kv.get<number>(["last"]);
    const number = (last.value ?? 0) + 1;
    const task: Task = { text, done: false };
    // If somebody else adds a task meanwhile, the check fails, and the next number is tried.
    const added = await kv.atomic().check(last).set(["last"], number).set(["task", number], task)
      .commit();
    if (added.ok) return number;
  }
}

/** Marks a task as done. @returns whether there is such a task */
async function finishTask(kv: Deno.Kv, number: number): Promise<boolean> {
  const entry = await kv.get<Task>(["task", number]);
  if (entry.value === null) return false;
  const done = await kv.atomic().check(entry).set(entry.key, { ...entry.value, done: true })
    .commit();
  return done.ok || await finishTask(kv, number);
}

async function main([command, word = ""]: readonly string[]): Promise<number> {
  // The one line. It was: Deno.openKv("todo.sqlite")
  using kv = await Deno.openKv(Deno.env.get("TODO_KV") ?? "todo.sqlite");
  switch (command) {
    case "add":
      console.log(`task ${await addTask(kv, word)}`);
      return 0;
    case "done":
      if (await finishTask(kv, Number(word))) return 0;
      console.error(`there is no task ${word}`);
      return 1;
    case "list":
      for await (const { key, value } of kv.list<Task>({ prefix: ["task"] })) {
        console.log(`${value.done ? "[x]" : "[ ]"} ${String(key[1])} ${value.text}`);
      }
      return 0;
    default:
      console.error("usage: denokv_todo.ts add TEXT | list | done NUMBER");
      return 2;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
