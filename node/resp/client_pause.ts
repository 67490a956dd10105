/**
 * CLIENT PAUSE and UNPAUSE: for a while, the commands of this node's Redis clients wait where they have arrived, all of
 * them or those that may write. What is under way is answered.
 *
 * @module
 */
import type { Clock, Timer } from "../../shared/platform/clock.ts";
import type { CommandPause, PauseMode } from "./command/command.ts";

/** The pause of one node. */
export class ClientPause implements CommandPause {
  readonly #clock: Clock;
  readonly #onEnd: () => void;
  #mode: PauseMode | undefined;
  #untilMs = 0;
  #timer: Timer | undefined;

  /** @param onEnd those that wait go on */
  constructor(clock: Clock, onEnd: () => void) {
    this.#clock = clock;
    this.#onEnd = onEnd;
  }

  /** What waits now; undefined if nothing does. */
  get mode(): PauseMode | undefined {
    return this.#mode;
  }

  /** As in Redis, the longer and the stricter one counts if there is one already. */
  begin(mode: PauseMode, ms: number): void {
    const untilMs = this.#clock.monotonicMs() + ms;
    if (this.#mode !== "all") this.#mode = mode;
    if (untilMs <= this.#untilMs) return;
    this.#untilMs = untilMs;
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimer(ms, () => this.end());
  }

  end(): void {
    if (this.#mode === undefined) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#mode = undefined;
    this.#untilMs = 0;
    this.#onEnd();
  }
}
