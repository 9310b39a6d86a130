import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { callgrindArguments, countInstructions, sequentialClient } from './callgrind.ts';
import { service, sessionCookie } from './edge.ts';
import { FLOOR_VARIANTS } from './floor-worker.ts';
import { startGateway } from './gateway.ts';
import { type Rig, startBackend, startRig } from './rig.ts';
import { type BenchTable, tableOf } from './table.ts';

const WARM_UP = 1_500;
/** Few, because an isolate also refreshes its snapshot once a second. */
const REQUESTS = 40;
const BATCHES = 4;
/** The thread that runs the isolates. */
const MAIN_THREAD = 1;

interface InstructionVariant {
  readonly what: string;
  readonly url: string;
}

/** Instructions per request of the edge and of the Workers that it is compared with. Needs valgrind. */
export const benchInstructions = (): Promise<BenchTable[]> =>
  measureVariants('Edge, instructions of workerd', (rig) => [
    { what: 'pass-through Worker', url: `${rig.passThroughUrl}/direct/x?y=1` },
    { what: 'Worker that rewrites the same header fields', url: `${rig.rewritingUrl}/direct/x?y=1` },
    { what: 'edge, all features, direct', url: `${rig.edgeUrl}/direct/x?y=1` },
    { what: 'edge, all features, through HAProxy', url: `${rig.edgeUrl}/gateway/x?y=1` },
  ]);

/** The cost of each call into the runtime, in Workers that do nothing else. Needs valgrind. */
export const benchEdgeFloor = (): Promise<BenchTable[]> =>
  measureVariants('A pass-through Worker, and', (rig) =>
    FLOOR_VARIANTS.map(({ what }, index) => ({ what, url: `${rig.floorUrl}/${index}/direct/x?y=1` })),
  );

/**
 * Under callgrind and without the kernel: repeatable on a busy machine, unlike times. Counts the thread of the isolates
 * only, because compilation and garbage collection on other threads vary.
 */
async function measureVariants(
  title: string,
  variantsOf: (rig: Rig) => readonly InstructionVariant[],
): Promise<BenchTable[]> {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-cg-'));
  const wrapper = join(folder, 'workerd');
  const workerd = createRequire(import.meta.url).resolve('workerd/bin/workerd');
  writeFileSync(
    wrapper,
    `#!/bin/sh
exec valgrind ${callgrindArguments(folder).join(' ')} --separate-threads=yes ${workerd} "$@"\n`,
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
      const client = sequentialClient(url, { cookie });
      await client(WARM_UP);
      const rounds: number[] = [];
      for (let batch = 0; batch < BATCHES; batch++) {
        const { total } = await countInstructions(folder, () => client(REQUESTS), { thread: MAIN_THREAD });
        rounds.push(total / REQUESTS / 1_000);
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
