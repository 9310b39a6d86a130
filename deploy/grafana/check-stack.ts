import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkPanels, EMPTY_WITHOUT_INCIDENT, type MonitoredStack } from './check.ts';

// node deploy/grafana/check-stack.ts [STATE_DIR]: checks that every dashboard panel shows data of a running stack.
const stateDir = process.argv[2] ?? '.acgs';
const stack = JSON.parse(readFileSync(join(stateDir, 'stack.json'), 'utf8')) as MonitoredStack;
const results = await checkPanels(stack);
let failed = 0;
for (const { dashboard, panel, found } of results) {
  const good = Number(found) > 0 || (found === 0 && EMPTY_WITHOUT_INCIDENT.has(panel));
  if (!good) failed++;
  process.stdout.write(`${good ? 'ok  ' : 'FAIL'} ${dashboard} / ${panel}: ${found}\n`);
}
process.stdout.write(`${results.length - failed} of ${results.length} queries have results\n`);
process.exitCode = failed === 0 ? 0 : 1;
