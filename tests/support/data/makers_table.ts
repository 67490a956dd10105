/**
 * The data set of the import tests: a table of the same shape as the IEEE's public list of maker prefixes (32,530
 * rows, three of which repeat an earlier key, quoted line breaks, quotes, names that are not ASCII), computed from
 * numbers alone; and the list itself, if it is there.
 *
 * It shares no code with the import that it tests, the reading of CSV included.
 *
 * @module
 */

/** A table, and what an import must make of it. */
export interface MakersTable {
  readonly csv: string;
  readonly rows: number;
  /** The value of each key: of the last row with it, as JSON. */
  readonly values: ReadonlyMap<string, string>;
}

/** The column of the keys. */
export const KEY_COLUMN = "Assignment";

const HEADER = ["Registry", KEY_COLUMN, "Organization Name", "Organization Address"];
const ROWS = 32_530;
/** Rows that take the key of the row this many before them. */
const REPEATS = new Map([[9_001, 9_000], [20_000, 7], [32_529, 16_384]]);
/** Odd, so that multiples of it modulo 2^24 are all different. */
const SPREAD = 0x9e3779;

const NAMES = [
  (i: number) => `Maker ${i} Inc.`,
  (i: number) => `Société Générale n° ${i}, S.A.`,
  (i: number) => `"Best" Maker ${i}`,
  (i: number) => `東京電気 ${i} 株式会社`,
  (i: number) => `Maker, ${i} & Söhne 🔌`,
];

/** The table that is made. */
export function makeMakersTable(): MakersTable {
  const rows: string[][] = [];
  for (let i = 0; i < ROWS; i++) {
    const number = i - (REPEATS.get(i) ?? 0);
    const key = (number * SPREAD & 0xffffff).toString(16).toUpperCase().padStart(6, "0");
    const name = NAMES[i % 7 === 0 ? i % NAMES.length : 0]?.(i) ?? "";
    const street = i % 4_000 === 17 ? `${i} Long Road\nBuilding ${i % 9}\n` : `${i} Long Road `;
    rows.push(["MA-L", key, name, `${street}Town ${i % 997} US ${10_000 + i} `]);
  }
  const csv = [HEADER, ...rows].map((row) => row.map(quoted).join(",") + "\r\n").join("");
  return { csv, rows: rows.length, values: valuesOf(rows) };
}

/** The real list, if it is beside the project's folder; otherwise undefined. */
export async function realMakersTable(): Promise<MakersTable | undefined> {
  try {
    const csv = await Deno.readTextFile(new URL("../../../shared/data/oui.csv", import.meta.url));
    const rows = parseCsv(csv).slice(1);
    return { csv, rows: rows.length, values: valuesOf(rows) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function valuesOf(rows: readonly string[][]): Map<string, string> {
  return new Map(rows.map((row): [string, string] => {
    const object = Object.fromEntries(HEADER.map((name, i) => [name, row[i] ?? ""]));
    return [row[1] ?? "", JSON.stringify(object)];
  }));
}

function quoted(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}

/** Fields of RFC 4180, each in quotes or free of commas, quotes and line breaks. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  for (
    const [, inQuotes, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n)/g)
  ) {
    row.push(inQuotes?.replaceAll('""', '"') ?? plain ?? "");
    if (end === ",") continue;
    rows.push(row);
    row = [];
  }
  return rows;
}
