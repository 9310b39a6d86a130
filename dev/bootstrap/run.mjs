import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** On Debian, the PATH of ordinary users lacks the folders of server programs. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/bin', '/bin'];

/** PATH with the system's folders appended. */
export function fullPath(path = process.env.PATH ?? '') {
  const folders = path.split(delimiter).filter(Boolean);
  return [...folders, ...SYSTEM_FOLDERS.filter((folder) => !folders.includes(folder))].join(delimiter);
}

/** The absolute path of a program, or null. */
export function findProgram(name, folders = fullPath().split(delimiter)) {
  for (const folder of folders) {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch {
      // Try the next folder.
    }
  }
  return null;
}

/**
 * Runs a command without showing its output; prints the elapsed time every 10 s. Resolves with the exit code and the end
 * of the output. Ctrl-C reaches the command, because it shares the terminal.
 */
export function runQuietly(command, args, { what, env = process.env } = {}) {
  const startedAt = Date.now();
  let output = '';
  const ticker = setInterval(() => {
    process.stdout.write(`  … ${what}: ${Math.round((Date.now() - startedAt) / 1000)} s\n`);
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
