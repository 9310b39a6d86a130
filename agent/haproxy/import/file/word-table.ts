/** A table indexed by words of a file. It has no prototype, so that a word such as `constructor` finds nothing. */
export const wordTable = <T>(entries: Readonly<Record<string, T>>): Readonly<Record<string, T>> =>
  Object.assign(Object.create(null), entries);
