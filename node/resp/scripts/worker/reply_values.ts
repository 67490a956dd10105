/**
 * Replies of the Redis protocol (RESP2) as Lua values, and Lua values as replies, by the rules of
 * https://redis.io/docs/latest/develop/programmability/lua-api/#data-type-conversion.
 *
 * @module
 */
import { type LuaState, ScriptError } from "./lua_state.ts";
import { BOOLEAN, NIL, NUMBER, STRING, TABLE } from "./lua_vm.ts";

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

/**
 * The reply that is the value on top of the stack, which stays there.
 *
 * @throws {ScriptError} if it is too long: tables may have the same table many times
 */
export function replyOf(state: LuaState, bytesMax: number): Uint8Array {
  const sink = new ByteSink(bytesMax);
  writeValue(state, sink, 0);
  return sink.bytes();
}

/** An error as a reply. */
export function errorReply(text: string): Uint8Array {
  return encoder.encode(`-${oneLine(text)}\r\n`);
}

/** Bytes that grow up to a bound. */
export class ByteSink {
  readonly #max: number;
  readonly #what: string;
  #bytes = new Uint8Array(256);
  #length = 0;

  /** @param what may have so many bytes, as the error says */
  constructor(max: number, what = "a script may answer with") {
    this.#max = max;
    this.#what = what;
  }

  get length(): number {
    return this.#length;
  }

  /** @throws {ScriptError} at the bound */
  put(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (length > this.#max) throw new ScriptError(`${this.#what} ${this.#max} bytes`);
    if (length > this.#bytes.length) {
      const longer = new Uint8Array(Math.max(length, 2 * this.#bytes.length));
      longer.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = longer;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = length;
  }

  text(text: string): void {
    this.put(encoder.encode(text));
  }

  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}

function writeValue(state: LuaState, sink: ByteSink, depth: number): void {
  const index = state.top;
  switch (state.typeOf(index)) {
    case STRING: {
      const bytes = state.bytes(index);
      sink.text(`$${bytes.length}\r\n`);
      sink.put(bytes);
      return sink.text("\r\n");
    }
    case NUMBER:
      return sink.text(`:${integerText(state.number(index))}\r\n`);
    case BOOLEAN:
      return sink.text(state.truth(index) ? ":1\r\n" : "$-1\r\n");
    case TABLE:
      return writeTable(state, sink, depth);
    default:
      return sink.text("$-1\r\n");
  }
}

function writeTable(state: LuaState, sink: ByteSink, depth: number): void {
  const index = state.top;
  if (depth > DEPTH_MAX || !state.reserve(4)) {
    return sink.text("-ERR reached lua stack limit\r\n");
  }
  for (const [name, mark] of [["err", "-"], ["ok", "+"]] as const) {
    state.pushField(index, name);
    const text = state.typeOf(-1) === STRING ? state.text(-1) : undefined;
    state.pop();
    if (text !== undefined) return sink.text(`${mark}${oneLine(text)}\r\n`);
  }
  const count = elementsOf(state, index);
  sink.text(`*${count}\r\n`);
  for (let at = 1; at <= count; at++) {
    state.pushElement(index, at);
    writeValue(state, sink, depth + 1);
    state.pop();
  }
}

/** How many elements an array has before the first one that is missing. */
function elementsOf(state: LuaState, index: number): number {
  for (let count = 0;; count++) {
    state.pushElement(index, count + 1);
    const ends = state.typeOf(-1) <= NIL;
    state.pop();
    if (ends) return count;
  }
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

/** A number as an integer of 64 bits; what is after the point is dropped. What is none becomes what x86-64 makes of it. */
function integerText(value: number): string {
  const whole = Math.trunc(value);
  const fits = whole >= -(2 ** 63) && whole < 2 ** 63;
  return fits ? BigInt(whole).toString() : "-9223372036854775808";
}

function oneLine(text: string): string {
  return text.replace(/[\r\n]/g, " ");
}
