/**
 * Lines for whoever started the program. What was stored or sent by others must not control a terminal:
 * move its cursor, answer for its user, or show text in another order than it has. So what goes to a
 * terminal has its control characters escaped, here and nowhere else; a pipe or a file gets the bytes
 * as they are.
 *
 * @module
 */

/**
 * Control characters (C0, DEL, C1), format characters (bidirectional, zero width, tags), other characters
 * that show nothing, line and paragraph separators, and halves of surrogate pairs. Not line feed and tab.
 * Not the two variation selectors that choose between a sign and its picture, which is all they do.
 */
const CONTROLS =
  /(?![\n\t\ufe0e\ufe0f])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/**
 * A text with `\u001b` in place of each character that could control a terminal, or hide there. That is
 * how JSON writes them: JSON stays JSON with the same meaning, and the shell's double quotes read it back.
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
