/**
 * What `coordinator/register/register.ts` promises, for whatever stands behind it: read, compare-and-set by stamp, and
 * hold for a while. The agreement between coordinators, the register in a simulated etcd and the one in a real etcd go
 * through the same cases.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { compareStamps } from "../../coordinator/register/generation.ts";
import type {
  ManagedRegister,
  Outcome,
  RegisterEvents,
  Stamped,
} from "../../coordinator/register/register.ts";

/** The document: what was appended to it, so that nothing can be lost unseen. */
export type Appended = readonly string[];

/** A coordinator's part of a register. */
export class RegisterSide {
  readonly id: string;
  readonly register: ManagedRegister<Appended>;
  /** Cuts it off from all others, or mends that. */
  readonly cut: (isCut: boolean) => void;
  holding: Stamped<Appended> | undefined;
  /** What it was told is chosen, in order. */
  readonly chosen: Stamped<Appended>[] = [];
  isClosed = false;

  constructor(
    id: string,
    make: (events: RegisterEvents<Appended>) => ManagedRegister<Appended>,
    cut: (isCut: boolean) => void,
  ) {
    this.id = id;
    this.cut = cut;
    this.register = make({
      onHeld: (held) => {
        assertEquals(this.holding, undefined, "it holds it already");
        this.holding = held;
      },
      onLost: () => {
        assert(this.holding !== undefined, "it does not hold it");
        assertEquals(this.register.hasRight(), false, "lost, and still with the right");
        this.holding = undefined;
      },
      onChosen: (newest) => {
        assert(
          compareStamps(newest.stamp, this.chosen.at(-1)?.stamp) >= 0,
          "what is chosen never goes back",
        );
        this.chosen.push(newest);
      },
      onHolder() {},
    });
  }

  get text(): string {
    return this.register.read()?.document.join(" ") ?? "";
  }

  /** @returns how it ends, when it has */
  append(text: string, expected = this.register.read()?.stamp): { outcome: Outcome | undefined } {
    assert(expected !== undefined, "nothing was chosen");
    const result: { outcome: Outcome | undefined } = { outcome: undefined };
    const document = [...this.register.read()?.document ?? [], text];
    this.register.compareAndSet(expected, document, (outcome) => {
      assertEquals(result.outcome, undefined, "told twice");
      result.outcome = outcome;
    });
    assertEquals(result.outcome, undefined, "never from inside of the call");
    return result;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await this.register.close();
  }
}

/** Three coordinators, and the time in which they live. */
export interface RegisterPlace extends AsyncDisposable {
  readonly sides: readonly RegisterSide[];
  /** Lets time pass until it is true. @throws {Error} if it does not come true */
  until(what: string, isTrue: () => boolean): Promise<void>;
  /** Lets time pass until the promise has settled. */
  settled<T>(promise: Promise<T>): Promise<T>;
}

type Step = (name: string, body: () => Promise<void>) => Promise<unknown>;

/** Runs all cases, each at a place of its own. */
export async function registerContract(
  step: Step,
  open: () => Promise<RegisterPlace>,
): Promise<void> {
  for (const [name, body] of Object.entries(CASES)) {
    await step(name, async () => {
      await using place = await open();
      await body(new Contract(place));
    });
  }
}

class Contract {
  readonly #place: RegisterPlace;

  constructor(place: RegisterPlace) {
    this.#place = place;
  }

  get sides(): readonly RegisterSide[] {
    return this.#place.sides;
  }

  /** At every look at most one has the right, and who has it holds the register. */
  until(what: string, isTrue: () => boolean): Promise<void> {
    return this.#place.until(what, () => {
      const right = this.sides.filter(({ register }) => register.hasRight());
      assert(right.length <= 1, `${right.map(({ id }) => id).join(" and ")} have the right`);
      for (const { holding } of right) assert(holding !== undefined, "the right without the hold");
      return isTrue();
    });
  }

  settled<T>(promise: Promise<T>): Promise<T> {
    return this.#place.settled(promise);
  }

  /** Who holds it, with the right, once somebody does. */
  async holder(among = this.sides): Promise<RegisterSide> {
    const find = () => among.find(({ holding, register }) => holding && register.hasRight());
    await this.until("one holds it", () => find() !== undefined);
    const found = find();
    assert(found !== undefined);
    return found;
  }

  others(side: RegisterSide): RegisterSide[] {
    return this.sides.filter((one) => one !== side);
  }

  /** A change that is chosen, whoever has to be asked for it. */
  async changed(text: string, among = this.sides): Promise<RegisterSide> {
    for (;;) {
      const side = await this.holder(among);
      const change = side.append(text);
      await this.until(`${text} ends`, () => change.outcome !== undefined);
      if (change.outcome?.type === "chosen") return side;
    }
  }
}

const CASES: Readonly<Record<string, (contract: Contract) => Promise<void>>> = {
  async "one holds it, and all read what is there"(contract) {
    const holder = await contract.holder();
    assertEquals(holder.holding?.document, ["first"]);
    await contract.until(
      "all read it",
      () => contract.sides.every(({ text }) => text === "first"),
    );
    for (const other of contract.others(holder)) {
      assertEquals([other.holding, other.register.hasRight()], [undefined, false]);
      await contract.until(
        "it knows who holds it",
        () => other.register.state.holder?.id === holder.id,
      );
    }
  },

  async "a change is chosen under a later stamp, and read by all"(contract) {
    const holder = await contract.holder();
    const before = holder.register.read()?.stamp;
    const change = holder.append("second");
    await contract.until("it ends", () => change.outcome !== undefined);
    assert(change.outcome?.type === "chosen", change.outcome?.type);
    assert(compareStamps(change.outcome.stamp, before) > 0);
    assertEquals(holder.text, "first second");
    assertEquals(compareStamps(holder.register.read()?.stamp, change.outcome.stamp), 0);
    await contract.until(
      "all read it",
      () => contract.sides.every(({ text }) => text === "first second"),
    );
  },

  async "nothing is done for an old stamp, beside another change, or for one that does not hold it"(
    contract,
  ) {
    const holder = await contract.holder();
    const before = holder.register.read()?.stamp;
    const first = holder.append("second");
    const beside = holder.append("beside");
    await contract.until("both end", () => Boolean(first.outcome && beside.outcome));
    assertEquals([first.outcome?.type, beside.outcome?.type], ["chosen", "changed"]);
    const late = holder.append("late", before);
    const [other] = contract.others(holder);
    assert(other !== undefined);
    await contract.until("it reads it", () => other.text === "first second");
    const strange = other.append("strange");
    await contract.until("both end", () => Boolean(late.outcome && strange.outcome));
    assertEquals([late.outcome?.type, strange.outcome?.type], ["changed", "changed"]);
    await contract.changed("third");
    assertEquals(holder.text, "first second third");
  },

  async "given back, it is another one's at once, who reads every change"(contract) {
    const holder = await contract.changed("second");
    const last = holder.register.read()?.stamp;
    holder.register.release(PAUSE_MS);
    assertEquals([holder.holding, holder.register.hasRight()], [undefined, false]);
    const next = await contract.holder(contract.others(holder));
    assertEquals(next.holding?.document, ["first", "second"]);
    const later = await contract.changed("third", contract.others(holder));
    const { generation } = later.register.read()?.stamp ?? {};
    assert((generation?.number ?? 0) > (last?.generation.number ?? 0), "a later generation");
    await contract.until("the former one reads it", () => holder.text === "first second third");
  },

  async "who is cut off loses the right before another one has it, and comes back as one of the others"(
    contract,
  ) {
    const holder = await contract.changed("second");
    holder.cut(true);
    const change = holder.append("in the dark");
    const next = await contract.changed("third", contract.others(holder));
    assertEquals(holder.register.hasRight(), false);
    const isThere = next.register.read()?.document.includes("in the dark");
    holder.cut(false);
    await contract.until("the former one has lost it", () => holder.holding === undefined);
    await contract.until("its change has ended", () => change.outcome !== undefined);
    // Nobody knows, unless it is certain.
    if (isThere === true) assert(change.outcome?.type !== "changed");
    else assert(change.outcome?.type !== "chosen");
    await contract.changed("fourth");
    const wanted = ["first", "second", ...(isThere ? ["in the dark"] : []), "third", "fourth"];
    await contract.until(
      "all read the same",
      () => contract.sides.every(({ text }) => text === wanted.join(" ")),
    );
  },

  async "all are cut off: nobody has the right; then it goes on by itself"(contract) {
    const holder = await contract.changed("second");
    for (const side of contract.sides) side.cut(true);
    await contract.until(
      "the right ends",
      () => contract.sides.every(({ register }) => !register.hasRight()),
    );
    assertEquals(holder.text, "first second");
    for (const side of contract.sides) side.cut(false);
    await contract.changed("third");
    await contract.until(
      "all read it",
      () => contract.sides.every(({ text }) => text === "first second third"),
    );
  },

  async "who ends gives it back, and the others go on"(contract) {
    const holder = await contract.changed("second");
    holder.register.release(PAUSE_MS);
    await contract.settled(holder.close());
    const left = contract.others(holder);
    await contract.changed("third", left);
    await contract.until("both read it", () => left.every(({ text }) => text.endsWith("third")));
  },
};

/** Longer than any case takes. */
const PAUSE_MS = 600_000;
