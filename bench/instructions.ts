import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { service, sessionCookie } from './edge.ts';
import { FLOOR_VARIANTS } from './floor-worker.ts';
import { startGateway } from './gateway.ts';
import { type Rig, startBackend, startRig } from './rig.ts';
import { type BenchTable, tableOf } from './table.ts';

const WARM_UP = 1_500;
/** Few, because an isolate also refreshes its snapshot once a second. */
const REQUESTS = 40;
const BATCHES = 4;
/** Suffix of the dumps of the thread that runs the isolates. */
const MAIN_THREAD = '-01';

interface InstructionVariant {
  readonly what: string;
  readonly url: string;
}

/** Instructions per request of the edge and of the Workers that it is compared with. Needs valgrind. */
export const benchInstructions = (): Promise<BenchTable[]> =>
  countInstructions('Edge, instructions of workerd', (rig) => [
    { what: 'pass-through Worker', url: `${rig.passThroughUrl}/direct/x?y=1` },
    { what: 'Worker that rewrites the same header fields', url: `${rig.rewritingUrl}/direct/x?y=1` },
    { what: 'edge, all features, direct', url: `${rig.edgeUrl}/direct/x?y=1` },
    { what: 'edge, all features, through HAProxy', url: `${rig.edgeUrl}/gateway/x?y=1` },
  ]);

/** The cost of each call into the runtime, in Workers that do nothing else. Needs valgrind. */
export const benchEdgeFloor = (): Promise<BenchTable[]> =>
  countInstructions('A pass-through Worker, and', (rig) =>
    FLOOR_VARIANTS.map(({ what }, index) => ({ what, url: `${rig.floorUrl}/${index}/direct/x?y=1` })),
  );

/**
 * Under callgrind and without the kernel: repeatable on a busy machine, unlike times. Counts the thread of the isolates
 * only, because compilation and garbage collection on other threads vary.
 */
async function countInstructions(
  title: string,
  variantsOf: (rig: Rig) => readonly InstructionVariant[],
): Promise<BenchTable[]> {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-cg-'));
  const wrapper = join(folder, 'workerd');
  const workerd = createRequire(import.meta.url).resolve('workerd/bin/workerd');
  writeFileSync(
    wrapper,
    `#!/bin/sh
exec valgrind --tool=callgrind --instr-atstart=no --separate-threads=yes --smc-check=all-non-file --callgrind-out-file=${folder}/out.%p ${workerd} "$@"\n`,
  );
  chmodSync(wrapper, 0o755);
  process.env.MINIFLARE_WORKERD_PATH = wrapper;
  const backend = await startBackend();
  const gateway = await startGateway(backend.url);
  const rig = await startRig(backend.url, { GATEWAY_JWT_KEY: gateway.jwtKey });
  try {
    await rig.publish({
      gateways: [gateway.url],
      services: {
        direct: service(backend.url, { routes: ['/direct'] }),
        gateway: service(backend.url, { routes: ['/gateway'], path: 'gateway' }),
      },
    });
    const cookie = await sessionCookie(rig.edgeUrl, ['/direct/x', '/gateway/x']);
    const rows = [];
    for (const { what, url } of variantsOf(rig)) {
      const client = newClient(url, { cookie });
      await client(WARM_UP);
      const rounds: number[] = [];
      for (let batch = 0; batch < BATCHES; batch++) {
        rounds.push((await instructionsOf(folder, () => client(REQUESTS))) / REQUESTS / 1_000);
      }
      // The lowest: the others include background work.
      rows.push({ what, rounds: [Math.min(...rounds)] });
    }
    return [tableOf(title, 'thousand per request', rows)];
  } finally {
    await rig.stop();
    await gateway.stop();
    await backend.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Sends requests one after another on one connection. */
function newClient(url: string, headers: Record<string, string>): (count: number) => Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const send = () =>
    new Promise<void>((resolve, reject) => {
      request(url, { agent, headers }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`${url}: status ${response.statusCode}`));
        response.resume().on('end', resolve);
      })
        .on('error', reject)
        .end();
    });
  return async (count) => {
    for (let index = 0; index < count; index++) await send();
  };
}

async function instructionsOf(folder: string, work: () => Promise<void>): Promise<number> {
  const pid = pidIn(folder);
  control('--zero', pid);
  control('--instr=on', pid);
  await work();
  control('--instr=off', pid);
  const before = new Set(readdirSync(folder));
  control('--dump', pid);
  const dumps = readdirSync(folder).filter((name) => !before.has(name) && name.endsWith(MAIN_THREAD));
  const totals = dumps.map((name) => /^totals: (\d+)/m.exec(readFileSync(join(folder, name), 'utf8'))?.[1]);
  return totals.reduce((sum, total) => sum + Number(total ?? 0), 0);
}

const control = (option: string, pid: string): string =>
  execFileSync('callgrind_control', [option, pid], { encoding: 'utf8', timeout: 60_000 });

/** Callgrind has the name of its output file among its arguments. */
function pidIn(folder: string): string {
  const pid = readdirSync('/proc').find(
    (name) => /^\d+$/.test(name) && commandLine(name).includes(`out-file=${folder}/`),
  );
  if (pid === undefined) throw new Error('valgrind runs no workerd');
  return pid;
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    // It has ended.
    return '';
  }
}
