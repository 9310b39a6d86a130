/** Throws when the parser breaks its contract. `input` is a string of bytes (Latin-1). */
export type FuzzCheck = (input: string) => void | Promise<void>;

/** One parser of bytes from outside, and what must hold for every input. */
export interface FuzzTarget {
  /** Also the folder of its inputs in `corpus/`. */
  readonly name: string;
  /** What must hold, as the title of its test. */
  readonly holds: string;
  start(): FuzzCheck | Promise<FuzzCheck>;
}

export const utf8 = (bytes: string): string => Buffer.from(bytes, 'latin1').toString();

/** Throws unless every number of plain data, at any depth, is finite. */
export function assertFinite(data: unknown): void {
  if (typeof data === 'number' && !Number.isFinite(data)) throw new Error(`not a finite number: ${data}`);
  if (typeof data === 'object' && data !== null) for (const value of Object.values(data)) assertFinite(value);
}

/** The value of a JSON text; undefined when it is not JSON, which the HTTP layer refuses itself. */
export function jsonOf(bytes: string): unknown {
  try {
    return JSON.parse(utf8(bytes));
  } catch {
    return undefined;
  }
}
