/**
 * Certificates, users, roles, tokens and logins; enforced by `shared/security/`.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";
import { DAY_MS, MIB } from "../base/units.ts";

/** A node makes itself a new certificate at each start. */
export const CERTIFICATE_LIFETIME_MS = 90 * DAY_MS;
/** Of a node in memory, which gets another one at each start: 8,000 starts a day leave room on the list. */
export const MEMORY_CERTIFICATE_LIFETIME_MS = DAY_MS;
export const AUTHORITY_LIFETIME_MS = 10 * 365 * DAY_MS;
/** A new certificate begins this much earlier, for clients whose clocks are behind. */
export const CERTIFICATE_BACKDATING_MS = 5 * 60_000;
/** One of P-256 with nothing in it has about 400. */
export const CERTIFICATE_REQUEST_CHARACTERS_MAX = 8_192;
/** Of a connection between members, from TCP on: whoever takes longer is closed. */
export const MEMBER_HANDSHAKE_MS_MAX = 5_000;
/** The audit log: a file, how many older ones are kept (144 MiB in all), how long lines are gathered, and how much waits. */
export const AUDIT_FILE_BYTES_MAX = 16 * MIB;
export const AUDIT_FILES_KEPT = 8;
export const AUDIT_FLUSH_MS = 20;
export const AUDIT_WAITING_CHARACTERS_MAX = 1 * MIB;
/** A token is a user's login for a program. */
export const USER_TOKEN_LIFETIME_MS = 365 * DAY_MS;
/** A token to join is for the machines that are set up now. */
export const JOIN_TOKEN_LIFETIME_MS = DAY_MS;
/** Each has its bound, so that the document of users has one. */
export const USERS_MAX = 1_000;
export const ROLES_MAX = 1_000;
export const GRANTS_PER_ROLE_MAX = 100;
export const ROLES_PER_USER_MAX = 20;
export const TOKENS_MAX = 1_000;
/**
 * Of members, that have not ended: each has a few, as it renews its own in time, and when its addresses change. With one
 * more the oldest is revoked, ...
 */
export const CERTIFICATES_PER_MEMBER_MAX = 8;
/** ... and what is revoked stays on the lists until it ends, so that has a bound, too. */
export const CERTIFICATES_OPEN_PER_MEMBER_MAX = 32;
export const CERTIFICATES_MAX = 8_000;
/** That are trusted at a time: the one that signs, and those before it until all members have a new certificate. */
export const AUTHORITIES_MAX = 3;
/** A machine that joins waits this long for each answer, ... */
export const JOIN_ANSWER_MS_MAX = 10_000;
/** ... and takes at most this much of one: it has the document of users. */
export const JOIN_ANSWER_BYTES_MAX = 16 * MIB;
/** The time between two looks at whether a certificate is to be renewed: a 30th of its time, within these bounds. */
export const RENEWAL_LOOK_MS_MIN = 250;
export const RENEWAL_LOOK_MS_MAX = 60_000;
/**
 * Who has opened a connection between members goes over to a new one when this share of its time has gone, ...
 */
export const CONNECTION_EXPIRING_SHARE = 0.9;
/** ... if at least this much is left by then: to answer what was sent over it. */
export const CONNECTION_EXPIRING_MS_MIN = 100;
/** A node that has heard nothing asks for its next certificate again. */
export const RENEWAL_ANSWER_MS = 3_000;
/** For tests of renewal; a certificate that is good for less is of no use. */
export const CERTIFICATE_LIFETIME_MS_MIN = 5_000;
/** Of users, roles and tokens as one text: nodes are sent them in a frame. */
export const JUDGED_CHARACTERS_MAX = 4 * MIB;
/**
 * A port accepts under the former certificate for the first time after a change, and then until no connection has
 * come for the third time, but never for longer than the second.
 */
export const CERTIFICATE_OVERLAP_MS = 250;
export const CERTIFICATE_OVERLAP_MS_MAX = 1_000;
export const CERTIFICATE_QUIET_MS = 10;
/** A member may be ahead of the coordinator's document by at most this many changes: one each second for a year. */
export const SECURITY_VERSION_JUMP_MAX = 2 ** 25;
/** Names and addresses in one certificate. */
export const CERTIFICATE_HOSTS_MAX = 16;
export const PASSWORD_CHARACTERS_MIN = 8;
export const PASSWORD_BYTES_MAX = 1_024;
/** A user's name, a colon and a password, as base64. */
export const HTTP_AUTHORIZATION_CHARACTERS_MAX = 2_048;
/** Each takes 32 MiB and a processor for 0.1 s. */
export const LOGINS_AT_ONCE_MAX = 2;
/** Those that wait for it: at 0.2 s each, the last waits 6 s. */
export const LOGINS_WAITING_MAX = 64;
/** An address that fails more often for one user waits, 1 s, 2 s, 4 s and so on; ... */
export const LOGIN_FAILURES_FREE = 3;
/** ... for all users together it may fail more often, as many people may share it. */
export const LOGIN_FAILURES_FREE_OF_ADDRESS = 30;
export const LOGIN_WAIT_MS = 1_000;
export const LOGIN_WAIT_MS_MAX = 60_000;
/** Addresses, and addresses with users, whose failures are remembered: 1 MiB. */
export const LOGIN_FAILURES_REMEMBERED = 8_192;

invariant(
  HTTP_AUTHORIZATION_CHARACTERS_MAX >
    Math.ceil((64 + PASSWORD_BYTES_MAX) / 3) * 4 + "Basic ".length,
  "a header holds any password",
);
invariant(
  AUTHORITY_LIFETIME_MS > 4 * CERTIFICATE_LIFETIME_MS,
  "an authority outlives what it signs",
);
invariant(
  CERTIFICATE_OVERLAP_MS_MAX < CERTIFICATE_LIFETIME_MS_MIN / 3,
  "a certificate that is renewed is not shown any more when it ends",
);
