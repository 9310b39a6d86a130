/**
 * Local ejection, after Envoy's outlier detection: one isolate stops sending its own requests to an instance that keeps
 * failing, before a snapshot reports it. It does not change the instance's health.
 */
export interface Ejection {
  consecutiveFailures: number;
  /** End of the ejection, epoch milliseconds; 0 or in the past: not ejected. */
  ejectedUntil: number;
  /** Recent ejections; multiplies the ejection time, and decreases by one per healthy interval. */
  ejectionCount: number;
}

export const EJECTION = {
  consecutiveFailures: 5,
  baseMs: 30_000,
  maxMs: 300_000,
  /** Maximum share of instances that are ejected at once. */
  maxShare: 0.5,
  /** Healthy interval after which `ejectionCount` decreases by one. */
  forgiveMs: 30_000,
} as const;

export const newEjection = (): Ejection => ({ consecutiveFailures: 0, ejectedUntil: 0, ejectionCount: 0 });

export const isEjected = (ejection: Ejection, now: number): boolean => ejection.ejectedUntil > now;

/** Resets the consecutive failures, and decreases `ejectionCount` by the healthy intervals that have passed. */
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
 * Counts a failure and ejects the instance on the fifth consecutive one. Never ejects the last instance, and at most half
 * of all (one of two). `inRotation` includes this instance. Returns whether it is ejected now.
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
