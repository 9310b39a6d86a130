import { expect, test } from 'vitest';
import type { AdminState } from '../../core/state.ts';
import type { ServerStat } from '../socket/parse.ts';
import type { DesiredServer } from './desired.ts';
import { type ActualServer, adminStatesInPlace, closeLongLived, diffServers } from './diff.ts';

const want = (more: Partial<DesiredServer> = {}): Map<string, DesiredServer> =>
  new Map([
    [
      's/a',
      {
        service: 's',
        instance: 'a',
        url: 'http://10.0.0.1:80',
        verdict: 'up',
        reason: '',
        admin: 'ready',
        weight: 100,
        priority: 1,
        ...more,
      },
    ],
  ]);
const have = (more: Partial<ActualServer> = {}): Map<string, ActualServer> =>
  new Map([
    [
      's/a',
      {
        service: 's',
        instance: 'a',
        admin: 'ready',
        hasAgentCheck: true,
        agentUp: true,
        weight: 100,
        address: '10.0.0.1',
        port: 80,
        ...more,
      },
    ],
  ]);
const commands = (
  desired: Map<string, DesiredServer>,
  actual: Map<string, ActualServer>,
  ours: [string, AdminState][] = [],
) =>
  diffServers(desired, actual, new Map(ours)).flatMap((action) =>
    action.type === 'set' ? action.commands : [action.type],
  );

test('no difference, no command', () => {
  expect(commands(want(), have())).toEqual([]);
  expect(commands(want({ verdict: null }), have({ agentUp: false }))).toEqual([]);
});

test('each setting has its own command', () => {
  expect(commands(want({ verdict: 'down' }), have())).toEqual(['set server s/a agent down']);
  expect(commands(want(), have({ agentUp: false }))).toEqual(['set server s/a agent up']);
  expect(commands(want({ weight: 30 }), have())).toEqual(['set server s/a weight 30']);
  expect(commands(want({ url: 'http://[fd00::1]:81' }), have())).toEqual([
    'set server s/a addr fd00::1 port 81',
  ]);
  expect(commands(want({ url: 'http://by-name:80' }), have())).toEqual([]);
  expect(commands(want({ admin: 'drain' }), have())).toEqual(['set server s/a state drain']);
  expect(commands(want(), new Map())).toEqual(['add']);
  expect(commands(new Map(), have())).toEqual(['remove']);
});

test('a manual maint stays; a maint of the agent is undone, also one from before an agent restart', () => {
  expect(commands(want(), have({ admin: 'maint' }))).toEqual([]);
  expect(commands(want(), have({ admin: 'maint' }), [['s/a', 'ready']])).toEqual([]);
  const held = adminStatesInPlace(want({ admin: 'maint' }), have({ admin: 'maint' }));
  expect(held).toEqual([['s/a', 'maint']]);
  expect(commands(want(), have({ admin: 'maint' }), held)).toEqual(['set server s/a state ready']);
  expect(adminStatesInPlace(want(), have({ admin: 'maint' }))).toEqual([]);
  // A manual maint that replaced a drain of the agent stays when that drain ends.
  const drained: [string, AdminState][] = [['s/a', 'drain']];
  expect(commands(want({ admin: 'drain' }), have({ admin: 'maint' }), drained)).toEqual([]);
  expect(commands(want(), have({ admin: 'maint' }), drained)).toEqual([]);
  expect(commands(want({ admin: 'drain' }), have({ admin: 'maint' }), held)).toEqual([
    'set server s/a state drain',
  ]);
});

test('under maintenance the long-lived connections end, a tenth of them in each round', () => {
  const [server] = want({ admin: 'maint' }).values();
  const wanted = new Map([['s:long/a', { ...server, service: 's:long' } as DesiredServer]]);
  const open = (service: string, inflight: number) => ({ service, instance: 'a', inflight }) as ServerStat;
  const counts = (stats: ServerStat[], of = wanted) => closeLongLived(of, stats);
  expect(counts([open('s:long', 260)])).toEqual([
    { type: 'close', service: 's:long', instance: 'a', count: 26 },
  ]);
  expect(counts([open('s:long', 3)])).toMatchObject([{ count: 10 }]);
  // Requests end by themselves.
  expect(counts([open('s', 3), open('s:long', 0)])).toEqual([]);
  expect(
    counts([open('s:long', 3)], new Map([['s:long/a', { ...server, admin: 'drain' } as DesiredServer]])),
  ).toEqual([]);
});
