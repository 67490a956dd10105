/**
 * Backup and restore.
 *
 * @module
 */
import { KIB, MIB } from "../base/units.ts";

/** Snapshots of partitions that a node keeps for backups, ... */
export const BACKUP_SNAPSHOTS_MAX = 16;
/** ... each for this long after its last page was asked for, and never longer than the second. */
export const BACKUP_SNAPSHOT_IDLE_MS = 30_000;
export const BACKUP_SNAPSHOT_MS_MAX = 3_600_000;
/** The client's backup: partitions that are read at once. */
export const BACKUP_PARTITIONS_AT_ONCE = 4;
/** How long one partition is tried without progress. */
export const BACKUP_GIVE_UP_MS = 60_000;
/** A page of a backup is given up after this time, and its partition is begun again. */
export const BACKUP_PAGE_TIMEOUT_MS = 10_000;
/** Longest frame of a backup file, and longest text of a chunk. */
export const BACKUP_FRAME_BYTES_MAX = 64 * MIB;
/** The client's restore: partitions at once, entries kept in memory for each, and entries of one write. */
export const RESTORE_PARTITIONS_AT_ONCE = 4;
export const RESTORE_SLICE_BYTES = 64 * MIB;
export const RESTORE_WRITE_BYTES = 1 * MIB;
export const RESTORE_WRITE_ENTRIES = 256;
/** An encrypted backup: plain bytes of a chunk, as in the age format; the file's key, its salt, ... */
export const BACKUP_CIPHER_CHUNK_BYTES = 64 * KIB;
export const BACKUP_KEY_BYTES = 32;
export const BACKUP_SALT_BYTES = 32;
/** ... and the cost of its passphrase, log2 of scrypt's N: 128 MiB and half a second; the greatest takes 1 GiB. */
export const BACKUP_SCRYPT_LOG_N = 17;
export const BACKUP_SCRYPT_LOG_N_MAX = 20;
export const BACKUP_PASSPHRASE_CHARACTERS_MIN = 12;
