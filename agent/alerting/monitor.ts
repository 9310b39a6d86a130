import type { Config } from '../../shared/config/config.ts';
import type { Instance } from '../core/state.ts';
import type { TrafficWindow } from '../core/traffic-window.ts';
import type { Log } from '../lib/log.ts';
import { type SiteSummary, summarizeTraffic } from './summary.ts';

/** Summarizes the traffic window every `monitor.interval` and passes the summary to `evaluate`. */
export interface Monitor {
  summary(): SiteSummary;
  start(): void;
  stop(): Promise<void>;
}

export interface MonitorOptions {
  config: () => Config;
  window: TrafficWindow;
  instances: () => ReadonlyMap<string, Instance>;
  evaluate: (summary: SiteSummary) => Promise<void>;
  log: Log;
  now?: () => number;
}

export function createMonitor(options: MonitorOptions): Monitor {
  const { config, window, instances, evaluate, log, now = Date.now } = options;
  let since = now();
  let timer: NodeJS.Timeout | undefined;
  let evaluation: Promise<void> | null = null;

  function summary(): SiteSummary {
    const at = now();
    // The clock may be set back.
    since = Math.min(since, at);
    return summarizeTraffic({
      config: config(),
      window,
      instances: instances().values(),
      now: at,
      since,
    });
  }

  function schedule(): void {
    timer = setTimeout(() => {
      // One evaluation at a time, even when the database hangs.
      evaluation ??= evaluate(summary())
        .catch((error: Error) => log.error({ error: error.message }, 'alert evaluation failed'))
        .finally(() => {
          evaluation = null;
        });
      schedule();
    }, config().monitor.interval);
    timer.unref();
  }

  return {
    summary,
    start: schedule,
    async stop() {
      clearTimeout(timer);
      await evaluation;
    },
  };
}
