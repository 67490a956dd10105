/**
 * A text that must not be shown. Whatever writes it down by accident (JSON, a log, a
 * template) writes `***`, and an object's view in a console does not show it. Who needs the text itself says so with {@linkcode Secret.reveal}, which is easy to
 * search for.
 *
 * @module
 */

/** What is shown in its place. */
export const CONCEALED = "***";

/** Holds a password, a key or a token. */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text itself, for whoever checks it or sends it to its owner. */
  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return CONCEALED;
  }

  toJSON(): string {
    return CONCEALED;
  }
}
