import { writeFileSync } from 'node:fs';
import { BENCHES } from './benches.ts';

/** `node bench/run-one.ts NAME FILE`: runs one benchmark and writes its tables. `npm run bench` starts it. */
const [name = '', file = ''] = process.argv.slice(2);
const bench = BENCHES[name];
if (!bench || !file) {
  process.stderr.write(`usage: node bench/run-one.ts NAME FILE   NAME: ${Object.keys(BENCHES).join(', ')}\n`);
  process.exit(2);
}
writeFileSync(file, JSON.stringify(await bench.run()));
process.exit(0);
