/**
 * Local ejection, after Envoy's outlier detection: what one isolate does for its own requests the moment an instance
 * fails it, long before a snapshot can say so. It never writes health.
 */
export interface Ejection {
  /** Failures in a row. */
  consecutiveFailures: number;
  /** Out of rotation until then (epoch ms); in the past or 0: in rotation. */
  ejectedUntil: number;
  /** How often ejected of late; multiplies the time out, falls by one per healthy interval. */
  ejectionCount: number;
}

export const EJECTION = {
  consecutiveFailures: 5,
  baseMs: 30_000,
  maxMs: 300_000,
  /** Share of a service's instances that may be out at once. */
  maxShare: 0.5,
  /** A healthy interval, after which one past ejection is forgiven. */
  forgiveMs: 30_000,
} as const;

export const newEjection = (): Ejection => ({ consecutiveFailures: 0, ejectedUntil: 0, ejectionCount: 0 });

export const isEjected = (ejection: Ejection, now: number): boolean => ejection.ejectedUntil > now;

/** A success ends the row of failures, and pays off past ejections interval by interval. */
export function recordSuccess(ejection: Ejection, now: number): void {
  ejection.consecutiveFailures = 0;
  if (ejection.ejectionCount === 0 || ejection.ejectedUntil > now) return;
  const forgiven = Math.floor((now - ejection.ejectedUntil) / EJECTION.forgiveMs);
  if (forgiven > 0) {
    ejection.ejectionCount = Math.max(0, ejection.ejectionCount - forgiven);
    ejection.ejectedUntil += forgiven * EJECTION.forgiveMs;
  }
}

/**
 * Counts a failure and ejects on the fifth in a row, unless that would leave too few: never the last instance, at most
 * half of the set (of two, one may go). `inRotation` counts this one. Returns whether it was ejected now.
 */
export function recordFailure(ejection: Ejection, now: number, total: number, inRotation: number): boolean {
  ejection.consecutiveFailures++;
  if (ejection.consecutiveFailures < EJECTION.consecutiveFailures || isEjected(ejection, now)) return false;
  const out = total - inRotation;
  if (inRotation <= 1 || out + 1 > Math.max(1, Math.floor(total * EJECTION.maxShare))) return false;
  ejection.ejectionCount++;
  ejection.ejectedUntil = now + Math.min(EJECTION.baseMs * ejection.ejectionCount, EJECTION.maxMs);
  ejection.consecutiveFailures = 0;
  return true;
}
