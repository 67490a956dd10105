/**
 * Keys are bytes; inside a process a key is a string. Bytes that are UTF-8 are the text that they stand for. Each
 * byte that is part of no valid UTF-8 is one lone surrogate, U+DC00 plus the byte, as in Python's `surrogateescape`
 * (PEP 383). Hash, order, size and storage go by the bytes.
 *
 * Invariant: one key has one string, and one string is one key: `keyOfBytes` and `bytesOfKey` are inverse to each
 * other on all byte strings, and on all strings for which `isKeyText` is true.
 *
 * @module
 */
/** The lone surrogate of byte 0 (no byte below 0x80 is ever escaped). */
const ESCAPE = 0xdc00;
const FIRST_ESCAPE = 0xdc80;
const LAST_ESCAPE = 0xdcff;

/** Lone surrogates that stand for bytes; not the second halves of pairs, since the expression reads characters. */
const ESCAPES = /[\udc80-\udcff]/gu;

const REPLACEMENT = "\ufffd";

/** Up to this length a key is converted here: what the platform's decoder costs does not depend on it. */
const SHORT_BYTES = 32;
/** So many arguments a function can be given. */
const UNITS_AT_ONCE = 4_096;

// Of the platform alone: the client for browsers has this file too.
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The string of a key's bytes, whatever they are. */
export function keyOfBytes(bytes: Uint8Array): string {
  if (bytes.length <= SHORT_BYTES) return escaped(bytes);
  const text = decoder.decode(bytes);
  // The key itself may have this character. A decoder that throws would cost more than all of this.
  return text.includes(REPLACEMENT) ? escaped(bytes) : text;
}

/** The bytes of a key. Lone surrogates that escape no byte have none: see {@linkcode isKeyText}. */
export function bytesOfKey(key: string): Uint8Array<ArrayBuffer> {
  if (key.length > SHORT_BYTES && key.isWellFormed()) return encoder.encode(key);
  const bytes = new Uint8Array(keyLength(key));
  let at = 0;
  for (let i = 0; i < key.length; i++) {
    const code = key.codePointAt(i) ?? 0;
    if (code < 0x80) {
      bytes[at++] = code;
    } else if (isEscape(code)) {
      bytes[at++] = code - ESCAPE;
    } else if (code < 0x800) {
      bytes[at++] = 0xc0 | code >> 6;
      bytes[at++] = 0x80 | code & 0x3f;
    } else if (code <= 0xffff) {
      bytes[at++] = 0xe0 | code >> 12;
      bytes[at++] = 0x80 | code >> 6 & 0x3f;
      bytes[at++] = 0x80 | code & 0x3f;
    } else {
      i++;
      bytes[at++] = 0xf0 | code >> 18;
      bytes[at++] = 0x80 | code >> 12 & 0x3f;
      bytes[at++] = 0x80 | code >> 6 & 0x3f;
      bytes[at++] = 0x80 | code & 0x3f;
    }
  }
  return bytes;
}

/** Whether a string is a key's, or a part of one at its beginning: text, with bytes that are not UTF-8 escaped. */
export function isKeyText(text: string): boolean {
  return text.isWellFormed() || keyOfBytes(bytesOfKey(text)) === text;
}

/** The string that {@linkcode keyOfBytes} gives for what a text with escapes stands for; others stay as they are. */
export function canonicalKey(text: string): string {
  if (text.isWellFormed() || !text.replace(ESCAPES, "").isWellFormed()) return text;
  return keyOfBytes(bytesOfKey(text));
}

/** The key of such a base64 text. @throws `InvalidCharacterError` */
export function keyOfBase64(text: string): string {
  return keyOfBytes(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)));
}

/** A key, or a part of one, as an address has it. @throws {URIError} if it is none */
export function percentEncoded(key: string): string {
  if (key.isWellFormed()) return encodeURIComponent(key);
  return key.split(/([\udc80-\udcff])/u).map((part, i) =>
    i % 2 === 0
      ? encodeURIComponent(part)
      : `%${(part.charCodeAt(0) - ESCAPE).toString(16).toUpperCase()}`
  ).join("");
}

/** One byte of a key; those of a character that is not ASCII become it by {@linkcode canonicalKey}. */
export function byteText(byte: number): string {
  return String.fromCharCode(byte < 0x80 ? byte : ESCAPE + byte);
}

/** How many bytes a key has. */
export function keyLength(key: string): number {
  let bytes = 0;
  for (let i = 0; i < key.length; i++) {
    const code = key.codePointAt(i) ?? 0;
    if (code > 0xffff) i++;
    bytes += code < 0x80 || isEscape(code) ? 1 : code < 0x800 ? 2 : code > 0xffff ? 4 : 3;
  }
  return bytes;
}

/** A key as a member of a JSON document that others read: as text or, if it is not UTF-8, in base64. */
export function keyField<N extends string>(
  name: N,
  key: string,
): { [K in N]?: string } & { [K in `${N}64`]?: string } {
  return (key.isWellFormed() ? { [name]: key } : { [`${name}64`]: base64OfKey(key) }) as
    & { [K in N]?: string }
    & { [K in `${N}64`]?: string };
}

/** The bytes of a key in base64. */
export function base64OfKey(key: string): string {
  return btoa(String.fromCharCode(...bytesOfKey(key)));
}

/** A key as an error or a log shows it: in quotes, with `\xff` for a byte that is not UTF-8. */
export function quotedKey(key: string): string {
  const json = JSON.stringify(key);
  if (key.isWellFormed()) return json;
  // A backslash of the key itself is two in JSON, and says nothing about what follows.
  return json.replace(/\\\\|\\udc([89a-f][0-9a-f])/g, (found, digits?: string) => {
    return digits === undefined ? found : `\\x${digits}`;
  });
}

/** A lone surrogate that stands for a byte. The second half of a pair looks the same: look at what is before it. */
export function isEscape(unit: number): boolean {
  return unit >= FIRST_ESCAPE && unit <= LAST_ESCAPE;
}

function escaped(bytes: Uint8Array): string {
  const units: number[] = [];
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const first = bytes[at] ?? 0;
    if (first < 0x80) {
      units.push(first);
      at++;
      continue;
    }
    const length = characterLength(bytes, at);
    if (length === 0) {
      units.push(ESCAPE + first);
      at++;
      continue;
    }
    // The bits of the first byte behind those that say the length, and six of each other byte.
    let code = first & 0xff >> length + 1;
    for (const end = at + length; ++at < end;) code = code << 6 | (bytes[at] ?? 0) & 0x3f;
    if (code <= 0xffff) units.push(code);
    else units.push(0xd7c0 + (code >> 10), 0xdc00 | code & 0x3ff);
    if (units.length >= UNITS_AT_ONCE) text += String.fromCharCode(...units.splice(0));
  }
  return text + String.fromCharCode.apply(null, units);
}

/** How many bytes the character at this place has; 0 if there is none (Unicode 16, table 3-7). */
function characterLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length === 0) return 0;
  const second = bytes[at + 1] ?? 0;
  const least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < least || second > most) return 0;
  for (let i = 2; i < length; i++) {
    if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0;
  }
  return length;
}
