import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FakeAgent, startFakeAgent } from '../browser/fake-agent.ts';

const BIN = new URL('../../bin/acgs-lb.mjs', import.meta.url).pathname;
const MAIN = new URL('../../agent/cli/main.ts', import.meta.url).pathname;
let agent: FakeAgent;
let folder: string;

beforeAll(async () => {
  agent = await startFakeAgent({ history: false });
  folder = mkdtempSync(join(tmpdir(), 'acgs-cli-'));
  writeFileSync(join(folder, 'stack.json'), JSON.stringify({ agent: agent.url, adminToken: agent.token }));
});
afterAll(async () => {
  await agent.close();
  rmSync(folder, { recursive: true, force: true });
});

/** One command as a person runs it: a process, its exit code and what it said. */
function run(args: string[], env: Record<string, string> = {}) {
  return new Promise<{ code: number; out: string; err: string }>((resolve) => {
    // Nothing else of what is set here: keys, an agent elsewhere, colours.
    const { PATH, HOME, TMPDIR } = process.env;
    execFile(process.execPath, [MAIN, ...args], { env: { PATH, HOME, TMPDIR, ...env } }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? 1 : 0, out, err }),
    );
  });
}
const stack = () => ({ ACGS_STATE_DIR: folder });

test('status: the verdict first, as text or data; found by folder, by variable, by URL', async () => {
  const text = await run(['status'], stack());
  expect(text.code).toBe(0);
  expect(text.out).toMatch(/^✓ all 14 instances of 7 services fine\n/);
  expect(text.out).not.toContain('\x1b[');
  const data = await run(['--json', 'status', 'gs', '--state-dir', folder]);
  expect(JSON.parse(data.out).services.map(({ id }: { id: string }) => id)).toEqual(['gs']);
  expect((await run(['status'], { ACGS_AGENT_URL: agent.url })).code).toBe(0);
  expect(await run(['status', 'nope'], stack())).toMatchObject({
    code: 1,
    err: expect.stringContaining('no service nope; there are auth'),
  });
});

test('--version: which one it is; the option of the same name of a command stays that', async () => {
  expect(await run(['--version'])).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^acgs-lb \d+\.\d+\.\d+\n$/),
  });
  const { out } = await run(['sessions', 'advance', '--help']);
  expect(out).toContain('--version <n>');
});

test('nothing to talk to: one line that says what to do, exit 1', async () => {
  const { code, err } = await run(['status', '--state-dir', '/nowhere']);
  expect(code).toBe(1);
  expect(err).toMatch(/^acgs-lb: no running stack in \/nowhere\/ .*npm start.*ACGS_AGENT_URL.*\n$/);
  expect(await run(['status'], { ACGS_AGENT_URL: 'http://127.0.0.1:2' })).toMatchObject({
    code: 1,
    err: expect.stringContaining('connection refused'),
  });
});

test('what cannot be meant is misuse, exit 2, and nothing is done', async () => {
  const before = agent.writes.length;
  expect(await run(['alerts', 'ack', ''], stack())).toMatchObject({
    code: 2,
    err: expect.stringContaining('the id is empty'),
  });
  for (const [args, said] of [
    [['weight', 'gs', 'gs-1', '0x10'], 'weight: "0x10" is not a whole number'],
    [['heartbeat', 'gs', 'gs-1', '--every', '0s'], '--every: "0s" is no duration'],
    [['register', 'gs', '--id', 'a', '--url', 'http://127.0.0.1:1', '--ttl', ''], '--ttl: "" is no duration'],
  ] as const) {
    expect(await run([...args], stack())).toMatchObject({ code: 2, err: expect.stringContaining(said) });
  }
  expect(await run(['status'], { ACGS_AGENT_URL: '127.0.0.1:9400' })).toMatchObject({
    code: 2,
    err: 'ACGS_AGENT_URL: "127.0.0.1:9400" is no address such as http://127.0.0.1:9400\n',
  });
  expect(agent.writes.length).toBe(before);
  // By the program as it is installed: Node itself has an option of this name.
  const doctor = spawnSync(BIN, ['doctor', '--env-file', '/none'], { encoding: 'utf8' });
  expect(doctor).toMatchObject({ status: 2, stderr: '--env-file /none cannot be read: ENOENT\n' });
  const output = join(folder, 'backup');
  expect(await run(['backup', '--only', 'nonsense', '-o', output])).toMatchObject({
    code: 2,
    err: expect.stringContaining('Allowed choices are config, database'),
  });
  expect(existsSync(output)).toBe(false);
  for (const command of ['migrate', 'report']) {
    expect(await run([command], { DATABASE_URL: 'mysql://h/d' })).toMatchObject({
      code: 2,
      err: expect.stringContaining('DATABASE_URL: expected'),
    });
  }
});

test('a folder that cannot be made is told, exit 1', async () => {
  expect(await run(['backup', '-o', '/proc/no/such/folder'])).toMatchObject({
    code: 1,
    err: expect.stringContaining('cannot make /proc/no/such/folder: ENOENT'),
  });
});

test('steering: done, refused without a token, asked about when it hurts', async () => {
  expect(await run(['drain', 'gs', 'gs-1', '--deadline', '5m', '--yes'], stack())).toMatchObject({
    code: 0,
    out: expect.stringContaining('gs/gs-1: draining'),
  });
  expect(agent.writes.at(-1)).toEqual({
    path: '/v1/services/gs/instances/gs-1/admin',
    body: { state: 'drain', deadline: '5m' },
  });
  const before = agent.writes.length;
  expect(await run(['ready', 'gs', 'gs-1'], { ACGS_AGENT_URL: agent.url })).toMatchObject({
    code: 1,
    err: expect.stringContaining('set ACGS_TOKEN'),
  });
  expect(await run(['ready', 'gs', 'gs-1'], { ACGS_AGENT_URL: agent.url, ACGS_TOKEN: 'no' })).toMatchObject({
    code: 1,
    err: expect.stringContaining('the token was refused'),
  });
  expect(await run(['maint', 'gs', 'gs-2'], stack())).toMatchObject({
    code: 2,
    err: expect.stringContaining('--yes'),
  });
  expect(agent.writes).toHaveLength(before);
});

test.each([
  [['frobnicate'], "unknown command 'frobnicate'"],
  [['weight', 'gs', 'gs-1', '300'], 'from 1 to 256'],
  [['drain', 'gs'], "missing required argument 'instance'"],
  [['drain', 'gs', 'gs-1', '--deadline', 'soon'], 'no duration'],
  [['check', '--config', '/nowhere.yaml'], 'cannot read /nowhere.yaml'],
  [['keys', 'rotate', 'snapshot'], 'SNAPSHOT_SIGNING_KEY is not set'],
  [['completion', 'powershell'], 'bash, zsh, fish'],
  [['explain', 'nowhere'], 'is no path'],
  [['sessions', 'nope'], 'there is no command nope; there are list'],
  [['sessions', 'create', 'nope', 'ada'], 'policy_creation'],
  [['sessions', 'advance', 'x', 'draft'], '`acgs-lb sessions get <id>` tells the present one'],
  [['alerts', 'list', '--limit', 'abc'], 'whole number from 1 to 1000'],
  [['keys', 'new', '--site', 'a b'], 'no site.id'],
])('misuse is exit 2 and says why: %j', async (args, why) => {
  const { code, err } = await run(args, stack());
  expect(err).toContain(why);
  expect(err).not.toMatch(/^\s+at /m);
  expect(code).toBe(2);
});

test('completion asks the running system for names', async () => {
  expect((await run(['__complete', '--', 'drain', 'g'], stack())).out).toBe('gs\n');
  expect((await run(['__complete', '--', 'drain', 'gs', ''], stack())).out).toBe('gs-1\ngs-2\n');
  expect((await run(['__complete', '--', '--json', 'stat'], stack())).out).toMatch(/^status\t/);
  expect((await run(['__complete', '--', 'sessions', 'create', 'pol'], stack())).out).toBe(
    'policy_creation\npolicy_enforcement\n',
  );
  // The value of an option is no argument, and has its own words.
  expect((await run(['__complete', '--', 'report', '--format', 'h'], stack())).out).toBe('html\n');
  expect((await run(['__complete', '--', 'drain', '--deadline', '5m', 'gs', ''], stack())).out).toBe(
    'gs-1\ngs-2\n',
  );
  expect(await run(['__complete', '--', 'drain', ''], { ACGS_STATE_DIR: '/nowhere' })).toMatchObject({
    code: 0,
    out: '',
    err: '',
  });
});

test('what the agent finds wrong with a request is misuse too; what stands in the way is not', async () => {
  const problems: Record<string, object> = {
    400: { title: 'Configuration refused', detail: 'a\nb', problems: ['line 1', 'line 2'] },
    409: { title: 'Another instance stands in the way', detail: 'gs-1 has this address' },
    404: { title: 'Not found', detail: 'there is no service "x"' },
  };
  let status = '';
  const server = createServer((_, response) => {
    response.writeHead(Number(status), { 'content-type': 'application/problem+json' });
    response.end(JSON.stringify(problems[status]));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const answer = (code: string) => {
    status = code;
    return run(['publish'], { ACGS_AGENT_URL: `http://127.0.0.1:${port}` });
  };
  expect(await answer('400')).toMatchObject({
    code: 2,
    err: 'acgs-lb: Configuration refused:\nline 1\nline 2\n',
  });
  expect(await answer('409')).toMatchObject({
    code: 1,
    err: 'acgs-lb: Another instance stands in the way: gs-1 has this address\n',
  });
  expect(await answer('404')).toMatchObject({ code: 1, err: 'acgs-lb: there is no service "x"\n' });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test('events: what the agent remembers, one a line', async () => {
  agent.changeInstance('fv/fv-1', { state: 'down', health: 'down' }, '3 of 3 probes failed');
  const { out } = await run(['events', '--no-follow', '--json'], stack());
  expect(JSON.parse(out.trim().split('\n').at(-1) ?? '')).toMatchObject({ instance: 'fv-1', to: 'down' });
});

test('explain: the choice and why; exit 1 when nothing would answer', async () => {
  expect(await run(['explain', '/api/v1/governance/x'], stack())).toMatchObject({
    code: 0,
    out: expect.stringMatching(/→ gs-2[\s\S]*power of two choices/),
  });
});

test('keys are written once, for the owner alone, and never over others', async () => {
  const made = join(folder, 'made', 'here');
  const args = ['keys', 'new', '--out', made];
  expect((await run(args)).code).toBe(0);
  expect(statSync(join(made, 'agent.env')).mode & 0o777).toBe(0o600);
  expect(await run(args)).toMatchObject({ code: 1, err: expect.stringContaining('left alone') });
});
