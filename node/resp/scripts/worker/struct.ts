/**
 * `struct` of a script: values as bytes by a format, as in Redis, which has it from Roberto Ierusalimschy's library
 * (https://www.inf.puc-rio.br/~roberto/struct/). Sizes are those of C on a machine of 64 bits.
 *
 * @module
 */
import { bytesArgument, integerArgument, numberArgument } from "./lua_arguments.ts";
import { type LuaState, ScriptError } from "./lua_state.ts";
import { ByteSink } from "./reply_values.ts";

const INTEGER_BYTES_MAX = 32;
const ALIGNMENT = 8;
/** Lua's stack has room for about 8,000 values. */
const RESULTS_MAX = 7_900;

/** An element of a format. */
interface Element {
  readonly option: string;
  readonly size: number;
  readonly bigEndian: boolean;
  /** Bytes before it, so that it is where it has to be. @param at where the one before has ended */
  padding(at: number): number;
}

/** The elements of a format, with the options before each applied. @throws {ScriptError} */
function* elementsOf(format: Uint8Array, of: string): Generator<Element> {
  const text = String.fromCharCode(...endedByZero(format));
  let bigEndian = false;
  let alignment = 1;
  for (let at = 0; at < text.length;) {
    const option = text.charAt(at++);
    const digits = "!ciI".includes(option) ? /^\d*/.exec(text.slice(at, at + 12))?.[0] ?? "" : "";
    at += digits.length;
    const given = digits === "" ? undefined : Number(digits);
    if (given !== undefined && given >= 2 ** 31) throw new ScriptError("integral size overflow");
    switch (option) {
      case " ":
        continue;
      case ">":
      case "<":
        bigEndian = option === ">";
        continue;
      case "!":
        alignment = given ?? ALIGNMENT;
        if (alignment > 0 && (alignment & (alignment - 1)) === 0) continue;
        throw new ScriptError(`alignment ${alignment} is not a power of 2`);
    }
    const size = sizeOf(option, given, of);
    const step = Math.min(size, alignment);
    const padding = (at: number) =>
      step === 0 || option === "c" ? 0 : (step - (at & (step - 1))) & (step - 1);
    yield { option, size, bigEndian, padding };
  }
}

function endedByZero(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

function sizeOf(option: string, given: number | undefined, of: string): number {
  switch (option) {
    case "b":
    case "B":
    case "x":
      return 1;
    case "h":
    case "H":
      return 2;
    case "l":
    case "L":
    case "T":
    case "d":
      return 8;
    case "f":
      return 4;
    case "s":
      return 0;
    case "c":
      return given ?? 1;
    case "i":
    case "I": {
      const size = given ?? 4;
      if (size <= INTEGER_BYTES_MAX) return size;
      throw new ScriptError(
        `integral size ${size} is larger than limit of ${INTEGER_BYTES_MAX}`,
      );
    }
    default:
      throw new ScriptError(`bad argument #1 to '${of}' (invalid format option '${option}')`);
  }
}

/** `struct.pack(format, …)`. @param bytesMax of what it makes */
export function pack(state: LuaState, bytesMax: number): void {
  const sink = new ByteSink(bytesMax, "struct.pack may make");
  let argument = 2;
  for (const { option, size, bigEndian, padding } of elementsOf(formatOf(state, "pack"), "pack")) {
    sink.put(new Uint8Array(padding(sink.length)));
    switch (option) {
      case "x":
        sink.put(Uint8Array.of(0));
        break;
      case "f":
      case "d":
        sink.put(floatBytes(numberArgument(state, argument++, "pack"), size, bigEndian));
        break;
      case "c":
      case "s": {
        const bytes = bytesArgument(state, argument++, "pack");
        if (bytes.length < size) {
          throw new ScriptError(`bad argument #${argument} to 'pack' (string too short)`);
        }
        sink.put(size === 0 ? bytes : bytes.subarray(0, size));
        if (option === "s") sink.put(Uint8Array.of(0));
        break;
      }
      default:
        sink.put(integerBytes(numberArgument(state, argument++, "pack"), size, bigEndian));
    }
  }
  state.pushBytes(sink.bytes());
}

/** `struct.unpack(format, bytes [, position])`. @returns how many values it leaves: the last one is the next position */
export function unpack(state: LuaState): number {
  const format = formatOf(state, "unpack");
  const data = bytesArgument(state, 2, "unpack");
  let at = integerArgument(state, 3, "unpack", 1) - 1;
  if (at < 0) throw new ScriptError("bad argument #3 to 'unpack' (offset must be 1 or greater)");
  const found: (number | Uint8Array)[] = [];
  const check = (size: number) => {
    if (at + size <= data.length) return;
    throw new ScriptError("bad argument #2 to 'unpack' (data string too short)");
  };
  for (const { option, size: fixed, bigEndian, padding } of elementsOf(format, "unpack")) {
    let size = fixed;
    at += padding(at);
    check(size);
    if (found.length >= RESULTS_MAX) throw new ScriptError("too many results");
    switch (option) {
      case "x":
        break;
      case "f":
      case "d":
        found.push(floatOf(data.subarray(at, at + size), bigEndian));
        break;
      case "c":
        if (size === 0) {
          const length = found.pop();
          if (typeof length !== "number") {
            throw new ScriptError("format 'c0' needs a previous size");
          }
          size = Math.trunc(length);
          if (!(size >= 0)) size = Infinity;
          check(size);
        }
        found.push(data.subarray(at, at + size));
        break;
      case "s": {
        const end = data.indexOf(0, at);
        if (end < 0) throw new ScriptError("unfinished string in data");
        found.push(data.subarray(at, end));
        size = end - at + 1;
        break;
      }
      default:
        found.push(integerOf(data.subarray(at, at + size), bigEndian, /[a-z]/.test(option)));
    }
    at += size;
  }
  if (!state.reserve(found.length + 4)) throw new ScriptError("too many results");
  for (const value of found) {
    if (typeof value === "number") state.pushNumber(value);
    else state.pushBytes(value);
  }
  state.pushNumber(at + 1);
  return found.length + 1;
}

/** `struct.size(format)`. */
export function size(state: LuaState): void {
  let at = 0;
  for (const { option, size, padding } of elementsOf(formatOf(state, "size"), "size")) {
    if (option === "s") {
      throw new ScriptError("bad argument #1 to 'size' (variable-size format 's')");
    }
    if (option === "c" && size === 0) {
      throw new ScriptError("bad argument #1 to 'size' (variable-length format 'c0')");
    }
    at += padding(at) + size;
  }
  state.pushNumber(at);
}

const FORMAT_BYTES_MAX = 16_384;

function formatOf(state: LuaState, of: string): Uint8Array {
  const format = bytesArgument(state, 1, of);
  if (format.length > FORMAT_BYTES_MAX) {
    throw new ScriptError(`a format of struct may have ${FORMAT_BYTES_MAX} bytes`);
  }
  return format;
}

function inOrder(littleEndian: Uint8Array, bigEndian: boolean): Uint8Array {
  return bigEndian ? littleEndian.reverse() : littleEndian;
}

function integerBytes(value: number, size: number, bigEndian: boolean): Uint8Array {
  const bytes = new Uint8Array(size);
  let left = BigInt.asUintN(64, Number.isFinite(value) ? BigInt(Math.trunc(value)) : 0n);
  for (let i = 0; i < size; i++) {
    bytes[i] = Number(left & 0xffn);
    left >>= 8n;
  }
  return inOrder(bytes, bigEndian);
}

function integerOf(bytes: Uint8Array, bigEndian: boolean, signed: boolean): number {
  let value = 0n;
  for (const byte of bigEndian ? bytes : bytes.slice().reverse()) {
    value = BigInt.asUintN(64, value << 8n) | BigInt(byte);
  }
  const bits = Math.min(8 * bytes.length, 64);
  return Number(signed ? BigInt.asIntN(bits, value) : value);
}

function floatBytes(value: number, size: number, bigEndian: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(size));
  if (size === 4) view.setFloat32(0, value, !bigEndian);
  else view.setFloat64(0, value, !bigEndian);
  return new Uint8Array(view.buffer);
}

function floatOf(bytes: Uint8Array, bigEndian: boolean): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return bytes.length === 4 ? view.getFloat32(0, !bigEndian) : view.getFloat64(0, !bigEndian);
}
