#!/usr/bin/env -S node --
// `acgs-lb`: hands over to the CLI under the pinned Node, whatever Node this was called with. After `--` Node takes no
// word for its own: it would look for --env-file anywhere.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const pinned = join(root, 'node_modules/node/bin/node');
const [major = 0] = process.versions.node.split('.').map(Number);
if (!existsSync(pinned) && major < 24) {
  process.stderr.write('acgs-lb needs its packages: run npm ci (or npm start) in the checkout first\n');
  process.exit(1);
}
const node = existsSync(pinned) ? pinned : process.execPath;
const child = spawn(node, ['--', join(root, 'agent/cli/main.ts'), ...process.argv.slice(2)], {
  stdio: 'inherit',
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.once('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
