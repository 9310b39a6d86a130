import { execFileSync, spawnSync } from 'node:child_process';
import { constants } from 'node:fs';
import { mkdir, mkdtemp, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startAgentProcess, writeAgentConfig } from '../harness/agent-process.ts';
import { eventually } from '../harness/eventually.ts';

test('SIGHUP is ignored while the agent starts, and reloads the file afterwards', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'acgs-signals-'));
  const state = join(folder, 'state');
  await mkdir(state);
  // The agent reads this file first. Because it is a pipe, the agent waits until the test writes to it.
  const pipe = join(state, 'judged.json');
  execFileSync('mkfifo', [pipe]);
  const args = ['agent/main.ts', '--config', await writeAgentConfig(folder), '--state-dir', state];
  const { child, output, ended, kill } = startAgentProcess(args);
  try {
    // Opening succeeds only while the agent reads.
    const held = await eventually(() => open(pipe, constants.O_WRONLY | constants.O_NONBLOCK));
    child.kill('SIGHUP');
    await eventually(() => expect(output()).toContain('SIGHUP ignored while starting'));
    await held.close();
    await eventually(() => expect(output()).toContain('"agent started"'));
    child.kill('SIGHUP');
    await eventually(() => expect(output()).toContain('configuration reloaded'));
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  } finally {
    await kill();
    await rm(folder, { recursive: true, force: true });
  }
});

test('--watch-config: a changed file is applied, an invalid one is refused with an event and changes nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'acgs-watch-'));
  const file = await writeAgentConfig(folder);
  const config = JSON.parse(await readFile(file, 'utf8')) as { agent: { bind: string } };
  const args = ['agent/main.ts', '--config', file, '--state-dir', join(folder, 'state'), '--watch-config'];
  const { child, output, kill } = startAgentProcess(args);
  const url = `http://${config.agent.bind}`;
  let events = '';
  const collect = async ({ body }: Response) => {
    const decoder = new TextDecoder();
    for await (const chunk of body ?? []) events += decoder.decode(chunk);
  };
  try {
    await eventually(() => expect(output()).toContain('"agent started"'));
    // The response begins before the first event.
    collect(await fetch(`${url}/v1/events`)).catch(() => {});
    // Replaced by a rename, as editors and deployment tools do.
    const replace = async (text: string) => {
      await writeFile(`${file}.new`, text);
      await rename(`${file}.new`, file);
    };
    await replace(JSON.stringify({ ...config, services: { gs: { routes: ['/'], timeout: '7s' } } }));
    await eventually(() => expect(events).toContain('gs.timeout: 30s → 7s'));
    await replace(JSON.stringify({ ...config, services: { gs: { routes: ['/'], timeout: 'soon' } } }));
    await eventually(() => expect(events).toMatch(/file refused: .*timeout/));
    expect(child.exitCode).toBeNull();
    await replace(JSON.stringify({ ...config, services: { gs: { routes: ['/'], timeout: '9s' } } }));
    await eventually(() => expect(events).toContain('gs.timeout: 7s → 9s'));
  } finally {
    await kill();
    await rm(folder, { recursive: true, force: true });
  }
});

test('a file or folder that cannot be used is reported in one line, and the agent does not start', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'acgs-signals-'));
  const file = await writeAgentConfig(folder);
  const run = (...args: string[]) => {
    const env = { PATH: process.env.PATH, ACGS_TOKEN: 'x' };
    const { status, stderr } = spawnSync(process.execPath, ['agent/main.ts', ...args], {
      env,
      encoding: 'utf8',
    });
    return [status, stderr];
  };
  const missing = join(folder, 'none.yaml');
  expect(run('--config', missing)).toEqual([2, `--config ${missing}: cannot be read (ENOENT)\n`]);
  const expectRefused = (path: string, code: string) => {
    const line = `--state-dir ${path}: cannot be used as a folder (${code})\n`;
    expect(run('--config', file, '--state-dir', path)).toEqual([2, line]);
  };
  expectRefused(file, 'EEXIST');
  expectRefused(join(file, 'state'), 'ENOTDIR');
  expectRefused('/proc/none/state', 'ENOENT');
  await rm(folder, { recursive: true });
});
