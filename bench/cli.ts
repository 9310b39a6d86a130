import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packageVersion } from '../agent/lib/version.ts';
import { startFakeAgent } from '../test/browser/fake-agent.ts';
import { type BenchTable, tableOf } from './table.ts';

const ROOT = join(import.meta.dirname, '..');
const ROUNDS = 15;
const run = promisify(execFile);

/**
 * How long `acgs-lb status` takes, compared with the start of bare Node. The agent is a fake in this process, so that only
 * the command is measured.
 */
export async function benchCli(): Promise<BenchTable[]> {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-bench-cli-'));
  const empty = join(folder, 'empty.mjs');
  writeFileSync(empty, '');
  const agent = await startFakeAgent({ version: packageVersion() });
  const env = { ...process.env, ACGS_AGENT_URL: agent.url, HOME: folder };
  const built = join(ROOT, 'dist/acgs-lb.mjs');
  const commands: Record<string, string[]> = {
    'bare Node': [empty],
    'acgs-lb status, in the checkout': [join(ROOT, 'bin/acgs-lb.mjs'), 'status'],
    ...(existsSync(built) ? { 'acgs-lb status, as packaged (npm run build)': [built, 'status'] } : {}),
  };
  const rows = Object.entries(commands).map(([what, args]) => ({ what, args, rounds: [] as number[] }));
  try {
    for (let round = 0; round <= ROUNDS; round++) {
      for (const { args, rounds } of rows) {
        const startedAt = performance.now();
        await run(process.execPath, args, { env });
        // The first round fills the compile cache.
        if (round > 0) rounds.push(performance.now() - startedAt);
      }
    }
    return [
      tableOf('acgs-lb status, from start to exit', 'ms', rows, [
        { what: 'acgs-lb status, in the checkout', atMost: 3 },
      ]),
    ];
  } finally {
    await agent.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
