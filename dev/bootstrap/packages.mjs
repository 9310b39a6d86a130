import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findProgram, runQuietly } from './run.mjs';

/** Programs that every command needs. Without them, an installation was interrupted. */
const REQUIRED_PROGRAMS = ['node/bin/node', '.bin/tsc', '.bin/vitest', '.bin/wrangler', '.bin/workerd'];

/** True when node_modules matches package-lock.json. A stamp file makes the usual check fast. */
export function packagesAreCurrent(root) {
  const modules = join(root, 'node_modules');
  if (REQUIRED_PROGRAMS.some((path) => !existsSync(join(modules, path)))) return false;
  const stamp = join(modules, '.acgs-lb-stamp');
  const expected = lockHash(root);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === expected) return true;
  if (!sameAsInstalled(root)) return false;
  writeStamp(stamp, expected);
  return true;
}

/** Runs `npm ci`. Returns null on success, else npm's output. */
export async function installPackages(root) {
  const npm = npmCommand();
  if (!npm) return 'npm not found; install it and start again';
  const [command, ...args] = npm;
  const env = {
    ...process.env,
    npm_config_loglevel: 'error',
    npm_config_fund: 'false',
    npm_config_audit: 'false',
  };
  // With NODE_ENV=production, npm would omit the development tools.
  const { code, output } = await runQuietly(command, [...args, 'ci', '--include=dev', '--prefix', root], {
    what: 'npm packages',
    env,
  });
  if (code !== 0) return output.trim() || `npm ci ended with exit code ${code}`;
  writeStamp(join(root, 'node_modules', '.acgs-lb-stamp'), lockHash(root));
  return null;
}

function writeStamp(stamp, text) {
  try {
    mkdirSync(dirname(stamp), { recursive: true });
    writeFileSync(stamp, text);
  } catch {
    // Read-only tree: the slower comparison runs each time.
  }
}

function lockHash(root) {
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
}

/** Compares the lock file with npm's record of the installed packages. Optional packages can be missing. */
function sameAsInstalled(root) {
  try {
    const read = (path) => JSON.parse(readFileSync(join(root, path), 'utf8')).packages;
    const wanted = read('package-lock.json');
    const installed = read('node_modules/.package-lock.json');
    return Object.entries(wanted).every(
      ([path, { version, optional }]) =>
        path === '' || installed[path]?.version === version || (optional && !installed[path]),
    );
  } catch {
    return false;
  }
}

/** The npm that runs this process, else the one beside node, else the one on the PATH. */
function npmCommand() {
  const running = process.env.npm_execpath;
  if (running && existsSync(running) && /npm-cli\.js$/.test(running)) return [process.execPath, running];
  const found = findProgram('npm', [dirname(process.execPath)]) ?? findProgram('npm');
  return found ? [found] : null;
}
