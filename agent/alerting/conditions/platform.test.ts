import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { expect, test } from 'vitest';
import { parseConfig } from '../../../shared/config/load.ts';
import { makeCertificates } from '../../../test/harness/certificates.ts';
import { certificateConditions, certificateFiles, createCertificateReader } from './certificates.ts';
import { createDueFilter } from './due.ts';
import { createEdgeWatch, createOrderHistory } from './edge-watch.ts';
import { type PlatformFacts, platformConditions } from './platform.ts';
import { spoolConditions } from './spool.ts';

const NOW = 10_000_000;
const DAY = 86_400_000;
const well = { state: 'ok', pending: 0, dropped: 0, lastSuccess: NOW, lastError: null } as const;
const facts = (more: Partial<PlatformFacts> = {}): PlatformFacts => ({
  sinks: { haproxy: well, redis: well, postgres: well, snapshot: well },
  snapshot: { publishedAt: NOW - 1_000, expected: { epoch: 1, seq: 5 }, error: null },
  edge: { lastReport: NOW - 1_000, newest: { epoch: 1, seq: 5 } },
  recentRequests: 100,
  refusedConfig: null,
  sources: [],
  now: NOW,
  ...more,
});
const rules = (more: Partial<PlatformFacts>) =>
  platformConditions(facts(more)).map(({ rule, message }) => [rule, message]);

test('a working platform has no condition', () => {
  expect(platformConditions(facts())).toEqual([]);
  expect(platformConditions(facts({ snapshot: null, edge: { lastReport: null, newest: null } }))).toEqual([]);
});

test('each part that fails is a condition with its own subject', () => {
  const failing = {
    ...well,
    state: 'retrying',
    pending: 7,
    lastError: 'ECONNREFUSED',
    lastSuccess: NOW - 9_000,
  } as const;
  expect(
    platformConditions(facts({ sinks: { haproxy: failing, redis: failing, snapshot: failing } })),
  ).toMatchObject([
    { rule: 'sinkFailing', subject: 'haproxy', severity: 'critical' },
    {
      rule: 'sinkFailing',
      subject: 'redis',
      severity: 'warning',
      message: 'redis: ECONNREFUSED; 7 waiting; last success 9 s ago',
    },
  ]);
});

test('an edge is silent only while the site has traffic', () => {
  const edge = { lastReport: NOW - 90_000, newest: null };
  expect(rules({ edge })).toEqual([
    ['edgeSilent', 'the edge has sent no report for 90 s; the site had 100 requests in the last minute'],
  ]);
  expect(rules({ edge, recentRequests: 0 })).toEqual([]);
});

test('a snapshot is not taken when publishing fails, stops, or the edge stays behind while it reports', () => {
  const snapshot = { publishedAt: NOW - 1_000, expected: { epoch: 2, seq: 1 }, error: null };
  expect(rules({ snapshot: { ...snapshot, error: 'HTTP 403' } })[0]?.[1]).toContain(
    'publishing fails: HTTP 403',
  );
  expect(rules({ snapshot: { ...snapshot, publishedAt: NOW - 700_000 } })[0]?.[1]).toContain('700 s ago');
  expect(rules({ snapshot })[0]?.[1]).toContain('it uses 1.5 a minute after 2.1 was published');
  expect(rules({ snapshot, edge: { lastReport: NOW - 40_000, newest: { epoch: 1, seq: 5 } } })).toEqual([]);
});

test('the edge must have the snapshot order of a minute ago, not a newer one', () => {
  const expected = createOrderHistory(60_000);
  expect(expected({ epoch: 1, seq: 1 }, 0)).toBeNull();
  expect(expected({ epoch: 1, seq: 2 }, 50_000)).toBeNull();
  expect(expected({ epoch: 1, seq: 2 }, 60_000)).toEqual({ epoch: 1, seq: 1 });
  expect(expected({ epoch: 1, seq: 2 }, 110_000)).toEqual({ epoch: 1, seq: 2 });
  const watch = createEdgeWatch();
  const report = {
    v: 1,
    site: 'main',
    isolate: 'a',
    seq: 1,
    from: 0,
    to: 1,
    tries: [],
    limits: [],
    requests: [],
  } as const;
  for (const seq of [3, 2]) {
    watch.accept(
      {
        ...report,
        tries: [],
        limits: [],
        requests: [],
        snapshot: { epoch: 1, seq, ageMs: 1, source: 'hub' },
      },
      seq,
    );
  }
  expect(watch.facts()).toMatchObject({ lastReport: 2, newest: { epoch: 1, seq: 3 } });
});

test('a refused configuration names its first problem and counts the others', () => {
  expect(rules({ refusedConfig: { at: NOW, problem: 'a: bad\nb: bad' } })).toEqual([
    [
      'configRefused',
      'the configuration file was refused, the earlier one stays in force: a: bad (and 1 more)',
    ],
  ]);
});

test('certificates: the severity follows the time left, and the text agrees with its limit', () => {
  const limits = { enabled: true, warning: 21 * DAY, critical: 7 * DAY };
  const at = (leftMs: number) =>
    certificateConditions([{ file: 'a.pem', expiresAt: NOW + leftMs }], limits, NOW)[0];
  expect(at(22 * DAY)).toBeUndefined();
  expect(at(20.5 * DAY)).toMatchObject({ severity: 'warning', value: 20, threshold: 21 });
  expect(at(6 * DAY)).toMatchObject({ severity: 'critical', value: 6, threshold: 7 });
  expect(at(5 * 3_600_000)?.message).toContain('expires in 5 hours');
  expect(at(-1)).toMatchObject({ severity: 'emergency', message: expect.stringContaining('expired at') });
});

test('certificates are read from files and folders; a file that cannot be read is no alert', async () => {
  const made = makeCertificates('lb');
  const folder = mkdtempSync(join(tmpdir(), 'acgs-expiry-'));
  try {
    copyFileSync(made.server.cert, join(folder, 'site.pem'));
    const config = parseConfig(`
version: 1
site: { id: main }
haproxy: { tls: { crt: ${folder} } }
services:
  gs: { routes: [/], health: { tls: { cert: ${made.client.cert}, key: ${made.client.key} } } }
`);
    expect(certificateFiles(config)).toEqual([folder, made.client.cert]);
    const read = createCertificateReader(pino({ level: 'silent' }));
    const found = await read([...certificateFiles(config), '/nowhere.pem']);
    expect(found.map(({ file }) => file)).toEqual([join(folder, 'site.pem'), made.client.cert]);
    expect(found.every(({ expiresAt }) => expiresAt > Date.now())).toBe(true);
  } finally {
    made.remove();
    rmSync(folder, { recursive: true, force: true });
  }
});

test('spool and disk: the figures shown have crossed the limits shown', () => {
  const disk = (free: number) => ({ bytes: 0, maxBytes: 100, disk: { freeBytes: free, totalBytes: 1000 } });
  expect(spoolConditions(disk(100))).toEqual([]);
  expect(spoolConditions(disk(99.99))).toMatchObject([
    { subject: 'disk', severity: 'warning', value: 9.9, message: expect.stringContaining('9.9 % free') },
  ]);
  expect(spoolConditions(disk(29))).toMatchObject([{ severity: 'critical', threshold: 3 }]);
  expect(spoolConditions({ bytes: 49, maxBytes: 100, disk: null })).toEqual([]);
  expect(spoolConditions({ bytes: 95, maxBytes: 100, disk: null })).toMatchObject([
    { subject: 'spool', severity: 'critical', value: 95, threshold: 90 },
  ]);
});

test('a condition is due after its time, a disabled one never, and that of an open alert at once', () => {
  const { alerts } = parseConfig(`
version: 1
site: { id: main }
services: { gs: { routes: [/] } }
alerts: { rules: { configRefused: { enabled: false } } }
`);
  const due = createDueFilter();
  const [redis] = platformConditions(facts({ sinks: { redis: { ...well, state: 'down' } } }));
  const [refused] = platformConditions(facts({ refusedConfig: { at: 0, problem: 'x' } }));
  if (!redis || !refused) throw new Error('no condition');
  const at = (now: number, open: string[] = []) =>
    due([redis, refused], new Set(open), alerts.rules, now).map(({ rule }) => rule);
  expect(at(0)).toEqual([]);
  expect(at(59_999)).toEqual([]);
  expect(at(60_000)).toEqual(['sinkFailing']);
  expect(due([], new Set(), alerts.rules, 61_000)).toEqual([]);
  expect(at(62_000)).toEqual([]);
  expect(at(62_000, ['sinkFailing  redis'])).toEqual(['sinkFailing']);
});
