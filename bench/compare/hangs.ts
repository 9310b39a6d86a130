import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Fleet, startFleet } from './fleet.ts';
import { runLoad } from './load.ts';
import { startOurs } from './peers/ours.ts';

/**
 * `node bench/compare/hangs.ts [COUNT]`: how long a hung instance stays in service under traffic. Three instances, 150
 * requests a second through the edge; one instance after the other is stopped with SIGSTOP, and the agent is asked every
 * 20 ms for its state.
 */
const count = Number(process.argv[2] ?? 20);
if (!Number.isInteger(count) || count < 1 || count > 1_000) {
  process.stderr.write('usage: node bench/compare/hangs.ts [COUNT]   COUNT: hangs, 1 to 1000\n');
  process.exit(2);
}
/** Slow start and flap damping must not decide: after each hang the instance serves normally again. */
const BETWEEN_MS = 45_000;
const RATE = 150;
const GIVE_UP_MS = 20_000;

const folder = mkdtempSync(join(tmpdir(), 'acgs-hangs-'));
const fleet = await startFleet({ name: 'hangs', size: 3 });
const peers = await startOurs(new Map([['edge', fleet]]), folder);
const peer = peers.get('edge');
if (!peer) throw new Error('the stack has no edge');
try {
  await sleep(10_000);
  const load = runLoad({ url: peer.url, rate: RATE, postShare: 0, durationMs: count * (BETWEEN_MS + 3_000) });
  await sleep(5_000);
  const times: number[] = [];
  for (let hang = 0; hang < count; hang++) {
    times.push(await timeHang(fleet, hang % fleet.instances.length, peer.stack.agent));
    process.stdout.write(`hang ${hang + 1}: out after ${times.at(-1)?.toFixed(0)} ms\n`);
    await sleep(BETWEEN_MS);
  }
  times.sort((a, b) => a - b);
  const samples = await load;
  const failed = samples.filter((sample) => sample.failed).length;
  const slow = samples.filter(({ ms }) => ms > 500).length;
  const at = (share: number): string => (times[Math.ceil(times.length * share) - 1] ?? 0).toFixed(0);
  process.stdout.write(`median ${at(0.5)} ms, p95 ${at(0.95)} ms, worst ${at(1)} ms\n`);
  process.stdout.write(`GET: ${failed} failed, ${slow} over 500 ms, of ${samples.length}\n`);
} finally {
  await peer.stop();
  await fleet.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function timeHang(hung: Fleet, index: number, agent: string): Promise<number> {
  const id = hung.instances[index]?.id;
  hung.signal(index, 'SIGSTOP');
  const startedAt = performance.now();
  for (;;) {
    const response = await fetch(`${agent}/v1/services/edge/instances`);
    const { instances } = (await response.json()) as { instances: { id: string; state: string }[] };
    const elapsed = performance.now() - startedAt;
    if (instances.find((instance) => instance.id === id)?.state === 'down' || elapsed > GIVE_UP_MS) {
      hung.signal(index, 'SIGCONT');
      return elapsed;
    }
    await sleep(20);
  }
}
