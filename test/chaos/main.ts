import { parseArgs } from 'node:util';
import { brokenOpen } from './broken-open.ts';
import { edgeFeatures } from './edge-features.ts';
import { embedded } from './embedded.ts';
import { emptyKv } from './empty-kv.ts';
import { gatewayStopped } from './gateway-stopped.ts';
import { haproxyAlone } from './haproxy-alone.ts';
import { haproxyReloaded } from './haproxy-reloaded.ts';
import { killedInstance } from './killed-instance.ts';
import { killedTwenty } from './killed-twenty.ts';
import { kvLag } from './kv-lag.ts';
import { nginxInstances } from './nginx-instances.ts';
import { nginxTls } from './nginx-tls.ts';
import type { Scenario, ScenarioOptions } from './scenario.ts';
import { storesStopped } from './stores-stopped.ts';
import { users } from './users.ts';

/**
 * `node test/chaos/main.ts [--think 1-5] [NAME…]`: breaks a running stack under load and reports what clients noticed.
 * `--think`: seconds between a response and the next request of a simulated user: uniform from A to B (`A-B`), or
 * exponential with mean N (`N`).
 */
const SCENARIOS: Scenario[] = [
  killedInstance,
  storesStopped,
  gatewayStopped,
  haproxyReloaded,
  haproxyAlone,
  emptyKv,
  nginxInstances,
  nginxTls,
  edgeFeatures,
  embedded,
  killedTwenty,
  brokenOpen,
  users,
  kvLag,
];

const { think, wanted } = readArguments();
const unknown = wanted.filter((name) => !SCENARIOS.some((scenario) => scenario.name === name));
if (unknown.length > 0) {
  exitWithUsageError(
    `unknown scenario ${unknown.join(' ')}; expected ${SCENARIOS.map(({ name }) => name).join(' ')}`,
  );
}
let broken = 0;
for (const scenario of SCENARIOS) {
  if (wanted.length > 0 && !wanted.includes(scenario.name)) continue;
  process.stdout.write(`\n${scenario.name}: ${scenario.description}\n`);
  try {
    const outcome = await scenario.run(think);
    broken += outcome.broken.length;
    for (const line of outcome.lines) process.stdout.write(`  ${line}\n`);
  } catch (error) {
    broken += 1;
    process.stdout.write(`  BROKEN ${error instanceof Error ? error.message : String(error)}\n`);
  }
}
process.exitCode = broken > 0 ? 1 : 0;

function readArguments(): { think: ScenarioOptions; wanted: string[] } {
  try {
    const { values, positionals } = parseArgs({
      options: { think: { type: 'string', default: '1-5' } },
      allowPositionals: true,
    });
    return { think: parseThink(values.think), wanted: positionals };
  } catch (error) {
    return exitWithUsageError(error instanceof Error ? error.message : String(error));
  }
}

function parseThink(text: string): ScenarioOptions {
  const [, from, to] = /^(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?$/.exec(text) ?? [];
  if (from === undefined) return exitWithUsageError(`--think ${text}: expected seconds such as 1 or 1-5`);
  const fromMs = Number(from) * 1_000;
  if (to !== undefined) {
    const span = Number(to) * 1_000 - fromMs;
    return { think: () => fromMs + Math.random() * span, thinkText: `${from} to ${to} s, uniform` };
  }
  const think = () => Math.min(10 * fromMs, -Math.log(1 - Math.random()) * fromMs);
  return { think, thinkText: `${from} s on average` };
}

function exitWithUsageError(why: string): never {
  process.stderr.write(`${why}\n`);
  process.exit(2);
}
