import { benchEdge } from './edge.ts';
import { benchEdgeToken } from './edge-token.ts';
import { benchHaproxy } from './haproxy.ts';
import { benchLargeBodies } from './large-bodies.ts';
import { benchGlobalLimit, benchMillionClients } from './limits.ts';
import { benchProbes, formatProbes } from './probes.ts';

/** `npm run bench [name …]`: the benchmarks by name. */
const BENCHES: Record<string, () => Promise<void>> = {
  edge: benchEdge,
  'edge-token': benchEdgeToken,
  haproxy: benchHaproxy,
  'global-limit': benchGlobalLimit,
  'million-clients': benchMillionClients,
  'large-bodies': benchLargeBodies,
  probes: async () => console.log(`\n${formatProbes(await benchProbes())}`),
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in BENCHES));
if (unknown.length > 0) {
  process.stderr.write(
    `unknown benchmark ${unknown.join(', ')}; expected ${Object.keys(BENCHES).join(', ')}\n`,
  );
  process.exit(2);
}
for (const [name, run] of Object.entries(BENCHES)) {
  if (wanted.length === 0 || wanted.includes(name)) await run();
}
