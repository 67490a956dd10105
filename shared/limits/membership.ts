/**
 * Who is alive: heartbeats, leases, repair, a node's session with the coordinator, the coordinators' right to act, and
 * discovery.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";

export const HEARTBEAT_INTERVAL_MS = 500;
/**
 * A live node hears from the coordinator: each heartbeat repeats what the node was told last. What it repeats
 * may be this many intervals old, since one heartbeat or its answer may be late; an older heartbeat does not
 * count. So a node that hears nobody is declared failed within this and FAILURE_TIMEOUT_MS.
 */
export const HEARD_INTERVALS_MAX = 2;
export const LEASE_MS = 1_500;
export const FAILURE_TIMEOUT_MS = 2_500;
/** After a failure, how long missing replicas wait for the node to come back before others get them. */
export const REPAIR_DELAY_MS = 5_000;
/** A replica that did not follow is filled again after this time, doubling from the first to the second. */
export const REPAIR_BACKOFF_MS = 1_000;
export const REPAIR_BACKOFF_MS_MAX = 30_000;
/** How many starts of the coordinator its document keeps the first epoch of. */
export const GENERATIONS_KEPT = 256;
/**
 * What a node says of itself is refused if it is further ahead of what is known than a year of the fastest honest
 * change: a start of the node and a new term of a partition each second, a hundred maps a second. A word that is
 * further ahead can only be wrong, and believed, it would leave no room behind it: terms are stored in four bytes.
 */
export const INCARNATION_JUMP_MAX = 2 ** 25;
export const TERM_JUMP_MAX = 2 ** 25;
export const EPOCH_JUMP_MAX = 2 ** 32;
/** If an operator accepts an old document, epochs and terms go on this far above all that were seen. */
export const ACCEPTED_EPOCH_LEAP = 1_000_000;
export const ACCEPTED_TERM_LEAP = 1_000;
/** More than the databases that can have been made after an old document, until its copy is put back. */
export const ACCEPTED_DATABASE_LEAP = 10_000;
/** A node that is down and holds nothing is removed from the list after this time. */
export const FORGET_DOWN_MS = 3_600_000;
/** How often the coordinator checks for what depends on time alone. */
export const COORDINATOR_TICK_MS = 50;
/** Before an operator's order chooses a replica, the nodes have this long to tell what they hold. */
export const FORCE_WAIT_MS = 1_000;

/** Clocks of two processes drift apart by at most this fraction. */
export const CLOCK_DRIFT_MAX = 0.05;
/** If the date runs ahead of the monotonic clock by this much at once, the machine was suspended. */
export const SUSPENSION_MS_MIN = 100;

/** Resyncs into one node at a time. */
export const MOVES_PER_NODE_MAX = 8;
/** How long a node that is told to stop tries to hand its primaries over. */
export const DRAIN_TIMEOUT_MS = 10_000;

/** A node's session with the coordinator: delays between attempts, and when an attempt is given up. */
export const SESSION_BACKOFF_MS = 100;
export const SESSION_BACKOFF_MS_MAX = 2_000;
/** The answer to `register` or `get_map` takes at most this long. */
export const SESSION_REPLY_TIMEOUT_MS = 5_000;
/** A session over which nothing came for this long is pinged, even if heartbeats go by UDP, ... */
export const SESSION_PING_MS = 1_000;
/** ... and taken for dead after this long. */
export const SESSION_SILENCE_MS = 5_000;
/**
 * If the cluster has several coordinators, a node looks for another one sooner: when a session is this silent, when
 * nothing at all answers a new connection for this long, and with pauses up to this between attempts.
 */
export const SESSION_SILENCE_OF_SEVERAL_MS = 2_500;
export const SESSION_GREETING_MS = 1_500;
export const SESSION_BACKOFF_OF_SEVERAL_MS_MAX = 500;
/**
 * Rule C10: when the first node has registered with a coordinator that has become active, the others have this much
 * longer than the failure timeout, since one that does not answer may have been asked first.
 */
export const NODE_SEARCH_MS = 1_500;
/** A node writes the newest map to its disk no sooner than this long after the last one, ... */
export const KEEP_MAP_MS_MIN = 1_000;
/** ... and no sooner than this many times what that took, so a large map takes a small share of the time. */
export const KEEP_MAP_REST = 20;
/** Heartbeats whose acknowledgement is still recognised. */
export const HEARTBEATS_REMEMBERED = 32;

/** Discovery: how long a question waits for answers, and after how much of that it is asked again. */
export const DISCOVERY_WAIT_MS = 600;
export const DISCOVERY_REPEAT_MS = 200;
/** After the first answer, further ones are waited for this long. */
export const DISCOVERY_SETTLE_MS = 150;
/** How many coordinators a question keeps the answers of, and how many addresses of each. */
export const DISCOVERY_ANSWERS_MAX = 64;
/** A secret has at least this many characters, because whoever hears a datagram can try guesses at it. */
export const DISCOVERY_SECRET_CHARACTERS_MIN = 16;
export const NONCE_CHARACTERS_MAX = 64;
/** Answers of a coordinator per second, to one host and to all. */
export const DISCOVERY_HOST_RATE = 32;
export const DISCOVERY_RATE = 1_024;
/** Hosts for which a coordinator remembers how much it answered lately. */
export const DISCOVERY_HOSTS_MAX = 1_024;
/** How often a coordinator looks for networks that were added later. */
export const DISCOVERY_JOIN_MS = 15_000;

// Several coordinators: rules G6, G7 and G8 of docs/coordinators.md.

/** A confirmation by a majority gives the active coordinator its right for this long after the question was sent. */
export const COORDINATOR_HOLD_MS = 1_500;
/**
 * A coordinator promises nothing to another one for this long after a confirmation, and after its own start. It is
 * the hold by the slowest clock that the holder may have.
 */
export const COORDINATOR_PROMISE_BAR_MS = COORDINATOR_HOLD_MS * (1 + CLOCK_DRIFT_MAX);
/** How often the active coordinator has its right confirmed. */
export const COORDINATOR_CONFIRM_MS = 400;
/** How many of these rounds it remembers: answers to older ones give no right any more. */
export const COORDINATOR_ROUNDS_KEPT = 8;
/** A question that waits for an answer is sent again after this time. */
export const COORDINATOR_RESEND_MS = 500;
/** An attempt to become active that has not come through is given up after this time: a sync may take 2 s. */
export const COORDINATOR_ATTEMPT_MS = 6_000;
/** Before an attempt one waits a random part of this time, so that two seldom try at once. */
export const COORDINATOR_JITTER_MS = 400;
/** After an attempt that failed, a random part of this time more. */
export const COORDINATOR_BACKOFF_MS = 1_000;
/** A record that could not be written is written again after this time. */
export const COORDINATOR_DISK_RETRY_MS = 1_000;
/**
 * Rule G15: an active coordinator that hears of no node for this part of the failure timeout lets another one act, before
 * it takes all of them to be down, ...
 */
export const COORDINATOR_DEAF_PART = 0.8;
/** ... and does not try again by itself for this long. */
export const COORDINATOR_DEAF_PAUSE_MS = 10_000;
/** More coordinators cost more answers for each change, and bear no more than two failures that are likely. */
export const COORDINATORS_MAX = 7;
/** A learner that is at most this many changes behind may become a voter: nobody waits for it for long. */
export const COORDINATOR_LAG_MAX = 2;
/** A coordinator that is further behind for a while cannot write its document, or does not get it. */
export const COORDINATOR_BEHIND_MAX = 10;
/** One that was not heard of for this long counts as away: longer than a change of activity takes. */
export const COORDINATOR_AWAY_MS = 5_000;
/** A survivor that goes on alone goes on this far above every generation that the others may have had. */
export const RECOVERED_GENERATION_LEAP = 1_000_000;

/** A message between coordinators is sent in pieces of this many characters if it is longer, ... */
export const AGREEMENT_PART_CHARACTERS = 1_048_576;
/** ... and is refused if it has more than this: the largest map, all users, and the members, with room. */
export const AGREEMENT_CHARACTERS_MAX = 67_108_864;
/** While more is queued for another coordinator, what would be sent to it is dropped: it is asked again. */
export const AGREEMENT_QUEUE_BYTES_MAX = 8_388_608;
/** How often a connection between coordinators is pinged, and after how long a silence it is given up. */
export const COORDINATOR_PING_MS = 500;
export const COORDINATOR_SILENCE_MS = 2_000;
/** Pauses between attempts to reach another coordinator. */
export const COORDINATOR_RECONNECT_MS = 50;
export const COORDINATOR_RECONNECT_MS_MAX = 500;
/** A connection to another coordinator for which there was nothing for this long is closed. */
export const COORDINATOR_IDLE_MS = 60_000;
/** How many messages wait for a connection. */
export const COORDINATOR_WAITING_MAX = 8;
/** An order to change the coordinators is answered within this time, done or not. */
export const COORDINATORS_CHANGE_MS = 8_000;
// The register in etcd (coordinator/register/etcd/).

/**
 * How long who is active there may be silent: longer than etcd takes to elect a leader. etcd may give more, and takes
 * half a second more to notice.
 */
export const ETCD_HOLD_SECONDS = 3;
/** How often the hold is kept. */
export const ETCD_KEEP_MS = 400;
/** How often the others look whether it is free. */
export const ETCD_LOOK_MS = 400;
/** A request to etcd without an answer is given up after this time. */
export const ETCD_TIMEOUT_MS = 1_000;
/** A piece of the document: etcd takes requests of 1.5 MiB at most. */
export const ETCD_PIECE_BYTES = 524_288;
/** A document is refused beyond this: the largest map, all users and the members, with room. */
export const ETCD_DOCUMENT_CHARACTERS_MAX = 67_108_864;
/** A reply of etcd is refused beyond this: a piece in base64, with room. */
export const ETCD_REPLY_BYTES_MAX = 4_194_304;
/** A coordinator that was silent for this long is not in the list of those that run any more. */
export const ETCD_PRESENCE_SECONDS = 10;
/** How many of them are listed. */
export const ETCD_MEMBERS_MAX = 64;
/** A coordinator that is to join asks the others for so long which cluster they are; they may be starting too. */
export const JOIN_ASK_MS = 5_000;
/** Between two rounds of that. */
export const JOIN_ASK_PAUSE_MS = 250;

invariant(
  COORDINATOR_DEAF_PAUSE_MS > COORDINATOR_ATTEMPT_MS + COORDINATOR_JITTER_MS,
  "another coordinator has the time for an attempt before the one that heard of no node tries again",
);
invariant(
  (1 - COORDINATOR_DEAF_PART) * FAILURE_TIMEOUT_MS > COORDINATOR_TICK_MS,
  "a coordinator that hears of no node notices that before it takes them to be down",
);
invariant(
  COORDINATOR_AWAY_MS > COORDINATOR_PROMISE_BAR_MS + COORDINATOR_JITTER_MS,
  "a coordinator does not count as away while another one becomes active",
);
invariant(
  COORDINATOR_BEHIND_MAX > COORDINATOR_LAG_MAX,
  "one that could become a voter is not told of as one that is behind",
);
invariant(LEASE_MS > 2 * HEARTBEAT_INTERVAL_MS, "a lease outlives one lost heartbeat");
invariant(
  HEARD_INTERVALS_MAX * HEARTBEAT_INTERVAL_MS < FAILURE_TIMEOUT_MS,
  "what a node heard before it counted as alive is not news any more when it counts as failed",
);
invariant(
  LEASE_MS * (1 + CLOCK_DRIFT_MAX) < FAILURE_TIMEOUT_MS * (1 - CLOCK_DRIFT_MAX),
  "a lease has run out before its node is declared failed, for any allowed drift",
);
invariant(
  SESSION_SILENCE_MS > FAILURE_TIMEOUT_MS,
  "a session outlives what the coordinator may be silent for before it declares a failure",
);
invariant(
  DISCOVERY_REPEAT_MS + DISCOVERY_SETTLE_MS < DISCOVERY_WAIT_MS,
  "a question that was lost is asked again in time",
);
invariant(SESSION_SILENCE_MS > 2 * SESSION_PING_MS, "a pinged session has time to answer");
invariant(
  SESSION_SILENCE_OF_SEVERAL_MS > 2 * SESSION_PING_MS,
  "a pinged session has time to answer, also if there are other coordinators",
);
invariant(
  NODE_SEARCH_MS >= SESSION_GREETING_MS,
  "who asks a coordinator first that does not answer has the whole failure timeout for the others",
);
invariant(
  COORDINATOR_HOLD_MS > 3 * COORDINATOR_CONFIRM_MS,
  "the right outlives two confirmations that were lost",
);
invariant(
  COORDINATOR_ROUNDS_KEPT * COORDINATOR_CONFIRM_MS > COORDINATOR_HOLD_MS,
  "a round that can still give a right is remembered",
);
invariant(
  COORDINATOR_SILENCE_MS > 3 * COORDINATOR_PING_MS,
  "a coordinator that is pinged has time to answer",
);
invariant(
  COORDINATOR_ATTEMPT_MS > 2 * COORDINATOR_RESEND_MS,
  "a question of an attempt that was lost is sent again in time",
);
invariant(
  ETCD_HOLD_SECONDS * 1_000 / (1 + CLOCK_DRIFT_MAX) > 2 * ETCD_KEEP_MS + ETCD_TIMEOUT_MS,
  "the hold outlives a request to etcd that was lost",
);
invariant(ETCD_REPLY_BYTES_MAX > 2 * ETCD_PIECE_BYTES, "a piece in base64 fits into a reply");
