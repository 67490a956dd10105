/**
 * Deep equality: structure, not identity. NaN equals NaN, and 0 equals -0; two objects must share
 * their constructor; maps and sets compare without order; cycles are followed once.
 *
 * @module
 */

/** Whether two values are deeply equal. @throws {TypeError} for two WeakMaps or WeakSets */
export function equal(a: unknown, b: unknown): boolean {
  return new Comparison().equal(a, b);
}

function isPrimitive(value: unknown): boolean {
  return value === null || (typeof value !== "object" && typeof value !== "function");
}

function sameClass(a: object, b: object): boolean {
  const [first, second] = [a.constructor, b.constructor];
  return first === second || (first === Object && !second) || (!first && second === Object);
}

class Comparison {
  /** Pairs under comparison, so that a cycle ends. */
  readonly #seen = new Map<object, object>();

  equal(a: unknown, b: unknown): boolean {
    if (Object.is(a, b) || a === b) return true;
    if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
    return this.#equalObjects(a, b);
  }

  #equalObjects(a: object, b: object): boolean {
    if (
      (a instanceof RegExp && b instanceof RegExp) || (a instanceof URL && b instanceof URL)
    ) {
      return String(a) === String(b);
    }
    if (a instanceof Date && b instanceof Date) return Object.is(a.getTime(), b.getTime());
    if (!sameClass(a, b)) return false;
    if (a instanceof WeakMap || a instanceof WeakSet) {
      throw new TypeError(`cannot compare ${a.constructor.name} instances`);
    }
    if (a instanceof WeakRef && b instanceof WeakRef) return this.equal(a.deref(), b.deref());
    if (a instanceof Uint8Array && b instanceof Uint8Array) return this.#equalBytes(a, b);
    if (this.#seen.get(a) === b) return true;
    this.#seen.set(a, b);
    if (a instanceof Set && b instanceof Set) return this.#equalSets(a, b);
    if (a instanceof Map && b instanceof Map) return this.#equalMaps(a, b);
    return this.#equalFields(a, b);
  }

  #equalBytes(a: Uint8Array, b: Uint8Array): boolean {
    return a.length === b.length && a.every((byte, i) => byte === b[i]);
  }

  #equalSets(a: Set<unknown>, b: Set<unknown>): boolean {
    if (a.size !== b.size) return false;
    const left = [...b].filter((item) => !a.has(item));
    for (const item of a) {
      if (b.has(item)) continue;
      if (isPrimitive(item)) return false;
      const at = left.findIndex((other) => this.equal(item, other));
      if (at < 0) return false;
      left.splice(at, 1);
    }
    return true;
  }

  #equalMaps(a: Map<unknown, unknown>, b: Map<unknown, unknown>): boolean {
    if (a.size !== b.size) return false;
    const left = [...b].filter(([key]) => !a.has(key));
    for (const [key, value] of a) {
      if (b.has(key)) {
        if (!this.equal(value, b.get(key))) return false;
        continue;
      }
      const at = left.findIndex(([other, otherValue]) =>
        this.equal(key, other) && this.equal(value, otherValue)
      );
      if (at < 0) return false;
      left.splice(at, 1);
    }
    return true;
  }

  #equalFields(a: object, b: object): boolean {
    const names = ownNames(a);
    if (names.length !== ownNames(b).length) return false;
    return names.every((name) =>
      Object.hasOwn(b, name) && this.equal(Reflect.get(a, name), Reflect.get(b, name))
    );
  }
}

function ownNames(value: object): (string | symbol)[] {
  const symbols = Object.getOwnPropertySymbols(value)
    .filter((symbol) => Object.prototype.propertyIsEnumerable.call(value, symbol));
  return [...Object.keys(value), ...symbols];
}
