/**
 * A screen: the whole terminal, drawn again and again, through Deno, for a command that is run by itself or in
 * the shell. It uses the terminal's other screen, so that what was there before is there again afterwards.
 *
 * Invariant: the terminal is as it was before when the screen ends, also if the process is told to end by a signal that
 * can be caught.
 *
 * @module
 */
import { escapeControls } from "../../shared/program/terminal.ts";
import type { Screen } from "./command/command.ts";
import { rawMode } from "./deno_keyboard.ts";

const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE_END = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";
const BOLD = "\x1b[1m";
const NORMAL = "\x1b[0m";

/** q, Q, Escape, Ctrl-C, Ctrl-D. */
const END_KEYS: ReadonlySet<number> = new Set([0x71, 0x51, 0x1b, 0x03, 0x04]);

/** Whether one of the keys that were pressed ends a screen. */
export function hasEndKey(keys: Uint8Array): boolean {
  return keys.some((key) => END_KEYS.has(key));
}

/** @param readsKeys whether nobody else reads the terminal's keys */
export function openScreen(readsKeys: boolean): Screen {
  let isOpen = true;
  const leave = () => {
    if (!isOpen) return;
    isOpen = false;
    say(LEAVE);
  };
  const restore = readsKeys ? rawMode(leave) : () => {};
  say(ENTER);
  return {
    size() {
      const { columns, rows } = Deno.consoleSize();
      // A terminal may not know how large it is.
      return { columns: columns === 0 ? 80 : columns, rows: rows === 0 ? 24 : rows };
    },
    show(lines) {
      if (!isOpen) return;
      // What other processes have said must not control the terminal.
      const shown = lines.map(({ text, strong }) => {
        const safe = escapeControls(text);
        return (strong === true ? `${BOLD}${safe}${NORMAL}` : safe) + CLEAR_LINE_END;
      });
      say(HOME + shown.join("\r\n") + CLEAR_BELOW);
    },
    ended: readsKeys ? untilEndKey() : new Promise(() => {}),
    end() {
      leave();
      restore();
    },
  };
}

async function untilEndKey(): Promise<void> {
  const buffer = new Uint8Array(64);
  for (;;) {
    const count = await Deno.stdin.read(buffer);
    if (count === null || hasEndKey(buffer.subarray(0, count))) return;
  }
}

function say(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}
