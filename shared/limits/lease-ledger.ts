/**
 * The central side of a global limit: one book per key, kept by a Durable Object. Isolates lease units in advance, so
 * that the common request asks nobody. Units count when leased, not when used.
 *
 * A lease is at most remaining / 2n for n isolates that asked of late: the first cannot take all. What an isolate did
 * not use it hands back when it asks again. So in any window at most `limit` plus the units outstanding at its start
 * are admitted: a lease lives a tenth of the window, at most two seconds.
 */
export interface LeaseLedger {
  /** Number of the newest bucket; a window has 32 of them. */
  bucket: number;
  /** Units leased per bucket, a ring. */
  counts: number[];
  /** Isolate → when it last asked, epoch ms. */
  holders: Record<string, number>;
}

export interface QuotaLeaseRequest {
  isolate: string;
  limit: number;
  windowMs: number;
  /** Units the request at hand needs: less is no use. */
  need: number;
  /** Units it could use until the lease ends. */
  want: number;
  /** Units of the last lease that were not used. */
  unused: number;
}

export interface QuotaLease {
  /** 0: denied. */
  units: number;
  /** How long it may be used; when denied, how long until asking may help. */
  forMs: number;
  /** Units nobody has leased. */
  remaining: number;
}

/** Of a window. */
const PARTS = 32;
/** One more, because the newest is not over yet: together they always span the whole window. */
const BUCKETS = PARTS + 1;

export const newLeaseLedger = (): LeaseLedger => ({
  bucket: 0,
  counts: new Array(BUCKETS).fill(0),
  holders: {},
});

export const leaseDurationMs = (windowMs: number): number => Math.max(50, Math.min(windowMs / 10, 2_000));

/** Changes the book. */
export function grantLease(book: LeaseLedger, request: QuotaLeaseRequest, now: number): QuotaLease {
  const { limit, windowMs, need } = request;
  const bucketMs = windowMs / PARTS;
  roll(book, Math.floor(now / bucketMs));
  takeBack(book, request.unused);
  const forMs = leaseDurationMs(windowMs);
  const isolates = countHolders(book, request.isolate, now, forMs);
  const remaining = limit - book.counts.reduce((sum, count) => sum + count, 0);
  if (remaining < need)
    return { units: 0, forMs: untilFree(book, need - remaining, now, bucketMs), remaining };
  const units = Math.min(
    Math.max(request.want, need),
    Math.max(need, Math.floor(remaining / (2 * isolates))),
  );
  const index = book.bucket % BUCKETS;
  book.counts[index] = (book.counts[index] ?? 0) + units;
  return { units, forMs, remaining: remaining - units };
}

/** Epoch ms from when on a book says nothing that still counts. */
export const ledgerExpiresAt = (book: LeaseLedger, windowMs: number): number =>
  Math.max(0, ...Object.values(book.holders)) + 2 * windowMs + 60_000;

function roll(book: LeaseLedger, bucket: number): void {
  if (bucket < book.bucket - BUCKETS) {
    // The clock was set back: what was leased "then" would count until it is as late again.
    Object.assign(book, newLeaseLedger());
  }
  for (let next = Math.max(book.bucket + 1, bucket - BUCKETS + 1); next <= bucket; next++) {
    book.counts[next % BUCKETS] = 0;
  }
  book.bucket = Math.max(book.bucket, bucket);
}

/** Newest buckets first: that is where an unused lease was counted. */
function takeBack(book: LeaseLedger, unused: number): void {
  let left = unused;
  for (let back = 0; back < BUCKETS && left > 0; back++) {
    const index = (book.bucket - back + BUCKETS * 2) % BUCKETS;
    const taken = Math.min(left, book.counts[index] ?? 0);
    book.counts[index] = (book.counts[index] ?? 0) - taken;
    left -= taken;
  }
}

function countHolders(book: LeaseLedger, isolate: string, now: number, forMs: number): number {
  for (const [name, at] of Object.entries(book.holders)) {
    if (now - at > 2 * forMs) delete book.holders[name];
  }
  book.holders[isolate] = now;
  return Object.keys(book.holders).length;
}

/** Milliseconds until enough of the oldest buckets have left the window. */
function untilFree(book: LeaseLedger, missing: number, now: number, bucketMs: number): number {
  let freed = 0;
  for (let age = BUCKETS - 1; age >= 0; age--) {
    const number = book.bucket - age;
    freed += book.counts[((number % BUCKETS) + BUCKETS) % BUCKETS] ?? 0;
    if (freed >= missing) return Math.max(1, (number + BUCKETS) * bucketMs - now);
  }
  return BUCKETS * bucketMs;
}
