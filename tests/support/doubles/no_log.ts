import type { Logger } from "../../../shared/platform/logger.ts";

const nothing = () => {};

/** A log that drops everything. */
export const NO_LOG: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
