/**
 * Remembers the results of a pure function of a text, such as the URL of an instance. Forgets all of them when there are
 * `max`, so that texts which are no longer used do not fill the memory.
 */
export function memoize<T>(work: (text: string) => T, max = 50_000): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found;
    if (known.size >= max) known.clear();
    const result = work(text);
    known.set(text, result);
    return result;
  };
}
