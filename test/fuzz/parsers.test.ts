import { expect, test } from 'vitest';
import { createEdgeReportReader } from '../../agent/edge/reports.ts';
import { proposeConfig } from '../../agent/haproxy/import/proposal.ts';
import { parseSections } from '../../agent/haproxy/import/sections.ts';
import { formatAgentReply } from '../../agent/haproxy/socket/agent-check-server.ts';
import { parseInfo, parseServersState, parseStat } from '../../agent/haproxy/socket/parse.ts';
import { attemptOf, splitLogLine } from '../../agent/haproxy/telemetry/log-line.ts';
import { createRequestCounter } from '../../agent/haproxy/telemetry/request-counter.ts';
import { reportSchema } from '../../agent/http/api/routes/edge-reports.ts';
import { compileAccess } from '../../shared/access.ts';
import { decodePins, encodePins } from '../../shared/affinity/pins.ts';
import { ConfigError, parseConfig } from '../../shared/config/load.ts';
import { rateLimitHeaderItem } from '../../shared/limits/headers.ts';
import { compileRateLimit } from '../../shared/limits/policy.ts';
import { coversReading, pathReadings, rulePrefix } from '../../shared/path.ts';
import {
  type SnapshotVerifyKey,
  signSnapshot,
  unverifiedOrder,
  verifySnapshot,
} from '../../shared/snapshot/signature.ts';
import { AffinityCookies } from '../../worker/io/affinity-cookie.ts';
import { fuzz } from './fuzz.ts';

const NOW = 1_700_000_000_000;
const utf8 = (bytes: string): string => Buffer.from(bytes, 'latin1').toString();

/** Every number of plain data, at any depth, is finite. */
function expectFinite(data: unknown): void {
  if (typeof data === 'number') expect(Number.isFinite(data)).toBe(true);
  if (typeof data === 'object' && data !== null) for (const value of Object.values(data)) expectFinite(value);
}

test('configuration: a located error, or a configuration that a second reading confirms', async () => {
  await fuzz('config', (input) => {
    const text = utf8(input);
    const started = process.cpuUsage();
    try {
      const config = parseConfig(text, 'f.yaml');
      expect(Object.isFrozen(config)).toBe(true);
      expect(parseConfig(text, 'f.yaml')).toEqual(config);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      expect(error.problems.length).toBeGreaterThan(0);
      for (const problem of error.problems) expect(problem).toMatch(/^f\.yaml:[1-9]\d*:[1-9]\d*: /);
    }
    // 20 KB at most.
    expect(process.cpuUsage(started).user).toBeLessThan(5_000_000);
  });
});

test('snapshot: nothing unsigned is accepted, and no signed bytes make the verifier throw', async () => {
  const pair = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify']);
  if (!('privateKey' in pair)) throw new Error('Ed25519 makes a pair');
  const keys: SnapshotVerifyKey[] = [{ kid: 'k1', site: 'main', publicKey: pair.publicKey }];
  await fuzz('snapshot', async (input) => {
    const bytes = Uint8Array.from(Buffer.from(input, 'latin1'));
    expect((await verifySnapshot(bytes, 'main', keys)).ok).toBe(false);
    unverifiedOrder(bytes);
    const body = bytes.subarray(bytes.indexOf(10) + 1);
    const signature = Buffer.from(await crypto.subtle.sign('Ed25519', pair.privateKey, body));
    const head = Buffer.from(`k1.${signature.toString('base64url')}\n`);
    const opened = await verifySnapshot(Uint8Array.from(Buffer.concat([head, body])), 'main', keys);
    if (!opened.ok) return;
    expect(opened.snapshot).toMatchObject({ v: 1, site: 'main' });
    const sealed = await signSnapshot(opened.snapshot, { kid: 'k1', privateKey: pair.privateKey });
    expect(unverifiedOrder(sealed)).toMatchObject({ epoch: expect.any(Number) });
  });
});

test('affinity cookie: a forged one is ignored; what was sealed has the documented form', async () => {
  const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, [
    'encrypt',
    'decrypt',
  ]);
  const cookies = new AffinityCookies([{ kid: 'k1', key }]);
  await fuzz('cookie', async (input) => {
    expect(await cookies.open(input, NOW)).toBeNull();
    expect(await cookies.open(`acgs_affinity=k1.${input}`, NOW)).toBeNull();
    const pins = decodePins(utf8(input), NOW);
    if (!pins) return;
    expect(pins.expires).toBeGreaterThan(NOW);
    expect(Number.isFinite(pins.expires)).toBe(true);
    for (const instance of Object.values(pins.instances)) expect(typeof instance).toBe('string');
    const text = encodePins(pins);
    if (text !== null) expect(decodePins(text, NOW)).toEqual(pins);
  });
});

test('haproxy.cfg: a valid configuration or none, and one fate for every statement', async () => {
  await fuzz('haproxy-cfg', (input) => {
    const text = utf8(input);
    const { sections, stray } = parseSections(text);
    const statements = [...stray, ...sections.flatMap(({ head, body }) => [head, ...body])];
    for (const mode of ['whole', 'beside'] as const) {
      const proposal = proposeConfig(text, { mode, fileName: 'f.cfg', rejected: new Map() });
      expect(proposal.yaml === null).toBe(proposal.config === null);
      const lines = new Set(proposal.lines.map(({ line }) => line));
      for (const { line } of statements) expect(lines.has(line)).toBe(true);
      // The second reading finds no server of a service in the operator's own file.
      const own =
        proposal.ownFile === null
          ? null
          : proposeConfig(proposal.ownFile, { mode, fileName: 'f.cfg', rejected: new Map() });
      for (const service of Object.keys(proposal.config?.services ?? {}))
        expect(own?.config?.services[service]).toBeUndefined();
    }
  });
});

test("HAProxy's log: null, or an instance and a finite latency", async () => {
  const requests = createRequestCounter(() => true);
  await fuzz('haproxy-log', (input) => {
    const fields = splitLogLine(input);
    if (!fields) return;
    requests.count(fields);
    const line = attemptOf(fields);
    if (!line) return;
    expect(line.service).not.toBe('');
    expect(line.instance).not.toBe('');
    expect(Number.isFinite(line.latencyMs) && line.latencyMs >= 0).toBe(true);
  });
  for (const delta of requests.take(NOW))
    expectFinite({ ...delta.statuses, retries: delta.retries, ...delta.latency });
});

test("HAProxy's statistics: counters are finite and never negative", async () => {
  await fuzz('haproxy-stat', (input) => {
    for (const server of parseStat(input)) {
      const { service, instance, status, check, agentUp, ...counters } = server;
      for (const text of [service, instance, status, check]) expect(typeof text).toBe('string');
      expectFinite(counters);
      expect(
        Math.min(counters.attempts, counters.responses.ok, counters.responses.failed),
      ).toBeGreaterThanOrEqual(0);
    }
  });
});

test("HAProxy's server state and info: never throw", async () => {
  await fuzz('haproxy-state', (input) => {
    for (const server of parseServersState(input)) {
      expect(server.instance).not.toBe('');
      expect(['ready', 'drain', 'maint']).toContain(server.admin);
      expectFinite(server.port);
    }
    parseInfo(input);
  });
});

test('agent-check: the answer is empty or one line that HAProxy reads as the verdict', async () => {
  await fuzz('agent-check', (input) => {
    for (const reason of [input, utf8(input)]) {
      expect(formatAgentReply({ verdict: 'down', reason })).toMatch(/^down #[\x20-\x7e]{0,100}\n$/);
      expect(formatAgentReply({ verdict: 'up', reason })).toBe('up\n');
    }
  });
});

test('edge reports: refused, or evidence with finite numbers about a known service', async () => {
  const config = parseConfig('version: 1\nsite: { id: main }\nservices: { web: { routes: [/] } }\n');
  await fuzz('edge-report', (input) => {
    let body: unknown;
    try {
      body = JSON.parse(utf8(input));
    } catch {
      return;
    }
    const parsed = reportSchema.safeParse(body);
    if (!parsed.success) return;
    const { read } = createEdgeReportReader(() => config);
    const { evidence = [], requests = [] } = read(parsed.data, NOW) ?? {};
    expect(read(parsed.data, NOW)).toBeNull();
    for (const delta of [...evidence, ...requests]) {
      expect(delta.service).toBe('web');
      expectFinite(delta);
    }
  });
});

test('rate-limit fields: any key gives a bounded key and one item without syntax of its own', async () => {
  const policy = compileRateLimit({
    name: 'p',
    key: ['header:x', 'session', 'ip'],
    limit: 5,
    window: 10_000,
    scope: 'edge',
    overrides: { k: 9 },
  });
  await fuzz('rate-limit-key', (input) => {
    const key = policy.keyOf({
      path: '/',
      clientKey: '192.0.2.1',
      sessionKey: () => input,
      header: () => input,
    });
    expect(key.length).toBeLessThan(64 * 3 + 40);
    expect(policy.limitOf(input)).toBe(input === 'k' ? 9 : 5);
    const [resetMs, remaining] = [input.length * 7, input.length];
    expect(rateLimitHeaderItem(policy, { allowed: true, remaining, resetMs })).toMatch(/^"p";r=\d+;t=\d+$/);
  });
});

test('paths: a rule for a path covers every spelling of it, however it is encoded', async () => {
  await fuzz('path', (input) => {
    const path = `/${input}`;
    const readings = pathReadings(path);
    for (const reading of readings) expect(reading).toMatch(/^\//);
    expect(coversReading('/', readings)).toBe(true);
    const check = compileAccess([{ path: '/admin', deny: ['0.0.0.0/0'] }]);
    const encodeOnce = (text: string) =>
      text.replaceAll(/./g, (char) => `%${char.charCodeAt(0).toString(16)}`);
    for (const spelling of [
      'admin',
      'ADMIN',
      encodeOnce('admin'),
      encodeOnce('admin').replaceAll('%', '%25'),
    ]) {
      expect(check(`/${spelling}/${input}`, '192.0.2.1').allowed).toBe(false);
    }
    // A rule's own form is stable.
    const prefix = rulePrefix(path);
    if (!/[%;\\]/.test(prefix)) expect(rulePrefix(prefix)).toBe(prefix);
  });
});
