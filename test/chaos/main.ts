import { brokenOpen } from './broken-open.ts';
import { embedded } from './embedded.ts';
import { emptyKv } from './empty-kv.ts';
import { gatewayStopped } from './gateway-stopped.ts';
import { haproxyAlone } from './haproxy-alone.ts';
import { haproxyReloaded } from './haproxy-reloaded.ts';
import { killedInstance } from './killed-instance.ts';
import { killedTwenty } from './killed-twenty.ts';
import { kvLag } from './kv-lag.ts';
import { nginxInstances } from './nginx-instances.ts';
import type { Scenario } from './scenario.ts';
import { storesStopped } from './stores-stopped.ts';
import { users } from './users.ts';

/** `node test/chaos/main.ts [NAME…]`: breaks a running stack under load and tells what clients noticed. */
const SCENARIOS: Scenario[] = [
  killedInstance,
  storesStopped,
  gatewayStopped,
  haproxyReloaded,
  haproxyAlone,
  emptyKv,
  nginxInstances,
  embedded,
  killedTwenty,
  brokenOpen,
  users,
  kvLag,
];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !SCENARIOS.some((scenario) => scenario.name === name));
if (unknown.length > 0) {
  process.stderr.write(
    `unknown ${unknown.join(' ')}; there are ${SCENARIOS.map(({ name }) => name).join(' ')}\n`,
  );
  process.exit(2);
}
let broken = 0;
for (const scenario of SCENARIOS) {
  if (wanted.length > 0 && !wanted.includes(scenario.name)) continue;
  process.stdout.write(`\n${scenario.name}: ${scenario.what}\n`);
  try {
    const outcome = await scenario.run();
    broken += outcome.broken.length;
    for (const line of outcome.lines) process.stdout.write(`  ${line}\n`);
  } catch (error) {
    broken += 1;
    process.stdout.write(`  BROKEN ${error instanceof Error ? error.message : String(error)}\n`);
  }
}
process.exitCode = broken > 0 ? 1 : 0;
