import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort } from '../../dev/ports.ts';
import { eventually } from '../harness/eventually.ts';

/** Prints the package of every module that the process loads. */
const SHOW_PACKAGES = `data:text/javascript,${encodeURIComponent(`
import { registerHooks } from 'node:module';
registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    const name = /.*\\/node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(found.url)?.[1];
    if (name) process.stderr.write('package ' + name + '\\n');
    return found;
  },
});
`)}`;

test('a running agent has written its compile cache, and loaded no client that it does not use', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'acgs-start-'));
  const [cache, state] = [join(folder, 'cache'), join(folder, 'state')];
  await Promise.all([mkdir(cache), mkdir(state)]);
  const file = join(folder, 'acgs-lb.yaml');
  const config = {
    version: 1,
    site: { id: 'main' },
    agent: { bind: `127.0.0.1:${await freePort()}` },
    haproxy: {
      file: join(folder, 'haproxy.cfg'),
      socket: join(folder, 'a.sock'),
      masterSocket: join(folder, 'm.sock'),
      agentCheck: `127.0.0.1:${await freePort()}`,
    },
    services: { gs: { routes: ['/'] } },
  };
  await writeFile(file, JSON.stringify(config));
  const child = spawn(
    process.execPath,
    ['--import', SHOW_PACKAGES, 'agent/main.ts', '--config', file, '--state-dir', state],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        TMPDIR: process.env.TMPDIR,
        NODE_COMPILE_CACHE: cache,
        ACGS_TOKEN: 'x',
        DATABASE_URL: 'postgres://absent@127.0.0.1:1/none',
      },
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  try {
    await eventually(() => expect(output).toContain('"agent started"'));
    // Node itself writes it only at the exit.
    await eventually(async () =>
      expect((await readdir(cache, { recursive: true })).length).toBeGreaterThan(20),
    );
    const packages = new Set([...output.matchAll(/^package (.*)$/gm)].map(([, name]) => name));
    expect(packages).toContain('pg');
    const unused = ['undici', 'redis', '@redis/client', 'ioredis', 'nodemailer', '@electric-sql/pglite'];
    expect(unused.filter((name) => packages.has(name))).toEqual([]);
  } finally {
    child.kill('SIGKILL');
    await ended;
    await rm(folder, { recursive: true, force: true });
  }
});
