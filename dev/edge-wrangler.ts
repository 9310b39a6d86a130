import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { quietWranglerEnv } from './edge/bundle.ts';
import { EDGE_VARIABLES } from './edge/variables.ts';

/** The edge under `wrangler dev`: slower, but with inspector and reload on change. */
const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    'inspector-port': { type: 'string', default: '0' },
    persist: { type: 'string' },
    'run-dir': { type: 'string' },
  },
});
const { port = '', persist = '', 'run-dir': runDir = '' } = values;
const root = dirname(dirname(fileURLToPath(import.meta.url)));
// A file instead of `--var`, because every user of the machine can read command lines.
const envFile = join(runDir, 'edge.env');
const lines = EDGE_VARIABLES.flatMap((name) => (process.env[name] ? [`${name}=${process.env[name]}\n`] : []));
writeFileSync(envFile, lines.join(''), { mode: 0o600 });
const child = spawn(
  process.execPath,
  [
    ...[join(root, 'node_modules/wrangler/bin/wrangler.js'), 'dev', '--config', join(root, 'wrangler.toml')],
    ...['--env=', '--ip', '127.0.0.1', '--port', port, '--persist-to', persist],
    ...['--inspector-ip', '127.0.0.1', '--inspector-port', values['inspector-port']],
    ...['--env-file', envFile, '--show-interactive-dev-session', 'false'],
  ],
  { cwd: root, env: { ...process.env, ...quietWranglerEnv(runDir) }, stdio: 'inherit' },
);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
child.once('exit', (code) => process.exit(code ?? 0));
