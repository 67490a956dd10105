/** The version of Redis whose behaviour the front end has, for clients that ask. @module */
export const REDIS_VERSION = "7.0.15";
