/** The arguments of a library's function, checked as Lua's own libraries check theirs. @module */
import { argumentOf } from "./reply_values.ts";
import { type LuaState, ScriptError } from "./lua_state.ts";
import { NUMBER, STRING } from "./lua_vm.ts";

/** A number, or a text that is one. @throws {ScriptError} */
export function numberArgument(state: LuaState, index: number, of: string): number {
  const type = state.typeOf(index);
  if (type === NUMBER) return state.number(index);
  if (type === STRING) {
    const text = state.text(index).trim();
    const value = Number(text);
    if (text !== "" && !Number.isNaN(value)) return value;
  }
  throw new ScriptError(`bad argument #${index} to '${of}' (number expected)`);
}

/** A text, or a number as one. @throws {ScriptError} */
export function bytesArgument(state: LuaState, index: number, of: string): Uint8Array {
  const bytes = argumentOf(state, index);
  if (bytes === undefined) {
    throw new ScriptError(`bad argument #${index} to '${of}' (string expected)`);
  }
  return bytes;
}

/** A whole number, or `standard` if there is none. @throws {ScriptError} */
export function integerArgument(
  state: LuaState,
  index: number,
  of: string,
  standard: number,
): number {
  if (state.typeOf(index) <= 0) return standard;
  return Math.trunc(numberArgument(state, index, of));
}
