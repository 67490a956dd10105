/**
 * The value of a setting as it was written, with the place where it is written: for checks whose errors say where to
 * look.
 *
 * @module
 */
import { KvError } from "../base/errors.ts";
import type { Setting } from "./setting.ts";

/** Where a value came from. */
export type Source = "argument" | "flag" | "environment" | "file" | "default";

/** A value as it was written, and the name of its place for an error. */
export interface Given {
  readonly source: Source;
  readonly text: unknown;
  readonly place: string;
}

/** What is wrong with a configuration, in one line: what, where, and what to do. */
export function badConfig(text: string, cause?: unknown): KvError {
  return new KvError("bad_config", text, { cause });
}

/** The value that a text stands for. @throws {KvError} `bad_config` */
export function parseGiven(setting: Setting<unknown>, given: Given): unknown {
  if (given.text === "" && given.source === "flag") {
    throw badConfig(`${given.place} needs a value: ${setting.requires}`);
  }
  const value = setting.parse(given.text);
  if (value === undefined) {
    throw badConfig(
      `${given.place} must be ${setting.requires}; got ${JSON.stringify(given.text)}`,
    );
  }
  return value;
}

/** A setting that is given twice must be the same both times, because nothing says which one is meant. */
export function refuseOther(
  setting: Setting<unknown> | undefined,
  one: Given | undefined,
  other: Given,
) {
  if (setting === undefined || one === undefined) return;
  const meant = ({ text }: Given) => JSON.stringify(setting.parse(text) ?? text);
  if (meant(one) === meant(other)) return;
  const [first, second] = [one, other].map(({ text }) => JSON.stringify(text));
  const both = one.place === other.place
    ? `${one.place} is given twice, with ${first} and ${second}`
    : `${one.place} is ${first} and ${other.place} is ${second}, which is the same setting`;
  throw badConfig(`${both}; give it once`);
}
