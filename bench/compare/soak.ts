import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FAULTS } from './faults.ts';
import { startFleet } from './fleet.ts';
import { runLoad, type Sample } from './load.ts';
import { type OurPeer, startOurs } from './peers/ours.ts';
import { openDescriptors, residentMiB, type SoakMinute, soakChart } from './soak-report.ts';

/**
 * `node bench/compare/soak.ts [MINUTES] [FILE]`: moderate load through the edge with a random gray fault every minute. Prints
 * a line a minute and writes all figures as JSON.
 */
const minutes = Number(process.argv[2] ?? 60);
const file = process.argv[3] ?? 'soak.json';
if (!Number.isFinite(minutes) || minutes < 1 || minutes > 24 * 60) {
  process.stderr.write('usage: node bench/compare/soak.ts [MINUTES] [FILE]   MINUTES: 1 to 1440\n');
  process.exit(2);
}
const RATE = 100;
const POST_SHARE = 0.2;
const FAULT_MS = 15_000;
const GRAY = FAULTS.filter(({ id }) => ['hung', 'slow', 'stall', 'reset', 'errors', 'kill'].includes(id));

const folder = mkdtempSync(join(tmpdir(), 'acgs-soak-'));
const fleet = await startFleet({ name: 'soak', size: 3 });
const peers = await startOurs(new Map([['edge', fleet]]), folder);
const peer = peers.get('edge');
if (!peer) throw new Error('the stack has no edge');
const report: SoakMinute[] = [];
try {
  await sleep(10_000);
  for (let minute = 0; minute < minutes; minute++) report.push(await soakMinute(minute, peer));
} finally {
  await peer.stop();
  await fleet.stop();
  rmSync(folder, { recursive: true, force: true });
}
writeFileSync(file, `${JSON.stringify({ minutes, report }, null, 2)}\n`);
writeFileSync(file.replace(/\.json$/, '.svg'), soakChart(report));

async function soakMinute(minute: number, { url, stack }: OurPeer): Promise<SoakMinute> {
  const fault = GRAY[Math.floor(Math.random() * GRAY.length)];
  if (!fault) throw new Error('there are no gray faults');
  const load = runLoad({ url, rate: RATE, postShare: POST_SHARE, durationMs: 49_000 });
  await sleep(5_000);
  await fault.run(fleet, FAULT_MS, undefined);
  const samples = await load;
  const of = (method: Sample['method']) => samples.filter((one) => one.method === method);
  const row: SoakMinute = {
    minute,
    fault: fault.id,
    requests: samples.length,
    getFailed: of('GET').filter(({ failed }) => failed).length,
    postFailed: of('POST').filter(({ failed }) => failed).length,
    slow: samples.filter(({ ms }) => ms > 500).length,
    agentMiB: residentMiB(stack.pids.agent),
    edgeMiB: residentMiB(stack.pids.edge),
    haproxyMiB: residentMiB(stack.pids.haproxy),
    agentDescriptors: openDescriptors(stack.pids.agent),
  };
  process.stdout.write(`${JSON.stringify(row)}\n`);
  // What is left of the minute, so that every fault meets a recovered fleet.
  await sleep(11_000);
  return row;
}
