#!/usr/bin/env -S node --
// `acgs-lb`: runs the CLI with the pinned Node. The `--` keeps Node from reading options such as --env-file, which it
// otherwise accepts anywhere.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const pinned = join(root, 'node_modules/node/bin/node');
const [major = 0] = process.versions.node.split('.').map(Number);
if (!existsSync(pinned) && major < 24) {
  process.stderr.write('acgs-lb: npm packages are missing; run npm ci (or npm start) in the checkout\n');
  process.exit(1);
}
const node = existsSync(pinned) ? pinned : process.execPath;
const child = spawn(node, ['--', join(root, 'agent/cli/main.ts'), ...process.argv.slice(2)], {
  stdio: 'inherit',
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.once('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
