import { readFile, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import type { Advice } from '../../agent/core/advice.ts';
import type { AdminState } from '../../agent/core/state.ts';
import { haproxyPaths } from '../../agent/haproxy/render/input.ts';
import { parseServersState } from '../../agent/haproxy/socket/parse.ts';
import { until } from '../harness/until.ts';
import { CLOSE_MS, startHaproxyHarness, startOrigins, startSink } from './haproxy-harness.ts';

/** The state file is as it was while `set` was in effect: HAProxy and the agent ended before they saved it again. */
async function restartWith(state: 'drain' | 'maint', set: (commands: Commands) => Promise<unknown>) {
  const [a] = await startOrigins('gs-1');
  const harness = await startHaproxyHarness({
    services: `gs: { routes: [/], instances: [ { id: gs-1, url: "${a?.url}" } ] }`,
  });
  const stateFile = haproxyPaths(harness.config).state;
  const admins = async () =>
    parseServersState(await harness.execute('show servers state gs')).map(({ admin }) => admin);
  const first = await startSink(harness);
  const isSaved = () => until(async () => hasAdmin(await readFile(stateFile, 'utf8'), state));
  await set({ execute: harness.execute, change: (admin) => first.change({ 'gs/gs-1': { admin } }) });
  expect(await isSaved()).toBe(true);
  const saved = await readFile(stateFile, 'utf8');
  first.change({ 'gs/gs-1': { admin: 'ready' } });
  await harness.execute('set server gs/gs-1 state ready');
  await first.sink.close(CLOSE_MS);
  await writeFile(stateFile, saved);
  await harness.restart();
  expect(await admins()).toEqual([state]);
  const second = await startSink(harness);
  return { advice: (): Advice[] => second.sink.advice(), changes: second.manualChanges, admins };
}

interface Commands {
  execute(command: string): Promise<string>;
  change(admin: AdminState): void;
}

const hasAdmin = (text: string, state: AdminState): boolean =>
  parseServersState(text).some(({ service, admin }) => service === 'gs' && admin === state);

test.for(['drain', 'maint'] as const)(
  'a %s of the agent that HAProxy restores after both ended is undone',
  async (state) => {
    const { admins, advice } = await restartWith(state, async ({ change }) => change(state));
    expect(await until(async () => (await admins())[0] === 'ready')).toBe(true);
    expect(advice()).toEqual([]);
  },
);

test('a manual drain that HAProxy restores stays, and is reported', async () => {
  const { admins, advice, changes } = await restartWith('drain', ({ execute }) =>
    execute('set server gs/gs-1 state drain'),
  );
  expect(await until(async () => advice().length === 1)).toBe(true);
  expect(advice()).toMatchObject([
    { service: 'gs', message: expect.stringContaining('gs-1 is in drain in HAProxy') },
  ]);
  expect(changes).toMatchObject([{ service: 'gs', instance: 'gs-1', kind: 'admin', to: 'drain' }]);
  expect(await admins()).toEqual(['drain']);
});
