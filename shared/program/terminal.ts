/**
 * Lines for the person who started the program. Data that others stored or sent must not control a
 * terminal: it must not move the cursor, answer for the user, or show text in another order than it has.
 * So control characters are escaped in everything that goes to a terminal, here and nowhere else. A pipe
 * or a file gets the bytes unchanged.
 *
 * @module
 */

/**
 * Control characters (C0, DEL, C1), format characters (bidirectional, zero width, tags), other characters
 * that show nothing, line and paragraph separators, and halves of surrogate pairs. Not line feed and tab.
 * The two variation selectors that choose between a sign and its picture are allowed: they do nothing else.
 */
const CONTROLS =
  /(?![\n\t\ufe0e\ufe0f])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/**
 * A text with `\u001b` instead of each character that could control a terminal, or hide there. JSON
 * escapes them the same way: JSON stays JSON with the same meaning, and the shell's double quotes read it back.
 */
export function escapeControls(text: string): string {
  return text.replace(CONTROLS, (character) => {
    let escaped = "";
    for (let i = 0; i < character.length; i++) {
      escaped += `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`;
    }
    return escaped;
  });
}

/** Writes a line to standard output. */
export function printLine(text: string): void {
  console.log(Deno.stdout.isTerminal() ? escapeControls(text) : text);
}

/** Writes a line to standard error. */
export function printError(text: string): void {
  console.error(Deno.stderr.isTerminal() ? escapeControls(text) : text);
}
