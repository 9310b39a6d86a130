// `npm start`: installs what is missing, then runs dev/up.ts with the pinned Node.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bootstrap } from './bootstrap.mjs';
import { HELP, parseOptions, UsageError } from './options.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const argv = process.argv.slice(2);

let options;
try {
  options = parseOptions(argv);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(2);
}
if (options.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
if (!(await bootstrap(options))) process.exit(1);

const child = spawn(join(root, 'node_modules/node/bin/node'), [join(root, 'dev/up.ts'), ...argv], {
  stdio: 'inherit',
  // up.ts stops the stack when this process dies, even by SIGKILL.
  env: { ...process.env, ACGS_STARTER_PID: String(process.pid) },
});
// Ctrl-C reaches both processes; up.ts ignores the duplicate.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
// npm forwards signals. When npm itself is killed, no signal arrives, so watch the parent.
if (process.env.npm_lifecycle_event) {
  const npm = process.ppid;
  setInterval(() => process.ppid !== npm && child.kill('SIGTERM'), 500).unref();
}
child.once('exit', (code) => process.exit(code ?? 1));
