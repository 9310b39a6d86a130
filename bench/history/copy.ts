import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { COPY_COLUMNS } from './generate.ts';

/** Sends lines to `COPY load_balancing_metrics FROM STDIN` through psql, in chunks. Returns the number of lines. */
export async function copyIn(url: string, lines: Iterable<string>): Promise<number> {
  const child = spawn(
    'psql',
    [url, '-q', '-v', 'ON_ERROR_STOP=1', '-c', `COPY load_balancing_metrics (${COPY_COLUMNS}) FROM STDIN`],
    {
      stdio: ['pipe', 'inherit', 'inherit'],
    },
  );
  const ended = once(child, 'exit');
  let count = 0;
  let buffer = '';
  for (const line of lines) {
    buffer += line;
    count += 1;
    if (buffer.length < 262_144) continue;
    if (!child.stdin.write(buffer)) await Promise.race([once(child.stdin, 'drain'), ended]);
    buffer = '';
  }
  child.stdin.end(buffer);
  const [code] = await ended;
  if (code !== 0) throw new Error(`psql exited with code ${code}`);
  return count;
}
