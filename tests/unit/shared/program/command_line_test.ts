import { assertEquals, assertThrows } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import {
  type CommandLine,
  parseLine,
  placePositionals,
} from "../../../../shared/program/command_line.ts";
import { flag, integer, texts } from "../../../../shared/program/setting.ts";

const SHELL: CommandLine = {
  name: "kv-test",
  summary: "A test.",
  usage: ["[command]"],
  settings: {
    port: integer({ help: "Port.", default: 1, min: 0, max: 9_999 }),
    seeds: texts({ help: "Seeds." }),
    quiet: flag({ help: "Quiet." }),
  },
  rest: true,
  restFlags: [{ name: "ttl", takesValue: true }, { name: "nx", takesValue: false }],
};

Deno.test("parseLine: parts what is a setting's from what is the program's", () => {
  const line = parseLine(SHELL, ["put", "k", "--port=7", "-5", "--ttl", "-1", "--nx", "--quiet"]);
  assertEquals(line.rest, ["put", "k", "-5"]);
  assertEquals([...line.restFlags], [["ttl", "-1"], ["nx", "true"]]);
  assertEquals([...line.given.values()].map(({ place, text }) => [place, text]), [
    ["--port", "7"],
    ["--quiet", "true"],
  ]);
});

Deno.test("parseLine: a setting that may be repeated has all that was given", () => {
  const { given } = parseLine(SHELL, ["--seeds=a", "--seeds=b"]);
  assertEquals(given.get("seeds")?.text, ["a", "b"]);
});

Deno.test("parseLine: behind -- everything is an argument", () => {
  const { rest, given, help } = parseLine(SHELL, ["get", "--", "--port=7", "--help"]);
  assertEquals([rest, given.size, help], [["get", "--port=7", "--help"], 0, false]);
});

Deno.test("placePositionals: takes the first form with this many arguments that are all valid", () => {
  const program = { ...SHELL, rest: false, positionals: [["port"]] };
  const { given } = placePositionals(program, ["12"]);
  assertEquals(given.get("port")?.place, "[port]");
  assertThrows(() => placePositionals(program, ["twelve"]), KvError, "[port] must be an integer");
  assertThrows(() => placePositionals(program, ["1", "2"]), KvError, "too many arguments");
});
