/**
 * Local ejection, after Envoy's outlier detection: one isolate stops sending its own requests to an instance that keeps
 * failing, before a snapshot reports it. It does not change the instance's health.
 */
export interface Ejection {
  /** Not counted while ejected, so an instance that returns starts at 0. */
  consecutiveFailures: number;
  /** End of the ejection, epoch milliseconds; 0 or in the past: not ejected. */
  ejectedUntil: number;
  /** Multiplied the time of the last ejection. The next one subtracts the intervals that have passed since its end. */
  ejectionCount: number;
}

export const EJECTION = {
  consecutiveFailures: 5,
  baseMs: 30_000,
  maxMs: 300_000,
  /** Maximum share of the serving instances that are ejected at once. */
  maxShare: 0.5,
  /** Interval without an ejection after which `ejectionCount` decreases by one. */
  forgiveMs: 30_000,
} as const;

export const newEjection = (): Ejection => ({ consecutiveFailures: 0, ejectedUntil: 0, ejectionCount: 0 });

export const isEjected = (ejection: Ejection, now: number): boolean => ejection.ejectedUntil > now;

/** The instances of a service that take new sessions according to the snapshot. */
export interface ServingCount {
  /** Including the ejected ones. */
  readonly serving: number;
  readonly ejected: number;
  /** Whether the instance that failed is one of them. */
  readonly includesInstance: boolean;
}

/** Resets the consecutive failures. */
export function recordSuccess(ejection: Ejection): void {
  ejection.consecutiveFailures = 0;
}

/**
 * Counts a failure and ejects the instance on the fifth consecutive one. A failure that arrives while the instance is
 * ejected belongs to a request from before, and is not counted. `countServing` is called only when an ejection is due.
 */
export function recordFailure(ejection: Ejection, now: number, countServing: () => ServingCount): void {
  if (isEjected(ejection, now)) return;
  ejection.consecutiveFailures++;
  if (ejection.consecutiveFailures < EJECTION.consecutiveFailures || !mayEject(countServing())) return;
  ejection.ejectionCount = remainingCount(ejection, now) + 1;
  ejection.ejectedUntil = now + Math.min(EJECTION.baseMs * ejection.ejectionCount, EJECTION.maxMs);
  ejection.consecutiveFailures = 0;
}

/**
 * At most half of the serving instances are ejected, so never the last one. An instance that is not serving, such as a
 * draining one with its sessions, is ejected only while another one can take its requests.
 */
function mayEject({ serving, ejected, includesInstance }: ServingCount): boolean {
  if (!includesInstance) return serving > ejected;
  return ejected + 1 <= Math.floor(serving * EJECTION.maxShare);
}

/** The time since the last ejection counts whether or not there were requests. */
function remainingCount({ ejectionCount, ejectedUntil }: Ejection, now: number): number {
  return Math.max(0, ejectionCount - Math.floor((now - ejectedUntil) / EJECTION.forgiveMs));
}
