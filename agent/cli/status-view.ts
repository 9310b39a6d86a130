import { verdictOf } from '../http/dashboard/public/verdict.js';
import type { ApiAlert } from '../http/schemas/alerts.ts';
import type { ApiChange, ApiHistoryEvent } from '../http/schemas/events.ts';
import type { StatusDocument, StatusInstance } from '../http/schemas/status.ts';
import { formatAge, formatClock, formatNumber, plural, stateStyle } from './format.ts';
import { type StatusListing, type StatusRow, statusRows } from './status-rows.ts';
import {
  formatTable,
  replaceControlCharacters,
  type TableColumn,
  type Terminal,
  wrapText,
} from './terminal.ts';
import { utcSecond } from './time-options.ts';

type FactName = 'site' | 'traffic' | 'requests' | 'snapshot' | 'edge' | 'sinks' | 'sources' | 'advice';

/** The parts of a status, each a text of one or more lines or empty. */
export interface StatusParts {
  verdict: string;
  alerts: string;
  facts: Readonly<Record<FactName, string>>;
  instances: string;
  changes: string;
}

/**
 * Formats the status: the verdict, the main facts, the instances, the latest changes. The instances of a large fleet are
 * folded unless `all` is set.
 */
export function formatStatus(status: StatusDocument, terminal: Terminal, all = false): string {
  const { verdict, alerts, facts, instances, changes } = statusParts(status, terminal, all ? 'all' : 'auto');
  return [verdict, alerts, Object.values(facts).filter(Boolean).join('\n'), instances, changes]
    .filter((part) => part !== '')
    .join('\n\n');
}

export function statusParts(status: StatusDocument, terminal: Terminal, listing: StatusListing): StatusParts {
  const recent = withoutDuplicateChanges(status.changes).slice(0, 5);
  return {
    verdict: wrapText(verdictText(status, terminal), 2, terminal),
    alerts: status.alerts.length > 0 ? alertsText(status, terminal) : '',
    facts: formatFacts(status, terminal),
    instances: instancesText(status, terminal, listing),
    changes:
      recent.length === 0
        ? ''
        : [
            terminal.paint('bold', 'Recent changes'),
            ...recent.map((change) => formatChange(change, terminal)),
          ].join('\n'),
  };
}

/** The figures of the site; of the service when it is the only one. */
function figuresOf({ total, services }: StatusDocument): StatusDocument['total'] {
  const [only, other] = services;
  return only && !other ? { ...only.traffic, inflight: only.inflight, queued: only.queued } : total;
}

/** Drops a health or breaker change that repeats a state change of the same instance, time and reason. */
function withoutDuplicateChanges(changes: StatusDocument['changes']): StatusDocument['changes'] {
  const same = (a: ApiChange, b: ApiChange) =>
    a.at === b.at && a.service === b.service && a.instance === b.instance && a.reason === b.reason;
  return changes.filter(
    (change) =>
      !['health', 'breaker'].includes(change.kind) ||
      !changes.some((other) => other.kind === 'state' && same(other, change)),
  );
}

/** The dashboard's verdict in one line. */
function verdictText(status: StatusDocument, terminal: Terminal): string {
  const { tone, headline, counts, notes } = verdictOf(status);
  if (tone === 'bad') return terminal.paint('red', `✗ ${replaceControlCharacters(headline)}`);
  if (tone === 'warn') return terminal.paint('yellow', `! ${replaceControlCharacters(headline)}`);
  if (notes.length > 0) return terminal.paint('yellow', `✓ every service is served; ${counts}`);
  return terminal.paint('green', `✓ ${counts}`);
}

const isOpen = ({ silenced, acknowledgedAt }: ApiAlert): boolean => !silenced && acknowledgedAt === null;

const MAX_ALERTS = 5;
const SEVERITY_ORDER: readonly ApiAlert['severity'][] = ['warning', 'critical', 'emergency'];

function alertsText({ alerts, at }: StatusDocument, terminal: Terminal): string {
  const worstFirst = alerts.toSorted(
    (a, b) => SEVERITY_ORDER.indexOf(b.severity) - SEVERITY_ORDER.indexOf(a.severity),
  );
  const lines = worstFirst.slice(0, MAX_ALERTS).map((alert) => {
    const { severity, startedAt, message, acknowledgedBy, silenced } = alert;
    const note =
      acknowledgedBy !== null ? ` (acknowledged by ${acknowledgedBy})` : silenced ? ' (silenced)' : '';
    const style = isOpen(alert) ? (severity === 'warning' ? 'yellow' : 'red') : 'dim';
    const text = `${terminal.paint(style, severity)}  ${formatAge(at - startedAt)}  ${replaceControlCharacters(`${message}${note}`)}`;
    return wrapText(text, 2, terminal);
  });
  const rest = alerts.length > MAX_ALERTS ? [`and ${alerts.length - MAX_ALERTS} more: acgs-lb alerts`] : [];
  return [terminal.paint('bold', 'Alerts'), ...lines, ...rest].join('\n');
}

function formatFacts(status: StatusDocument, terminal: Terminal): StatusParts['facts'] {
  const { snapshot, edge, at } = status;
  const figures = figuresOf(status);
  const line = (name: FactName | '', text: string): string =>
    `${terminal.paint('dim', name.padEnd(9))}${wrapText(text, 9, terminal)}`;
  const published =
    snapshot.publishedAt === null
      ? 'never published'
      : `published ${formatAge(at - snapshot.publishedAt)} ago`;
  const problem = snapshot.error ? ` (${snapshot.error})` : '';
  return {
    site: line(
      'site',
      `${status.site}, ${status.leader.role}, up ${formatAge(at - status.startedAt)}, version ${status.version}`,
    ),
    traffic: line('traffic', trafficText(figures)),
    requests: line('requests', requestsText(figures)),
    snapshot: line('snapshot', `epoch ${snapshot.epoch} seq ${snapshot.seq}, ${published}${problem}`),
    edge: line(
      'edge',
      edge.isolates === 0
        ? 'no report in the last five minutes'
        : `${plural(edge.isolates, 'isolate')}, oldest snapshot in use ${edge.oldest ? `${edge.oldest.epoch}.${edge.oldest.seq} (${edge.oldest.source})` : 'none'}`,
    ),
    sinks: line(
      'sinks',
      Object.entries(status.sinks)
        .map(([name, sink]) => {
          const waiting = sink.pending > 0 ? ` (${sink.pending} waiting)` : '';
          return `${name} ${terminal.paint(stateStyle(sink.state), sink.state)}${waiting}`;
        })
        .join('  '),
    ),
    sources: status.sources
      .map((source, index) => line(index === 0 ? 'sources' : '', sourceText(source, status.at, terminal)))
      .join('\n'),
    advice: (status.advice ?? [])
      .map(({ service, message, action }, index) =>
        line(index === 0 ? 'advice' : '', replaceControlCharacters(`${service}: ${message}. ${action}`)),
      )
      .join('\n'),
  };
}

const SOURCE_STYLES = {
  starting: 'dim',
  standby: 'dim',
  ok: 'green',
  refused: 'yellow',
  failing: 'red',
} as const;

/** What lists the instances of a service, with its problem. */
function sourceText(
  { service, source, state, problem, readAt }: StatusDocument['sources'][number],
  at: number,
  terminal: Terminal,
): string {
  const age = readAt === null ? '' : `, read ${formatAge(at - readAt)} ago`;
  const detail = problem === '' ? '' : `: ${replaceControlCharacters(problem)}`;
  return `${service} from ${source} ${terminal.paint(SOURCE_STYLES[state], state)}${age}${detail}`;
}

function trafficText(total: StatusDocument['total']): string {
  const { perSecond, errorPercent, p50, p95, p99, inflight, queued } = total;
  const waiting = `${inflight} in flight, ${queued} queued`;
  if (perSecond === 0 && errorPercent === null) {
    return `no requests in the last minute${inflight + queued > 0 ? `, ${waiting}` : ''}`;
  }
  const latency =
    p50 === null
      ? 'latency not measured'
      : `p50 ${formatNumber(p50)} p95 ${formatNumber(p95)} p99 ${formatNumber(p99)} ms`;
  return `${formatNumber(perSecond, 1)}/s, errors ${formatNumber(errorPercent, 2)} %, ${latency}, ${waiting}`;
}

/** The requests of the last minute, with their attempts, retries and hedges. */
function requestsText({
  requests,
  failed,
  attempts,
  retries,
  hedges,
  limited,
}: StatusDocument['total']): string {
  return `${requests} in the last minute, ${failed} failed, ${limited} rate-limited; ${attempts} attempts, ${retries} retries, ${hedges} hedges`;
}

function instancesText(status: StatusDocument, terminal: Terminal, listing: StatusListing): string {
  const rows = statusRows(status.services, listing);
  const of = (read: (instance: StatusInstance) => string) => (row: StatusRow) =>
    row.instance ? read(row.instance) : '';
  const traffic = (read: (traffic: StatusInstance['traffic']) => string) => (row: StatusRow) => {
    const rates = row.instance?.traffic ?? row.traffic;
    return rates ? read(rates) : '';
  };
  const columns: TableColumn<StatusRow>[] = [
    { title: 'SERVICE', value: (row) => (row.first ? row.service : '') },
    { title: 'INSTANCE', value: (row) => row.instance?.id ?? row.label, shrinkFactor: 0.6, minWidth: 16 },
    {
      title: 'STATE',
      value: (row) => row.instance?.state ?? row.state,
      style: (row) => stateStyle(row.instance?.state ?? row.state),
    },
    { title: 'FOR', value: of((instance) => formatAge(status.at - instance.since)), align: 'right' },
    {
      title: 'REQ/S',
      value: traffic((rates) => formatNumber(rates.perSecond, 1)),
      align: 'right',
      dropPriority: 3,
    },
    {
      title: 'ERR %',
      value: traffic((rates) => formatNumber(rates.errorPercent, 1)),
      align: 'right',
      dropPriority: 2,
    },
    {
      title: 'P95 MS',
      value: traffic((rates) => formatNumber(rates.p95)),
      align: 'right',
      dropPriority: 2,
    },
    {
      title: 'SHARE %',
      value: of((instance) => formatNumber(instance.trafficPercent, 1)),
      align: 'right',
      dropPriority: 4,
    },
    { title: 'OPEN', value: of(formatOpen), align: 'right', dropPriority: 5 },
    { title: 'WEIGHT', value: of(formatWeight), align: 'right', dropPriority: 5 },
    {
      title: 'WHY',
      value: ({ instance, failed }) => (instance ? reasonText(instance) : failed),
      shrinkFactor: 1,
      // The reason helps more than the figures that are dropped for it.
      minWidth: 28,
    },
  ];
  return formatTable(rows, columns, terminal);
}

/** An instance that does worse than its peers: how much of the traffic it really gets. */
function reasonText({ reason, outlier, trafficPercent }: StatusInstance): string {
  if (!outlier) return reason;
  const evidence = reason.includes(outlier.evidence)
    ? reason
    : `${reason}; ${outlier.cause}: ${outlier.evidence}`;
  return trafficPercent === null
    ? evidence
    : `${evidence}; gets ${formatNumber(trafficPercent, 1)} % of the traffic`;
}

/** Open connections: requests in flight and long-lived ones. */
const formatOpen = ({ inflight, longLived = 0 }: StatusInstance): string => String(inflight + longLived);

/** The operator's weight, and the share of it that the agent leaves to a slow or failing instance. */
function formatWeight({ weight, outlier, latencyShare = 1 }: StatusInstance): string {
  const share = Math.min(outlier?.share ?? 1, latencyShare);
  return share === 1 ? String(weight) : `${weight} × ${Math.round(share * 100)} %`;
}

export const formatChange = (change: ApiChange, terminal: Terminal): string =>
  changeLine(change, formatClock(change.at), terminal);

/** With the date, in UTC. */
export const formatHistoryEvent = (event: ApiHistoryEvent, terminal: Terminal): string =>
  changeLine(event, utcSecond(event.at), terminal);

type ShownChange = Pick<ApiChange, 'service' | 'instance' | 'from' | 'to' | 'reason' | 'by'> & {
  kind: string;
};

function changeLine(change: ShownChange, time: string, terminal: Terminal): string {
  const { service, instance, kind, from, to, reason, by } = change;
  const move = to === undefined ? '' : from === undefined ? ` ${to}` : ` ${from} → ${to}`;
  const subject = [service, instance].filter(Boolean).join('/');
  const text = [
    ...(subject && kind !== 'config' ? [subject] : []),
    terminal.paint(
      kind === 'config' ? 'cyan' : stateStyle(to ?? ''),
      kind === 'config' ? kind : `${kind}${move}`,
    ),
    replaceControlCharacters(by === undefined ? reason : `${reason}  (${by})`),
  ].join('  ');
  return `${terminal.paint('dim', time)}  ${wrapText(text, time.length + 2, terminal)}`;
}
