#!/usr/bin/env -S MALLOC_MMAP_THRESHOLD_=131072 node --max-semi-space-size=4 --heap-growing-percent=25 --
// `acgs-lb`: in a checkout the CLI from its source, in the npm package the built one. The `--` keeps Node from reading
// options such as --env-file, which it otherwise accepts anywhere. docs/agent.md explains the variable and the options of
// the heap. Node 18 can read this file, to say what is missing.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import nodeModule from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const source = join(root, 'agent/cli/main.ts');
const [major = 0] = process.versions.node.split('.').map(Number);

if (major < 24) runWithPinnedNode();
else if (existsSync(source)) {
  // In the checkout: the default folder, below /tmp, is open to other users.
  nodeModule.enableCompileCache(join(root, '.build/compile-cache'));
  process.argv[1] = source;
  const { runProcess } = await import(pathToFileURL(source).href);
  await runProcess();
} else await import('../dist/acgs-lb.mjs');

/** Runs the Node of a checkout's node_modules; fails with advice where there is none. */
function runWithPinnedNode() {
  const pinned = join(root, 'node_modules/node/bin/node');
  if (!existsSync(pinned)) {
    const advice = existsSync(source)
      ? 'run npm ci (or npm start) in the checkout'
      : 'install Node 24, or run: npx -p node@24 -p acgs-lb acgs-lb';
    process.stderr.write(`acgs-lb: Node ${process.versions.node} is too old, 24 is needed: ${advice}\n`);
    process.exit(1);
  }
  const child = spawn(
    pinned,
    [...process.execArgv, '--', fileURLToPath(import.meta.url), ...process.argv.slice(2)],
    {
      stdio: 'inherit',
    },
  );
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.once('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
}
