/**
 * One log record as one line: for people, `12:34:56.789 warn  node  lease lost ms=1500`, or as JSON.
 * Never throws, whatever the fields hold.
 *
 * @module
 */
import type { LogFields } from "../platform/logger.ts";
import { escapeControls } from "./terminal.ts";

/** The levels, from the least to the most important. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

/** How important a record is. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A record, before it is text. */
export interface LogRecord {
  readonly timeMs: number;
  readonly level: LogLevel;
  readonly category: string;
  readonly event: string;
  readonly fields: LogFields;
}

const COLOURS: Readonly<Record<LogLevel, string>> = {
  debug: "\x1b[2m",
  info: "",
  warn: "\x1b[33m",
  error: "\x1b[31m",
};
const RESET = "\x1b[0m";

/** A line for people, without the line feed. */
export function textLine(record: LogRecord, colour: boolean): string {
  const time = new Date(record.timeMs).toISOString().slice(11, 23);
  const fields = Object.entries(record.fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${fieldText(value)}`)
    .join("");
  const paint = colour ? COLOURS[record.level] : "";
  const level = record.level.padEnd(5);
  return `${time} ${paint}${level}${paint && RESET} ${record.category}  ${
    oneLine(record.event)
  }${fields}`;
}

/** A line for machines, without the line feed. Fields cannot hide the record's own names. */
export function jsonLine(record: LogRecord): string {
  const own = {
    time: new Date(record.timeMs).toISOString(),
    level: record.level,
    category: record.category,
    event: record.event,
  };
  return escapeControls(toJson({ ...own, ...record.fields, ...own }));
}

function fieldText(value: unknown): string {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  const isWord = typeof value === "string" && /^[^\s"=\p{Cc}]+$/u.test(value);
  return escapeControls(isWord ? value : toJson(value));
}

function oneLine(text: string): string {
  return escapeControls(text.replace(/\p{Cc}+/gu, " "));
}

function toJson(value: unknown): string {
  try {
    return JSON.stringify(value, plain) ?? String(value);
  } catch {
    // A cycle, or a getter that throws.
    return JSON.stringify(Object.prototype.toString.call(value));
  }
}

/** Converts values that JSON cannot represent. */
function plain(_name: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Error) {
    const code = "code" in value ? { code: value.code } : {};
    const cause = value.cause === undefined ? {} : { cause: value.cause };
    return { error: value.name, ...code, message: value.message, ...cause };
  }
  if (value instanceof Map || value instanceof Set) return [...value];
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return value;
}
