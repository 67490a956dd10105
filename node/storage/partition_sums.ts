/**
 * The sums over one partition's rows: count and digest of its entries and tombstones, which its state record
 * carries, and the bytes of the rows in use. They follow each change, and a pass over the whole partition
 * checks them while writes go on.
 *
 * @module
 */
import { isDamage } from "../../shared/base/errors.ts";
import { compareKeys } from "../../shared/base/key_order.ts";
import type { Counted } from "./record.ts";
import type { ScanPage } from "./scan_page.ts";
import { type PartitionState, Tally } from "./state_record.ts";

/** A pass over the whole partition that counts while writes go on. */
interface Pass {
  /** Keys up to this one have been counted; undefined before the first. */
  counted: string | undefined;
  tally: Tally;
  /** Sum of the rows that have been counted. */
  bytes: number;
  /** How many of them expire. */
  expiring: number;
  /** What was written since the page that is being waited for was taken. */
  journal: { key: string; row: Counted; sign: 1 | -1 }[];
}

/** A pass that somebody else makes, of which what expires is counted. */
interface ExpiringPass {
  /** Keys up to this one have been counted; undefined before the first page, and after the last. */
  counted: string | undefined;
  expiring: number;
  /** Rows that expire and were written or taken away since the latest page was asked for. */
  journal: { key: string; sign: 1 | -1 }[];
}

/** The sums of one partition. It writes count and digest into the state that it was given. */
export class PartitionSums {
  readonly #state: PartitionState;
  #tally: Tally;
  #liveBytes: number | undefined;
  #expiring: number | undefined;
  /** The pass that is running. */
  #pass: Pass | undefined;
  #verifying: Promise<boolean> | undefined;
  #expiringPass: ExpiringPass | undefined;

  constructor(state: PartitionState) {
    this.#state = state;
    this.#tally = Tally.of(state);
    const { count, tombstones = 0 } = state;
    this.#liveBytes = count === 0 && tombstones === 0 ? 0 : undefined;
    this.#expiring = count === 0 ? 0 : undefined;
  }

  /** Bytes of the rows in use, without their keys; undefined until they have been read through once. */
  get liveBytes(): number | undefined {
    return this.#liveBytes;
  }

  /**
   * How many entries expire, those included that have and are not deleted yet; undefined until all have been read through
   * once, here or by who looks for them.
   */
  get expiring(): number | undefined {
    return this.#expiring;
  }

  /** A record is added or taken away. */
  change(key: string, row: Counted, sign: 1 | -1): void {
    this.#tally.add(row.flags, row.crc, sign);
    this.#tally.copyTo(this.#state);
    if (this.#liveBytes !== undefined) this.#liveBytes += sign * row.bytes;
    if (this.#expiring !== undefined && row.expires) this.#expiring += sign;
    this.#pass?.journal.push({ key, row, sign });
    if (row.expires) this.#expiringPass?.journal.push({ key, sign });
  }

  /** Somebody begins to read all entries. */
  beginExpiringPass(): void {
    this.#expiringPass = { counted: undefined, expiring: 0, journal: [] };
  }

  /** The next page is asked for in this turn. */
  beginExpiringPage(): void {
    const pass = this.#expiringPass;
    if (pass === undefined) return;
    // What was written between the pages: of later keys, the next page shows it.
    for (const { key, sign } of pass.journal) {
      if (pass.counted !== undefined && compareKeys(key, pass.counted) <= 0) pass.expiring += sign;
    }
    pass.journal = [];
  }

  /** The page has come. */
  countExpiring({ expiring, next }: Pick<ScanPage, "expiring" | "next">): void {
    const pass = this.#expiringPass;
    if (pass === undefined) return;
    pass.expiring += expiring;
    pass.counted = next;
    for (const { key, sign } of pass.journal) {
      if (next === undefined || compareKeys(key, next) <= 0) pass.expiring += sign;
    }
    pass.journal = [];
  }

  /** @param whole whether all pages have been read */
  endExpiringPass(whole: boolean): void {
    const pass = this.#expiringPass;
    this.#expiringPass = undefined;
    if (!whole || pass === undefined) return;
    this.#expiring = pass.journal.reduce((sum, { sign }) => sum + sign, pass.expiring);
  }

  /** There are no records any more. */
  clear(): void {
    this.#tally = new Tally();
    this.#tally.copyTo(this.#state);
    this.#liveBytes = this.#expiring = 0;
    this.#expiringPass = undefined;
  }

  /**
   * Whether a pass over all pages finds the sums that the state has; false also if a page is damaged. If a
   * pass is already running, its result is returned.
   *
   * @param scan a page after a key, as {@linkcode PartitionStore.scan}
   * @throws what `scan` throws, except damage
   */
  verify(scan: (after: string | undefined) => Promise<ScanPage>): Promise<boolean> {
    return this.#verifying ??= this.#verify(scan).finally(() => {
      this.#verifying = undefined;
      this.#pass = undefined;
    });
  }

  async #verify(scan: (after: string | undefined) => Promise<ScanPage>): Promise<boolean> {
    const pass: Pass = {
      counted: undefined,
      tally: new Tally(),
      bytes: 0,
      expiring: 0,
      journal: [],
    };
    this.#pass = pass;
    try {
      do {
        pass.journal = [];
        const page = await scan(pass.counted);
        pass.counted = page.next;
        countPage(pass, page);
      } while (pass.counted !== undefined);
    } catch (error) {
      if (isDamage(error)) return false;
      throw error;
    }
    const sound = pass.tally.fits(this.#state);
    if (sound) {
      this.#liveBytes = pass.bytes;
      this.#expiring = pass.expiring;
    }
    return sound;
  }
}

function countPage(pass: Pass, page: ScanPage): void {
  pass.tally.addAll(page.tally);
  pass.bytes += page.bytes;
  pass.expiring += page.expiring;
  // What was written while the page was being read is not in it, but is in the state. Later pages show
  // what concerns the keys after this page.
  for (const { key, row, sign } of pass.journal) {
    if (pass.counted !== undefined && compareKeys(key, pass.counted) > 0) continue;
    pass.tally.add(row.flags, row.crc, sign);
    pass.bytes += sign * row.bytes;
    if (row.expires) pass.expiring += sign;
  }
}
