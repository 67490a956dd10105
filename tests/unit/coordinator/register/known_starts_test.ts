import { assertEquals } from "@std/assert";
import { KnownStarts } from "../../../../coordinator/register/known_starts.ts";

const FIRST = { folder: "f", start: 3, run: "x", writes: 40 };

Deno.test("KnownStarts.judge: a folder that was further before is an old copy (rule G11)", () => {
  const starts = new KnownStarts([FIRST]);
  const verdict = (start: number, run: string, writes: number) =>
    starts.judge({ folder: "f", start, run, writes }).type;
  assertEquals(verdict(3, "x", 39), "known", "a late message of the same process");
  assertEquals(verdict(4, "y", 41), "news", "it was started again");
  assertEquals(verdict(4, "y", 40), "old", "started again, on a copy from before its last write");
  assertEquals(verdict(3, "y", 41), "old", "a second process with the same number");
  assertEquals(verdict(2, "y", 50), "old");
  assertEquals(starts.judge({ ...FIRST, folder: "other" }).type, "news");
});

Deno.test("KnownStarts.note: keeps the most that a process has said, and forgets who is no member", () => {
  const starts = new KnownStarts([FIRST]);
  starts.note({ ...FIRST, writes: 44 });
  starts.note({ ...FIRST, writes: 42 });
  assertEquals(starts.list(), [{ ...FIRST, writes: 44 }]);
  starts.note({ folder: "f", start: 4, run: "y", writes: 60 });
  assertEquals(starts.list(), [{ folder: "f", start: 4, run: "y", writes: 60 }]);
  starts.keep((folder) => folder !== "f");
  assertEquals(starts.list(), []);
});
