import stringWidth from 'string-width';
import { expect, test } from 'vitest';
import { quietTraffic, sampleStatus, sampleStatusService } from '../../test/harness/status-document.ts';
import type { StatusDocument, StatusInstance } from '../http/schemas/status.ts';
import { formatStatus } from './status-view.ts';
import type { Terminal } from './terminal.ts';

const terminal: Terminal = {
  interactive: true,
  showsProgress: true,
  columns: 100,
  rows: 24,
  write() {},
  error() {},
  progressLine() {},
  paint: (_, text) => text,
};
const status = (states: StatusInstance['state'][], more: Partial<StatusDocument> = {}): StatusDocument =>
  sampleStatus([sampleStatusService('gs', states)], more);
const quiet = { ...quietTraffic, inflight: 0, queued: 0 };
const verdict = (states: StatusInstance['state'][]) => formatStatus(status(states), terminal).split('\n')[0];

test('the verdict names what is reduced or failed', () => {
  expect(verdict(['up', 'up'])).toBe('✓ all 2 instances of gs up');
  expect(verdict(['up'])).toBe('✓ 1 of 1 instance of gs up');
  expect(verdict(['up', 'draining'])).toBe(
    '✓ every service is served; 1 of 2 instances of gs up, 1 draining',
  );
  expect(verdict(['up', 'probation', 'draining'])).toContain(
    '1 of 3 instances of gs up, 1 draining, 1 on probation',
  );
  expect(verdict(['up', 'down'])).toBe('! gs-2 is down: as it is');
  expect(verdict(['up', 'down', 'down', 'down', 'down'])).toBe('! gs: 4 of 5 instances are down: as it is');
  expect(verdict(['draining', 'down'])).toContain('✗ gs takes no traffic: none of its 2 instances is up');
});

test('an instance in maintenance is not a failure', () => {
  const [service] = status(['up', 'down']).services;
  const instances = service?.instances.map((one) => ({
    ...one,
    admin: one.state === 'down' ? ('maint' as const) : ('ready' as const),
  }));
  const services = service && instances ? [{ ...service, instances }] : [];
  expect(formatStatus(status([], { services }), terminal).split('\n')[0]).toBe(
    '✓ every service is served; 1 of 2 instances of gs up, 1 in maintenance',
  );
});

test('long names leave room for the reason at any width', () => {
  const [service] = status(['up', 'down']).services;
  const instances = service?.instances.map((one) => ({ ...one, id: `${one.id}-${'x'.repeat(50)}` }));
  const services = service && instances ? [{ ...service, instances }] : [];
  for (const columns of [60, 80, 120, 200]) {
    const text = formatStatus(status([], { services }), { ...terminal, columns });
    for (const line of text.split('\n')) expect(stringWidth(line), line).toBeLessThanOrEqual(columns);
    expect(text).toContain('as it is');
  }
});

test('no traffic shows no figures; a single service shows its own figures', () => {
  expect(formatStatus(status(['up']), terminal)).toContain('traffic  no requests in the last minute\n');
  const total = { ...quiet, perSecond: 40, errorPercent: 1, p50: 3, p95: 5, p99: 9, inflight: 2 };
  const busy = status(['up'], { total });
  const [service] = busy.services;
  if (service) service.traffic = { ...total, perSecond: 7 };
  expect(formatStatus(busy, terminal)).toContain('7.0/s, errors 1.00 %, p50 3.0 p95 5.0 p99 9.0 ms');
});

test('a health change with the same reason as a state change is not repeated', () => {
  const change = { at: 1, service: 'gs', instance: 'gs-1', reason: '2 of 2 probes passed' };
  const text = formatStatus(
    status(['up'], {
      changes: [
        { ...change, kind: 'state', from: 'down', to: 'up' },
        { ...change, kind: 'health', from: 'unknown', to: 'up' },
        { ...change, at: 0, kind: 'health', from: 'up', to: 'down', reason: 'other' },
      ],
    }),
    terminal,
  );
  expect(text.match(/state down → up/g)).toHaveLength(1);
  expect(text).not.toContain('health unknown');
  expect(text).toContain('health up → down');
});

test('a large fleet: worst first, healthy services folded, all with --all', () => {
  const up = (count: number) => Array.from({ length: count }, () => 'up' as const);
  const services = [
    sampleStatusService('calm', up(1_000)),
    sampleStatusService('slow', [...up(998), 'probation']),
    sampleStatusService('sick', ['up', 'draining', 'down', ...up(997)]),
    sampleStatusService(
      'dead',
      Array.from({ length: 50 }, () => 'down' as const),
    ),
  ];
  const large = status([], { services });
  const lines = formatStatus(large, terminal).split('\n');
  expect(lines.length).toBeLessThan(40);
  const table = lines.slice(lines.findIndex((line) => line.startsWith('SERVICE')) + 1);
  const cells = table.map((line) => line.trim().split(/\s{2,}/));
  // A service without any serving instance is the worst.
  expect(cells[0]?.[0]).toBe('dead');
  expect(cells[1]?.[0]).toBe('dead-1');
  expect(cells.find(([first]) => first === '44 more')).toEqual(['44 more', 'down']);
  const sick = cells.slice(cells.findIndex(([first]) => first === 'sick'));
  expect(sick.slice(1, 4).map((row) => row.slice(0, 2))).toEqual([
    ['sick-3', 'down'],
    ['sick-2', 'draining'],
    ['998 others', 'up'],
  ]);
  expect(sick[5]?.slice(0, 2)).toEqual(['slow-999', 'probation']);
  expect(cells.at(-1)?.slice(0, 3)).toEqual(['calm', 'all 1000', 'up']);
  expect(formatStatus(large, terminal, true).split('\n').length).toBeGreaterThan(3_050);
  const many = Array.from({ length: 500 }, (_, n) => sampleStatusService(`s${n}`, up(6)));
  const folded = formatStatus(status([], { services: many }), terminal);
  expect(folded.split('\n').length).toBeLessThan(40);
  expect(folded).toMatch(/^480 more +all 2880 +up\b/m);
});

test('requests that failed show for their service, also when no instance has an attempt', () => {
  const [service] = status(['down', 'down']).services;
  const dead = {
    ...quietTraffic,
    requests: 908,
    failed: 54,
    perSecond: 15.1,
    errorPercent: 5.95,
    p50: 2,
    p95: 4,
    p99: 9,
  };
  const services = service ? [{ ...service, traffic: dead }] : [];
  const text = formatStatus(status([], { services }), terminal);
  expect(text).toContain('errors 5.95 %');
  expect(text).toContain('908 in the last minute, 54 failed, 0 rate-limited; 0 attempts');
  expect(text).toMatch(/^gs .* 15\.1 .*54 of 908/m);
});

test('a slow instance shows against what, and its measured share of the traffic', () => {
  const [service] = status(['up', 'up']).services;
  const evidence = 'p50 812 ms, peers 5 ms';
  const instances = (service?.instances ?? []).map((one, index) => ({
    ...one,
    trafficPercent: index === 0 ? 97.9 : 2.1,
    ...(index === 1 && {
      reason: `slow: ${evidence}`,
      outlier: { cause: 'slow' as const, evidence, share: 0.05, since: 0 },
    }),
  }));
  const services = service ? [{ ...service, instances }] : [];
  const text = formatStatus(status([], { services }), { ...terminal, columns: 160 });
  expect(text).toContain('slow: p50 812 ms, peers 5 ms; gets 2.1 % of the traffic');
});

test('each source of instances has a line with its problem; without sources there is none', () => {
  const source = { service: 'web', source: 'dns web.internal', since: 0 };
  const sources: StatusDocument['sources'] = [
    { ...source, state: 'ok', problem: '', readAt: 57_000 },
    { ...source, service: 'api', source: 'file /x', state: 'failing', problem: '/x: ENOENT', readAt: null },
  ];
  expect(formatStatus(status(['up'], { sources }), terminal)).toContain(
    'sources  web from dns web.internal ok, read 3s ago\n         api from file /x failing: /x: ENOENT\n',
  );
  expect(formatStatus(status(['up']), terminal)).not.toContain('sources');
});
