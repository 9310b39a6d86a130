import type { Status } from './shapes.ts';
import { type Column, type Terminal, table } from './terminal.ts';
import { ageText, clockText, numberText, plural, stateStyle } from './words.ts';

type Instance = Status['services'][number]['instances'][number];
type Service = Status['services'][number];

/** The whole system as text: the verdict first, then what is wrong, then everything. */
export function statusText(status: Status, terminal: Terminal): string {
  const parts = [verdict(status, terminal), facts(status, terminal), instancesText(status, terminal)];
  const recent = status.changes.slice(0, 5);
  if (recent.length > 0) {
    parts.push(
      [terminal.paint('bold', 'Lately'), ...recent.map((change) => changeText(change, terminal))].join('\n'),
    );
  }
  return parts.join('\n\n');
}

function verdict(status: Status, terminal: Terminal): string {
  const instances = status.services.flatMap((service) => service.instances);
  const bad = instances.filter((instance) => instance.state === 'down');
  const dark = status.services.filter(
    (service) => !service.instances.some((instance) => ['up', 'probation'].includes(instance.state)),
  );
  const sinks = Object.entries(status.sinks).filter(([, sink]) => sink.state !== 'ok');
  if (dark.length > 0) {
    return terminal.paint(
      'red',
      `✗ no instance takes traffic for ${dark.map((service) => service.id).join(', ')}`,
    );
  }
  if (bad.length > 0) {
    return terminal.paint(
      'yellow',
      `! ${plural(bad.length, 'instance')} of ${instances.length} down, every service answers`,
    );
  }
  if (sinks.length > 0) {
    return terminal.paint(
      'yellow',
      `! traffic is fine; ${sinks.map(([name, sink]) => `${name} ${sink.state}`).join(', ')}`,
    );
  }
  return terminal.paint(
    'green',
    `✓ all ${plural(instances.length, 'instance')} of ${plural(status.services.length, 'service')} fine`,
  );
}

function facts(status: Status, terminal: Terminal): string {
  const { total, snapshot, edge } = status;
  const lines: [string, string][] = [
    [
      'site',
      `${status.site}, ${status.leader.role}, up ${ageText(status.at - status.startedAt)}, version ${status.version}`,
    ],
    [
      'traffic',
      `${numberText(total.perSecond, 1)}/s, errors ${numberText(total.errorPercent, 2)} %, ` +
        `p50 ${numberText(total.p50)} p95 ${numberText(total.p95)} p99 ${numberText(total.p99)} ms, ` +
        `${total.inflight} in flight, ${total.queued} queued`,
    ],
    [
      'snapshot',
      `epoch ${snapshot.epoch} seq ${snapshot.seq}, ` +
        (snapshot.publishedAt === null
          ? 'never published'
          : `published ${ageText(status.at - snapshot.publishedAt)} ago`) +
        (snapshot.error ? ` (${snapshot.error})` : ''),
    ],
    [
      'edge',
      edge.isolates === 0
        ? 'no report in the last five minutes'
        : `${plural(edge.isolates, 'isolate')}, oldest snapshot in use ${edge.oldest ? `${edge.oldest.epoch}.${edge.oldest.seq} (${edge.oldest.source})` : 'none'}`,
    ],
    [
      'sinks',
      Object.entries(status.sinks)
        .map(([name, sink]) => {
          const waiting = sink.pending > 0 ? ` (${sink.pending} waiting)` : '';
          return `${name} ${terminal.paint(stateStyle(sink.state), sink.state)}${waiting}`;
        })
        .join('  '),
    ],
  ];
  return lines.map(([name, text]) => `${terminal.paint('dim', name.padEnd(9))}${text}`).join('\n');
}

interface Row {
  service: Service;
  instance: Instance | null;
  first: boolean;
}

function instancesText(status: Status, terminal: Terminal): string {
  const rows: Row[] = status.services.flatMap((service) =>
    (service.instances.length > 0 ? service.instances : [null]).map((instance, index) => ({
      service,
      instance,
      first: index === 0,
    })),
  );
  const of = (read: (instance: Instance) => string) => (row: Row) => (row.instance ? read(row.instance) : '');
  const columns: Column<Row>[] = [
    { title: 'SERVICE', value: (row) => (row.first ? row.service.id : '') },
    { title: 'INSTANCE', value: (row) => row.instance?.id ?? '(none)' },
    {
      title: 'STATE',
      value: of((instance) => instance.state),
      style: (row) => stateStyle(row.instance?.state ?? ''),
    },
    { title: 'FOR', value: of((instance) => ageText(status.at - instance.since)), align: 'right' },
    { title: 'REQ/S', value: of((instance) => numberText(instance.traffic.perSecond, 1)), align: 'right' },
    { title: 'ERR %', value: of((instance) => numberText(instance.traffic.errorPercent, 1)), align: 'right' },
    { title: 'P95 MS', value: of((instance) => numberText(instance.traffic.p95)), align: 'right' },
    { title: 'WEIGHT', value: of((instance) => String(instance.weight)), align: 'right' },
    { title: 'WHY', value: of((instance) => instance.reason), shrink: 1 },
  ];
  return table(rows, columns, terminal);
}

export function changeText(change: Status['changes'][number], terminal: Terminal): string {
  const move = change.to === undefined ? '' : ` ${change.from ?? '?'} → ${change.to}`;
  const style = stateStyle(change.to ?? '');
  return `${terminal.paint('dim', clockText(change.at))}  ${change.service}/${change.instance}  ${terminal.paint(style, `${change.kind}${move}`)}  ${change.reason}`;
}
