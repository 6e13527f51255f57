/** Much at once, but not all of it. */

/** Runs `act` on each, so many at a time; after the first fault no other is begun, and it is thrown when those begun have ended. */
export async function inParallel<T, R>(
  items: readonly T[],
  atOnce: number,
  act: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  let fault: { readonly cause: unknown } | undefined;
  const work = async () => {
    while (next < items.length && !fault) {
      const index = next++;
      try {
        results[index] = await act(items[index]!, index);
      } catch (cause) {
        fault ??= { cause };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, work));
  if (fault) throw fault.cause as Error;
  return results;
}
