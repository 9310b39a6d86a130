import { expect, test } from 'vitest';
import type { AdminState, Change } from '../../core/state.ts';
import type { ActionResult } from './actions.ts';
import type { DesiredServer } from './desired.ts';
import {
  type HaproxyPoll,
  initialState,
  type ReconcilerEffect,
  type ReconcilerEvent,
  type ReconcilerState,
} from './state.ts';
import { step } from './step.ts';

const FINGERPRINT = 'acgs-lb:1';
const SERVER = { service: 's', instance: 'a', url: 'http://127.0.0.1:1', weight: 100, priority: 1 } as const;

/** One HAProxy with the server `s/a`, driven by hand. */
function machine(role: ReconcilerState['role'] = 'own') {
  let state = initialState(role);
  let now = 0;
  const haproxy = {
    pid: 1,
    description: FINGERPRINT,
    admin: 'ready' as AdminState,
    agentUp: true,
    recordedAdmin: new Map<string, AdminState>(),
  };
  const files = { stale: false, fingerprint: FINGERPRINT };
  let written = [{ service: 's', id: 'a', url: SERVER.url, weight: 100, priority: 1 }];

  const send = (event: ReconcilerEvent): ReconcilerEffect[] => {
    const next = step(state, event, now);
    state = next.state;
    return next.effects;
  };
  const poll = (fileError: string | null): HaproxyPoll => ({
    ...pollOf(haproxy),
    writtenServers: written,
    fileError,
  });
  const want = (more: Partial<DesiredServer> = {}, changes: readonly Change[] = []) => {
    const server: DesiredServer = { ...SERVER, verdict: null, reason: '', admin: 'ready', ...more };
    return send({ type: 'desired-changed', desired: new Map([['s/a', server]]), changes });
  };
  const polled = (fileError: string | null = null) =>
    commandsIn(send({ type: 'polled', poll: poll(fileError) }));
  const applied = (results: readonly ActionResult[] = []) =>
    send({ type: 'applied', results, saveError: null, files: { ...files } });
  return {
    haproxy,
    files,
    send,
    want,
    polled,
    applied,
    setWritten: (more: { priority: number }) => {
      written = written.map((server) => ({ ...server, ...more }));
    },
    /** A whole round; returns the commands that it sends. */
    round(results: readonly ActionResult[] = []) {
      if (state.phase.name === 'waiting') send({ type: 'round-due' });
      const commands = polled();
      applied(results);
      return commands;
    },
    advance: (ms: number) => {
      now += ms;
    },
    state: () => state,
  };
}

function commandsIn(effects: readonly ReconcilerEffect[]): string[] {
  return effects.flatMap((effect) =>
    effect.type === 'apply'
      ? effect.actions.flatMap((action) => (action.type === 'set' ? action.commands : [action.type]))
      : [],
  );
}

const admin = (from: AdminState, to: AdminState): Change => ({
  kind: 'admin',
  service: 's',
  instance: 'a',
  at: 0,
  reason: '',
  from,
  to,
});
const failed = (server: string, needsReload = false): ActionResult => ({
  server,
  errors: [`${server}: no`],
  needsReload,
  removed: false,
});

test('disconnected, syncing, steady: the conditions of a HAProxy that starts, answers and agrees', () => {
  const { want, send, polled, applied, round, state } = machine();
  expect(want({ verdict: 'down' })).toEqual([{ type: 'poll', writeFiles: true, newConnection: false }]);
  expect(send({ type: 'unreachable', problem: 'refused' })).toEqual([
    { type: 'report-round', problems: ['refused'], manual: [] },
    { type: 'schedule', delayMs: 1_000 },
  ]);
  expect(state().condition.name).toBe('disconnected');
  send({ type: 'round-due' });
  expect(polled()).toEqual(['set server s/a agent down']);
  applied();
  expect(state().condition.name).toBe('syncing');
  want({ verdict: 'up' });
  expect(round()).toEqual([]);
  expect(state().condition.name).toBe('steady');
});

test('the own HAProxy is retried at growing intervals, a shared one every second', () => {
  const delays = (role: ReconcilerState['role']) => {
    const { want, send } = machine(role);
    want();
    return [1, 2, 3, 4, 5].map(() => {
      const [, schedule] = send({ type: 'unreachable', problem: 'refused' });
      send({ type: 'round-due' });
      return schedule?.type === 'schedule' ? schedule.delayMs : null;
    });
  };
  expect(delays('own')).toEqual([1_000, 2_000, 4_000, 5_000, 5_000]);
  expect(delays('shared')).toEqual([1_000, 1_000, 1_000, 1_000, 1_000]);
});

test('a change during a round starts the next one at once; a plain refresh waits for the timer', () => {
  const { want, polled, applied } = machine();
  want();
  polled();
  want();
  expect(applied().map(({ type }) => type)).toEqual(['report-round', 'schedule']);
  expect(want()).toEqual([]);
  expect(want({}, [admin('ready', 'drain')]).map(({ type }) => type)).toEqual(['poll']);
  polled();
  want({}, [admin('drain', 'ready')]);
  expect(applied().map(({ type }) => type)).toEqual(['report-round', 'poll']);
});

test('a command whose response was lost still counts as sent by the agent', () => {
  const { haproxy, want, send, round } = machine();
  want();
  round();
  want({ admin: 'drain' });
  send({ type: 'round-due' });
  send({ type: 'polled', poll: pollOf(haproxy) });
  haproxy.admin = 'drain';
  send({ type: 'unreachable', problem: 'closed by HAProxy' });
  want();
  expect(round()).toEqual(['set server s/a state ready']);
});

test('a manual drain stays, also where a drain of the agent was never sent', () => {
  const { haproxy, want, round } = machine();
  want();
  round();
  want({ admin: 'drain' });
  want();
  round();
  haproxy.admin = 'drain';
  expect(round()).toEqual([]);
});

test('a manual drain stays after the response to the end of an earlier drain was lost', () => {
  const { haproxy, want, send, round, polled } = machine();
  want({ admin: 'drain' });
  round();
  haproxy.admin = 'drain';
  round();
  want();
  send({ type: 'round-due' });
  expect(polled()).toEqual(['set server s/a state ready']);
  haproxy.admin = 'ready';
  send({ type: 'unreachable', problem: 'closed by HAProxy' });
  round();
  haproxy.admin = 'drain';
  expect(round()).toEqual([]);
});

test('a restored drain is undone if the state file records it as set by the agent, also after a restart of HAProxy', () => {
  const { haproxy, want, round } = machine();
  haproxy.admin = 'drain';
  haproxy.recordedAdmin.set('s/a', 'drain');
  want();
  expect(round()).toEqual(['set server s/a state ready']);
  haproxy.recordedAdmin.clear();
  haproxy.admin = 'ready';
  round();
  haproxy.pid = 2;
  haproxy.admin = 'drain';
  haproxy.recordedAdmin.set('s/a', 'drain');
  expect(round()).toEqual(['set server s/a state ready']);
});

test('a manual admin state is reported after 3 s, until it ends or HAProxy does not answer', () => {
  const { haproxy, want, send, polled, applied, advance } = machine();
  const reported = () => {
    send({ type: 'round-due' });
    polled();
    return manualIn(applied());
  };
  want();
  polled();
  applied();
  for (const state of ['drain', 'maint'] as const) {
    haproxy.admin = state;
    expect(reported()).toEqual([]);
    advance(3_000);
    expect(reported()).toEqual([`s/a ${state} instead of ready`]);
  }
  send({ type: 'round-due' });
  expect(manualIn(send({ type: 'unreachable', problem: 'refused' }))).toEqual([]);
  haproxy.admin = 'ready';
  expect(reported()).toEqual([]);
});

const manualIn = (effects: readonly ReconcilerEffect[]): string[] =>
  effects.flatMap((effect) =>
    effect.type === 'report-round'
      ? effect.manual.map(
          ({ service, instance, admin, wanted }) => `${service}/${instance} ${admin} instead of ${wanted}`,
        )
      : [],
  );

test('a drain that another agent set and ended between two polls is undone', () => {
  const { haproxy, want, round } = machine('shared');
  want();
  round();
  want({}, [admin('ready', 'drain'), admin('drain', 'ready')]);
  haproxy.admin = 'drain';
  expect(round()).toEqual(['set server s/a state ready']);
});

test('a requested drain is remembered over a failed poll, and forgotten after a successful one', () => {
  const { haproxy, want, send, round } = machine();
  want();
  round();
  want({}, [admin('ready', 'drain'), admin('drain', 'ready')]);
  send({ type: 'unreachable', problem: 'refused' });
  haproxy.admin = 'drain';
  expect(round()).toEqual(['set server s/a state ready']);
  haproxy.admin = 'ready';
  round();
  round();
  haproxy.admin = 'drain';
  expect(round()).toEqual([]);
});

test('only on a shared HAProxy a command that was undone waits before it is repeated', () => {
  const repeats = (role: ReconcilerState['role']) => {
    const { want, round, advance } = machine(role);
    want({ verdict: 'down' });
    return [0, 500, 1_500].map((ms) => {
      advance(ms);
      return round().length;
    });
  };
  expect(repeats('own')).toEqual([1, 1, 1]);
  expect(repeats('shared')).toEqual([1, 0, 1]);
});

test('another fingerprint reloads HAProxy; the reload ends when another worker answers', () => {
  const { haproxy, files, want, send, polled, applied, state, advance } = machine();
  want();
  files.fingerprint = 'acgs-lb:2';
  polled();
  expect(applied()).toEqual([{ type: 'reload', stateFile: 'states\n' }]);
  expect(send({ type: 'reload-requested' })).toEqual([
    { type: 'poll', writeFiles: false, newConnection: true },
  ]);
  expect(state().condition.name).toBe('reloading');
  expect(send({ type: 'unreachable', problem: 'refused' })).toEqual([{ type: 'schedule', delayMs: 50 }]);
  // A change waits for the end of the reload, because the new worker still reads the files.
  expect(want({ verdict: 'down' }, [admin('ready', 'drain')])).toEqual([]);
  advance(50);
  send({ type: 'round-due' });
  haproxy.pid = 2;
  haproxy.description = 'acgs-lb:2';
  expect(polled()).toEqual(['set server s/a agent down']);
  expect(applied()).toEqual([
    { type: 'report-reload', from: FINGERPRINT },
    { type: 'report-round', problems: [], manual: [] },
    { type: 'poll', writeFiles: true, newConnection: false },
  ]);
});

test('a reload without a new worker is a problem, and is repeated only after 30 s', () => {
  const { files, want, send, polled, applied, round, state, advance } = machine();
  want();
  files.fingerprint = 'acgs-lb:2';
  polled();
  applied();
  send({ type: 'reload-requested' });
  advance(15_000);
  polled();
  applied();
  expect(state().problems).toEqual(['reload: no new worker within 15 s']);
  advance(1_000);
  round();
  expect(state()).toMatchObject({
    phase: { name: 'waiting' },
    condition: { name: 'syncing' },
    problems: ['reload: no new worker within 15 s'],
  });
  advance(30_000);
  round();
  expect(state().phase.name).toBe('requesting-reload');
  send({ type: 'reload-failed', problem: 'no master' });
  expect(state().problems).toEqual(['reload: no master']);
});

test('a server that cannot be added, or that was registered again with another priority, needs a reload', () => {
  const adding = machine();
  adding.want();
  adding.round([failed('s/a', true)]);
  expect(adding.state().phase.name).toBe('requesting-reload');

  const changing = machine();
  changing.want();
  changing.round();
  changing.want({ priority: 2 });
  changing.round();
  expect(changing.state().phase.name).toBe('requesting-reload');
  // The new worker was started before the change: it needs one more reload.
  changing.send({ type: 'reload-requested' });
  changing.haproxy.pid = 2;
  changing.round();
  changing.round();
  expect(changing.state().phase).toMatchObject({ name: 'waiting' });
  changing.advance(31_000);
  changing.round();
  expect(changing.state().phase.name).toBe('requesting-reload');
  changing.send({ type: 'reload-requested' });
  changing.setWritten({ priority: 2 });
  changing.haproxy.pid = 3;
  changing.round();
  changing.round();
  expect(changing.state().condition.name).toBe('steady');
});

test('files that cannot be written or are stale prevent a reload, not the commands', () => {
  const { files, want, send, polled, applied, state } = machine();
  want({ verdict: 'down' });
  files.fingerprint = 'acgs-lb:2';
  expect(polled('disk full')).toEqual(['set server s/a agent down']);
  applied();
  expect(state()).toMatchObject({ problems: ['disk full'], phase: { name: 'waiting' }, savedSettings: '' });
  files.stale = true;
  send({ type: 'round-due' });
  polled();
  applied();
  expect(state()).toMatchObject({ problems: [], phase: { name: 'waiting' } });
});

test('the state file records a drain of the agent in the round that sends it', () => {
  const { haproxy, want, send } = machine();
  want({ admin: 'drain' });
  const [apply] = send({ type: 'polled', poll: pollOf(haproxy) });
  expect(apply).toMatchObject({ type: 'apply', saveStateFile: 'states\n# acgs-lb drain s/a\n' });
});

test('the state file is saved when admin states, weights or addresses change', () => {
  const { haproxy, want, send, round } = machine();
  const saved = () => {
    send({ type: 'round-due' });
    const apply = send({ type: 'polled', poll: pollOf(haproxy) }).find(({ type }) => type === 'apply');
    send({
      type: 'applied',
      results: [],
      saveError: null,
      files: { stale: false, fingerprint: FINGERPRINT },
    });
    return apply?.type === 'apply' && apply.saveStateFile !== null;
  };
  want();
  round();
  expect(saved()).toBe(false);
  haproxy.admin = 'maint';
  expect([saved(), saved()]).toEqual([true, false]);
});

const pollOf = (haproxy: {
  pid: number;
  description: string;
  admin: AdminState;
  agentUp: boolean;
  recordedAdmin?: ReadonlyMap<string, AdminState>;
}): HaproxyPoll => ({
  pid: haproxy.pid,
  description: haproxy.description,
  at: 0,
  stats: [],
  malformed: new Map(),
  isShort: false,
  actual: new Map([
    [
      's/a',
      {
        service: 's',
        instance: 'a',
        admin: haproxy.admin,
        hasAgentCheck: true,
        agentUp: haproxy.agentUp,
        weight: 100,
        address: '127.0.0.1',
        port: 1,
      },
    ],
  ]),
  serverStates: 'states',
  recordedAdmin: haproxy.recordedAdmin ?? new Map(),
  writtenServers: [],
  fileError: null,
});

test('a shared HAProxy keeps servers that this agent never wanted; the own one has only the wanted ones', () => {
  const foreign = (role: ReconcilerState['role']) => {
    const { send, round } = machine(role);
    send({ type: 'desired-changed', desired: new Map(), changes: [] });
    return round();
  };
  expect(foreign('shared')).toEqual([]);
  expect(foreign('own')).toEqual(['remove']);

  const { want, send, round } = machine('shared');
  want();
  expect(round()).toEqual([]);
  send({ type: 'desired-changed', desired: new Map(), changes: [] });
  expect(round()).toEqual(['remove']);
});
