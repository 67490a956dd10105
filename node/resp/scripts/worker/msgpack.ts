/**
 * `cmsgpack` of a script: MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md) as Redis' library writes
 * and reads it, byte for byte. A string of Lua is bytes, and becomes a `str` all the same; a number without a fraction
 * becomes an integer; a table with the keys 1 to n an array, an empty one too, any other one a map. That is why no
 * package does it: those of JavaScript write bytes as `bin`, which Redis does not read.
 *
 * @module
 */
import { bytesArgument, integerArgument } from "./lua_arguments.ts";
import { type LuaState, ScriptError } from "./lua_state.ts";
import { BOOLEAN, NIL, NUMBER, STRING, TABLE } from "./lua_vm.ts";
import { ByteSink } from "./reply_values.ts";

/** What is deeper is written as nil. */
const WRITTEN_DEPTH_MAX = 16;
const READ_DEPTH_MAX = 1_000;

/** `cmsgpack.pack(…)`: all arguments, one after the other. @param bytesMax of what it makes */
export function pack(state: LuaState, bytesMax: number): void {
  const count = state.top;
  if (count === 0) throw new ScriptError("MessagePack pack needs input.");
  const sink = new ByteSink(bytesMax, "cmsgpack.pack may make");
  for (let i = 1; i <= count; i++) writeValue(state, sink, i, 0);
  state.pushBytes(sink.bytes());
}

/** `cmsgpack.unpack(bytes)`: all values. @returns how many it leaves */
export function unpack(state: LuaState): number {
  return unpacked(state, "unpack", Infinity, 0).count;
}

/** `cmsgpack.unpack_one(bytes [, offset])`: where the next one begins, or -1 at the end, and the value. */
export function unpackOne(state: LuaState): number {
  return unpackSome(state, "unpack_one", 1, integerArgument(state, 2, "unpack_one", 0));
}

/** `cmsgpack.unpack_limit(bytes, limit [, offset])`. */
export function unpackLimit(state: LuaState): number {
  const limit = integerArgument(state, 2, "unpack_limit", 0);
  return unpackSome(state, "unpack_limit", limit, integerArgument(state, 3, "unpack_limit", 0));
}

function unpackSome(state: LuaState, of: string, limit: number, offset: number): number {
  // As in Redis, this is the way to say "all".
  if (limit === 0 && offset === 0) return unpacked(state, of, Infinity, 0).count;
  const from = state.top;
  const { count, next } = unpacked(state, of, limit, offset);
  state.pushNumber(next);
  // It comes before the values.
  for (let i = 1; i <= count; i++) state.pushCopy(from + i);
  return count + 1;
}

function unpacked(state: LuaState, of: string, limit: number, offset: number) {
  const bytes = bytesArgument(state, 1, of);
  if (offset < 0 || limit < 0) {
    throw new ScriptError(
      `Invalid request to unpack with offset of ${offset} and limit of ${bytes.length}.`,
    );
  }
  if (offset > bytes.length) {
    throw new ScriptError(`Start offset ${offset} greater than input length ${bytes.length}.`);
  }
  const reader = new Reader(state, bytes, offset);
  let count = 0;
  for (; reader.at < bytes.length && count < limit; count++) reader.push(0);
  if (!state.reserve(count + 4)) throw new ScriptError("too many results");
  return { count, next: reader.at === bytes.length ? -1 : reader.at };
}

function writeValue(state: LuaState, sink: ByteSink, index: number, depth: number): void {
  switch (state.typeOf(index)) {
    case STRING: {
      const bytes = state.bytes(index);
      if (bytes.length < 32) sink.put(Uint8Array.of(0xa0 | bytes.length));
      else if (bytes.length <= 0xff) sink.put(Uint8Array.of(0xd9, bytes.length));
      else sink.put(head(0xda, 0xdb, bytes.length));
      return sink.put(bytes);
    }
    case NUMBER:
      return sink.put(numberBytes(state.number(index)));
    case BOOLEAN:
      return sink.put(Uint8Array.of(state.truth(index) ? 0xc3 : 0xc2));
    case TABLE:
      if (depth < WRITTEN_DEPTH_MAX) return writeTable(state, sink, index, depth);
  }
  sink.put(Uint8Array.of(0xc0));
}

function writeTable(state: LuaState, sink: ByteSink, index: number, depth: number): void {
  if (!state.reserve(8)) throw new ScriptError("too many nested tables");
  const { isArray, count } = shapeOf(state, index);
  if (isArray) {
    sink.put(count < 16 ? Uint8Array.of(0x90 | count) : head(0xdc, 0xdd, count));
    for (let at = 1; at <= count; at++) {
      state.pushElement(index, at);
      writeValue(state, sink, state.top, depth + 1);
      state.pop();
    }
    return;
  }
  sink.put(count < 16 ? Uint8Array.of(0x80 | count) : head(0xde, 0xdf, count));
  state.pushNil();
  while (state.next(index)) {
    const [key, value] = [state.top - 1, state.top];
    writeValue(state, sink, key, depth + 1);
    writeValue(state, sink, value, depth + 1);
    state.pop();
  }
}

function shapeOf(state: LuaState, index: number): { isArray: boolean; count: number } {
  let count = 0;
  let greatest = 0;
  let isArray = true;
  state.pushNil();
  while (state.next(index)) {
    state.pop();
    count++;
    const key = state.typeOf(-1) === NUMBER ? state.number(-1) : 0;
    if (!Number.isInteger(key) || key <= 0) isArray = false;
    greatest = Math.max(greatest, key);
  }
  return { isArray: isArray && greatest === count, count };
}

/** A mark and a length of 16 or 32 bits. */
function head(short: number, long: number, length: number): Uint8Array {
  if (length <= 0xffff) return Uint8Array.of(short, length >> 8, length);
  return withMark(long, 4, (view) => view.setUint32(1, length));
}

function numberBytes(value: number): Uint8Array {
  if (!Number.isInteger(value) || value >= 2 ** 63 || value < -(2 ** 63)) {
    const isShort = Math.fround(value) === value;
    return isShort
      ? withMark(0xca, 4, (view) => view.setFloat32(1, value))
      : withMark(0xcb, 8, (view) => view.setFloat64(1, value));
  }
  if (value >= 0) {
    if (value <= 0x7f) return Uint8Array.of(value);
    if (value <= 0xff) return Uint8Array.of(0xcc, value);
    if (value <= 0xffff) return withMark(0xcd, 2, (view) => view.setUint16(1, value));
    if (value <= 0xffff_ffff) return withMark(0xce, 4, (view) => view.setUint32(1, value));
    return withMark(0xcf, 8, (view) => view.setBigUint64(1, BigInt(value)));
  }
  if (value >= -32) return Uint8Array.of(value);
  if (value >= -0x80) return Uint8Array.of(0xd0, value);
  if (value >= -0x8000) return withMark(0xd1, 2, (view) => view.setInt16(1, value));
  if (value >= -0x8000_0000) return withMark(0xd2, 4, (view) => view.setInt32(1, value));
  return withMark(0xd3, 8, (view) => view.setBigInt64(1, BigInt(value)));
}

function withMark(mark: number, size: number, set: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(1 + size);
  bytes[0] = mark;
  set(new DataView(bytes.buffer));
  return bytes;
}

/** Pushes the values of bytes. */
class Reader {
  at: number;
  readonly #state: LuaState;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(state: LuaState, bytes: Uint8Array, at: number) {
    this.#state = state;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.at = at;
  }

  /** Pushes the next value. @throws {ScriptError} */
  push(depth: number): void {
    const state = this.#state;
    if (depth > READ_DEPTH_MAX || !state.reserve(8)) {
      throw new ScriptError("too many values, or too many nested ones");
    }
    const mark = this.#view.getUint8(this.#take(1));
    if (mark <= 0x7f) return state.pushNumber(mark);
    if (mark >= 0xe0) return state.pushNumber(mark - 0x100);
    if (mark <= 0x8f) return this.#pushMap(mark & 0x0f, depth);
    if (mark <= 0x9f) return this.#pushArray(mark & 0x0f, depth);
    if (mark <= 0xbf) return this.#pushString(mark & 0x1f);
    const view = this.#view;
    switch (mark) {
      case 0xc0:
        return state.pushNil();
      case 0xc2:
        return state.pushBoolean(false);
      case 0xc3:
        return state.pushBoolean(true);
      case 0xca:
        return state.pushNumber(view.getFloat32(this.#take(4)));
      case 0xcb:
        return state.pushNumber(view.getFloat64(this.#take(8)));
      case 0xcc:
        return state.pushNumber(view.getUint8(this.#take(1)));
      case 0xcd:
        return state.pushNumber(view.getUint16(this.#take(2)));
      case 0xce:
        return state.pushNumber(view.getUint32(this.#take(4)));
      case 0xcf:
        return state.pushNumber(Number(view.getBigUint64(this.#take(8))));
      case 0xd0:
        return state.pushNumber(view.getInt8(this.#take(1)));
      case 0xd1:
        return state.pushNumber(view.getInt16(this.#take(2)));
      case 0xd2:
        return state.pushNumber(view.getInt32(this.#take(4)));
      case 0xd3:
        return state.pushNumber(Number(view.getBigInt64(this.#take(8))));
      case 0xd9:
        return this.#pushString(view.getUint8(this.#take(1)));
      case 0xda:
        return this.#pushString(view.getUint16(this.#take(2)));
      case 0xdb:
        return this.#pushString(view.getUint32(this.#take(4)));
      case 0xdc:
        return this.#pushArray(view.getUint16(this.#take(2)), depth);
      case 0xdd:
        return this.#pushArray(view.getUint32(this.#take(4)), depth);
      case 0xde:
        return this.#pushMap(view.getUint16(this.#take(2)), depth);
      case 0xdf:
        return this.#pushMap(view.getUint32(this.#take(4)), depth);
      default:
        throw new ScriptError("Bad data format in input.");
    }
  }

  /** Passes so many bytes. @returns where they begin */
  #take(count: number): number {
    const { at } = this;
    if (at + count > this.#bytes.length) throw new ScriptError("Missing bytes in input.");
    this.at += count;
    return at;
  }

  #pushString(length: number): void {
    const at = this.#take(length);
    this.#state.pushBytes(this.#bytes.subarray(at, at + length));
  }

  #pushArray(count: number, depth: number): void {
    this.#state.pushTable();
    for (let i = 1; i <= count; i++) {
      this.push(depth + 1);
      this.#state.setElement(i);
    }
  }

  #pushMap(count: number, depth: number): void {
    const state = this.#state;
    state.pushTable();
    for (let i = 0; i < count; i++) {
      this.push(depth + 1);
      const isKey = state.typeOf(-1) !== NIL && !Number.isNaN(keyNumber(state));
      if (!isKey) throw new ScriptError("a key of a map is nil, or not a number");
      this.push(depth + 1);
      state.setPair();
    }
  }
}

function keyNumber(state: LuaState): number {
  return state.typeOf(-1) === NUMBER ? state.number(-1) : 0;
}
