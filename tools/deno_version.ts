/**
 * The version of Deno that the project is written for and tested with, as it follows `deno@` for npm. This is
 * its home; README, documents and CI repeat it, and a test checks that they agree.
 *
 * @module
 */
export const DENO_RANGE = "2.9";

/** Whether a version of Deno is in the range or newer. */
export function isSupported(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = DENO_RANGE.split(".").map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
