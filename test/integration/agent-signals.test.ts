import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { constants } from 'node:fs';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort } from '../../dev/ports.ts';
import { eventually } from '../harness/eventually.ts';

/** An agent's configuration that needs nothing else on this machine. */
async function configFile(folder: string): Promise<string> {
  const file = join(folder, 'acgs-lb.yaml');
  const config = {
    version: 1,
    site: { id: 'main' },
    agent: { bind: `127.0.0.1:${await freePort()}` },
    haproxy: {
      ...{ file: join(folder, 'haproxy.cfg'), socket: join(folder, 'a.sock') },
      ...{ masterSocket: join(folder, 'm.sock'), agentCheck: `127.0.0.1:${await freePort()}` },
    },
    services: { gs: { routes: ['/'] } },
  };
  await writeFile(file, JSON.stringify(config));
  return file;
}

test('a hang-up while the agent starts ends nothing; once it runs, the file is read again', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'acgs-signals-'));
  const state = join(folder, 'state');
  await mkdir(state);
  // What the agent reads first of all: as a pipe it holds the agent there, until somebody writes into it.
  const pipe = join(state, 'judged.json');
  execFileSync('mkfifo', [pipe]);
  const child = spawn(
    process.execPath,
    ['agent/main.ts', '--config', await configFile(folder), '--state-dir', state],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...{ PATH: process.env.PATH, TMPDIR: process.env.TMPDIR },
        ...{ ACGS_TOKEN: 'x', DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' },
      },
    },
  );
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
  const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
  try {
    // Can be opened only while the agent waits at the other end.
    const held = await eventually(() => open(pipe, constants.O_WRONLY | constants.O_NONBLOCK));
    child.kill('SIGHUP');
    await eventually(() => expect(said).toContain('SIGHUP while starting'));
    await held.close();
    await eventually(() => expect(said).toContain('"agent started"'));
    child.kill('SIGHUP');
    await eventually(() => expect(said).toContain('configuration read again'));
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  } finally {
    child.kill('SIGKILL');
    await ended;
    await rm(folder, { recursive: true, force: true });
  }
}, 120_000);

test('a file or folder that cannot be used is told in one line, and nothing starts', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'acgs-signals-'));
  const file = await configFile(folder);
  const told = (...args: string[]) => {
    const env = { PATH: process.env.PATH, ACGS_TOKEN: 'x' };
    const { status, stderr } = spawnSync(process.execPath, ['agent/main.ts', ...args], {
      env,
      encoding: 'utf8',
    });
    return [status, stderr];
  };
  const missing = join(folder, 'none.yaml');
  expect(told('--config', missing)).toEqual([2, `--config ${missing}: cannot be read (ENOENT)\n`]);
  const state = (path: string, code: string) => {
    const line = `--state-dir ${path}: cannot be used as a folder (${code})\n`;
    expect(told('--config', file, '--state-dir', path)).toEqual([2, line]);
  };
  state(file, 'EEXIST');
  state(join(file, 'state'), 'ENOTDIR');
  state('/proc/none/state', 'ENOENT');
  await rm(folder, { recursive: true });
}, 120_000);
