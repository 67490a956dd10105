/** Numbers as people read them. What is not known is a dash. @module */

const UNKNOWN = "–";

export function count(value: number | undefined): string {
  if (value === undefined) return UNKNOWN;
  if (value >= 1e9) return `${trim(value / 1e9)} G`;
  if (value >= 1e6) return `${trim(value / 1e6)} M`;
  if (value >= 1e4) return `${trim(value / 1e3)} k`;
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : trim(value);
}

export function bytes(value: number | undefined): string {
  if (value === undefined) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let scaled = value;
  let unit = 0;
  while (scaled >= 1024 && unit < units.length - 1) {
    scaled /= 1024;
    unit++;
  }
  return `${unit === 0 ? scaled : trim(scaled)} ${units[unit]}`;
}

export function milliseconds(value: number | undefined): string {
  if (value === undefined) return UNKNOWN;
  if (value >= 1000) return `${trim(value / 1000)} s`;
  return `${value >= 10 ? Math.round(value) : value.toFixed(value >= 1 ? 1 : 2)} ms`;
}

export function percent(part: number | undefined): string {
  return part === undefined ? UNKNOWN : `${Math.round(part * 100)} %`;
}

/** How long ago, or how long, in the largest two units. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function date(ms: number): string {
  return new Date(ms).toLocaleString();
}

function trim(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, "");
}
