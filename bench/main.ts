import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { benchAgent } from './agent.ts';
import { benchCli } from './cli.ts';
import { benchEdge } from './edge.ts';
import { benchEdgeToken } from './edge-token.ts';
import { benchHaproxy } from './haproxy.ts';
import { benchHistory } from './history/series.ts';
import { benchInstructions } from './instructions.ts';
import { benchLargeBodies } from './large-bodies.ts';
import { benchGlobalLimit, benchMillionClients } from './limits.ts';
import { benchPicks } from './picks.ts';
import { benchProbes, formatProbes } from './probes.ts';
import { benchSnapshot } from './snapshot.ts';
import { type BenchTable, printTable } from './table.ts';

/** `npm run bench [name …] [-- --json FILE]`: the benchmarks by name. */
const BENCHES: Record<string, () => Promise<BenchTable[] | undefined>> = {
  edge: benchEdge,
  instructions: benchInstructions,
  picks: benchPicks,
  snapshot: benchSnapshot,
  cli: benchCli,
  history: benchHistory,
  'edge-token': printed(benchEdgeToken),
  haproxy: printed(benchHaproxy),
  'global-limit': printed(benchGlobalLimit),
  'million-clients': printed(benchMillionClients),
  'large-bodies': printed(benchLargeBodies),
  agent: printed(benchAgent),
  probes: printed(async () => console.log(`\n${formatProbes(await benchProbes())}`)),
};

/** A benchmark that prints its own result. */
function printed(run: () => Promise<void>): () => Promise<undefined> {
  return async () => {
    await run();
    return undefined;
  };
}

/** The file of `--json`: what was measured, on which machine. */
interface BenchReport {
  at: string;
  machine: string;
  node: string;
  benches: Record<string, BenchTable[]>;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'string' } },
  });
  const unknown = positionals.filter((name) => !(name in BENCHES));
  if (unknown.length > 0) {
    process.stderr.write(
      `unknown benchmark ${unknown.join(', ')}; expected ${Object.keys(BENCHES).join(', ')}\n`,
    );
    process.exit(2);
  }
  const report: BenchReport = {
    at: new Date().toISOString(),
    machine: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
    node: process.version,
    benches: {},
  };
  for (const [name, run] of Object.entries(BENCHES)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    const tables = await run();
    if (!tables) continue;
    tables.forEach(printTable);
    report.benches[name] = tables;
  }
  if (values.json) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
}

await main();
