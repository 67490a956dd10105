/**
 * Admission control for tests that have nothing to do with it: the usual bounds, and no log.
 *
 * @module
 */
import { Admission, type AdmissionOptions } from "../../../shared/admission/admission.ts";
import type { Clock } from "../../../shared/platform/clock.ts";
import type {} from "../../../shared/platform/logger.ts";
import { NO_LOG } from "./no_log.ts";
import { ManualClock } from "./manual_clock.ts";

/** With these bounds instead of the usual ones. */
export function testAdmission(
  options: AdmissionOptions = {},
  clock: Clock = new ManualClock(),
): Admission {
  return new Admission({ clock, log: NO_LOG }, options);
}
