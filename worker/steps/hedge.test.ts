import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DEFAULT_HEADERS } from '../../shared/snapshot/snapshot.ts';
import type { CompletedAttempt } from './attempt.ts';
import { type PendingAttempt, type SendResult, sendWithHedges } from './hedge.ts';

const ROUTE = { kind: 'direct', origin: 'http://a' } as const;
const DELAY_MS = 100;

const attempt = (status: number): CompletedAttempt => ({
  plan: {
    route: ROUTE,
    site: null,
    candidate: null,
    token: null,
    wanted: DEFAULT_HEADERS,
    spanId: '',
    timeoutMs: 1_000,
  },
  result: { kind: 'response', status, via: 'direct', unsentMark: false },
  response: null,
  servedBy: null,
  startedAt: 0,
  ms: 1,
});

/** An attempt that ends when the test ends it, or when it is cancelled. */
class ControlledAttempt implements PendingAttempt {
  readonly route = ROUTE;
  readonly candidate = null;
  readonly site = null;
  readonly spanId = '';
  readonly hedge = false;
  readonly startedAt = 0;
  cancelled = false;
  readonly #ended = Promise.withResolvers<CompletedAttempt>();
  readonly result = this.#ended.promise;

  cancel = (): void => {
    this.cancelled = true;
    this.#ended.resolve({ ...attempt(0), result: { kind: 'thrown', message: 'aborted' } });
  };

  async finish(status: number): Promise<CompletedAttempt> {
    const completed = attempt(status);
    this.#ended.resolve(completed);
    await vi.advanceTimersByTimeAsync(0);
    return completed;
  }
}

/** Sends a request with the given copies; null: the copy is refused. */
function race(...copies: (ControlledAttempt | null)[]) {
  const first = new ControlledAttempt();
  const waiting = [...copies];
  let late = (): void => {};
  let asked = 0;
  let result: SendResult | null = null;
  const sendCopy = (): ControlledAttempt | null => {
    asked++;
    return waiting.shift() ?? null;
  };
  const sending = sendWithHedges(
    (onLate) => {
      late = onLate;
      return first;
    },
    { sendCopy, everyMs: DELAY_MS, maxCopies: 2 },
  );
  void sending.then((value) => {
    result = value;
  });
  return {
    first,
    late: () => late(),
    asked: () => asked,
    result: () => result,
  };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  // No timer may remain that would send a copy of a request that has ended.
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

test('an attempt that is fast enough has no copy, and needs no timer', async () => {
  const { first, result, asked } = race(new ControlledAttempt());
  expect(vi.getTimerCount()).toBe(0);
  const ok = await first.finish(200);
  expect(result()).toEqual({ attempt: ok, failedAttempts: [], cancelled: [], hedges: 0, hedgeWon: false });
  expect(asked()).toBe(0);
});

test('the copy answers first: the original is cancelled', async () => {
  const copy = new ControlledAttempt();
  const { first, late, result } = race(copy);
  late();
  const ok = await copy.finish(200);
  expect(result()).toEqual({
    attempt: ok,
    failedAttempts: [],
    cancelled: [first],
    hedges: 1,
    hedgeWon: true,
  });
  expect([first.cancelled, copy.cancelled]).toEqual([true, false]);
});

test('the original answers first: the copies are cancelled', async () => {
  const copies = [new ControlledAttempt(), new ControlledAttempt()] as const;
  const { first, late, result } = race(...copies);
  late();
  await vi.advanceTimersByTimeAsync(DELAY_MS);
  const ok = await first.finish(200);
  expect(result()).toMatchObject({ attempt: ok, cancelled: copies, hedges: 2, hedgeWon: false });
  expect(copies.map(({ cancelled }) => cancelled)).toEqual([true, true]);
});

test('a second copy follows after the same delay, and there is no third', async () => {
  const copies = [new ControlledAttempt(), new ControlledAttempt(), new ControlledAttempt()];
  const { first, late, asked } = race(...copies);
  late();
  expect(asked()).toBe(1);
  await vi.advanceTimersByTimeAsync(DELAY_MS - 1);
  expect(asked()).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(asked()).toBe(2);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked()).toBe(2);
  await first.finish(200);
});

test('a refused copy is tried again later', async () => {
  const copy = new ControlledAttempt();
  const { late, asked, result } = race(null, null, copy);
  late();
  await vi.advanceTimersByTimeAsync(499);
  expect(asked()).toBe(2);
  await vi.advanceTimersByTimeAsync(1);
  const ok = await copy.finish(200);
  expect(result()).toMatchObject({ attempt: ok, hedges: 1, hedgeWon: true });
});

test('a failure waits for the attempts that are still running', async () => {
  const copy = new ControlledAttempt();
  const { first, late, result } = race(copy);
  late();
  const failed = await first.finish(503);
  expect(result()).toBeNull();
  const ok = await copy.finish(200);
  expect(result()).toMatchObject({ attempt: ok, failedAttempts: [failed], cancelled: [], hedgeWon: true });
});

test('a copy that fails leaves the original running', async () => {
  const copy = new ControlledAttempt();
  const { first, late, result } = race(copy);
  late();
  const failed = await copy.finish(502);
  const ok = await first.finish(200);
  expect(result()).toMatchObject({ attempt: ok, failedAttempts: [failed], hedges: 1, hedgeWon: false });
});

test('when all fail the last failure counts, and no copy has won', async () => {
  const copy = new ControlledAttempt();
  const { first, late, result } = race(copy);
  late();
  const sooner = await first.finish(503);
  const later = await copy.finish(502);
  expect(result()).toMatchObject({ attempt: later, failedAttempts: [sooner], hedges: 1, hedgeWon: false });
});

test('a late attempt that fails without a copy ends the request at once', async () => {
  const { first, late, result } = race(null);
  late();
  const failed = await first.finish(502);
  expect(result()).toMatchObject({ attempt: failed, failedAttempts: [], hedges: 0 });
});
