/**
 * A promise with what settles it, as `Promise.withResolvers` makes it, which Node 20 does not have yet.
 *
 * @module
 */

/** What {@linkcode promiseParts} makes. */
export interface PromiseParts<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

/** A promise that is settled from outside. */
export function promiseParts<T>(): PromiseParts<T> {
  let resolve: (value: T) => void = () => {};
  let reject: (reason: unknown) => void = () => {};
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
