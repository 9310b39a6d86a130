import type { Config } from '../../shared/config/config.ts';
import type { Instance } from '../core/state.ts';
import { MIN_RETENTION_MS, type TrafficTotals, type TrafficWindow } from '../core/traffic-window.ts';
import type { Log } from '../lib/log.ts';
import { inSlices } from '../lib/slices.ts';
import { historyRange, summarizeWithHistory } from './long-summary.ts';
import { type SiteSummary, summarySteps } from './summary.ts';

/** Summarizes the traffic window every `monitor.interval` and passes the summary to `evaluate`. */
export interface Monitor {
  summary(): Promise<SiteSummary>;
  /** The figures of the last `windowMs`. What memory no longer holds comes from the database, so it may reject. */
  figures(windowMs: number): Promise<SiteSummary>;
  start(): void;
  stop(): Promise<void>;
}

export interface MonitorOptions {
  config: () => Config;
  window: TrafficWindow;
  instances: () => ReadonlyMap<string, Instance>;
  /** Requests by service in the minutes that start in [from, to), epoch seconds. */
  readRequests: (range: { from: number; to: number }) => Promise<ReadonlyMap<string, TrafficTotals>>;
  /** `newest` summarizes the newest part of the window. */
  evaluate: (summary: SiteSummary, newest: SiteSummary) => Promise<void>;
  /** Whether an alert of a threshold fires: then evaluations are more frequent, to notice the recovery. */
  isFiring?: () => boolean;
  log: Log;
  now?: () => number;
}

export function createMonitor(options: MonitorOptions): Monitor {
  const { config, window, instances, evaluate, log, now = Date.now } = options;
  const { isFiring = () => false } = options;
  let since = now();
  let timer: NodeJS.Timeout | undefined;
  let evaluation: Promise<void> | null = null;

  function summary(spanMs = config().monitor.window): Promise<SiteSummary> {
    const at = now();
    // The clock may be set back.
    since = Math.min(since, at);
    return inSlices(
      summarySteps({
        config: config(),
        spanMs,
        window,
        instances: instances().values(),
        now: at,
        since,
      }),
    );
  }

  async function evaluateNow(): Promise<void> {
    await evaluate(await summary(), await summary(newestMs(config().monitor)));
  }

  async function figures(windowMs: number): Promise<SiteSummary> {
    const at = now();
    const input = { config: config(), window, now: at, since, spanMs: windowMs };
    const held = Math.max(config().monitor.window, MIN_RETENTION_MS);
    const isInMemory = windowMs <= Math.min(held, at - since);
    if (isInMemory) return inSlices(summarySteps({ ...input, instances: instances().values() }));
    const range = historyRange(at, windowMs, since);
    return summarizeWithHistory(
      { ...input, instances: instances().values() },
      range,
      await options.readRequests(range),
    );
  }

  function schedule(): void {
    timer = setTimeout(
      () => {
        // One evaluation at a time, even when the database hangs.
        evaluation ??= evaluateNow()
          .catch((error: Error) => log.error({ error: error.message }, 'alert evaluation failed'))
          .finally(() => {
            evaluation = null;
          });
        schedule();
      },
      delayMs(config().monitor.interval, isFiring()),
    );
    timer.unref();
  }

  return {
    summary: () => summary(),
    figures,
    start: schedule,
    async stop() {
      clearTimeout(timer);
      await evaluation;
    },
  };
}

/** While an alert fires, so that its recovery shows within one interval. */
const FIRING_INTERVAL_MS = 5_000;

const delayMs = (interval: number, firing: boolean): number =>
  firing ? Math.min(interval, FIRING_INTERVAL_MS) : interval;

/** Half an interval: with whole buckets and the pace above, a recovery shows within one. */
const newestMs = ({ interval, window }: Config['monitor']): number => Math.min(interval / 2, window);
