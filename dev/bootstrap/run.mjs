import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Debian keeps servers' programs out of an ordinary user's PATH. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/bin', '/bin'];

/** PATH with the system's folders behind it. */
export function fullPath(path = process.env.PATH ?? '') {
  const folders = path.split(delimiter).filter(Boolean);
  return [...folders, ...SYSTEM_FOLDERS.filter((folder) => !folders.includes(folder))].join(delimiter);
}

/** The program's full path, or null. */
export function findProgram(name, folders = fullPath().split(delimiter)) {
  for (const folder of folders) {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch {
      // Not here: the next folder.
    }
  }
  return null;
}

/**
 * Runs a command quietly, saying every 10 s that it is still at it. Resolves with its exit code and all it printed.
 * Ctrl-C reaches the command itself, which shares the terminal.
 */
export function runQuietly(command, args, { what, env = process.env } = {}) {
  const begun = Date.now();
  let output = '';
  const ticker = setInterval(() => {
    process.stdout.write(`  … ${what}: ${Math.round((Date.now() - begun) / 1000)} s\n`);
  }, 10_000);
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
    const keep = (chunk) => {
      output = (output + chunk).slice(-20_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', (error) => resolve({ code: 127, output: error.message }));
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  }).finally(() => clearInterval(ticker));
}
