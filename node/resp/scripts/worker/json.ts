/**
 * `cjson.encode` and `cjson.decode` of a script. As lua-cjson has it, a table whose keys are all whole numbers of 1 and above
 * is an array, with null in its gaps, unless these are too many; any other one is an object, and so is an empty one.
 *
 * @module
 */
import { type LuaState, ScriptError } from "./lua_state.ts";
import { BOOLEAN, LIGHT_USERDATA, NIL, NUMBER, STRING, TABLE } from "./lua_vm.ts";
import { numberText } from "./reply_values.ts";

/** As lua-cjson's defaults. */
const DEPTH_MAX = 1_000;
/** lua-cjson writes 14 digits. */
const DIGITS = 14;
/** An array of more places than this has a value in half of them. */
const SPARSE_PLACES = 10;
const SPARSE_RATIO = 2;

/** What a value costs beside its text, approximately: its place in a list, while the text is made. */
const VALUE_OVERHEAD_BYTES = 16;

/** The JSON of a value. @throws {ScriptError} if it has none, or it is too long */
export function encodeJson(state: LuaState, index: number, bytesMax: number): string {
  return new JsonEncoder(state, bytesMax).encode(index, 0);
}

/** A table may have the same table many times: what was written is counted, and bounded. */
class JsonEncoder {
  readonly #state: LuaState;
  readonly #max: number;
  #bytes = 0;

  constructor(state: LuaState, bytesMax: number) {
    this.#state = state;
    this.#max = bytesMax;
  }

  encode(index: number, depth: number): string {
    const state = this.#state;
    if (depth > DEPTH_MAX || !state.reserve(4)) {
      throw new ScriptError(`Cannot serialise, excessive nesting (${depth})`);
    }
    switch (state.typeOf(index)) {
      case STRING:
        return this.#counted(quoted(state.text(index)));
      case NUMBER: {
        const value = state.number(index);
        if (!Number.isFinite(value)) {
          throw new ScriptError("Cannot serialise number: must not be NaN or Inf");
        }
        return this.#counted(numberText(value, DIGITS));
      }
      case BOOLEAN:
        return this.#counted(String(state.truth(index)));
      case NIL:
      case LIGHT_USERDATA:
        return this.#counted("null");
      case TABLE:
        return this.#table(index, depth);
      default:
        throw new ScriptError("Cannot serialise: type not supported");
    }
  }

  #counted(text: string): string {
    this.#bytes += text.length + VALUE_OVERHEAD_BYTES;
    if (this.#bytes > this.#max) throw new ScriptError(`Cannot serialise, over ${this.#max} bytes`);
    return text;
  }

  #table(index: number, depth: number): string {
    const state = this.#state;
    /** What has a whole number of 1 and above as its key. */
    const elements = new Map<number, string>();
    const fields: string[] = [];
    this.#counted("{}");
    state.pushNil();
    while (state.next(index)) {
      const [key, value] = [state.top - 1, state.top];
      const encoded = this.encode(value, depth + 1);
      if (state.typeOf(key) === STRING) {
        fields.push(`${this.#counted(quoted(state.text(key)))}:${encoded}`);
      } else if (state.typeOf(key) === NUMBER) {
        const at = state.number(key);
        if (Number.isInteger(at) && at >= 1) elements.set(at, encoded);
        else fields.push(`"${numberText(at, DIGITS)}":${encoded}`);
      } else {
        throw new ScriptError("Cannot serialise table: table key must be a number or string");
      }
      state.pop();
    }
    const places = [...elements.keys()].sort((a, b) => a - b);
    const length = places.at(-1);
    if (fields.length === 0 && length !== undefined) {
      if (length > SPARSE_PLACES && length > places.length * SPARSE_RATIO) {
        throw new ScriptError("Cannot serialise table: excessively sparse array");
      }
      return `[${Array.from({ length }, (_, i) => elements.get(i + 1) ?? "null").join(",")}]`;
    }
    return `{${[...places.map((at) => `"${at}":${elements.get(at)}`), ...fields].join(",")}}`;
  }
}

/** As lua-cjson writes a string: with slashes and DEL escaped as well. */
function quoted(text: string): string {
  return JSON.stringify(text).replaceAll("/", "\\/").replaceAll("\x7f", "\\u007f");
}

/** Pushes the value of a JSON text. @throws {ScriptError} if it is none */
export function decodeJson(state: LuaState, text: string): void {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ScriptError(`not JSON: ${(error as Error).message}`);
  }
  pushJson(state, value, 0);
}

function pushJson(state: LuaState, value: unknown, depth: number): void {
  if (depth > DEPTH_MAX || !state.reserve(4)) throw new ScriptError("Found too many nested data");
  if (value === null) return state.pushNull();
  if (typeof value === "string") return state.pushText(value);
  if (typeof value === "number") return state.pushNumber(value);
  if (typeof value === "boolean") return state.pushBoolean(value);
  state.pushTable();
  if (Array.isArray(value)) {
    value.forEach((element, i) => {
      pushJson(state, element, depth + 1);
      state.setElement(i + 1);
    });
    return;
  }
  for (const [name, field] of Object.entries(value as object)) {
    state.pushText(name);
    pushJson(state, field, depth + 1);
    state.setPair();
  }
}
