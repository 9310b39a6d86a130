import { createEdgeWatch } from '../alerting/conditions/edge-watch.ts';
import { createRefusedConfig } from '../configuration/refused.ts';
import { createEventLog } from '../core/event-log.ts';
import { createHostLoad } from '../core/host-load.ts';
import { createListenerErrorReporter } from '../core/listener-errors.ts';
import { createLoop } from '../core/loop.ts';
import { instanceKey } from '../core/state.ts';
import { createStateFile } from '../core/state-file.ts';
import { createStatusView } from '../http/dashboard/status.ts';
import { initialRecords } from '../judge/initial.ts';
import { shiftRecord } from '../judge/shift.ts';
import { step } from '../judge/step.ts';
import { createMetrics } from '../metrics/metrics.ts';
import { probeIntervalFor } from '../probes/interval.ts';
import { createProber } from '../probes/scheduler.ts';
import { probeTargetsOf } from '../probes/targets.ts';
import { createSpanExporter } from '../tracing/otlp/exporter.ts';
import { createTraceHistory } from '../tracing/trace-history.ts';
import { createTracing } from '../tracing/tracing.ts';
import { createRequestCounting } from './request-counting.ts';
import { logError, type Setup } from './setup.ts';
import type { Stores } from './stores.ts';

/** After this time the agent is ready even if an instance never answered a probe. */
const READY_AFTER_MS = 5_000;

export type Core = ReturnType<typeof createCore>;

/** Stage 2: the loop, the probes that feed it, and its passive listeners. */
export function createCore({ config, env, version, stateDir, startedAt, log }: Setup, stores: Stores) {
  const { saved, window, history } = stores;
  const events = createEventLog();
  const statusView = createStatusView({ config, window });
  const metrics = createMetrics({
    version,
    site: config().site.id,
    services: Object.keys(config().services),
    window,
  });
  const loop = createLoop({
    step,
    shift: shiftRecord,
    initialRecords: initialRecords(config(), saved, startedAt),
    policies: config().services,
    hostLoad: createHostLoad(),
    window,
    onListenerError: createListenerErrorReporter(log, metrics.listenerError),
  });
  const prober = createProber({
    onResult(result) {
      metrics.probe(result);
      loop.apply(result);
    },
  });
  loop.watchRecords((record, now) => {
    const { service, id } = record.instance;
    prober.setProbeInterval(instanceKey(service, id), probeIntervalFor(record, now));
  });
  const stateFile = createStateFile({
    stateDir,
    records: () => loop.records().values(),
    onError: logError(log, 'state not saved'),
  });
  return {
    events,
    statusView,
    metrics,
    loop,
    prober,
    stateFile,
    edgeWatch: createEdgeWatch(),
    refusedConfig: createRefusedConfig(),
    tracing: createTracing({
      history: createTraceHistory({ write: history.sink.writer.write, database: history.database }),
      site: () => config().site.id,
      onDropped: metrics.spansDropped,
      exporter: createSpanExporter({
        config,
        variable: env.variable,
        version,
        log,
        onExported: metrics.spansExported,
        onDropped: metrics.spansDropped,
      }),
    }),
    probeAll: () => prober.sync(probeTargetsOf(loop.instances().values(), config())),
    ...createRequestCounting({ config, env, log }, stores, metrics),
    /** File instances without a health result, which delay readiness for at most READY_AFTER_MS. */
    instancesWithoutState(): string[] {
      if (Date.now() - startedAt > READY_AFTER_MS) return [];
      return [...loop.instances().values()]
        .filter(({ health, origin }) => health === 'unknown' && origin === 'file')
        .map(({ id }) => id);
    },
  };
}
