import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startAgentProcess, writeAgentConfig } from '../harness/agent-process.ts';
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
  const args = ['--import', SHOW_PACKAGES, 'agent/main.ts', '--config', await writeAgentConfig(folder)];
  const agent = startAgentProcess([...args, '--state-dir', state], { NODE_COMPILE_CACHE: cache });
  try {
    await eventually(() => expect(agent.output()).toContain('"agent started"'));
    // Node itself writes it only at the exit.
    await eventually(async () =>
      expect((await readdir(cache, { recursive: true })).length).toBeGreaterThan(20),
    );
    const packages = new Set([...agent.output().matchAll(/^package (.*)$/gm)].map(([, name]) => name));
    expect(packages).toContain('pg');
    const unused = ['undici', 'redis', '@redis/client', 'ioredis', 'nodemailer', '@electric-sql/pglite'];
    expect(unused.filter((name) => packages.has(name))).toEqual([]);
  } finally {
    await agent.kill();
    await rm(folder, { recursive: true, force: true });
  }
});

test('an agent of several without Redis warns that each of them leads', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'acgs-start-'));
  const config = await writeAgentConfig(folder, 9);
  const agent = startAgentProcess(['agent/main.ts', '--config', config, '--state-dir', folder]);
  try {
    await eventually(() => expect(agent.output()).toContain('each of the 9 agents of the site leads'));
  } finally {
    await agent.kill();
    await rm(folder, { recursive: true, force: true });
  }
});
