/**
 * Keys that are only ever read and incremented, always by one. What such a key holds says how many of its
 * increments had happened, so no search is needed: each answer lies between those that had ended before it
 * was asked for and those that had begun before it came, no two increments give the same number, and what
 * ended before something began is not more than that saw. An increment that happens twice is found by
 * the first answer that is more than anybody asked for.
 *
 * @module
 */
import { type Call, isReadName } from "./history.ts";
import { isWeak } from "./weak_reads.ts";

/** What is wrong with the calls of one key, or undefined. */
export function checkCounter(
  calls: readonly Call[],
): { readonly reason: string; readonly calls: readonly Call[] } | undefined {
  const increments = calls.filter((call) => !isReadName(call.f) && call.outcome !== "fail");
  const begins = increments.map((call) => call.at);
  const ends = increments.filter(({ outcome }) => outcome === "ok").map((call) => call.endAt)
    .sort((a, b) => a - b);
  const given = new Map<number, Call>();
  /** The highest answer of those that have ended, in the order of their ends. */
  const answered: { readonly number: number; readonly call: Call }[] = [];
  const answeredAt: number[] = [];
  const looks = calls.filter((call) => call.outcome === "ok" && !isWeak(call));
  for (const call of looks.toSorted((a, b) => a.endAt - b.endAt)) {
    const number = Number(call.value ?? 0);
    const own = call.f === "increment" ? 1 : 0;
    const least = countBelow(ends, call.at) + own;
    const most = countBelow(begins, call.endAt);
    if (!(number >= least && number <= most)) {
      return {
        reason: `${call.f} gave ${call.value}; it may be ${least} to ${most}`,
        calls: [call],
      };
    }
    const same = own === 1 ? given.get(number) : undefined;
    if (same !== undefined) {
      return { reason: `two increments gave ${number}`, calls: [same, call] };
    }
    if (own === 1) given.set(number, call);
    const before = answered[countBelow(answeredAt, call.at) - 1];
    if (before !== undefined && before.number > number - own) {
      const reason = `${call.f} gave ${number}, and before it was asked, ${before.number} was seen`;
      return { reason, calls: [before.call, call] };
    }
    const last = answered.at(-1);
    answered.push(last === undefined || number > last.number ? { number, call } : last);
    answeredAt.push(call.endAt);
  }
  return undefined;
}

/** How many of the numbers, which ascend, are below. */
function countBelow(numbers: readonly number[], below: number): number {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((numbers[middle] ?? 0) < below) low = middle + 1;
    else high = middle;
  }
  return low;
}
