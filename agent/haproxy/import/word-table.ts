/** A table that is indexed by words of a file. Without a prototype, so that it has no entry `constructor`. */
export const wordTable = <T>(entries: Readonly<Record<string, T>>): Readonly<Record<string, T>> =>
  Object.assign(Object.create(null), entries);
