import type { Config } from '../../shared/config/config.ts';
import { errorMessage } from '../../shared/error-message.ts';
import type { Instance } from '../core/state.ts';
import { every } from '../lib/every.ts';
import type { Log } from '../lib/log.ts';
import { nextTurn } from '../lib/slices.ts';
import type { AlertManager } from './alert-manager.ts';
import {
  type CertificateExpiry,
  certificateConditions,
  certificateFiles,
  createCertificateReader,
} from './conditions/certificates.ts';
import type { Condition } from './conditions/condition.ts';
import { createDueFilter } from './conditions/due.ts';
import { fullConditions } from './conditions/full.ts';
import { outlierConditions } from './conditions/outlier.ts';
import { type PlatformFacts, platformConditions } from './conditions/platform.ts';
import { receiverConditions } from './conditions/receivers.ts';
import { servingConditions } from './conditions/serving.ts';
import { readDisk, type SpoolFacts, spoolConditions } from './conditions/spool.ts';
import type { Dispatcher } from './dispatcher.ts';

export interface WatchOptions {
  config: () => Config;
  instances: () => ReadonlyMap<string, Instance>;
  platform: () => PlatformFacts;
  spool: () => Pick<SpoolFacts, 'bytes' | 'maxBytes'>;
  receivers: Dispatcher['status'];
  stateDir: string;
  evaluate: AlertManager['evaluateConditions'];
  log: Log;
  now?: () => number;
}

/** Looks for conditions once a second. */
export interface Watch {
  start(): void;
  /** When an evaluation last ended; null: none yet. */
  lastEvaluation(): number | null;
  stop(): Promise<void>;
}

const EVERY_MS = 1_000;
/** Files and the disk change slowly. */
const FILES_EVERY_MS = 30_000;
/** After its start the agent first reads the state of the instances, its stores and the edge. */
const STARTUP_MS = 10_000;

export function createWatch(options: WatchOptions): Watch {
  const { config, instances, evaluate, log, now = Date.now } = options;
  const startedAt = now();
  const due = createDueFilter();
  const files = createFileFacts(options);
  let stopTimers = (): void => {};
  let running: Promise<void> | null = null;
  let lastEvaluation: number | null = null;

  async function read(open: ReadonlySet<string>): Promise<Condition[]> {
    const at = now();
    const { alerts, services } = config();
    const { certificates, disk } = files.current();
    const serving = servingConditions({
      services: Object.keys(services),
      instances: instances().values(),
      open,
      now: at,
    });
    // Each pass over thousands of instances takes milliseconds.
    await nextTurn();
    const outliers = outlierConditions(instances().values());
    await nextTurn();
    const full = fullConditions(instances().values());
    const found = [
      ...serving,
      ...outliers,
      ...full,
      ...platformConditions(options.platform()),
      ...receiverConditions({ receivers: options.receivers(), configured: alerts.receivers, open }),
      ...certificateConditions(certificates, alerts.rules.certificateExpiry, at),
      ...spoolConditions({ ...options.spool(), disk }),
    ];
    return due(found, open, alerts.rules, at);
  }

  function turn(): void {
    if (now() - startedAt < STARTUP_MS && now() >= startedAt) return;
    running ??= evaluate(read)
      .then(() => {
        lastEvaluation = now();
      })
      .catch((error: unknown) => log.error({ error: errorMessage(error) }, 'conditions not evaluated'))
      .finally(() => {
        running = null;
      });
  }

  return {
    start() {
      files.refresh();
      const stops = [every(EVERY_MS, turn), every(FILES_EVERY_MS, files.refresh)];
      stopTimers = () => {
        for (const stop of stops) stop();
      };
    },
    lastEvaluation: () => lastEvaluation,
    async stop() {
      stopTimers();
      await running;
    },
  };
}

function createFileFacts({ config, stateDir, log }: Pick<WatchOptions, 'config' | 'stateDir' | 'log'>) {
  const readCertificates = createCertificateReader(log);
  let certificates: CertificateExpiry[] = [];
  let disk: SpoolFacts['disk'] = null;
  return {
    current: () => ({ certificates, disk }),
    refresh(): void {
      readCertificates(certificateFiles(config())).then(
        (found) => {
          certificates = found;
        },
        (error: unknown) => log.error({ error: errorMessage(error) }, 'certificates not read'),
      );
      void readDisk(stateDir).then((found) => {
        disk = found;
      });
    },
  };
}
