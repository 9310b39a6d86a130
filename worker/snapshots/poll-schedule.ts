import { elapsedMs } from '../../shared/elapsed.ts';
import { Gcra } from '../../shared/limits/gcra.ts';
import { MAX_POLL_MS, MIN_POLL_MS, pollIntervalMs, REQUESTS_PER_POLL } from './polling.ts';

/** A poll that takes longer was cancelled together with its request. */
const POLL_TIMEOUT_MS = 6_000;
/** Polls because of signs of trouble: two a minute on average, at most ten in a row. */
const EARLY_POLL_WINDOW_MS = 60_000;
const EARLY_POLLS_PER_WINDOW = 2;
const EARLY_POLL_BURST = 10;

/** What a poll of the Hub showed. */
interface PollResult {
  /** Epoch milliseconds at which the Hub gave this answer. */
  readonly readAt: number;
  /** The Hub failed, or a site's snapshot is older here than there. */
  readonly isIncomplete: boolean;
  readonly hasDirectService: boolean;
  /** 0–1. */
  readonly random: number;
}

/** When this isolate polls the Hub next. All times are epoch milliseconds. */
export class PollSchedule {
  readonly #earlyPolls = new Gcra(EARLY_POLL_WINDOW_MS, EARLY_POLL_BURST, 1);
  #isPolling = false;
  #hasSearched = false;
  #startedAt = 0;
  /** When the Hub gave its last answer that this isolate knows. */
  #readAt = 0;
  #intervalMs = 0;
  #requests = 0;
  /** When an instance of any site last changed its state. */
  #changedAt = 0;

  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** Counts a request, and says whether a poll is due. */
  countRequest(now: number): boolean {
    this.#requests += 1;
    return this.isDue(now);
  }

  isDue(now: number): boolean {
    if (this.#isBusy(now)) return false;
    if (this.#isPolling) return true;
    const interval = this.#requests >= REQUESTS_PER_POLL ? MIN_POLL_MS : this.#intervalMs;
    return elapsedMs(this.#readAt, now) > interval;
  }

  /**
   * Without a snapshot: whether a request searches Hub and KV. The requests of a new isolate all do (`first`). After a
   * search without a result one request does every two seconds (`again`), because Hub and KV may hang.
   */
  searchDue(now: number): 'first' | 'again' | null {
    if (!this.#hasSearched) return 'first';
    return !this.#isBusy(now) && elapsedMs(this.#readAt, now) > MIN_POLL_MS ? 'again' : null;
  }

  #isBusy(now: number): boolean {
    return this.#isPolling && elapsedMs(this.#startedAt, now) <= POLL_TIMEOUT_MS;
  }

  /** Something is wrong with an instance or a gateway, so a change is likely. Makes a poll due, within a budget. */
  expectChange(now: number): void {
    if (this.#intervalMs <= MIN_POLL_MS || elapsedMs(this.#readAt, now) < MIN_POLL_MS) return;
    if (this.#earlyPolls.take('', EARLY_POLLS_PER_WINDOW, 1, now).allowed) this.#intervalMs = MIN_POLL_MS;
  }

  /** An instance changed its state. Other changes often follow, so the next polls are soon. */
  noteChange(changedAt: number): void {
    if (changedAt <= this.#changedAt) return;
    this.#changedAt = changedAt;
    this.#intervalMs = MIN_POLL_MS;
  }

  /** The next request polls, because this isolate lacks the snapshots of some sites. */
  pollAtOnce(): void {
    this.#intervalMs = 0;
  }

  /** Returns the maximum age of a cached answer: an older one is hardly newer than the last answer. */
  start(now: number): number {
    this.#isPolling = true;
    this.#startedAt = now;
    this.#requests = 0;
    return Math.min(MAX_POLL_MS, elapsedMs(this.#readAt, now)) / 2;
  }

  read({ readAt, isIncomplete, hasDirectService, random }: PollResult, now: number): void {
    this.#readAt = readAt;
    this.#intervalMs = isIncomplete
      ? MIN_POLL_MS
      : pollIntervalMs({ changeAgeMs: now - this.#changedAt, hasDirectService, random });
  }

  end(): void {
    this.#isPolling = false;
    this.#hasSearched = true;
  }
}
