/**
 * Fields of messages: what a received value must be, told once for the check and for the type system.
 *
 * @module
 */

import { isObject, isUint } from "./map_shape.ts";

/** A check of one field, carrying the type that it lets through. */
export interface Field<T> {
  /** What is required, for the error text. */
  readonly requires: string;
  readonly optional: boolean;
  is(value: unknown): boolean;
  /** Only for the type system. */
  readonly type?: T;
}

export function field<T>(requires: string, is: (value: unknown) => boolean): Field<T> {
  return { requires, optional: false, is };
}

export function optional<T>(of: Field<T>): Field<T | undefined> {
  return { requires: of.requires, optional: true, is: of.is };
}

export const text = field<string>("a string", (v) => typeof v === "string");
export const uint = field<number>("a whole number from 0", isUint);
export const number = field<number>("a number", (v) => typeof v === "number");
export const flag = field<boolean>("true or false", (v) => typeof v === "boolean");
export const array = <T>() => field<readonly T[]>("an array", Array.isArray);
export const object = <T>() => field<T>("an object", isObject);
export const any = field<unknown>("any JSON value", (v) => v !== undefined);

export function oneOf<const T extends string>(...names: T[]): Field<T> {
  return field<T>(
    `one of ${names.join(", ")}`,
    (v) => typeof v === "string" && (names as string[]).includes(v),
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
