/**
 * The central side of a global limit: one ledger per key, in a Durable Object. Isolates lease units in advance, so most
 * requests need no call. Units count when leased, not when used.
 *
 * A lease is at most remaining / 2n for n recently active isolates, so the first cannot take all. It lasts a tenth of the
 * window, from 50 ms to 2 s. Units that an isolate does not use are lost to the window. Any window admits at most `limit`
 * plus the units outstanding at its start.
 */
export interface LeaseLedger {
  /** Number of the newest bucket; a window has 32 buckets. */
  bucket: number;
  /** Units leased per bucket, a ring buffer. */
  counts: number[];
  /** Isolate → time of its last request, epoch milliseconds. */
  holders: Record<string, number>;
}

export interface QuotaLeaseRequest {
  isolate: string;
  limit: number;
  windowMs: number;
  /** Minimum units: those of the current client request. */
  need: number;
  /** Units the isolate expects to use until the lease ends. */
  want: number;
}

export interface QuotaLease {
  /** 0: denied. */
  units: number;
  /** Duration of the lease; when denied, the time until a retry can succeed. */
  forMs: number;
  /** Units that are not leased. */
  remaining: number;
}

const BUCKETS_PER_WINDOW = 32;
/** One more, because the newest bucket is incomplete: together they always cover a whole window. */
const BUCKETS = BUCKETS_PER_WINDOW + 1;

export const newLeaseLedger = (): LeaseLedger => ({
  bucket: 0,
  counts: new Array(BUCKETS).fill(0),
  holders: {},
});

export const leaseDurationMs = (windowMs: number): number => Math.max(50, Math.min(windowMs / 10, 2_000));

/** Grants or denies a lease. Mutates the ledger. */
export function grantLease(ledger: LeaseLedger, request: QuotaLeaseRequest, now: number): QuotaLease {
  const { limit, windowMs, need } = request;
  const bucketMs = windowMs / BUCKETS_PER_WINDOW;
  roll(ledger, Math.floor(now / bucketMs));
  const forMs = leaseDurationMs(windowMs);
  const isolates = countHolders(ledger, request.isolate, now, forMs);
  const remaining = limit - ledger.counts.reduce((sum, count) => sum + count, 0);
  if (remaining < need) {
    return {
      units: 0,
      forMs: untilFree(ledger, need - remaining, now, bucketMs),
      remaining,
    };
  }
  const units = Math.min(
    Math.max(request.want, need),
    Math.max(need, Math.floor(remaining / (2 * isolates))),
  );
  const index = ledger.bucket % BUCKETS;
  ledger.counts[index] = (ledger.counts[index] ?? 0) + units;
  return { units, forMs, remaining: remaining - units };
}

/** The time when the ledger can be deleted, epoch milliseconds: none of its leases counts any more. */
export const ledgerExpiresAt = (ledger: LeaseLedger, windowMs: number): number =>
  Math.max(0, ...Object.values(ledger.holders)) + 2 * windowMs + 60_000;

function roll(ledger: LeaseLedger, bucket: number): void {
  if (bucket < ledger.bucket - BUCKETS) setBack(ledger, bucket);
  for (let next = Math.max(ledger.bucket + 1, bucket - BUCKETS + 1); next <= bucket; next++) {
    ledger.counts[next % BUCKETS] = 0;
  }
  ledger.bucket = Math.max(ledger.bucket, bucket);
}

/**
 * The clock was set back by more than a window: the buckets are in the future and would count until then. They keep their
 * ages instead, so that the clock gives no second limit.
 */
function setBack(ledger: LeaseLedger, bucket: number): void {
  const counts: number[] = new Array(BUCKETS).fill(0);
  for (let age = 0; age < BUCKETS; age++) {
    counts[indexOf(bucket - age)] = ledger.counts[indexOf(ledger.bucket - age)] ?? 0;
  }
  Object.assign(ledger, { bucket, counts, holders: {} });
}

/** The place of a bucket, also of one before 1970. */
const indexOf = (bucket: number): number => ((bucket % BUCKETS) + BUCKETS) % BUCKETS;

function countHolders(ledger: LeaseLedger, isolate: string, now: number, forMs: number): number {
  for (const [name, at] of Object.entries(ledger.holders)) {
    if (now - at > 2 * forMs) delete ledger.holders[name];
  }
  ledger.holders[isolate] = now;
  return Object.keys(ledger.holders).length;
}

/** Milliseconds until enough of the oldest buckets have left the window. */
function untilFree(ledger: LeaseLedger, missing: number, now: number, bucketMs: number): number {
  let freed = 0;
  for (let age = BUCKETS - 1; age >= 0; age--) {
    const number = ledger.bucket - age;
    freed += ledger.counts[indexOf(number)] ?? 0;
    if (freed >= missing) return Math.max(1, (number + BUCKETS) * bucketMs - now);
  }
  return BUCKETS * bucketMs;
}
