/**
 * Replies of the Redis protocol (RESP2) as Lua values, and Lua values as replies, by the rules of
 * https://redis.io/docs/latest/develop/programmability/lua-api/#data-type-conversion.
 *
 * @module
 */
import { type LuaState, ScriptError } from "./lua_state.ts";
import { BOOLEAN, NUMBER, STRING, TABLE } from "./lua_vm.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
/** Tables within tables; a table that contains itself ends there. */
const DEPTH_MAX = 100;

/** Pushes the Lua value of a reply. @returns where the reply ends */
export function pushReply(state: LuaState, reply: Uint8Array, at = 0, depth = 0): number {
  if (depth > DEPTH_MAX || !state.reserve(4)) throw new ScriptError("a reply is too deep");
  const end = reply.indexOf(13, at);
  const line = decoder.decode(reply.subarray(at + 1, end));
  const next = end + 2;
  switch (String.fromCharCode(reply[at] ?? 0)) {
    case ":":
      state.pushNumber(Number(line));
      return next;
    case "+":
      pushField(state, "ok", line);
      return next;
    case "-":
      pushField(state, "err", line);
      return next;
    case "$": {
      const length = Number(line);
      if (length < 0) {
        state.pushBoolean(false);
        return next;
      }
      state.pushBytes(reply.subarray(next, next + length));
      return next + length + 2;
    }
    default: {
      const count = Number(line);
      if (count < 0) {
        state.pushBoolean(false);
        return next;
      }
      state.pushTable();
      let from = next;
      for (let i = 1; i <= count; i++) {
        from = pushReply(state, reply, from, depth + 1);
        state.setElement(i);
      }
      return from;
    }
  }
}

function pushField(state: LuaState, name: string, text: string): void {
  state.pushTable();
  state.pushText(text);
  state.setField(name);
}

/** The reply that is the value on top of the stack, which stays there. */
export function replyOf(state: LuaState): Uint8Array {
  const pieces: Uint8Array[] = [];
  writeValue(state, pieces, 0);
  return joined(pieces);
}

/** An error as a reply. */
export function errorReply(text: string): Uint8Array {
  return encoder.encode(`-${oneLine(text)}\r\n`);
}

function writeValue(state: LuaState, pieces: Uint8Array[], depth: number): void {
  const index = state.top;
  const put = (text: string) => void pieces.push(encoder.encode(text));
  switch (state.typeOf(index)) {
    case STRING: {
      const bytes = state.bytes(index);
      put(`$${bytes.length}\r\n`);
      pieces.push(bytes);
      return put("\r\n");
    }
    case NUMBER:
      return put(`:${integerText(state.number(index))}\r\n`);
    case BOOLEAN:
      return put(state.truth(index) ? ":1\r\n" : "$-1\r\n");
    case TABLE:
      return writeTable(state, pieces, depth, put);
    default:
      return put("$-1\r\n");
  }
}

function writeTable(
  state: LuaState,
  pieces: Uint8Array[],
  depth: number,
  put: (text: string) => void,
): void {
  const index = state.top;
  if (depth > DEPTH_MAX || !state.reserve(4)) {
    return put("-ERR reached lua stack limit\r\n");
  }
  for (const [name, mark] of [["err", "-"], ["ok", "+"]] as const) {
    state.pushField(index, name);
    const text = state.typeOf(-1) === STRING ? state.text(-1) : undefined;
    state.pop();
    if (text !== undefined) return put(`${mark}${oneLine(text)}\r\n`);
  }
  const elements: Uint8Array[] = [];
  let count = 0;
  for (;; count++) {
    state.pushElement(index, count + 1);
    const ends = state.typeOf(-1) <= 0;
    if (!ends) writeValue(state, elements, depth + 1);
    state.pop();
    if (ends) break;
  }
  put(`*${count}\r\n`);
  for (const element of elements) pieces.push(element);
}

/** An argument of a command: numbers as Redis writes them; undefined if it is neither text nor number. */
export function argumentOf(state: LuaState, index: number): Uint8Array | undefined {
  const type = state.typeOf(index);
  if (type === STRING) return state.bytes(index);
  return type === NUMBER ? encoder.encode(numberText(state.number(index), 17)) : undefined;
}

/** As C's `%.Ng`. */
export function numberText(value: number, digits: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value < 0 ? "-inf" : "inf";
  const [mantissa = "", exponent] = value.toPrecision(digits).split("e");
  const short = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
  if (exponent === undefined) return short;
  const [sign, power] = [exponent.startsWith("-") ? "-" : "+", exponent.replace(/^[+-]/, "")];
  return `${short}e${sign}${power.padStart(2, "0")}`;
}

/** A number as an integer of 64 bits; what is after the point is dropped. */
function integerText(value: number): string {
  if (Number.isNaN(value)) return "0";
  const whole = Math.trunc(value);
  if (whole >= 2 ** 63) return "9223372036854775807";
  if (whole <= -(2 ** 63)) return "-9223372036854775808";
  return BigInt(whole).toString();
}

function oneLine(text: string): string {
  return text.replace(/[\r\n]/g, " ");
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
