/**
 * The worker that runs scripts: a thread of its own, so that one that does not end can be ended, and holds up nobody
 * meanwhile. It has no data, and reaches nothing: `redis.call` asks the thread that has started it, and waits.
 *
 * @module
 */
import type { ToWorker } from "./script_messages.ts";
import { REPLY_PIECE_BYTES, REPLY_WORDS } from "./script_messages.ts";
import { BIT } from "./bit.ts";
import { decodeJson, encodeJson } from "./json.ts";
import * as msgpack from "./msgpack.ts";
import * as struct from "./struct.ts";
import { HostFunctions, LuaState, RaisedError, ScriptError } from "./lua_state.ts";
import type { LuaVm } from "./lua_vm.ts";
import { PRELUDE } from "./prelude.ts";
import { argumentOf, errorReply, pushReply, replyOf } from "./reply_values.ts";

type RunMessage = Extract<ToWorker, { kind: "run" }>;

/** What a string and its place in a table take beside its bytes, approximately. */
const STRING_OVERHEAD_BYTES = 64;
/** For looking at the answer of a script that has used up its memory. */
const SPARE_BYTES = 1_048_576;

const encoder = new TextEncoder();
const PRELUDE_BYTES = encoder.encode(PRELUDE);

/** What this thread has of the other one. */
interface Port {
  postMessage(message: unknown): void;
}

/** Runs scripts, one after the other. */
export class ScriptThread {
  readonly #port: Port;
  readonly #host: HostFunctions;
  /** Whether a reply is there, its length in this piece, and whether more follows. */
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  /** For the next script. */
  #next: LuaState | undefined;

  constructor(vm: LuaVm, shared: SharedArrayBuffer, port: Port) {
    this.#port = port;
    this.#host = new HostFunctions(vm);
    this.#words = new Int32Array(shared, 0, REPLY_WORDS);
    this.#bytes = new Uint8Array(shared, REPLY_WORDS * 4, REPLY_PIECE_BYTES);
  }

  /** What it throws is a defect, which ends the thread: nobody knows what is left of the VM. */
  run(message: RunMessage): void {
    const state = this.#next ?? this.#prepare(message);
    this.#next = undefined;
    const outcome = this.#run(state, message);
    state.close();
    this.#port.postMessage({ kind: "done", ...outcome });
    // While nobody waits for it.
    this.#next = this.#prepare(message);
  }

  /** A state with all that a script finds but its keys and arguments. */
  #prepare(message: RunMessage): LuaState {
    const state = new LuaState(this.#host, message.memoryBytesMax);
    if (state.load(PRELUDE_BYTES, "=prelude") !== 0) throw new Error(state.text(-1));
    this.#pushHost(state, message);
    if (state.call(1, 0) !== 0) throw new Error(state.text(-1));
    return state;
  }

  #run(
    state: LuaState,
    { text, keys, args, replyBytesMax, memoryBytesMax }: RunMessage,
  ): { reply: Uint8Array; failed: boolean } {
    const failed = (why: string) => ({ reply: errorReply(why), failed: true });
    try {
      // Lua would end the VM if it had no memory for what is not within a call of it.
      if (bytesOf([...keys, ...args]) > memoryBytesMax / 2) {
        throw new ScriptError(`keys and arguments may take ${memoryBytesMax / 2} bytes`);
      }
      pushTexts(state, keys);
      state.setGlobal("KEYS");
      pushTexts(state, args);
      state.setGlobal("ARGV");
      if (state.load(text, "@user_script") !== 0) {
        const { text: why } = state.errorText();
        return failed(`ERR Error compiling script (new function): ${why}`);
      }
      const raised = state.call(0, 1) !== 0;
      state.allowMore(SPARE_BYTES);
      if (raised) {
        const { text: why, whole } = state.errorText();
        return failed(whole ? why : `ERR ${why}`);
      }
      return { reply: replyOf(state, replyBytesMax), failed: false };
    } catch (error) {
      if (error instanceof ScriptError) return failed(`ERR ${error.message}`);
      throw error;
    }
  }

  #pushHost(state: LuaState, { version, replyBytesMax, jsonBytesMax }: RunMessage): void {
    state.pushTable();
    const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
    const put = (name: string, run: Run) => {
      state.pushFunction((at) => guarded(at, run));
      state.setField(name);
    };
    put("call", (at) => this.#call(at, true));
    put("pcall", (at) => this.#call(at, false));
    put("sha1hex", (at) => {
      const bytes = argumentOf(at, 1);
      if (at.top !== 1 || bytes === undefined) throw new ScriptError("wrong number of arguments");
      at.pushBytes(this.#ask({ kind: "sha1", bytes }));
    });
    put("json_encode", (at) => at.pushText(encodeJson(at, 1, replyBytesMax)));
    put("json_decode", (at) => {
      const bytes = argumentOf(at, 1);
      if (bytes === undefined) throw new ScriptError("bad argument to 'decode' (string expected)");
      if (bytes.length > jsonBytesMax) {
        throw new ScriptError(`a JSON that is decoded may have ${jsonBytesMax} bytes`);
      }
      decodeJson(at, new TextDecoder().decode(bytes));
    });
    state.pushNull();
    state.setField("json_null");
    const library = (name: string, functions: Readonly<Record<string, Run>>) => {
      state.pushTable();
      for (const [one, run] of Object.entries(functions)) put(one, run);
      state.setField(name);
    };
    library("bit", BIT);
    library("struct", {
      pack: (at) => struct.pack(at, replyBytesMax),
      unpack: struct.unpack,
      size: struct.size,
    });
    library("cmsgpack", {
      pack: (at) => msgpack.pack(at, replyBytesMax),
      unpack: msgpack.unpack,
      unpack_one: msgpack.unpackOne,
      unpack_limit: msgpack.unpackLimit,
    });
    state.pushText(version);
    state.setField("version");
    state.pushNumber(major * 65_536 + minor * 256 + patch);
    state.setField("version_number");
  }

  /** A command. @param raises whether its error is one of the script */
  #call(state: LuaState, raises: boolean): void {
    const count = state.top;
    if (count === 0) {
      throw new ScriptError("Please specify at least one argument for this redis lib call");
    }
    const args: Uint8Array[] = [];
    for (let i = 1; i <= count; i++) {
      const argument = argumentOf(state, i);
      if (argument === undefined) {
        throw new ScriptError("Lua redis lib command arguments must be strings or integers");
      }
      args.push(argument);
    }
    const reply = this.#ask({ kind: "call", args });
    state.settle(0);
    pushReply(state, reply);
    if (raises && reply[0] === 0x2d) throw new RaisedError();
  }

  /** Asks the other thread, and waits for its answer. */
  #ask(question: object): Uint8Array {
    const pieces: Uint8Array[] = [];
    let length = 0;
    for (let next = question;; next = { kind: "more" }) {
      Atomics.store(this.#words, 0, 0);
      this.#port.postMessage(next);
      Atomics.wait(this.#words, 0, 0);
      const [, bytes = 0, more] = this.#words;
      pieces.push(this.#bytes.slice(0, bytes));
      length += bytes;
      if (more === 0) break;
    }
    if (pieces.length === 1 && pieces[0] !== undefined) return pieces[0];
    const reply = new Uint8Array(length);
    let at = 0;
    for (const piece of pieces) {
      reply.set(piece, at);
      at += piece.length;
    }
    return reply;
  }
}

/** A function for scripts. It returns how many values it leaves, or nothing: one. */
type Run = (state: LuaState) => number | void;

/** Runs a function; what it throws is an error of the script. */
function guarded(state: LuaState, run: Run): number {
  try {
    return run(state) ?? 1;
  } catch (error) {
    if (error instanceof RaisedError) return state.raise();
    if (error instanceof ScriptError) return state.raiseText(error.message);
    // Lua's own, on its way through us.
    throw error;
  }
}

function bytesOf(texts: readonly Uint8Array[]): number {
  return texts.reduce((sum, { length }) => sum + length + STRING_OVERHEAD_BYTES, 0);
}

function pushTexts(state: LuaState, texts: readonly Uint8Array[]): void {
  state.pushTable();
  texts.forEach((text, i) => {
    state.pushBytes(text);
    state.setElement(i + 1);
  });
}

/** Begins to listen to the thread that has started this one. @param make makes the VM */
export function listen(make: () => Promise<LuaVm>): void {
  const scope = globalThis as unknown as Port & { onmessage: (event: MessageEvent) => void };
  let thread: Promise<ScriptThread> | undefined;
  scope.onmessage = async ({ data }: MessageEvent<ToWorker>) => {
    if (data.kind === "start") {
      thread = make().then((vm) => new ScriptThread(vm, data.shared, scope));
      await thread;
      scope.postMessage({ kind: "ready" });
    } else {
      (await thread)?.run(data);
    }
  };
}
