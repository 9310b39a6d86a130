import { expect, test } from 'vitest';
import type { CompletedAttempt } from './attempt.ts';
import { type HedgePlan, type PendingAttempt, withHedge } from './hedge.ts';

const attempt = (status: number): CompletedAttempt => ({
  plan: { route: { kind: 'direct', origin: 'http://a' }, candidate: null, token: null, timeoutMs: 1_000 },
  result: { kind: 'response', status, via: 'direct', unsentMark: false },
  response: null,
  servedBy: null,
  ms: 1,
});

interface ControlledAttempt extends PendingAttempt {
  cancelled: boolean;
  finish: (attempt: CompletedAttempt) => void;
}

function pending(): ControlledAttempt {
  const { promise, resolve } = Promise.withResolvers<CompletedAttempt>();
  const controlled: ControlledAttempt = {
    result: promise,
    finish: resolve,
    cancelled: false,
    cancel: () => {
      controlled.cancelled = true;
    },
  };
  return controlled;
}

const never: HedgePlan = { afterMs: 3_600_000, start: () => null };
/** Starts the second attempt at once. Resolves `started` then. */
function immediately(second: PendingAttempt) {
  const { promise: started, resolve } = Promise.withResolvers<void>();
  const start = () => {
    resolve();
    return second;
  };
  return { plan: { afterMs: 0, start }, started };
}

test('sends no second attempt when the first is fast enough', async () => {
  const first = pending();
  const ok = attempt(200);
  first.finish(ok);
  expect(await withHedge(first, never)).toEqual({ winner: ok, loser: null });
});

test('waits for the first attempt when no second one can be started', async () => {
  const first = pending();
  const ok = attempt(200);
  const start = () => {
    first.finish(ok);
    return null;
  };
  expect(await withHedge(first, { afterMs: 0, start })).toEqual({ winner: ok, loser: null });
});

test('the first success wins and the other attempt is cancelled', async () => {
  const [first, second] = [pending(), pending()];
  const { plan, started } = immediately(second);
  const racing = withHedge(first, plan);
  await started;
  const ok = attempt(200);
  second.finish(ok);
  expect(await racing).toEqual({ winner: ok, loser: null });
  expect([first.cancelled, second.cancelled]).toEqual([true, false]);
});

test('after a failure the other attempt wins, even when it fails too', async () => {
  const [first, second] = [pending(), pending()];
  const { plan, started } = immediately(second);
  const racing = withHedge(first, plan);
  await started;
  const [sooner, later] = [attempt(503), attempt(502)];
  second.finish(sooner);
  await second.result;
  first.finish(later);
  expect(await racing).toEqual({ winner: later, loser: sooner });
  expect([first.cancelled, second.cancelled]).toEqual([false, false]);
});
