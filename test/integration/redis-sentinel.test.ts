import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createRedisLiveState } from '../../agent/live/redis.ts';
import { freePort } from '../../dev/ports.ts';
import { type Child, startChild } from '../../dev/servers/child.ts';
import { type LocalRedis, startRedis } from '../../dev/servers/redis.ts';
import { tcpRequest } from '../../dev/servers/tcp-request.ts';
import { eventually } from '../harness/eventually.ts';

let master: LocalRedis;
let replica: LocalRedis;
let sentinel: Child;
let sentinelPort: number;
let dir: string;
let url: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'acgs-sentinel-'));
  master = await startRedis({ settings: ['--repl-diskless-sync-delay', '0'] });
  replica = await startRedis({ settings: ['--replicaof', '127.0.0.1', String(master.port)] });
  sentinelPort = await freePort();
  const file = join(dir, 'sentinel.conf');
  await writeFile(
    file,
    `port ${sentinelPort}
bind 127.0.0.1
dir ${dir}
sentinel monitor lb 127.0.0.1 ${master.port} 1
sentinel down-after-milliseconds lb 60000
sentinel failover-timeout lb 3000
`,
  );
  sentinel = await startChild({
    name: 'sentinel',
    command: 'redis-server',
    args: [file, '--sentinel'],
    logFile: join(dir, 'log'),
  });
  url = `redis+sentinel://127.0.0.1:${sentinelPort}/lb`;
});

afterEach(async () => {
  await sentinel?.stop();
  await replica?.stop();
  await master?.stop();
  await rm(dir, { recursive: true, force: true });
});

test('live state follows the master that the Sentinels name, also when the old one hangs', async () => {
  const live = createRedisLiveState({ url, site: 'main', log: pino({ level: 'silent' }) });
  const lease = () => live.acquireLease('me', 600_000).catch(() => null);
  const heard: unknown[] = [];
  live.subscribe((event) => heard.push(event));
  const hears = (what: string) =>
    eventually(async () => {
      await live.publish({ what });
      expect(heard).toContainEqual({ what });
    });
  try {
    await eventually(async () => expect((await lease())?.held).toBe(true));
    await hears('before');
    // The Sentinel must know the replica before it can promote it.
    await eventually(() => expect(sentinel.tail(40)).toContain(`+slave slave 127.0.0.1:${replica.port}`));
    // The replica must have a copy of the data to be a candidate.
    const info = () => tcpRequest({ host: '127.0.0.1', port: replica.port }, 'INFO replication\r\nQUIT\r\n');
    await eventually(async () => expect(await info()).toContain('master_link_status:up'));
    // Not earlier: on a busy machine the master may be slow.
    const hurry = 'SENTINEL SET lb down-after-milliseconds 500\r\n';
    const isComplete = (answer: string) => answer.includes('\r\n');
    await eventually(async () =>
      expect(await tcpRequest({ host: '127.0.0.1', port: sentinelPort }, hurry, { isComplete })).toContain(
        'OK',
      ),
    );
    // Accepts commands and does not answer; no connection breaks.
    master.child.signal('SIGSTOP');
    // A Sentinel that was paused for two seconds does nothing for 30 s (TILT mode).
    const within = { timeout: 150_000, interval: 100 };
    await expect.poll(async () => (await lease())?.held, within).toBe(true);
    await hears('after');
  } finally {
    master.child.signal('SIGCONT');
    await live.close();
  }
});
