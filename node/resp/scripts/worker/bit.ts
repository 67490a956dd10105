/**
 * `bit` of a script: operations on numbers of 32 bits with a sign, as Lua BitOp has them
 * (https://bitop.luajit.org/api.html).
 *
 * @module
 */
import { integerArgument, numberArgument } from "./lua_arguments.ts";
import type { LuaState } from "./lua_state.ts";

/** The functions, by their names there. Each leaves one value. */
export const BIT: Readonly<Record<string, (state: LuaState) => void>> = {
  tobit: (state) => state.pushNumber(bitsOf(state, 1, "tobit")),
  bnot: (state) => state.pushNumber(~bitsOf(state, 1, "bnot")),
  bswap: (state) => {
    const x = bitsOf(state, 1, "bswap");
    state.pushNumber((x >>> 24) | ((x >>> 8) & 0xff00) | ((x & 0xff00) << 8) | (x << 24));
  },
  band: folding("band", (a, b) => a & b),
  bor: folding("bor", (a, b) => a | b),
  bxor: folding("bxor", (a, b) => a ^ b),
  // A number of bits counts by its lowest five bits, in JavaScript as there.
  lshift: shifting("lshift", (x, n) => x << n),
  rshift: shifting("rshift", (x, n) => x >>> n),
  arshift: shifting("arshift", (x, n) => x >> n),
  rol: shifting("rol", (x, n) => (x << n) | (x >>> (-n & 31))),
  ror: shifting("ror", (x, n) => (x >>> n) | (x << (-n & 31))),
  tohex: (state) => {
    const x = bitsOf(state, 1, "tohex");
    const digits = integerArgument(state, 2, "tohex", 8);
    const text = (x >>> 0).toString(16).padStart(8, "0");
    const count = Math.min(Math.abs(digits), 8);
    const last = text.slice(8 - count);
    state.pushText(digits < 0 ? last.toUpperCase() : last);
  },
};

/** A fraction is rounded, half of one to the even neighbour. */
function bitsOf(state: LuaState, index: number, of: string): number {
  const value = numberArgument(state, index, of);
  const floor = Math.floor(value);
  const part = value - floor;
  return (part > 0.5 || (part === 0.5 && floor % 2 !== 0) ? floor + 1 : floor) | 0;
}

function folding(of: string, fold: (a: number, b: number) => number): (state: LuaState) => void {
  return (state) => {
    let result = bitsOf(state, 1, of);
    for (let i = 2; i <= state.top; i++) result = fold(result, bitsOf(state, i, of));
    state.pushNumber(result | 0);
  };
}

function shifting(of: string, shift: (x: number, n: number) => number): (state: LuaState) => void {
  return (state) => {
    state.pushNumber(shift(bitsOf(state, 1, of), bitsOf(state, 2, of) & 31) | 0);
  };
}
