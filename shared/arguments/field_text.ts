/**
 * Fields as people write them: a word of a shell's line, of a RESP command or of a query, converted to
 * the value on the wire. Pure; it knows nothing of operations.
 *
 * Invariant: what is read passes the field's own check.
 *
 * @module
 */
import { parseBoundedJson } from "../schema/bounded_json.ts";
import type { Field } from "../schema/fields.ts";

/** The value that a word stands for, or undefined if the field has no such value. */
export function parseField(field: Field<unknown>, word: string): unknown {
  const value = readForm(field, word);
  return value !== undefined && field.is(value) ? value : undefined;
}

function readForm({ form, choices }: Field<unknown>, word: string): unknown {
  switch (form) {
    case "text":
      return word;
    case "uint":
      return readWhole(word);
    case "number":
      return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(word) ? Number(word) : undefined;
    case "flag":
      return /^(true|1)$/i.test(word) ? true : /^(false|0)$/i.test(word) ? false : undefined;
    case "choice":
      return choices.find((choice) => choice === word.toLowerCase());
    case "duration":
      return readWhole(word) ?? parseDuration(word);
    case "date":
      return readWhole(word) ?? parseDate(word);
    case "document":
      return readJson(word);
  }
}

/**
 * What a word must be, as it follows "must be".
 *
 * @param unitRequired for a time: whether a number without a unit is refused
 * @param given the refused word, if there is one
 */
export function wordRequires(
  field: Field<unknown>,
  unitRequired = false,
  given?: string,
): string {
  switch (field.form) {
    case "duration": {
      const whole = unitRequired ? undefined : readWhole(given ?? "");
      const ms = whole ?? readDuration(given ?? "");
      if (ms === 0) return "more than 0";
      if (ms !== undefined && !Number.isSafeInteger(ms)) return `at most ${DAYS_MAX}d`;
      return unitRequired
        ? "a time with its unit, such as 10m, 1h30m or 500ms"
        : "a time such as 10m, 1h30m or 500ms, or a number of milliseconds";
    }
    case "date":
      return "a date such as 2030-01-31T12:00:00Z, or milliseconds since 1970";
    case "document":
      return `${field.requires}, as JSON`;
    default:
      return field.requires;
  }
}

/** How a field's word is shown in a pattern: `TEXT`, `N`, `strong|replica|cached`. */
export function wordPlaceholder(field: Field<unknown>): string {
  switch (field.form) {
    case "text":
      return "TEXT";
    case "uint":
    case "number":
      return "N";
    case "flag":
      return "";
    case "choice":
      return field.choices.join("|");
    case "duration":
      return "TIME";
    case "date":
      return "DATE";
    case "document":
      return "JSON";
  }
}

function readWhole(word: string): number | undefined {
  if (!/^\d{1,16}$/.test(word)) return undefined;
  const value = Number(word);
  return Number.isSafeInteger(value) ? value : undefined;
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/**
 * Milliseconds of `10m`, `1h30m`, `1.5d`: numbers with a unit each (`w`, `d`, `h`, `m`, `s`, `ms`), from
 * the largest to the smallest. Undefined for anything else, including a number without a unit.
 */
export function parseDuration(word: string): number | undefined {
  const ms = readDuration(word);
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** The same; for a time that is too long it returns a number that is not a safe integer. */
function readDuration(word: string): number | undefined {
  if (word.length > 64 || !/^(\d+(\.\d+)?(ms|[smhdw]))+$/.test(word)) return undefined;
  let total = 0;
  let last = Infinity;
  for (const [, digits = "", unit = ""] of word.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g)) {
    const unitMs = UNIT_MS[unit] ?? NaN;
    if (!(unitMs < last)) return undefined;
    last = unitMs;
    total += Number(digits) * unitMs;
  }
  return Math.round(total);
}

const DAYS_MAX = Math.floor(Number.MAX_SAFE_INTEGER / 86_400_000);

/**
 * Milliseconds since 1970 of `2030-01-31` (the beginning of that day, UTC) or of a date with time and
 * zone, `2030-01-31T12:00:00Z`, `2030-01-31T12:00+01:00`. A time without a zone means something else on
 * each machine, and is refused.
 */
export function parseDate(word: string): number | undefined {
  const form = /^(\d{4})-(\d\d)-(\d\d)(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[-+]\d\d:\d\d))?$/i;
  const [, year = "", month = "", day = ""] = form.exec(word) ?? [];
  if (year === "") return undefined;
  const at = Date.parse(word.toUpperCase());
  // The platform reads the 31st of February as the 3rd of March.
  const daysOfMonth = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate();
  return Number.isSafeInteger(at) && at >= 0 && Number(day) <= daysOfMonth ? at : undefined;
}

/** A duration in the largest units that say it exactly: `1h 30m`. */
export function formatDuration(ms: number): string {
  let rest = Math.max(0, Math.round(ms));
  const parts: string[] = [];
  for (const unit of ["d", "h", "m", "s", "ms"]) {
    const unitMs = UNIT_MS[unit] ?? 1;
    const count = Math.floor(rest / unitMs);
    if (count > 0) parts.push(`${count}${unit}`);
    rest -= count * unitMs;
  }
  return parts.length === 0 ? "0ms" : parts.join(" ");
}

function readJson(word: string): unknown {
  try {
    return parseBoundedJson(word);
  } catch {
    return undefined;
  }
}
