/** The version that `--version` and `stats` print. @module */

/** Semantic version of the three programs, which are released together. */
export const VERSION = "0.1.0";
