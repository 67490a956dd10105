/**
 * A progress bar on standard error (cli-progress). Without a total it only counts.
 *
 * @module
 */
import cliProgress from "cli-progress";
import type { Progress } from "./command/command.ts";

const UPDATES_PER_SECOND = 10;

/** Shows a bar until it is stopped. */
export function startProgressBar(totalBytes: number | undefined): Progress {
  const known = totalBytes !== undefined && totalBytes > 0;
  const bar = new cliProgress.SingleBar({
    format: known
      ? "[{bar}] {percentage}% | {duration_formatted} | {text}"
      : "{duration_formatted} | {text}",
    fps: UPDATES_PER_SECOND,
    hideCursor: false,
    // The terminal's settings are not changed, so nothing must be restored if the process is killed.
    linewrap: true,
    clearOnComplete: false,
    // The program handles signals itself.
    gracefulExit: false,
  }, cliProgress.Presets.legacy);
  bar.start(totalBytes ?? 0, 0, { text: "" });
  let stopped = false;
  return {
    update(done, text) {
      // The bar would begin again, on the line of a note that was printed since.
      if (!stopped) bar.update(known ? Math.min(done, totalBytes) : 0, { text });
    },
    stop() {
      stopped = true;
      bar.stop();
    },
  };
}
