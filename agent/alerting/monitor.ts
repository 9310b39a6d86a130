import type { Config } from '../../shared/config/config.ts';
import type { Update } from '../core/sink.ts';
import type { Instance } from '../core/state.ts';
import { createTrafficWindow } from '../core/traffic-window.ts';
import type { Log } from '../lib/log.ts';
import { type SiteSummary, summarizeTraffic } from './summary.ts';

/** Watches: gathers what passes, and every `monitor.interval` hands a summary to whoever judges it. */
export interface Monitor {
  accept(update: Update): void;
  summary(): SiteSummary;
  start(): void;
  stop(): Promise<void>;
}

export interface MonitorOptions {
  config: () => Config;
  instances: () => ReadonlyMap<string, Instance>;
  evaluate: (summary: SiteSummary) => Promise<void>;
  log: Log;
  now?: () => number;
}

export function createMonitor({
  config,
  instances,
  evaluate: judge,
  log,
  now = Date.now,
}: MonitorOptions): Monitor {
  const window = createTrafficWindow(() => config().monitor.window);
  let since = now();
  let timer: NodeJS.Timeout | undefined;
  let judging: Promise<void> | null = null;

  const summary = (): SiteSummary =>
    summarizeTraffic({ config: config(), window, instances: instances().values(), now: now(), since });

  function schedule(): void {
    timer = setTimeout(() => {
      // A judge that hangs on the database must not pile up rounds.
      judging ??= judge(summary())
        .catch((error: Error) => log.error({ error: error.message }, 'the monitor could not judge'))
        .finally(() => {
          judging = null;
        });
      schedule();
    }, config().monitor.interval);
    timer.unref();
  }

  return {
    accept(update) {
      // The clock was set back.
      since = Math.min(since, update.at);
      window.add(update);
    },
    summary,
    start: schedule,
    async stop() {
      clearTimeout(timer);
      await judging;
    },
  };
}
