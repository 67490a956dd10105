/**
 * Fields of messages: what a received value must be, declared once for the check and the type system.
 *
 * @module
 */
import type { Entry } from "../base/entry.ts";
import { CONTENT_TYPE_CHARACTERS_MAX } from "../limits/wire.ts";
import { isMediaType, isObject, isUint } from "../cluster/map_shape.ts";

/**
 * How a field is written if everything is text (a shell, RESP, a query). `duration` and `date` are whole
 * numbers of milliseconds that people write as `10m` and `2030-01-31T12:00:00Z`; `document` is JSON. See
 * `field_text.ts`.
 */
export type FieldForm =
  | "text"
  | "uint"
  | "number"
  | "flag"
  | "choice"
  | "duration"
  | "date"
  | "document";

/** The description of a field for people. */
export interface FieldAbout {
  /** One line, beginning with a capital, without a full stop. */
  readonly summary: string;
  readonly unit?: string;
  /** The value that applies if the field is absent. */
  readonly fallback?: string;
  /**
   * Which front ends offer it: `people`, all of them (the default); `programs`, all but the shell;
   * `servers`, only the JSON wire.
   */
  readonly audience?: "people" | "programs" | "servers";
}

/** A check of one field, carrying the type that it lets through. */
export interface Field<T> {
  /** What is required, for the error text. */
  readonly requires: string;
  readonly optional: boolean;
  readonly form: FieldForm;
  /** The words of a `choice`. */
  readonly choices: readonly string[];
  readonly about: FieldAbout | undefined;
  /** Used within one process only, so it is in no document. */
  readonly local?: true;
  /** A key, or a part of one. A message may have it in base64, under its name with `64` behind it. */
  readonly isKey?: true;
  is(value: unknown): boolean;
  /** Only for the type system. */
  readonly type?: T;
}

export function field<T>(
  requires: string,
  is: (value: unknown) => boolean,
  form: FieldForm = "document",
  choices: readonly string[] = [],
): Field<T> {
  return { requires, optional: false, form, choices, about: undefined, is };
}

export function optional<T>(of: Field<T>): Field<T | undefined> {
  return { ...of, optional: true } as Field<T | undefined>;
}

/** The field, with its description for people. */
export function described<T>(
  summary: string,
  of: Field<T>,
  more: Omit<FieldAbout, "summary"> = {},
): Field<T> {
  return { ...of, about: { summary, ...more } };
}

function isPositive(value: unknown): boolean {
  return isUint(value) && value > 0;
}

export const text = field<string>("a string", (v) => typeof v === "string", "text");
/** A key, or a part of one: see `base/key_text.ts`. Whether the string is one is for the checks of requests. */
export const keyText: Field<string> = { ...text, isKey: true };
/** A number in decimal text. A JSON number is refused with the reason. */
export const numberText = field<string>(
  'a string, as in "5": a number of JSON cannot hold every one',
  (v) => typeof v === "string",
  "text",
);
export const uint = field<number>("a whole number from 0", isUint, "uint");
export const number = field<number>("a number", (v) => typeof v === "number", "number");
export const flag = field<boolean>("true or false", (v) => typeof v === "boolean", "flag");
/** A duration in milliseconds. */
export const duration = field<number>("a whole number from 0", isUint, "duration");
/** A duration for which zero would be a mistake: a key cannot live for no time. */
export const positiveDuration = field<number>("a whole number from 1", isPositive, "duration");
/** A number for which zero would be a mistake. */
export const positiveUint = field<number>("a whole number from 1", isPositive, "uint");
/** A moment, in milliseconds since 1970-01-01 UTC. */
export const date = field<number>("a whole number from 0", isUint, "date");
export const array = <T>() => field<readonly T[]>("an array", Array.isArray);
export const object = <T>() => field<T>("an object", isObject);
/** Never on the wire: it travels between parts of one process, and is encoded when it leaves it. */
const local = {
  requires: "absent: it is not for the wire",
  optional: true,
  form: "document",
  choices: [],
  local: true,
} as const;
export const localBytes: Field<Uint8Array | undefined> = {
  ...local,
  about: { summary: "The value, inside a process", audience: "servers" },
  is: (value) => value instanceof Uint8Array,
};
/** As {@linkcode localBytes}, for a page. */
export const localEntries: Field<readonly Entry[] | undefined> = {
  ...local,
  about: { summary: "The entries, inside a process", audience: "servers" },
  is: Array.isArray,
};
/** A media type that is short and may stand in a header. */
export const mediaType = field<string>(
  `a media type such as "text/plain", at most ${CONTENT_TYPE_CHARACTERS_MAX} ASCII characters`,
  isMediaType,
  "text",
);
export const any = field<unknown>("any JSON value", (v) => v !== undefined);

export function oneOf<const T extends string>(...names: T[]): Field<T> {
  return field<T>(
    `one of ${names.join(", ")}`,
    (v) => typeof v === "string" && (names as string[]).includes(v),
    "choice",
    names,
  );
}

/** The fields of a message, by name. */
export type Fields = Readonly<Record<string, Field<unknown>>>;

/** What a field lets through. */
export type FieldValue<F> = F extends Field<infer T> ? T : never;

/** The names of the fields that may be absent. */
export type OptionalNames<F> = {
  [N in keyof F]: undefined extends FieldValue<F[N]> ? N : never;
}[keyof F];

/** An object with these fields. */
export type FieldsObject<F> =
  & { [N in Exclude<keyof F, OptionalNames<F>>]: FieldValue<F[N]> }
  & { [N in Extract<keyof F, OptionalNames<F>>]?: FieldValue<F[N]> };
