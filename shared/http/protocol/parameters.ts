/**
 * Parameters of a query: what each must be, declared once for the check, the type system and the
 * OpenAPI document.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";
import { formDecoded, quoted } from "./target.ts";

/** A JSON Schema (2020-12), or a part of one. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** One parameter, carrying the type that it lets through. */
export interface Parameter<T> {
  readonly summary: string;
  readonly required: boolean;
  /** It may be given several times; `parse` gets all values, still encoded, separated by `&`. */
  readonly repeatable?: true;
  readonly schema: JsonSchema;
  /** The requirement, as it follows "must be". */
  readonly requires: string;
  /** The value, or undefined if the text is not one. */
  parse(text: string): Exclude<T, undefined> | undefined;
  /** Only for the type system. */
  readonly type?: T;
}

/** The parameters of an endpoint, by name. */
export type Parameters = Readonly<Record<string, Parameter<unknown>>>;

/** The values of the parameters. */
export type ParameterValues<P> = {
  readonly [N in keyof P]: P[N] extends Parameter<infer T> ? T : never;
};

/** The names of those that may be given several times. */
export function repeatableNames(parameters: Parameters): readonly string[] {
  return Object.keys(parameters).filter((name) => parameters[name]?.repeatable === true);
}

/** Any text, the empty one included. */
export function textParameter(summary: string): Parameter<string | undefined> {
  return {
    summary,
    required: false,
    schema: { type: "string" },
    requires: "a text",
    parse: (text) => text,
  };
}

/** Texts, one for each time that the parameter is given. */
export function textsParameter(summary: string): Parameter<readonly string[] | undefined> {
  return {
    summary,
    required: false,
    repeatable: true,
    schema: { type: "array", items: { type: "string" } },
    requires: "texts",
    parse: (text) => text.split("&").map(formDecoded),
  };
}

/** A parameter that is required. */
export function required<T>(parameter: Parameter<T | undefined>): Parameter<T> {
  return { ...parameter, required: true } as Parameter<T>;
}

/** A whole number, of a unit if one is given. */
export function uintParameter(
  summary: string,
  min: number,
  max: number,
  unit?: string,
): Parameter<number | undefined> {
  return {
    summary,
    required: false,
    schema: { type: "integer", minimum: min, maximum: max },
    requires: `a whole number${unit === undefined ? "" : ` of ${unit}`} from ${min} to ${max}`,
    parse(text) {
      if (!/^[0-9]{1,16}$/.test(text)) return undefined;
      const value = Number(text);
      return value >= min && value <= max ? value : undefined;
    },
  };
}

/** One of a few words. */
export function choiceParameter<const C extends string>(
  summary: string,
  ...choices: C[]
): Parameter<C | undefined> {
  return {
    summary,
    required: false,
    schema: { type: "string", enum: choices },
    requires: `one of ${choices.join(", ")}`,
    parse: (text) => choices.find((choice) => choice === text),
  };
}

/** `true` or `false`; the name alone is `true`. */
export function flagParameter(summary: string): Parameter<boolean | undefined> {
  return {
    summary,
    required: false,
    schema: { type: "boolean" },
    requires: "true or false",
    parse: (text) => text === "" || text === "true" ? true : text === "false" ? false : undefined,
  };
}

/**
 * Reads the parameters of a request. A parameter that the endpoint does not know is refused, because a
 * misspelt `prefix` must not extend a request to everything.
 *
 * @throws {KvError} `bad_request`
 */
export function readParameters<P extends Parameters>(
  known: P,
  given: ReadonlyMap<string, string>,
): ParameterValues<P> {
  const values: Record<string, unknown> = {};
  for (const [name, text] of given) {
    const parameter = Object.hasOwn(known, name) ? known[name] : undefined;
    if (parameter === undefined) {
      const names = Object.keys(known).join(", ");
      throw new KvError(
        "bad_request",
        `there is no parameter ${quoted(name)} here; ${
          names === "" ? "none is known" : `known: ${names}`
        }`,
      );
    }
    const value = parameter.parse(text);
    if (value === undefined) {
      throw new KvError("bad_request", `"${name}" must be ${parameter.requires}`);
    }
    values[name] = value;
  }
  for (const [name, parameter] of Object.entries(known)) {
    if (parameter.required && values[name] === undefined) {
      throw new KvError("bad_request", `the parameter "${name}" is missing`);
    }
  }
  return values as ParameterValues<P>;
}
