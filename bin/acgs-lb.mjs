#!/usr/bin/env -S node --
// `acgs-lb`: runs the CLI with the pinned Node, in this process when that is the one that runs. The `--` keeps Node from
// reading options such as --env-file, which it otherwise accepts anywhere.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import nodeModule from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const pinned = join(root, 'node_modules/node/bin/node');
const main = join(root, 'agent/cli/main.ts');
const [major = 0] = process.versions.node.split('.').map(Number);
if (major >= 24) {
  // In the checkout: the default folder, below /tmp, is open to other users.
  nodeModule.enableCompileCache(join(root, '.build/compile-cache'));
  process.argv[1] = main;
  const { runProcess } = await import(main);
  await runProcess();
} else if (existsSync(pinned)) {
  const child = spawn(pinned, ['--', fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.once('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
} else {
  process.stderr.write('acgs-lb: npm packages are missing; run npm ci (or npm start) in the checkout\n');
  process.exit(1);
}
