/**
 * What the worker uses of the Lua 5.1 that `wasmoon-lua5.1` has compiled to WebAssembly: the functions of Lua's own C
 * API, by their names there with an underscore before them (https://www.lua.org/manual/5.1/manual.html#3).
 *
 * @module
 */

/** The address of a Lua state, of a function, or of bytes in the memory of the VM. */
export type Pointer = number;

/** Emscripten's module. */
export interface LuaVm {
  readonly HEAPU8: Uint8Array;
  readonly HEAPU32: Uint32Array;
  addFunction(run: (...words: number[]) => number | void, signature: string): Pointer;
  _malloc(bytes: number): Pointer;
  _free(at: Pointer): void;
  _realloc(at: Pointer, bytes: number): Pointer;
  _lua_newstate(allocate: Pointer, user: number): Pointer;
  _lua_close(state: Pointer): void;
  _luaL_openlibs(state: Pointer): void;
  _luaL_loadbuffer(state: Pointer, text: Pointer, length: number, name: Pointer): number;
  _lua_pcall(state: Pointer, args: number, results: number, handler: number): number;
  _lua_error(state: Pointer): number;
  _lua_gettop(state: Pointer): number;
  _lua_settop(state: Pointer, index: number): void;
  _lua_checkstack(state: Pointer, more: number): number;
  _lua_type(state: Pointer, index: number): number;
  _lua_toboolean(state: Pointer, index: number): number;
  _lua_tonumber(state: Pointer, index: number): number;
  _lua_tolstring(state: Pointer, index: number, length: Pointer): Pointer;
  _lua_touserdata(state: Pointer, index: number): Pointer;
  _lua_pushnil(state: Pointer): void;
  _lua_pushboolean(state: Pointer, value: number): void;
  _lua_pushnumber(state: Pointer, value: number): void;
  _lua_pushlstring(state: Pointer, bytes: Pointer, length: number): void;
  _lua_pushcclosure(state: Pointer, run: Pointer, values: number): void;
  _lua_pushlightuserdata(state: Pointer, value: Pointer): void;
  _lua_pushvalue(state: Pointer, index: number): void;
  _lua_createtable(state: Pointer, elements: number, fields: number): void;
  _lua_rawset(state: Pointer, index: number): void;
  _lua_rawget(state: Pointer, index: number): void;
  _lua_rawseti(state: Pointer, index: number, at: number): void;
  _lua_rawgeti(state: Pointer, index: number, at: number): void;
  _lua_next(state: Pointer, index: number): number;
  _lua_remove(state: Pointer, index: number): void;
}

/** `lua_type`. */
export const NIL = 0;
export const BOOLEAN = 1;
export const LIGHT_USERDATA = 2;
export const NUMBER = 3;
export const STRING = 4;
export const TABLE = 5;

/** The index of the table of global variables. */
export const GLOBALS = -10_002;
