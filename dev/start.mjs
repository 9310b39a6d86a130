// `npm start`: installs what is missing, then hands over to dev/up.ts under the pinned Node.
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
  // up.ts ends the stack when we are gone, even if we were killed outright.
  env: { ...process.env, ACGS_STARTER_PID: String(process.pid) },
});
// A terminal's Ctrl-C reaches both of us; up.ts knows the repetition for what it is.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
// npm passes signals on, but is itself killed now and then: then nobody is left who would tell us.
if (process.env.npm_lifecycle_event) {
  const npm = process.ppid;
  setInterval(() => process.ppid !== npm && child.kill('SIGTERM'), 500).unref();
}
child.once('exit', (code) => process.exit(code ?? 1));
