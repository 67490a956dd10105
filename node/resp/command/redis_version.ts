/** The version of Redis whose behaviour the door has, for clients that ask. @module */
export const REDIS_VERSION = "7.0.15";
