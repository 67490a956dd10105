/**
 * Several pieces of work at a time.
 *
 * @module
 */

/**
 * Does the work of each index below `count`, so many at once. After the first failure nothing more is
 * begun; it is thrown when what was begun has ended.
 */
export async function inParallel(
  count: number,
  atOnce: number,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failure: { readonly reason: unknown } | undefined;
  const worker = async () => {
    while (next < count && failure === undefined) {
      try {
        await work(next++);
      } catch (reason) {
        failure ??= { reason };
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  if (failure !== undefined) throw failure.reason;
}
