import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { errorMessage } from '../shared/error-message.ts';
import { startLocalEdge } from './edge/miniflare.ts';
import { EDGE_VARIABLES } from './edge/variables.ts';

/**
 * The edge process of the local stack: the Worker of this checkout in workerd. It reads the Worker's variables from the
 * environment, because other users can read command lines.
 */
const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    persist: { type: 'string' },
    'build-dir': { type: 'string' },
    'kv-lag-ms': { type: 'string', default: '0' },
    'kv-down': { type: 'boolean', default: false },
  },
});
const port = Number(values.port);
const buildDir = values['build-dir'];
if (!Number.isInteger(port) || !buildDir) {
  process.stderr.write(
    'usage: node dev/edge.ts --port PORT --build-dir DIR [--persist DIR] [--kv-lag-ms N] [--kv-down]\n',
  );
  process.exit(2);
}

const vars = Object.fromEntries(
  EDGE_VARIABLES.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])),
);
const edge = await startLocalEdge({
  root: dirname(dirname(fileURLToPath(import.meta.url))),
  host: '127.0.0.1',
  port,
  vars,
  buildDir,
  kvLagMs: Number(values['kv-lag-ms']),
  kvDown: values['kv-down'],
  ...(values.persist && { persist: values.persist }),
}).catch((error: unknown) => {
  process.stderr.write(`${errorMessage(error)}\n`);
  process.exit(1);
});

let stopping = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (stopping) return;
    stopping = true;
    edge.dispose().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  });
}
