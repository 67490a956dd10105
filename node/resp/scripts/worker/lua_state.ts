/**
 * One Lua state: a script's own, so that nothing passes from one script to another. It has no more memory than it is
 * given, and the functions of JavaScript that it can call are those that are put into it. Strings are bytes.
 *
 * @module
 */
import { GLOBALS, type LuaVm, NIL, type Pointer, STRING } from "./lua_vm.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A function that a script can call: it takes its arguments from the stack, and returns how many results it left there. */
export type HostFunction = (state: LuaState) => number;

/** An error of the script, whose value is on top of the stack. */
export class RaisedError extends Error {}

/** A mistake of the script: the text becomes its error. */
export class ScriptError extends Error {}

/** See the top of this file. */
export class LuaState {
  readonly vm: LuaVm;
  readonly #at: Pointer;
  readonly #host: HostFunctions;

  constructor(host: HostFunctions, memoryBytesMax: number) {
    this.vm = host.vm;
    this.#host = host;
    host.memory = { used: 0, max: memoryBytesMax };
    this.#at = this.vm._lua_newstate(host.allocator, 0);
    host.current = this;
    this.vm._luaL_openlibs(this.#at);
  }

  close(): void {
    this.vm._lua_close(this.#at);
    this.#host.forget();
  }

  /** It may have so much more memory from now on. */
  allowMore(bytes: number): void {
    this.#host.memory.max += bytes;
  }

  /** @returns 0, or the number of an error whose value is on the stack */
  load(text: Uint8Array, name: string): number {
    return this.#withBytes(text, (at) =>
      this.#withBytes(
        encoder.encode(`${name}\0`),
        (called) => this.vm._luaL_loadbuffer(this.#at, at, text.length, called),
      ));
  }

  /** Calls the function below `args` values. @returns 0, or the number of an error whose value is on the stack */
  call(args: number, results: number): number {
    return this.vm._lua_pcall(this.#at, args, results, 0);
  }

  /** Raises the value on top of the stack as an error of the script. */
  raise(): number {
    return this.vm._lua_error(this.#at);
  }

  /** Raises a text. */
  raiseText(text: string): number {
    this.pushText(text);
    return this.raise();
  }

  get top(): number {
    return this.vm._lua_gettop(this.#at);
  }

  /** Drops all above an index; or as many values as a negative one says, less one. */
  settle(index: number): void {
    this.vm._lua_settop(this.#at, index);
  }

  pop(): void {
    this.settle(-2);
  }

  /** @returns whether there is room for so many more values */
  reserve(count: number): boolean {
    return this.vm._lua_checkstack(this.#at, count) !== 0;
  }

  typeOf(index: number): number {
    return this.vm._lua_type(this.#at, index);
  }

  truth(index: number): boolean {
    return this.vm._lua_toboolean(this.#at, index) !== 0;
  }

  number(index: number): number {
    return this.vm._lua_tonumber(this.#at, index);
  }

  /** A copy of a string. */
  bytes(index: number): Uint8Array {
    const at = this.vm._lua_tolstring(this.#at, index, this.#host.length);
    const length = this.vm.HEAPU32[this.#host.length >> 2] ?? 0;
    return this.vm.HEAPU8.slice(at, at + length);
  }

  text(index: number): string {
    return decoder.decode(this.bytes(index));
  }

  pointer(index: number): Pointer {
    return this.vm._lua_touserdata(this.#at, index);
  }

  pushNil(): void {
    this.vm._lua_pushnil(this.#at);
  }

  pushBoolean(value: boolean): void {
    this.vm._lua_pushboolean(this.#at, value ? 1 : 0);
  }

  pushNumber(value: number): void {
    this.vm._lua_pushnumber(this.#at, value);
  }

  pushBytes(value: Uint8Array): void {
    this.#withBytes(value, (at) => this.vm._lua_pushlstring(this.#at, at, value.length));
  }

  pushText(value: string): void {
    this.pushBytes(encoder.encode(value));
  }

  /** What stands for JSON's null. */
  pushNull(): void {
    this.vm._lua_pushlightuserdata(this.#at, 0);
  }

  pushFunction(run: HostFunction): void {
    this.vm._lua_pushcclosure(this.#at, this.#host.pointerOf(run), 0);
  }

  pushCopy(index: number): void {
    this.vm._lua_pushvalue(this.#at, index);
  }

  pushTable(): void {
    this.vm._lua_createtable(this.#at, 0, 0);
  }

  /** The value on top becomes a field of the table below it. */
  setField(name: string): void {
    this.pushText(name);
    this.vm._lua_pushvalue(this.#at, -2);
    this.vm._lua_rawset(this.#at, -4);
    this.pop();
  }

  /** The value on top becomes the value of the key below it, in the table below both. */
  setPair(): void {
    this.vm._lua_rawset(this.#at, -3);
  }

  /** The value on top becomes an element of the table below it. */
  setElement(at: number): void {
    this.vm._lua_rawseti(this.#at, -2, at);
  }

  /** Pushes a field of a table. @param index of the table, from the bottom */
  pushField(index: number, name: string): void {
    this.pushText(name);
    this.vm._lua_rawget(this.#at, index);
  }

  /** Pushes an element of a table. @param index of the table, from the bottom */
  pushElement(index: number, at: number): void {
    this.vm._lua_rawgeti(this.#at, index, at);
  }

  /** Takes a key from the stack, and pushes the next one and its value. @returns false if there is none */
  next(index: number): boolean {
    return this.vm._lua_next(this.#at, index) !== 0;
  }

  /** The value on top becomes a global variable. */
  setGlobal(name: string): void {
    this.pushText(name);
    this.vm._lua_pushvalue(this.#at, -2);
    this.vm._lua_rawset(this.#at, GLOBALS);
    this.pop();
  }

  pushGlobal(name: string): void {
    this.pushField(GLOBALS, name);
  }

  /** The text of the error on top of the stack: of a table, that of its field `err`. */
  errorText(): { text: string; whole: boolean } {
    const index = this.top;
    if (this.typeOf(index) === STRING) return { text: this.text(index), whole: false };
    let text = this.typeOf(index) === NIL
      ? "ERR nil"
      : "ERR the script raised an error that is no text";
    if (this.typeOf(index) === 5) {
      this.pushField(index, "err");
      if (this.typeOf(-1) === STRING) text = this.text(-1);
      this.pop();
    }
    return { text, whole: true };
  }

  /** @param use gets the address of a copy in the memory of the VM, which is gone afterwards */
  #withBytes<T>(bytes: Uint8Array, use: (at: Pointer) => T): T {
    const at = this.vm._malloc(bytes.length + 1);
    if (at === 0) throw new ScriptError("the memory of scripts is exhausted");
    this.vm.HEAPU8.set(bytes, at);
    try {
      return use(at);
    } finally {
      this.vm._free(at);
    }
  }
}

/** The functions of JavaScript that the VM calls: a table of the VM that only grows, and so they are made once. */
export class HostFunctions {
  readonly vm: LuaVm;
  readonly allocator: Pointer;
  /** Where the VM writes the length of a string. */
  readonly length: Pointer;
  current: LuaState | undefined;
  memory = { used: 0, max: 0 };
  /** A pointer for each place of the list of the script's functions. */
  readonly #places: Pointer[] = [];
  #functions: HostFunction[] = [];

  constructor(vm: LuaVm) {
    this.vm = vm;
    this.length = vm._malloc(4);
    // `lua_Alloc`: https://www.lua.org/manual/5.1/manual.html#lua_Alloc
    this.allocator = vm.addFunction((_user = 0, at = 0, before = 0, bytes = 0) => {
      const { memory } = this;
      if (bytes === 0) {
        if (at !== 0) {
          memory.used -= before;
          vm._free(at);
        }
        return 0;
      }
      const more = at === 0 ? bytes : bytes - before;
      if (more > 0 && memory.used + more > memory.max) return 0;
      const moved = vm._realloc(at, bytes);
      if (moved !== 0) memory.used += more;
      return moved;
    }, "iiiii");
  }

  pointerOf(run: HostFunction): Pointer {
    const known = this.#functions.indexOf(run);
    const place = known < 0 ? this.#functions.push(run) - 1 : known;
    this.#places[place] ??= this.vm.addFunction(() => this.#call(place), "ii");
    return this.#places[place];
  }

  #call(place: number): number {
    const [state, run] = [this.current, this.#functions[place]];
    return state === undefined || run === undefined ? 0 : run(state);
  }

  forget(): void {
    this.#functions = [];
    this.current = undefined;
  }
}
