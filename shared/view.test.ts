import { expect, test } from 'vitest';
import type { Snapshot, SnapshotInstance, SnapshotService } from './snapshot/snapshot.ts';
import { buildView, type View } from './view.ts';

const instance = (id: string): SnapshotInstance => ({
  id,
  url: 'http://x',
  state: 'up',
  reason: '',
  since: 1,
});

function snapshot(site: string, part: Partial<Snapshot>, ids: readonly string[] = []): Snapshot {
  return {
    v: 1,
    site,
    epoch: 1,
    seq: 1,
    issuedAt: 1_000,
    gateways: [],
    services: {
      gs: {
        routes: ['/'],
        timeout: 1_000,
        deadline: 2_000,
        path: 'gateway',
        strategy: 'round_robin',
        slowStart: 0,
        failover: {
          strategy: 'graceful',
          maxAttempts: 3,
          retryBudget: 0.2,
          backoff: 0,
          hedge: false,
          class: 5,
          staleIfError: 0,
        },
        affinity: { by: 'none', ttl: 1 },
        rateLimits: [],
        access: [],
        instances: ids.map(instance),
      },
    },
    ...part,
  };
}

const view = (snapshots: readonly Snapshot[], previous: View | null = null): View =>
  buildView(snapshots, { previous, newPickerState: () => ({ cursor: 0 }), directOrigin: () => null });

const gs = (of: View) => of.services.get('gs') ?? expect.unreachable('no gs');

test('two sites recorded a move of one session: the newer snapshot wins', () => {
  const sites = [
    snapshot('a', { issuedAt: 2_000, pins: { s: { gs: 'new' } } }),
    snapshot('b', { issuedAt: 1_000, pins: { s: { gs: 'old' } } }),
  ];
  for (const order of [sites, sites.toReversed()]) expect(view(order).pins.get('s')).toEqual({ gs: 'new' });
});

test('an id at two sites: the first site of SITES keeps it, the other gets @site', () => {
  for (const issuedAt of [500, 2_000]) {
    const both = view([
      snapshot('east', { issuedAt, pins: { s1: { gs: 'gs-1' } } }, ['gs-1', 'gs-2']),
      snapshot('west', { pins: { s2: { gs: 'gs-1' } } }, ['gs-1', 'gs-3']),
    ]);
    expect([...gs(both).byKey].map(([key, { site }]) => [key, site])).toEqual([
      ['gs-1', 'east'],
      ['gs-2', 'east'],
      ['gs-1@west', 'west'],
      ['gs-3', 'west'],
    ]);
    expect(both.duplicateInstanceIds).toEqual([{ service: 'gs', id: 'gs-1', sites: ['east', 'west'] }]);
    expect([both.pins.get('s1'), both.pins.get('s2')]).toEqual([{ gs: 'gs-1' }, { gs: 'gs-1@west' }]);
    // Both get sessions.
    const placed = Array.from({ length: 100 }, (_, n) => gs(both).sessions(`session-${n}`, 0)?.key);
    expect(new Set(placed)).toEqual(new Set(['gs-1', 'gs-2', 'gs-1@west', 'gs-3']));
  }
  expect(view([snapshot('east', {}, ['gs-1']), snapshot('west', {}, ['gs-2'])]).duplicateInstanceIds).toEqual(
    [],
  );
});

test('isolate state is kept from view to view, and dropped with its instance', () => {
  const local = (of: View) => gs(of).byKey.get('gs-1')?.local;
  const first = view([snapshot('east', {}, ['gs-1', 'gs-2'])]);
  const second = view([snapshot('east', { seq: 2 }, ['gs-1']), snapshot('west', {}, ['gs-1'])], first);
  expect(local(second)).toBe(local(first));
  expect(gs(second).sites[0]?.pickerState).toBe(gs(first).sites[0]?.pickerState);
  expect(gs(second).byKey.get('gs-1@west')?.local).not.toBe(local(first));
  const without = view([snapshot('east', { seq: 3 }, ['gs-2'])], second);
  const back = view([snapshot('east', { seq: 4 }, ['gs-1'])], without);
  expect(local(back)).not.toBe(local(first));
});

test('a strategy of a newer version is an error of the snapshot, not of the requests', () => {
  const one = snapshot('a', {}, ['gs-1']);
  const service = { ...one.services.gs, strategy: 'best' } as unknown as Snapshot['services'][string];
  expect(() => view([{ ...one, services: { gs: service } }])).toThrow('unknown strategy "best"');
});

test('the edge reaches an HTTP/2 service only through gateways, because it cannot send HTTP/2 to an instance', () => {
  const directOrigin = ({ url }: SnapshotInstance) => url;
  const directOf = (protocol: Pick<SnapshotService, 'protocol'>) => {
    const one = snapshot('a', {}, ['gs-1']);
    Object.assign(one.services.gs ?? {}, protocol);
    const built = buildView([one], { previous: null, newPickerState: () => ({ cursor: 0 }), directOrigin });
    return gs(built).candidates[0]?.direct;
  };
  expect(directOf({})).toBe('http://x');
  expect(directOf({ protocol: 'http2' })).toBeNull();
});
