import { spawn } from 'node:child_process';
import type { Deliver } from './receiver.ts';

const MAX_STDERR = 2_000;

/** Runs a program with the alert's JSON on its standard input; no shell. Exit code 0 is delivery. */
export function command(argv: readonly string[], timeoutMs: number): Deliver {
  const [program = '', ...args] = argv;
  return (message) =>
    new Promise((resolve, reject) => {
      // Secrets of the agent are not the program's.
      const { PATH = '', HOME = '', LANG = '' } = process.env;
      const child = spawn(program, args, {
        env: { PATH, HOME, LANG },
        stdio: ['pipe', 'ignore', 'pipe'],
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
      });
      let said = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        said = `${said}${text}`.slice(-MAX_STDERR);
      });
      child.on('error', reject);
      child.on('close', (code, signal) => {
        if (code === 0) return resolve();
        const how = signal ? `was ended by ${signal} (limit ${timeoutMs} ms)` : `exited with ${code}`;
        reject(new Error(`${program} ${how}${said.trim() ? `: ${said.trim()}` : ''}`));
      });
      // A program that does not read its input is free not to.
      child.stdin.on('error', () => {});
      child.stdin.end(`${JSON.stringify(message)}\n`);
    });
}
