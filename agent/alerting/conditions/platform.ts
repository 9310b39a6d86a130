import { compareSnapshotOrder, type SnapshotOrder } from '../../../shared/snapshot/snapshot.ts';
import type { SinkStatus } from '../../core/sink.ts';
import { type SourceStatus, sourceText } from '../../discovery/status.ts';
import { firstProblem, splitProblems } from '../../lib/first-problem.ts';
import type { Condition } from './condition.ts';

/** What the agent knows about itself and the edge. */
export interface PlatformFacts {
  sinks: Readonly<Record<string, SinkStatus>>;
  snapshot: {
    /** Null: no snapshot was published yet. */
    publishedAt: number | null;
    /** The order that was in force a minute ago. */
    expected: SnapshotOrder | null;
    /** Why the last attempt failed; null when it succeeded. */
    error: string | null;
  } | null;
  edge: {
    /** Null: the edge has not reported to this agent yet. */
    lastReport: number | null;
    /** The newest snapshot that an isolate has used. */
    newest: SnapshotOrder | null;
  };
  /** Requests of the site in the last minute. */
  recentRequests: number;
  /** The last refused configuration file; null when the file in force is the last one read. */
  refusedConfig: { at: number; problem: string } | null;
  /** The sources of instances of services. */
  sources: readonly SourceStatus[];
  now: number;
}

/** The edge reports every few seconds while it has requests. */
const EDGE_SILENT_MS = 60_000;
/** The snapshot is published every five minutes even without a change. */
const SNAPSHOT_OLD_MS = 660_000;
/** A report this recent shows what the edge uses now. */
const REPORTING_MS = 30_000;
const SITE = { service: '', subject: '' } as const;

/** Sinks that fail, a silent edge, a snapshot that is not taken, a refused configuration file, sources that fail. */
export function platformConditions(facts: PlatformFacts): Condition[] {
  return [
    ...sinkConditions(facts),
    ...edgeConditions(facts),
    ...snapshotConditions(facts),
    ...configConditions(facts),
    ...sourceConditions(facts),
  ];
}

const seconds = (ms: number): number => Math.round(ms / 1000);

function sinkConditions({ sinks, now }: PlatformFacts): Condition[] {
  return Object.entries(sinks)
    .filter(([name, { state }]) => state !== 'ok' && name !== 'snapshot')
    .map(([name, { pending, lastError, lastSuccess }]) => ({
      rule: 'sinkFailing',
      service: '',
      subject: name,
      severity: name === 'haproxy' ? 'critical' : 'warning',
      value: pending,
      threshold: 0,
      message:
        `${name}: ${lastError ?? 'no update has succeeded yet'}` +
        `${pending > 0 ? `; ${pending} waiting` : ''}` +
        `${lastSuccess === null ? '' : `; last success ${seconds(now - lastSuccess)} s ago`}`,
    }));
}

function edgeConditions({ edge, recentRequests, now }: PlatformFacts): Condition[] {
  if (edge.lastReport === null || recentRequests === 0) return [];
  const silentMs = now - edge.lastReport;
  if (silentMs < EDGE_SILENT_MS) return [];
  return [
    {
      ...SITE,
      rule: 'edgeSilent',
      severity: 'warning',
      value: seconds(silentMs),
      threshold: seconds(EDGE_SILENT_MS),
      message: `the edge has sent no report for ${seconds(silentMs)} s; the site had ${recentRequests} requests in the last minute`,
    },
  ];
}

function snapshotConditions({ snapshot, edge, now }: PlatformFacts): Condition[] {
  if (!snapshot) return [];
  const problem = snapshotProblem(snapshot, edge, now);
  if (problem === null) return [];
  return [
    {
      ...SITE,
      rule: 'snapshotNotTaken',
      severity: 'warning',
      value: snapshot.publishedAt === null ? 0 : seconds(now - snapshot.publishedAt),
      threshold: seconds(SNAPSHOT_OLD_MS),
      message: `the edge does not take the snapshot: ${problem}`,
    },
  ];
}

function snapshotProblem(
  { expected, error, publishedAt }: NonNullable<PlatformFacts['snapshot']>,
  { newest, lastReport }: PlatformFacts['edge'],
  now: number,
): string | null {
  if (error !== null) return `publishing fails: ${error}`;
  if (publishedAt !== null && now - publishedAt > SNAPSHOT_OLD_MS) {
    return `the last one was published ${seconds(now - publishedAt)} s ago`;
  }
  const reports = lastReport !== null && now - lastReport < REPORTING_MS;
  if (!reports || !expected || !newest || compareSnapshotOrder(newest, expected) >= 0) return null;
  return `it uses ${newest.epoch}.${newest.seq} a minute after ${expected.epoch}.${expected.seq} was published`;
}

function configConditions({ refusedConfig }: PlatformFacts): Condition[] {
  if (!refusedConfig) return [];
  const { problem, at } = refusedConfig;
  return [
    {
      ...SITE,
      rule: 'configRefused',
      severity: 'warning',
      value: splitProblems(problem).length,
      threshold: 1,
      message: `the configuration file was refused, the earlier one stays in force: ${firstProblem(problem)}`,
      since: at,
    },
  ];
}

function sourceConditions({ sources, now }: PlatformFacts): Condition[] {
  return sources
    .filter(({ state }) => state === 'failing' || state === 'refused')
    .map((status) => ({
      rule: status.state === 'failing' ? 'sourceFailing' : 'listRefused',
      service: status.service,
      subject: '',
      severity: 'warning',
      value: seconds(now - status.since),
      threshold: 0,
      message: `${status.service}: ${sourceText(status)}`,
      since: status.since,
    }));
}
