import { valueText } from '../../shared/config/problem.ts';

/** One instance as a source lists it, not yet checked against the site. */
export interface ListedInstance {
  /** Absent: derived from the address. */
  id?: string;
  /** An http:// or https:// origin. */
  url: string;
  publicUrl?: string;
  weight: number;
  priority: number;
  maxconn?: number;
  metadata?: Record<string, string>;
}

export interface SourceList {
  instances: ListedInstance[];
  /** Entries that cannot be used, each with its value. */
  problems: string[];
  /** When to read again; absent: after the interval of the configuration. Milliseconds. */
  readAgainMs?: number;
}

/** Reads the list of one service. Knows nothing about other instances. */
export interface InstanceSourceReader {
  /** How long a read may take, milliseconds. */
  readonly deadlineMs: number;
  /** The longest time between two reads that fail, milliseconds. Absent: the interval of the source. */
  readonly retryWithinMs?: number;
  /** Throws a SourceError with the cause. */
  read(signal: AbortSignal): Promise<SourceList>;
  /** Resolves when the list has changed since the last read, or rejects. Absent: the source sends no changes. */
  changed?(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** A source cannot be read, or its answer is invalid. The message names the value. */
export class SourceError extends Error {
  override name = 'SourceError';
}

/** Answers with more entries are refused. */
export const MAX_LISTED = 2_000;

/** The entries of a list. `given`: where it comes from, such as `Consul answered`. Throws a SourceError. */
export function entriesOf(value: unknown, given: string): unknown[] {
  if (!Array.isArray(value))
    throw new SourceError(`${given} ${valueText(value ?? null)}; expected a list of instances`);
  if (value.length > MAX_LISTED)
    throw new SourceError(`${given} ${value.length} entries; at most ${MAX_LISTED} are read`);
  return value;
}

export const MAX_ANSWER_BYTES = 4 * 1_048_576;

export const originOf = (scheme: string, address: string, port: number): string =>
  new URL(`${scheme}://${address.includes(':') ? `[${address}]` : address}:${port}`).origin;

/** The weight of the heaviest instance of a list, and of every instance of a list without weights. */
export const FULL_WEIGHT = 100;

/** Scales a weight so that the weights of a list keep their ratio. If all are zero, all are equal. */
export const relativeWeight = (weight: number, greatest: number): number =>
  greatest > 0 ? Math.max(1, Math.round((weight / greatest) * FULL_WEIGHT)) : FULL_WEIGHT;
