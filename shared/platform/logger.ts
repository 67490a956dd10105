/**
 * What coordinator, node and client need of a log: an event in a few words, and named facts. `log.ts`
 * (LogTape) writes them; tests and the simulator pass in their own.
 *
 * @module
 */

/** Facts of a record, printed as `name=value` or as JSON. */
export type LogFields = Record<string, unknown>;

/** Where records are written. */
export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}
