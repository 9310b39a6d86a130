import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SnapshotHeaders } from '../shared/snapshot/snapshot.ts';
import { callgrindArguments, countInstructions, sequentialClient } from './callgrind.ts';
import { bothWays, NO_FIELDS, sessionCookie } from './edge.ts';
import { FLOOR_VARIANTS } from './floor-worker.ts';
import { createGatewayKeys, startGateway } from './gateway.ts';
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
  /** The fields that edge and gateway add. Default: those of a configuration without `headers`. */
  readonly headers?: Partial<SnapshotHeaders>;
}

/** Instructions per request of the edge and of the Workers that it is compared with. Needs valgrind. */
export const benchInstructions = (): Promise<BenchTable[]> =>
  measureVariants('Edge, instructions of workerd', (rig) => [
    { what: 'pass-through Worker', url: `${rig.passThroughUrl}/direct/x?y=1` },
    { what: 'Worker that rewrites the same header fields', url: `${rig.rewritingUrl}/direct/x?y=1` },
    ...edgeVariants('edge, all features, direct', `${rig.edgeUrl}/direct/x?y=1`),
    ...edgeVariants('edge, all features, through HAProxy', `${rig.edgeUrl}/gateway/x?y=1`),
  ]);

const edgeVariants = (what: string, url: string): InstructionVariant[] => [
  { what, url },
  { what: `${what}, default fields off`, url, headers: NO_FIELDS },
];

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
  const keys = createGatewayKeys();
  const rig = await startRig(backend.url, { GATEWAY_JWT_KEY: keys.jwtKey });
  try {
    const rows = [];
    for (const variant of variantsOf(rig)) {
      const { what, headers = {} } = variant;
      const gateway = await startGateway(backend.url, { headers, keys });
      try {
        await rig.publish(bothWays(backend.url, gateway, headers));
        rows.push({ what, rounds: [await lowestCount(folder, rig, variant)] });
      } finally {
        await gateway.stop();
      }
    }
    return [tableOf(title, 'thousand per request', rows)];
  } finally {
    await rig.stop();
    await backend.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The lowest of a few batches, in thousands per request: the others include background work. */
async function lowestCount(folder: string, rig: Rig, { url }: InstructionVariant): Promise<number> {
  const client = sequentialClient(url, {
    cookie: await sessionCookie(rig.edgeUrl, ['/direct/x', '/gateway/x']),
  });
  await client(WARM_UP);
  let lowest = Number.POSITIVE_INFINITY;
  for (let batch = 0; batch < BATCHES; batch++) {
    const { total } = await countInstructions(folder, () => client(REQUESTS), { thread: MAIN_THREAD });
    lowest = Math.min(lowest, total / REQUESTS / 1_000);
  }
  return lowest;
}
