import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packageVersion } from '../../agent/lib/version.ts';
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

/** Runs one command as a process. */
function run(args: string[], env: Record<string, string> = {}) {
  return new Promise<{ code: number; out: string; err: string }>((resolve) => {
    // A clean environment: no keys, no remote agent, no colours.
    const { PATH, HOME, TMPDIR } = process.env;
    execFile(process.execPath, [MAIN, ...args], { env: { PATH, HOME, TMPDIR, ...env } }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? 1 : 0, out, err }),
    );
  });
}
const stackEnv = () => ({ ACGS_STATE_DIR: folder });

test('status prints the verdict first, as text or JSON; the agent is found by folder, variable or URL', async () => {
  const text = await run(['status'], stackEnv());
  expect(text.code).toBe(0);
  expect(text.out).toMatch(/^✓ all 14 instances of 7 services up\n/);
  expect(text.out).not.toContain('\x1b[');
  const data = await run(['--json', 'status', 'gs', '--state-dir', folder]);
  expect(JSON.parse(data.out).services.map(({ id }: { id: string }) => id)).toEqual(['gs']);
  expect((await run(['status'], { ACGS_AGENT_URL: agent.url })).code).toBe(0);
  expect(await run(['status', 'nope'], stackEnv())).toMatchObject({
    code: 2,
    err: expect.stringContaining('unknown service nope; expected one of auth'),
  });
});

test('--version prints the version and does not shadow the --version of a command', async () => {
  expect(await run(['--version'])).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^acgs-lb \d+\.\d+\.\d+\n$/),
  });
  const { out } = await run(['sessions', 'advance', '--help']);
  expect(out).toContain('--version <n>');
});

test('an unreachable agent is one line with advice, exit 1', async () => {
  const { code, err } = await run(['status', '--state-dir', '/nowhere']);
  expect(code).toBe(1);
  expect(err).toMatch(/^acgs-lb: no running stack in \/nowhere\/: .*npm start.*ACGS_AGENT_URL.*\n$/);
  const both = await run(['status', '--state-dir', '/nowhere'], { ACGS_AGENT_URL: 'http://127.0.0.1:2' });
  expect(both).toMatchObject({ code: 1, err: expect.stringContaining('instead of ACGS_AGENT_URL') });
  expect(await run(['status'], { ACGS_AGENT_URL: 'http://127.0.0.1:2' })).toMatchObject({
    code: 1,
    err: expect.stringContaining('connection refused'),
  });
});

test('invalid arguments are a usage error, exit 2, and change nothing', async () => {
  const before = agent.writes.length;
  expect(await run(['alerts', 'ack', ''], stackEnv())).toMatchObject({
    code: 2,
    err: expect.stringContaining('the id is empty'),
  });
  for (const [args, message] of [
    [['weight', 'gs', 'gs-1', '0x10'], 'weight: "0x10" is not a whole number'],
    [['heartbeat', 'gs', 'gs-1', '--every', '0s'], '--every: "0s" is not a duration'],
    [
      ['register', 'gs', '--id', 'a', '--url', 'http://127.0.0.1:1', '--ttl', ''],
      '--ttl: "" is not a duration',
    ],
  ] as const) {
    expect(await run([...args], stackEnv())).toMatchObject({
      code: 2,
      err: expect.stringContaining(message),
    });
  }
  expect(await run(['status'], { ACGS_AGENT_URL: '127.0.0.1:9400' })).toMatchObject({
    code: 2,
    err: 'ACGS_AGENT_URL: "127.0.0.1:9400" is not a URL such as http://127.0.0.1:9400\n',
  });
  expect(agent.writes.length).toBe(before);
  // Run the installed program: Node itself has an --env-file option.
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

test('a folder that cannot be created is an error, exit 1', async () => {
  expect(await run(['backup', '-o', '/proc/no/such/folder'])).toMatchObject({
    code: 1,
    err: expect.stringContaining('cannot make /proc/no/such/folder: ENOENT'),
  });
});

test('admin commands: success, rejected without a token, confirmation when destructive', async () => {
  expect(await run(['drain', 'gs', 'gs-1', '--deadline', '5m', '--yes'], stackEnv())).toMatchObject({
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
  expect(await run(['maint', 'gs', 'gs-2'], stackEnv())).toMatchObject({
    code: 2,
    err: expect.stringContaining('--yes'),
  });
  expect(agent.writes).toHaveLength(before);
});

test.each([
  [['frobnicate'], "unknown command 'frobnicate'"],
  [['weight', 'gs', 'gs-1', '300'], 'from 1 to 256'],
  [['drain', 'gs'], 'gs is a service; name one of its instances: gs-1, gs-2'],
  [['drain', 'gs-9'], 'no service has an instance gs-9'],
  [['rollout', 'gs'], 'name the command after --'],
  [['rollout', 'gs', '--resume'], 'no rollout of gs to resume'],
  [['rollout', 'gs', '--max-unavailable', '2', '--', 'true'], 'one must go on serving'],
  [['rollout', 'gs', '--settle', 'soon', '--', 'true'], "'--settle <duration>' argument 'soon' is invalid"],
  [['apply', '--rollback', '--config', 'x.yaml'], 'leave --config away'],
  [['drain', 'gs', 'gs-1', '--deadline', 'soon'], 'is not a duration'],
  [['check', '--config', '/nowhere.yaml'], 'cannot read /nowhere.yaml'],
  [['keys', 'rotate', 'snapshot'], 'SNAPSHOT_SIGNING_KEY is not set'],
  [['completion', 'powershell'], 'bash, zsh, fish'],
  [['explain', 'nowhere'], 'is not a path'],
  [['status', '--state-dir', ''], '--state-dir: "" is not a folder'],
  [['sessions', 'nope'], 'unknown command nope; expected one of list'],
  [['sessions', 'create', 'nope', 'ada'], 'policy_creation'],
  [['sessions', 'advance', 'x', 'draft'], '`acgs-lb sessions get <id>` shows the current version'],
  [['alerts', 'list', '--limit', 'abc'], 'whole number from 1 to 1000'],
  [['keys', 'new', '--site', 'a b'], 'is not a site id'],
])('usage error with exit 2: %j', async (args, why) => {
  const { code, err } = await run(args, stackEnv());
  expect(err).toContain(why);
  expect(err).not.toMatch(/^\s+at /m);
  expect(code).toBe(2);
});

test('completion gets names from the running agent', async () => {
  expect((await run(['__complete', '--', 'drain', 'g'], stackEnv())).out).toBe('gs\n');
  expect((await run(['__complete', '--', 'drain', 'gs', ''], stackEnv())).out).toBe('gs-1\ngs-2\n');
  expect((await run(['__complete', '--', '--json', 'stat'], stackEnv())).out).toMatch(/^status\t/);
  expect((await run(['__complete', '--', 'sessions', 'create', 'pol'], stackEnv())).out).toBe(
    'policy_creation\npolicy_enforcement\n',
  );
  // The value of an option is not a positional argument and has its own completions.
  expect((await run(['__complete', '--', 'report', '--format', 'h'], stackEnv())).out).toBe('html\n');
  expect((await run(['__complete', '--', 'drain', '--deadline', '5m', 'gs', ''], stackEnv())).out).toBe(
    'gs-1\ngs-2\n',
  );
  expect(await run(['__complete', '--', 'drain', ''], { ACGS_STATE_DIR: '/nowhere' })).toMatchObject({
    code: 0,
    out: '',
    err: '',
  });
});

test('a 400 of the agent is a usage error; other errors are failures', async () => {
  const problems: Record<string, object> = {
    400: { title: 'Configuration refused', detail: 'a\nb', problems: ['line 1', 'line 2'] },
    409: { title: 'Address in use', detail: 'gs-1 has this address' },
    404: { title: 'Not found', detail: 'there is no service "x"' },
  };
  let status = '';
  const server = createServer((_, response) => {
    response.writeHead(Number(status), { 'content-type': 'application/problem+json' });
    response.end(JSON.stringify(problems[status]));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const publishWithStatus = (code: string) => {
    status = code;
    return run(['publish'], { ACGS_AGENT_URL: `http://127.0.0.1:${port}` });
  };
  expect(await publishWithStatus('400')).toMatchObject({
    code: 2,
    err: 'acgs-lb: Configuration refused:\nline 1\nline 2\n',
  });
  expect(await publishWithStatus('409')).toMatchObject({
    code: 1,
    err: 'acgs-lb: Address in use: gs-1 has this address\n',
  });
  expect(await publishWithStatus('404')).toMatchObject({
    code: 2,
    err: 'acgs-lb: there is no service "x"\n',
  });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test('a response that breaks off is one line, exit 1', async () => {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-length': 100 }).write('{');
    setImmediate(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const { code, err } = await run(['publish'], { ACGS_AGENT_URL: `http://127.0.0.1:${port}` });
  expect(err).toMatch(/^acgs-lb: the agent at .* sent an invalid response to \/v1\/publish: .*\n$/);
  expect(code).toBe(1);
  await new Promise((resolve) => server.close(resolve));
});

test('events prints recent changes, one per line', async () => {
  agent.changeInstance('fv/fv-1', { state: 'down', health: 'down' }, '3 of 3 probes failed');
  const { out } = await run(['events', '--no-follow', '--json'], stackEnv());
  expect(JSON.parse(out.trim().split('\n').at(-1) ?? '')).toMatchObject({ instance: 'fv-1', to: 'down' });
});

test('explain prints the chosen instance and the reason', async () => {
  expect(await run(['explain', '/api/v1/governance/x'], stackEnv())).toMatchObject({
    code: 0,
    out: expect.stringMatching(/→ gs-2[\s\S]*power of two choices/),
  });
});

test('keys are written once, readable by the owner only, and never overwritten', async () => {
  const output = join(mkdtempSync(join(folder, 'keys-')), 'made', 'here');
  const args = ['keys', 'new', '--out', output];
  expect((await run(args)).code).toBe(0);
  expect(statSync(join(output, 'agent.env')).mode & 0o777).toBe(0o600);
  expect(await run(args)).toMatchObject({ code: 1, err: expect.stringContaining('was not changed') });
});

/** Prints which of the slow packages a process loads. */
const REPORT_SLOW_PACKAGES = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  const loaded = new Set();
  registerHooks({ resolve: (name, context, next) => (loaded.add(name), next(name, context)) });
  process.on('exit', () => {
    for (const name of ['zod', 'undici', 'yaml', 'string-width']) if (loaded.has(name)) console.error('loaded', name);
    if (process.moduleLoadList.some((one) => one.includes('undici'))) console.error('loaded undici');
  });
`)}`;

test('status and the list of commands load neither zod nor undici: each takes as long as starting Node', async () => {
  const light = await startFakeAgent({ version: packageVersion() });
  try {
    for (const args of [['status'], ['--help'], ['events', '--no-follow'], ['alerts']]) {
      const { code, err } = await run(args, {
        ACGS_AGENT_URL: light.url,
        NODE_OPTIONS: `--import=${REPORT_SLOW_PACKAGES}`,
      });
      expect(`${args.join(' ')}: ${code}`).toBe(`${args.join(' ')}: 0`);
      expect(err).not.toContain('loaded');
    }
  } finally {
    await light.close();
  }
});

test('import shows no passwords in its lines; the proposed file keeps them', async () => {
  const own = mkdtempSync(join(folder, 'import-'));
  const file = join(own, 'haproxy.cfg');
  const users = 'userlist operators\n  user op insecure-password not-shown\n';
  const web = 'frontend web\n  bind 127.0.0.1:80\n  mode http\n  default_backend app\n';
  writeFileSync(file, `${users}${web}backend app\n  mode http\n  server a 127.0.0.1:9001\n`);
  const out = join(own, 'proposal.yaml');
  const text = await run(['import', file, '--out', out]);
  expect(text.out).toContain('user op insecure-password (hidden)');
  expect(text.out + text.err).not.toContain('not-shown');
  expect(readFileSync(out, 'utf8')).toContain('not-shown');
  const { lines, yaml } = JSON.parse((await run(['--json', 'import', file])).out);
  expect(JSON.stringify(lines)).not.toContain('not-shown');
  expect(yaml).toContain('not-shown');
});

test('check runs haproxy -c where it is installed, and says when it does not', async () => {
  const file = join(folder, 'snippet.yaml');
  const write = (snippet: string) =>
    writeFileSync(
      file,
      `version: 1
site: { id: main }
services:
  gs: { routes: [/], instances: [{ id: gs-1, url: "http://127.0.0.1:1" }] }
haproxy: { extra: { services: { gs: "${snippet}" } } }
`,
    );
  const check = (...args: string[]) => run(['check', '--config', file, ...args], stackEnv());
  write('timeout tunnel 2h');
  expect(await check()).toMatchObject({ code: 0, out: expect.stringContaining('HAProxy accepts') });
  write('nonsense');
  const rejected = await check();
  expect(rejected).toMatchObject({
    code: 2,
    err: expect.stringContaining(`[${file}:5: haproxy.extra.services.gs, line 1]`),
  });
  expect(await check('--no-haproxy')).toMatchObject({ code: 0, out: expect.stringContaining('not checked') });
});
