import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stopLeftovers } from '../../dev/stack/process-record.ts';
import { runStart, startStack, type TestStack } from '../harness/stack.ts';
import { edgeStatus } from '../harness/status.ts';
import { until } from '../harness/until.ts';
import { useServers } from '../harness/use-servers.ts';
import { requestEdge } from './edge-request.ts';

let stateDir: string;
let test: TestStack;
useServers(async () => {
  stateDir = mkdtempSync(join(tmpdir(), 'acgs-e2e-'));
  test = await startStack({ stateDir, args: ['--embedded', '--simulate-clients', '--kv-down'] });
}, stop);

async function stop(): Promise<void> {
  await test?.stop();
  rmSync(stateDir, { recursive: true, force: true });
}

describe('the stack without Redis and Postgres, with KV down', () => {
  it('answers, limits and survives a killed instance', async () => {
    const { stack } = test;
    expect(stack).toMatchObject({ redis: null, postgres: null, pids: { redis: null, postgres: null } });
    expect((await requestEdge(stack, '/api/v1/policy/x')).body.service).toBe('pgc');
    const limited = { client: '198.51.100.9' };
    const denied = async () => (await requestEdge(stack, '/api/v1/policy/x', limited)).status === 429;
    // The limit is twenty in ten seconds; a slow machine needs more requests.
    expect(await until(denied, { everyMs: 0 })).toBe(true);

    const pid = stack.instances.find(({ id }) => id === 'pgc-1')?.pid;
    // kill(0) would signal the whole process group.
    if (!pid) throw new Error('pgc-1 does not run');
    process.kill(pid, 'SIGKILL');
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, call) =>
        requestEdge(stack, '/api/v1/policy/x', { client: `203.0.113.${call}` }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(new Array(40).fill(200));
    expect(await until(async () => /"id":"pgc-1"[^}]*"state":"down"/.test(await edgeStatus(stack)))).toBe(
      true,
    );
  });

  it('rejects a second stack with the same state folder', async () => {
    const run = runStart(['--no-install', '--state-dir', stateDir, '--port-offset', '40000']);
    expect(await run.ended).toBe(2);
    expect(run.stderr()).toMatch(/^a stack \(pid \d+\) already runs with state folder /);
    expect(existsSync(join(stateDir, 'stack.json'))).toBe(true);
  });

  it('leaves nothing when the supervisor is killed', async () => {
    const record = join(stateDir, 'processes.json');
    const { supervisor, folders } = JSON.parse(readFileSync(record, 'utf8')) as {
      supervisor: { pid: number };
      folders: string[];
    };
    process.kill(supervisor.pid, 'SIGKILL');
    expect(await test.end('SIGTERM')).toBe(1);
    // The first step of the next start.
    expect(await stopLeftovers(record)).toBe(null);
    const { stack } = test;
    const pids = [...Object.values(stack.pids), ...stack.instances.map(({ pid }) => pid)].filter(
      (pid) => pid !== null,
    );
    expect(await until(() => pids.every((pid) => !existsSync(`/proc/${pid}`)))).toBe(true);
    expect(folders.filter(existsSync)).toEqual([]);
  });
});
