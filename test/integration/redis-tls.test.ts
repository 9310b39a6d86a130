import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkRedis } from '../../agent/cli/doctor/stores.ts';
import type { LiveState } from '../../agent/live/live-state.ts';
import { createRedisLiveState } from '../../agent/live/redis.ts';
import { freePort } from '../../dev/ports.ts';
import { type Child, startChild } from '../../dev/servers/child.ts';
import { createPrivateFolder, removeFolder } from '../../dev/servers/folder.ts';
import { type LocalRedis, startRedis } from '../../dev/servers/redis.ts';
import { type Certificates, makeCertificates } from '../harness/certificates.ts';
import { doctorFacts } from '../harness/doctor-facts.ts';
import { eventually } from '../harness/eventually.ts';

let files: Certificates;
let server: LocalRedis;
let tlsPort: number;
let sentinel: Child;
let sentinelPort: number;
let folder: string;

/** The rights that docs/operations.md lists. */
const RIGHTS = ['~lb:*', '~governance_session:*', '&lb:events:*', '+@all', '-@dangerous', '+info'];

beforeAll(async () => {
  files = makeCertificates('agent');
  folder = createPrivateFolder('acgs-tls');
  [tlsPort, sentinelPort] = [await freePort(), await freePort()];
  const tls = [
    ...['--tls-cert-file', files.server.cert, '--tls-key-file', files.server.key],
    ...['--tls-ca-cert-file', files.ca],
  ];
  server = await startRedis({
    settings: [
      ...['--tls-port', String(tlsPort), '--tls-auth-clients', 'yes', ...tls],
      ...['--user', 'acgs', 'on', '>acl-secret', ...RIGHTS],
    ],
  });
  const file = join(folder, 'sentinel.conf');
  const own = tls.join(' ').replaceAll(' --', '\n').replace('--', '');
  writeFileSync(
    file,
    `port 0\ntls-port ${sentinelPort}\nbind 127.0.0.1\ndir ${folder}\n${own}\ntls-auth-clients optional
tls-replication yes\nsentinel monitor lb 127.0.0.1 ${tlsPort} 1\n`,
  );
  sentinel = await startChild({
    name: 'sentinel',
    command: 'redis-server',
    args: [file, '--sentinel'],
    logFile: join(folder, 'log'),
  });
});

afterAll(async () => {
  await sentinel?.stop();
  await server?.stop();
  files?.remove();
  removeFolder(folder);
});

const client = () => `cert=${files.client.cert}&key=${files.client.key}`;
const urlOf = (query: string, password = 'acl-secret', host = '127.0.0.1') =>
  `rediss://acgs:${password}@${host}:${tlsPort}/0?${query}`;

/** Everything that the client logs until `enough` resolves. */
async function lines(
  url: string,
  enough: (live: LiveState) => Promise<void> | void,
  more: { timeoutMs?: number } = {},
): Promise<string> {
  let text = '';
  const write = (line: string): void => {
    text += line;
  };
  const log = pino({ level: 'info' }, { write });
  const live = createRedisLiveState({ url, site: 'main', log, ...more });
  try {
    await eventually(() => enough(live));
    return text;
  } finally {
    await live.close();
  }
}

const works = async (live: LiveState) => {
  await live.put([{ key: 'lb:a', value: '1', ttlSeconds: 60 }]);
  expect(await live.get('lb:a')).toBe('1');
  await live.writeIntent('a', '{}');
  expect((await live.acquireLease('me', 60_000)).held).toBe(true);
};

test('TLS with a private authority, a client certificate and a user with limited rights', async () => {
  const url = urlOf(`cacert=${files.ca}&${client()}`);
  expect(await lines(url, works, { timeoutMs: 60_000 })).toBe('');
  await eventually(async () => {
    const [found] = await checkRedis(doctorFacts({ REDIS_URL: url }));
    expect(found).toMatchObject({ state: 'ok', detail: expect.stringContaining('answers') });
  });
});

test('a master and its Sentinel, both only with TLS', async () => {
  const url = `rediss+sentinel://acgs:acl-secret@127.0.0.1:${sentinelPort}/lb?cacert=${files.ca}&${client()}`;
  expect(await lines(url, works)).not.toContain('secret');
});

test.each([
  ['the wrong authority', () => urlOf(`cacert=${files.otherCa}&${client()}`), /cacert= in REDIS_URL/],
  ['no authority', () => urlOf(client()), /cacert= in REDIS_URL/],
  [
    'another host name',
    () => urlOf(`cacert=${files.ca}&${client()}`, 'acl-secret', 'localhost'),
    /other names/,
  ],
  ['no client certificate', () => urlOf(`cacert=${files.ca}`), /cert= and key= in REDIS_URL/],
  [
    'a wrong password',
    () => urlOf(`cacert=${files.ca}&${client()}`, 'wrong-secret'),
    /user or password in REDIS_URL/,
  ],
  ['TLS to a port without', () => `rediss://acgs:acl-secret@127.0.0.1:${server.port}`, /may not support TLS/],
  ['no TLS to a port with', () => `redis://acgs:acl-secret@127.0.0.1:${tlsPort}`, /requires rediss:/],
])('%s: logged once and reported by doctor, with a hint and no secret', async (_what, url, mend) => {
  let printed = '';
  await eventually(async () => {
    const text = await lines(url(), async (live) => {
      expect(live.status()).toMatchObject({ state: 'retrying', lastError: expect.any(String) });
      await expect(live.get('lb:a')).rejects.toThrow();
    });
    printed += text;
    expect(text).toMatch(mend);
    expect(text.match(/Redis is unavailable/g)).toHaveLength(1);
  });
  await eventually(async () => {
    const [found] = await checkRedis(doctorFacts({ REDIS_URL: url() }));
    printed += JSON.stringify(found);
    expect(found).toMatchObject({ name: 'Redis', state: 'fail', mend: expect.stringMatching(mend) });
  });
  expect(printed).not.toContain('secret');
});
